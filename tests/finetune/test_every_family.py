"""One step at ``blocks=1`` changes the last block and the classifier, and no other byte.

What counts as the last block is written out here by hand, for each family, and not asked of the
code. The rule, by the bytes of every parameter and buffer before and after one step of Adam:

- outside the last block and the classifier nothing changes, batch norm's statistics included;
- inside, the classifier's weight changes, and so do weights of the block; a tensor whose gradient
  is zero may stay (a bias that a normalisation takes off again, a ReLU unit that is never on);
- batch norm inside has counted one batch, outside none.
"""

from pathlib import Path

import pytest
import torch
from torchvision import models

from featbench.datasets import Dataset, load_dataset
from featbench.extraction import _tuning
from featbench.finetune import FineTuneClassifier, _classifier
from featbench.networks import Network, create_network
from tests.conftest import make_photos

LAST = {
    "alexnet": (("classifier.4.",), "classifier.6."),
    "convnext_tiny": (("features.7.", "classifier.0."), "classifier.2."),
    "densenet121": (("features.denseblock4.", "features.norm5."), "classifier."),
    "efficientnet_b0": (("features.8.",), "classifier.1."),
    "googlenet": (("inception5b.",), "fc."),
    "inception_v3": (("Mixed_7c.",), "fc."),
    "maxvit_t": (("blocks.3.", "classifier.2.", "classifier.3."), "classifier.5."),
    "mnasnet0_5": (("layers.13.", "layers.14.", "layers.15."), "classifier.1."),
    "mobilenet_v2": (("features.18.",), "classifier.1."),
    "mobilenet_v3_small": (("features.12.", "classifier.0."), "classifier.3."),
    "regnet_y_400mf": (("trunk_output.block4.",), "fc."),
    "resnet18": (("layer4.",), "fc."),
    "shufflenet_v2_x0_5": (("conv5.",), "fc."),
    "squeezenet1_1": (("features.12.",), "classifier.1."),
    "swin_t": (("features.7.", "norm."), "head."),
    "swin_v2_t": (("features.7.", "norm."), "head."),
    "vgg11_bn": (("classifier.3.",), "classifier.6."),
    "vit_b_32": (("encoder.layers.encoder_layer_11.", "encoder.ln."), "heads.head."),
    "efficientnet_lite0": (("blocks.6.", "conv_head.", "bn2."), "classifier."),
    "timm/vit_tiny_patch16_224": (("blocks.11.", "norm."), "head."),
    "timm/mobilenetv3_small_050": (("blocks.5.", "conv_head."), "classifier."),
    "timm/mixer_s32_224": (("blocks.7.", "norm."), "head."),
    "timm/convnext_atto": (("stages.3.", "head.norm."), "head.fc."),
    "timm/resnetv2_50": (("stages.3.", "norm."), "head.fc."),
}


SLOW = {"alexnet", "convnext_tiny", "densenet121", "inception_v3", "maxvit_t", "swin_t",
        "swin_v2_t", "vgg11_bn", "vit_b_32"}  # fmt: skip
CASES = [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else pytest.param(n) for n in LAST]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(make_photos(tmp_path_factory.mktemp("d") / "p", {"train": 1, "test": 1}))


def test_every_torchvision_family_is_here() -> None:
    families = {n: models.get_model_builder(n).__module__ for n in models.list_models(models)}
    assert {families[name] for name in LAST if name in families} == set(families.values())


@pytest.mark.parametrize("name", CASES)
def test_one_step_changes_the_last_block_and_the_classifier_alone(
    name: str, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tuning, "DEFAULT_BATCH", {"cpu": 3})  # there are no more pictures
    monkeypatch.setattr(_tuning, "_TIMING_SECONDS", 0.0)
    before: dict[str, bytes] = {}

    def created(*arguments: object) -> Network:
        network = create_network(*arguments)  # type: ignore[arg-type]
        before.update(as_bytes(network))
        return network

    monkeypatch.setattr(_classifier, "create_network", created)
    model = FineTuneClassifier(
        name, "random", 1, epochs=1, select="last", device="cpu", cache=tmp_path
    ).fit(data)
    after = as_bytes(model.network_)
    assert before.keys() == after.keys()
    changed = {key for key, value in after.items() if before[key] != value}

    block, classifier = LAST[name]
    assert {key for key in changed if not key.startswith((*block, classifier))} == set()
    assert f"{classifier}weight" in changed
    for part in block:
        assert any(key.startswith(part) for key in changed), part
    for key, value in model.network_.module.state_dict().items():
        if key.endswith("num_batches_tracked"):
            assert value == (1 if key.startswith((*block, classifier)) else 0), key


def as_bytes(network: Network) -> dict[str, bytes]:
    state: dict[str, torch.Tensor] = network.module.state_dict()
    return {key: value.cpu().contiguous().numpy().tobytes() for key, value in state.items()}

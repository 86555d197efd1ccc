"""Training on another device than the CPU, simulated by torch's meta device, which has no values.

Arithmetic between it and the CPU fails as it would between a GPU and the CPU. What reads values
back is replaced: it gives zeros.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from featbench.datasets import Dataset, load_dataset
from featbench.errors import UsageError
from featbench.extraction import choose_device
from featbench.finetune import FineTuneClassifier, _classifier, _supply
from featbench.finetune import _checkpoint as checkpoints
from featbench.finetune._last_layers import start_from
from featbench.finetune._trainer import Trainer
from featbench.networks import create_network
from tests.conftest import make_photos

META = torch.device("meta")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("d") / "p", {"train": 8, "val": 4, "test": 4})
    return load_dataset(root)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let training be done on a device whose values nobody can see."""
    moved, kinds = torch.Tensor.to, set()

    def cpu(self: torch.Tensor) -> torch.Tensor:
        return torch.zeros(self.shape, dtype=self.dtype) if self.is_meta else self

    def to(self: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        back = self.is_meta and str(arguments[:1] or options.get("device")).count("cpu")
        return cpu(self) if back else moved(self, *arguments, **options)

    def autocast(kind: str, *_: Any, **__: Any) -> Any:
        kinds.add(kind)
        return nullcontext()

    for name, value in (("item", 0.5), ("__bool__", True), ("__int__", 1), ("__float__", 0.5)):
        own = getattr(torch.Tensor, name)

        def read(self: torch.Tensor, value: Any = value, own: Any = own) -> Any:
            return value if self.is_meta else own(self)

        monkeypatch.setattr(torch.Tensor, name, read)
    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr(torch, "autocast", autocast)
    for module in (_classifier, _supply):
        monkeypatch.setattr(module, "choose_device", lambda name: META)
    yield
    assert kinds == {"meta"}


HARD: dict[str, Any] = {
    "optimizer": "adamw", "clip_norm": 1.0, "label_smoothing": 0.1, "dropout": 0.3, "hidden": [8],
    "class_weight": "balanced", "schedule": "cosine", "layer_decay": 0.7, "amp": True,
}  # fmt: skip
WAYS: list[dict[str, Any]] = [
    {"blocks": "all"},
    {"blocks": "all", **HARD, "refit": True, "augment": "flip", "copies": "rotate:10"},
    {"blocks": "all", "activation_budget": 1, "loss": "mse", "optimizer": "sgd"},
    {"blocks": 1, **HARD},
    {"blocks": 1, "augment": "flip", "views": 2, "refit": True},
    {"blocks": 1, "activation_budget": 1, "precision": "bfloat16", **HARD},
    {"blocks": 0, "normalise": "data", "class_weight": {"moss": 2.0}},
    {"blocks": 1, "network": "mobilenet_v3_small", **HARD},
]


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter:UserWarning")
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("how", WAYS)
def test_nothing_of_a_training_is_left_on_the_cpu(
    how: dict[str, Any], data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "_SHARE", 0)
    how = {"network": "lenet5:batch_norm=true", "weights": "random", "epochs": 2, "batch": 8, **how}
    model = FineTuneClassifier(cache=tmp_path, device="cpu", checkpoint=tmp_path / "kept", **how)
    with monkeypatch.context() as inner:
        whole = Trainer._epoch

        def broken(self: Trainer, *arguments: Any) -> Any:
            if arguments[-1] == 2:
                raise KeyboardInterrupt
            return whole(self, *arguments)

        inner.setattr(Trainer, "_epoch", broken)
        with pytest.raises(KeyboardInterrupt):
            model.fit(data)
    model.fit(data)
    assert model.resumed_after_ == 1
    assert {one.device for one in model._trainer.module.state_dict().values()} == {META}
    assert model.predict_proba(data.test).shape == (12, 3)
    assert model.predict_proba(data.test.take([3, 1])).shape == (2, 3)


class _Head:
    classes_ = np.array([0, 2])

    def linear_layer(self) -> tuple[Any, Any]:
        return np.ones((2, 84)), np.zeros(2)


def test_a_warm_start_reaches_a_classifier_that_is_on_a_gpu() -> None:
    """As that of a network is, whose forward cannot be traced: its frozen part is the whole."""
    network = create_network("lenet5", classes=3)
    network.cut("features")
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        layer = network.module.get_submodule(network.classifier)
        for name, one in list(layer.named_parameters()):
            setattr(layer, name, torch.nn.Parameter(torch.empty(one.shape)))
            assert getattr(layer, name).is_cuda
        start_from(_Head(), network)


@pytest.mark.parametrize("name", ["meta", "hpu", "nothing"])
def test_a_device_that_there_is_but_nothing_is_made_for_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"--device {name}: expected auto, cpu, cuda"):
        choose_device(name)

"""The whole list: every torchvision classifier, and the timm models people use, cut and compared.

Takes half an hour, so it is run by hand; the table it writes is kept in the docs:

    pytest -m exhaustive tests/networks/test_every_cut.py --table docs/cuts.md
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torchvision import models

from tests.networks.test_cut import alive, pixels

TIMM = [
    "beit_base_patch16_224", "cait_xxs24_224", "coat_tiny", "convit_tiny", "convmixer_768_32",
    "convnext_tiny", "convnextv2_atto", "cspresnet50", "deit_small_patch16_224", "densenet121",
    "dpn68", "edgenext_small", "efficientformer_l1", "efficientnet_b0", "efficientnetv2_rw_t",
    "eva02_tiny_patch14_224", "ghostnet_100", "hrnet_w18_small", "inception_v4", "levit_128",
    "mixer_s16_224", "mobilenetv3_large_100", "mobilevit_s", "nfnet_f0", "pit_ti_224",
    "poolformer_s12", "regnety_008", "repvgg_a0", "res2net50_26w_4s", "resnet50", "resnetv2_50",
    "resnext50_32x4d", "rexnet_100", "seresnet50", "swin_tiny_patch4_window7_224",
    "tf_efficientnet_lite0", "tnt_s_patch16_224", "vgg16", "vit_small_patch14_dinov2",
    "vit_small_patch16_224", "xception41",
]  # fmt: skip
NAMES = [*models.list_models(module=models), *(f"timm/{name}" for name in TIMM)]
MOST = 6


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines of the table; written at the end where --table names a file."""
    lines: list[str] = []
    yield lines
    path = request.config.getoption("--table")
    if path is not None:
        heading = (
            "# Every cut, compared\n\n"
            "Prefix then suffix against the whole forward: random weights, batch norm with "
            "statistics, eval mode, float32. Written by\n"
            "`pytest -m exhaustive tests/networks/test_every_cut.py --table docs/cuts.md` with "
            f"torch {torch.__version__}.\n\n"
            "| network | places | cuts | largest difference | |\n|---|---:|---:|---:|---|\n"
        )
        Path(path).write_text(heading + "\n".join(lines) + "\n")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NAMES)
def test_prefix_then_suffix_is_the_whole_forward(name: str, table: list[str]) -> None:
    network = alive(name)
    x = pixels(network, 1)
    layers = network.layers
    spread = [layers[i * (len(layers) - 1) // (MOST - 1)] for i in range(MOST)]
    differences = []
    with torch.no_grad():
        whole = network.module(x)
        assert whole.std() > 0
        for at in dict.fromkeys(spread):
            cut = network.cut(at)
            differences.append(float((cut.suffix(cut.prefix(x)) - whole).abs().max()))
    note = "" if network.trace is not None else f"features alone: {network.untraced_because}"
    table.append(
        f"| {name} | {len(layers)} | {len(differences)} | {max(differences):g} | {note[:90]} |"
    )
    assert max(differences) == 0

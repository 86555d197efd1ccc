"""Networks folded and packed for inference give what they gave, and are left as they were."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from featbench.networks import fuse, pack
from featbench.networks._pack import PackedConvolution, PooledPositives
from tests.networks.test_cut import Wavering, alive, pixels

FAMILIES = [
    "resnet18", "densenet121", "googlenet", "mobilenet_v3_small", "shufflenet_v2_x0_5",
    "squeezenet1_1", "regnet_y_400mf", "efficientnet_lite0", "lenet5", "vit_b_32", "swin_t",
    "timm/resnetv2_50", "timm/convnext_atto", "timm/efficientnet_b0",
]  # fmt: skip


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def run(module: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.inference_mode():
        values = module(channels_last(x))
    return values if isinstance(values, tuple) else (values,)


def close(got: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((got - expected).norm() <= 1e-5 * expected.norm())


@pytest.mark.slow
@pytest.mark.parametrize("change", [fuse, pack])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_is_what_it_was(name: str, change: type) -> None:
    network = alive(name)
    x = pixels(network)
    layers = [*network.layers[:: max(1, len(network.layers) // 4)], "features"]
    taps = network.taps(layers)
    before = {key: value.clone() for key, value in taps.state_dict().items()}
    expected = run(taps, x)
    changed = change(taps)
    for _ in range(2):  # the second time with weights that are in their layout already
        for got, value, layer in zip(run(changed, x), expected, layers, strict=True):
            assert close(got, value), layer
    assert all(torch.equal(before[key], value) for key, value in taps.state_dict().items())


def packed(module: nn.Module) -> list[PackedConvolution]:
    return [part for part in module.modules() if isinstance(part, PackedConvolution)]


def test_a_residual_network_is_one_call_a_convolution() -> None:
    taps = alive("resnet18").taps(["features"])
    module = pack(taps)
    assert len(packed(module)) == 20
    kinds = {type(part).__name__ for part in module.modules()}
    called = [node for node in module.graph.nodes if node.op == "call_module"]  # type: ignore[union-attr]
    assert len(called) == 20 + 2  # and two poolings: every norm, sum and activation is in a call
    assert "PooledPositives" in kinds
    sums = [part for part in packed(module) if part._in_place]
    assert len(sums) == 7  # the first block's sum must not overwrite what the pooling gave


class Awkward(nn.Module):
    """Everything that must not be taken for what it looks like."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 3, padding=1)
        self.twice = nn.Conv2d(8, 8, 1)
        self.same = nn.Conv2d(8, 8, 3, padding="same")
        self.circular = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
        self.third = nn.Conv2d(8, 8, 1)
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a, b = self.first(x), self.second(x)
        total = torch.add(a, b, alpha=2.0)  # a factor that a plain sum has not
        kept = total + b  # b is used again after it is summed
        negative = self.pool(self.twice(kept))  # may be negative: no comparing of integers
        odd = self.pool(functional.relu(self.circular(kept[:, :, 1:, 1:])))
        positive = self.pool(
            functional.relu(self.third(kept))
        )  # the pool that negatives went through
        value = self.same(self.twice(odd)) + odd
        value += value  # a sum with itself
        last = functional.gelu(value) + 1
        return functional.relu(kept, inplace=True), negative, odd, positive, last


def test_look_alikes_are_left_alone() -> None:
    torch.manual_seed(0)
    module = Awkward().eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    x = torch.randn(2, 3, 8, 8)
    expected = run(module, x)
    for got, value in zip(run(pack(module), x), expected, strict=True):
        assert close(got, value)


def test_what_cannot_be_traced_is_changed_part_by_part() -> None:
    module = Wavering().eval().requires_grad_(False)
    x = torch.randn(2, 3, 8, 8)
    assert close(run(pack(module), x)[0], run(module, x)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [8, 7])
def test_pooling_of_positives(dtype: torch.dtype, size: int) -> None:
    x = channels_last(torch.randn(2, 5, size, size).relu().to(dtype))
    x[0, 0, 0, 0] = torch.inf
    expected = functional.max_pool2d(x, 3, 2, 1)
    assert torch.equal(PooledPositives()(x), expected)


def test_a_build_without_onednn_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="oneDNN"):
        pack(nn.Conv2d(3, 3, 1))

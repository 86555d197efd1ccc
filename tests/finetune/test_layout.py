"""On a CPU no batch norm gets a gradient in another layout than its values: that is slow."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from featbench.finetune._layout import keep_layout
from featbench.networks import create_network


class Layouts(TorchDispatchMode):
    """Notes whether each batch norm's backward finds gradient and values in one layout."""

    def __init__(self) -> None:
        super().__init__()
        self.alike: list[bool] = []

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if op is torch.ops.aten.native_batch_norm_backward.default:
            self.alike.append(
                all(t.is_contiguous(memory_format=torch.channels_last) for t in args[:2])
            )
        return op(*args, **(kwargs or {}))


def step(module: nn.Module, shape: tuple[int, ...]) -> tuple[list[bool], list[torch.Tensor]]:
    torch.manual_seed(0)
    values = torch.randn(4, *shape).to(memory_format=torch.channels_last)
    module.zero_grad()
    with Layouts() as layouts:
        module(values).square().sum().backward()
    return layouts.alike, [p.grad.clone() for p in module.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v3_small"])
def test_batch_norm_finds_one_layout_and_the_same_gradients(name: str) -> None:
    network = create_network(name, "random", 3)
    at = network.place_of(1)
    suffix = network.cut(at).suffix.to(memory_format=torch.channels_last).eval()
    for part in suffix.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.train()
    before, plain = step(suffix, network.shape_at(at))
    assert before
    assert not all(before)  # else there is nothing to mend
    with keep_layout(suffix):
        after, mended = step(suffix, network.shape_at(at))
    assert step(suffix, network.shape_at(at))[0] == before  # nothing stays behind
    assert len(after) == len(before)
    assert all(after)
    for ours, theirs in zip(mended, plain, strict=True):
        scale = theirs.abs().max().item()
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * scale + 1e-6)

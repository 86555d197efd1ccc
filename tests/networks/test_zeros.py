"""Zeros are counted exactly, call by call, wherever an activation is called."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from featbench.networks import ZeroCounter, create_network

X = torch.tensor([[-2.0, -1.0, 0.0, 3.0], [1.0, -4.0, 2.0, -5.0]])


def counted(module: nn.Module, *inputs: torch.Tensor) -> ZeroCounter:
    counter = ZeroCounter(module.eval())
    with torch.inference_mode(), counter.watching():
        for x in inputs:
            module(x.clone())
    return counter


def zeros_of(module: nn.Module, *inputs: torch.Tensor) -> list[tuple[str, int, int]]:
    return [(r.name, r.zeros, r.total) for r in counted(module, *inputs).rows()]


class Made(nn.Module):
    """A layer with weights of its own, whose forward is a function."""

    def __init__(self, forward: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self._forward = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._forward(x * self.scale)


class Residual(nn.Module):
    """Calls one in-place ReLU three times, as a ResNet's block does."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.relu(x + 1.0)
        second = self.relu(first - 2.0)
        second += 7.0  # written into after it was counted
        return self.relu(-x)


def test_by_hand() -> None:
    assert zeros_of(nn.Sequential(nn.ReLU())
                    , X) == [("0", 5, 8)]  # fmt: skip
    assert zeros_of(nn.Sequential(nn.ReLU6()), X) == [("0", 5, 8)]
    assert zeros_of(nn.Sequential(nn.Hardswish()), X) == [("0", 3, 8)]  # below -3, and 0 itself
    assert zeros_of(nn.Sequential(nn.Hardsigmoid()), X) == [("0", 2, 8)]
    assert zeros_of(nn.Sequential(nn.Hardtanh(0, 1)), X) == [("0", 5, 8)]
    assert zeros_of(nn.Sequential(nn.Threshold(1.5, 0)), X) == [("0", 6, 8)]


def test_a_module_called_thrice_has_three_rows_each_counted_at_once() -> None:
    module = nn.Sequential(Residual())
    expected = [("0.relu", 4, 8), ("0.relu#2", 6, 8), ("0.relu#3", 4, 8)]
    assert zeros_of(module, X) == expected
    doubled = [(name, 2 * zeros, 2 * total) for name, zeros, total in expected]
    assert zeros_of(module, X, X) == doubled


@pytest.mark.parametrize("function", [
    functional.relu, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_,
    lambda x: x.relu(), lambda x: functional.relu(x, inplace=True),
])  # fmt: skip
def test_functions_count_as_modules_do(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert zeros_of(nn.Sequential(Made(function)), X) == [("0:relu", 5, 8)]


def test_a_function_called_twice_has_two_rows() -> None:
    module = Made(lambda x: functional.relu(functional.relu6(functional.relu(x) - 1)))
    assert zeros_of(module, X) == [
        ("(network):relu", 5, 8), ("(network):relu6", 6, 8), ("(network):relu#2", 6, 8)
    ]  # fmt: skip


@pytest.mark.parametrize("layer", [
    nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.Tanh(), nn.ELU(), nn.SELU(), nn.CELU(), nn.Mish(),
    nn.LeakyReLU(), nn.PReLU(), nn.RReLU(), nn.Softplus(), nn.Softsign(), nn.LogSigmoid(),
    nn.GLU(), nn.Hardtanh(), nn.Threshold(0, 5),
])  # fmt: skip
def test_what_makes_no_exact_zeros_is_left_out_and_named(layer: nn.Module) -> None:
    counter = counted(nn.Sequential(layer), X)
    assert counter.rows() == ()
    kind = type(layer).__name__
    assert counter.left_out() in ({"0": kind}, {f"0:{kind.lower()}": kind.lower()})


def test_every_value_is_counted_exactly_and_nan_is_no_zero() -> None:
    assert zeros_of(nn.Sequential(nn.ReLU()), torch.tensor([[float("nan"), 0.0, -0.0, 1.0]])) == [
        ("0", 2, 4)
    ]
    x = torch.randn(3, 5, 17, 19).to(memory_format=torch.channels_last)
    assert zeros_of(nn.Sequential(nn.ReLU()), x) == [("0", int((x <= 0).sum()), x.numel())]
    assert zeros_of(nn.Sequential(nn.ReLU()), x[0, 0, 0]) == [
        ("0", int((x[0, 0, 0] <= 0).sum()), 19)
    ]


def test_an_image_with_more_values_than_float32_can_count() -> None:
    x = torch.ones(1, 2**24 + 3)
    x[0, 0] = -1
    assert zeros_of(nn.Sequential(nn.ReLU()), x) == [("0", 1, 2**24 + 3)]


def test_resnet50_calls_49_and_is_left_as_it_was() -> None:
    network = create_network("resnet50", "random", 3)
    rows = counted(network.module, torch.randn(1, 3, 64, 64)).rows()
    assert len(rows) == 49
    assert [r.name for r in rows[:5]] == [
        "relu", "layer1.0.relu", "layer1.0.relu#2", "layer1.0.relu#3", "layer1.1.relu"
    ]  # fmt: skip
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.module.modules())


def test_attention_shows_what_is_inside() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert [r.name for r in counted(layer, torch.randn(2, 4, 8)).rows()] == ["(network):relu"]

"""A network through the CPU's own kernels: one oneDNN call does convolution, sum and activation.

Weights are put into oneDNN's layout once instead of at every call. It is what torch.compile's
freezing arrives at (torch/_inductor/fx_passes/mkldnn_fusion.py), with nothing to compile.
"""

import copy
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from featbench.networks._fuse import calls, fold_norms, layer_of, rewritten

Activation = tuple[str, Sequence[float], str]
"""oneDNN's name of an activation, its numbers, and its algorithm."""

_NONE: Activation = ("none", (), "")
_RELU: Activation = ("relu", (), "")
_CLIP6: Activation = ("hardtanh", (0.0, 6.0), "")
_SWISH: Activation = ("swish", (), "")
_HARD_SWISH: Activation = ("hardswish", (), "")
_LAYERS: dict[type[nn.Module], Activation] = {
    nn.ReLU: _RELU,
    nn.ReLU6: _CLIP6,
    nn.SiLU: _SWISH,
    nn.Hardswish: _HARD_SWISH,
}
_CALLS: dict[Any, Activation] = {
    functional.relu: _RELU,
    functional.relu_: _RELU,
    torch.relu: _RELU,
    torch.relu_: _RELU,
    "relu": _RELU,
    "relu_": _RELU,
    functional.relu6: _CLIP6,
    functional.silu: _SWISH,
    functional.hardswish: _HARD_SWISH,
}
_ADDS = {operator.add, operator.iadd, torch.add, "add", "add_"}
_NOTHING_IN_EVAL = {"Identity", "Dropout", "Dropout2d", "DropPath", "StochasticDepth"}


def pack(module: nn.Module) -> nn.Module:
    """Return a copy that runs convolutions, with what follows them, as single oneDNN calls.

    Parameters
    ----------
    module : Module
        In eval mode, on the CPU. Parts whose forward cannot be traced are changed part by part.

    Returns
    -------
    Module
        For inference only, on inputs of one shape: equal up to rounding.

    Raises
    ------
    RuntimeError
        Where torch was built without oneDNN's kernels.
    """
    kernels = torch.ops.mkldnn
    if not (torch.backends.mkldnn.is_available() and hasattr(kernels, "_convolution_pointwise")):
        raise RuntimeError("this build of torch has no oneDNN kernels")
    return rewritten(copy.deepcopy(module), fold_norms, _drop_idle, _use_kernels, _use_pools)


class PackedConvolution(nn.Module):
    """Convolution, then perhaps a sum with another value, then perhaps an activation.

    Parameters
    ----------
    convolution : Conv2d
        With zeros as padding; timm's ``Conv2dSame`` pads as TensorFlow does.
    activation : Activation
        Follows.
    in_place : bool
        Whether a sum may overwrite the other value.
    """

    def __init__(self, convolution: nn.Conv2d, activation: Activation, in_place: bool) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self._packed: torch.Tensor | None = None
        self._kernel = convolution.kernel_size
        self._same = type(convolution).__name__ == "Conv2dSame"
        self._geometry: list[Any] = [
            [0, 0] if isinstance(convolution.padding, str) else list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        ]
        self._activation, self._in_place = activation, in_place

    @property
    def is_positive(self) -> bool:
        """Whether no value can be negative."""
        return self._activation in (_RELU, _CLIP6)

    def forward(self, x: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        """Return the value, (n, channels, height, width), for ``x`` of the first call's shape."""
        if self._same:
            x = self._pad(x)
        if self._packed is None:
            weight = self.weight.detach().contiguous(memory_format=torch.channels_last)
            reorder = torch.ops.mkldnn._reorder_convolution_weight
            self._packed = reorder(weight, *self._geometry, list(x.shape))
            del self.weight  # the plain one is not needed any more
        name, numbers, algorithm = self._activation
        kernels = torch.ops.mkldnn
        value: torch.Tensor
        if other is None:
            value = kernels._convolution_pointwise(
                x, self._packed, self.bias, *self._geometry, name, list(numbers), algorithm
            )
        elif self._in_place:
            value = kernels._convolution_pointwise_.binary(
                other, x, self._packed, self.bias, *self._geometry, "add", 1.0,
                None if name == "none" else name, [], None,
            )  # fmt: skip
        else:
            value = kernels._convolution_pointwise.binary(
                x, other, self._packed, self.bias, *self._geometry, "add", 1.0,
                None if name == "none" else name, [], None,
            )  # fmt: skip
        return value

    def _pad(self, x: torch.Tensor) -> torch.Tensor:
        _, stride, dilation, _ = self._geometry
        missing = [
            max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, k, s, d in zip(x.shape[2:], self._kernel, stride, dilation, strict=True)
        ]
        (top, bottom), (left, right) = [(m // 2, m - m // 2) for m in missing]
        return functional.pad(x, (left, right, top, bottom)) if any(missing) else x


class PooledPositives(nn.Module):
    """Max pooling, 3 by 3 with stride 2 and padding 1, of values that are not negative.

    A maximum over rows, then over columns; the bits of floating-point numbers from 0 up are in the
    order of their values, so integers are compared, three times faster than torch's pooling.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, channels, height / 2, width / 2)."""
        if x.shape[2] % 2 or x.shape[3] % 2:
            return functional.max_pool2d(x, 3, 2, 1)
        bits = x.view({2: torch.int16, 4: torch.int32}[x.element_size()])
        rows = torch.maximum(bits[:, :, 0::2], bits[:, :, 1::2])
        torch.maximum(rows[:, :, 1:], bits[:, :, 1:-1:2], out=rows[:, :, 1:])
        both = torch.maximum(rows[..., 0::2], rows[..., 1::2])
        torch.maximum(both[..., 1:], rows[..., 1:-1:2], out=both[..., 1:])
        return both.view(x.dtype)


def _use_pools(whole: fx.GraphModule) -> None:
    """Replace the pooling that follows a ReLU at the beginning of many networks."""
    for node in whole.graph.nodes:
        pool = layer_of(whole, node)
        if not isinstance(pool, nn.MaxPool2d) or pool.ceil_mode or pool.return_indices:
            continue
        if calls(whole, node) > 1:
            continue
        pairs = [(p, p) if isinstance(p, int) else p
                 for p in (pool.kernel_size, pool.stride, pool.padding, pool.dilation)]  # fmt: skip
        before = layer_of(whole, node.args[0])
        positive = isinstance(before, PackedConvolution) and before.is_positive
        if positive and [tuple(p) for p in pairs] == [(3, 3), (2, 2), (1, 1), (1, 1)]:
            whole.set_submodule(str(node.target), PooledPositives().eval())


def _drop_idle(whole: fx.GraphModule) -> None:
    """Take out layers that do nothing in eval mode: they hide what follows a convolution."""
    for node in list(whole.graph.nodes):
        layer = layer_of(whole, node)
        idle = type(layer).__name__ in _NOTHING_IN_EVAL or (
            isinstance(layer, nn.Sequential) and not any(_parts(layer))
        )
        if layer is not None and idle and not layer.training:
            node.replace_all_uses_with(node.args[0])
            whole.graph.erase_node(node)


def _parts(layer: nn.Sequential) -> list[nn.Module]:
    return [part for part in layer if type(part).__name__ not in _NOTHING_IN_EVAL]


def _use_kernels(whole: fx.GraphModule) -> None:
    """Put a packed convolution in the place of each, with its sum and activation."""
    graph = whole.graph
    for node in list(graph.nodes):
        convolution = layer_of(whole, node)
        if not _can_be_packed(convolution) or calls(whole, node) > 1:
            continue
        assert isinstance(convolution, nn.Conv2d)
        place = {other: i for i, other in enumerate(graph.nodes)}
        last, other, in_place = node, None, False
        sum_ = _only_user(node)
        if sum_ is not None and (other := _added(sum_, node, place)) is not None:
            last = sum_
            fresh = isinstance(layer_of(whole, other), PackedConvolution)
            in_place = fresh and max(place[user] for user in other.users) == place[sum_]
        activation = _NONE
        follows = _only_user(last)
        if follows is not None:
            found = _activation(whole, follows)
            if found is not None and (other is None or found == _RELU):  # a sum knows relu alone
                activation, last = found, follows
        packed = PackedConvolution(convolution, activation, in_place)
        packed.train(convolution.training)
        whole.set_submodule(str(node.target), packed)
        if other is not None:
            node.args = (*node.args, other)
        last.replace_all_uses_with(node)
        for gone in dict.fromkeys((last, sum_ if other is not None else last)):
            if gone is not None and gone is not node:
                graph.erase_node(gone)


def _can_be_packed(layer: nn.Module | None) -> bool:
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros":
        return False
    if type(layer).__name__ != "Conv2dSame" and type(layer).forward is not nn.Conv2d.forward:
        return False
    return not isinstance(layer.padding, str) or layer.padding == "valid"


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _added(sum_: fx.Node, node: fx.Node, place: dict[fx.Node, int]) -> fx.Node | None:
    """Return what a sum adds to the node's value, if it is there before the node is."""
    if sum_.target not in _ADDS or sum_.kwargs or len(sum_.args) != 2:
        return None
    other = sum_.args[1] if sum_.args[0] is node else sum_.args[0]
    if not isinstance(other, fx.Node) or other is node or place[other] > place[node]:
        return None
    return other


def _activation(whole: fx.GraphModule, node: fx.Node) -> Activation | None:
    layer = layer_of(whole, node)
    if isinstance(layer, nn.Sequential) and len(parts := _parts(layer)) == 1:
        layer = parts[0]
    if layer is not None:
        return _LAYERS.get(type(layer))
    known = node.op in ("call_function", "call_method") and len(node.args) == 1
    return _CALLS.get(node.target) if known else None

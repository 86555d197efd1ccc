"""Zeros among activations, counted call by call while a network runs.

Calls are seen where they are made, modules and functions alike: ``nn.ReLU`` calls the function, so
one rule serves both. Values are counted at once, before a later operation can write into them.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from featbench.networks._layers import ITSELF, without_fast_path


def _always(*args: Any, **kwargs: Any) -> bool:
    return True


def _hardtanh_zeroes(
    input: torch.Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> bool:
    return 0 in (min_val, max_val)


def _threshold_zeroes(
    input: torch.Tensor, threshold: float, value: float, inplace: bool = False
) -> bool:
    return value == 0


_EXACT: dict[Any, tuple[str, Callable[..., bool]]] = {
    functional.relu: ("relu", _always),
    torch.relu: ("relu", _always),
    torch.relu_: ("relu", _always),
    torch.Tensor.relu: ("relu", _always),
    torch.Tensor.relu_: ("relu", _always),
    functional.relu6: ("relu6", _always),
    functional.hardtanh: ("hardtanh", _hardtanh_zeroes),
    functional.hardtanh_: ("hardtanh", _hardtanh_zeroes),
    functional.threshold: ("threshold", _threshold_zeroes),
    torch.threshold_: ("threshold", _threshold_zeroes),
    torch.threshold: ("threshold", _threshold_zeroes),
    functional.hardswish: ("hardswish", _always),
    functional.hardsigmoid: ("hardsigmoid", _always),
    functional.hardshrink: ("hardshrink", _always),
    functional.softshrink: ("softshrink", _always),
}
"""Activations that map a whole interval to exactly 0 (some only with some settings)."""

_NEVER: dict[Any, str] = {
    functional.gelu: "gelu",
    functional.silu: "silu",
    functional.mish: "mish",
    functional.elu: "elu",
    functional.elu_: "elu",
    functional.selu: "selu",
    functional.celu: "celu",
    functional.leaky_relu: "leaky_relu",
    functional.leaky_relu_: "leaky_relu",
    functional.prelu: "prelu",
    functional.rrelu: "rrelu",
    functional.softplus: "softplus",
    functional.softsign: "softsign",
    functional.logsigmoid: "logsigmoid",
    functional.glu: "glu",
    functional.sigmoid: "sigmoid",
    torch.sigmoid: "sigmoid",
    torch.sigmoid_: "sigmoid",
    torch.Tensor.sigmoid: "sigmoid",
    torch.Tensor.sigmoid_: "sigmoid",
    functional.tanh: "tanh",
    torch.tanh: "tanh",
    torch.tanh_: "tanh",
    torch.Tensor.tanh: "tanh",
    torch.Tensor.tanh_: "tanh",
}
"""Activations that are 0 at most at a point, or where floating-point numbers end."""


@dataclass(frozen=True)
class ActivationZeros:
    """How many values one call of an activation made exactly 0, over all images.

    Parameters
    ----------
    layer : str
        The module's name; for a function called in a module's forward ``module:function``.
    kind : str
        The module's class (``ReLU6``), or the function (``relu``).
    call : int
        1 for the layer's first call in a forward, 2 for the second, …
    zeros, total : int
        Values that are 0, and all.
    """

    layer: str
    kind: str
    call: int
    zeros: int
    total: int

    @property
    def name(self) -> str:
        """The layer, and from the second call on which call: ``layer1.0.relu#2``."""
        return self.layer if self.call == 1 else f"{self.layer}#{self.call}"

    @property
    def share(self) -> float:
        """Zeros among all values, a fraction."""
        return self.zeros / self.total


class ZeroCounter(TorchFunctionMode):
    """Counts zeros of every activation call of a module while it is entered.

    Parameters
    ----------
    module : Module
        The network; its values and its training mode are left as they are.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module = module
        self._names = {m: n for n, m in module.named_modules()}
        self._open: list[nn.Module] = []
        self._calls: Counter[str] = Counter()
        self._zeros: dict[tuple[str, str, int], list[int]] = {}
        self._left_out: dict[str, str] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator["ZeroCounter"]:
        """Count what the module does meanwhile; may be entered again, and counts on."""
        hooks = []
        for module in self._names:
            hooks.append(module.register_forward_pre_hook(self._begin))
            hooks.append(module.register_forward_hook(self._end, always_call=True))
        try:
            with without_fast_path(), self:
                yield self
        finally:
            for hook in hooks:
                hook.remove()

    def _begin(self, module: nn.Module, inputs: Any) -> None:
        if module is self._module:  # a forward begins: its calls are counted from 1
            self._calls.clear()
        self._open.append(module)

    def _end(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._open.pop()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        value = func(*args, **kwargs)  # functions that it calls itself are not seen
        if not self._open:
            return value
        exact, never = _EXACT.get(func), _NEVER.get(func)
        if exact is not None and exact[1](*args, **kwargs):
            self._count(*self._caller(exact[0]), value)
        elif exact is not None or never is not None:
            layer, kind = self._caller(exact[0] if exact else str(never))
            self._left_out.setdefault(layer, kind)
        return value

    def _caller(self, function: str) -> tuple[str, str]:
        """Return what calls, and its kind: a module that is the activation itself, or a function.

        A module is, where it has neither weights nor modules inside.
        """
        module = self._open[-1]
        name = self._names[module]
        inside = [*module.children(), *module.parameters(recurse=False)]
        if name and not inside:
            return name, type(module).__name__
        return f"{name or ITSELF}:{function}", function

    def _count(self, layer: str, kind: str, value: torch.Tensor) -> None:
        self._calls[layer] += 1
        zeros = value.numel() - _count_nonzero(value)
        sums = self._zeros.setdefault((layer, kind, self._calls[layer]), [0, 0])
        sums[0] += zeros
        sums[1] += value.numel()

    def rows(self) -> tuple[ActivationZeros, ...]:
        """Return a row for each call, in the order of the first forward."""
        return tuple(
            ActivationZeros(layer, kind, call, zeros, total)
            for (layer, kind, call), (zeros, total) in self._zeros.items()
            if total
        )

    def left_out(self) -> dict[str, str]:
        """Return layers whose activation makes no exact zeros, and which one it is."""
        return dict(self._left_out)


def _count_nonzero(values: torch.Tensor) -> int:
    """Return how many values are not 0, exactly; torch's own takes several times as long.

    Sums of ones are exact in float32 below 2^24, so they are made for each image.
    """
    if values.ndim > 1 and values[0].numel() < 2**24 and values.dtype == torch.float32:
        ones = torch.ne(values, 0, out=torch.empty_like(values))
        each = ones.sum(dim=tuple(range(1, values.ndim)))
        return int(each.cpu().double().sum())  # not every device has double precision
    return int(torch.count_nonzero(values))

"""A network layer by layer: output shapes, parameters and multiply-adds, by arithmetic on shapes.

Nothing is traced: the forward runs once for one image on tensors without values, so control flow,
layers called twice and matrix products outside any layer (attention) are seen as they are.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from featbench.errors import UsageError
from featbench.networks._network import Network
from featbench.networks._trace import as_before

ITSELF = "(network)"  # what the network computes or holds outside any of its layers


@dataclass(frozen=True)
class Layer:
    """One call of a layer.

    Parameters
    ----------
    name : str
        The module's name, ``(network)`` for the network outside its layers.
    kind : str
        The module's class.
    call : int
        1 for the first call in a forward, 2 for the second, …
    output : tuple of int
        The shape of what it gives for one image; empty where that is no tensor.
    parameters : int
        Its own, and those of modules inside it that it uses without calling them; 0 from the
        second call on.
    multiply_adds : int
        Of this call: convolutions, linear layers and the products in attention, a multiplication
        with its addition as one (half of their floating-point operations); biases, norms,
        activations and pooling count nothing.
    """

    name: str
    kind: str
    call: int
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


def layers_of(network: Network, size: int | tuple[int, int] | None = None) -> list[Layer]:
    """Return every call of a layer, in the order in which they end, for one image.

    Parameters
    ----------
    network : Network
        Of any source.
    size : int or (int, int), optional
        Pixels of a side, or (height, width); None is what its preprocessing gives.

    Returns
    -------
    list of Layer
        Modules without children, and others that hold parameters or compute products themselves.
        Their sums are the network's; layers that a forward does not call are left out, with
        their parameters in the layer around them.

    Raises
    ------
    UsageError
        When the network cannot take images of that size.
    """
    channels, height, width = network.preprocessing.shape
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else size
    recorder = _Recorder(network.module)
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),  # the one that is made of products that can be counted
        without_fast_path(),
        _without_log(),
        as_before(network.module),
    ):
        device = next(network.module.parameters()).device
        image = torch.empty(1, channels, height, width, device=device)
        try:
            recorder.run(image)
        except Exception as error:  # the network's own code, and whatever it raises
            raise UsageError(
                f"{network.name} cannot take {height}×{width} pixels "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
                f"it is made for {network.preprocessing.shape[1]}×{network.preprocessing.shape[2]}"
            ) from error
    return recorder.layers()


@contextlib.contextmanager
def without_fast_path() -> Iterator[None]:
    """Run attention as products: its fast path is one operation that nothing looks into."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Keep torch from writing a traceback of its own beside the error that is raised."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


@dataclass
class _Call:
    """A call of a module that is under way, or has ended."""

    name: str
    began: int  # multiply-adds of the whole forward until then
    inside: int = 0  # those of the modules that it called
    own: int = 0
    output: tuple[int, ...] = ()
    leaf: bool = True  # it has called no module


class _Recorder:
    """Notes every call of a module: its multiply-adds are what was counted while it ran."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._counter = FlopCounterMode(display=False)
        self._open: list[_Call] = []
        self._ended: list[_Call] = []

    def run(self, image: torch.Tensor) -> None:
        hooks = []
        for name, module in self._module.named_modules():
            hooks.append(module.register_forward_pre_hook(self._beginner(name)))
            hooks.append(module.register_forward_hook(self._end))
        try:
            with self._counter:
                self._module(image)
        finally:
            for hook in hooks:
                hook.remove()

    def _count(self) -> int:
        return int(self._counter.get_total_flops()) // 2

    def _beginner(self, name: str) -> Any:
        def begin(module: nn.Module, inputs: Any) -> None:
            for call in self._open[-1:]:
                call.leaf = False
            self._open.append(_Call(name, self._count()))

        return begin

    def _end(self, module: nn.Module, inputs: Any, output: Any) -> None:
        call = self._open.pop()
        whole = self._count() - call.began
        call.own = whole - call.inside
        call.output = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else ()
        for outer in self._open[-1:]:
            outer.inside += whole
        self._ended.append(call)

    def layers(self) -> list[Layer]:
        """Return the calls that are layers."""
        held, modules = self._parameters(), dict(self._module.named_modules())
        calls: Counter[str] = Counter()
        found = []
        for call in self._ended:
            calls[call.name] += 1
            first = calls[call.name] == 1
            parameters = held[call.name] if first else 0
            if call.leaf or call.own or parameters:
                kind = type(modules[call.name]).__name__
                found.append(
                    Layer(
                        call.name or ITSELF, kind, calls[call.name], call.output, parameters,
                        call.own,
                    )
                )  # fmt: skip
        return found

    def _parameters(self) -> Counter[str]:
        """Return the parameters of each module that was called, each counted once."""
        called = {call.name for call in self._ended}
        held: Counter[str] = Counter()
        for name, parameter in self._module.named_parameters():
            owner = name.rpartition(".")[0]
            while owner not in called:
                owner = owner.rpartition(".")[0]
            held[owner] += parameter.numel()
        return held

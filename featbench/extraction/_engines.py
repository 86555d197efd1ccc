"""The ways to run one frozen network; which one is fastest, only this machine can tell."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from featbench.networks import Preprocessing, fuse, pack

PRECISIONS = ("float32", "bfloat16")

Values = tuple[torch.Tensor, ...]
Forward = Callable[[torch.Tensor], Values]
"""From pixels (n, height, width, channels) uint8, on the device, to one value a layer."""


@dataclass(frozen=True)
class Engine:
    """One way to run a network.

    Parameters
    ----------
    name : str
        As in space.json and ``--engine``.
    precision : str
        Whose rows it computes.
    compiles : bool
        Whether it takes seconds to build: it pays for many images only.
    devices : tuple of str
        Where it works.
    build : callable
        ``(taps, preprocessing) -> Forward``; ``taps`` is on the device already.
    """

    name: str
    precision: str
    compiles: bool
    devices: tuple[str, ...]
    build: Callable[[nn.Module, Preprocessing], Forward]


def _plain(
    module: Callable[[torch.Tensor], Values], preprocessing: Preprocessing, dtype: torch.dtype
) -> Forward:
    def forward(pixels: torch.Tensor) -> Values:
        return module(preprocessing.normalise(pixels, dtype))

    return forward


def _eager(taps: nn.Module, preprocessing: Preprocessing) -> Forward:
    return _plain(taps.to(memory_format=torch.channels_last), preprocessing, torch.float32)


def _autocast(taps: nn.Module, preprocessing: Preprocessing) -> Forward:
    taps = taps.to(memory_format=torch.channels_last)
    device = next((p.device.type for p in taps.parameters()), "cpu")

    def forward(pixels: torch.Tensor) -> Values:
        with torch.autocast(device, torch.bfloat16):
            values: Values = taps(preprocessing.normalise(pixels))
        return values

    return forward


def _folded(taps: nn.Module, dtype: torch.dtype) -> nn.Module:
    return fuse(taps).to(dtype).to(memory_format=torch.channels_last)


def _fused(taps: nn.Module, preprocessing: Preprocessing) -> Forward:
    return _plain(_folded(taps, torch.float32), preprocessing, torch.float32)


def _fused_half(taps: nn.Module, preprocessing: Preprocessing) -> Forward:
    return _plain(_folded(taps, torch.bfloat16), preprocessing, torch.bfloat16)


def _packed(taps: nn.Module, preprocessing: Preprocessing) -> Forward:
    module = pack(taps).to(memory_format=torch.channels_last)
    return _plain(module, preprocessing, torch.float32)


def _packed_half(taps: nn.Module, preprocessing: Preprocessing) -> Forward:
    module = pack(taps).to(torch.bfloat16).to(memory_format=torch.channels_last)
    return _plain(module, preprocessing, torch.bfloat16)


def _compiled(taps: nn.Module, preprocessing: Preprocessing, dtype: torch.dtype) -> Forward:
    module = _folded(taps, dtype)
    on_cuda = next((p.is_cuda for p in module.parameters()), False)
    options: Any = {"freezing": True, **({"triton.cudagraphs": True} if on_cuda else {})}
    compiled = torch.compile(module, dynamic=False, options=options)
    forward = _plain(compiled, preprocessing, dtype)
    if not on_cuda:
        return forward
    return lambda pixels: tuple(value.clone() for value in forward(pixels))


def _compiled_float(taps: nn.Module, preprocessing: Preprocessing) -> Forward:
    return _compiled(taps, preprocessing, torch.float32)


def _compiled_half(taps: nn.Module, preprocessing: Preprocessing) -> Forward:
    return _compiled(taps, preprocessing, torch.bfloat16)


def _openvino(taps: nn.Module, preprocessing: Preprocessing) -> Forward:
    """Build for OpenVINO, an extra; raises ImportError where it is not installed."""
    import openvino

    shape = (1, *preprocessing.shape)
    with warnings.catch_warnings():  # torch's, of its own tracer
        warnings.simplefilter("ignore")
        model = openvino.convert_model(copy.deepcopy(taps), example_input=torch.zeros(shape))
    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(model, "CPU", hints)

    def forward(pixels: torch.Tensor) -> Values:
        found = compiled(preprocessing.normalise(pixels).contiguous().numpy())
        return tuple(torch.from_numpy(found[i].copy()) for i in range(len(compiled.outputs)))

    return forward


_EVERYWHERE = ("cpu", "cuda")
ENGINES: tuple[Engine, ...] = (
    Engine("packed", "float32", False, ("cpu",), _packed),
    Engine("fused", "float32", False, _EVERYWHERE, _fused),
    Engine("eager", "float32", False, ("cpu", "cuda", "mps"), _eager),
    Engine("compiled", "float32", True, _EVERYWHERE, _compiled_float),
    Engine("packed-bfloat16", "bfloat16", False, ("cpu",), _packed_half),
    Engine("fused-bfloat16", "bfloat16", False, _EVERYWHERE, _fused_half),
    Engine("autocast-bfloat16", "bfloat16", False, ("cpu", "cuda", "mps"), _autocast),
    Engine("compiled-bfloat16", "bfloat16", True, _EVERYWHERE, _compiled_half),
    Engine("openvino-bfloat16", "bfloat16", True, ("cpu",), _openvino),
)
"""Tried in this order: the likely winner first, so that slow ones are soon seen to be slow."""

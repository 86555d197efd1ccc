"""Pretrained networks on pictures of another size than their weights were trained on."""

from dataclasses import replace

import torch
from torch import nn

from featbench.errors import UsageError
from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Builder, Built
from featbench.networks._small import options_in

_LEAST, _MOST = 16, 1024


def at_size(builder: Builder, name: str) -> Builder:
    """Return a builder of the network that sees the size in its name.

    Parameters
    ----------
    builder : callable
        Of the network without options.
    name : str
        With ``size``, pixels of a side of what the network gets; ``resize``, of the resized
        picture's short side: where one is not given, both are in the weights' own proportion.

    Returns
    -------
    callable
        Raises UsageError for a size that cannot be, or that the network does not take.
    """

    def build(asked: str, weights: str) -> Built:
        options = options_in(name)
        built = builder(name.partition(":")[0], weights)
        steps = _resized(name, built.preprocessing, **options)
        _try_out(name, built.module, steps)
        return replace(built, preprocessing=steps)

    return build


def _resized(name: str, own: Preprocessing, size: int = 0, resize: int = 0) -> Preprocessing:
    _, height, width = own.shape
    short = own.resize if isinstance(own.resize, int) else min(own.resize)
    if not size:
        size = round(resize * min(height, width) / short)
    resize = resize or round(size * short / min(height, width))
    if not _LEAST <= size <= _MOST:
        raise UsageError(f"network {name}: size={size}: expected {_LEAST} to {_MOST} pixels")
    if not size <= resize <= 2 * _MOST:
        raise UsageError(f"network {name}: resize={resize}: expected {size} (the size) to "
                         f"{2 * _MOST} pixels")  # fmt: skip
    return replace(own, resize=resize, crop=(size, size))


def _try_out(name: str, module: nn.Module, steps: Preprocessing) -> None:
    """Run one black picture: many transformers take no other size than their own."""
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, *steps.shape))
    except Exception as error:  # networks check their input in any way, or not at all
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"network {name}: cannot work on {steps.shape[1]} x {steps.shape[2]} "
                         f"pixels ({reason[:200]}); leave size and resize out, or choose another "
                         "size or network") from error  # fmt: skip

"""Keeps gradients in the memory layout of their values."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def keep_layout(module: nn.Module) -> Iterator[None]:
    """Let a module's gradients be channels_last wherever its values are, as long as it lasts.

    A global pooling hands down a gradient that is the same at every position, in the other layout.
    Everything below it up to the next convolution then mixes two layouts, and batch norm, on a
    CPU, has no fast way for that: one call was seen to take a third of a whole step.

    Parameters
    ----------
    module : Module
        What is to be trained; its innermost modules get a hook.
    """
    innermost = [part for part in module.modules() if not any(part.children())]
    hooks = [part.register_forward_hook(_watch) for part in innermost]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _watch(part: nn.Module, inputs: Any, output: Any) -> None:
    if isinstance(output, torch.Tensor) and output.requires_grad and _is_channels_last(output):
        output.register_hook(_as_channels_last)


def _is_channels_last(value: torch.Tensor) -> bool:
    return value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last)


def _as_channels_last(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)

"""Batch norm's averages while they still remember other weights."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_FORGOTTEN = 0.05


def remember(module: nn.Module, steps: int) -> bool:
    """Return whether a share of over 5% of batch norm's averages is older than these steps.

    After n steps an average with momentum m holds (1 - m)ⁿ of what it began with. EfficientNets
    have m = 0.01: after 12 steps nine tenths of it are what the weights of before made, and a
    network that is right in training mode is useless in eval mode.

    Parameters
    ----------
    module : Module
        What is trained.
    steps : int
        How many steps it was trained for.
    """
    momenta = [norm.momentum for norm in _norms(module)]
    return any(m is not None and (1 - m) ** steps > _FORGOTTEN for m in momenta)


@contextmanager
def measured_anew(module: nn.Module) -> Iterator[None]:
    """Let forward passes measure batch norm's means and variances from nothing.

    Each batch counts the same ("precise" batch norm: Wu and Johnson 2021, "Rethinking 'Batch' in
    BatchNorm", section 3). All else is in eval mode, so without dropout; so is batch norm
    afterwards.

    Parameters
    ----------
    module : Module
        What was trained.
    """
    module.eval()
    norms = _norms(module)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]

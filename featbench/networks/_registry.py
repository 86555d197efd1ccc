"""The networks that have a name here, and what a builder of one returns."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from featbench.networks._preprocessing import Preprocessing
from featbench.registry import Registry


@dataclass(frozen=True)
class Built:
    """A network as its source makes it.

    Parameters
    ----------
    module : Module
        With the weights in it.
    weights : str
        The weights' full name (``IMAGENET1K_V2``), or ``random``.
    preprocessing : Preprocessing
        What belongs to these weights.
    """

    module: nn.Module
    weights: str
    preprocessing: Preprocessing


Builder = Callable[[str, str], Built]
"""``(name, weights) -> Built`` with weights ``default``, ``random`` or a name the source knows."""

NETWORKS: Registry[Builder] = Registry("network", "featbench.networks")
register_network = NETWORKS.register

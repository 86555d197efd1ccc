"""The networks that have a name here, and what a builder of one returns."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from featbench.errors import UsageError
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

_SMALL: list[str] = []


def small_networks() -> tuple[str, ...]:
    """Return the names of our own networks, trained from scratch: no pretrained weights."""
    len(NETWORKS)  # sees to it that every module of this room is imported
    return tuple(_SMALL)


def register_small(name: str) -> Callable[[Callable[[], Built]], Callable[[], Built]]:
    """Return a decorator that files a builder without arguments as a small network."""

    def file(build: Callable[[], Built]) -> Callable[[], Built]:
        def builder(asked: str, weights: str) -> Built:
            if weights not in ("default", "random"):
                raise UsageError(
                    f"--weights {weights}: {asked} has no pretrained weights; use random, or a file"
                )
            return build()

        _SMALL.append(name)
        register_network(name)(builder)
        return build

    return file

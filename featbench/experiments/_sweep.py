"""Layer sweeps: which of a network's places a head is fitted on."""

import functools

from featbench.errors import UsageError, did_you_mean
from featbench.networks import FEATURES, create_network

ALL = "all"
"""The value after every block."""


@functools.cache
def _places(network: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return every place of a network, and those where a block ends; without its weights."""
    made = create_network(network, "random")
    ends = [block.starts_at for block in made.blocks[1:]]
    return made.layers, (*(end for end in ends if end in made.layers), FEATURES)


def layers_to_sweep(network: str, asked: str | list[str] | None) -> list[str]:
    """Return the layers of a network that a recipe asks for.

    Parameters
    ----------
    network : str
        As in ``create_network``; its weights are not needed.
    asked : str or list of str, optional
        Places, or ``all``; by default the features.

    Raises
    ------
    UsageError
        For a place that the network does not have.
    """
    if asked is None:
        return [FEATURES]
    every, ends = _places(network)
    if asked == ALL:
        return list(dict.fromkeys(ends))
    wanted = list(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    for layer in wanted:
        if layer not in every:
            raise UsageError(f"layers: {network} has no layer {layer!r}{did_you_mean(layer, every)}"
                             f" After blocks: {', '.join(ends)}; or all")  # fmt: skip
    return wanted

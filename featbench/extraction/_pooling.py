"""From a value at a layer to one row an image."""

import torch

from featbench.errors import UsageError
from featbench.networks import FEATURES, Network

POOLINGS = ("none", "avg", "max", "cls", "flat")


def pool(value: torch.Tensor, pooling: str) -> torch.Tensor:
    """Reduce a value at a layer.

    Parameters
    ----------
    value : Tensor, shape (n, ...)
        Feature maps (n, channels, height, width) or (n, height, width, channels), tokens (n,
        tokens, channels) or rows (n, d).
    pooling : str
        ``none`` keeps it; ``avg`` and ``max`` go over positions or tokens; ``cls`` takes the first
        token; ``flat`` makes one long row.

    Raises
    ------
    UsageError
        For ``cls`` where there are no tokens.
    """
    if pooling == "none" or value.ndim == 2:
        return value
    if pooling == "flat":
        return value.flatten(1)
    if pooling == "cls":
        if value.ndim != 3:
            raise UsageError(f"--pool cls needs tokens; the value is {tuple(value.shape[1:])} an "
                             "image: use avg, max or flat")  # fmt: skip
        return value[:, 0]
    positions = _positions(value)
    return value.mean(positions) if pooling == "avg" else value.amax(positions)


def _positions(value: torch.Tensor) -> tuple[int, ...]:
    """Return the axes that are not channels; a square that comes first is (height, width)."""
    if value.ndim == 3:
        return (1,)
    channels_last = value.shape[1] == value.shape[2] != value.shape[3]
    return (1, 2) if channels_last else (2, 3)


def pooling_for(layer: str, asked: str | None = None) -> str:
    """Return how a layer's values become rows.

    Parameters
    ----------
    layer : str
        One of a network's layers.
    asked : str, optional
        What the user wants; by default ``features`` are averaged over positions, where there are
        any, and other layers kept as they are.

    Raises
    ------
    UsageError
        For an unknown pooling.
    """
    if asked is not None and asked not in POOLINGS:
        raise UsageError(f"--pool {asked}: expected {', '.join(POOLINGS)}")
    return asked or ("avg" if layer == FEATURES else "none")


def row_shape(network: Network, layer: str, pooling: str) -> tuple[int, ...]:
    """Return the shape of one image's row, by arithmetic on shapes alone."""
    return tuple(pool(torch.empty(1, *network.shape_at(layer), device="meta"), pooling).shape[1:])

"""What the trained part of a network takes, and what getting it cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from featbench.datasets import Dataset
from featbench.finetune._training_rows import TrainingRows

Costs = dict[str, Any]


@dataclass(frozen=True)
class Inputs:
    """The rows of each split, and what getting them cost.

    Parameters
    ----------
    dataset : Dataset
        Without the images that could not be decoded.
    tensors : dict of str to Tensor
        Values at the cut (n, ...), or pixels (n, height, width, channels) uint8. Values are
        float16; float32 at the features, and where a row of the split does not fit float16. The
        pixels of training images that are augmented are ``Pictures``; where memory has no room for
        decoded ones all are ``Undecoded``.
    skipped : tuple of (str, str)
        Id and reason for every image that cannot be decoded.
    costs : dict
        ``extract_seconds``, ``extract_seconds_cold``, ``rows_computed``, ``rows_cached``; and
        ``engine``, where one ran the frozen part. For pixels the seconds of decoding, and no rows.
    seconds_each : float
        What one image took without views, and with nothing cached, before it can be asked about.
    prefix : str
        How the frozen part is run, as ``choose_prefix`` says.
    training : TrainingRows, optional
        What epochs are trained on, where that is not ``tensors["train"]``.
    with_features : bool
        Whether the pass below the cut gave the store the network's features too.
    nbytes : int
        Bytes of values at the cut in memory; 0 for pixels.
    """

    dataset: Dataset
    tensors: dict[str, Any]
    skipped: tuple[tuple[str, str], ...]
    costs: Costs
    seconds_each: float
    prefix: str
    training: TrainingRows | None = None
    with_features: bool = False
    nbytes: int = 0


def together(costs: Costs, more: Mapping[str, Any]) -> Costs:
    """Return costs with others added; what is no number stays."""
    return {
        name: value if isinstance(value, str) else value + more.get(name, 0)
        for name, value in costs.items()
    }


def gone(reason: str) -> str:
    """Say of an image that was there when the data were read that it no longer is, and why."""
    return f"can no longer be read ({reason}); load the data again, or run the same command again"

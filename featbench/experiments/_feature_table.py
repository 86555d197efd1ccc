"""A data set whose items are rows of numbers that somebody else has computed."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featbench.datasets import Dataset
from featbench.extraction import FeatureSplit

NETWORK, WEIGHTS = "features", "unknown"
"""What results call the network and its weights where the file does not say."""


@dataclass(frozen=True, eq=False, slots=True)
class RowOf:
    """One row of a table, in a picture's place: its content is its numbers."""

    rows: NDArray[Any]
    index: int

    def raw(self) -> NDArray[Any]:
        """Return the row."""
        row: NDArray[Any] = self.rows[self.index]
        return row

    def stamp(self) -> None:
        """Return None: a row has no time of change."""


@dataclass(frozen=True, kw_only=True, repr=False)
class FeatureTable(Dataset):
    """Embeddings with labels, split into ``train``, ``test`` and perhaps ``val``.

    It is a ``Dataset`` in all but pictures: ids, labels, splits, hold-outs and the fingerprint
    (over every row's id, content, label, split and group) are the same rules.

    Parameters
    ----------
    name, source, classes, splits, notices, problems, root
        As in ``Dataset``.
    rows : ndarray of float32 or float64, shape (n, d)
        All rows, finite; the splits' pictures say which are whose.
    network, weights : str
        What made the rows, where the file says so; else ``features`` and ``unknown``.
    precision : str
        Of the forward that made them, where the file says so; else the rows' dtype.
    """

    item: ClassVar[str] = "row"

    rows: NDArray[Any]
    network: str = NETWORK
    weights: str = WEIGHTS
    precision: str = "float32"

    def parts(self) -> dict[str, FeatureSplit]:
        """Return the rows, labels and ids of every split, in its order."""
        parts = {}
        for side, split in self.splits.items():
            picked = np.array([p.index for p in split.pictures if isinstance(p, RowOf)], dtype=int)
            rows = self.rows[picked]
            parts[side] = FeatureSplit(rows, split.labels, split.ids, split.groups)
        return parts

"""What an extraction returns: rows by split, and what they cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featbench.datasets import Dataset
from featbench.extraction._spec import FeatureSpec
from featbench.markup import facts, numbers, shown_in_notebook


@dataclass(frozen=True)
class FeatureSplit:
    """The features of one split: ids, labels and rows in one order.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d), (n, ...), or (n, views, ...) for more than one view
        One row an image. Of a half space float16; but float32 where a row of the split needs
        bfloat16.
    y : ndarray of int64, shape (n,)
        Labels, indices into the data set's classes.
    ids : tuple of str
        The images' ids.
    groups : tuple of str, optional
        Where the data set has groups, each image's: images of one belong on one side of a split.
    """

    X: NDArray[Any]
    y: NDArray[np.int64]
    ids: tuple[str, ...]
    groups: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"<FeatureSplit: X {self._size}>"

    @property
    def _size(self) -> str:
        return f"{'×'.join(map(str, self.X.shape))} {self.X.dtype}"


@dataclass(frozen=True)
class Features:
    """The rows of one layer, split by split.

    Parameters
    ----------
    dataset : Dataset
        Without the images that could not be decoded.
    spec : FeatureSpec
        The feature space.
    splits : dict of str to FeatureSplit
        As the data set's; empty when the rows were left in the store.
    rows_computed, rows_cached : int
        How many different images (times views) were run now, and how many came from the store.
    seconds, seconds_cold : float
        Wall time spent now, and what it would have been without the cache.
    skipped : tuple of (str, str)
        Id and reason for every image that cannot be decoded.
    engine : str
        What computed the rows.
    row_shape : tuple of int
        The shape of one image's row.
    weights : str
        What the network calls its weights.
    """

    dataset: Dataset
    spec: FeatureSpec
    splits: dict[str, FeatureSplit]
    rows_computed: int
    rows_cached: int
    seconds: float
    seconds_cold: float
    skipped: tuple[tuple[str, str], ...]
    engine: str = ""
    row_shape: tuple[int, ...] = ()
    weights: str = ""

    @property
    def rows_total(self) -> int:
        """Different images (times views) there are rows for."""
        return self.rows_computed + self.rows_cached

    def describe(self) -> str:
        """Return one line: what was computed, what was in the cache, how fast."""
        if not self.rows_computed:
            return f"nothing to compute, all {self.rows_cached:,} rows are in the cache"
        rate = self.rows_computed / max(self.seconds, 1e-9)
        return (
            f"{self.rows_computed:,} rows computed, {self.rows_cached:,} from the cache, in "
            f"{self.seconds:.1f} s ({rate:.0f} images/s)"
        )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {part._size}" for name, part in self.splits.items())
        name = f"{self.spec.network} on {self.dataset.name}"
        return f"<Features {name!r}: {sizes or 'rows left in the store'}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what made the rows, and each split's shape and dtype."""
        about = [
            ("dataset", self.dataset.name),
            ("network", f"{self.spec.network} ({self.weights})"),
            ("layer", f"{self.spec.layer}, pooling {self.spec.pooling}"),
            ("views", "" if self.spec.view == "none" else self.spec.view),
            ("rows", self.describe()),
            ("engine", self.engine),
            ("left out", f"{len(self.skipped):,} that cannot be decoded" if self.skipped else ""),
        ]
        rows = [(name, "×".join(map(str, part.X.shape)), str(part.X.dtype))
                for name, part in self.splits.items()]  # fmt: skip
        sizes = numbers(("split", "X", "dtype"), rows) if rows else ""
        return shown_in_notebook(facts(about), sizes)

    @property
    def train(self) -> FeatureSplit:
        """The training split's rows."""
        return self.splits["train"]

    @property
    def test(self) -> FeatureSplit:
        """The test split's rows."""
        return self.splits["test"]

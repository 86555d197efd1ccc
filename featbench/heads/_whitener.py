"""Whitening by principal components, without the directions in which nothing varies."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA


class Whitener(PCA):
    """Rows turned to their principal components, each of variance 1.

    Components whose variance is rounding are left out: whitened, they would be noise as large as
    anything. There are fewer real ones than features where there are fewer rows, a column is
    constant, or one is a combination of others.

    Attributes
    ----------
    components_ : ndarray, shape (k, d)
        Directions, unit rows; k is at least 1.
    explained_variance_ : ndarray, shape (k,)
        The rows' variance along each.
    """

    mean_: NDArray[Any]
    components_: NDArray[Any]
    singular_values_: NDArray[Any]
    explained_variance_: NDArray[Any]
    explained_variance_ratio_: NDArray[Any]

    def __init__(self) -> None:
        super().__init__(whiten=True, svd_solver="full")

    def fit(self, X: NDArray[Any], y: None = None) -> Self:
        """Fit on rows X (n, d)."""
        mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype)  # a float32 sum drifts
        with np.errstate(invalid="ignore"):  # of rows without any spread
            super().fit(X - mean)
        self.mean_ = self.mean_ + mean
        lengths = self.singular_values_
        # centring rounds to eps times the values, the decomposition to eps times the longest
        size = max(float(lengths.max()), 2 * float(np.abs(X).max()))
        rounding = float(np.finfo(X.dtype).eps) * size * sum(np.sqrt(X.shape))
        kept = lengths > rounding
        kept[0] = True
        self.components_ = self.components_[kept]
        self.explained_variance_ = self.explained_variance_[kept]
        self.explained_variance_ratio_ = self.explained_variance_ratio_[kept]
        self.singular_values_ = lengths[kept]
        self.n_components_ = int(kept.sum())
        return self

    def fit_transform(self, X: NDArray[Any], y: None = None) -> NDArray[Any]:
        """Fit on rows X (n, d); return them whitened, (n, k)."""
        rows: NDArray[Any] = self.fit(X).transform(X)
        return rows

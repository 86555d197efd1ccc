"""Whitening by principal components, of a covariance that few rows can carry."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.decomposition import PCA


class Whitener(PCA):
    """Rows turned to their principal components, each divided by its deviation.

    Variances are shrunk towards their mean over all d by the share of Ledoit and Wolf (2004, "A
    well-conditioned estimator for large-dimensional covariance matrices", theorem 3.2). Few rows
    make the small variances much too small, most of all where n is near d, and divided by them
    what no row has shown would be all that counts: 1,280 rows of 1,280 features whitened plainly
    leave a classifier guessing, as these do not.

    Components whose variance is rounding are left out: whitened, they would be noise as large as
    anything. There are fewer real ones than features where there are fewer rows, a column is
    constant, or one is a combination of others.

    Attributes
    ----------
    components_ : ndarray, shape (k, d)
        Directions, unit rows; k is at least 1.
    explained_variance_ : ndarray, shape (k,)
        The rows' variance along each, shrunk.
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
        variances = self._shrunk(X - mean)
        self.mean_ = self.mean_ + mean
        lengths = self.singular_values_
        # centring rounds to eps times the values, the decomposition to eps times the longest
        size = max(float(lengths.max()), 2 * float(np.abs(X).max()))
        rounding = float(np.finfo(X.dtype).eps) * size * sum(np.sqrt(X.shape))
        kept = lengths > rounding
        kept[0] = True
        self.components_ = self.components_[kept]
        self.explained_variance_ = variances[kept]
        self.explained_variance_ratio_ = self.explained_variance_ratio_[kept]
        self.singular_values_ = lengths[kept]
        self.n_components_ = int(kept.sum())
        return self

    def fit_transform(self, X: NDArray[Any], y: None = None) -> NDArray[Any]:
        """Fit on rows X (n, d); return them whitened, (n, k)."""
        rows: NDArray[Any] = self.fit(X).transform(X)
        return rows

    def _shrunk(self, centred: NDArray[Any]) -> NDArray[Any]:
        """Return the variance along each component, shrunk towards the mean over all features."""
        plain = self.explained_variance_
        largest = float(np.abs(centred).max())
        if largest == 0 or len(centred) < 2:
            return plain
        # of float32 rows the fourth powers would overflow, and sums be coarse
        share = ledoit_wolf_shrinkage(centred.astype(np.float64) / largest, assume_centered=True)
        mean = float(plain.sum(dtype=np.float64)) / centred.shape[1]
        shrunk: NDArray[Any] = ((1 - share) * plain + share * mean).astype(plain.dtype)
        return shrunk

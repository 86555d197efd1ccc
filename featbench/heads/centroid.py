"""Nearest class mean."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from featbench.heads._arrays import check_arrays
from featbench.heads._base import Head, register_head
from featbench.heads._class_weight import class_weights

Floats = NDArray[np.float64]

_METRICS = ("cosine", "euclidean")


@register_head("centroid")
class CentroidHead(Head):
    """Nearest class mean: one prototype a class, no setting to tune, works from one row a class.

    Parameters
    ----------
    metric : str
        ``euclidean``, with the labels of scikit-learn's ``NearestCentroid``; or ``cosine``, where
        rows and means are of length 1 (the mean direction of unit rows).
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    class_weight : dict or 'balanced', optional
        A dict gives prior weights: scores are log w - |x - m|² / 2s², those of Gaussians around
        the means with one variance s² in all directions, which is estimated within classes. How
        many rows a class has counts for nothing here, so ``'balanced'`` is what None is.
    calibrate : str, optional
        How scores become probabilities.
    """

    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "metric": _METRICS,
        "preprocess": ("standardise", "l2", "whiten"),
    }

    def __init__(
        self,
        metric: str = "cosine",
        preprocess: str = "standardise",
        class_weight: Any = None,
        calibrate: str | None = None,
    ) -> None:
        self.metric = metric
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.calibrate = calibrate

    def _core(self) -> "NearestMean":
        return NearestMean(**self._core_settings())

    def _is_linear(self) -> bool:
        return self.metric == "euclidean"


class NearestMean(ClassifierMixin, BaseEstimator):
    """The classifier of ``CentroidHead``, on preprocessed rows; its parameters are explained there.

    Attributes
    ----------
    means_ : ndarray of float64, shape (n_classes, d)
        Of length 1 with the cosine, or 0 where a class's rows cancel out.
    spread_ : float
        The variance s² of a feature within classes.
    log_prior_ : ndarray of float64, shape (n_classes,)
        Logarithm of each class's weight.
    """

    def __init__(self, metric: str = "cosine", class_weight: Any = None) -> None:
        self.metric = metric
        self.class_weight = class_weight

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:
        """Fit on rows X (n, d), labels y (n,); raises ValueError for impossible settings."""
        self._check()
        self.classes_, labels = np.unique(y, return_inverse=True)
        uneven = isinstance(self.class_weight, dict)
        weights = class_weights(self.class_weight, self.classes_, y, zero=False)
        self.log_prior_: Floats = np.log(weights) if uneven else np.zeros(len(weights))
        rows = self._unit(np.asarray(X, dtype=np.float64))
        self.means_: Floats = self._unit(
            np.stack([rows[labels == c].mean(axis=0) for c in range(len(self.classes_))])
        )
        self.spread_ = float(((rows - self.means_[labels]) ** 2).mean()) or 1.0
        return self

    def _check(self) -> None:
        if self.metric not in _METRICS:
            raise ValueError(f"metric={self.metric!r}: expected {', '.join(_METRICS)}")

    def _unit(self, rows: Floats) -> Floats:
        if self.metric != "cosine":
            return rows
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: Floats = rows / np.where(lengths > 0, lengths, 1.0)
        return unit

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the label with the highest score, (n,); the first of equals."""
        labels: NDArray[Any] = self.classes_[self._scores(X).argmax(axis=1)]
        return labels

    def decision_function(self, X: NDArray[Any]) -> Floats:
        """Return scores (n, n_classes); for two classes their difference (n,).

        They are log w - |x - m|² / 2s², but for a term that all classes share.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def _scores(self, X: NDArray[Any]) -> Floats:
        return self._unit(np.asarray(X, dtype=np.float64)) @ self.coef_.T + self.intercept_

    @property
    def coef_(self) -> Floats:
        """Weights (n_classes, d) of the scores, on unit rows with the cosine."""
        return self.means_ / self.spread_

    @property
    def intercept_(self) -> Floats:
        """Biases (n_classes,) of the scores."""
        if self.metric == "cosine":
            return self.log_prior_
        lengths: Floats = (self.means_**2).sum(axis=1)
        return self.log_prior_ - lengths / (2 * self.spread_)

    def parameter_count(self) -> int:
        """Return how many numbers the means are."""
        return int(self.means_.size)

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was fitted, by name."""
        spread = np.array(self.spread_)
        return {"means_": self.means_, "log_prior_": self.log_prior_, "spread_": spread}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Self:
        """Take what ``get_arrays`` gave, ``classes_`` being set; raises ValueError if it differs.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Saved arrays.
        n_features : int
            Width of the rows.
        """
        self._check()
        classes = len(self.classes_)
        check_arrays(arrays, {
            "means_": ("f", (classes, n_features)), "log_prior_": ("f", (classes,)),
            "spread_": ("f", ()),
        })  # fmt: skip
        if arrays["spread_"] <= 0:
            raise ValueError("array spread_ is not above 0")
        self.means_, self.log_prior_ = arrays["means_"], arrays["log_prior_"]
        self.spread_ = float(arrays["spread_"])
        return self

"""Exact k-nearest-neighbour votes from blocked matrix products."""

from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from featbench.heads._arrays import OWNED, check_arrays
from featbench.heads._base import Head, register_head
from featbench.heads._class_weight import class_weights
from featbench.heads._kernels import squared_lengths
from featbench.machine import keep_memory

Floats = NDArray[np.float64]

_METRICS = ("cosine", "euclidean")
_WEIGHTS = ("uniform", "distance", "softmax")
_BLOCK_BYTES = 64 * 2**20
_ROUNDING = float(np.finfo(np.float64).eps)
_OF_ZEROS = 2.0
"""What a squared distance between unit rows would be at the cosine 0."""


@register_head("knn")
class KNNHead(Head):
    """k nearest neighbours, weighted by how near they are: training is only remembering the rows.

    Parameters
    ----------
    k : int
        How many training rows vote; where there are fewer, all do.
    metric : str
        ``cosine`` or ``euclidean``. A row of zeros has the cosine distance 1 to every row.
    weights : str
        ``uniform``; ``distance``, votes of 1 / distance (where some distance is 0, those rows
        alone vote); or ``softmax``, votes of exp(similarity / temperature) (Wu et al. 2018,
        arXiv:1805.01978; DINO's k-NN), where similarity is the cosine, or with ``euclidean``
        -|x - z|² / 2s², s² being the mean squared length of training rows: for unit rows the same
        votes.
    temperature : float
        The softmax's; smaller listens to nearer rows only.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    class_weight : dict or 'balanced', optional
        As in scikit-learn: multiplies a row's vote; above 0.
    calibrate : str, optional
        How scores become probabilities.

    Notes
    -----
    Of training rows at one distance the earlier one is nearer, and of classes with equal votes
    the first one in ``classes_`` wins. Distances are in double precision, and where rounding
    could change an order they are computed again, row by row, from differences. ``temperature``
    is for ``softmax`` alone.

    The defaults are DINO's, and were best or near it on EfficientNet-Lite0's features of
    grocery-41 and CIFAR-10 (400 a class): test 80.8% and 70.1%, uniform votes 77.7% and 69.8%,
    euclidean softmax 70.5% and 61.8%. The softmax lets 20 rows vote even where a class has few.
    """

    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "k": (1, 5, 10, 20, 50),
        "metric": _METRICS,
        "weights": _WEIGHTS,
        "temperature": (0.03, 0.07, 0.2),
        "preprocess": ("standardise", "l2"),
    }

    def __init__(
        self,
        k: int = 20,
        metric: str = "cosine",
        weights: str = "softmax",
        temperature: float = 0.07,
        preprocess: str = "standardise",
        class_weight: Any = None,
        calibrate: str | None = None,
    ) -> None:
        self.k = k
        self.metric = metric
        self.weights = weights
        self.temperature = temperature
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.calibrate = calibrate

    def idle_settings(self) -> set[str]:
        """Return the settings that change nothing: a single vote, for one, needs no weight."""
        idle = {"weights"} if self.k == 1 else set()
        if idle or self.weights != "softmax":
            idle.add("temperature")
        if self.preprocess == "l2" and (self.k == 1 or self.weights != "distance"):
            idle.add("metric")  # rows of length 1 are as near by either
        return idle

    def _core(self) -> "BlockedKNN":
        return BlockedKNN(**self._core_settings())


class BlockedKNN(ClassifierMixin, BaseEstimator):
    """The classifier of ``KNNHead``, on preprocessed rows; its parameters are explained there.

    Attributes
    ----------
    rows_ : ndarray, shape (n, d)
        The training rows; of length 1 with the cosine.
    targets_ : ndarray of int64, shape (n,)
        Each row's class, a place in ``classes_``.
    class_weight_ : ndarray, shape (n_classes,)
        What a vote for each class counts.
    """

    def __init__(
        self,
        k: int = 20,
        metric: str = "cosine",
        weights: str = "softmax",
        temperature: float = 0.07,
        class_weight: Any = None,
    ) -> None:
        self.k = k
        self.metric = metric
        self.weights = weights
        self.temperature = temperature
        self.class_weight = class_weight

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:
        """Keep rows X (n, d), labels y (n,); raises ValueError for impossible settings."""
        self._check()
        self.classes_, targets = np.unique(y, return_inverse=True)
        self.targets_: NDArray[np.int64] = targets.astype(np.int64)
        self.class_weight_ = class_weights(self.class_weight, self.classes_, y, zero=False)
        self.rows_: NDArray[np.floating] = self._unit(np.array(X, order="C"))
        return self._measure()

    def _check(self) -> None:
        if not isinstance(self.k, Integral) or isinstance(self.k, bool) or self.k < 1:
            raise ValueError(f"k={self.k!r}: expected a whole number from 1 up")
        if self.metric not in _METRICS:
            raise ValueError(f"metric={self.metric!r}: expected {', '.join(_METRICS)}")
        if self.weights not in _WEIGHTS:
            raise ValueError(f"weights={self.weights!r}: expected {', '.join(_WEIGHTS)}")
        if not isinstance(self.temperature, Real) or not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature={self.temperature!r}: expected a number above 0")

    def _unit(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return rows of length 1 for the cosine, else as they are."""
        if self.metric != "cosine":
            return X
        lengths = np.sqrt(squared_lengths(X))[:, None]
        unit: NDArray[np.floating] = X / np.where(lengths > 0, lengths, 1.0)
        return unit.astype(X.dtype, copy=False)

    def _measure(self) -> Self:
        self._lengths: Floats = squared_lengths(self.rows_)
        self._spread = float(self._lengths.mean()) or 1.0
        return self

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the label with the most votes, (n,)."""
        labels: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    def decision_function(self, X: NDArray[Any]) -> Floats:
        """Return shares of the votes (n, n_classes); for two classes their difference (n,)."""
        shares = self.predict_proba(X)
        return shares[:, 1] - shares[:, 0] if len(self.classes_) == 2 else shares

    def predict_proba(self, X: NDArray[Any]) -> Floats:
        """Return each class's share of the votes, (n, n_classes)."""
        keep_memory()
        shares = np.zeros((len(X), len(self.classes_)))
        for span, distances, neighbours in self._nearest(self._unit(np.asarray(X))):
            targets = self.targets_[neighbours]
            votes = self._votes(distances) * self.class_weight_[targets]
            block = np.arange(len(votes))[:, None]
            np.add.at(shares[span], (block, targets), votes)
        normed: Floats = shares / shares.sum(axis=1, keepdims=True)
        return normed

    def calibration_scores(self, X: NDArray[Any]) -> Floats:
        """Return logarithms of the vote shares, (n, n_classes), to calibrate on.

        One vote more, spread over all classes, keeps a class that no neighbour has in the running.
        """
        chances = self.predict_proba(X)
        votes = min(int(self.k), len(self.rows_))
        scores: Floats = np.log(chances + 1 / (votes * chances.shape[1]))
        return scores

    def _votes(self, distances: Floats) -> Floats:
        """Turn squared distances (rows, k), rising, into votes; the nearest one's is not 0."""
        if self.weights == "uniform":
            return np.ones_like(distances)
        if self.weights == "softmax":
            apart = distances - distances[:, :1]
            votes: Floats = np.exp(-apart / (2 * self._scale() * self.temperature))
            return votes
        # a squared distance between unit rows is twice their cosine distance
        metric = distances / 2 if self.metric == "cosine" else np.sqrt(distances)
        nearest = metric[:, :1]
        inverse = np.divide(nearest, metric, out=np.zeros_like(metric), where=metric > 0)
        return np.where(nearest > 0, inverse, (metric == 0).astype(np.float64))

    def _scale(self) -> float:
        return 1.0 if self.metric == "cosine" else self._spread

    def _nearest(self, X: NDArray[np.floating]) -> Iterator[tuple[slice, Floats, NDArray[np.intp]]]:
        """Yield blocks of rows with their neighbours' squared distances and places, (rows, k)."""
        count = len(self.rows_)
        k = min(int(self.k), count)
        size = max(1, _BLOCK_BYTES // (8 * count))
        for start in range(0, len(X), size):
            span = slice(start, start + size)
            rows = np.require(X[span], np.float64, OWNED)
            lengths = squared_lengths(rows)
            every = self._distances(rows, lengths)
            values, places = every.topk(min(k + 1, count), largest=False, sorted=True)
            nearest, order = values.numpy(), places.numpy()
            bound = self._rounding(lengths)
            close = np.diff(nearest, axis=1, prepend=0.0) <= 2 * bound[:, None]
            nearest, order = nearest[:, :k].copy(), order[:, :k].copy()
            for i in np.flatnonzero(close.any(axis=1)):
                nearest[i], order[i] = self._again(
                    rows[i], np.flatnonzero(every[i].numpy() <= nearest[i, -1] + 2 * bound[i]), k
                )
            yield span, nearest, order

    def _distances(self, rows: Floats, lengths: Floats) -> torch.Tensor:
        """Return squared distances to all training rows, (rows, n), right but for rounding."""
        count, width = self.rows_.shape
        every = torch.empty(len(rows), count, dtype=torch.float64)
        left = torch.from_numpy(rows)
        size = max(1, _BLOCK_BYTES // (8 * width))
        for start in range(0, count, size):  # only so many are copied to double precision
            part = np.require(self.rows_[start : start + size], np.float64, OWNED)
            torch.mm(left, torch.from_numpy(part).T, out=every[:, start : start + size])
        every.mul_(-2.0).add_(torch.from_numpy(self._lengths))
        every.add_(torch.from_numpy(lengths)[:, None])
        if self.metric == "cosine":
            every[:, torch.from_numpy(np.flatnonzero(self._lengths == 0))] = _OF_ZEROS
            every[torch.from_numpy(np.flatnonzero(lengths == 0))] = _OF_ZEROS
        return every

    def _again(
        self, row: Floats, places: NDArray[np.intp], k: int
    ) -> tuple[Floats, NDArray[np.intp]]:
        """Return the k nearest of some training rows: equal rows are at equal distances."""
        rows = np.asarray(self.rows_[places], dtype=np.float64)
        distances: Floats = ((rows - row) ** 2).sum(axis=1)
        if self.metric == "cosine":
            distances[(self._lengths[places] == 0) | (not row.any())] = _OF_ZEROS
        order = distances.argsort(kind="stable")[:k]
        return distances[order], places[order]

    def _rounding(self, lengths: Floats) -> Floats:
        """Bound the error of ``_distances``, a number a row: d + 4 roundings of the lengths."""
        longest = np.sqrt(self._lengths.max())
        bound: Floats = (self.rows_.shape[1] + 4) * _ROUNDING * (np.sqrt(lengths) + longest) ** 2
        return bound

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was fitted, by name."""
        return {"rows_": self.rows_, "targets_": self.targets_, "class_weight_": self.class_weight_}

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
        count = len(arrays["targets_"]) if "targets_" in arrays else None
        check_arrays(arrays, {
            "rows_": ("f", (count, n_features)), "targets_": ("i", (count,)),
            "class_weight_": ("f", (classes,)),
        })  # fmt: skip
        if arrays["targets_"].min() < 0 or arrays["targets_"].max() >= classes:
            raise ValueError(f"array targets_ names a class that is not one of {classes}")
        if arrays["class_weight_"].min() <= 0:
            raise ValueError("array class_weight_ holds values that are not above 0")
        for name, array in arrays.items():
            setattr(self, name, array)
        return self._measure()

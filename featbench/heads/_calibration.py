"""Scores to probabilities: one temperature for all classes, or a sigmoid for each."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SHARPEST = 1e6
"""The scores' spread divided by a temperature lies between this number and its inverse."""
_STEPS = 100
_EXACT = 1e-12
_FLAT = 1e-9
"""A mean log-loss with a slope below this is at its least."""


class Calibration(ABC):
    """Maps a classifier's scores to probabilities.

    Scores are (n, K), or (n,) for two classes: positive for the second. Two columns stand for their
    difference. What is fitted has to come from rows that the classifier had not seen.
    """

    temperature_: float
    _names: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fit(self, scores: Floats, labels: NDArray[np.intp]) -> Self:
        """Learn from scores of rows whose classes are known.

        Parameters
        ----------
        scores : ndarray of float, shape (n, K) or (n,)
            Finite.
        labels : ndarray of int, shape (n,)
            Columns of ``scores``; 0 or 1 where there are no columns.
        """

    @abstractmethod
    def probabilities(self, scores: Floats) -> Floats:
        """Return probabilities (n, K) that sum to 1; (n, 2) for scores (n,)."""

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that ``probabilities`` needs, by name; a number has no dimensions."""
        return {name: np.array(getattr(self, f"{name}_"), np.float64) for name in self._names}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_classes: int) -> Self:
        """Take what ``get_arrays`` gave; raises ValueError for what cannot be that."""
        if set(arrays) != set(self._names):
            raise ValueError(f"calibration arrays {sorted(arrays)}: expected {sorted(self._names)}")
        for name in self._names:
            shape = () if name == "temperature" else (_sigmoids(n_classes),)
            array = arrays[name]
            if array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
                raise ValueError(
                    f"calibration array {name!r}: expected finite float64 {shape}, "
                    f"found {array.dtype} {array.shape}"
                )
        if arrays["temperature"] <= 0:
            raise ValueError(f"calibration temperature {arrays['temperature']}: expected above 0")
        for name in self._names:
            array = arrays[name].copy()
            setattr(self, f"{name}_", float(array) if name == "temperature" else array)
        return self


class Temperature(Calibration):
    """Softmax of scores / T; T has the least log-loss (Guo et al. 2017).

    The order of the classes stays what it was. The log-loss is convex in 1 / T. A row's label
    counts as right with weight 1 - 1 / (n + 2) only, the other classes share the rest: Platt's
    smoothing (1999), without which scores that are right on all rows would have T = 0. Scores that
    tell nothing give T = 1 where they are constant, and a T a million times their spread
    (practically, equal probabilities) where they mislead.

    Attributes
    ----------
    temperature_ : float
        T.
    """

    _names = ("temperature",)

    def fit(self, scores: Floats, labels: NDArray[np.intp]) -> Self:
        """Learn T; see ``Calibration.fit``."""
        self.temperature_ = _best_temperature(_columns(scores), labels)
        return self

    def probabilities(self, scores: Floats) -> Floats:
        """Return probabilities (n, K) that sum to 1."""
        return softmax(_columns(scores) / self.temperature_)


class Platt(Calibration):
    """A sigmoid for each class on its log-odds, one against the rest, made to sum to 1.

    Platt (1999) with his smoothed targets, by the safe Newton steps of Lin, Lin and Weng (2007).
    The log-odds are those of the softmax at the best temperature: unlike raw scores they do not
    hang on what a row adds to all of its scores, and held-out log-loss is lower. Two classes have
    one sigmoid, on their score. With many classes of few rows the smoothed targets make it less
    sure than ``Temperature``.

    A class without a row to learn from takes the sigmoid of all other classes pooled. Where there
    are two classes, and one has none, only how rare it is can be learnt.

    Attributes
    ----------
    temperature_ : float
        As in ``Temperature``.
    slope_, offset_ : ndarray, shape (K,), or (1,) for two classes
        The sigmoids: 1 / (1 + exp(-(slope · log-odds + offset))).
    """

    _names = ("temperature", "slope", "offset")
    slope_: Floats
    offset_: Floats

    def fit(self, scores: Floats, labels: NDArray[np.intp]) -> Self:
        """Learn the sigmoids; see ``Calibration.fit``."""
        columns = _columns(scores)
        self.temperature_ = _best_temperature(columns, labels)
        odds = self._odds(columns)
        width = odds.shape[1]
        own = labels[:, None] == (np.arange(width) if width > 1 else 1)
        self.slope_, self.offset_ = _fit_sigmoids(odds, own)
        seen = own.any(axis=0)
        if width > 1 and not seen.all():
            pooled = _fit_sigmoids(odds[:, seen].reshape(-1, 1), own[:, seen].reshape(-1, 1))
            self.slope_[~seen], self.offset_[~seen] = pooled
        return self

    def probabilities(self, scores: Floats) -> Floats:
        """Return probabilities (n, K) that sum to 1."""
        values = self._odds(_columns(scores)) * self.slope_ + self.offset_
        if values.shape[1] == 1:
            return np.exp(_log_sigmoid(np.hstack([-values, values])))
        return softmax(_log_sigmoid(values))  # from logarithms: not all can be 0

    def _odds(self, columns: Floats) -> Floats:
        """Return each class's log-odds against the rest (n, K), or (n, 1) for two classes."""
        if columns.shape[1] == 2:
            return (columns[:, 1:] - columns[:, :1]) / self.temperature_
        logs = columns / self.temperature_
        logs -= _log_sum(logs)
        rows, best = np.arange(len(logs)), logs.argmax(axis=1)
        top = logs[rows, best]
        logs[rows, best] = -np.inf
        rest = _log_sum(logs)[:, 0]  # not log(1 - p): it would be log(0) for a p near 1
        odds: Floats = logs - np.log1p(-np.exp(logs))
        odds[rows, best] = top - rest
        return odds


CALIBRATIONS: dict[str, type[Calibration]] = {"temperature": Temperature, "platt": Platt}


def softmax(scores: Floats) -> Floats:
    """Return exp(scores) over their sums, by rows of (n, K)."""
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = chances / chances.sum(axis=1, keepdims=True)
    return shares


def _log_sum(scores: Floats) -> Floats:
    top = scores.max(axis=1, keepdims=True)
    logs: Floats = top + np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return logs


def _log_sigmoid(values: Floats) -> Floats:
    logs: Floats = -np.logaddexp(0.0, -values)
    return logs


def _sigmoids(n_classes: int) -> int:
    return 1 if n_classes == 2 else n_classes


def _columns(scores: Floats) -> Floats:
    columns = np.asarray(scores, dtype=np.float64)
    if columns.ndim == 1:
        columns = np.stack([-columns / 2, columns / 2], axis=1)
    if not np.isfinite(columns).all():
        raise ValueError("scores to calibrate hold a value that is not finite")
    return columns


def _best_temperature(scores: Floats, labels: NDArray[np.intp]) -> float:
    """Minimise smoothed log-loss over b = 1 / T: Newton's steps inside a bracket that shrinks."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    largest = float(np.abs(scores).max(initial=0.0))
    spread = largest and largest * float(np.sqrt(np.mean((centred / largest) ** 2)))
    if spread <= _EXACT * largest:
        return 1.0
    unit = centred / spread
    count, classes = unit.shape
    smoothing = 1 / (count + 2)
    # A row's scores sum to 0, so the mean of the other classes' is its own / -(K - 1).
    own = float(unit[np.arange(count), labels].mean())
    wanted = own * (1 - smoothing - smoothing / (classes - 1))

    def slope(b: float) -> tuple[float, float]:
        chances = softmax(b * unit)
        mean = (chances * unit).sum(axis=1)
        spreads = (chances * (unit - mean[:, None]) ** 2).sum(axis=1)
        return float(mean.mean()) - wanted, float(spreads.mean())

    low, high, b = 1 / _SHARPEST, _SHARPEST, 1.0
    if slope(low)[0] >= 0:
        return spread / low
    if slope(high)[0] <= 0:
        return spread / high
    for _ in range(_STEPS):
        first, second = slope(b)
        low, high = (low, b) if first > 0 else (b, high)
        step = b - first / second if second > 0 else low
        if abs(step - b) <= _EXACT * b:
            break
        b = step if low < step < high else float(np.sqrt(low * high))
    return spread / b


def _fit_sigmoids(odds: Floats, own: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Fit one sigmoid a column to whether each row is of that class; slopes and offsets (K,)."""
    positive = own.sum(axis=0)
    negative = len(own) - positive
    targets = np.where(own, (positive + 1) / (positive + 2), 1 / (negative + 2))
    centre, spread = odds.mean(axis=0), odds.std(axis=0)
    spread[spread <= _EXACT * np.abs(odds).max(axis=0)] = 1.0  # constant: the offset says all
    unit = (odds - centre) / spread
    slope, offset = np.zeros(odds.shape[1]), np.log((positive + 1) / (negative + 1))

    def loss(slope: Floats, offset: Floats) -> Floats:
        values = unit * slope + offset
        mean: Floats = (np.logaddexp(0.0, values) - targets * values).mean(axis=0)
        return mean

    now = loss(slope, offset)
    for _ in range(_STEPS):
        chances = np.exp(_log_sigmoid(unit * slope + offset))
        error, weight = chances - targets, chances * (1 - chances)
        by_slope, by_offset = (error * unit).mean(axis=0), error.mean(axis=0)
        if max(np.abs(by_slope).max(), np.abs(by_offset).max()) < _FLAT:
            break
        # The Hessian [[p, q], [q, r]], a little lifted, so that it can always be inverted.
        p, r = (weight * unit**2).mean(axis=0) + _EXACT, weight.mean(axis=0) + _EXACT
        q = (weight * unit).mean(axis=0)
        inverse = 1 / (p * r - q * q)
        along_slope = (q * by_offset - r * by_slope) * inverse
        along_offset = (q * by_slope - p * by_offset) * inverse
        fall = by_slope * along_slope + by_offset * along_offset
        step = np.ones_like(slope)
        for _ in range(40):  # halve the step of each class whose loss does not fall enough
            then = loss(slope + step * along_slope, offset + step * along_offset)
            too_far = then > now + 1e-4 * step * fall + _EXACT
            if not too_far.any():
                break
            step[too_far] /= 2
        step[too_far] = 0.0  # as low as rounding lets it be
        if not step.any():
            break
        slope, offset = slope + step * along_slope, offset + step * along_offset
        now = np.where(step > 0, then, now)
    return slope / spread, offset - slope * centre / spread

"""Intervals of the metrics that results have, for one run or several of a method."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import ndtri, stdtrit

from featbench.errors import UsageError
from featbench.statistics._bootstrap import Floats, Interval, bootstrap_interval, mean_interval
from featbench.statistics._runs import Codes, Seeded, spread_of
from featbench.statistics._wilson import wilson_interval

ECE_BINS = 15


def accuracy_interval(
    runs: Seeded, groups: ArrayLike | None = None, *, confidence: float = 0.95, **options: Any
) -> Interval:
    """Return the interval of a method's accuracy, the mean over its runs.

    One run without groups: Wilson's. Else the BCa bootstrap, which draws images, or groups where
    there are any, and keeps an image's runs together; with several runs both of its sides are then
    lengthened by what the seeds add, t √(images + seeds) / z √images, as in ``paired_p_value``.
    Where all units agree the bootstrap has nothing to draw, and the interval is Wilson's for as
    many trials as there are units.

    Parameters
    ----------
    runs : Seeded
        What the method has right.
    groups : array-like, shape (n_images,), optional
        Which images belong together.
    confidence : float
        How often such intervals hold the true value.
    **options
        ``resamples``, ``seed`` and ``method`` of ``bootstrap_interval``.
    """
    per_image = runs.right.mean(axis=0)
    accuracy, n = float(per_image.mean()), len(per_image)
    if groups is None and len(runs.seeds) == 1:
        return Interval(*wilson_interval(accuracy, n, confidence=confidence))
    codes: Codes | None = None
    if groups is not None:
        codes = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
        n = int(codes.max()) + 1
    low, high = mean_interval(per_image, codes, confidence=confidence, **options)
    if low == high:
        low, high = wilson_interval(accuracy, n, confidence=confidence)
    if len(runs.seeds) > 1:
        spread = spread_of(per_image, [runs.right.mean(axis=1)], codes)
        if 0 < spread.images < np.inf:
            share = (1 + confidence) / 2
            longer = float(stdtrit(spread.freedom, share) / ndtri(share))
            longer *= spread.error / float(np.sqrt(spread.images))
            low, high = accuracy - longer * (accuracy - low), accuracy + longer * (high - accuracy)
    return Interval(max(0.0, low), min(1.0, high))


def _balanced_accuracy(sizes: Floats, right: Floats, answered: Floats) -> Floats:
    """Return mean recall over the classes that occur."""
    recall = np.divide(right, sizes, out=np.zeros_like(right), where=sizes > 0)
    mean: Floats = recall.sum(axis=1) / np.maximum((sizes > 0).sum(axis=1), 1)
    return mean


def _macro_f1(sizes: Floats, right: Floats, answered: Floats) -> Floats:
    """Return F1 averaged over the classes that occur: 2 right / (size + answered)."""
    f1 = np.divide(2 * right, sizes + answered, out=np.zeros_like(right), where=sizes > 0)
    mean: Floats = f1.sum(axis=1) / np.maximum((sizes > 0).sum(axis=1), 1)
    return mean


METRICS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
}
"""What ``metric_interval`` knows: functions of each class's size, right answers and answers."""


def metric_interval(
    metric: str,
    labels: ArrayLike,
    predicted: Sequence[ArrayLike],
    groups: ArrayLike | None = None,
    **options: Any,
) -> Interval:
    """Return the bootstrap interval of a metric of predictions, averaged over a method's runs.

    Images are drawn, or groups, with an image's runs kept together. It speaks of these runs:
    other seeds are not counted. A class that no drawn image has is left out of that mean.

    Parameters
    ----------
    metric : str
        ``balanced_accuracy`` or ``macro_f1``, as results have them.
    labels : array-like, shape (n,)
        Any values that can be sorted.
    predicted : sequence of array-like, each of shape (n,)
        One a run.
    groups : array-like, shape (n,), optional
        Which images belong together.
    **options
        As in ``bootstrap_interval``.

    Raises
    ------
    UsageError
        For another metric.
    """
    if metric not in METRICS:
        raise UsageError(f"metric {metric!r}: expected {', '.join(METRICS)}")
    n, r = len(np.asarray(labels)), len(predicted)
    columns = [np.asarray(labels), *(np.asarray(one) for one in predicted)]
    classes, codes = np.unique(np.concatenate(columns), return_inverse=True)
    answers = codes.reshape(r + 1, n)
    if groups is None:
        kinds, counts = np.unique(answers, axis=1, return_counts=True)
        sums = _class_sums(kinds, len(classes))
    else:
        units = np.unique(np.asarray(groups), return_inverse=True)[1]
        counts = np.ones(int(units.max()) + 1, dtype=np.int64)
        member = sparse.csr_array((np.ones(n), (units, np.arange(n))), shape=(len(counts), n))
        sums = member @ _class_sums(answers, len(classes))
    of = METRICS[metric]

    def statistic(totals: Floats) -> Floats:
        parts = np.split(totals, 1 + 2 * r, axis=1)
        runs = [of(parts[0], parts[1 + 2 * i], parts[2 + 2 * i]) for i in range(r)]
        mean: Floats = np.mean(runs, axis=0)
        return mean

    return bootstrap_interval(sums, counts, statistic, **options)


def _class_sums(answers: NDArray[np.intp], n_classes: int) -> sparse.csr_array:
    """Return what each image adds: its class's size, and by run right answers and answers."""
    labels, *predicted = answers
    blocks = [_one_hot(labels, np.ones(len(labels)), n_classes)]
    for said in predicted:
        blocks.append(_one_hot(labels, (said == labels).astype(float), n_classes))
        blocks.append(_one_hot(said, np.ones(len(said)), n_classes))
    return sparse.csr_array(sparse.hstack(blocks))


def _one_hot(columns: NDArray[np.intp], values: Floats, width: int) -> sparse.csr_array:
    rows = np.arange(len(columns))
    return sparse.csr_array((values, (rows, columns)), shape=(len(columns), width))


def log_loss_interval(
    losses: Sequence[ArrayLike], groups: ArrayLike | None = None, **options: Any
) -> Interval:
    """Return the bootstrap interval of the log-loss, the mean over images and a method's runs.

    Images are drawn, or groups, with an image's runs kept together, as in ``metric_interval``: it
    speaks of these runs, and other seeds are not counted.

    Parameters
    ----------
    losses : sequence of array-like, each of shape (n,)
        One a run: -log of the probability that each image's label was given, in nats.
    groups : array-like, shape (n,), optional
        Which images belong together.
    **options
        As in ``bootstrap_interval``.
    """
    return mean_interval(np.mean([np.asarray(one) for one in losses], axis=0), groups, **options)


def calibration_interval(
    confidences: ArrayLike, right: ArrayLike, groups: ArrayLike | None = None, **options: Any
) -> Interval:
    """Return the bootstrap interval of the expected calibration error, 15 bins (Guo et al. 2017).

    The error is a sum of absolute values, so a resample's is larger on average than the data's
    own. The interval is therefore the basic one, 2 × measured less the bootstrap's ends, cut at
    zero (Davison and Hinkley 1997, section 5.2), which takes that bias off.

    Parameters
    ----------
    confidences : array-like, shape (n,)
        The probability of the predicted class.
    right : array-like of bool, shape (n,)
        Whether the prediction is the label.
    groups : array-like, shape (n,), optional
        Which images belong together.
    **options
        ``confidence``, ``resamples`` and ``seed`` of ``bootstrap_interval``.
    """
    chance = np.asarray(confidences, dtype=np.float64)
    bins = np.clip(np.ceil(chance * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gaps = np.zeros((len(chance), ECE_BINS + 1))
    gaps[np.arange(len(chance)), bins] = chance - np.asarray(right, dtype=np.float64)
    gaps[:, -1] = 1.0
    units = np.arange(len(chance)) if groups is None else np.asarray(groups)
    codes = np.unique(units, return_inverse=True)[1]
    sums = np.zeros((int(codes.max()) + 1, ECE_BINS + 1))
    np.add.at(sums, codes, gaps)

    def error(totals: Floats) -> Floats:
        value: Floats = np.abs(totals[:, :-1]).sum(axis=1) / totals[:, -1]
        return value

    drawn = bootstrap_interval(
        sums, np.ones(len(sums), dtype=np.int64), error, method="percentile", **options
    )
    measured = float(error(sums.sum(axis=0, keepdims=True))[0])
    return Interval(max(0.0, 2 * measured - drawn.high), max(0.0, 2 * measured - drawn.low))

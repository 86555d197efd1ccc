"""Honest scores of training rows: each comes from a fit that has not seen the row."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
_SMALLEST = 1e-15
"""What a probability of 0 counts as, in logarithms; the metrics' log-loss has the same."""


def stratified_folds(labels: NDArray[np.intp], most: int = FOLDS) -> NDArray[np.intp]:
    """Return the fold in which each row is held out, (n,); -1 for never.

    A class's rows, in an order that is always the same, are dealt out to the folds in turn; the
    next class goes on where the last one ended. A class with fewer rows than folds is held out in
    some of them only, and every fold's training rows have every class. The only row of a class is
    never held out.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        Each row's class, from 0 up.
    most : int
        There are so many folds, fewer only if there are fewer rows to deal out.

    Raises
    ------
    ValueError
        When no class has two rows.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    dealt = order[np.bincount(labels)[labels[order]] > 1]
    if not len(dealt):
        raise ValueError("calibration needs a class with two rows or more")
    folds = np.full(len(labels), -1)
    folds[dealt] = np.arange(len(dealt)) % min(most, len(dealt))
    return folds


def grouped_folds(
    labels: NDArray[np.intp], groups: NDArray[Any], most: int = FOLDS
) -> NDArray[np.intp]:
    """Return the fold in which each row is held out, (n,); -1 for never; no group is divided.

    Groups, the largest first, go one by one to the fold with the fewest rows of the class that the
    group has most of. Every fold's training rows have every class: the groups of a class that came
    to be in one fold only are never held out.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        Each row's class, from 0 up.
    groups : ndarray, shape (n,)
        Each row's group.
    most : int
        There are so many folds at most.

    Raises
    ------
    ValueError
        When no class has two groups.
    """
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    members = np.split(np.argsort(group, kind="stable"), sizes.cumsum()[:-1])
    order = np.random.default_rng(0).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros((most, labels.max() + 1), dtype=np.intp)
    fold_of = np.empty(len(sizes), dtype=np.intp)
    for one in order:
        classes, counts = np.unique(labels[members[one]], return_counts=True)
        there = filled[:, classes[counts.argmax()]]
        fold_of[one] = np.lexsort([filled.sum(axis=1), there])[0]
        filled[fold_of[one], classes] += counts
    narrow = np.count_nonzero(filled, axis=0) < 2  # held out, no fit would know such a class
    fold_of[np.unique(group[narrow[labels]])] = -1
    dealt, folds = np.unique(fold_of[group], return_inverse=True)
    if dealt[-1] < 0:
        raise ValueError("calibration needs a class with two groups or more")
    rows: NDArray[np.intp] = folds - (dealt[0] < 0)
    return rows


def out_of_fold_scores(
    fit_and_score: Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.float64]],
    folds: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return the scores of every row that is held out once, in the rows' order.

    Parameters
    ----------
    fit_and_score : callable
        Is given which rows to fit on and which to score, two masks (n,); returns scores.
    folds : ndarray of int, shape (n,)
        As from ``stratified_folds`` or ``grouped_folds``.
    """
    parts, places = [], []
    for fold in range(folds.max() + 1):
        held = folds == fold
        parts.append(fit_and_score(~held, held))
        places.append(np.flatnonzero(held))
    scores = np.concatenate(parts)
    in_order: NDArray[np.float64] = scores[np.argsort(np.concatenate(places))]
    return in_order


def calibration_scores(core: Any, rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the fitted classifier's scores (n, K), or (n,), that calibration begins with.

    Those are its own ``calibration_scores`` where it has such a method, else the logarithms of its
    probabilities, else its decision values.
    """
    if hasattr(core, "calibration_scores"):
        return np.asarray(core.calibration_scores(rows), dtype=np.float64)
    if hasattr(core, "predict_proba"):
        chances = np.asarray(core.predict_proba(rows), dtype=np.float64)
        return np.log(np.maximum(chances, _SMALLEST))
    return np.asarray(core.decision_function(rows), dtype=np.float64)

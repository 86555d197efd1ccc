"""Fitting a classifier on some rows and scoring it on others, whatever happens."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

Rows = NDArray[np.floating]
Fold = tuple[NDArray[np.intp], NDArray[np.intp]]
"""The rows to fit on, and the rows to score on."""


@dataclass(frozen=True)
class Trial:
    """What one candidate came to on one fold.

    Parameters
    ----------
    accuracy : float
        Share of the held-out rows whose label it gave.
    seconds : float
        What fitting and scoring took, its share of what several candidates have in common left out.
    problem : str
        Why it does not count (it failed, or did not converge); empty where it does.
    epochs : int, optional
        The best number of epochs, where the candidate chose one on the held-out rows.
    """

    accuracy: float
    seconds: float
    problem: str = ""
    epochs: int | None = None


def attempt(fit: Callable[[], Any], predict: Callable[[], NDArray[Any]], y: NDArray[Any]) -> Trial:
    """Fit and score; a failure or a warning that it has not converged becomes the trial's problem.

    Parameters
    ----------
    fit, predict : callable
        What to do; ``predict`` gives the held-out rows' labels.
    y : ndarray, shape (n,)
        Those rows' true labels.
    """
    began = time.perf_counter()
    problem, accuracy = "", math.nan
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            fit()
            accuracy = float(np.mean(predict() == y))
        except Exception as error:  # a candidate may fail as it likes; the others go on
            problem = f"failed: {' '.join(str(error).split()) or type(error).__name__}"
    for one in told:
        if issubclass(one.category, ConvergenceWarning):
            problem = problem or f"did not converge: {str(one.message).splitlines()[0]}"
    return Trial(accuracy, time.perf_counter() - began, problem)


def one_by_one(
    cores: Sequence[Any], rows: Rows, y: NDArray[Any], folds: Sequence[Fold]
) -> Iterator[tuple[int, int, Trial]]:
    """Yield (core, fold, trial) where the cores have nothing to share.

    Parameters
    ----------
    cores : sequence of estimator
        Unfitted; they stay so.
    rows : ndarray, shape (n, d)
        Preprocessed rows.
    y : ndarray, shape (n,)
        Labels.
    folds : sequence of (ndarray of int, ndarray of int)
        Rows to fit on and rows to score on.
    """
    for number, (train, held_out) in enumerate(folds):
        for which, core in enumerate(cores):
            yield which, number, _try_one(clone(core), rows, y, train, held_out)


def _try_one(
    core: Any, rows: Rows, y: NDArray[Any], train: NDArray[np.intp], held_out: NDArray[np.intp]
) -> Trial:
    return attempt(
        lambda: core.fit(rows[train], y[train]), lambda: core.predict(rows[held_out]), y[held_out]
    )

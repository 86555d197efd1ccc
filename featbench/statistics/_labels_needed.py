"""How many labels a method needs to reach an accuracy: where its few-shot curve crosses it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from featbench.errors import UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelsNeeded:
    """Where a curve of mean accuracy against labels first reaches a target.

    Parameters
    ----------
    target : float
        The accuracy, a fraction.
    count : float or None
        How many labels, interpolated; None where the largest size does not reach it.
    low, high : float or None
        Ends of the bootstrap interval of the count; ``high`` is None where it is beyond the largest
        size, ``low`` too where the whole interval is.
    at_most : bool
        The smallest size reaches it already: fewer labels might do.
    """

    target: float
    count: float | None
    low: float | None
    high: float | None
    at_most: bool = False


def labels_needed(
    sizes: ArrayLike,
    accuracies: ArrayLike,
    target: float,
    *,
    confidence: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> LabelsNeeded:
    """Return how many labels it takes until mean accuracy first reaches a target.

    Between two sizes the mean is taken to be linear in the logarithm of the size. For the interval
    draws are drawn anew with replacement, a whole curve each (percentile bootstrap): sizes of one
    draw hang together, since a smaller draw is part of a larger one.

    Parameters
    ----------
    sizes : array, shape (n_sizes,)
        Labels (or labels a class), positive and rising.
    accuracies : array, shape (n_sizes, n_draws)
        Fractions; column j is one draw at every size.
    target : float
        The accuracy to reach, a fraction.
    confidence : float
        How often such intervals hold the true value, if draws are many.
    resamples : int
        Of the bootstrap.
    seed : int
        Of the resamples.

    Returns
    -------
    LabelsNeeded
        With one draw alone there is no interval: ``low`` and ``high`` are None.

    Raises
    ------
    UsageError
        For shapes that differ, sizes that do not rise, or numbers that cannot be.
    """
    where, values = np.asarray(sizes, np.float64), np.asarray(accuracies, np.float64)
    if values.ndim != 2 or len(where) != len(values) or not values.size:
        raise UsageError(f"labels_needed: accuracies of shape {values.shape} for {where.size} "
                         "sizes: expected (sizes, draws)")  # fmt: skip
    if not (np.isfinite(values).all() and (where > 0).all() and (np.diff(where) > 0).all()):
        raise UsageError("labels_needed: sizes must be positive and rise, accuracies be numbers")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence {confidence}: expected a share between 0 and 1")
    logs, mean = np.log(where), values.mean(axis=1)
    (crossing,) = _crossings(logs, mean[:, None], target)
    count = None if np.isinf(crossing) else float(np.exp(crossing))
    low = high = None
    draws = values.shape[1]
    if draws > 1:
        rng = np.random.default_rng(seed)
        often = rng.multinomial(draws, np.full(draws, 1 / draws), size=resamples) / draws
        crossings = np.sort(_crossings(logs, values @ often.T, target))
        tail = (1 - confidence) / 2
        ends = (crossings[int(tail * resamples)], crossings[-1 - int(tail * resamples)])
        low, high = (None if np.isinf(end) else float(np.exp(end)) for end in ends)
    return LabelsNeeded(target, count, low, high, at_most=bool(mean[0] >= target))


def _crossings(logs: Floats, means: Floats, target: float) -> Floats:
    """Return where each column of means (n_sizes, n) first reaches a target; infinity if never."""
    reached = means >= target
    first = reached.argmax(axis=0)
    found: Floats = np.where(reached.any(axis=0), logs[first], np.inf)
    for column in np.flatnonzero(reached.any(axis=0) & (first > 0)):
        i = first[column]
        below, above = means[i - 1, column], means[i, column]
        share = (target - below) / (above - below)
        found[column] = logs[i - 1] + share * (logs[i] - logs[i - 1])
    return found

"""Bootstrap intervals of anything that is computed from sums over images, or over groups."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from featbench.errors import UsageError

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

_CELLS = 4_000_000  # of one block of resamples: about 32 MiB a matrix


class Interval(NamedTuple):
    """Both ends of an interval.

    Parameters
    ----------
    low, high : float
        In the statistic's own unit.
    """

    low: float
    high: float


def bootstrap_interval(
    sums: Any,
    counts: NDArray[np.int64],
    statistic: Statistic,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    method: str = "bca",
) -> Interval:
    """Return the bootstrap interval of a statistic of sums.

    What is drawn anew is a unit: an image, or a group of images that belong together (a patient,
    a video; the cluster bootstrap). Units that add the same are of one kind, so a resample is a
    multinomial draw of how often each kind occurs, and resamples are rows of a matrix product.

    Parameters
    ----------
    sums : ndarray or sparse array, shape (n_kinds, n_sums)
        What one unit of each kind adds to each sum.
    counts : ndarray of int64, shape (n_kinds,)
        How many units there are of each kind.
    statistic : callable
        Takes sums, shape (r, n_sums), and returns r values.
    confidence : float
        How often such intervals hold the true value.
    resamples : int
        How many; the ends shake less with more.
    seed : int
        Of the draws: the same seed gives the same interval.
    method : str
        ``bca`` (bias-corrected and accelerated) or ``percentile``.

    Returns
    -------
    Interval
        Both ends are the measured value where all units are alike: then there is nothing to draw.

    Raises
    ------
    UsageError
        For another method.

    References
    ----------
    B. Efron (1987), "Better bootstrap confidence intervals", JASA 82:171; A. C. Davison and
    D. V. Hinkley (1997), "Bootstrap methods and their application", sections 3.8 (clusters) and
    5.3.
    """
    if method not in ("bca", "percentile"):
        raise UsageError(f"bootstrap method {method!r}: expected bca or percentile")
    observed = float(statistic(_times(counts[None], sums))[0])
    if len(counts) < 2:
        return Interval(observed, observed)
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS // max(*sums.shape, int(counts.sum())))
    drawn = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn.append(statistic(_times(_draw(rng, counts, size), sums)))
    values = np.concatenate(drawn)
    if method == "percentile":
        return _between(values, (1 - confidence) / 2, (1 + confidence) / 2)
    whole = _times(counts[None], sums)
    without = np.concatenate([
        statistic(whole - _dense(sums[start : start + rows]))
        for start in range(0, len(counts), rows)
    ])  # fmt: skip
    return _between(values, *bca_levels(values, observed, without, counts, confidence))


def bca_levels(
    values: Floats, observed: float, without: Floats, counts: NDArray[np.int64], confidence: float
) -> tuple[float, float]:
    """Return the two shares of the bootstrap values between which a BCa interval lies.

    Parameters
    ----------
    values : ndarray, shape (resamples,)
        The bootstrap values.
    observed : float
        The measured value.
    without : ndarray, shape (n_kinds,)
        The value without one unit of each kind (the jackknife).
    counts : ndarray of int64, shape (n_kinds,)
        How many units there are of each kind.
    confidence : float
        As in ``bootstrap_interval``.
    """
    tails = ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    below = (np.mean(values < observed) + np.mean(values <= observed)) / 2
    if not 0 < below < 1:  # the measured value is at the rim: no bias can be told
        low, high = ndtr(tails)
        return float(low), float(high)
    bias = ndtri(below)
    pull = np.average(without, weights=counts) - without
    spread = float(counts @ pull**2)
    acceleration = float(counts @ pull**3) / (6 * spread**1.5) if spread > 0 else 0.0
    shifted = bias + tails
    low, high = ndtr(bias + shifted / (1 - acceleration * shifted))
    return float(low), float(high)


def mean_interval(values: ArrayLike, groups: ArrayLike | None = None, **options: Any) -> Interval:
    """Return the bootstrap interval of a mean over images.

    Parameters
    ----------
    values : array-like, shape (n,)
        One value an image: right or wrong, the share of runs that were right, its log-loss.
    groups : array-like, shape (n,), optional
        Which images belong together: groups are drawn, and all of a group's images with it.
    **options
        As in ``bootstrap_interval``.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if groups is None:
        kinds, counts = np.unique(numbers, return_counts=True)
        sums = np.stack([kinds, np.ones(len(kinds))], axis=1)
    else:
        codes = np.unique(np.asarray(groups), return_inverse=True)[1]
        parts = np.stack([np.bincount(codes, numbers), np.bincount(codes)], axis=1)
        sums, counts = np.unique(parts, axis=0, return_counts=True)
    return bootstrap_interval(sums, counts, lambda s: s[:, 0] / s[:, 1], **options)


def _draw(rng: np.random.Generator, counts: NDArray[np.int64], resamples: int) -> NDArray[np.int64]:
    """Return how often each kind occurs in each resample; the faster of two ways."""
    total, kinds = int(counts.sum()), len(counts)
    if 4 * kinds < total:
        return rng.multinomial(total, counts / total, resamples)
    kind_of = np.repeat(np.arange(kinds), counts)
    cells = kind_of[rng.integers(total, size=(resamples, total), dtype=np.int32)]
    cells += kinds * np.arange(resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=resamples * kinds).reshape(resamples, kinds)


def _between(values: Floats, low: float, high: float) -> Interval:
    ends = np.quantile(values, [low, high])
    return Interval(float(ends[0]), float(ends[1]))


def _times(weights: NDArray[np.int64], sums: Any) -> Floats:
    """Return weights @ sums, dense, whether or not the sums are sparse."""
    product: Floats = (sums.T @ weights.T.astype(np.float64)).T
    return product


def _dense(part: Any) -> Floats:
    array: Floats = part if isinstance(part, np.ndarray) else part.toarray()
    return array

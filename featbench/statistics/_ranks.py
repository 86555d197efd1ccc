"""Methods across data sets: mean ranks, whether they differ, and by how much they must."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, fdtrc, gammaln
from scipy.stats import rankdata, studentized_range

from featbench.errors import UsageError


class Friedman(NamedTuple):
    """Whether methods' ranks differ by more than chance over data sets.

    Parameters
    ----------
    chi2 : float
        Friedman's statistic, n_methods - 1 degrees of freedom.
    p_chi2 : float
        Its p-value, too cautious for few data sets.
    f : float
        Iman and Davenport's statistic, (n_methods - 1) and (n_methods - 1)(n_datasets - 1)
        degrees of freedom; infinite where all data sets agree.
    p_f : float
        Its p-value: the one to read. Where all data sets agree it is exact: the chance that they
        do, each in any order of its ranks.
    """

    chi2: float
    p_chi2: float
    f: float
    p_f: float


def mean_ranks(scores: ArrayLike) -> NDArray[np.float64]:
    """Return each method's rank averaged over data sets; 1 is best, ties share their mean.

    Parameters
    ----------
    scores : array-like, shape (n_datasets, n_methods)
        More is better; no value may be missing.

    Raises
    ------
    UsageError
        When a value is missing.
    """
    ranks: NDArray[np.float64] = _ranks(scores).mean(axis=0)
    return ranks


def friedman(scores: ArrayLike, *, ties: bool = True) -> Friedman:
    """Return Friedman's test of methods over data sets, with Iman and Davenport's correction.

    Parameters
    ----------
    scores : array-like, shape (n_datasets, n_methods)
        More is better; at least two of each.
    ties : bool
        Correct for tied ranks, as scipy does; Demšar's formulas do not.

    Raises
    ------
    UsageError
        When a value is missing, or there are fewer than two data sets or methods.

    References
    ----------
    M. Friedman (1937), JASA 32:675; R. L. Iman and J. M. Davenport (1980), Communications in
    Statistics A9:571; J. Demšar (2006), "Statistical comparisons of classifiers over multiple data
    sets", JMLR 7:1; W. J. Conover (1999), "Practical nonparametric statistics", section 5.8 (ties).
    """
    ranks = _ranks(scores)
    n, k = ranks.shape
    if n < 2 or k < 2:
        raise UsageError(f"ranks of {k} methods on {n} data sets: a test needs two of each")
    apart = float(((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum())
    spread = float(((ranks - (k + 1) / 2) ** 2).sum()) if ties else n * k * (k * k - 1) / 12
    if spread == 0:  # every data set ties all methods
        return Friedman(0.0, 1.0, 0.0, 1.0)
    chi2 = n * n * (k - 1) * apart / spread
    room = n * (k - 1) - chi2
    f = (n - 1) * chi2 / room if room > 1e-9 else float("inf")
    if np.isinf(f):
        alike = np.unique(ranks[0], return_counts=True)[1]
        p_f = float(np.exp((1 - n) * (gammaln(k + 1) - gammaln(alike + 1).sum())))
    else:
        p_f = float(fdtrc(k - 1, (k - 1) * (n - 1), f))
    return Friedman(chi2, float(chdtrc(k - 1, chi2)), f, p_f)


def critical_difference(n_methods: int, n_datasets: int, *, alpha: float = 0.05) -> float:
    """Return by how much two mean ranks must differ to be told apart (Nemenyi's test).

    Parameters
    ----------
    n_methods, n_datasets : int
        How many, at least two methods.
    alpha : float
        The level over all pairs.

    References
    ----------
    J. Demšar (2006), JMLR 7:1, section 3.2.2: CD = q √(k(k+1)/6N), q the studentised range's
    quantile for k methods and no end of degrees of freedom, divided by √2.
    """
    q = float(studentized_range.ppf(1 - alpha, n_methods, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_datasets)))


def rank_groups(ranks: ArrayLike, difference: float) -> list[tuple[int, ...]]:
    """Return the widest groups of methods whose mean ranks lie within the critical difference.

    Parameters
    ----------
    ranks : array-like, shape (n_methods,)
        Mean ranks.
    difference : float
        The critical difference: methods that differ by so much, or more, are told apart.

    Returns
    -------
    list of tuple of int
        Indices of methods, best first; only groups of two or more, none inside another: the bars
        of a critical-difference diagram.
    """
    values = np.asarray(ranks, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    groups: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = int(np.searchsorted(values[order] - values[order[start]], difference, side="left"))
        if end > max(reached, start + 1):
            groups.append(tuple(order[start:end].tolist()))
            reached = end
    return groups


def _ranks(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        raise UsageError(
            "a method has no score on some data set: leave out that method or data set"
        )
    ranks: NDArray[np.float64] = rankdata(-values, axis=1)
    return ranks

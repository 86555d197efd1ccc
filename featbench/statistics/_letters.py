"""Tie groups: methods that share a letter are not told apart."""

import string

import numpy as np
from numpy.typing import NDArray


def compact_letters(significant: NDArray[np.bool_]) -> list[tuple[str, ...]]:
    """Return each method's letters: two share one exactly where they are not told apart.

    Insert and absorb, then sweep (Piepho 2004): a column of methods is split at each significant
    pair, columns inside another are dropped, and letters that say nothing new are taken off. The
    result depends on the order of the methods alone.

    Parameters
    ----------
    significant : ndarray of bool, shape (n_methods, n_methods)
        Symmetric; the methods in order, best first.

    Returns
    -------
    list of tuple of str
        The first method has ``a``. After ``z`` come ``a2``, ``b2`` and so on.

    References
    ----------
    H.-P. Piepho (2004), "An algorithm for a letter-based representation of all-pairwise
    comparisons", Journal of Computational and Graphical Statistics 13:456.
    """
    n = len(significant)
    columns = [frozenset(range(n))] if n else []
    for first in range(n):
        for second in range(first + 1, n):
            if significant[first, second]:
                columns = _split(columns, first, second)
    swept = _sweep([set(column) for column in sorted(columns, key=sorted)], n)
    order = sorted(sorted(column) for column in swept if column)
    return [
        tuple(_letter(i) for i, column in enumerate(order) if method in column)
        for method in range(n)
    ]


def _split(columns: list[frozenset[int]], first: int, second: int) -> list[frozenset[int]]:
    """Insert a significant pair: no column holds both after; absorb what lies inside another."""
    both = [column for column in columns if first in column and second in column]
    kept = [column for column in columns if not (first in column and second in column)]
    for part in [column - {gone} for column in both for gone in (second, first)]:
        if not any(part <= other for other in kept):
            kept = [other for other in kept if not other <= part] + [part]
    return kept


def _sweep(columns: list[set[int]], n: int) -> list[set[int]]:
    """Take off columns, then single letters, whose members all meet in other columns too."""
    together = np.zeros((n, n), dtype=np.int64)  # in how many columns two methods meet
    for column in columns:
        together[_square(column)] += 1
    for column in reversed(columns):
        if (together[_square(column)] > 1).all():
            together[_square(column)] -= 1
            column.clear()
    for column in reversed(columns):
        for method in sorted(column, reverse=True):
            members = sorted(column)  # the method among them: it keeps one letter at least
            if (together[method, members] > 1).all():
                together[_square(column)] -= 1
                column.discard(method)
                together[_square(column)] += 1
    return columns


def _square(column: set[int]) -> tuple[NDArray[np.intp], ...]:
    return np.ix_(sorted(column), sorted(column))


def _letter(i: int) -> str:
    turn, place = divmod(i, 26)
    return string.ascii_lowercase[place] + (str(turn + 1) if turn else "")

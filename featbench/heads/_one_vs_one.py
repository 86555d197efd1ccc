"""The two-class problems of a one-vs-one SVM: their rows and limits, and their solution."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from featbench.errors import UsageError
from featbench.heads._kernels import Floats
from featbench.heads._smo import solve_pairs
from featbench.machine import memory_limit

Indices = NDArray[np.int64]
_WORK = 2**19  # row pairs that a thread takes at once: some milliseconds


class Problem:
    """All pairs of classes, and what is known of their solution so far.

    Parameters
    ----------
    classes : ndarray of int, shape (n,)
        Each row's class, 0 to k - 1; all occur.
    bounds : ndarray of float64, shape (n,)
        The most that each row's coefficient may become.
    tol : float
        Where the solver stops.
    max_iter : int
        Steps at most for a pair; -1 is no limit.

    Attributes
    ----------
    order : ndarray of int64, shape (n,)
        The rows by class; those of class c are order[starts[c]:starts[c + 1]].
    dual : ndarray of float64, shape (k - 1, n)
        Coefficients in that order, as SVC's ``dual_coef_``.
    intercept, steps : ndarray, shape (n_pairs,)
        One a pair, in the order (0, 1), (0, 2), …
    """

    def __init__(
        self, classes: NDArray[np.integer], bounds: Floats, *, tol: float, max_iter: int
    ) -> None:
        self.order: Indices = np.argsort(classes, kind="stable").astype(np.int64)
        sizes = np.bincount(classes)
        self.starts: Indices = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.pairs: Indices = np.stack(np.triu_indices(len(sizes), 1), axis=1).astype(np.int64)
        self.dual: Floats = np.zeros((len(sizes) - 1, len(classes)))
        self.intercept: Floats = np.zeros(len(self.pairs))
        self.steps: Indices = np.zeros(len(self.pairs), np.int64)
        self._bounded = np.ones(len(self.pairs), np.bool_)
        self._bounds = np.ascontiguousarray(bounds[self.order], dtype=np.float64)
        self._tol, self._max_iter = float(tol), int(max_iter)

    @property
    def sizes(self) -> Indices:
        """Rows of each class."""
        return np.diff(self.starts)

    @property
    def is_unfinished(self) -> bool:
        """Whether a pair was stopped before it converged."""
        return self._max_iter >= 0 and bool((self.steps >= self._max_iter).any())

    def support(self) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """Return which places of ``order`` are support vectors, and how many of each class."""
        is_support = (self.dual != 0).any(axis=0)
        counts = np.add.reduceat(is_support, self.starts[:-1], dtype=np.int32)
        return np.flatnonzero(is_support), counts

    def follow(self, easier: "Problem") -> Indices:
        """Take over what a problem of the same rows with smaller bounds came to, where it holds.

        A pair none of whose coefficients was ever at its bound makes the very same steps when the
        bounds are larger.

        Parameters
        ----------
        easier : Problem
            Solved; its bounds are this one's times a number below 1.

        Returns
        -------
        ndarray of int64
            The pairs that are still to be solved.
        """
        self.dual, self.intercept = easier.dual.copy(), easier.intercept.copy()
        self.steps, self._bounded = easier.steps.copy(), easier._bounded.copy()
        return np.flatnonzero(self._bounded)

    def solve(self, gram: NDArray[np.float32], diagonal: Floats, block: "Block") -> None:
        """Solve a block's pairs, by as many threads as torch has.

        Parameters
        ----------
        gram : ndarray of float32, shape (m, m)
            Kernel values between the block's rows.
        diagonal : ndarray of float64, shape (m,)
            k(x, x).
        block : Block
            Which pairs, and where their rows are in ``gram``.
        """
        stop = np.zeros(1, np.int64)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            done = [
                pool.submit(self.solve_part, gram, diagonal, block, part, stop)
                for part in self._parts(block.pairs)
            ]
            try:
                for one in done:
                    one.result()
            finally:  # an interrupt ends the threads' work too
                stop[0] = 1

    def solve_part(
        self, gram: NDArray[np.float32], diagonal: Floats, block: "Block", numbers: Indices,
        stop: Indices,
    ) -> None:  # fmt: skip
        """Solve some of a block's pairs, in this thread, until ``stop[0]`` is 1."""
        solve_pairs(
            gram, diagonal, block.order, self.starts, self.pairs, numbers, self._bounds, self._tol,
            self._max_iter, stop, self.dual, self.intercept, self.steps, self._bounded,
        )  # fmt: skip

    def _parts(self, numbers: Indices) -> list[Indices]:
        """Split pairs into parts of like work."""
        if not len(numbers):
            return []
        rows = self.sizes[self.pairs[numbers]].sum(axis=1)
        ends = np.flatnonzero(np.diff(np.cumsum(rows**2) // _WORK)) + 1
        return np.split(numbers, ends)


@dataclass(frozen=True)
class Block:
    """Pairs of classes that are solved on one Gram matrix.

    Parameters
    ----------
    members : ndarray of int64, shape (m,)
        The rows that the Gram matrix is of.
    order : ndarray of int64, shape (n,)
        As ``Problem.order``, but each row's place in ``members``.
    pairs : ndarray of int64
        Numbers of pairs.
    is_whole : bool
        Whether ``members`` are all rows, in their own order.
    """

    members: Indices
    order: Indices
    pairs: Indices
    is_whole: bool


def whole(problem: Problem, places: Indices | None = None, pairs: Indices | None = None) -> Block:
    """Return the one block that has every pair, on one Gram matrix.

    Parameters
    ----------
    problem : Problem
        The pairs.
    places : ndarray of int, shape (n,), optional
        Where ``problem.order``'s rows are in the Gram matrix, where that is of more rows.
    pairs : ndarray of int64, optional
        Only these.
    """
    order = problem.order if places is None else places.astype(np.int64)
    numbers = np.arange(len(problem.pairs)) if pairs is None else pairs
    return Block(np.sort(order), order, numbers, places is None)


def plan(problem: Problem) -> Iterator[Block]:
    """Yield blocks of pairs whose Gram matrices fit in memory, one where all rows' does.

    Classes are put in groups of which any two have a Gram matrix (4 bytes a value) that fits.

    Raises
    ------
    UsageError
        When that of the two largest classes does not: there is no exact way in less.
    """
    groups = group_classes(problem.sizes, memory_limit())
    if len(groups) == 1:
        yield whole(problem)
        return
    group_of = np.empty(len(problem.sizes), np.int64)
    for number, group in enumerate(groups):
        group_of[list(group)] = number
    low, high = np.sort(group_of[problem.pairs], axis=1).T
    for a, b in itertools.combinations(range(len(groups)), 2):
        # a group's own pairs are done with the group that follows it, the last one's with the first
        own = (low == high) & (
            (low == a) & (b == a + 1) | (low == b) & (b == len(groups) - 1) & (a == 0)
        )
        numbers = np.flatnonzero((low == a) & (high == b) | own)
        places = np.concatenate(
            [np.arange(problem.starts[c], problem.starts[c + 1]) for c in (*groups[a], *groups[b])]
        )
        order = np.full(len(problem.order), -1, np.int64)
        order[places] = np.arange(len(places))
        yield Block(problem.order[places], order, numbers, False)


def gram_bytes(rows: int) -> int:
    """Return the size of the Gram matrix of so many rows."""
    return 4 * rows**2


def readable(size: int) -> str:
    """Return a number of bytes in the unit that fits."""
    amount, units = float(size), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:,.1f} {units[0]}" if units[0] != "bytes" else f"{size} bytes"


def group_classes(sizes: Sequence[int] | Indices, limit: int) -> list[list[int]]:
    """Return groups of classes, any two of which have a Gram matrix of at most ``limit`` bytes.

    Raises
    ------
    UsageError
        When the two largest classes have not.
    """
    if gram_bytes(int(np.sum(sizes))) <= limit:
        return [list(range(len(sizes)))]
    *_, second, first = np.sort(sizes)
    fitting = int(np.sqrt(limit / 4))
    if first + second > fitting:
        raise UsageError(
            f"the Gram matrix of the two largest classes' {first + second:,} rows needs "
            f"{readable(gram_bytes(int(first + second)))} and {readable(limit)} may be "
            "used: give more with --memory, fewer images with --limit, or take --approximate"
        )
    most = fitting // 2 if first <= fitting // 2 else fitting - first
    groups: list[list[int]] = []
    room = 0
    for c in np.argsort(sizes)[::-1].tolist():
        if sizes[c] > room:
            groups.append([])
            room = int(max(most, sizes[c]))
        groups[-1].append(c)
        room -= int(sizes[c])
    return [sorted(group) for group in groups]

"""Trying many kernel machines on many folds, all from one matrix of inner products."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from featbench.heads._device import usable_device
from featbench.heads._kernels import (
    Floats,
    Kernel,
    gram_of,
    own_products,
    products_dtype,
    squared_lengths,
)
from featbench.heads._one_vs_one import Problem, whole
from featbench.heads._pairs import Pairs
from featbench.heads._trials import Fold, Rows, Trial, attempt, one_by_one
from featbench.machine import keep_memory, memory_limit

if TYPE_CHECKING:
    from featbench.heads._kernel_svc import KernelSVC

Gram = tuple[NDArray[np.float32], Floats, torch.Tensor]
"""Kernel values between all rows, their diagonal, and those between all rows and the held out: in
single precision as the solver has them, the last as precise as ``predict`` has them."""


def try_all(
    cores: Sequence["KernelSVC"], rows: Rows, y: NDArray[Any], folds: Sequence[Fold]
) -> Iterator[tuple[int, int, Trial]]:
    """Yield (core, fold, trial); the products of all rows are computed once.

    Every kernel, gamma, degree, C and fold works from them, with the labels that ``fit`` and
    ``predict`` would give. Where the products do not fit in memory, one core is tried after the
    other.

    Parameters
    ----------
    cores : sequence of KernelSVC
        Unfitted; they stay so.
    rows : ndarray, shape (n, d)
        Rows to fit on and to score on.
    y : ndarray, shape (n,)
        Labels.
    folds : sequence of (ndarray of int, ndarray of int)
        Rows to fit on and rows to score on.
    """
    dtype = products_dtype(rows[folds[0][0]]) if len(folds) else torch.float64
    held_most = max((len(held_out) for _, held_out in folds), default=0)
    singles = len(rows) * (len(rows) + held_most) * dtype.itemsize // 4 + len(rows) ** 2
    if 4 * singles > memory_limit():  # the products, one Gram matrix, and what predicts
        yield from one_by_one(cores, rows, y, folds)
        return
    keep_memory()
    alike: dict[Any, list[int]] = {}
    for number, core in enumerate(cores):
        key = (core.kernel, core.gamma, core.degree, core.coef0)
        alike.setdefault(key, []).append(number)
    device = usable_device(cores[0].device)
    product, squares = own_products(rows, dtype, device), squared_lengths(rows)
    for fold, (train, held_out) in enumerate(folds):
        scale = functools.cache(lambda inside=rows[train]: _scale(type(cores[0]), inside))
        for members in alike.values():
            kernel = functools.cache(_kernel_maker(cores[members[0]], scale, rows[:1]))
            gram = functools.cache(_gram_maker(kernel, product, squares, held_out))
            before = None
            for number in sorted(members, key=lambda n: _strength(cores[n])):
                guess = _Guess(clone(cores[number]), gram, y, train, before)
                yield number, fold, attempt(guess.fit, guess.predict, y[held_out])
                before = guess


def _scale(kind: "type[KernelSVC]", inside: Rows) -> float:
    """Return what ``gamma='scale'`` comes to for the rows that are fitted on."""
    return kind(gamma="scale").settled_kernel(inside).gamma


def _kernel_maker(core: "KernelSVC", scale: Callable[[], float], row: Rows) -> Callable[[], Kernel]:
    """Return what settles a core's kernel; it may find a parameter that cannot be."""

    def make() -> Kernel:
        own = clone(core)
        if own.gamma == "scale":
            own.set_params(gamma=scale())
        settled: Kernel = own.settled_kernel(row)
        return settled

    return make


def _gram_maker(
    kernel: Callable[[], Kernel], product: torch.Tensor, squares: Floats,
    held_out: NDArray[np.intp],
) -> Callable[[], Gram]:  # fmt: skip
    """Return what makes the kernel values when they are first asked for."""

    def make() -> Gram:
        own, places = kernel(), torch.from_numpy(held_out).to(product.device)
        asked = own.of_(product[:, places], squares, squares[held_out])
        return gram_of(product, squares, own), own.diagonal(squares), asked.cpu()

    return make


def _strength(core: "KernelSVC") -> float:
    """Return what to sort by: from a solution with small bounds much of the next one follows."""
    return float(core.C) if isinstance(core.C, Real) else math.inf


class _Guess:
    """One machine on one fold; ``before`` is the one with the next smaller C, if there is one."""

    def __init__(
        self, core: "KernelSVC", gram: Callable[[], Gram], y: NDArray[Any],
        train: NDArray[np.intp], before: "_Guess | None",
    ) -> None:  # fmt: skip
        self._core, self._gram, self._y = core, gram, y
        self._train, self._before = train, before
        self.problem: Problem | None = None

    def _is_harder_than(self, other: "_Guess") -> bool:
        """Say whether the two differ in C alone, and the other was solved."""
        mine, theirs = (one._core.get_params() | {"C": None} for one in (self, other))
        return other.problem is not None and mine == theirs and other._core.C <= self._core.C

    def fit(self) -> None:
        """Solve all pairs."""
        gram, diagonal, _ = self._gram()
        problem, kept = self._core.problem(self._train, self._y[self._train])
        self._places = self._train[kept][problem.order]
        before, self._before = self._before, None
        known = before.problem if before is not None and self._is_harder_than(before) else None
        left = None if known is None else problem.follow(known)
        problem.solve(gram, diagonal, whole(problem, self._places, left))
        self.problem = problem
        self._core.warn_if_unfinished(problem)

    def predict(self) -> NDArray[Any]:
        """Return the labels of the rows held out."""
        assert self.problem is not None
        places, n_support = self.problem.support()
        dual, intercept = self.problem.dual[:, places], self.problem.intercept
        asked = self._gram()[2]
        pairs = Pairs(dual, intercept, n_support, asked.dtype)
        winners = pairs.winners(asked[torch.from_numpy(self._places[places])])
        labels: NDArray[Any] = self._core.classes_[winners]
        return labels

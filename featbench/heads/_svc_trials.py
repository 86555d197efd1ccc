"""Trying many kernel machines on many folds, all from one matrix of inner products."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from featbench.heads._kernels import (
    Floats,
    gram_of,
    own_products,
    products_dtype,
    squared_lengths,
)
from featbench.heads._one_vs_one import gram_bytes, whole
from featbench.heads._pairs import Pairs
from featbench.heads._trials import Fold, Rows, Trial, attempt, one_by_one
from featbench.machine import keep_memory, memory_limit

if TYPE_CHECKING:
    from featbench.heads._kernel_svc import KernelSVC

Gram = tuple[NDArray[np.float32], Floats]
"""Kernel values between all rows, and their diagonal."""


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
    values = 1 + products_dtype(rows, rows).itemsize // 4  # the products, and one Gram matrix
    if gram_bytes(len(rows)) * values > memory_limit():
        yield from one_by_one(cores, rows, y, folds)
        return
    keep_memory()
    alike: dict[Any, list[int]] = {}
    for number, core in enumerate(cores):
        key = (core.kernel, core.gamma, core.degree, core.coef0)
        alike.setdefault(key, []).append(number)
    product, squares = own_products(rows), squared_lengths(rows)
    for fold, (train, held_out) in enumerate(folds):
        inside = rows[train]
        for members in alike.values():
            gram = functools.cache(_maker(cores[members[0]], product, squares, inside))
            for number in members:
                guess = _Guess(clone(cores[number]), gram, y, train, held_out)
                yield number, fold, attempt(guess.fit, guess.predict, y[held_out])


def _maker(
    core: "KernelSVC", product: torch.Tensor, squares: Floats, inside: Rows
) -> Callable[[], Gram]:
    """Return what makes a core's kernel values when first asked; ``inside`` is fitted on."""

    def make() -> Gram:
        kernel = clone(core).settled_kernel(inside)
        return gram_of(product, squares, kernel), kernel.diagonal(squares)

    return make


class _Guess:
    """One machine on one fold."""

    def __init__(
        self, core: "KernelSVC", gram: Callable[[], Gram], y: NDArray[Any],
        train: NDArray[np.intp], held_out: NDArray[np.intp],
    ) -> None:  # fmt: skip
        self._core, self._gram, self._y = core, gram, y
        self._train, self._held_out = train, held_out

    def fit(self) -> None:
        """Solve all pairs."""
        gram, diagonal = self._gram()
        self._problem, kept = self._core.problem(self._train, self._y[self._train])
        self._places = self._train[kept][self._problem.order]
        self._problem.solve(gram, diagonal, whole(self._problem, self._places))
        self._core.warn_if_unfinished(self._problem)

    def predict(self) -> NDArray[Any]:
        """Return the labels of the rows held out."""
        places, n_support = self._problem.support()
        dual, intercept = self._problem.dual[:, places], self._problem.intercept
        pairs = Pairs(dual, intercept, n_support, torch.float32)
        kernel = self._gram()[0][np.ix_(self._places[places], self._held_out)]
        labels: NDArray[Any] = self._core.classes_[pairs.winners(torch.from_numpy(kernel))]
        return labels

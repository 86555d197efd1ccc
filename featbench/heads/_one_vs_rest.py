"""A linear SVM as one layer: a machine a class against all others, on one Gram matrix."""

import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from featbench.errors import UsageError
from featbench.heads._arrays import check_arrays
from featbench.heads._device import find_device
from featbench.heads._kernel_svc import KernelSVC
from featbench.heads._kernels import Floats, gram_matrix, products_dtype, squared_lengths
from featbench.heads._one_vs_one import Problem, gram_bytes, readable, whole
from featbench.machine import keep_memory, memory_limit


class OneVsRestSVC(ClassifierMixin, BaseEstimator):
    """One-vs-rest linear SVM, as ``OneVsRestClassifier(SVC(kernel="linear"))``.

    Each class has one machine, solved exactly; all share one Gram matrix, which cannot be made in
    blocks. A row's weight is that of its own class in every machine.

    Parameters
    ----------
    machine : KernelSVC
        Of kernel ``linear``; C, class weights, tolerance, steps and device are taken from it.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    coef_ : ndarray of float64, shape (n_classes, d), or (1, d) for two classes
        Weights.
    intercept_ : ndarray of float64, shape (n_classes,) or (1,)
        Biases.
    n_iter_ : ndarray of int
        Iterations of the solver, a number a machine.
    """

    def __init__(self, machine: KernelSVC) -> None:
        self.machine = machine

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit on rows X (n, d) with labels y (n,).

        Raises
        ------
        ValueError
            As ``KernelSVC.fit``, or when its kernel is not ``linear``.
        UsageError
            When the Gram matrix is over ``machine.memory_limit()``.
        """
        if self.machine.kernel != "linear":
            raise ValueError(f"kernel={self.machine.kernel!r}: one layer needs the kernel linear")
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        keep_memory()
        kernel = self.machine.settled_kernel(rows)
        kept, weights = self.machine.row_weights(rows, labels)
        rows = rows[kept] if len(kept) < len(rows) else rows
        self.classes_, own = np.unique(labels[kept], return_inverse=True)
        check_memory(len(rows))
        squares = squared_lengths(rows)
        device = find_device(self.machine.device)
        gram = gram_matrix(rows, squares, kernel, device, products_dtype(rows))
        first = 1 if len(self.classes_) == 2 else 0  # of two machines one is the other, turned
        tol, steps = self.machine.tol, self.machine.max_iter
        problems = [
            Problem((own == c).astype(np.intp), weights, tol=tol, max_iter=steps)
            for c in range(first, len(self.classes_))
        ]
        _solve_all(problems, gram, kernel.diagonal(squares))
        self._take(problems, rows)
        return self

    def _take(self, problems: list[Problem], rows: NDArray[Any]) -> None:
        dual = np.empty((len(problems), len(rows)))
        for number, problem in enumerate(problems):
            dual[number, problem.order] = -problem.dual[0]  # the solver's first class is the rest
        self.coef_: Floats = np.zeros((len(problems), rows.shape[1]))
        for start in range(0, len(rows), 1024):  # only so many are copied to double precision
            span = slice(start, start + 1024)
            self.coef_ += dual[:, span] @ rows[span].astype(np.float64, copy=False)
        self.intercept_: Floats = -np.concatenate([problem.intercept for problem in problems])
        self.n_iter_ = np.concatenate([problem.steps for problem in problems]).astype(np.int32)
        if any(problem.is_unfinished for problem in problems):
            warnings.warn(
                f"the solver stopped at max_iter={self.machine.max_iter} steps before it "
                "converged; standardise the features, or lower C",
                ConvergenceWarning,
                stacklevel=4,
            )

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return scores (n, n_classes); for two classes (n,), positive for the second."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        scores: Floats = rows.astype(np.float64, copy=False) @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label with the highest score, (n,)."""
        scores = self.decision_function(X)
        best = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was fitted, ``classes_`` apart, as arrays."""
        return {"coef_": self.coef_, "intercept_": self.intercept_}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Self:
        """Take what ``get_arrays`` gave, ``classes_`` being set; raises ValueError if it differs.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Saved arrays.
        n_features : int
            Width of the rows.
        """
        count = 1 if len(self.classes_) == 2 else len(self.classes_)
        check_arrays(arrays, {"coef_": ("f", (count, n_features)), "intercept_": ("f", (count,))})
        self.coef_, self.intercept_ = arrays["coef_"], arrays["intercept_"]
        self.n_features_in_ = n_features
        return self


def check_memory(rows: int) -> None:
    """Raise UsageError where the Gram matrix of so many rows does not fit."""
    limit = memory_limit()
    if gram_bytes(rows) > limit:
        raise UsageError(
            f"strategy one-vs-rest: the Gram matrix of {rows:,} rows needs "
            f"{readable(gram_bytes(rows))} and {readable(limit)} may be used: give more with "
            "--memory, fewer images with --limit, or take strategy=one-vs-one or --approximate"
        )


def _solve_all(problems: list[Problem], gram: NDArray[np.float32], diagonal: Floats) -> None:
    """Solve problems on one Gram matrix, by as many threads as torch has."""
    stop = np.zeros(1, np.int64)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        done = [
            pool.submit(problem.solve_part, gram, diagonal, block, block.pairs, stop)
            for problem in problems
            for block in [whole(problem)]
        ]
        try:
            for one in done:
                one.result()
        finally:  # an interrupt ends the threads' work too
            stop[0] = 1

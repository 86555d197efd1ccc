"""Exact kernel SVMs from Gram matrices: SVC's labels, all pairs of classes at once."""

import math
import warnings
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import _ovr_decision_function, check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from featbench.heads._arrays import FLOATS, check_array, check_names
from featbench.heads._coupling import coupled_scores
from featbench.heads._device import find_device, usable_device
from featbench.heads._kernels import (
    KERNELS,
    Floats,
    Kernel,
    gram_matrix,
    gram_of,
    products,
    products_dtype,
    squared_lengths,
    variance,
)
from featbench.heads._one_vs_one import Problem, plan
from featbench.heads._pairs import Pairs
from featbench.heads._shared_products import shared_products
from featbench.heads._svc_trials import try_all
from featbench.machine import keep_memory

_CHUNK_BYTES = 32 * 2**20


class KernelSVC(ClassifierMixin, BaseEstimator):
    """Support vector classification, one-vs-one, with the labels of scikit-learn's ``SVC``.

    The kernel matrix comes from one matrix product by all cores, a compiled solver takes LIBSVM's
    steps on it, and prediction takes all pairs of classes at once from products of matrices. A Gram
    matrix that would be over ``machine.memory_limit()`` is made and solved in blocks of classes.

    Parameters
    ----------
    C, kernel, degree, gamma, coef0, class_weight, decision_function_shape, break_ties, tol,
    max_iter
        As in ``sklearn.svm.SVC``; ``kernel`` is ``linear``, ``poly``, ``rbf`` or ``sigmoid``.
    device : str
        Where Gram matrices are made and votes counted: ``cpu``, ``cuda`` or ``auto``. The solver
        works on the CPU.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    support_ : ndarray of int, shape (n_SV,)
        Rows of the training data that are support vectors, by class.
    support_vectors_ : ndarray, shape (n_SV, d)
        They themselves.
    n_support_ : ndarray of int, shape (n_classes,)
        How many each class has.
    dual_coef_ : ndarray, shape (n_classes - 1, n_SV)
        As SVC's.
    intercept_ : ndarray, shape (n_classes * (n_classes - 1) / 2,)
        One a pair of classes, in the order (0, 1), (0, 2), …
    gamma_ : float
        The number that ``gamma`` came to.
    n_iter_ : ndarray of int
        Iterations of the solver, a number a pair.
    is_single_ : bool
        Whether products of rows are made in float32, as those of the training rows were; so a row's
        decision does not hang on the rows that are asked about with it.
    """

    def __init__(
        self,
        C: float = 1.0,
        kernel: str = "rbf",
        degree: int = 3,
        gamma: float | str = "scale",
        coef0: float = 0.0,
        class_weight: Any = None,
        decision_function_shape: str = "ovr",
        break_ties: bool = False,
        tol: float = 1e-3,
        max_iter: int = -1,
        device: str = "cpu",
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.class_weight = class_weight
        self.decision_function_shape = decision_function_shape
        self.break_ties = break_ties
        self.tol = tol
        self.max_iter = max_iter
        self.device = device

    try_all = staticmethod(try_all)

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit on rows X (n, d) with labels y (n,).

        Parameters
        ----------
        X : array, shape (n, d)
            Finite rows.
        y : array, shape (n,)
            Labels; at least two different ones.
        sample_weight : array, shape (n,), optional
            Multiplies C row by row.

        Raises
        ------
        ValueError
            For shapes that differ, values that are not finite, one class only, or a parameter
            that cannot be.
        UsageError
            When the Gram matrix of the two largest classes is over ``machine.memory_limit()``.
        """
        self._check_parameters()
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        keep_memory()
        kernel = self.settled_kernel(rows)
        problem, kept = self.problem(rows, labels, sample_weight)
        rows = rows[kept] if len(kept) < len(rows) else rows
        dtype = products_dtype(rows)
        self.is_single_ = dtype == torch.float32
        squares, device = squared_lengths(rows), find_device(self.device)
        for block in plan(problem):
            inside = slice(None) if block.is_whole else block.members
            known = shared_products(rows, dtype, device) if block.is_whole else None
            if known is not None:
                gram = gram_of(known, squares, kernel)
            else:
                gram = gram_matrix(rows[inside], squares[inside], kernel, device, dtype)
            problem.solve(gram, kernel.diagonal(squares[inside]), block)
            del gram  # its memory is what the next block's, and the support vectors, are put in
        self._take(problem, kept, rows)
        return self

    def settled_kernel(self, X: NDArray[np.floating]) -> Kernel:
        """Return the kernel for training rows X (n, d), which ``gamma`` may hang on."""
        self._check_parameters()
        self._settle_gamma(X)
        return self._kernel()

    def problem(
        self, X: NDArray[Any], y: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[Problem, NDArray[np.intp]]:
        """Return what is to be solved for labels y (n,), and which rows have a weight."""
        kept, weights = self.row_weights(X, y, sample_weight)
        self.classes_: NDArray[Any]
        self.classes_, own = np.unique(y[kept], return_inverse=True)
        return Problem(own, weights, tol=self.tol, max_iter=self.max_iter), kept

    def _check_parameters(self) -> None:
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel={self.kernel!r}: expected {', '.join(KERNELS)}")
        if not isinstance(self.degree, Integral) or self.degree < 0:
            raise ValueError(f"degree={self.degree!r}: expected a whole number from 0 up")
        for name in ("C", "tol"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 < value < math.inf:
                raise ValueError(f"{name}={value!r}: expected a number above 0")
        if not isinstance(self.max_iter, Integral) or self.max_iter < -1:
            raise ValueError(f"max_iter={self.max_iter!r}: expected a whole number, or -1 for none")
        if not isinstance(self.coef0, Real) or not math.isfinite(self.coef0):
            raise ValueError(f"coef0={self.coef0!r}: expected a number")
        if self.decision_function_shape not in ("ovr", "ovo"):
            raise ValueError(
                f"decision_function_shape={self.decision_function_shape!r}: expected ovr, ovo"
            )

    def _settle_gamma(self, X: NDArray[np.floating]) -> None:
        self.gamma_: float
        if self.gamma == "scale":
            spread = variance(X)
            self.gamma_ = 1.0 / (int(X.shape[1]) * spread) if spread != 0 else 1.0
        elif self.gamma == "auto":
            self.gamma_ = 1.0 / int(X.shape[1])
        elif isinstance(self.gamma, str) or not 0 <= self.gamma < math.inf:
            raise ValueError(
                f"gamma={self.gamma!r}: expected 'scale', 'auto' or a number from 0 up"
            )
        else:
            self.gamma_ = float(self.gamma)

    def _kernel(self) -> Kernel:
        return self.kernel_with(self.gamma_)

    def kernel_with(self, gamma: float) -> Kernel:
        """Return the kernel where ``gamma`` has come to a number."""
        return Kernel(self.kernel, gamma, int(self.degree), float(self.coef0))

    def row_weights(
        self, rows: NDArray[Any], y: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[NDArray[np.intp], Floats]:
        """Return the rows that have a weight, and C times class weight times theirs."""
        labels, own = np.unique(y, return_inverse=True)
        by_class = compute_class_weight(self.class_weight, classes=labels, y=y)
        weights = self.C * by_class[own]
        if sample_weight is not None:
            weights = weights * _check_sample_weight(sample_weight, rows, dtype=np.float64)
        kept = np.flatnonzero(weights > 0)
        if not len(kept):
            raise ValueError("all rows have zero or negative weights")
        left, first = np.unique(y[kept], return_index=True)
        if len(left) < 2:
            raise ValueError(
                f"y holds {len(left)} class only among rows of positive weight: an SVM needs a "
                "number of classes greater than one"
            )
        self.class_weight_: Floats = by_class[own[kept][first]]
        return kept, weights[kept]

    @property
    def coef_(self) -> Floats:
        """The weights (1, d) of a linear machine of two classes; not there otherwise."""
        if self.kernel != "linear" or not hasattr(self, "dual_coef_") or len(self.classes_) != 2:
            raise AttributeError("coef_ is there for the kernel linear and two classes alone")
        return self.dual_coef_ @ self.support_vectors_.astype(np.float64)

    def _take(self, problem: Problem, kept: NDArray[np.intp], rows: NDArray[Any]) -> None:
        """Keep the solution, in SVC's attributes."""
        places, self.n_support_ = problem.support()
        self.dual_coef_: Floats = problem.dual[:, places]
        self.intercept_: Floats = problem.intercept
        if len(self.classes_) == 2:  # scikit-learn turns the signs of two classes' numbers
            self.dual_coef_, self.intercept_ = -self.dual_coef_, -self.intercept_
        chosen = problem.order[places]
        self.support_: NDArray[Any] = kept[chosen].astype(np.int32)
        self.support_vectors_: NDArray[Any] = rows[chosen]
        self.n_iter_: NDArray[Any] = problem.steps.astype(np.int32)
        self.fit_status_ = int(problem.is_unfinished)
        self.warn_if_unfinished(problem)

    def warn_if_unfinished(self, problem: Problem) -> None:
        """Give scikit-learn's warning where the solver stopped before it converged."""
        if problem.is_unfinished:
            warnings.warn(
                f"the solver stopped at max_iter={self.max_iter} steps before it converged; "
                "standardise the features, or lower C",
                ConvergenceWarning,
                stacklevel=4,
            )

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything fitted that prediction needs, but for ``classes_``."""
        check_is_fitted(self)
        return {
            "support_vectors": self.support_vectors_,
            "dual_coef": self.dual_coef_,
            "intercept": self.intercept_,
            "n_support": self.n_support_.astype(np.int64),
            "gamma": np.array(self.gamma_, dtype=np.float64),
            "is_single": np.array(self.is_single_),
        }

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Self:
        """Take what ``get_arrays`` gave; ``classes_`` is there already.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            ``support_vectors`` (n_SV, n_features), ``dual_coef`` (n_classes - 1, n_SV),
            ``intercept`` (pairs,), ``n_support`` (n_classes,), ``gamma`` () and ``is_single`` ().
        n_features : int
            Columns of the rows.

        Raises
        ------
        ValueError
            When a name, dtype, shape or value is not as it must be.
        """
        self._check_parameters()
        count = len(self.classes_)
        check_names(arrays, ("support_vectors", "dual_coef", "intercept", "n_support", "gamma",
                             "is_single"))  # fmt: skip
        own = check_array(arrays, "n_support", (count,), (np.int64,))
        total = sum(own.tolist())  # Python's: cannot overflow
        if own.min() < 0 or total < 1:
            raise ValueError("n_support: expected numbers from 0 up, not all of them 0")
        vectors = check_array(arrays, "support_vectors", (total, n_features), FLOATS)
        coefficients = check_array(arrays, "dual_coef", (count - 1, total), (np.float64,))
        intercept = check_array(arrays, "intercept", (count * (count - 1) // 2,), (np.float64,))
        gamma = float(check_array(arrays, "gamma", (), (np.float64,)))
        if gamma < 0:
            raise ValueError(f"gamma is {gamma}: expected a number from 0 up")
        self.support_vectors_, self.dual_coef_, self.intercept_ = vectors, coefficients, intercept
        self.n_support_, self.gamma_ = own, gamma
        self.is_single_ = bool(check_array(arrays, "is_single", (), (np.bool_,)))
        self.n_features_in_ = n_features
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of each row of X (n, d), shape (n,)."""
        check_is_fitted(self)
        if self.break_ties and self.decision_function_shape == "ovo":
            raise ValueError("break_ties must be False when decision_function_shape is 'ovo'")
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        if self.break_ties and len(self.classes_) > 2:
            winners = [self._ovr(p.values(k)).argmax(1) for p, k in self._machine(rows)]
        else:
            winners = [pairs.winners(kernel) for pairs, kernel in self._machine(rows)]
        labels: NDArray[Any] = self.classes_[np.concatenate(winners)]
        return labels

    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return scores: (n,) for two classes, else (n, n_classes), or (n, pairs) for ``ovo``."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        values = np.concatenate([pairs.values(kernel) for pairs, kernel in self._machine(rows)])
        if len(self.classes_) == 2:  # scikit-learn's sign: positive for the second class
            return -values[:, 0]
        return values if self.decision_function_shape == "ovo" else self._ovr(values)

    def calibration_scores(self, X: ArrayLike) -> NDArray[Any]:
        """Return scores (n, n_classes), or (n,) for two classes, that suit calibration.

        They are the pairs' decision values coupled (see ``coupled_scores``), a better ground for
        probabilities than the votes that ``decision_function`` counts.
        """
        if len(self.classes_) == 2:
            return self.decision_function(X)
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return np.concatenate([p.look(k, coupled_scores) for p, k in self._machine(rows)])

    def vote_shares(self, X: ArrayLike) -> Floats:
        """Return each class's share of the one-vs-one votes, (n, n_classes); they sum to 1."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        votes = np.concatenate([pairs.votes(kernel) for pairs, kernel in self._machine(rows)])
        return votes / len(self.intercept_)

    def _ovr(self, values: Floats) -> Floats:
        found: Floats = _ovr_decision_function(values < 0, -values, len(self.classes_))
        return found

    def _machine(self, X: NDArray[np.floating]) -> Iterator[tuple[Pairs, torch.Tensor]]:
        """Yield all pairs, and kernel values (n_SV, rows), for chunks of rows."""
        keep_memory()
        dtype = torch.float32 if self.is_single_ else torch.float64
        device = usable_device(self.device)
        pairs, kernel = self._pairs(dtype, device), self._kernel()
        squares = squared_lengths(self.support_vectors_)
        step = max(pairs.step, _CHUNK_BYTES // (dtype.itemsize * max(1, len(squares))))
        for start in range(0, len(X), step):
            chunk = X[start : start + step]
            product = products(self.support_vectors_, chunk, dtype, device)
            yield pairs, kernel.of_(product, squares, squared_lengths(chunk))

    def _pairs(self, dtype: torch.dtype, device: torch.device) -> Pairs:
        sign = -1.0 if len(self.classes_) == 2 else 1.0
        return Pairs(sign * self.dual_coef_, sign * self.intercept_, self.n_support_, dtype, device)

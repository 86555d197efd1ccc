"""Exact kernel SVMs on one Gram matrix: SVC's own solver, without its loops over kernels."""

import math
from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import _ovr_decision_function, check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from featbench.heads._arrays import FLOATS, check_array, check_names
from featbench.heads._kernels import KERNELS, Floats, kernel_matrix, products
from featbench.machine import keep_memory

_CHUNK_BYTES = 64 * 2**20


class KernelSVC(ClassifierMixin, BaseEstimator):
    """Support vector classification, one-vs-one, with the labels of scikit-learn's ``SVC``.

    The kernel matrix comes from one matrix product by all cores, the solver is LIBSVM's on that
    matrix, and prediction takes all pairs of classes at once from products of matrices.

    Parameters
    ----------
    C, kernel, degree, gamma, coef0, class_weight, decision_function_shape, break_ties, tol,
    max_iter
        As in ``sklearn.svm.SVC``; ``kernel`` is ``linear``, ``poly``, ``rbf`` or ``sigmoid``.

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
        """
        self._check_settings()
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        keep_memory()
        self.gamma_: float = self._gamma(rows)
        kept, weights, class_weight = np.arange(len(rows)), None, self.class_weight
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, dtype=np.float64)
            kept = np.flatnonzero(
                weights > 0
            )  # LIBSVM leaves the others out, but not out of a Gram
            if len(kept) < len(rows) and class_weight == "balanced":  # counted with the others
                known = np.unique(labels)
                balanced = compute_class_weight("balanced", classes=known, y=labels)
                class_weight = dict(zip(known, balanced, strict=True))
            rows, labels, weights = rows[kept], labels[kept], weights[kept]
        squares = _squares(rows)
        gram = self._kernel(products(rows, rows), squares, squares)
        solver = SVC(
            kernel="precomputed",
            C=self.C,
            class_weight=class_weight,
            tol=self.tol,
            max_iter=self.max_iter,
            decision_function_shape=self.decision_function_shape,
            break_ties=self.break_ties,
            cache_size=1,  # the rows lie in the matrix already
        ).fit(gram, labels, weights)
        self.classes_: NDArray[Any] = solver.classes_
        self.n_support_: NDArray[Any] = solver.n_support_
        self.support_: NDArray[Any] = kept[solver.support_]
        self.dual_coef_: Floats = solver.dual_coef_
        self.intercept_: Floats = solver.intercept_
        self.n_iter_, self.fit_status_ = solver.n_iter_, solver.fit_status_
        self.class_weight_ = solver.class_weight_
        self.support_vectors_: NDArray[Any] = rows[solver.support_]
        return self

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything fitted that prediction needs, but for ``classes_``."""
        check_is_fitted(self)
        return {
            "support_vectors": self.support_vectors_,
            "dual_coef": self.dual_coef_,
            "intercept": self.intercept_,
            "n_support": self.n_support_.astype(np.int64),
            "gamma": np.array(self.gamma_, dtype=np.float64),
        }

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Self:
        """Take what ``get_arrays`` gave; ``classes_`` is there already.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            ``support_vectors`` (n_SV, n_features), ``dual_coef`` (n_classes - 1, n_SV),
            ``intercept`` (pairs,), ``n_support`` (n_classes,) and ``gamma`` ().
        n_features : int
            Columns of the rows.

        Raises
        ------
        ValueError
            When a name, dtype, shape or value is not as it must be.
        """
        self._check_settings()
        count = len(self.classes_)
        check_names(arrays, ("support_vectors", "dual_coef", "intercept", "n_support", "gamma"))
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
        self.n_features_in_ = n_features
        return self

    def _check_settings(self) -> None:
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel={self.kernel!r}: expected {', '.join(KERNELS)}")
        if not isinstance(self.degree, Integral) or self.degree < 0:
            raise ValueError(f"degree={self.degree!r}: expected a whole number from 0 up")

    def _gamma(self, X: NDArray[np.floating]) -> float:
        if self.gamma == "scale":
            spread = float(X.var(dtype=np.float64))
            return 1.0 / (int(X.shape[1]) * spread) if spread != 0 else 1.0
        if self.gamma == "auto":
            return 1.0 / int(X.shape[1])
        if isinstance(self.gamma, str) or not 0 <= self.gamma < math.inf:
            raise ValueError(
                f"gamma={self.gamma!r}: expected 'scale', 'auto' or a number from 0 up"
            )
        return float(self.gamma)

    def _kernel(self, product: Floats, squares_a: Floats, squares_b: Floats) -> Floats:
        return kernel_matrix(
            product, squares_a, squares_b, self.kernel,
            gamma=self.gamma_, degree=self.degree, coef0=self.coef0,
        )  # fmt: skip

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of each row of X (n, d), shape (n,)."""
        check_is_fitted(self)
        if self.break_ties and self.decision_function_shape == "ovo":
            raise ValueError("break_ties must be False when decision_function_shape is 'ovo'")
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        if self.break_ties and len(self.classes_) > 2:
            winners = [self._ovr(values).argmax(1) for values in self._decisions(rows)]
        else:
            winners = [_winners(values) for values in self._decisions(rows)]
        labels: NDArray[Any] = self.classes_[np.concatenate(winners)]
        return labels

    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return scores: (n,) for two classes, else (n, n_classes), or (n, pairs) for ``ovo``."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        if len(self.classes_) == 2:  # scikit-learn's sign: positive for the second class
            return np.concatenate([-values[0, 1].numpy() for values in self._decisions(rows)])
        shape = _by_pair if self.decision_function_shape == "ovo" else self._ovr
        return np.concatenate([shape(values) for values in self._decisions(rows)])

    def _ovr(self, values: torch.Tensor) -> Floats:
        pairs = _by_pair(values)
        found: Floats = _ovr_decision_function(pairs < 0, -pairs, len(self.classes_))
        return found

    def _decisions(self, X: NDArray[np.floating]) -> Iterator[torch.Tensor]:
        """Yield decision values (n_classes, n_classes, rows) for chunks of rows.

        The value of the pair (i, j), i < j, is positive for class i: the sum of coefficient times
        kernel over both classes' support vectors, plus the pair's intercept. A product of matrices
        gives what one class's support vectors add to all of its pairs.
        """
        keep_memory()
        count = len(self.classes_)
        coefficients, intercept = self.dual_coef_, self.intercept_
        if count == 2:  # scikit-learn turned the signs of two classes' numbers
            coefficients, intercept = -coefficients, -intercept
        constant = torch.zeros(count, count, 1, dtype=torch.float64)
        constant[tuple(np.triu_indices(count, 1))] = torch.from_numpy(intercept)[:, None]
        constant = constant + constant.transpose(0, 1)
        ends = np.cumsum(self.n_support_)
        spans = [slice(end - own, end) for end, own in zip(ends, self.n_support_, strict=True)]
        against = [  # against class j lies in row j - 1 for j > i, else in row j; none against i
            torch.from_numpy(np.insert(coefficients[:, span], i, 0.0, axis=0))
            for i, span in enumerate(spans)
        ]
        squares = _squares(self.support_vectors_)
        step = max(16, _CHUNK_BYTES // (8 * max(len(self.support_vectors_), count * count)))
        space = torch.empty(count * count * min(step, len(X)), dtype=torch.float64)
        for begin in range(0, len(X), step):
            rows = X[begin : begin + step]
            product = products(self.support_vectors_, rows)
            kernel = torch.from_numpy(self._kernel(product, squares, _squares(rows)))
            shares = space[: count * count * len(rows)].view(count, count, len(rows))
            for i, span in enumerate(spans):
                torch.mm(against[i], kernel[span], out=shares[i])
            yield shares + shares.transpose(0, 1) + constant


def _by_pair(values: torch.Tensor) -> Floats:
    """Return decision values (rows, pairs), the pairs in the order (0, 1), (0, 2), …"""
    first, second = np.triu_indices(len(values), 1)
    return np.ascontiguousarray(values.numpy()[first, second].T)


def _winners(values: torch.Tensor) -> NDArray[np.intp]:
    """Return the class that wins the most pairs; the first of equals, as in LIBSVM.

    A value of exactly 0 is a vote for the second class.
    """
    count = len(values)
    is_second = torch.ones(count, count, dtype=torch.bool).tril(-1)[:, :, None]
    won = (values > 0) ^ is_second
    won.diagonal().zero_()  # no class meets itself
    winners: NDArray[np.intp] = won.sum(1, dtype=torch.int16).numpy().argmax(0)
    return winners


def _squares(X: NDArray[np.floating]) -> Floats:
    squares: Floats = np.einsum("ij,ij->i", X, X, dtype=np.float64)
    return squares

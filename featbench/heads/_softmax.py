"""Multinomial logistic regression to its exact optimum, for one C or a whole path of them."""

import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from featbench.heads._arrays import check_array, check_names
from featbench.heads._calibration import softmax
from featbench.heads._device import find_device
from featbench.heads._eigenbasis import Rows, rotate
from featbench.heads._newton import Point, SoftmaxProblem, Solution
from featbench.heads._trials import Fold, Trial, one_by_one
from featbench.machine import flush_denormals, keep_memory

_SMALL = 2**24
"""Up to so many multiplications a product, float64 costs nothing that anyone would notice."""
_FINE = 1e-5
"""A finer tolerance than this is below what float32 gradients can tell."""
_UNEVEN = 30.0
"""A row that is so many times the median row's length has scores that float32 rounds too far."""
_FINEST = 1e-8
"""Its square is the last digit of a float64 objective."""
_BLENDED = 3
_LOOSE = 0.1

Floats = NDArray[np.float64]


class SoftmaxRegression(ClassifierMixin, BaseEstimator):
    """Softmax regression with scikit-learn's objective, at its optimum.

    C Σ_i w_i cross-entropy_i + ½|coef|², the intercept without penalty; for two classes the
    binary objective of ``LogisticRegression``, with one row of coefficients.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    class_weight : dict or 'balanced', optional
        As in scikit-learn.
    max_iter : int
        At most so many Newton steps.
    tol : float
        Where the estimated gap to the optimum is at most tol² of the objective, the solver
        stops; probabilities are then good to about 10 tol. Small problems are solved in float64
        and to a hundredth of ``tol``, which costs a step.
    device : str
        ``cpu``, ``cuda``, or ``auto``: a GPU where there is one.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    coef_ : ndarray of float64, shape (n_classes, d), or (1, d) for two classes
        Weights.
    intercept_ : ndarray of float64, shape (n_classes,) or (1,)
        Biases.
    n_iter_ : ndarray of int, shape (1,)
        Newton steps, on a path those from the solution before; at least 1.
    converged_ : bool
        Whether ``tol`` was reached.
    """

    def __init__(
        self,
        C: float = 1.0,
        class_weight: Any = None,
        max_iter: int = 100,
        tol: float = 1e-4,
        device: str = "cpu",
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit on rows X (n, d) with labels y (n,).

        Parameters
        ----------
        X : array, shape (n, d)
            Finite rows.
        y : array, shape (n,)
            Labels; at least two different ones.
        sample_weight : array, shape (n,), optional
            Multiplies each row's cross-entropy; from 0 up.

        Raises
        ------
        ValueError
            For shapes that differ, values that are not finite, one class only, or a parameter
            that cannot be.

        Warns
        -----
        ConvergenceWarning
            When ``max_iter`` ends it before ``tol`` is reached.
        """
        _fit_all([self], X, y, sample_weight)
        return self

    def _check_parameters(self) -> None:
        if not isinstance(self.C, Real) or not 0 < self.C < math.inf:
            raise ValueError(f"C={self.C!r}: expected a number above 0")
        if not isinstance(self.tol, Real) or not 0 < self.tol < math.inf:
            raise ValueError(f"tol={self.tol!r}: expected a number above 0")
        if not isinstance(self.max_iter, Integral) or self.max_iter < 0:
            raise ValueError(f"max_iter={self.max_iter!r}: expected a whole number from 0 up")

    def _take(self, solution: Solution, rows: Rows) -> None:
        W = solution.point.W.double()
        weight = rows.basis.double() @ W[:-1]
        bias = W[-1] - rows.mean.double() @ weight
        weight, bias = weight.T.cpu(), bias.cpu()
        if len(self.classes_) == 2:  # one score, for the second class
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        self.coef_: Floats = weight.contiguous().numpy()
        self.intercept_: Floats = bias.numpy()
        self.n_iter_ = np.array([max(1, solution.steps)], dtype=np.int32)
        self.converged_ = solution.converged
        if not solution.converged:
            how = f"gap {solution.gap / solution.objective:.1e} of the objective"
            end = (
                f"after max_iter={self.max_iter} steps (C={self.C}): {how}. Increase max_iter"
                if solution.steps >= self.max_iter
                else f"(C={self.C}): rounding ends it at a {how}. Scale the rows or raise tol"
            )
            warnings.warn(f"softmax regression did not converge {end}.",
                          ConvergenceWarning, stacklevel=4)  # fmt: skip

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return scores (n, n_classes); for two classes (n,), positive for the second."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        scores: Floats = rows.astype(np.float64, copy=False) @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return probabilities (n, n_classes), float64, in the order of ``classes_``."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            scores = np.stack([-scores / 2, scores / 2], axis=1)
        return softmax(scores)

    def predict_log_proba(self, X: ArrayLike) -> Floats:
        """Return the logarithm of ``predict_proba``, (n, n_classes)."""
        with np.errstate(divide="ignore"):
            logs: Floats = np.log(self.predict_proba(X))
        return logs

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of each row of X (n, d), shape (n,)."""
        scores = self.decision_function(X)
        best = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    @staticmethod
    def try_all(
        cores: Sequence["SoftmaxRegression"],
        rows: NDArray[Any],
        y: NDArray[Any],
        folds: Sequence[Fold],
    ) -> Iterator[tuple[int, int, Trial]]:
        """Yield (core, fold, trial); those that differ in C alone start from each other.

        Parameters
        ----------
        cores : sequence of SoftmaxRegression
            Unfitted; they stay so.
        rows : ndarray, shape (n, d)
            Rows to fit on and to score on.
        y : ndarray, shape (n,)
            Labels.
        folds : sequence of (ndarray of int, ndarray of int)
            Rows to fit on and rows to score on.
        """
        alike: dict[str, list[int]] = {}
        for number, core in enumerate(cores):
            alike.setdefault(repr(core.get_params() | {"C": None}), []).append(number)
        for fold, (train, held_out) in enumerate(folds):
            for members in alike.values():
                path = [clone(cores[number]) for number in members]
                began = time.perf_counter()
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", ConvergenceWarning)
                        _fit_all(path, rows[train], y[train], None)
                except Exception:  # one of them cannot be: by themselves they say which, and why
                    for which, _, trial in one_by_one(path, rows, y, [folds[fold]]):
                        yield members[which], fold, trial
                    continue
                share = (time.perf_counter() - began) / len(path)
                for number, fitted in zip(members, path, strict=True):
                    problem = (
                        "" if fitted.converged_ else f"did not converge in {fitted.max_iter} steps"
                    )
                    accuracy = float(np.mean(fitted.predict(rows[held_out]) == y[held_out]))
                    yield number, fold, Trial(accuracy, share, "" if fitted.converged_ else problem)

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was fitted, ``classes_`` apart, as arrays."""
        check_is_fitted(self)
        return {
            "coef": self.coef_,
            "intercept": self.intercept_,
            "n_iter": self.n_iter_,
            "converged": np.array(self.converged_),
        }

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Self:
        """Take what ``get_arrays`` gave; ``classes_`` has been set.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            As ``get_arrays`` gives them.
        n_features : int
            d.

        Raises
        ------
        ValueError
            When names, dtypes or shapes are others, or a number is not finite.
        """
        count = 1 if len(self.classes_) == 2 else len(self.classes_)
        wanted = {
            "coef": ("float64", (count, n_features)),
            "intercept": ("float64", (count,)),
            "n_iter": ("int32", (1,)),
            "converged": ("bool", ()),
        }
        check_names(arrays, wanted)
        for name, (dtype, shape) in wanted.items():
            check_array(arrays, name, shape, (dtype,))
        self.coef_, self.intercept_ = arrays["coef"], arrays["intercept"]
        self.n_iter_, self.converged_ = arrays["n_iter"], bool(arrays["converged"])
        self.n_features_in_ = n_features
        return self


def softmax_path(
    X: ArrayLike,
    y: ArrayLike,
    Cs: Sequence[float],
    sample_weight: ArrayLike | None = None,
    **settings: Any,
) -> list[SoftmaxRegression]:
    """Fit one ``SoftmaxRegression`` for each C, from the smallest up, each from those before.

    Rows are turned once, and a solve starts from the best combination of the last solutions.

    Parameters
    ----------
    X : array, shape (n, d)
        Finite rows.
    y : array, shape (n,)
        Labels; at least two different ones.
    Cs : sequence of float
        In any order; at least one.
    sample_weight : array, shape (n,), optional
        As in ``SoftmaxRegression.fit``.
    **settings
        The other parameters of ``SoftmaxRegression``.

    Returns
    -------
    list of SoftmaxRegression
        Fitted, in the order of ``Cs``.

    Raises
    ------
    ValueError
        As ``SoftmaxRegression.fit``; or when ``Cs`` is empty.
    """
    if not len(Cs):
        raise ValueError("Cs is empty: expected at least one number")
    fitted = [SoftmaxRegression(C=C, **settings) for C in Cs]
    _fit_all(fitted, X, y, sample_weight)
    return fitted


def _fit_all(
    estimators: Sequence[SoftmaxRegression],
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
) -> None:
    """Fit estimators that differ in C alone."""
    one = estimators[0]
    for estimator in estimators:
        estimator._check_parameters()
    rows, y = validate_data(one, X, y, dtype=[np.float64, np.float32])
    check_classification_targets(y)
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y holds one class only ({classes[0]!r}): the number of classes has to be greater "
            "than one"
        )
    weights = _row_weights(one.class_weight, rows, y, classes, labels, sample_weight)
    keep_memory()
    device = find_device(one.device)
    small = rows.size * len(classes) <= _SMALL
    exact = small or rows.dtype == np.float64 or one.tol < _FINE or _are_uneven(rows)
    dtype = np.float64 if exact else np.float32
    tol = max(_FINEST, one.tol / 100 if small else one.tol)
    with torch.inference_mode(), flush_denormals():
        turned = rotate(
            torch.tensor(rows.astype(dtype, copy=False), device=device), weights.to(device)
        )
        problem = SoftmaxProblem(
            turned, torch.from_numpy(labels).to(device), weights.to(device), len(classes)
        )
        solved: list[tuple[float, Point]] = []
        for estimator in sorted(estimators, key=lambda e: float(e.C)):
            # two columns with half the penalty each are the binary model's one
            C = float(estimator.C) / (2 if len(classes) == 2 else 1)
            solution = _solve(problem, C, solved[-_BLENDED:], tol, int(one.max_iter))
            solved.append((C, solution.point))
            estimator.classes_ = classes
            estimator.n_features_in_ = one.n_features_in_
            if hasattr(one, "feature_names_in_"):
                estimator.feature_names_in_ = one.feature_names_in_
            estimator._take(solution, turned)


def _solve(
    problem: SoftmaxProblem, C: float, known: list[tuple[float, Point]], tol: float, max_iter: int
) -> Solution:
    """Solve for C from what is known; with nothing known, by way of smaller C, loosely.

    From zero straight to a big C Newton's steps were seen to take ten times as long.
    """
    spent = 0
    if not known:
        ladder = [C]
        while ladder[-1] > problem.gentle():
            ladder.append(ladder[-1] / 10)
        known = []
        for rung in ladder[:0:-1]:
            tried, most = max(tol, _LOOSE), max_iter - spent
            loose = _next(problem, rung, known[-_BLENDED:], tried, most, loose=True)
            spent += loose.steps
            known.append((rung, loose.point))
    solution = _next(problem, C, known[-_BLENDED:], tol, max_iter - spent)
    return replace(solution, steps=solution.steps + spent)


def _next(
    problem: SoftmaxProblem, C: float, known: list[tuple[float, Point]], tol: float, max_iter: int,
    loose: bool = False,
) -> Solution:  # fmt: skip
    if not known:
        return problem.solve(C, problem.start(), tol, max_iter, loose=loose)
    ahead = 0.0
    if len(known) > 1 and known[-1][0] > known[-2][0]:  # coefficients go about as log C
        ahead = math.log(C / known[-1][0]) / math.log(known[-1][0] / known[-2][0])
    point, state = problem.between(C, [point for _, point in known], ahead)
    return problem.solve(C, point, tol, max_iter, state, loose)


def _are_uneven(X: NDArray[np.floating]) -> bool:
    """Say whether some rows of X (n, d) lie far outside all others."""
    middle = np.median(X[:: max(1, len(X) // 256)], axis=0)  # a long row moves a mean
    lengths = np.abs(X - middle).mean(axis=1, dtype=np.float64)
    return bool(lengths.max() > _UNEVEN * np.median(lengths))


def _row_weights(
    class_weight: Any,
    X: NDArray[Any],
    y: ArrayLike,
    classes: NDArray[Any],
    labels: NDArray[np.intp],
    sample_weight: ArrayLike | None,
) -> torch.Tensor:
    """Return what each row's loss is multiplied by, float64 (n,)."""
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    each = compute_class_weight(class_weight, classes=classes, y=y, sample_weight=weights)
    found = weights * each[labels]
    if not found.sum() > 0:
        raise ValueError("every row's weight is 0: nothing to learn from")
    return torch.from_numpy(found)

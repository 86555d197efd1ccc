"""Ridge classification: closed form, every strength from one eigendecomposition, exact LOO."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from featbench.heads._arrays import check_arrays
from featbench.heads._base import Head, register_head
from featbench.heads._class_weight import class_weights
from featbench.machine import keep_memory

Floats = NDArray[np.float64]

_ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
_SELECT = ("error", "squared_error")
_BLOCK_BYTES = 64 * 2**20
_EPSILON = float(np.finfo(np.float64).eps)


@register_head("ridge")
class RidgeHead(Head):
    """Ridge classifier: least squares on ±1 in closed form, its strength by exact leave-one-out.

    Coefficients are those of scikit-learn's ``RidgeClassifier``. One eigendecomposition serves all
    strengths and their leave-one-out predictions, so there is nothing to tune.

    Parameters
    ----------
    alphas : sequence of float, or float
        Strengths of the penalty to choose from; a single one is simply used. The squared error is
        a sum over rows, so a fitting strength grows with their number; the default serves unit
        rows and standardised ones, from a hundred rows to tens of thousands.
    select : str
        ``error``: the strength with the lowest leave-one-out classification error; of equals the
        one with the lowest leave-one-out squared error, then the strongest. ``squared_error``:
        squared error first.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``. It is fitted on all rows, so
        leave-one-out leaves a row out of the regression, not out of this.
    class_weight : dict or 'balanced', optional
        As in scikit-learn. Leave-one-out errors are weighted likewise, and the weights stay those
        of all rows.
    calibrate : str, optional
        How scores become probabilities.

    Attributes
    ----------
    alpha_ : float
        The strength chosen.
    loo_error_ : ndarray, shape (n_alphas,)
        Leave-one-out classification error of each of ``alphas``, a (weighted) fraction.
    loo_squared_error_ : ndarray, shape (n_alphas,)
        Leave-one-out squared error, the (weighted) mean over rows and outputs.
    """

    space: ClassVar[dict[str, tuple[Any, ...]]] = {"preprocess": ("standardise", "l2")}

    def __init__(
        self,
        alphas: Sequence[float] | float = _ALPHAS,
        select: str = "error",
        preprocess: str = "standardise",
        class_weight: Any = None,
        calibrate: str | None = None,
    ) -> None:
        self.alphas = alphas
        self.select = select
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.calibrate = calibrate

    def _core(self) -> "RidgeLOO":
        return RidgeLOO(**self._core_settings())

    def _is_linear(self) -> bool:
        return True

    @property
    def alpha_(self) -> float:
        """The strength chosen."""
        return float(self.core_.alpha_)

    @property
    def loo_error_(self) -> Floats:
        """Leave-one-out classification error of each strength, shape (n_alphas,)."""
        errors: Floats = self.core_.loo_error_
        return errors

    @property
    def loo_squared_error_(self) -> Floats:
        """Leave-one-out squared error of each strength, shape (n_alphas,)."""
        errors: Floats = self.core_.loo_squared_error_
        return errors


class RidgeLOO(ClassifierMixin, BaseEstimator):
    """The classifier of ``RidgeHead``, on preprocessed rows; its parameters are explained there.

    With rows and targets centred by their weighted means and multiplied by √w, the hat matrix is
    H = √w√wᵀ / Σw + X (XᵀX + αI)⁻¹ Xᵀ, whose first term is the intercept, and the residual of a
    row that was left out is (y - ŷ) / (1 - h) (Allen 1974; Golub, Heath and Wahba 1979).

    Attributes
    ----------
    coef_ : ndarray, shape (n_classes, d), or (1, d) for two classes
        As ``RidgeClassifier``'s.
    intercept_ : ndarray, shape (n_classes,) or (1,)
        Likewise.
    alpha_, loo_error_, loo_squared_error_
        As the head's.
    """

    def __init__(
        self,
        alphas: Sequence[float] | float = _ALPHAS,
        select: str = "error",
        class_weight: Any = None,
    ) -> None:
        self.alphas = alphas
        self.select = select
        self.class_weight = class_weight

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:
        """Fit on rows X (n, d), labels y (n,); raises ValueError for impossible settings."""
        alphas = self._strengths()
        keep_memory()
        self.classes_, labels = np.unique(y, return_inverse=True)
        weights = class_weights(self.class_weight, self.classes_, y)[labels]
        if np.count_nonzero(weights) < 2:
            raise ValueError(f"class_weight={self.class_weight!r} leaves fewer than two rows")
        targets = np.where(labels[:, None] == np.arange(len(self.classes_)), 1.0, -1.0)
        if len(self.classes_) == 2:
            targets = targets[:, 1:]
        solve = _Gram if len(X) <= X.shape[1] else _Covariance
        solution = solve(np.asarray(X), targets, weights)
        self.loo_error_, self.loo_squared_error_ = _leave_one_out(
            solution, alphas, targets, weights
        )
        first, second = self.loo_error_, self.loo_squared_error_
        if self.select == "squared_error":
            first, second = second, first
        best = np.lexsort((-alphas, second, first))[0]
        self.alpha_ = float(alphas[best])
        self.coef_: Floats = solution.coefficients(self.alpha_)
        self.intercept_: Floats = solution.y_mean - self.coef_ @ solution.x_mean
        return self

    def _strengths(self) -> Floats:
        if self.select not in _SELECT:
            raise ValueError(f"select={self.select!r}: expected {', '.join(_SELECT)}")
        try:
            alphas = np.atleast_1d(np.asarray(self.alphas, dtype=np.float64))
        except (TypeError, ValueError):
            alphas = np.empty(0)
        if alphas.ndim != 1 or not len(alphas) or not ((alphas > 0) & np.isfinite(alphas)).all():
            raise ValueError(f"alphas={self.alphas!r}: expected numbers above 0, one or more")
        return alphas

    def decision_function(self, X: NDArray[Any]) -> Floats:
        """Return scores (n, n_classes), near 1 for the class and -1 for others; (n,) for two."""
        return _scores(np.asarray(X, dtype=np.float64) @ self.coef_.T + self.intercept_)

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the label with the highest score, (n,)."""
        labels: NDArray[Any] = self.classes_[_winners(self.decision_function(X))]
        return labels

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was fitted, by name."""
        names = ("coef_", "intercept_", "loo_error_", "loo_squared_error_")
        return {n: getattr(self, n) for n in names} | {"alpha_": np.array(self.alpha_)}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Self:
        """Take what ``get_arrays`` gave, ``classes_`` being set; raises ValueError if it differs.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Saved arrays.
        n_features : int
            Width of the rows.
        """
        outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        count = len(self._strengths())
        check_arrays(arrays, {
            "coef_": ("f", (outputs, n_features)), "intercept_": ("f", (outputs,)),
            "loo_error_": ("f", (count,)), "loo_squared_error_": ("f", (count,)),
            "alpha_": ("f", ()),
        })  # fmt: skip
        for name, array in arrays.items():
            setattr(self, name, array)
        self.alpha_ = float(arrays["alpha_"])
        return self


class _Solution(ABC):
    """Centred, weighted least squares in an eigenbasis; subclasses say of which matrix."""

    def __init__(self, X: NDArray[np.floating], targets: Floats, weights: Floats) -> None:
        self.x, self.weights = X, weights
        self.root = np.sqrt(weights)[:, None]
        self.x_mean: Floats = np.zeros(X.shape[1])
        for span in self.spans():
            self.x_mean += weights[span] @ X[span] / weights.sum()
        self.y_mean: Floats = weights @ targets / weights.sum()
        self.y = self.root * (targets - self.y_mean)

    def spans(self) -> Iterator[slice]:
        """Yield blocks of rows: only they are copied to double precision."""
        size = max(1, _BLOCK_BYTES // (8 * self.x.shape[1]))
        for start in range(0, len(self.x), size):
            yield slice(start, start + size)

    def centred(self) -> Iterator[tuple[slice, Floats]]:
        """Yield the rows, centred, times √w, a block at a time."""
        for span in self.spans():
            yield span, (self.x[span] - self.x_mean) * self.root[span]

    @abstractmethod
    def coefficients(self, alpha: float) -> Floats:
        """Return weights, shape (outputs, d)."""

    @abstractmethod
    def left_out(self, alphas: Floats) -> Iterator[tuple[slice, int, Floats]]:
        """Yield rows, a strength's number and the rows' residuals when left out, times √w."""


class _Covariance(_Solution):
    """By the eigenvectors of XᵀX, (d, d): for more rows than features."""

    def __init__(self, X: NDArray[np.floating], targets: Floats, weights: Floats) -> None:
        super().__init__(X, targets, weights)
        square = np.zeros((X.shape[1], X.shape[1]))
        across = np.zeros((X.shape[1], targets.shape[1]))
        for span, rows in self.centred():
            square += rows.T @ rows
            across += rows.T @ self.y[span]
        self.values, self.vectors = _eigen(square)
        self.projected = self.vectors.T @ across

    def coefficients(self, alpha: float) -> Floats:
        found: Floats = (self.vectors @ (self.projected / (self.values + alpha)[:, None])).T
        return found

    def left_out(self, alphas: Floats) -> Iterator[tuple[slice, int, Floats]]:
        share = self.weights / self.weights.sum()
        for span, rows in self.centred():
            rows = rows @ self.vectors
            squares = rows**2
            for i, alpha in enumerate(alphas):
                inverse = 1 / (self.values + alpha)
                leverage = share[span] + squares @ inverse
                residual = self.y[span] - rows @ (self.projected * inverse[:, None])
                yield span, i, residual / np.maximum(1 - leverage, _EPSILON)[:, None]


class _Gram(_Solution):
    """By the eigenvectors of XXᵀ, (n, n): for fewer rows than features.

    The direction √w belongs to the intercept, and X has no part in it: it is given the largest
    eigenvalue and taken out. What remains, α/(s + α), makes 1 - h and the residuals as sums of
    positive numbers, with nothing cancelled.
    """

    def __init__(self, X: NDArray[np.floating], targets: Floats, weights: Floats) -> None:
        super().__init__(X, targets, weights)
        rows = np.concatenate([part for _, part in self.centred()])
        gram = rows @ rows.T
        apart = 2 * np.trace(gram) + 1.0
        values, vectors = _eigen(gram + apart * (self.root @ self.root.T) / weights.sum())
        self.values, self.vectors = values[:-1], vectors[:, :-1]
        self.rows, self.projected = rows, self.vectors.T @ self.y

    def coefficients(self, alpha: float) -> Floats:
        dual = self.vectors @ (self.projected / (self.values + alpha)[:, None])
        found: Floats = dual.T @ self.rows
        return found

    def left_out(self, alphas: Floats) -> Iterator[tuple[slice, int, Floats]]:
        squares = self.vectors**2
        for i, alpha in enumerate(alphas):
            kept = alpha / (self.values + alpha)
            residual = self.vectors @ (self.projected * kept[:, None])
            yield slice(None), i, residual / (squares @ kept)[:, None]


def _eigen(matrix: Floats) -> tuple[Floats, Floats]:
    """Return eigenvalues, rising and none below 0, and eigenvectors (columns)."""
    values, vectors = torch.linalg.eigh(torch.from_numpy(matrix))
    return values.clamp_(min=0.0).numpy(), vectors.numpy()


def _leave_one_out(
    solution: _Solution, alphas: Floats, targets: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """Return weighted classification errors and mean squared errors, (n_alphas,) each."""
    wrong, squared = np.zeros(len(alphas)), np.zeros(len(alphas))
    for span, i, residual in solution.left_out(alphas):
        weight = weights[span]
        counts = weight > 0
        weight, truth = weight[counts], targets[span][counts]
        predicted = truth - residual[counts] / np.sqrt(weight)[:, None]
        missed = _winners(_scores(predicted)) != _winners(_scores(truth))
        wrong[i] += weight @ missed
        squared[i] += weight @ ((truth - predicted) ** 2).sum(axis=1)
    return wrong / weights.sum(), squared / (weights.sum() * targets.shape[1])


def _scores(outputs: Floats) -> Floats:
    """Return outputs (n, n_classes) as they are, a single output as (n,)."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def _winners(scores: Floats) -> NDArray[np.intp]:
    """Return each row's class: the highest score, the first of equals."""
    if scores.ndim == 1:
        return (scores > 0).astype(np.intp)
    winners: NDArray[np.intp] = scores.argmax(axis=1)
    return winners

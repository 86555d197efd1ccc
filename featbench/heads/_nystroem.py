"""A kernel SVM where no Gram matrix fits: Nyström's features and a linear SVM, an approximation."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import LinearSVC

from featbench.heads._arrays import check_arrays
from featbench.heads._kernel_svc import KernelSVC
from featbench.heads._kernels import Floats, Rows, products, squared_lengths

_MOST = 2000
_BLOCK = 1024


class NystroemSVC(ClassifierMixin, BaseEstimator):
    """One-vs-rest linear SVM on features whose inner products are nearly the kernel.

    Kernel values with a random sample of training rows, turned so that they are orthonormal
    (Williams and Seeger 2001): 2,000, or all rows where there are fewer.

    Parameters
    ----------
    exact : KernelSVC
        What it stands in for: kernel, C and class weights are taken from it.
    random_state : int
        Decides the sample.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    landmarks_ : ndarray, shape (m, d)
        The sample.
    projection_ : ndarray of float32, shape (m, m)
        Turns kernel values with the sample into features.
    coef_, intercept_ : ndarray of float64, shape (n_scores, m) and (n_scores,)
        The linear SVM; with two classes there is one score.
    gamma_ : float
        The number that ``gamma`` came to.
    """

    def __init__(self, exact: KernelSVC, random_state: int = 0) -> None:
        self.exact = exact
        self.random_state = random_state

    def fit(self, X: Rows, y: NDArray[Any]) -> Self:
        """Fit on preprocessed rows X (n, d) with labels y (n,)."""
        kernel = self.exact.settled_kernel(X)
        self.gamma_ = kernel.gamma
        count = min(_MOST, len(X))
        chosen = np.random.default_rng(self.random_state).permutation(len(X))[:count]
        self.landmarks_: Rows = X[np.sort(chosen)]
        self._squares = squared_lengths(self.landmarks_)
        own = kernel.of_(
            products(self.landmarks_, self.landmarks_, torch.float64), self._squares, self._squares
        ).numpy()
        left, lengths, right = np.linalg.svd(own)
        lengths = np.maximum(lengths, lengths.max() * 1e-7)
        self.projection_: NDArray[np.float32] = ((left / np.sqrt(lengths)) @ right).astype(
            np.float32
        )
        linear = LinearSVC(
            C=self.exact.C, class_weight=self.exact.class_weight, random_state=self.random_state
        ).fit(self._features(X), y)
        self.classes_: NDArray[Any] = linear.classes_
        self.coef_: Floats = linear.coef_
        self.intercept_: Floats = linear.intercept_
        return self

    @property
    def approximation(self) -> str:
        """What stands in for the exact machine, in words."""
        return f"Nyström, {len(self.landmarks_):,} rows, one-vs-rest"

    def _features(self, X: Rows) -> NDArray[np.float32]:
        kernel = self.exact.kernel_with(self.gamma_)
        made = np.empty((len(X), len(self.landmarks_)), np.float32)
        for start in range(0, len(X), _BLOCK):
            rows = X[start : start + _BLOCK]
            product = products(rows, self.landmarks_, torch.float32)
            values = kernel.of_(product, squared_lengths(rows), self._squares)
            made[start : start + _BLOCK] = values.numpy() @ self.projection_.T
        return made

    def decision_function(self, X: Rows) -> Floats:
        """Return scores (n, n_classes), or (n,) for two classes; the highest wins."""
        scores: Floats = self._features(X).astype(np.float64) @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Rows) -> NDArray[Any]:
        """Return the label with the highest score, (n,)."""
        scores = self.decision_function(X)
        best = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that prediction needs."""
        names = ("landmarks_", "projection_", "coef_", "intercept_")
        return {name: getattr(self, name) for name in names} | {"gamma_": np.array(self.gamma_)}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Self:
        """Take what ``get_arrays`` gave; ``classes_`` is there already.

        Raises
        ------
        ValueError
            When a name, a shape or a type is not as it must be, or a value is not finite.
        """
        scores = 1 if len(self.classes_) == 2 else len(self.classes_)
        count = len(arrays["projection_"]) if "projection_" in arrays else 0
        check_arrays(arrays, {
            "landmarks_": ("f", (count, n_features)), "projection_": ("f", (count, count)),
            "coef_": ("f", (scores, count)), "intercept_": ("f", (scores,)), "gamma_": ("f", ()),
        })  # fmt: skip
        for name, value in arrays.items():
            setattr(self, name, float(value) if name == "gamma_" else value)
        self._squares = squared_lengths(self.landmarks_)
        return self

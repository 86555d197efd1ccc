"""What every head shares: scikit-learn's contract, checks, and a preprocessing of the features."""

import warnings
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
    validate_data,
)

from featbench.errors import UsageError, did_you_mean
from featbench.registry import Registry

_PREPROCESS = {
    "none": lambda: FunctionTransformer(),
    "standardise": lambda: StandardScaler(),
    "l2": lambda: Normalizer(),
    "whiten": lambda: PCA(whiten=True, svd_solver="full"),
}


def _core_has(method: str) -> Any:
    def check(head: "Head") -> bool:
        return hasattr(head.core_ if hasattr(head, "core_") else head._core(), method)

    return available_if(check)


class Head(ClassifierMixin, BaseEstimator):
    """A classifier on feature rows, with the features' preprocessing inside it.

    A head is a subclass with its settings in ``__init__`` (``preprocess`` among them) and a
    ``_core`` that makes the classifier proper.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels seen by ``fit``, sorted.
    core_ : estimator
        The fitted classifier.
    preprocess_ : transformer
        What was fitted on the training rows only.
    """

    space: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """Settings worth searching, each with the values worth trying."""

    preprocess: str

    def _core(self) -> Any:
        """Return the unfitted classifier that works on preprocessed rows."""
        raise TypeError(f"{type(self).__name__} has no _core")

    def _core_settings(self) -> dict[str, Any]:
        """Return the settings that are the classifier's own, not the head's."""
        own = ("preprocess", "calibrate")
        return {k: v for k, v in self.get_params(deep=False).items() if k not in own}

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Self:
        """Fit preprocessing and classifier.

        Parameters
        ----------
        X : array, shape (n, d)
            Feature rows, finite.
        y : array, shape (n,)
            Labels; at least two different ones.
        validation : (X, y), optional
            Rows to choose an epoch by, for heads that do; others leave them alone.

        Raises
        ------
        ValueError
            When shapes differ, a value is not finite, or there is only one class.
        """
        X, y = validate_data(self, X, y, dtype=[np.float32, np.float64])
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only ({self.classes_[0]!r}); a classifier that "
                "can be trained needs at least two classes"
            )
        if self.preprocess not in _PREPROCESS:
            raise ValueError(f"preprocess={self.preprocess!r}: expected {', '.join(_PREPROCESS)}")
        self.preprocess_ = _PREPROCESS[self.preprocess]()
        rows, core = self.preprocess_.fit_transform(X), self._core()
        chosen_by = {}
        if validation is not None and has_fit_parameter(core, "validation"):
            chosen_by["validation"] = self._labelled(*validation)
        self.core_ = core.fit(rows, y, **chosen_by)
        return self

    def _labelled(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        rows, labels = self._rows(X), column_or_1d(y)
        check_consistent_length(rows, labels)
        return rows, labels

    def _rows(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self)
        rows: NDArray[Any] = self.preprocess_.transform(
            validate_data(self, X, reset=False, dtype=[np.float32, np.float64])
        )
        return rows

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of each row of X (n, d), shape (n,)."""
        rows = self._rows(X)
        labels: NDArray[Any] = self.core_.predict(rows)
        return labels

    @_core_has("predict_proba")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return probabilities (n, n_classes) that sum to 1, in the order of ``classes_``."""
        rows = self._rows(X)
        chances: NDArray[Any] = self.core_.predict_proba(rows)
        return chances

    @_core_has("decision_function")  # type: ignore[untyped-decorator]
    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return scores (n, n_classes), or (n,) for two classes; the highest wins."""
        rows = self._rows(X)
        scores: NDArray[Any] = self.core_.decision_function(rows)
        return scores

    def linear_layer(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (n_classes, d) and biases (n_classes,) on raw features.

        The standardiser is folded in: ``softmax(X @ W.T + b)`` are the head's own probabilities,
        where it has some; in any case the highest logit is the head's label.

        Raises
        ------
        UsageError
            When the head is not one linear layer on (standardised) features.
        """
        check_is_fitted(self)
        if not self._is_linear() or self.preprocess not in ("none", "standardise"):
            raise UsageError(
                f"{type(self).__name__} (preprocess={self.preprocess!r}) is not one "
                "linear layer; warm-start from logreg, or an mlp with hidden=[]"
            )
        weight = np.asarray(self.core_.coef_, dtype=np.float64)
        bias = np.asarray(self.core_.intercept_, dtype=np.float64)
        if len(weight) == 1:  # two classes: one score, for the second
            weight, bias = np.vstack([-weight / 2, weight / 2]), np.append(-bias / 2, bias / 2)
        if self.preprocess == "standardise":
            weight = weight / self.preprocess_.scale_
            bias = bias - weight @ self.preprocess_.mean_
        return weight, bias

    def _is_linear(self) -> bool:
        """Say whether the fitted core's ``coef_`` and ``intercept_`` are one softmax layer."""
        return False

    def parameter_count(self) -> int | None:
        """Return how many parameters the fitted classifier has; None for kernel machines."""
        check_is_fitted(self)
        if hasattr(self.core_, "parameter_count"):
            return int(self.core_.parameter_count())
        try:
            weight, bias = self.linear_layer()
        except UsageError:
            return None
        return weight.size + bias.size


HEADS: Registry[type[Head]] = Registry("head", "featbench.heads")
register_head = HEADS.register


def create_head(name: str, **settings: Any) -> Head:
    """Create an unfitted head by name.

    Parameters
    ----------
    name : str
        A registered name: ``featbench heads`` lists them.
    **settings
        The head's own parameters; lists become tuples.

    Returns
    -------
    Head
        A scikit-learn classifier.

    Raises
    ------
    UsageError
        For an unknown head or setting; the nearest known one is named.
    """
    head = HEADS[name]()
    known = head.get_params()
    for key in settings:
        if key not in known:
            raise UsageError(
                f"head {name} has no setting {key!r}{did_you_mean(key, known)} "
                f"Settings: {', '.join(known)}"
            )
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    head.set_params(**settings)
    if settings:
        _try_out(name, head)
    return head


def _try_out(name: str, head: Head) -> None:
    """Fit a copy on a few made-up rows: a wrong value is found before any work is done."""
    rows = np.random.default_rng(0).normal(size=(12, 3))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clone(head).fit(rows, np.arange(12) % 2)
    except Exception as error:  # scikit-learn, torch and others' heads raise anything
        reason = " ".join(str(error).split())
        given = ", ".join(f"{k}={v}" for k, v in head.get_params().items())
        raise UsageError(f"head {name} cannot work so: {reason} ({given})") from error

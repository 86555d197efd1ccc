"""What every head shares: scikit-learn's contract, checks, and a preprocessing of the features."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
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
from featbench.heads._arrays import check_names
from featbench.heads._calibration import CALIBRATIONS, Calibration, softmax
from featbench.heads._class_weight import check_class_weight
from featbench.heads._out_of_fold import (
    calibration_scores,
    grouped_folds,
    out_of_fold_scores,
    stratified_folds,
)
from featbench.heads._whitener import Whitener
from featbench.registry import Registry

_FLOATS = [np.float32, np.float64]
_PREPROCESS: dict[str, Callable[[], Any]] = {
    "none": lambda: FunctionTransformer(),
    "standardise": lambda: StandardScaler(),
    "l2": lambda: Normalizer(),
    "whiten": Whitener,
}


def _core_has(method: str) -> Any:
    def check(head: "Head") -> bool:
        if method == "predict_proba" and head.calibrate is not None:
            return True
        return hasattr(head.core_ if hasattr(head, "core_") else head._core(), method)

    return available_if(check)


class Head(ClassifierMixin, BaseEstimator):
    """A classifier on feature rows, with the features' preprocessing inside it.

    A head is a subclass with its settings in ``__init__`` (``preprocess`` and ``calibrate`` among
    them) and a ``_core`` that makes the classifier proper.

    With ``calibrate`` its scores become probabilities by what is fitted on out-of-fold scores of
    the training rows: five fits, each without a fifth of the rows (of the groups, where ``fit`` is
    given such), score what they have not seen;
    then one fit on all rows is the classifier that stays. Labels are its own, as without; of two
    classes that are nearly equal the other may have the higher probability.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels seen by ``fit``, sorted.
    core_ : estimator
        The fitted classifier.
    preprocess_ : transformer
        What was fitted on the training rows only.
    calibration_ : Calibration
        What makes scores probabilities; there with ``calibrate`` only.
    """

    space: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """Settings worth searching, each with the values worth trying."""
    grid: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """What to try all combinations of, where those of ``space`` would be too many."""

    preprocess: str
    calibrate: str | None = None

    def _core(self) -> Any:
        """Return the unfitted classifier that works on preprocessed rows."""
        raise TypeError(f"{type(self).__name__} has no _core")

    def _core_for(self, y: NDArray[Any]) -> Any:
        """Return the unfitted classifier for rows with labels y (n,)."""
        return self._core()

    def _cores(self) -> tuple[Any, ...]:
        """Return every unfitted classifier that ``fit`` may choose from, of different classes."""
        return (self._core(),)

    def _quick_copy(self) -> Self:
        """Return an unfitted copy to try settings with: it fits a few rows in no time.

        Raises
        ------
        ValueError
            For a setting that the copy no longer has as it is, and that cannot be.
        """
        return cast(Self, clone(self))

    def idle_settings(self) -> set[str]:
        """Return the settings that change nothing beside the others' values."""
        return set()

    def memory_needed(self, y: NDArray[Any]) -> str:
        """Return one line on the memory that rows with labels y (n,) need, where it is much."""
        return ""

    def warm_up(self) -> None:
        """Compile what a fit runs, where it is compiled at all, so that no fit is timed with it."""

    def _core_settings(self) -> dict[str, Any]:
        """Return the settings that are the classifier's own, not the head's."""
        own = ("preprocess", "calibrate")
        return {k: v for k, v in self.get_params(deep=False).items() if k not in own}

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is fitted beside preprocessing and classifier, for saving."""
        return {} if self.calibrate is None else self.calibration_.get_arrays()

    def _set_own_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what ``_own_arrays`` gave; raises ValueError where it cannot be that."""
        if self.calibrate is None:
            check_names(arrays, ())
        elif self.calibrate not in tuple(CALIBRATIONS):
            raise ValueError(f"settings: calibrate is none of {', '.join(CALIBRATIONS)}")
        else:
            calibration = CALIBRATIONS[self.calibrate]()
            self.calibration_ = calibration.set_arrays(arrays, len(self.classes_))

    def preprocessor(self) -> Any:
        """Return the unfitted transformer that ``preprocess`` names; raises ValueError."""
        if self.preprocess not in _PREPROCESS:
            raise ValueError(f"preprocess={self.preprocess!r}: expected {', '.join(_PREPROCESS)}")
        return _PREPROCESS[self.preprocess]()

    def learns_preprocessing(self) -> bool:
        """Say whether the preprocessing hangs on the rows it is fitted on."""
        return self.preprocess not in ("none", "l2")

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        groups: ArrayLike | None = None,
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
        groups : array, shape (n,), optional
            What must stay together (rows of one patient, one video): wherever rows are held out,
            for calibration or to choose an epoch by, the whole of a group is.

        Raises
        ------
        ValueError
            When shapes differ, a value is not finite, before or after preprocessing, there is only
            one class, or ``calibrate`` is asked for and no class has two rows (groups).
        """
        X, y = validate_data(self, X, y, dtype=_FLOATS)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only ({self.classes_[0]!r}); a classifier that "
                "can be trained needs at least two classes"
            )
        self.preprocessor()  # a wrong name is found before any work
        if self.calibrate is not None and self.calibrate not in CALIBRATIONS:
            raise ValueError(
                f"calibrate={self.calibrate!r}: expected {', '.join(CALIBRATIONS)}, or None"
            )
        if groups is not None:
            groups = column_or_1d(groups)
            check_consistent_length(X, groups)
        core = self._core_for(np.asarray(y))  # once: what is calibrated is what is kept
        if self.calibrate is not None:
            self.calibration_ = self._fit_calibration(core, X, y, groups)
        self.preprocess_, self.core_ = self._fit_on(core, X, y, groups, validation)
        return self

    def _fit_on(
        self,
        core: Any,
        X: Any,
        y: Any,
        groups: Any,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> tuple[Any, Any]:
        preprocess, core = self.preprocessor(), clone(core)
        rows, chosen_by = self._finite(preprocess.fit_transform(X)), {}
        if groups is not None and has_fit_parameter(core, "groups"):
            chosen_by["groups"] = groups
        if validation is not None and has_fit_parameter(core, "validation"):
            others = validate_data(self, validation[0], reset=False, dtype=_FLOATS)
            labels = column_or_1d(validation[1])
            check_consistent_length(others, labels)
            chosen_by["validation"] = self._finite(preprocess.transform(others)), labels
        return preprocess, core.fit(rows, y, **chosen_by)

    def _finite(self, rows: NDArray[Any]) -> NDArray[Any]:
        if self.preprocess != "none" and not np.isfinite(rows).all():
            raise ValueError(
                f"preprocess={self.preprocess!r} makes NaN or infinity of rows so large"
            )
        return rows

    def _fit_calibration(self, core: Any, X: Any, y: Any, groups: Any) -> Calibration:
        def fit_and_score(rest: NDArray[Any], held: NDArray[Any]) -> NDArray[np.float64]:
            together = None if groups is None else groups[rest]
            preprocess, fitted = self._fit_on(core, X[rest], y[rest], together)
            return calibration_scores(fitted, preprocess.transform(X[held]))

        assert self.calibrate is not None
        labels = np.searchsorted(self.classes_, y)
        folds = stratified_folds(labels) if groups is None else grouped_folds(labels, groups)
        scores = out_of_fold_scores(fit_and_score, folds)
        return CALIBRATIONS[self.calibrate]().fit(scores, labels[folds >= 0])

    def _rows(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=_FLOATS)
        return self._finite(self.preprocess_.transform(rows))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of each row of X (n, d), shape (n,)."""
        rows = self._rows(X)
        labels: NDArray[Any] = self.core_.predict(rows)
        return labels

    @_core_has("predict_proba")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return probabilities (n, n_classes) that sum to 1, in the order of ``classes_``."""
        rows = self._rows(X)
        if self.calibrate is not None:
            check_is_fitted(self, "calibration_")
            return self.calibration_.probabilities(calibration_scores(self.core_, rows))
        chances: NDArray[Any] = self.core_.predict_proba(rows)
        return chances

    def uncalibrated_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return what stands for probabilities before calibration, (n, n_classes), sums of 1.

        The classifier's own probabilities; else its shares of one-vs-one votes, if it takes such;
        else the softmax of its decision values.
        """
        rows = self._rows(X)
        for method in ("predict_proba", "vote_shares"):
            if hasattr(self.core_, method):
                chances: NDArray[Any] = getattr(self.core_, method)(rows)
                return chances
        scores = np.asarray(self.core_.decision_function(rows), dtype=np.float64)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        return softmax(scores)

    @_core_has("decision_function")  # type: ignore[untyped-decorator]
    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return scores (n, n_classes), or (n,) for two classes; the highest wins."""
        rows = self._rows(X)
        scores: NDArray[Any] = self.core_.decision_function(rows)
        return scores

    def linear_layer(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (n_classes, d) and biases (n_classes,) on raw features.

        The standardiser is folded in: ``softmax(X @ W.T + b)`` are the head's own probabilities,
        where it has some (before any calibration); in any case the highest logit is its label.

        Raises
        ------
        UsageError
            When the head is not one linear layer on (standardised) features.
        """
        check_is_fitted(self)
        if not self.has_linear_layer():
            raise UsageError(
                f"{type(self).__name__} (preprocess={self.preprocess!r}) is not one linear layer; "
                "warm-start from logreg, ridge, svm-linear with strategy=one-vs-rest, an mlp with "
                "hidden=[], or a euclidean centroid"
            )
        weight = np.asarray(self.core_.coef_, dtype=np.float64)
        bias = np.asarray(self.core_.intercept_, dtype=np.float64)
        if len(weight) == 1:  # two classes: one score, for the second
            weight, bias = np.vstack([-weight / 2, weight / 2]), np.append(-bias / 2, bias / 2)
        if self.preprocess == "standardise":
            weight = weight / self.preprocess_.scale_
            bias = bias - weight @ self.preprocess_.mean_
        return weight, bias

    def has_linear_layer(self) -> bool:
        """Say whether ``linear_layer`` can answer once the head is fitted."""
        return self._is_linear() and self.preprocess in ("none", "standardise")

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
    rows = np.random.default_rng(0).normal(size=(24, 3))
    try:
        tried = head._quick_copy()
        weights = tried.get_params(deep=False).get("class_weight")
        check_class_weight(weights)
        if isinstance(weights, dict):  # labels of its own: what they are is not known yet
            tried.set_params(class_weight=dict(enumerate(list(weights.values())[:2])))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tried.fit(rows, np.arange(24) % (4 if isinstance(weights, dict) else 2))
    except Exception as error:  # scikit-learn, torch and others' heads raise anything
        reason = " ".join(str(error).split())
        given = ", ".join(f"{k}={v}" for k, v in head.get_params().items())
        raise UsageError(f"head {name} cannot work so: {reason} ({given})") from error

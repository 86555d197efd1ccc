"""The ridge head is scikit-learn's RidgeClassifier, and its leave-one-out is the real thing."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from featbench.errors import UsageError
from featbench.heads import create_head
from featbench.heads import ridge as module
from featbench.heads.ridge import RidgeLOO

ALPHAS = (0.01, 1.0, 30.0, 1000.0)
WEIGHTS: list[Any] = [None, "balanced", {0: 3.0, 1: 0.2}, {0: 0.0}]


def tall(classes: int = 3) -> tuple[Any, Any]:
    X, y = load_wine(return_X_y=True)
    rows = np.flatnonzero(y < classes)[::2]
    return StandardScaler().fit_transform(X)[rows], y[rows]


def wide(classes: int = 3) -> tuple[Any, Any]:
    X, y = load_digits(return_X_y=True)
    rows = np.flatnonzero(y < classes)[:40]
    return X[rows] / 16, y[rows]


@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("data", [tall, wide])
class TestAgainstScikitLearn:
    def test_coefficients_are_ridge_classifiers(self, data: Any, classes: int, weight: Any) -> None:
        X, y = data(classes)
        for alpha in ALPHAS:
            theirs = RidgeClassifier(alpha=alpha, class_weight=weight, solver="svd").fit(X, y)
            ours = RidgeLOO(alphas=alpha, class_weight=weight).fit(X, y)
            np.testing.assert_allclose(ours.coef_, np.atleast_2d(theirs.coef_), atol=1e-9)
            np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-9)
            assert np.array_equal(ours.predict(X), theirs.predict(X))
            assert ours.decision_function(X).shape == theirs.decision_function(X).shape
            assert ours.alpha_ == alpha

    def test_leave_one_out_is_that_of_refits(self, data: Any, classes: int, weight: Any) -> None:
        X, y = data(classes)
        weights = compute_sample_weight(weight, y)
        wrong, squared = [], []
        for alpha in ALPHAS:
            misses, squares = np.zeros(len(y)), np.zeros(len(y))
            for i in range(len(y)):
                rest = np.arange(len(y)) != i
                model = RidgeClassifier(alpha=alpha, solver="svd")
                model.fit(X[rest], y[rest], sample_weight=weights[rest])
                misses[i] = model.predict(X[i : i + 1])[0] != y[i]
                target = np.where(model.classes_ == y[i], 1, -1)[-1 if classes == 2 else 0 :]
                squares[i] = ((model.decision_function(X[i : i + 1]) - target) ** 2).mean()
            wrong.append(weights @ misses / weights.sum())
            squared.append(weights @ squares / weights.sum())
        ours = RidgeLOO(alphas=ALPHAS, class_weight=weight).fit(X, y)
        np.testing.assert_allclose(ours.loo_error_, wrong, atol=1e-12)
        np.testing.assert_allclose(ours.loo_squared_error_, squared, rtol=1e-8)
        best = min(range(4), key=lambda i: (wrong[i], squared[i], -ALPHAS[i]))
        assert ours.alpha_ == ALPHAS[best]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = tall()
    whole = RidgeLOO().fit(X, y)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 8 * X.shape[1] * 7)
    parts = RidgeLOO().fit(X, y)
    np.testing.assert_allclose(parts.coef_, whole.coef_, atol=1e-12)
    np.testing.assert_allclose(parts.loo_error_, whole.loo_error_, atol=1e-12)


def test_equal_rows_and_empty_features_do_no_harm() -> None:
    X, y = wide()
    X, y = np.repeat(np.c_[X, np.zeros((len(X), 3))], 2, axis=0)[:60], np.repeat(y, 2)[:60]
    fitted = RidgeLOO(alphas=(1e-6, 1.0)).fit(X, y)
    assert np.isfinite(fitted.coef_).all()
    assert fitted.loo_error_.max() <= 1
    assert np.isfinite(fitted.loo_squared_error_).all()


def test_of_strengths_with_equal_errors_the_smaller_squares_win_then_the_stronger() -> None:
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    head = RidgeLOO(alphas=(1e-3, 1.0, 2.0)).fit(X, y)
    assert np.ptp(head.loo_error_) == 0
    assert head.alpha_ == (1e-3, 1.0, 2.0)[head.loo_squared_error_.argmin()]
    assert RidgeLOO(alphas=(1.0, 1.0)).fit(X, y).alpha_ == 1.0


def test_select_by_squared_error() -> None:
    X, y = tall()
    fitted = RidgeLOO(select="squared_error").fit(X, y)
    assert (
        fitted.loo_squared_error_.min()
        == fitted.loo_squared_error_[np.flatnonzero(np.array(module._ALPHAS) == fitted.alpha_)[0]]
    )


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer], ids=["three", "two"])
@pytest.mark.parametrize("preprocess", ["none", "standardise"])
def test_the_head_is_one_linear_layer_on_raw_features(load: Any, preprocess: str) -> None:
    X, y = load(return_X_y=True)
    head = create_head("ridge", preprocess=preprocess).fit(X, y)
    weight, bias = head.linear_layer()
    assert weight.shape == (len(head.classes_), X.shape[1])
    assert np.array_equal(head.classes_[(X @ weight.T + bias).argmax(1)], head.predict(X))
    assert head.alpha_ in module._ALPHAS
    assert head.loo_error_.shape == head.loo_squared_error_.shape == (8,)
    assert head.parameter_count() == len(head.classes_) * (X.shape[1] + 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alphas": (0.0, 1.0)}, "above 0"),
        ({"alphas": ()}, "one or more"),
        ({"alphas": "strong"}, "alphas='strong'"),
        ({"select": "luck"}, "expected error, squared_error"),
        ({"class_weight": "even"}, "class_weight='even'"),
        ({"class_weight": {0: -1.0}}, "none below 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_head("ridge", **settings)


def test_a_weight_of_a_label_that_is_none_is_refused_when_labels_are_known() -> None:
    with pytest.raises(ValueError, match="not in"):
        create_head("ridge", class_weight={7: 1.0}).fit(np.eye(4), [0, 1, 0, 1])

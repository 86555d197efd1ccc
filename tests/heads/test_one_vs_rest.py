"""One-vs-rest linear SVMs are scikit-learn's, and one linear layer on raw features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from featbench.errors import UsageError
from featbench.heads import KernelSVC, create_head
from featbench.heads._nystroem import NystroemSVC
from featbench.heads._one_vs_one import gram_bytes
from featbench.heads._one_vs_rest import OneVsRestSVC
from featbench.heads._saved import load_head, save_head
from featbench.heads._tune import tune
from featbench.machine import limit_memory

LOADERS = {"digits": load_digits, "iris": load_iris, "two classes": load_breast_cancer}


def one_vs_rest(**settings: Any) -> Any:
    return create_head("svm-linear", strategy="one-vs-rest", **settings)


@pytest.mark.parametrize("C", [0.01, 1.0])
@pytest.mark.parametrize("data", LOADERS)
def test_labels_and_scores_are_those_of_scikit_learn(data: str, C: float) -> None:
    X, y = LOADERS[data](return_X_y=True)
    svc = SVC(kernel="linear", C=C)
    theirs = make_pipeline(StandardScaler(), OneVsRestClassifier(svc)).fit(X[::2], y[::2])
    ours = one_vs_rest(C=C).fit(X[::2], y[::2])
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(
        ours.decision_function(X), theirs.decision_function(X), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("data", LOADERS)
@pytest.mark.parametrize("preprocess", ["none", "standardise"])
def test_it_is_one_layer_on_raw_features(data: str, preprocess: str) -> None:
    X, y = LOADERS[data](return_X_y=True)
    X = X[::3] / X.std()
    head = one_vs_rest(preprocess=preprocess)
    assert head.has_linear_layer()
    head.fit(X, y[::3])
    weight, bias = head.linear_layer()
    logits = X @ weight.T + bias
    assert np.array_equal(logits.argmax(axis=1), head.predict(X))
    scores = head.decision_function(X)
    scores = scores if scores.ndim == 2 else np.stack([-scores / 2, scores / 2], axis=1)
    np.testing.assert_allclose(logits, scores, atol=1e-9)
    assert head.parameter_count() == weight.size + bias.size


def test_of_two_classes_either_strategy_is_the_same_layer() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    votes, rest = create_head("svm-linear").fit(X, y), one_vs_rest().fit(X, y)
    assert votes.has_linear_layer()
    for one, other in zip(votes.linear_layer(), rest.linear_layer(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert not create_head("svm-linear").fit(*load_iris(return_X_y=True)).has_linear_layer()
    assert not one_vs_rest(preprocess="l2").fit(X, y).has_linear_layer()


def test_a_row_has_the_weight_of_its_class_in_every_machine() -> None:
    X, y = load_iris(return_X_y=True)
    weights = {0: 2.0, 1: 0.5, 2: 1.0}
    ours = one_vs_rest(class_weight=weights, preprocess="none").fit(X, y)
    for c in range(3):
        alone = SVC(kernel="linear", C=0.01).fit(X, y == c, [weights[k] for k in y])
        np.testing.assert_allclose(ours.decision_function(X)[:, c], alone.decision_function(X))


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_saved_and_loaded(classes: int, tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    X, y = X[y < classes], y[y < classes]
    head = one_vs_rest(calibrate="temperature").fit(X, y)
    save_head(head, tmp_path)
    again = load_head(tmp_path)
    assert isinstance(again.core_, OneVsRestSVC)
    assert np.array_equal(again.predict_proba(X), head.predict_proba(X))
    for one, other in zip(again.linear_layer(), head.linear_layer(), strict=True):
        assert np.array_equal(one, other)


def test_memory_is_planned_and_said() -> None:
    X, y = load_iris(return_X_y=True)
    assert one_vs_rest().memory_needed(y) == ""
    with limit_memory(4 << 30):
        much = one_vs_rest().memory_needed(np.zeros(20_000))
    assert much.startswith("Gram matrix 20,000 × 20,000, ")
    with limit_memory(gram_bytes(140)):
        for work in (one_vs_rest().memory_needed, lambda y: one_vs_rest().fit(X, y)):
            with pytest.raises(UsageError, match=r"150 rows needs .*strategy=one-vs-one"):
                work(y)
        head = one_vs_rest(approximate=True)
        assert "an approximation is fitted" in head.memory_needed(y)
        assert isinstance(head.fit(X, y).core_, NystroemSVC)
        assert not head.has_linear_layer()


def test_tuning_scores_it_as_it_predicts() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:400], y[:400]
    folds = [(np.arange(300), np.arange(300, 400)), (np.arange(100, 400), np.arange(100))]
    heads = [one_vs_rest(C=C) for C in (1e-4, 0.1)]
    for one in tune(heads, X, y, folds):
        alone = [one_vs_rest(C=one.head.C).fit(X[a], y[a]).score(X[b], y[b]) for a, b in folds]
        assert [trial.accuracy for trial in one.trials] == alone


def test_what_cannot_be_is_said() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(UsageError, match="strategy='both': expected one-vs-one, one-vs-rest"):
        create_head("svm-linear", strategy="both")
    with pytest.raises(ValueError, match="kernel='rbf'"):
        OneVsRestSVC(KernelSVC()).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        one_vs_rest(max_iter=2).fit(X, y)
    with pytest.raises(AttributeError, match="two classes"):
        _ = KernelSVC(kernel="linear").fit(X, y).coef_

"""What single heads promise beyond the contract."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from featbench.errors import UsageError
from featbench.heads import HEADS, Head, create_head, register_head
from featbench.registry import Registry

X, Y = load_wine(return_X_y=True)
KERNELS = {"svm-linear": "linear", "svm-poly": "poly", "svm-rbf": "rbf", "svm-sigmoid": "sigmoid"}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("C", [0.01, 1, 100])
def test_svms_are_scikit_learns(name: str, C: float) -> None:
    settings = {"coef0": 1.0} if name == "svm-poly" else {}
    theirs = make_pipeline(StandardScaler(), SVC(kernel=KERNELS[name], C=C, **settings)).fit(X, Y)
    assert np.array_equal(create_head(name, C=C).fit(X, Y).predict(X), theirs.predict(X))


def test_the_polynomials_constant_is_one_by_default() -> None:
    assert create_head("svm-poly").get_params()["coef0"] == 1.0


def test_logreg_is_scikit_learns() -> None:
    tight = LogisticRegression(C=0.1, max_iter=1000, tol=1e-8)
    theirs = make_pipeline(StandardScaler(), tight).fit(X, Y)
    ours = create_head("logreg", C=0.1).fit(X, Y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("data", [load_wine, load_breast_cancer], ids=["three", "two"])
@pytest.mark.parametrize(("name", "settings"), [("logreg", {}), ("mlp", {"hidden": []})])
def test_a_linear_head_is_one_layer_on_raw_features(data, name, settings) -> None:  # type: ignore[no-untyped-def]
    rows, labels = data(return_X_y=True)
    head = create_head(name, **settings).fit(rows, labels)
    weight, bias = head.linear_layer()
    assert weight.shape == (len(head.classes_), rows.shape[1])
    logits = rows @ weight.T + bias
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    np.testing.assert_allclose(chances, head.predict_proba(rows), atol=2e-4)


def test_softmax_regression_has_exactly_the_classifiers_parameters() -> None:
    rows = np.random.default_rng(0).normal(size=(392, 2048)).astype(np.float32)
    labels = np.arange(392) % 196
    head = create_head("mlp", hidden=[], epochs=1).fit(rows, labels)
    assert head.parameter_count() == 401_604
    assert create_head("mlp", hidden=[5], epochs=1).fit(X, Y).parameter_count() == 13 * 5 + 5 + 18
    assert create_head("svm-rbf").fit(X, Y).parameter_count() is None


@pytest.mark.parametrize("name", ["svm-linear", "svm-rbf", "mlp"])
def test_what_is_not_one_linear_layer_says_so(name: str) -> None:
    with pytest.raises(UsageError, match="warm-start from logreg"):
        create_head(name).fit(X, Y).linear_layer()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("logreg", {"C": "abc"}),
        ("logreg", {"C": -1}),
        ("svm-rbf", {"gamma": "big"}),
        ("mlp", {"hidden": 5}),
        ("mlp", {"epochs": 0}),
        ("mlp", {"lr": "fast"}),
    ],
)
def test_a_value_that_cannot_be_is_found_before_any_work(
    name: str, settings: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match=f"head {name} cannot work"):
        create_head(name, **settings)


def test_the_mlps_seed_decides() -> None:
    first, same, other = (
        create_head("mlp", random_state=s).fit(X, Y).predict_proba(X) for s in (0, 0, 1)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_unknown_names_and_settings_are_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'svm-poly'"):
        create_head("svm-ploy")
    with pytest.raises(UsageError, match="did you mean 'degree'"):
        create_head("svm-poly", degre=3)


def test_a_head_is_registered_once_and_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="registered twice"):
        register_head("logreg")(HEADS["logreg"])

    class Point:
        name = "theirs"

        @staticmethod
        def load() -> type[Head]:
            return HEADS["logreg"]

    monkeypatch.setattr("featbench.registry.entry_points", lambda group: [Point])
    fresh: Registry[type[Head]] = Registry("head", "featbench.heads")
    assert fresh["theirs"] is HEADS["logreg"]


def test_the_docs_show_a_head_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "extend.md").read_text()
    code = text.split('```python title="least_squares.py"\n')[1].split("```")[0]
    name = "least-squares"
    assert f'@register_head("{name}")' in code
    try:
        (tmp_path / "least_squares.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.import_module("least_squares")
        assert create_head(name).fit(X, Y).score(X, Y) > 0.9
        checked = check_estimator(create_head(name), on_fail=None, on_skip=None)
        assert [c["check_name"] for c in checked if c["status"] == "failed"] == []
    finally:
        HEADS._entries.pop(name, None)

"""KernelSVC gives SVC's labels: every kernel, C and class weight, on real data and awkward data."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from featbench.heads import _kernels, _pairs
from featbench.heads._kernel_svc import KernelSVC

KERNELS = ["linear", "poly", "rbf", "sigmoid"]
LOADERS = {"digits": load_digits, "iris": load_iris, "wine": load_wine,
           "breast cancer": load_breast_cancer}  # fmt: skip
Data = tuple[NDArray[np.float64], NDArray[np.int64]]


def halves(X: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[Data, Data]:
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[::2][:500], order[1::2]
    return (X[train], y[train]), (X[test], y[test])


def same(ours: KernelSVC, theirs: SVC, X: NDArray[np.float64]) -> None:
    assert np.array_equal(ours.support_vectors_, theirs.support_vectors_)
    np.testing.assert_allclose(
        ours.decision_function(X), theirs.decision_function(X), rtol=1e-3, atol=2e-3
    )
    assert np.array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weight", [None, "balanced"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("data", LOADERS)
def test_labels_are_those_of_svc(data: str, kernel: str, scaled: bool, weight: str | None) -> None:
    X, y = LOADERS[data](return_X_y=True)
    if scaled:
        X = StandardScaler().fit_transform(X)
    (X, y), (X_test, _) = halves(X, y)
    for C in (0.01, 1.0, 100.0):
        settings = {"kernel": kernel, "C": C, "class_weight": weight, "max_iter": 100_000}
        ours, theirs = KernelSVC(**settings).fit(X, y), SVC(**settings).fit(X, y)
        assert np.array_equal(ours.predict(X_test), theirs.predict(X_test)), C


@pytest.mark.parametrize("shape", ["ovr", "ovo"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_decision_values_are_those_of_svc(kernel: str, shape: str) -> None:
    for classes in (2, 3, 10):
        X, y = load_digits(return_X_y=True)
        (X, y), (X_test, _) = halves(X[y < classes] / 16, y[y < classes])
        settings = {"kernel": kernel, "decision_function_shape": shape, "coef0": 0.5}
        same(KernelSVC(**settings).fit(X, y), SVC(**settings).fit(X, y), X_test)


def awkward(kind: str) -> Data:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 5)), rng.integers(0, 4, 60)
    if kind == "a class of one row":
        y[y == 3] = 2
        y[7] = 3
    elif kind == "duplicate rows":
        X[30:] = X[:30]
    elif kind == "constant columns":
        X[:, 1:3] = 4.0
    elif kind == "all rows equal":
        X[:] = 1.0
    return X, y


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "kind", ["a class of one row", "duplicate rows", "constant columns", "all rows equal"]
)
def test_awkward_data(kind: str, kernel: str) -> None:
    X, y = awkward(kind)
    ours, theirs = KernelSVC(kernel=kernel).fit(X, y), SVC(kernel=kernel).fit(X, y)
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    words = np.array(["d", "b", "a", "c"])[y]
    ours, theirs = KernelSVC(kernel=kernel).fit(X, words), SVC(kernel=kernel).fit(X, words)
    assert np.array_equal(ours.predict(X), theirs.predict(X))


def test_ties_weights_and_gammas() -> None:
    X, y = load_iris(return_X_y=True)
    weights = np.random.default_rng(0).uniform(0.1, 3, len(y))
    weights[::9] = 0
    settings = [{"break_ties": True}, {"gamma": "auto"}, {"gamma": 0.3, "kernel": "poly"},
                {"degree": 5, "coef0": 0.5, "kernel": "poly"}, {"class_weight": "balanced"},
                {"class_weight": {0: 5.0}}]  # fmt: skip
    for setting in settings:
        ours, theirs = KernelSVC(**setting), SVC(**setting)
        same(ours.fit(X, y, weights), theirs.fit(X, y, weights), X)


def test_float32_rows_and_chunks_change_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = load_digits(return_X_y=True)
    (X, y), (X_test, _) = halves(X, y)
    whole = KernelSVC().fit(X, y)
    scores = whole.decision_function(X_test)
    monkeypatch.setattr("featbench.heads._kernel_svc._CHUNK_BYTES", 1)
    np.testing.assert_allclose(whole.decision_function(X_test), scores, rtol=1e-9)
    monkeypatch.setattr(_kernels, "_EXACT", 0)
    small = KernelSVC().fit(X.astype(np.float32), y)
    assert np.array_equal(small.predict(X_test.astype(np.float32)), whole.predict(X_test))


def test_bad_input_says_what_is_wrong() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="kernel='cubic'"):
        KernelSVC(kernel="cubic").fit(X, y)
    with pytest.raises(ValueError, match="gamma='wide'"):
        KernelSVC(gamma="wide").fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        KernelSVC().fit(np.where(X > 7, np.nan, X), y)
    with pytest.raises(ValueError, match="number of classes"):
        KernelSVC().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="break_ties"):
        KernelSVC(break_ties=True, decision_function_shape="ovo").fit(X, y).predict(X)
    with pytest.raises(ValueError, match="features"):
        KernelSVC().fit(X, y).predict(X[:, :2])


def test_it_works_where_svc_works() -> None:
    X, y = load_wine(return_X_y=True)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), KernelSVC()), {"kernelsvc__C": [0.1, 10]}, n_jobs=1
    )
    assert search.fit(X, y).best_score_ > 0.95
    assert clone(KernelSVC(C=3)).C == 3


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks() -> None:
    failed = {r["check_name"] for r in check_estimator(KernelSVC(), on_fail=None, on_skip=None)
              if r["status"] == "failed"}  # fmt: skip
    stock = {r["check_name"] for r in check_estimator(SVC(), on_fail=None, on_skip=None)
             if r["status"] in ("failed", "xfail")}  # fmt: skip
    assert failed <= stock

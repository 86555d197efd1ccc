"""SoftmaxRegression lies at LogisticRegression's optimum, and a path of C where single fits do."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from featbench.heads import _softmax, create_head
from featbench.heads._eigenbasis import rotate
from featbench.heads._newton import SoftmaxProblem
from featbench.heads._softmax import SoftmaxRegression, softmax_path

LOADERS = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer,
           "digits": load_digits}  # fmt: skip
CS = [1e-4, 1e-2, 1.0, 100.0]
X, Y = load_iris(return_X_y=True)


def tight(C: float, **settings: Any) -> LogisticRegression:
    return LogisticRegression(C=C, tol=1e-8, max_iter=100_000, solver="newton-cholesky", **settings)


def objective(model: Any, C: float, X: NDArray[Any], y: NDArray[Any]) -> float:
    logs = model.predict_log_proba(X.astype(np.float64))[np.arange(len(y)), y]
    return float(-C * logs.sum() + 0.5 * np.square(model.coef_).sum())


def big(dtype: type = np.float32, n: int = 700, d: int = 300) -> tuple[NDArray[Any], Any]:
    """Return features of falling variance, too many for the float64 of small problems."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 100
    rows = rng.normal(size=(100, d))[y] * 0.5 + rng.normal(size=(n, d))
    return (rows * np.geomspace(1, 0.03, d) + 0.3).astype(dtype), y


@pytest.mark.parametrize("weight", [None, "balanced", {0: 3.0, 1: 0.5}], ids=str)
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("data", LOADERS)
def test_probabilities_are_those_of_logistic_regression(
    data: str, scaled: bool, weight: Any
) -> None:
    rows, y = LOADERS[data](return_X_y=True)
    rows = StandardScaler().fit_transform(rows) if scaled else rows / 10
    rows, y = rows[::3], y[::3]
    path = softmax_path(rows, y, CS, class_weight=weight)
    for C, ours in zip(CS, path, strict=True):
        theirs = tight(C, class_weight=weight).fit(rows, y)
        alone = SoftmaxRegression(C=C, class_weight=weight).fit(rows, y)
        assert ours.coef_.shape == theirs.coef_.shape
        for model in (ours, alone):
            assert model.converged_
            np.testing.assert_allclose(
                model.predict_proba(rows), theirs.predict_proba(rows), atol=1e-5
            )


@pytest.mark.parametrize("shape", [(700, 300), (300, 700)], ids=["n > d", "n < d"])
def test_float32_features_reach_the_optimum(shape: tuple[int, int]) -> None:
    rows, y = big(n=shape[0], d=shape[1])
    assert rows.size * 100 > _softmax._SMALL
    for C, ours in zip(CS, softmax_path(rows, y, CS), strict=True):
        exact = SoftmaxRegression(C=C, tol=1e-8).fit(rows.astype(np.float64), y)
        least = objective(exact, C, rows, y)
        assert objective(ours, C, rows, y) == pytest.approx(least, rel=1e-6)
        np.testing.assert_allclose(ours.predict_proba(rows), exact.predict_proba(rows), atol=1e-3)


def test_the_fine_optimum_has_no_gradient() -> None:
    rows, y = big()
    for C in (1e-3, 10.0):
        found = SoftmaxRegression(C=C, tol=1e-7).fit(rows, y)
        wrong = found.predict_proba(rows)
        wrong[np.arange(len(y)), y] -= 1
        slope = C * wrong.T @ rows.astype(np.float64) + found.coef_
        assert np.abs(slope).max() < 1e-5 * np.abs(found.coef_).max()
        assert np.abs(C * wrong.sum(axis=0)).max() < 1e-5


def test_the_hessian_product_is_the_gradients_derivative() -> None:
    rng = np.random.default_rng(0)
    weights = torch.from_numpy(rng.uniform(0, 2, 50))
    turned = rotate(torch.from_numpy(rng.normal(size=(50, 6))), weights)
    problem = SoftmaxProblem(turned, torch.from_numpy(rng.integers(0, 4, 50)), weights, 4)
    W, V = (torch.from_numpy(rng.normal(size=(7, 4))) for _ in range(2))

    def gradient(W: torch.Tensor) -> torch.Tensor:
        return 3.0 * turned.X.T @ problem.state(turned.X @ W).R + problem.penalised * W

    P = problem.state(turned.X @ W).P
    found = problem.curved(3.0, P, P.argmax(1, keepdim=True), V, rough=False)
    slope = (gradient(W + 1e-5 * V) - gradient(W - 1e-5 * V)) / 2e-5
    torch.testing.assert_close(found, slope, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(turned.basis.T @ turned.basis, torch.eye(6, dtype=torch.float64))


def test_a_path_keeps_the_order_asked_for_and_takes_fewer_steps() -> None:
    rows, y = big()
    order = [1.0, 1e-3, 0.1, 0.01, 0.1]
    path = softmax_path(rows, y, order)
    assert [model.C for model in path] == order
    alone = [SoftmaxRegression(C=C).fit(rows, y) for C in order]
    for one, other in zip(path, alone, strict=True):
        np.testing.assert_allclose(one.predict_proba(rows), other.predict_proba(rows), atol=1e-3)
    assert sum(m.n_iter_[0] for m in path) < 0.5 * sum(m.n_iter_[0] for m in alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_runs_are_identical_to_the_bit(dtype: type) -> None:
    rows, y = big(dtype)
    first, second = (softmax_path(rows, y, [0.01, 1.0])[1] for _ in range(2))
    assert np.array_equal(first.coef_, second.coef_)
    assert np.array_equal(first.intercept_, second.intercept_)


def test_torchs_own_setting_of_precision_is_left_as_it_was() -> None:
    before = torch.get_float32_matmul_precision()
    SoftmaxRegression().fit(*big())
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("C", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize("kind", ["equal rows", "constant columns", "duplicates", "wide", "scales",
                                  "far from 0", "two rows", "a class of one row"])  # fmt: skip
def test_awkward_data(kind: str, C: float) -> None:
    rng = np.random.default_rng(3)
    rows, y = rng.normal(size=(60, 5)), rng.integers(0, 3, 60)
    if kind == "equal rows":
        rows[:] = 1.0
    elif kind == "constant columns":
        rows[:, 1:3] = 4.0
    elif kind == "duplicates":
        rows[30:] = rows[:30]
    elif kind == "wide":
        rows = rng.normal(size=(60, 200))
    elif kind == "scales":
        rows *= np.array([1e-3, 1e-2, 1.0, 10.0, 100.0])
    elif kind == "far from 0":
        rows += 100
    elif kind == "two rows":
        rows, y = rows[:2], np.array([0, 1])
    else:
        y[7] = 3
    ours, theirs = SoftmaxRegression(C=C).fit(rows, y), tight(C).fit(rows, y)
    assert ours.converged_
    assert objective(ours, C, rows, y) <= objective(theirs, C, rows, y) * (1 + 1e-8)
    chances = ours.predict_proba(rows)
    assert chances.dtype == np.float64
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-14)


def test_sample_weights_are_scikit_learns() -> None:
    weights = np.random.default_rng(0).uniform(0, 3, len(Y))
    weights[::7] = 0
    ours = SoftmaxRegression(class_weight="balanced").fit(X, Y, weights)
    theirs = tight(1.0, class_weight="balanced").fit(X, Y, weights)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


def test_what_does_not_converge_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match=r"max_iter=2 .*C=100.*Increase max_iter"):
        model = SoftmaxRegression(C=100, max_iter=2).fit(X, Y)
    assert not model.converged_
    assert model.n_iter_.tolist() == [2]
    with pytest.warns(ConvergenceWarning):
        path = softmax_path(X, Y, [1e-6, 100.0], max_iter=2)
    assert [m.converged_ for m in path] == [True, False]


def test_bad_input_says_what_is_wrong() -> None:
    for settings, said in [({"C": 0}, "C=0"), ({"C": "a"}, "C='a'"), ({"C": np.inf}, "C=inf"),
                           ({"tol": -1}, "tol=-1"), ({"max_iter": 1.5}, "max_iter=1.5"),
                           ({"device": "gpu"}, "device='gpu'")]:  # fmt: skip
        with pytest.raises(ValueError, match=said):
            SoftmaxRegression(**settings).fit(X, Y)
    with pytest.raises(ValueError, match="NaN"):
        SoftmaxRegression().fit(np.where(X > 7, np.nan, X), Y)
    with pytest.raises(ValueError, match="number of classes"):
        SoftmaxRegression().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="non-zero"):
        SoftmaxRegression().fit(X, Y, np.zeros(len(X)))
    with pytest.raises(ValueError, match="weight is 0"):
        SoftmaxRegression(class_weight={0: 0.0, 1: 0.0, 2: 0.0}).fit(X, Y)
    with pytest.raises(ValueError, match="Cs is empty"):
        softmax_path(X, Y, [])
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no such device"):
            SoftmaxRegression(device="cuda").fit(X, Y)


@pytest.mark.parametrize("classes", [2, 3])
def test_arrays_hold_all_that_prediction_needs(classes: int) -> None:
    rows, words = X[classes > Y], np.array(["a", "b", "c"])[Y[classes > Y]]
    fitted = SoftmaxRegression(C=2.0).fit(rows, words)
    fresh = clone(fitted)
    fresh.classes_ = fitted.classes_
    fresh.set_arrays(fitted.get_arrays(), 4)
    assert np.array_equal(fresh.predict_proba(rows), fitted.predict_proba(rows))
    assert np.array_equal(fresh.predict(rows), fitted.predict(rows))
    assert (fresh.n_iter_, fresh.converged_) == (fitted.n_iter_, True)
    good = fitted.get_arrays()
    for wrong in (
        {**good, "coef": good["coef"][:, :3]},
        {**good, "coef": good["coef"].astype(np.float32)},
        {**good, "intercept": good["intercept"] * np.nan},
        {k: v for k, v in good.items() if k != "n_iter"},
    ):
        with pytest.raises(ValueError, match="array"):
            fresh.set_arrays(wrong, 4)


def test_it_works_where_logistic_regression_works() -> None:
    search = GridSearchCV(
        make_pipeline(StandardScaler(), SoftmaxRegression()),
        {"softmaxregression__C": [0.1, 10]}, n_jobs=1,
    )  # fmt: skip
    assert search.fit(X, Y).best_score_ > 0.9
    model = SoftmaxRegression().fit(X, np.array(["a", "b", "c"])[Y])
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    head = create_head("logreg")
    assert all(C > 0 for C in head.space["C"])


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks() -> None:
    failed, stock = (
        {r["check_name"] for r in check_estimator(model, on_fail=None, on_skip=None)
         if r["status"] in ("failed", "xfail")}
        for model in (SoftmaxRegression(), LogisticRegression())
    )  # fmt: skip
    assert failed <= stock


def with_long_rows(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64], float, int]:
    """Return rows of which a few are 10² to 10⁵ times the others, labels, a C and the classes."""
    rng = np.random.default_rng(seed)
    n, d, classes = rng.integers(30, 121), rng.integers(1, 6), rng.integers(3, 6)
    rows, y = rng.normal(size=(n, d)), rng.integers(0, classes, n)
    y[:classes] = np.arange(classes)
    rows[-rng.integers(1, 4) :] *= 10 ** rng.uniform(2, 5)
    return rows, y, float(10 ** rng.uniform(-2, 4)), int(classes)


def least_objective(rows: NDArray[Any], y: NDArray[Any], C: float, classes: int) -> float:
    """Return the optimum by Newton's method with the whole Hessian, from one C to ten times it."""
    rows = rows.astype(np.float64)
    X = np.c_[rows - rows.mean(axis=0), np.ones(len(rows))]
    n, d = X.shape
    penalty = np.repeat(np.r_[np.ones(d - 1), 0.0], classes)
    targets = np.eye(classes)[y]

    def parts(w: NDArray[Any], C: float) -> tuple[float, NDArray[Any], NDArray[Any]]:
        Z = X @ w.reshape(d, classes)
        logs = Z - logsumexp(Z, axis=1, keepdims=True)
        P = np.exp(logs)
        R = P - targets
        R[np.arange(n), y] = -((1 - targets) * P).sum(axis=1)
        value = -C * logs[np.arange(n), y].sum() + 0.5 * penalty @ w**2
        bend = np.einsum("ik,kl->ikl", P, np.eye(classes)) - P[:, :, None] * P[:, None]
        H = C * np.einsum("ia,ib,ikl->akbl", X, X, bend, optimize=True).reshape(w.size, -1)
        return value, C * (X.T @ R).ravel() + penalty * w, H + np.diag(penalty)

    w, value = np.zeros(d * classes), np.inf
    for rung in C * 10.0 ** np.arange(-8, 1):
        value, slope, H = parts(w, rung)
        for _ in range(200):
            scale = 1 / np.sqrt(np.diag(H).clip(1e-300))
            step = scale * np.linalg.lstsq(H * scale * scale[:, None], -slope * scale, 1e-14)[0]
            while np.abs(step).max() > 1e-15 and parts(w + step, rung)[0] >= value:
                step /= 2
            tried = parts(w + step, rung)
            if not tried[0] < value:
                break
            w, (value, slope, H) = w + step, tried
    return float(value)


@pytest.mark.parametrize("seed", [7, 37, 79, 108, 123])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_far_longer_than_the_others_hide_no_gap(
    seed: int, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dtype == np.float32:
        monkeypatch.setattr(_softmax, "_SMALL", 0)  # as with many rows, solved in float32 if at all
    rows, y, C, classes = with_long_rows(seed)
    rows = rows.astype(dtype)
    ours = SoftmaxRegression(C=C).fit(rows, y)
    assert ours.converged_
    least = least_objective(rows, y, C, classes)
    assert objective(ours, C, rows, y) == pytest.approx(least, rel=1e-6)

"""KernelSVC gives SVC's labels: every kernel, C and class weight, on real data and awkward data."""

import time
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from featbench.errors import UsageError
from featbench.heads import KernelSVC, _kernels, _one_vs_one, _pairs, _smo
from featbench.heads._one_vs_one import gram_bytes, group_classes
from featbench.machine import limit_memory

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
    monkeypatch.setattr(_pairs, "_SHARES_BYTES", 1)
    np.testing.assert_allclose(whole.decision_function(X_test), scores, rtol=1e-9)
    monkeypatch.setattr(_kernels, "_EXACT", 0)
    small = KernelSVC().fit(X.astype(np.float32), y)
    assert np.array_equal(small.predict(X_test.astype(np.float32)), whole.predict(X_test))


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_solver_makes_libsvms_very_steps(kernel: str, C: float) -> None:
    X, y = load_digits(return_X_y=True)
    (X, y), _ = halves(X / 16, y)
    ours, theirs = KernelSVC(C=C, kernel=kernel).fit(X, y), SVC(C=C, kernel=kernel).fit(X, y)
    assert np.array_equal(ours.n_iter_, theirs.n_iter_)
    assert np.array_equal(ours.support_, theirs.support_)
    np.testing.assert_allclose(ours.dual_coef_, theirs.dual_coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_pair_too_big_for_a_matrix_of_its_own_is_solved_the_same(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2300, 4)), rng.integers(0, 2, 2300)
    X[y == 1] += 0.8
    settings = {"kernel": kernel, "C": 0.5}
    ours, theirs = KernelSVC(**settings).fit(X, y), SVC(**settings).fit(X, y)
    assert len(X) > _smo._SMALL
    assert theirs.n_iter_[0] > (1000 if kernel != "sigmoid" else 100)  # it has shrunk
    assert np.array_equal(ours.n_iter_, theirs.n_iter_)
    assert np.array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("groups", [3, 4, 5])
def test_blocks_of_classes_give_what_one_gram_matrix_gives(groups: int) -> None:
    X, y = load_digits(return_X_y=True)
    (X, y), (X_test, _) = halves(X, y)
    whole = KernelSVC().fit(X, y)
    limit = gram_bytes(2 * (len(X) // groups + 20))
    assert 1 < len(group_classes(np.bincount(y), limit)) <= groups + 1
    with limit_memory(limit):
        parts = KernelSVC().fit(X, y)
    assert np.array_equal(parts.support_, whole.support_)
    np.testing.assert_allclose(parts.dual_coef_, whole.dual_coef_, rtol=1e-5, atol=1e-6)
    assert np.array_equal(parts.predict(X_test), whole.predict(X_test))


@pytest.mark.parametrize("sizes", [[5, 5, 5, 5], [50, 1, 1, 1, 1, 1], [40, 20, 10, 5], [1] * 30])
def test_any_two_groups_fit(sizes: list[int]) -> None:
    first, second = sorted(sizes)[-2:][::-1]
    for rows in range(first + second, sum(sizes)):
        groups = group_classes(sizes, gram_bytes(rows))
        assert sorted(c for group in groups for c in group) == list(range(len(sizes)))
        totals = sorted(sum(sizes[c] for c in group) for group in groups)
        assert sum(totals[-2:]) <= rows


def test_two_classes_over_the_limit_are_refused_with_what_would_be_needed() -> None:
    X, y = load_iris(return_X_y=True)
    with (
        limit_memory(gram_bytes(99)),
        pytest.raises(UsageError, match=r"100 rows needs .*--memory.*--approximate"),
    ):
        KernelSVC().fit(X, y)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_votes_on_another_device_are_the_same(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way they are counted there, on the CPU: no device but that is needed."""
    X, y = load_digits(return_X_y=True)
    (X, y), (X_test, _) = halves(X[y < classes], y[y < classes])
    machine = KernelSVC().fit(X, y)
    labels, shares = machine.predict(X_test), machine.vote_shares(X_test)
    monkeypatch.setattr(_pairs, "CPU", None)
    assert np.array_equal(machine.predict(X_test), labels)
    assert np.array_equal(machine.vote_shares(X_test), shares)
    zeros = torch.zeros(3, 3, 2)
    assert _pairs.votes_of(zeros).tolist() == [[0, 1, 2]] * 2  # for the second of each pair


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_gpu_gives_the_same_labels(kernel: str) -> None:
    X, y = load_digits(return_X_y=True)
    (X, y), (X_test, _) = halves(X, y)
    here, there = (KernelSVC(kernel=kernel, device=d).fit(X, y) for d in ("cpu", "cuda"))
    assert np.array_equal(here.predict(X_test), there.predict(X_test))


def test_a_device_that_is_not_there_is_said() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="device='cuda:99': there is no such device"):
        KernelSVC(device="cuda:99").fit(X, y)
    with pytest.raises(ValueError, match="device='tpu': expected cpu"):
        KernelSVC(device="tpu").fit(X, y)


def test_what_does_not_converge_is_told() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        head = KernelSVC(max_iter=3).fit(X, y)
    assert head.fit_status_ == 1
    assert head.n_iter_.tolist() == [3]
    assert KernelSVC().fit(X, y).fit_status_ == 0


def test_an_interrupt_ends_the_threads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def endless(*given: Any) -> None:
        stop = given[9]
        started.append(stop)
        while not stop[0]:
            time.sleep(0.001)

    def interrupted(self: Any) -> None:
        while not started:
            time.sleep(0.001)
        raise KeyboardInterrupt

    monkeypatch.setattr(_one_vs_one, "solve_pairs", endless)
    monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        KernelSVC().fit(*load_iris(return_X_y=True))
    assert started[0][0] == 1


def test_rows_far_from_the_origin_keep_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = load_iris(return_X_y=True)
    monkeypatch.setattr(_kernels, "_EXACT", 0)
    far = (X + 1000.0).astype(np.float32)
    ours, theirs = KernelSVC(gamma=0.5).fit(far, y), SVC(gamma=0.5).fit(far.astype(np.float64), y)
    assert np.array_equal(ours.predict(far), theirs.predict(far))
    np.testing.assert_allclose(
        ours.decision_function(far), theirs.decision_function(far), rtol=1e-3, atol=2e-3
    )


@pytest.mark.parametrize("exact", [0, 2**33])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_row_is_decided_alone_as_among_many_and_as_in_trials(
    kernel: str, exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ties are everywhere: rows come many times, and kernels are nearly constant."""
    monkeypatch.setattr(_kernels, "_EXACT", exact)
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 2, (90, 3)) / 3 + 0.1, rng.integers(0, 4, 90)
    machine = KernelSVC(kernel=kernel, gamma=1e-6, C=10.0, decision_function_shape="ovo").fit(X, y)
    assert machine.is_single_ == (exact == 0)
    scores = machine.decision_function(X)
    monkeypatch.setattr(_kernels, "_EXACT", 2**33 - exact)  # what is asked settles nothing
    alone = np.concatenate([machine.decision_function(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(alone, scores, atol=1e-12 if exact else 1e-4)
    if exact:
        one_by_one = np.concatenate([machine.predict(row) for row in X[:, None]])
        assert np.array_equal(one_by_one, machine.predict(X))
    monkeypatch.setattr(_kernels, "_EXACT", exact)
    train, held = np.arange(60), np.arange(60, 90)
    core = KernelSVC(kernel=kernel, gamma=1e-6, C=10.0)
    ((_, _, trial),) = KernelSVC.try_all([core], X, y, [(train, held)])
    assert trial.accuracy == core.fit(X[train], y[train]).score(X[held], y[held])


def test_bad_input_says_what_is_wrong() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="kernel='cubic'"):
        KernelSVC(kernel="cubic").fit(X, y)
    with pytest.raises(ValueError, match="gamma='wide'"):
        KernelSVC(gamma="wide").fit(X, y)
    for bad in ({"C": 0}, {"C": -1.0}, {"tol": 0.0}, {"max_iter": -2}, {"coef0": np.nan}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))}="):
            KernelSVC(**bad).fit(X, y)
    with pytest.raises(ValueError, match="decision_function_shape='both'"):
        KernelSVC(decision_function_shape="both").fit(X, y)
    with pytest.raises(ValueError, match="non-zero"):
        KernelSVC().fit(X, y, np.zeros(len(X)))
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


def test_a_machine_without_support_vectors_answers_by_its_intercepts() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning):
        machine = KernelSVC(max_iter=0).fit(X, y)
    assert len(machine.support_) == 0
    assert set(machine.predict(X)) <= set(y)
    assert np.isfinite(machine.decision_function(X)).all()


def test_a_program_that_rounds_its_own_products_does_not_round_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Training scripts ask torch for TF32 or bfloat16; where a CPU has such, this was 2.0 apart."""
    monkeypatch.setattr(_kernels, "_EXACT", 0)  # small rows in float32 too
    rng = np.random.default_rng(0)
    y = np.arange(600) % 30
    X = rng.normal(size=(600, 256)) + 0.25 * rng.normal(size=(30, 256))[y]
    X = X.astype(np.float32)
    found = []
    for precision in ("highest", "medium"):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        try:
            found.append(KernelSVC().fit(X[:400], y[:400]).decision_function(X[400:]))
            assert torch.get_float32_matmul_precision() == precision
        finally:
            torch.set_float32_matmul_precision(before)
    assert np.array_equal(*found)

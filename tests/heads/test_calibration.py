"""Probabilities on demand: honest scores, the best map of its kind, sums of 1."""

import warnings
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import _SigmoidCalibration
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from featbench.errors import UsageError
from featbench.heads import HEADS, Head, create_head
from featbench.heads._calibration import CALIBRATIONS, Platt, Temperature
from featbench.heads._one_vs_one import gram_bytes
from featbench.heads._out_of_fold import stratified_folds
from featbench.machine import limit_memory

METHODS = list(CALIBRATIONS)
SVMS = ["svm-linear", "svm-poly", "svm-rbf", "svm-sigmoid"]
X, Y = load_iris(return_X_y=True)


def scores_and_labels(n: int = 400, classes: int = 5) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores three times too sharp, of classes that are not equally frequent."""
    rng = np.random.default_rng(0)
    labels = rng.choice(classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    logits = 1.5 * np.eye(classes)[labels] + rng.normal(size=(n, classes))
    return 3 * logits, labels


def digits() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    rows, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(rows))  # or other people wrote the later ones
    rows, labels = rows[order] + rng.normal(scale=3, size=rows.shape), labels[order]
    return rows[:500], labels[:500], rows[500:], labels[500:]


@pytest.mark.parametrize("classes", [2, 5])
def test_the_temperature_is_the_best_there_is(classes: int) -> None:
    scores, labels = scores_and_labels(classes=classes)
    if classes == 2:
        scores = scores[:, 1] - scores[:, 0]
    found = Temperature().fit(scores, labels)

    def loss(temperature: float) -> float:
        other = Temperature()
        other.temperature_ = temperature
        return log_loss(labels, other.probabilities(scores))

    wide = np.geomspace(0.01, 1000, 100)
    best = wide[np.argmin([loss(t) for t in wide])]
    near = np.linspace(best / 1.2, best * 1.2, 400)
    best = near[np.argmin([loss(t) for t in near])]
    assert found.temperature_ == pytest.approx(best, rel=0.03)  # smoothing is one row of 400
    assert loss(found.temperature_) < loss(best) + 1e-4
    assert loss(found.temperature_) < loss(1.0) - 0.05


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1e3, 1e9])
@pytest.mark.parametrize("method", METHODS)
def test_the_scores_unit_and_zero_do_not_matter(method: str, factor: float) -> None:
    scores, labels = scores_and_labels()
    plain = CALIBRATIONS[method]().fit(scores, labels).probabilities(scores)
    moved = scores * factor + factor * np.arange(len(scores))[:, None] % 7
    other = CALIBRATIONS[method]().fit(moved, labels).probabilities(moved)
    np.testing.assert_allclose(other, plain, atol=1e-7)


def test_two_classes_are_platts_sigmoid_as_scikit_learn_fits_it() -> None:
    scores, labels = scores_and_labels(classes=2)
    difference = scores[:, 1] - scores[:, 0]
    theirs = _SigmoidCalibration().fit(difference, labels).predict(difference)
    for given in (scores, difference):
        ours = Platt().fit(given, labels).probabilities(given)
        np.testing.assert_allclose(ours[:, 1], theirs, atol=1e-5)


def test_many_classes_are_one_sigmoid_each_as_scikit_learn_fits_them() -> None:
    scores, labels = scores_and_labels()
    ours = Platt().fit(scores, labels)
    chances = Temperature().fit(scores, labels).probabilities(scores)
    odds = np.log(chances / (1 - chances))
    theirs = np.stack(
        [_SigmoidCalibration().fit(odds[:, i], labels == i).predict(odds[:, i]) for i in range(5)],
        axis=1,
    )
    theirs /= theirs.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours.probabilities(scores), theirs, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "case", ["constant", "separable", "misleading", "huge", "unseen class", "196 classes", "two"]
)
def test_odd_scores_give_probabilities(method: str, case: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 4
    scores = {
        "constant": np.full((600, 4), 3.0),
        "separable": np.eye(4)[labels],
        "misleading": -np.eye(4)[labels],
        "huge": 1e200 * rng.normal(size=(600, 4)),
        "unseen class": rng.normal(size=(600, 5)) + np.eye(5)[labels],
        "196 classes": rng.normal(size=(600, 196)) + np.eye(196)[labels],
        "two": rng.normal(size=600),
    }[case]
    if case == "two":
        labels = labels % 2
    with np.errstate(all="raise", under="ignore"):
        chances = CALIBRATIONS[method]().fit(scores, labels).probabilities(scores)
    assert np.isfinite(chances).all()
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-12)
    if case == "separable":
        assert 0.99 < chances[np.arange(600), labels].mean() < 1 - 1e-4  # 600 rows prove no more
    if case in ("constant", "misleading") and method == "temperature":
        np.testing.assert_allclose(chances, 0.25, atol=1e-5)


def test_platt_gives_a_class_without_rows_the_sigmoid_of_the_others() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 4
    scores = rng.normal(size=(600, 5)) + 3 * np.eye(5)[labels]
    fitted = Platt().fit(scores, labels)
    assert 0.5 < fitted.slope_[4] / fitted.slope_[:4].mean() < 2
    assert fitted.probabilities(6 * np.eye(5)).argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


def test_a_head_that_was_fitted_without_calibration_says_so() -> None:
    head = create_head("svm-rbf").fit(X, Y).set_params(calibrate="platt")
    with pytest.raises(NotFittedError):
        head.predict_proba(X)


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        Temperature().fit(np.array([[0.0, np.nan], [1.0, 0.0]]), np.array([0, 1]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 5])
def test_a_calibration_can_be_stored_as_arrays(method: str, classes: int) -> None:
    scores, labels = scores_and_labels(classes=classes)
    fitted = CALIBRATIONS[method]().fit(scores, labels)
    arrays = fitted.get_arrays()
    again = CALIBRATIONS[method]().set_arrays(arrays, classes)
    assert np.array_equal(again.probabilities(scores), fitted.probabilities(scores))
    broken: list[dict[str, NDArray[Any]]] = [
        {},
        {**arrays, "more": np.zeros(1)},
        {**arrays, "temperature": np.array(0.0)},
        {**arrays, "temperature": np.array(np.nan)},
        {**arrays, "temperature": np.array(1, np.int64)},
        {**arrays, "temperature": np.ones(1)},
    ]
    if method == "platt":
        broken.append({**arrays, "slope": np.ones(classes + 1)})
    for wrong in broken:
        with pytest.raises(ValueError, match="calibration"):
            CALIBRATIONS[method]().set_arrays(wrong, classes)


def test_folds_hold_every_row_out_once_and_leave_every_class_to_train_on() -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(6), [1, 2, 3, 4, 50, 61]))
    folds = stratified_folds(labels)
    assert (folds[labels == 0] == -1).all()
    held = folds[labels != 0]
    assert set(held) == set(range(5))
    assert np.ptp(np.bincount(held)) <= 1
    for fold in range(5):
        assert set(labels[folds != fold]) == set(range(6))
        counts = np.bincount(labels[folds == fold], minlength=6)
        assert counts[4] == 10
        assert counts[5] in (12, 13)
    assert np.array_equal(folds, stratified_folds(labels))
    with pytest.raises(ValueError, match="two rows"):
        stratified_folds(np.arange(4))


class Parrot(ClassifierMixin, BaseEstimator):
    """Knows the label of each row it has seen, and of no other."""

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:
        self.classes_ = np.unique(y)
        self.known_ = {row.tobytes(): label for row, label in zip(X, y, strict=True)}
        return self

    def decision_function(self, X: NDArray[Any]) -> NDArray[Any]:
        seen = [self.known_.get(row.tobytes()) for row in X]
        return np.array([[10.0 * (label == c) for c in self.classes_] for label in seen])

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        return self.classes_[self.decision_function(X).argmax(axis=1)]


class ParrotHead(Head):
    def __init__(self, preprocess: str = "none", calibrate: str | None = None) -> None:
        self.preprocess = preprocess
        self.calibrate = calibrate

    def _core(self) -> Parrot:
        return Parrot()


@pytest.mark.parametrize("method", METHODS)
def test_calibration_is_fitted_on_scores_of_rows_not_seen(method: str) -> None:
    rows = np.random.default_rng(0).normal(size=(90, 2))
    labels = np.arange(90) % 3
    head = ParrotHead(calibrate=method).fit(rows, labels)
    assert head.score(rows, labels) == 1.0
    assert head.calibration_.temperature_ == 1.0  # every score was 0: nothing was known
    assert not np.allclose(head.uncalibrated_proba(rows), head.predict_proba(rows[:1] + 9))
    np.testing.assert_allclose(head.predict_proba(rows + 9), 1 / 3, atol=1e-12)


@pytest.mark.parametrize("preprocess", ["standardise", "whiten"])
def test_preprocessing_is_fitted_without_the_rows_held_out(
    preprocess: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Counting(StandardScaler):
        def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
            seen.append(len(X))
            return super().fit(X, y, sample_weight)

    monkeypatch.setitem(__import__("featbench.heads._base", fromlist=["x"])._PREPROCESS,
                        preprocess, Counting)  # fmt: skip
    create_head("logreg").set_params(preprocess=preprocess, calibrate="platt").fit(X, Y)
    assert seen == [120] * 5 + [150]


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("method", METHODS)
class TestEveryHead:
    @pytest.mark.parametrize("classes", [2, 3])
    def test_probabilities_sum_to_one_and_labels_stay(
        self, name: str, method: str, classes: int
    ) -> None:
        some = np.isin(Y, range(classes))
        rows, labels = X[some], np.array(["a", "bb", "c"])[Y[some]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = create_head(name, calibrate=method).fit(rows, labels)
            plain = create_head(name).fit(rows, labels)
        chances = head.predict_proba(rows)
        assert chances.shape == (len(rows), classes)
        assert chances.min() >= 0
        for some in (chances, head.uncalibrated_proba(rows)):
            np.testing.assert_allclose(some.sum(axis=1), 1, atol=1e-12)
        assert np.array_equal(head.predict(rows), plain.predict(rows))
        assert np.mean(head.classes_[chances.argmax(axis=1)] == labels) > 0.8
        if hasattr(plain, "predict_proba"):
            assert np.array_equal(plain.predict_proba(rows), head.uncalibrated_proba(rows))

    def test_two_fits_are_identical(self, name: str, method: str) -> None:
        first, second = (
            create_head(name, calibrate=method).fit(X, Y).predict_proba(X) for _ in range(2)
        )
        assert np.array_equal(first, second)

    def test_a_class_of_one_row(self, name: str, method: str) -> None:
        keep = np.r_[0:50, 50:100, 100]
        head = create_head(name, calibrate=method).fit(X[keep], Y[keep])
        chances = head.predict_proba(X)
        assert np.isfinite(chances).all()
        np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-12)
        pair = create_head(name, calibrate=method).fit(X[keep[50:]], Y[keep[50:]])
        assert np.isfinite(pair.predict_proba(X)).all()

    def test_works_in_clones_pipelines_and_searches(self, name: str, method: str) -> None:
        head = clone(create_head(name, calibrate=method))
        assert head.calibrate == method
        assert make_pipeline(head).fit(X, Y).predict_proba(X).shape == (150, 3)
        search = GridSearchCV(
            create_head(name), {"calibrate": ["temperature", method]}, cv=2, scoring="neg_log_loss"
        )
        assert search.fit(X, Y).best_score_ > -np.log(3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["logreg", "svm-linear"])
def test_scikit_learns_own_checks(name: str, method: str) -> None:
    ours = {"check_classifiers_train": "labels stay the head's own, also where Platt's differ"}
    checked = check_estimator(
        create_head(name, calibrate=method),
        expected_failed_checks=ours if method == "platt" else {},
        on_fail=None,
        on_skip=None,
    )
    assert [c["check_name"] for c in checked if c["status"] == "failed"] == []


def test_an_unknown_method_is_found_before_any_work() -> None:
    with pytest.raises(UsageError, match="calibrate='isotonic': expected temperature, platt"):
        create_head("logreg", calibrate="isotonic")
    with pytest.raises(ValueError, match="expected temperature, platt"):
        create_head("logreg").set_params(calibrate="x").fit(X, Y)


def test_an_svm_gives_probabilities_only_when_asked() -> None:
    assert not hasattr(create_head("svm-rbf").fit(X, Y), "predict_proba")
    assert hasattr(create_head("svm-rbf", calibrate="platt"), "predict_proba")


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SVMS)
def test_a_calibrated_svm_beats_vote_shares(name: str, method: str, classes: int) -> None:
    rows, labels, unseen, truth = digits()
    some, others = labels < classes, truth < classes
    if classes == 2:
        some, others = labels >= 8, truth >= 8  # eights and nines
    head = create_head(name, calibrate=method).fit(rows[some], labels[some])
    before = log_loss(truth[others], head.uncalibrated_proba(unseen[others]))
    after = log_loss(truth[others], head.predict_proba(unseen[others]))
    assert after < before / 5


@pytest.mark.parametrize("method", METHODS)
def test_logreg_gets_no_worse(method: str) -> None:
    rows, labels, unseen, truth = digits()
    for C in (0.001, 0.01, 1.0):
        head = create_head("logreg", C=C, calibrate=method).fit(rows, labels)
        before = log_loss(truth, head.uncalibrated_proba(unseen))
        assert log_loss(truth, head.predict_proba(unseen)) < before + 0.01


def test_vote_shares_are_votes_over_pairs() -> None:
    rows, labels, unseen, _ = digits()
    head = create_head("svm-rbf").fit(rows, labels)
    core = clone(head.core_).set_params(decision_function_shape="ovo")
    core.fit(head.preprocess_.transform(rows), labels)
    pairs = core.decision_function(head.preprocess_.transform(unseen))
    votes = np.zeros((len(unseen), 10))
    first, second = np.triu_indices(10, 1)
    for k, (i, j) in enumerate(zip(first, second, strict=True)):
        votes[:, i] += pairs[:, k] > 0
        votes[:, j] += pairs[:, k] <= 0
    np.testing.assert_allclose(head.uncalibrated_proba(unseen), votes / 45)


def test_what_is_calibrated_is_the_kind_of_machine_that_is_kept() -> None:
    """Four fifths of the rows fit in memory, all do not: the folds are approximate all the same."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 4)), np.arange(300) % 3
    X[np.arange(300), y] += 1.5
    head = create_head("svm-rbf", approximate=True, calibrate="temperature")
    with limit_memory(gram_bytes(180)):
        near = head.fit(X, y).calibration_.get_arrays()["temperature"]
    assert hasattr(head.core_, "approximation")
    with limit_memory(gram_bytes(10)):
        assert head.fit(X, y).calibration_.get_arrays()["temperature"] == near

"""Tuning: honest scores, shared work that changes no label, and every failure told."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from featbench.errors import FeatbenchError, UsageError
from featbench.heads import HEADS, KernelSVC, best_of, create_head, refitted, search_space, tune
from featbench.heads import _kernels as kernels
from featbench.machine import limit_memory

X, Y = load_wine(return_X_y=True)
FOLDS = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, Y))
KERNELS = ("linear", "poly", "rbf", "sigmoid")


def scores(candidates: Any) -> NDArray[np.float64]:
    return np.array([[trial.accuracy for trial in one.trials] for one in candidates])


@pytest.mark.parametrize("preprocess", ["none", "standardise"])
def test_shared_products_score_as_grid_search_over_svc(preprocess: str) -> None:
    digits, labels = load_digits(return_X_y=True)
    digits, labels = digits[:600] / 16, labels[:600]
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(digits, labels))
    grid = [
        create_head(f"svm-{kernel}", C=C, preprocess=preprocess)
        for kernel in KERNELS
        for C in (0.01, 1.0, 100.0)
    ]
    ours = scores(tune(grid, digits, labels, folds))
    first = [make_pipeline(StandardScaler())] if preprocess == "standardise" else []
    for number, kernel in enumerate(KERNELS):
        svc = SVC(kernel=kernel, coef0=1.0 if kernel == "poly" else 0.0)
        search = GridSearchCV(
            make_pipeline(*first, svc), {"svc__C": [0.01, 1.0, 100.0]}, cv=folds
        ).fit(digits, labels)
        theirs = np.stack([search.cv_results_[f"split{f}_test_score"] for f in range(3)], axis=1)
        np.testing.assert_allclose(ours[3 * number : 3 * number + 3], theirs)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("preprocess", ["l2", "standardise"])
def test_a_candidates_score_is_that_of_the_head_alone(name: str, preprocess: str) -> None:
    if not set(HEADS[name].space) - {"preprocess"}:
        pytest.skip("nothing to tune")
    heads = search_space(name, {"preprocess": preprocess}, 3, seed=1)
    found = scores(tune(heads, X, Y, FOLDS))
    alone = [
        [refit(head).fit(X[train], Y[train]).score(X[held], Y[held]) for train, held in FOLDS]
        for head in heads
    ]
    if name == "mlp":  # there the held-out rows choose the epoch
        assert (found >= np.array(alone) - 0.1).all()
    else:
        np.testing.assert_allclose(found, alone)


def refit(head: Any) -> Any:
    return create_head(
        next(n for n in HEADS if type(head) is HEADS[n]), **head.get_params(deep=False)
    )


def test_nothing_is_learned_from_rows_held_out() -> None:
    """A row held out that is far from all others moves no standardiser and no machine."""
    train, held = FOLDS[0]
    far = X.copy()
    far[held[0]] = 1e9
    head = create_head("svm-linear")
    near, moved = (tune([head], rows, Y, [FOLDS[0]])[0].trials[0] for rows in (X, far))
    assert abs(near.accuracy - moved.accuracy) <= 1.0001 / len(held)
    assert len(np.intersect1d(train, held)) == 0


def test_the_products_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = kernels.own_products
    monkeypatch.setattr(
        "featbench.heads._svc_trials.own_products", lambda *given: made.append(1) or real(*given)
    )
    heads = [create_head(f"svm-{k}", C=C, preprocess="l2") for k in KERNELS for C in (0.1, 1.0)]
    tune(heads, X, Y, FOLDS)
    assert len(made) == 1


def test_products_that_do_not_fit_are_done_without() -> None:
    heads = [create_head("svm-rbf", C=C) for C in (0.1, 10.0)]
    whole = scores(tune(heads, X, Y, FOLDS))
    with limit_memory(4 * 110**2):  # any two classes fit, all rows do not
        np.testing.assert_allclose(scores(tune(heads, X, Y, FOLDS)), whole)


def test_what_does_not_converge_or_fails_is_told_and_not_chosen() -> None:
    def with_limit(steps: int) -> Any:
        return Direct(KernelSVC(max_iter=steps, kernel="linear", C=100.0))

    candidates = tune([with_limit(1), with_limit(-1)], X, Y, FOLDS)
    assert "did not converge" in candidates[0].record()["problem"]
    assert best_of(candidates) is candidates[1]
    assert candidates[1].record()["problem"] == ""
    with pytest.raises(FeatbenchError, match=r"none of 1 candidates.*max_iter=1"):
        best_of(candidates[:1])
    broken = tune([Direct(KernelSVC(C=-1.0))], X, Y, FOLDS)[0].record()
    assert broken["problem"].startswith("failed: C=-1.0")
    assert broken["accuracy"] is None


class Direct:
    """As much of a head as tuning needs, around any classifier."""

    preprocess = "none"

    def __init__(self, core: Any) -> None:
        self._own = core

    def _core_for(self, y: Any) -> Any:
        return self._own

    def learns_preprocessing(self) -> bool:
        return False

    def preprocessor(self) -> Any:
        return create_head("logreg", preprocess="none").preprocessor()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return self._own.get_params(deep)


class TestSearchSpace:
    def test_draws_different_candidates_with_the_defaults_first(self) -> None:
        heads = search_space("svm-poly", {}, 12, seed=3)
        settings = [str(head.get_params()) for head in heads]
        assert len(set(settings)) == len(heads) == 12
        assert settings[0] == str(create_head("svm-poly").get_params())

    def test_is_seeded(self) -> None:
        first, same, other = (
            [str(head.get_params()) for head in search_space("svm-rbf", {}, 9, seed=seed)]
            for seed in (0, 0, 1)
        )
        assert first == same != other

    def test_leaves_alone_what_is_fixed(self) -> None:
        heads = search_space("svm-rbf", {"C": 7.0}, None)
        assert {head.C for head in heads} == {7.0}
        assert len(heads) == len(HEADS["svm-rbf"].space["gamma"])

    def test_a_grid_is_whole_and_a_draw_is_no_larger(self) -> None:
        space = HEADS["svm-poly"].space
        size = np.prod([len(values) for values in space.values()])
        assert len(search_space("svm-poly", {}, None)) == size
        assert size <= len(search_space("svm-poly", {}, 10_000)) <= size + 1

    @pytest.mark.parametrize("count", [None, 400])
    def test_tries_nothing_twice_under_two_names(self, count: int | None) -> None:
        neighbours = search_space("knn", {}, count, seed=1)
        done = [
            "nearest" if h.k == 1 else (h.k, h.weights, h.weights == "softmax" and h.temperature)
            for h in neighbours
        ]
        metrics = [
            None if h.preprocess == "l2" and (h.k == 1 or h.weights != "distance") else h.metric
            for h in neighbours
        ]
        seen = {
            str((*each, h.preprocess)) for *each, h in zip(done, metrics, neighbours, strict=True)
        }
        # k = 1, or 4 k × 5 weights: with two metrics, or on rows of length 1 (4 of them) with one
        assert len(seen) == len(neighbours) == 2 * 21 + 21 + 4
        layers = search_space("mlp", {"lr": 1e-3, "weight_decay": 0.0}, 10_000)
        without = [h for h in layers if not h.hidden]
        assert len(without) == 3 * 2 * 2
        assert len({(h.epochs, h.schedule, h.label_smoothing) for h in without}) == 3 * 2 * 2

    def test_idle_settings_change_no_prediction(self) -> None:
        for one, other in (({"k": 1}, {"weights": "uniform"}), ({"k": 1}, {"temperature": 1.0}),
                           ({"weights": "uniform"}, {"temperature": 1.0}),
                           ({"preprocess": "l2"}, {"metric": "euclidean"})):  # fmt: skip
            head = create_head("knn", **one)
            assert set(other) <= head.idle_settings()
            moved = create_head("knn", **one, **other).fit(X, Y)
            np.testing.assert_allclose(moved.predict_proba(X), head.fit(X, Y).predict_proba(X))

    def test_the_whole_grid_of_an_mlp_can_be_waited_for(self) -> None:
        assert len(search_space("mlp", {}, None)) == 3 * 2 * (1 + 2 * 2)
        assert len(search_space("mlp", {"hidden": ()}, None)) == 3 * 2
        assert {h.schedule for h in search_space("mlp", {}, 100)} == {"constant", "cosine"}

    def test_says_when_nothing_is_left(self) -> None:
        with pytest.raises(UsageError, match="nothing to tune besides C"):
            search_space("svm-linear", {"C": 1.0}, 5)

    @pytest.mark.parametrize("name", HEADS)
    def test_every_value_of_every_space_is_one_the_head_takes(self, name: str) -> None:
        for key, values in HEADS[name].space.items():
            for value in values:
                create_head(name, **{key: value})


def test_the_best_is_refitted_as_it_was_chosen() -> None:
    candidates = tune([create_head("svm-rbf", C=C) for C in (1e-6, 10.0)], X, Y, FOLDS)
    best = best_of(candidates)
    assert refitted(best).get_params() == create_head("svm-rbf", C=10.0).get_params()
    assert best.record()["settings"]["C"] == 10.0
    assert len(best.record()["fold_accuracies"]) == 3


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_an_mlp_is_refitted_at_the_rates_that_were_tried(schedule: str) -> None:
    head = create_head("mlp", schedule=schedule, epochs=30, step_epochs=3, lr=0.01, warmup_epochs=2)
    best = best_of(tune([head], X, Y, FOLDS))
    chosen = refitted(best)
    assert best.epochs is not None
    assert 1 < best.epochs < 30
    assert chosen.get_params() == head.get_params() | {"stop_after": best.epochs}
    whole = head.fit(X, Y).core_.history_
    rates = [row["lr"] for row in chosen.fit(X, Y).core_.history_]
    assert rates == [row["lr"] for row in whole[: best.epochs]]
    assert chosen.core_.best_epoch_ == best.epochs


def test_an_mlp_that_warms_up_is_refitted_for_fewer_epochs() -> None:
    head = create_head("mlp", warmup_epochs=10, epochs=12, lr=0.05)
    chosen = refitted(best_of(tune([head], X, Y, FOLDS)))
    assert len(chosen.fit(X, Y).core_.history_) == chosen.stop_after

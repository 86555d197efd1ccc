"""The k-NN head votes as scikit-learn's, exactly, and breaks ties as it says."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier

from featbench.errors import UsageError
from featbench.heads import create_head
from featbench.heads import knn as module
from featbench.heads.knn import BlockedKNN

LOADERS = {"wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}


def halves(name: str, dtype: Any = np.float64) -> tuple[Any, Any, Any]:
    X, y = LOADERS[name](return_X_y=True)
    noise = np.random.default_rng(1).normal(0, 1e-3, X.shape)  # digits are whole numbers: no ties
    X = (X + noise * X.std()).astype(dtype)
    order = np.random.default_rng(0).permutation(len(y))[:700]
    return X[order[::2]], y[order[::2]], X[order[1::2]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 4, 20])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("data", LOADERS)
def test_votes_are_scikit_learns(data: str, metric: str, weights: str, k: int, dtype: Any) -> None:
    X, y, X_test = halves(data, dtype)
    settings = {"metric": metric, "weights": weights}
    ours = BlockedKNN(k=k, **settings).fit(X, y)
    theirs = KNeighborsClassifier(k, algorithm="brute", **settings).fit(
        X.astype(np.float64),
        y,  # their cosine of float32 rows is off by 1e-6
    )
    assert np.array_equal(ours.predict(X_test), theirs.predict(X_test.astype(np.float64)))
    np.testing.assert_allclose(
        ours.predict_proba(X_test),
        theirs.predict_proba(X_test.astype(np.float64)),
        atol=1e-8 if dtype == np.float64 else 1e-3,
    )


def test_softmax_votes_are_exponentials_of_the_cosine() -> None:
    X, y, X_test = halves("wine")
    unit, unit_test = (rows / np.linalg.norm(rows, axis=1)[:, None] for rows in (X, X_test))
    cosines = unit_test @ unit.T
    chosen = np.argsort(-cosines)[:, :7]
    votes = np.exp(np.take_along_axis(cosines, chosen, 1) / 0.05)
    shares = np.stack([(votes * (y[chosen] == c)).sum(1) for c in range(3)], axis=1)
    shares /= shares.sum(1, keepdims=True)
    ours = BlockedKNN(k=7, weights="softmax", temperature=0.05)
    np.testing.assert_allclose(ours.fit(X, y).predict_proba(X_test), shares, atol=1e-9)
    ours.set_params(metric="euclidean")
    np.testing.assert_allclose(ours.fit(unit, y).predict_proba(unit_test), shares, atol=1e-9)


def test_a_small_temperature_leaves_the_nearest_row_alone() -> None:
    X, y, X_test = halves("wine")
    for metric in ("cosine", "euclidean"):
        sharp = BlockedKNN(k=20, metric=metric, weights="softmax", temperature=1e-12).fit(X, y)
        nearest = BlockedKNN(k=1, metric=metric).fit(X, y)
        assert np.array_equal(sharp.predict(X_test), nearest.predict(X_test))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
class TestTies:
    def test_of_equal_rows_the_earlier_ones_vote(self, metric: str) -> None:
        rng = np.random.default_rng(0)
        for width in (3, 7, 33):
            points = rng.normal(size=(5, width))
            X = points[np.arange(60) % 5]
            y = np.arange(60) // 20
            model = BlockedKNN(k=4, metric=metric, weights="uniform").fit(X, y)
            asked = points + 1e-3 * rng.normal(size=points.shape)
            assert model.predict(asked).tolist() == [0] * 5  # the first four of twelve
            reverse = BlockedKNN(k=4, metric=metric, weights="uniform").fit(X[::-1], y[::-1])
            assert reverse.predict(asked).tolist() == [2] * 5

    def test_of_equal_votes_the_first_class_wins(self, metric: str) -> None:
        X, y = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array(["b", "a"])
        model = BlockedKNN(k=2, metric=metric, weights="uniform").fit(X, y)
        assert model.predict(X).tolist() == ["a", "a"]
        assert model.decision_function(X).tolist() == [0.0, 0.0]

    def test_rows_at_distance_zero_alone_vote(self, metric: str) -> None:
        X, y, _ = halves("digits", np.float32)
        model = BlockedKNN(k=5, metric=metric, weights="distance").fit(X, y)
        assert np.array_equal(model.predict_proba(X).max(1), np.ones(len(X)))
        assert np.array_equal(model.predict(X), y)

    def test_blocks_change_nothing(self, metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
        X, y, X_test = halves("digits", np.float32)
        X = np.repeat(X, 2, axis=0)
        y = np.arange(len(X)) % 10
        model = BlockedKNN(k=5, metric=metric, weights="uniform").fit(X, y)
        whole = model.predict_proba(X_test)
        monkeypatch.setattr(module, "_BLOCK_BYTES", 8 * 1500)
        assert np.array_equal(model.predict_proba(X_test), whole)


def test_a_row_of_zeros_is_at_cosine_distance_one_as_in_scikit_learn() -> None:
    X = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.1], [0.0, 0.0], [0.0, 1.0]])
    y = np.array([0, 1, 2, 3, 4])
    ours = BlockedKNN(k=4, weights="distance").fit(X, y)
    theirs = KNeighborsClassifier(4, metric="cosine", weights="distance").fit(X, y)
    asked = np.array([[1.0, -0.2], [1.0, 0.3]])
    np.testing.assert_allclose(ours.predict_proba(asked), theirs.predict_proba(asked))
    assert ours.predict_proba([[0.0, 0.0]]).tolist() == [[0.25, 0.25, 0.25, 0.25, 0]]


def test_fewer_rows_than_k_all_vote() -> None:
    X, y = np.arange(6.0)[:, None], np.array([0, 0, 0, 0, 1, 1])
    shares = BlockedKNN(k=100, metric="euclidean", weights="uniform").fit(X, y).predict_proba(X)
    np.testing.assert_allclose(shares, np.tile([2 / 3, 1 / 3], (6, 1)))


def test_class_weights_multiply_votes() -> None:
    X, y = np.arange(1.0, 7.0)[:, None], np.array([0, 0, 0, 0, 1, 1])
    settings: dict[str, Any] = {"k": 6, "metric": "euclidean", "weights": "uniform"}
    shares = BlockedKNN(**settings, class_weight={1: 6.0}).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(shares, np.tile([0.25, 0.75], (6, 1)))
    shares = BlockedKNN(**settings, class_weight="balanced").fit(X, y).predict_proba(X)
    np.testing.assert_allclose(shares, np.full((6, 2), 0.5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "k=0"),
        ({"k": 2.5}, "whole number"),
        ({"metric": "l1"}, "expected cosine, euclidean"),
        ({"weights": "votes"}, "expected uniform, distance, softmax"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"temperature": "hot"}, "temperature='hot'"),
        ({"class_weight": {0: 0.0}}, "above 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_head("knn", **settings)


def test_votes_of_no_neighbour_are_no_reason_to_be_certain() -> None:
    """Calibrated on shares of exactly zero, one unlikely row would cost everything."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    X = rng.normal(size=(600, 4))
    X[np.arange(600), y] += 1.5
    plain = create_head("knn", k=5).fit(X[:400], y[:400])
    calibrated = create_head("knn", k=5, calibrate="temperature").fit(X[:400], y[:400])
    before, after = (log_loss(y[400:], head.predict_proba(X[400:])) for head in (plain, calibrated))
    assert after < 0.7 * before
    assert after < 1.0

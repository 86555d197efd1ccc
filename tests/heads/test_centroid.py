"""The centroid head is scikit-learn's NearestCentroid, with priors and the cosine beside it."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import Normalizer

from featbench.errors import UsageError
from featbench.heads import create_head
from featbench.heads.centroid import NearestMean

LOADERS = [load_wine, load_breast_cancer, load_digits, load_iris]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")  # not what is compared
@pytest.mark.parametrize("load", LOADERS)
class TestAgainstScikitLearn:
    def test_euclidean_labels_are_nearest_centroids(self, load: Any, dtype: Any) -> None:
        X, y = load(return_X_y=True)
        X, X_test = X[::2].astype(dtype), X[1::2].astype(dtype)
        for weight in (None, "balanced"):
            ours = NearestMean(metric="euclidean", class_weight=weight).fit(X, y[::2])
            theirs = NearestCentroid().fit(X, y[::2])
            assert np.array_equal(ours.predict(X_test), theirs.predict(X_test))
            np.testing.assert_allclose(ours.means_, theirs.centroids_, rtol=1e-5)

    def test_cosine_labels_are_theirs_on_unit_rows_and_unit_means(
        self, load: Any, dtype: Any
    ) -> None:
        X, y = load(return_X_y=True)
        unit = Normalizer().fit_transform(X.astype(dtype))
        theirs = NearestCentroid().fit(unit[::2], y[::2])
        theirs.centroids_ = Normalizer().fit_transform(theirs.centroids_)
        ours = NearestMean().fit(X[::2].astype(dtype), y[::2])
        assert np.array_equal(ours.predict(7 * X[1::2]), theirs.predict(unit[1::2]))


def test_scores_are_those_of_gaussians_with_the_weights_as_priors() -> None:
    X, y = load_iris(return_X_y=True)
    weights = {0: 1.0, 1: 50.0, 2: 0.5}
    model = NearestMean(metric="euclidean", class_weight=weights).fit(X, y)
    means = np.stack([X[y == c].mean(0) for c in range(3)])
    spread = ((X - means[y]) ** 2).mean()
    log_joint = np.log([1, 50, 0.5]) - ((X[:, None] - means) ** 2).sum(2) / (2 * spread)
    scores = model.decision_function(X)
    np.testing.assert_allclose(scores - scores[:, :1], log_joint - log_joint[:, :1], atol=1e-8)
    plain = NearestMean(metric="euclidean").fit(X, y)
    assert (model.predict(X) == 1).sum() > (plain.predict(X) == 1).sum()


def test_two_classes_have_one_score() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    for metric in ("cosine", "euclidean"):
        model = NearestMean(metric=metric).fit(X, y)
        assert model.decision_function(X).shape == (len(X),)
        assert np.array_equal(model.predict(X), (model.decision_function(X) > 0).astype(int))


def test_one_row_a_class_and_equal_rows_are_enough() -> None:
    X, y = np.array([[0.0, 1.0], [3.0, 0.0]]), np.array(["up", "right"])
    for metric in ("cosine", "euclidean"):
        assert NearestMean(metric=metric).fit(X, y).predict(X).tolist() == ["up", "right"]
        again = NearestMean(metric=metric).fit(np.repeat(X, 3, axis=0), np.repeat(y, 3))
        assert again.predict(X).tolist() == ["up", "right"]


def test_rows_that_cancel_out_give_a_mean_at_cosine_zero() -> None:
    X = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    model = NearestMean().fit(X, np.array([0, 0, 1, 1]))
    assert model.predict(np.array([[1.0, -0.01], [1.0, 0.01]])).tolist() == [0, 1]


def test_the_euclidean_head_is_one_linear_layer() -> None:
    X, y = load_wine(return_X_y=True)
    head = create_head("centroid", metric="euclidean").fit(X, y)
    weight, bias = head.linear_layer()
    assert np.array_equal((X @ weight.T + bias).argmax(1), head.predict(X))
    with pytest.raises(UsageError, match="not one linear layer"):
        create_head("centroid", metric="cosine").fit(X, y).linear_layer()
    assert head.parameter_count() == 3 * 13


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "l1"}, "expected cosine, euclidean"),
        ({"class_weight": {0: 0.0}}, "above 0"),
        ({"class_weight": "even"}, "class_weight='even'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_head("centroid", **settings)


def test_how_many_rows_a_class_has_counts_for_nothing() -> None:
    X, y = load_iris(return_X_y=True)
    X, y = X[30:], y[30:]
    for metric in ("cosine", "euclidean"):
        plain, balanced = (
            NearestMean(metric=metric, class_weight=weight).fit(X, y).decision_function(X)
            for weight in (None, "balanced")
        )
        assert np.array_equal(plain, balanced)

"""Every registered head keeps scikit-learn's contract; none is named here."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from featbench.errors import UsageError
from featbench.heads import HEADS, create_head

X, Y = load_iris(return_X_y=True)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([create_head(name) for name in HEADS])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("name", HEADS)
class TestEveryHead:
    def test_learns_and_says_what_it_learned(self, name: str) -> None:
        head = create_head(name).fit(X[::2], Y[::2])
        assert head.score(X[1::2], Y[1::2]) > 0.8
        assert head.classes_.tolist() == [0, 1, 2]
        scores = head.decision_function(X)
        assert scores.shape == (150, 3)
        if hasattr(head, "predict_proba"):
            assert np.allclose(head.predict_proba(X).sum(axis=1), 1)

    def test_two_runs_are_identical(self, name: str) -> None:
        first, second = (create_head(name).fit(X, Y).decision_function(X) for _ in range(2))
        assert np.array_equal(first, second)

    def test_labels_of_any_kind(self, name: str) -> None:
        words = np.array(["a", "bb", "c"])[Y]
        assert set(create_head(name).fit(X, words).predict(X)) == {"a", "bb", "c"}

    def test_works_in_pipelines_searches_and_clones(self, name: str) -> None:
        head = clone(create_head(name, preprocess="l2"))
        assert head.get_params()["preprocess"] == "l2"
        assert np.isfinite(cross_val_score(make_pipeline(head), X, Y, cv=3)).all()
        search = GridSearchCV(create_head(name), {"preprocess": ["none", "standardise"]}, cv=2)
        assert search.fit(X, Y).best_score_ > 0.8

    @pytest.mark.parametrize("preprocess", ["none", "standardise", "l2", "whiten"])
    def test_every_preprocessing(self, name: str, preprocess: str) -> None:
        head = create_head(name, preprocess=preprocess).fit(X, Y)
        scores = head.decision_function(X)
        assert np.isfinite(scores).all()
        assert scores.std(axis=0).min() > 0

    def test_bad_input_is_refused_with_a_reason(self, name: str) -> None:
        head = create_head(name)
        with pytest.raises(ValueError, match="NaN"):
            head.fit(np.where(X > 7, np.nan, X), Y)
        with pytest.raises(ValueError, match="one class"):
            head.fit(X, np.zeros(150, int))
        with pytest.raises(UsageError, match="preprocess='x'"):
            create_head(name, preprocess="x")
        with pytest.raises(ValueError, match="preprocess='x'"):
            create_head(name).set_params(preprocess="x").fit(X, Y)
        with pytest.raises(ValueError, match="features"):
            head.fit(X, Y).predict(X[:, :2])

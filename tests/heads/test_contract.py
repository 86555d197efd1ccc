"""Every registered head keeps scikit-learn's contract; none is named here."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    cross_val_score,
    cross_validate,
)
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

    def test_values_that_are_not_finite_are_refused(self, name: str) -> None:
        head = create_head(name).fit(X, Y)
        for bad, word in ((np.nan, "NaN"), (np.inf, "infinity")):
            rows = X.copy()
            rows[3, 1] = bad
            with pytest.raises(ValueError, match=word):
                head.predict(rows)
            with pytest.raises(ValueError, match=word):
                clone(head).fit(rows, Y)

    def test_empty_input_is_refused(self, name: str) -> None:
        head = create_head(name).fit(X, Y)
        with pytest.raises(ValueError, match="0 sample"):
            head.predict(X[:0])
        with pytest.raises(ValueError, match="0 sample"):
            clone(head).fit(X[:0], Y[:0])
        with pytest.raises(ValueError, match="0 feature"):
            clone(head).fit(X[:, :0], Y)

    def test_a_class_that_training_lacked_is_only_wrong(self, name: str) -> None:
        head = create_head(name).fit(X[:100], Y[:100])
        assert head.classes_.tolist() == [0, 1]
        assert head.score(X[100:], Y[100:]) == 0
        assert 0.6 < head.score(X, Y) <= 2 / 3

    def test_one_row_a_class_is_enough(self, name: str) -> None:
        head = create_head(name).fit(X[::50], Y[::50])
        assert np.isfinite(head.decision_function(X)).all()
        assert set(head.predict(X)) <= {0, 1, 2}

    def test_a_class_that_counts_more_is_named_more(self, name: str) -> None:
        if "class_weight" not in create_head(name).get_params():
            pytest.skip("no class_weight")
        named = [
            (create_head(name, class_weight=w).fit(X[:, :2], Y).predict(X[:, :2]) == 1).sum()
            for w in ({1: 0.01}, {1: 100.0})
        ]
        assert named[0] < named[1]

    @pytest.mark.parametrize("weight", [None, "balanced"])
    @pytest.mark.parametrize("classes", [2, 3])
    def test_a_core_of_our_own_is_its_arrays(self, name: str, classes: int, weight: Any) -> None:
        kept = np.isin(Y, range(classes))
        rows, labels = X[kept].astype(np.float32), Y[kept]
        head = create_head(name).set_params(class_weight=weight).fit(rows, labels)
        core = head.core_
        if not hasattr(core, "get_arrays"):
            pytest.skip("another package's classifier")
        rows = head.preprocess_.transform(rows)
        arrays = core.get_arrays()
        assert all(isinstance(array, np.ndarray) for array in arrays.values())
        again = clone(core)
        again.classes_ = core.classes_
        assert again.set_arrays(arrays, rows.shape[1]) is again
        assert np.array_equal(again.predict(rows), core.predict(rows))
        assert np.array_equal(again.decision_function(rows), core.decision_function(rows))

    def test_arrays_that_are_not_the_cores_are_refused(self, name: str) -> None:
        core = create_head(name).fit(X, Y).core_
        if not hasattr(core, "get_arrays"):
            pytest.skip("another package's classifier")
        arrays = core.get_arrays()
        fresh = clone(core)
        fresh.classes_ = core.classes_
        for key, array in arrays.items():
            wrong: list[dict[str, Any]] = [
                {k: v for k, v in arrays.items() if k != key},
                arrays | {key: array[..., None]},
                arrays | {key: array.astype("S8")},
            ]
            if array.dtype.kind == "f":
                wrong.append(arrays | {key: np.full_like(array, np.nan)})
            for changed in wrong:
                with pytest.raises(ValueError, match="array"):
                    fresh.set_arrays(changed, 4)
        with pytest.raises(ValueError, match="array"):
            fresh.set_arrays(arrays, 5)
        with pytest.raises(ValueError, match="array"):
            fresh.set_arrays(arrays | {"more": np.zeros(1)}, 4)

    def test_what_is_worth_searching_can_be_set(self, name: str) -> None:
        for setting, values in HEADS[name].space.items():
            assert len(set(values)) == len(values) > 1
            for value in values:
                small = {"epochs": 1} if "epochs" in HEADS[name].space else {}
                create_head(name, **small | {setting: value})

    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    def test_rows_may_be_for_reading_only(self, name: str, kind: Any) -> None:
        """As joblib gives large ones to its workers; torch says so once a process only."""
        rows = X.astype(kind)
        rows.setflags(write=False)
        small = {"epochs": 1, "select": "val_loss"} if name == "mlp" else {}
        for metric in ("cosine", "euclidean") if name in ("knn", "centroid") else (None,):
            own = small if metric is None else {"metric": metric}
            torch.set_warn_always(True)
            try:
                head = create_head(name, preprocess="none", calibrate="platt", **own).fit(rows, Y)
                head.predict(rows)
                head.uncalibrated_proba(rows)
            finally:
                torch.set_warn_always(False)

    def test_a_fitted_head_goes_through_joblib(self, name: str, tmp_path: Path) -> None:
        head = create_head(name, calibrate="temperature").fit(X, Y)
        joblib.dump(head, tmp_path / "head.joblib")
        again = joblib.load(tmp_path / "head.joblib")
        assert np.array_equal(again.predict_proba(X), head.predict_proba(X))

    def test_columns_have_names(self, name: str) -> None:
        table = pd.DataFrame(X, columns=list("abcd"))
        head = create_head(name).fit(table, pd.Series(Y).astype("category"))
        assert head.feature_names_in_.tolist() == list("abcd")
        assert np.array_equal(head.predict(table), create_head(name).fit(X, Y).predict(X))
        with pytest.raises(ValueError, match="feature names"):
            head.predict(table[list("dcba")])

    def test_sparse_rows_are_refused(self, name: str) -> None:
        with pytest.raises(TypeError, match="dense"):
            create_head(name).fit(csr_array(X), Y)

    def test_groups_are_routed(self, name: str) -> None:
        with config_context(enable_metadata_routing=True):
            head = create_head(name, calibrate="platt").set_fit_request(groups=True)
            found = cross_validate(
                head, X, Y, cv=StratifiedGroupKFold(3), params={"groups": np.arange(150) // 5}
            )
        assert found["test_score"].min() > 0.6

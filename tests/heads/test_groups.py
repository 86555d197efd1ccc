"""Rows of one group are held out together, wherever a head holds rows out."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featbench.heads import HEADS, create_head
from featbench.heads._mlp_training import hold_out
from featbench.heads._out_of_fold import grouped_folds


def copies(people: int = 40, each: int = 10) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Rows that tell who, and nothing about the label, which is the same for one person."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(people), each)
    X = rng.normal(size=(people, 20))[person] + 0.01 * rng.normal(size=(len(person), 20))
    return X, (person % 2), np.array([f"patient {p}" for p in person])


@pytest.mark.parametrize("name", ["knn", "svm-rbf", "logreg"])
def test_calibration_does_not_trust_what_it_has_seen(name: str) -> None:
    """Of new people it knows nothing, and only grouped folds can tell."""
    X, y, groups = copies()
    fixed = {"C": 100.0} if name != "knn" else {"k": 5}
    head = create_head(name, calibrate="temperature", **fixed)
    new = np.random.default_rng(1).normal(size=(200, 20))
    leaking = head.fit(X, y).predict_proba(new).max(axis=1)
    honest = head.fit(X, y, groups=groups).predict_proba(new).max(axis=1)
    assert leaking.mean() > 0.75
    assert honest.mean() < 0.65


@pytest.mark.parametrize("name", HEADS)
def test_every_head_takes_groups(name: str) -> None:
    X, y, groups = copies(people=12, each=4)
    few = {"epochs": 2} if name == "mlp" else {}
    head = create_head(name, calibrate="platt", **few).fit(X, y, groups=groups)
    assert np.allclose(head.predict_proba(X).sum(axis=1), 1)
    alone = create_head(name, **few).fit(X, y, groups=groups)
    assert np.array_equal(
        alone.decision_function(X), create_head(name, **few).fit(X, y).decision_function(X)
    )
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        head.fit(X, y, groups=groups[:-1])


def labelled_groups(seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Groups of many sizes, some with rows of several classes; class 5 has one group only."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 40, size=300)
    labels = np.where(rng.random(300) < 0.2, rng.integers(0, 5, size=300), groups % 5)
    return np.append(labels, [5, 5, 5]), np.append(groups, [99, 99, 99])


@pytest.mark.parametrize("seed", range(10))
def test_folds_divide_no_group_and_know_every_class(seed: int) -> None:
    labels, groups = labelled_groups(seed)
    folds = grouped_folds(labels, groups)
    assert all(len(set(folds[groups == one])) == 1 for one in set(groups))
    assert set(folds[groups == 99]) == {-1}
    assert sorted(set(folds)) == [-1, 0, 1, 2, 3, 4]
    for fold in range(5):
        assert set(labels[folds != fold]) == set(range(6))
    sizes = np.bincount(folds[folds >= 0])
    assert sizes.min() > 0.5 * sizes.max()
    assert np.array_equal(folds, grouped_folds(labels, groups))


def test_folds_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="two groups or more"):
        grouped_folds(np.array([0, 0, 1, 1]), np.array(["a", "a", "b", "b"]))
    folds = grouped_folds(np.array([0, 0, 1, 1]), np.array(["a", "b", "c", "c"]))
    assert sorted(folds) == [-1, -1, 0, 1]


@pytest.mark.parametrize("seed", range(10))
def test_an_epoch_is_chosen_on_whole_groups(seed: int) -> None:
    labels, groups = labelled_groups(seed)
    kept, held = hold_out(labels, 0.2, np.random.RandomState(seed), groups)
    assert sorted([*kept, *held]) == list(range(303))
    assert not set(groups[kept]) & set(groups[held])
    assert set(labels[kept]) == set(range(6))
    assert 0.1 < len(held) / 303 <= 0.21


def test_an_epoch_cannot_be_chosen_without_a_group_to_spare() -> None:
    y = np.arange(20) % 2
    head = create_head("mlp", epochs=1, select="val_loss")
    with pytest.raises(ValueError, match="no class has a group to spare"):
        head.fit(np.eye(20), y, groups=y)
    fitted = head.fit(np.eye(20), y, groups=np.arange(20) // 4)
    assert fitted.core_.history_[0]["val_loss"] is not None

"""Choosing a head's settings on held-out images, before the test split is read."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from featbench.datasets import VALIDATION_SHARE, Split, split_off
from featbench.errors import UsageError
from featbench.experiments._rows import Rows
from featbench.extraction import FeatureSplit
from featbench.heads import (
    Candidate,
    Fold,
    Head,
    best_of,
    left_to_search,
    refitted,
    search_space,
    tune,
)
from featbench.progress import Reporter


@dataclass(frozen=True)
class Selection:
    """How settings are chosen.

    Parameters
    ----------
    tune : int or str
        So many candidates drawn at random from the head's space, or ``grid`` for all of it; 0 is
        no choice at all.
    folds : int, optional
        Score on so many folds of train and val.
    validation : float, optional
        Score on about this share of train and val; by default on the source's val
        split, or on a fifth of train where there is none.
    space : dict of str to list
        Settings and the values to try, in place of the head's own space.
    """

    tune: int | str = 0
    folds: int | None = None
    validation: float | None = None
    space: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        is_count = isinstance(self.tune, int) and not isinstance(self.tune, bool) and self.tune >= 0
        if not is_count and self.tune != "grid":
            raise UsageError(f"tune {self.tune!r}: expected a number of candidates, or grid")
        for name, values in self.space.items():
            if not isinstance(values, list) or not values:
                raise UsageError(f"search: {name}={values!r}: expected a list of values to try")
        for name in ("folds", "validation", "space"):
            if getattr(self, name) not in (None, {}) and not self.tune:
                raise UsageError(f"{name} goes with tune: without it nothing is chosen")
        if self.folds is not None and self.validation is not None:
            raise UsageError("folds and validation are two ways to score candidates: give one")
        if self.folds is not None and self.folds < 2:
            raise UsageError(f"folds {self.folds}: expected 2 or more")
        if self.validation is not None and not 0 < self.validation < 1:
            raise UsageError(f"validation {self.validation}: expected a share between 0 and 1")

    def describe(self) -> dict[str, Any]:
        """Return what is part of a run's identity; nothing where nothing is chosen."""
        plain = {name: value for name, value in vars(self).items() if name != "space" or value}
        return plain if self.tune else {}

    def in_words(self) -> str:
        """Return what is tried, for people; nothing where nothing is chosen."""
        sizes = [f"{len(values)} of {name}" for name, values in self.space.items()]
        return (f"tune {self.tune}" + (f": {', '.join(sizes)}" if sizes else "")) * bool(self.tune)


@dataclass(frozen=True)
class Chosen:
    """What came of a choice.

    Parameters
    ----------
    head : Head
        Unfitted, with the settings that were best.
    candidates : list of Candidate
        All of them, in the order of the draw.
    accuracy : float
        The best one's mean accuracy on the rows held out.
    n_val : int
        Different rows that were held out.
    searched : list of str
        The settings that candidates may differ in.
    """

    head: Head
    candidates: list[Candidate]
    accuracy: float
    n_val: int
    searched: list[str]


def choose(
    selection: Selection,
    name: str,
    fixed: dict[str, Any],
    rows: Rows,
    *,
    seed: int,
    split_seed: int,
    reporter: Reporter,
) -> Chosen:
    """Try a head's candidates on rows held out of train and val.

    Parameters
    ----------
    selection : Selection
        How.
    name : str
        The head.
    fixed : dict
        Settings that are given.
    rows : Rows
        Of every split; test is not looked at.
    seed, split_seed : int
        For the draw, and for what is held out.
    reporter : Reporter
        Shows progress, and is told of candidates that failed or did not converge.

    Raises
    ------
    UsageError
        When nothing could be held out, or the head has nothing to tune.
    FeatbenchError
        When no candidate can be chosen.
    """
    count = selection.tune if isinstance(selection.tune, int) else None
    heads = search_space(name, fixed, count, seed, selection.space)
    searched = left_to_search(name, fixed, count is None, selection.space)
    pool = with_validation_rows(rows)
    folds = _folds(selection, rows, pool, split_seed)
    train = pool.train
    if count is None:
        reporter.say(f"{name}: a grid of {len(heads):,} candidates, "
                     f"{len(heads) * len(folds):,} fits")  # fmt: skip
    with reporter.bar(f"{name}: trying settings", len(heads) * len(folds), unit="fits") as bar:
        candidates = tune(heads, train.X, train.y, folds, lambda: bar.advance(1))
    for one in candidates:
        if one.problem:
            reporter.say(f"{name} ({_settings(one.head, searched)}): {one.problem}; not chosen")
    best = best_of(candidates)
    held_out = len(np.unique(np.concatenate([held for _, held in folds])))
    reporter.say(f"{name}: {_settings(best.head, searched)} is best of {len(candidates)} "
                 f"({100 * best.accuracy:.1f}% of {held_out:,} held out)")  # fmt: skip
    return Chosen(refitted(best), candidates, best.accuracy, held_out, list(searched))


def _settings(head: Head, searched: Iterable[str]) -> str:
    values = head.get_params(deep=False)
    return ", ".join(f"{k}={values[k]}" for k in searched)


def with_validation_rows(rows: Rows) -> Rows:
    """Return the rows with val put into train."""
    if "val" not in rows.parts:
        return rows
    train, val = rows.parts["train"], rows.parts["val"]
    splits = rows.dataset.splits
    joined = splits["train"] + splits["val"]
    dataset = rows.dataset.with_splits({"train": joined, "test": splits["test"]})
    X = np.concatenate([train.X, val.X])
    both = FeatureSplit(X, joined.labels, joined.ids, joined.groups)
    return replace(rows, dataset=dataset, parts={"train": both, "test": rows.parts["test"]})


def _folds(selection: Selection, rows: Rows, pool: Rows, split_seed: int) -> list[Fold]:
    """Return rows of the pool to fit on and to score on."""
    split = pool.dataset.train
    everything = np.arange(len(split))
    own = len(rows.train.y)
    if selection.folds is not None:
        folds = _cross_validation(split, selection.folds, split_seed)
    elif selection.validation is None and own < len(everything):
        folds = [(everything[:own], everything[own:])]
    else:
        share = VALIDATION_SHARE if selection.validation is None else selection.validation
        _, taken = split_off(split, share, seed=split_seed, purpose="val")
        is_taken = np.isin(np.array(split.ids, dtype=object), np.array(taken.ids, dtype=object))
        folds = [(everything[~is_taken], everything[is_taken])]
    for train, held_out in folds:
        if not len(held_out) or len(np.unique(split.labels[train])) < 2:
            raise UsageError(
                f"{pool.dataset.source}: too few {pool.dataset.item}s to choose settings on: of "
                f"{len(split)}, {len(held_out)} would be held out; leave --tune out, add more, or "
                "set --folds or --validation"
            )
    return folds


def _cross_validation(split: Split, folds: int, split_seed: int) -> list[Fold]:
    """Return stratified folds; what belongs to one group is on one side."""
    if len(split) < folds:
        raise UsageError(f"folds {folds}: there are only {len(split)} to train on")
    kind = StratifiedKFold if split.groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():  # a class smaller than the number of folds is missing in some
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        try:
            return list(
                kind(folds, shuffle=True, random_state=split_seed).split(
                    np.zeros(len(split)), split.labels, split.groups
                )
            )
        except ValueError as error:
            raise UsageError(f"folds {folds}: {error}") from error

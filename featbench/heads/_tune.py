"""Choosing settings on held-out rows: what candidates have in common is computed once."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from featbench.errors import FeatbenchError, UsageError
from featbench.heads._base import HEADS, Head, create_head
from featbench.heads._trials import Fold, Rows, Trial, one_by_one


@dataclass(frozen=True)
class Candidate:
    """One point of the search, and how it did.

    Parameters
    ----------
    head : Head
        Unfitted, with its settings.
    trials : list of Trial
        One a fold.
    """

    head: Head
    trials: list[Trial] = field(default_factory=list)

    @property
    def problem(self) -> str:
        """Why it cannot be chosen, in the first fold where there is a reason."""
        return next((trial.problem for trial in self.trials if trial.problem), "")

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the folds."""
        return float(np.mean([trial.accuracy for trial in self.trials]))

    @property
    def epochs(self) -> int | None:
        """The median of the folds' best numbers of epochs."""
        chosen = [trial.epochs for trial in self.trials if trial.epochs is not None]
        return max(1, round(float(np.median(chosen)))) if chosen else None

    def record(self) -> dict[str, Any]:
        """Return the candidate's line of the ledger, plain enough for JSON."""
        settings = self.head.get_params(deep=False)
        return {
            "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()},
            "accuracy": None if math.isnan(self.accuracy) else self.accuracy,
            "fold_accuracies": [
                None if math.isnan(t.accuracy) else t.accuracy for t in self.trials
            ],
            "epochs": self.epochs,
            "seconds": sum(trial.seconds for trial in self.trials),
            "problem": self.problem,
        }


def left_to_search(
    name: str,
    fixed: Iterable[str],
    whole: bool = False,
    own: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, tuple[Any, ...]]:
    """Return what of a head's space is not fixed already; or of its grid, if all is to be tried.

    A space of the caller's ``own`` stands in place of both.
    """
    head, known = HEADS[name], set(fixed)
    if own:
        return {k: tuple(values) for k, values in own.items() if k not in known}
    space = head.grid if whole and set(head.grid) - known else head.space
    return {k: values for k, values in space.items() if k not in known}


def search_space(
    name: str,
    fixed: dict[str, Any],
    count: int | None,
    seed: int = 0,
    own: Mapping[str, Sequence[Any]] | None = None,
) -> list[Head]:
    """Draw candidates from a head's declared space; no two of them do the same.

    Parameters
    ----------
    name : str
        A registered head; its ``space`` maps settings to the values worth trying.
    fixed : dict
        Settings that every candidate has.
    count : int or None
        So many different ones at random, the head's defaults first; None is the whole grid, the
        head's own ``grid`` where it declares one.
    seed : int
        Decides the draw.
    own : mapping of str to sequence, optional
        What to try, in place of the head's space.

    Raises
    ------
    UsageError
        For an unknown head or setting, or a head whose space is empty.
    """
    base, space = create_head(name, **fixed), left_to_search(name, fixed, count is None, own)
    if not space:
        besides = f" besides {', '.join(fixed)}" if fixed else ""
        raise UsageError(f"head {name} has nothing to tune{besides}: leave --tune out")
    grid = list(itertools.product(*space.values()))
    default = tuple(base.get_params(deep=False)[k] for k in space)
    if count is not None:
        drawn = np.random.default_rng(seed).permutation(len(grid))
        grid = [*([default] if not own else []), *(grid[i] for i in drawn)]
    found: dict[str, Head] = {}
    for values in grid:
        head = clone(base).set_params(**dict(zip(space, values, strict=True)))
        idle = head.idle_settings()
        found.setdefault(str([(k, getattr(head, k)) for k in space if k not in idle]), head)
        if len(found) == count:
            break
    return list(found.values())


def tune(
    heads: Iterable[Head],
    X: Rows,
    y: NDArray[Any],
    folds: Sequence[Fold],
    advance: Callable[[], None] = lambda: None,
) -> list[Candidate]:
    """Try heads on folds; preprocessing is fitted on each fold's own training rows.

    Heads of one kind with one preprocessing are tried together: kernel machines share the products
    of rows, and logistic regressions of different C start from each other.

    Parameters
    ----------
    heads : iterable of Head
        Unfitted; of any kinds.
    X : ndarray, shape (n, d)
        Rows.
    y : ndarray, shape (n,)
        Labels.
    folds : sequence of (ndarray of int, ndarray of int)
        Rows to fit on and rows to score on; nothing else is looked at.
    advance : callable
        Is called after each trial.

    Returns
    -------
    list of Candidate
        In the heads' order.
    """
    candidates = [Candidate(head, []) for head in heads]
    families: dict[Any, list[int]] = {}
    for number, one in enumerate(candidates):
        core = one.head._core_for(y)
        families.setdefault((type(core), one.head.preprocess), []).append(number)
    trials: dict[tuple[int, int], Trial] = {}
    for members in families.values():
        cores = [candidates[number].head._core_for(y) for number in members]
        for rows, numbers in _prepared(candidates[members[0]].head, X, folds):
            these = [folds[number] for number in numbers]
            together = getattr(type(cores[0]), "try_all", one_by_one)
            for which, fold, trial in together(cores, rows, y, these):
                trials[members[which], numbers[fold]] = trial
                advance()
    for number, one in enumerate(candidates):
        one.trials.extend(trials[number, fold] for fold in range(len(folds)))
    return candidates


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate with the highest mean accuracy, the first of equals.

    Raises
    ------
    FeatbenchError
        When each of them failed or did not converge.
    """
    sound = [one for one in candidates if not one.problem]
    if not sound:
        raise FeatbenchError(
            f"none of {len(candidates)} candidates can be chosen; the first: "
            f"{candidates[0].problem}"
        )
    return max(sound, key=lambda one: one.accuracy)


def refitted(best: Candidate) -> Head:
    """Return the chosen head, unfitted: to be fitted on all rows, for the epochs that were best."""
    head: Head = clone(best.head)
    if best.epochs is not None:
        head.set_params(stop_after=best.epochs, select="last", patience=None)
    return head


def _prepared(head: Head, X: Rows, folds: Sequence[Fold]) -> Iterator[tuple[Rows, list[int]]]:
    """Yield preprocessed rows, and the folds that they are for."""
    if head.learns_preprocessing():
        for number, (train, _) in enumerate(folds):
            yield head.preprocessor().fit(X[train]).transform(X), [number]
    else:
        yield head.preprocessor().fit_transform(X), list(range(len(folds)))

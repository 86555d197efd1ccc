"""All methods of one data set: accuracies, intervals, tests of all pairs, tie groups."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featbench.errors import UsageError
from featbench.statistics._bootstrap import Interval
from featbench.statistics._holm import holm
from featbench.statistics._letters import compact_letters
from featbench.statistics._metrics import (
    accuracy_interval,
    log_loss_interval,
    metric_interval,
)
from featbench.statistics._runs import Codes, Seeded, paired_p_value

LOG_LOSS = "log_loss"
_FEW_GROUPS = 20
"""Of fewer a cluster bootstrap's intervals are too narrow (Cameron, Gelbach and Miller 2008)."""


@dataclass(frozen=True)
class MethodRun:
    """What one run of a method said of each test image.

    Parameters
    ----------
    seed : int
        Runs of two methods with one seed are paired.
    ids : sequence of str
        The images, in any order.
    labels, predicted : sequence of str or int
        One an image.
    groups : sequence of str, optional
        One an image: which belong together.
    losses : sequence of float, optional
        One an image: its log-loss, in nats.
    """

    seed: int
    ids: Sequence[str]
    labels: Sequence[Any]
    predicted: Sequence[Any]
    groups: Sequence[str] | None = None
    losses: Sequence[float] | None = None


@dataclass(frozen=True)
class Method:
    """One row of the table: a method with all of its runs.

    Parameters
    ----------
    name : str
        For messages.
    runs : sequence of MethodRun
        At least one, each with a seed of its own.
    fingerprint : str
        Of the data set: only methods with the same one are compared.
    """

    name: str
    runs: Sequence[MethodRun]
    fingerprint: str = ""


@dataclass(frozen=True)
class Standing:
    """How one method did.

    Parameters
    ----------
    name : str
        The method's.
    accuracy : float
        Mean over its runs, on the images compared.
    interval : Interval
        Of the accuracy.
    letters : tuple of str
        Methods that share one are not told apart.
    seeds : tuple of int
        Of its runs.
    n_left_out : int
        Images that it has answered and another has not.
    intervals : dict of str to Interval
        Of the other metrics that were asked for and that its runs have: of these runs, on the
        images compared.
    """

    name: str
    accuracy: float
    interval: Interval
    letters: tuple[str, ...]
    seeds: tuple[int, ...]
    n_left_out: int
    intervals: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """What a data set's test images say of the methods.

    Parameters
    ----------
    standings : tuple of Standing
        In the methods' order.
    p_values : ndarray, shape (n_methods, n_methods)
        Of all pairs, adjusted by Holm's method; 1 on the diagonal.
    alpha : float
        The level that the letters go by, over all pairs.
    n_images : int
        How many were compared: those that every run of every method has answered.
    n_groups : int or None
        How many groups they form; None where each stands alone.
    notes : tuple of str
        How it was done, and what was left out, a sentence each, for under a table.
    """

    standings: tuple[Standing, ...]
    p_values: NDArray[np.float64]
    alpha: float
    n_images: int
    n_groups: int | None
    notes: tuple[str, ...]

    @property
    def ranking(self) -> tuple[int, ...]:
        """Indices of the methods, best first; of equals, in their order."""
        return _ranking([one.accuracy for one in self.standings])


def compare(
    methods: Sequence[Method],
    *,
    alpha: float = 0.05,
    resamples: int = 10_000,
    seed: int = 0,
    intervals: Sequence[str] = (),
) -> Comparison:
    """Compare methods on the test images that all of them have answered.

    Intervals are ``accuracy_interval``'s and hold 1 - alpha each; pairs are tested by
    ``paired_p_value``, corrected by ``holm`` over all pairs, and put into letters by
    ``compact_letters``.

    Parameters
    ----------
    methods : sequence of Method
        At least one.
    alpha : float
        The chance that any two methods are told apart wrongly.
    resamples, seed : int
        Of the bootstrap.
    intervals : sequence of str
        Of which other metrics: ``balanced_accuracy``, ``macro_f1``, ``log_loss``. They take time.

    Raises
    ------
    UsageError
        When the methods were not measured on the same data: other fingerprints, no image in
        common, or an image with two labels or two groups.
    """
    if not methods:
        raise UsageError("no method to compare: give at least one")
    for method in methods[1:]:
        if method.fingerprint != methods[0].fingerprint:
            raise UsageError(f"{methods[0].name} and {method.name} were measured on different data "
                             "(other fingerprints); compare methods of one data set")  # fmt: skip
    ids = _common(methods)
    groups = _groups(methods, ids)
    runs = [_aligned(method, ids) for method in methods]
    _check_labels(methods, ids)
    p_values = pairwise(runs, groups)
    accuracies = [float(one.right.mean()) for one in runs]
    order = list(_ranking(accuracies))
    letters = dict(zip(order, compact_letters(p_values[np.ix_(order, order)] < alpha), strict=True))
    standings = tuple(
        Standing(
            method.name,
            accuracies[i],
            accuracy_interval(runs[i], groups, confidence=1 - alpha, resamples=resamples,
                              seed=seed),
            letters[i],
            runs[i].seeds,
            len({name for run in method.runs for name in run.ids}) - len(ids),
            _intervals(method, ids, groups, intervals, confidence=1 - alpha, resamples=resamples,
                       seed=seed),
        )
        for i, method in enumerate(methods)
    )  # fmt: skip
    n_groups = None if groups is None else int(groups.max()) + 1
    drawn = f"{resamples:,} resamples, seed {seed}"
    notes = (*_notes(standings, len(ids), n_groups, alpha, drawn),
             *_notes_on_intervals(standings, n_groups, alpha, drawn),
             *_few(n_groups, len(methods), alpha))  # fmt: skip
    return Comparison(standings, p_values, alpha, len(ids), n_groups, notes)


def _intervals(
    method: Method,
    ids: Sequence[str],
    groups: Codes | None,
    metrics: Sequence[str],
    **options: Any,
) -> dict[str, Interval]:
    """Return the intervals of other metrics than accuracy, of those that the runs have."""
    found = {}
    for metric in metrics:
        if metric != LOG_LOSS:
            labels, predicted = [], []
            for run in method.runs:
                rows = _rows(run, ids)
                labels = [run.labels[i] for i in rows]
                predicted.append([run.predicted[i] for i in rows])
            found[metric] = metric_interval(metric, labels, predicted, groups, **options)
        elif all(run.losses is not None for run in method.runs):
            losses = [[run.losses[i] for i in _rows(run, ids)]
                      for run in method.runs if run.losses is not None]  # fmt: skip
            found[metric] = log_loss_interval(losses, groups, **options)
    return found


def pairwise(runs: Sequence[Seeded], groups: Codes | None = None) -> NDArray[np.float64]:
    """Return the matrix of Holm-adjusted p-values of all pairs, 1 on the diagonal.

    Parameters
    ----------
    runs : sequence of Seeded
        The methods.
    groups : ndarray of int64, shape (n_images,), optional
        0 … n_groups - 1.
    """
    pairs = list(itertools.combinations(range(len(runs)), 2))
    adjusted = holm([paired_p_value(runs[a], runs[b], groups) for a, b in pairs])
    matrix = np.ones((len(runs), len(runs)))
    for (a, b), p in zip(pairs, adjusted, strict=True):
        matrix[a, b] = matrix[b, a] = p
    return matrix


def _ranking(accuracies: Sequence[float]) -> tuple[int, ...]:
    return tuple(np.argsort([-a for a in accuracies], kind="stable").tolist())


def _common(methods: Sequence[Method]) -> list[str]:
    """Return the ids that every run has, in the first run's order."""
    for method in methods:
        if not method.runs:
            raise UsageError(f"{method.name}: has no run; leave it out")
        for run in method.runs:
            if len(set(run.ids)) != len(run.ids):
                raise UsageError(f"{method.name}: an image is answered twice in one run; an id "
                                 "names one image")  # fmt: skip
    shared = set.intersection(*(set(run.ids) for method in methods for run in method.runs))
    if not shared:
        raise UsageError(f"{', '.join(m.name for m in methods)}: have no test image in common; "
                         "compare methods of one data set and one split")  # fmt: skip
    return [name for name in methods[0].runs[0].ids if name in shared]


def _rows(run: MethodRun, ids: Sequence[str]) -> list[int]:
    place = {name: i for i, name in enumerate(run.ids)}
    return [place[name] for name in ids]


def _aligned(method: Method, ids: Sequence[str]) -> Seeded:
    rights = []
    for run in method.runs:
        rows = _rows(run, ids)
        rights.append([run.labels[i] == run.predicted[i] for i in rows])
    return Seeded(np.array(rights, dtype=bool), tuple(run.seed for run in method.runs))


def _check_labels(methods: Sequence[Method], ids: Sequence[str]) -> None:
    known: list[Any] | None = None
    for method in methods:
        for run in method.runs:
            labels = [run.labels[i] for i in _rows(run, ids)]
            known = labels if known is None else known
            if labels != known:
                raise UsageError(f"{method.name} and {methods[0].name}: the same image has two "
                                 "labels; compare methods of one data set")  # fmt: skip


def _groups(methods: Sequence[Method], ids: Sequence[str]) -> Codes | None:
    """Return each image's group as a number; None where no two images share one."""
    known: list[str] | None = None
    for method in methods:
        for run in method.runs:
            if run.groups is None:
                continue  # written before groups were kept: another run knows them
            groups = [run.groups[i] for i in _rows(run, ids)]
            known = groups if known is None else known
            if groups != known:
                raise UsageError(f"{method.name}: puts images into other groups than another "
                                 "method; compare methods of one data set")  # fmt: skip
    if known is None or len(set(known)) == len(known):
        return None
    codes: Codes = np.unique(known, return_inverse=True)[1].astype(np.int64)
    return codes


def _notes_on_intervals(
    standings: Sequence[Standing], n_groups: int | None, alpha: float, drawn: str
) -> tuple[str, ...]:
    metrics = dict.fromkeys(name for one in standings for name in one.intervals)
    if not metrics:
        return ()
    names = ", ".join(_SAID[name] for name in metrics)
    units = "images" if n_groups is None else f"{n_groups:,} groups"
    several = any(len(one.seeds) > 1 for one in standings)
    of = "; of these runs, other seeds are not counted" if several else ""
    return (
        f"{100 * (1 - alpha):g}% intervals of {names}: BCa bootstrap of {units} ({drawn}){of}.",
    )


_SAID = {"balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", LOG_LOSS: "log-loss"}
"""What the metrics are called that may have an interval beside the accuracy's."""


def _notes(
    standings: Sequence[Standing], n: int, n_groups: int | None, alpha: float, drawn: str
) -> tuple[str, ...]:
    several = any(len(one.seeds) > 1 for one in standings)
    notes = []
    left = {one.name: one.n_left_out for one in standings if one.n_left_out}
    if left:
        who = ", ".join(f"{name} {count:,}" for name, count in left.items())
        notes.append(
            f"Compared on the {n:,} test images that all methods answered; left out: {who}."
        )
    share = f"{100 * (1 - alpha):g}%"
    if n_groups is not None:
        plural = "" if n_groups == 1 else "s"
        notes.append(f"{share} intervals: BCa bootstrap of {n_groups:,} group{plural} ({drawn}).")
    elif several:
        notes.append(f"{share} intervals: Wilson's; with several seeds BCa bootstrap ({drawn}).")
    else:
        notes.append(f"{share} intervals: Wilson's.")
    if len(standings) < 2:
        return tuple(notes)
    test = "McNemar's test (mid-p)" if n_groups is None else "sign flips by group (exact)"
    if several and n_groups is None:
        test += ", with several seeds sign flips by image (mid-p)"
    notes.append(
        f"Methods that share a letter are not told apart at {100 * alpha:g}%: {test}, "
        "Holm's correction over all pairs."
    )
    if several:
        notes.append(
            "Runs are paired seed by seed, a single run with each of the other's; the spread over "
            "seeds counts in intervals and tests."
        )
    if several and any(len(one.seeds) == 1 for one in standings):
        notes.append("Of methods with one run, what another seed would change is not counted.")
    return tuple(notes)


def _few(n_groups: int | None, n_methods: int, alpha: float) -> Iterator[str]:
    """Say what cannot be trusted where groups are few."""
    if n_groups is not None and n_groups < _FEW_GROUPS:
        smallest_p = 2.0 ** (1 - n_groups) * n_methods * (n_methods - 1) / 2
        none = ", and too few for any test to tell methods apart" * (smallest_p >= alpha)
        yield f"Groups are too few for these intervals to be trusted{none}."

"""Results become methods: the runs that differ by their seed alone are one, and are compared."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from featbench.experiments import Result, ResultStore, load_predictions, method_key
from featbench.report._guessing import Guessing, guessing_of
from featbench.statistics import Comparison, Method, MethodRun, compare


@dataclass(frozen=True)
class Compared:
    """Methods that learned from and answered the same images, and how they stand to each other.

    Parameters
    ----------
    dataset, fingerprint : str
        Of the data set.
    methods : tuple of tuple of Result
        Each method's runs, one a seed; in the order of ``comparison.standings``.
    comparison : Comparison
        Of these methods.
    without_predictions : tuple of Result
        Runs that kept none: they are not compared.
    sample : dict
        How many images were drawn to learn from, as in ``Result``; empty where all were used.
    guessing : Guessing or None
        How far guessing gets on these test images, and which classes have none.
    """

    dataset: str
    fingerprint: str
    methods: tuple[tuple[Result, ...], ...]
    comparison: Comparison
    without_predictions: tuple[Result, ...]
    sample: dict[str, Any] = field(default_factory=dict)
    guessing: Guessing | None = None

    def place_of(self, result: Result) -> int | None:
        """Return the index of the method that a result is a run of; None where it is of none."""
        wanted = method_key(result)
        places = [i for i, runs in enumerate(self.methods) if method_key(runs[0]) == wanted]
        return places[0] if places else None


def as_method(result: Result, **cleared: Any) -> Result:
    """Return a run as what its method's runs share: no seed, no setting that was searched.

    Parameters
    ----------
    result : Result
        A run.
    **cleared
        Other fields, and what they are to be.
    """
    settings = json.loads(method_key(result))["settings"]
    return result.model_copy(update={"seed": 0, "recipe": "", "settings": settings, **cleared})


def compare_results(
    store: ResultStore,
    results: Sequence[Result],
    *,
    alpha: float = 0.05,
    resamples: int = 10_000,
    per_run: bool = False,
    intervals: Sequence[str] = (),
) -> list[Compared]:
    """Compare the methods of each data set by the predictions that their runs kept.

    Methods that learned from fewer images are compared with those that learned from as many, draw
    by draw, and with no others: Holm's correction is over these pairs.

    Parameters
    ----------
    store : ResultStore
        Where the results are.
    results : sequence of Result
        Those to compare; failed ones are passed over. Of two runs of one method and one seed (of
        two recipes, say) the last counts.
    alpha, resamples, intervals
        As in ``featbench.statistics.compare``.
    per_run : bool
        Take every run for a method of its own, seeds apart.

    Returns
    -------
    list of Compared
        One a data set and number of images to learn from, in the order of the results; methods in
        that order too.

    Raises
    ------
    UsageError
        When the runs of one data set were not measured on the same images.
    """
    done = [r for r in results if r.status == "ok"]
    return [
        found
        for task in dict.fromkeys(map(task_of, done))
        if (found := _compare_one(store, [r for r in done if task_of(r) == task],
                                  _run_key if per_run else method_key,
                                  alpha=alpha, resamples=resamples, intervals=intervals))
    ]  # fmt: skip


def _compare_one(
    store: ResultStore,
    results: Sequence[Result],
    key_of: Callable[[Result], str],
    **options: Any,
) -> Compared | None:
    by_method: dict[str, dict[int, tuple[Result, MethodRun]]] = {}
    missing = []
    same = _Shared()
    for result in results:
        table = load_predictions(store, result)
        if table is None:
            missing.append(result)
            continue
        groups = None if table.groups is None else same.column(table.groups)
        run = MethodRun(result.seed, same.column(table.ids), same.column(table.labels),
                        same.words(table.predicted), groups, table.losses)  # fmt: skip
        by_method.setdefault(key_of(result), {})[result.seed] = result, run
    if not by_method:
        return None
    methods = [
        Method(_name(runs), [run for _, run in runs.values()], results[0].fingerprint)
        for runs in by_method.values()
    ]
    return Compared(
        results[0].dataset,
        results[0].fingerprint,
        tuple(tuple(result for result, _ in runs.values()) for runs in by_method.values()),
        compare(methods, **options),
        tuple(missing),
        results[0].sample,
        guessing_of([one for runs in by_method.values() for one in runs.values()]),
    )


class _Shared:
    """What many runs' predictions have in common is kept in memory once."""

    def __init__(self) -> None:
        self._columns: list[tuple[str, ...]] = []
        self._words: dict[str, str] = {}

    def column(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """Return the column, or an equal one of before."""
        for known in self._columns:
            if known == values:
                return known
        self._columns.append(values)
        return values

    def words(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """Return the column with each word one object."""
        return tuple([self._words.setdefault(word, word) for word in values])


def task_of(result: Result) -> tuple[str, str]:
    """Return what methods must share to be compared: what is learned from, and answered."""
    return result.fingerprint, json.dumps(result.sample, sort_keys=True)


def _run_key(result: Result) -> str:
    return result.run_id


def _name(runs: dict[int, tuple[Result, MethodRun]]) -> str:
    result = next(iter(runs.values()))[0]
    return f"{result.method} on {result.network} ({result.weights}; run {result.run_id[:6]})"

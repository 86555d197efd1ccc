"""A table's rows: one a method, its seeds together, with what the comparison says of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from featbench.experiments import Result, ResultStore, method_key
from featbench.report._comparison import Compared, compare_results
from featbench.report._guessing import Guessing
from featbench.report._names import sample_name
from featbench.statistics import Interval, Standing, wilson_interval


@dataclass(frozen=True)
class Row:
    """One method on one data set.

    Parameters
    ----------
    runs : tuple of Result
        One a seed; none that failed, or only such.
    data : str
        What the data set is called in this table.
    standing : Standing or None
        How it compares; None where its runs kept no predictions, or failed.
    p_best : float or None
        The adjusted p-value of the difference to the best method of its data set and size; None for
        that one.
    rank : float or None
        Its mean rank over data sets, where it was measured on all of several.
    best, tied : bool
        Whether its accuracy is the highest that is shown of its data set, of methods that learned
        from as many images, and whether the test does not tell it apart from that one.
    """

    runs: tuple[Result, ...]
    data: str
    standing: Standing | None = None
    p_best: float | None = None
    rank: float | None = None
    best: bool = False
    tied: bool = False
    guessing: Guessing | None = None

    @property
    def first(self) -> Result:
        """The first run: what all runs share may be read from it."""
        return self.runs[0]

    @property
    def size(self) -> str:
        """How many images were drawn to learn from, in words; empty where all were used."""
        return sample_name(self.first.sample)

    @property
    def failed(self) -> bool:
        """Whether there is nothing but an error."""
        return self.first.status != "ok"

    def every(self, field: str) -> list[Any]:
        """Return a field of each run."""
        return [getattr(run, field) for run in self.runs]

    def mean(self, field: str) -> float | None:
        """Return a field's mean over the runs; None where a run has none."""
        values = self.every(field)
        if any(value is None for value in values):
            return None
        if len(values) == 1:
            return values[0]  # type: ignore[no-any-return]  # a whole number stays one
        return float(np.mean(values))

    def std(self, field: str) -> float | None:
        """Return a field's standard deviation over seeds (n - 1); None for a single run."""
        values = self.every(field)
        if len(values) < 2 or any(value is None for value in values):
            return None
        return float(np.std(values, ddof=1))

    @property
    def n_one_answer(self) -> int:
        """How many of its runs answer every test image with the same class."""
        known = self.guessing.one_answer if self.guessing else ()
        return sum(run.run_id in known for run in self.runs)

    @property
    def accuracy(self) -> float | None:
        """The mean test accuracy; on the images that were compared, where some were left out."""
        if self.standing is not None and self.standing.n_left_out:
            return self.standing.accuracy
        return self.mean("test_accuracy")

    @property
    def interval(self) -> Interval | None:
        """The accuracy's interval; of a run without predictions Wilson's; else None."""
        if self.standing is not None:
            return self.standing.interval
        if len(self.runs) > 1 or self.first.test_accuracy is None or not self.first.n_test:
            return None
        return Interval(*wilson_interval(self.first.test_accuracy, self.first.n_test))

    def interval_of(self, metric: str) -> Interval | None:
        """Return another metric's interval, where it was asked for and there is one."""
        return None if self.standing is None else self.standing.intervals.get(metric)


@dataclass(frozen=True)
class Rows:
    """All rows, and what they rest on.

    Parameters
    ----------
    rows : tuple of Row
        In the order in which the methods first appear among the results.
    compared : tuple of Compared
        One a data set and size that has predictions.
    unused : tuple of Result
        Runs that no row has: a later one of the same method and seed stands for them, or others of
        their method kept predictions and they did not.
    """

    rows: tuple[Row, ...]
    compared: tuple[Compared, ...]
    unused: tuple[Result, ...]


def rows_from(
    store: ResultStore,
    results: Sequence[Result],
    *,
    per_run: bool = False,
    intervals: Sequence[str] = (),
) -> Rows:
    """Put results into rows and compare these, data set by data set.

    Parameters
    ----------
    store : ResultStore
        Where the results are; each run's predictions are read once.
    results : sequence of Result
        Those to show. Failed runs have rows of their own.
    per_run : bool
        One row a run, compared as if each were a method.
    intervals : sequence of str
        As in ``featbench.statistics.compare``.

    Raises
    ------
    UsageError
        As ``compare_results``.
    """
    compared = tuple(compare_results(store, results, per_run=per_run, intervals=intervals))
    names = names_of_data(results)
    grouped: dict[str, dict[Any, Result]] = {}
    for result in results:
        place = grouped.setdefault(result.run_id if per_run else _place(result), {})
        place[result.seed] = result
    standings = {
        run.run_id: (place, one) for one in compared for place, runs in enumerate(one.methods)
        for run in runs
    }  # fmt: skip
    rows = []
    for runs in grouped.values():
        measured = [run for run in runs.values() if run.run_id in standings]
        row = Row(tuple(measured or runs.values()), names[_data_of(next(iter(runs.values())))])
        if measured:
            row = _placed(row, *standings[measured[0].run_id])
        rows.append(row)
    kept = {run.run_id for row in rows for run in row.runs}
    return Rows(tuple(rows), compared, tuple(r for r in results if r.run_id not in kept))


def with_best(rows: Iterable[Row]) -> list[Row]:
    """Mark, among the rows that are shown, the best of each data set and size, and what it ties."""
    rows = list(rows)
    tops: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row.accuracy is not None and not row.failed:
            top = tops.setdefault((row.data, row.size), row)
            tops[row.data, row.size] = row if row.accuracy > (top.accuracy or 0.0) else top
    return [_marked(row, tops.get((row.data, row.size))) for row in rows]


def _marked(row: Row, top: Row | None) -> Row:
    if top is None or row.accuracy is None or row.failed:
        return row
    if row.accuracy == top.accuracy:
        return replace(row, best=True)
    letters = [set(one.standing.letters) if one.standing else set() for one in (row, top)]
    return replace(row, tied=bool(letters[0] & letters[1]))


def _placed(row: Row, place: int, compared: Compared) -> Row:
    best = compared.comparison.ranking[0]
    p_best = None if place == best else float(compared.comparison.p_values[place, best])
    standing = compared.comparison.standings[place]
    return replace(row, standing=standing, p_best=p_best, guessing=compared.guessing)


def _place(result: Result) -> str:
    """Return which row a result belongs to; failed runs are apart from finished ones."""
    return ("" if result.status == "ok" else f"failed {result.dataset} ") + method_key(result)


def _data_of(result: Result) -> tuple[str, str]:
    return result.dataset, result.fingerprint


def names_of_data(results: Sequence[Result]) -> dict[tuple[str, str], str]:
    """Name each data set; of those with one name each also says how it differs.

    That is how few images of a class it has or how they were split, or else how its fingerprint
    begins. A failed run may have no fingerprint.
    """
    alike: dict[str, dict[str, Result]] = {}
    for result in results:
        if result.status == "ok":
            alike.setdefault(result.dataset, {}).setdefault(result.fingerprint, result)
    names = {_data_of(result): result.dataset for result in results}
    for those in alike.values():
        if len(those) > 1:
            told = [_size_and_split(one, those.values()) for one in those.values()]
            distinct = len(set(told)) == len(told)
            for one, text in zip(those.values(), told, strict=True):
                text = text if distinct else one.fingerprint[:6]
                names[_data_of(one)] = f"{one.dataset} ({text})" if text else one.dataset
    return names


def _size_and_split(one: Result, others: Iterable[Result]) -> str:
    parts = [] if one.limit is None else [f"{one.limit} a class"]
    if len({other.split_seed for other in others}) > 1:
        parts.append(f"split seed {one.split_seed}")
    return ", ".join(parts)


def of_data(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Return the rows of each data set."""
    rows = list(rows)
    for data in dict.fromkeys(row.data for row in rows):
        yield data, [row for row in rows if row.data == data]


def of_sizes(rows: Iterable[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """Return data set, size and rows of each: what may be compared; all images come last."""
    for data, same in of_data(rows):
        for size in dict.fromkeys(row.size for row in sorted(same, key=_images_drawn)):
            yield data, size, [row for row in same if row.size == size]


def _images_drawn(row: Row) -> tuple[bool, int]:
    sample = row.first.sample
    return not sample, sum(sample.values())


def heading_of(data: str, size: str) -> str:
    """Return what rows of one data set and size stand under."""
    return f"{data}, {size}" if size else data

"""The table: what was compared, how well it did, what it cost; which rows, in what order."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from featbench.errors import UsageError
from featbench.experiments import Result, ResultStore
from featbench.report._columns import (
    COLUMNS,
    FOR_PROGRAMS,
    FOR_READERS,
    INTERVALS,
    NONE,
    Column,
    column_named,
)
from featbench.report._mean_ranks import with_ranks
from featbench.report._names import weights_of
from featbench.report._rows import Row, heading_of, of_data, of_sizes, rows_from, with_best
from featbench.report._settings_apart import settings_apart
from featbench.report._table_notes import footnote as footnote
from featbench.report._table_notes import legend, notes_on


@dataclass(frozen=True)
class Section:
    """Rows under one heading.

    Parameters
    ----------
    title : str
        Unescaped; empty where the table has one section.
    rows : tuple of Row
        In the order in which they are shown.
    """

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """Everything that any format needs; all text unescaped.

    Parameters
    ----------
    columns : tuple of Column
        For readers.
    data_columns : tuple of Column
        For programs.
    sections : tuple of Section
        At least one row in each.
    notes : tuple of str
        How it was compared, and what was left out, a sentence or two each.
    legend : tuple of str
        What the marks and headings mean to a reader.
    """

    columns: tuple[Column, ...]
    data_columns: tuple[Column, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    legend: tuple[str, ...]

    @property
    def rows(self) -> list[Row]:
        """All rows, section after section."""
        return [row for section in self.sections for row in section.rows]

    def columns_of(self, section: Section) -> tuple[Column, ...]:
        """Return a section's columns for readers: of several sections, without empty ones."""
        if len(self.sections) < 2:
            return self.columns
        return tuple(c for c in self.columns if any(c.text(row) for row in section.rows))

    def _repr_html_(self) -> str:
        from featbench.report._html_table import for_notebook

        return for_notebook(self)


def make_table(
    store: ResultStore,
    results: Sequence[Result],
    *,
    columns: str | None = None,
    rows: str | None = None,
    sort: str | None = None,
    group: str | None = None,
    per_run: bool = False,
) -> Table:
    """Return the table of results: a row a method, its seeds together.

    Methods are compared before rows are chosen: showing fewer of them makes no difference more
    significant.

    Parameters
    ----------
    store : ResultStore
        Where the results are; each run's predictions are read once.
    results : sequence of Result
        What to show.
    columns : str, optional
        Names with commas between. Without, readers get those that tell something here, and
        programs all.
    rows : str, optional
        Which rows, such as ``network=resnet50,head=svm-*``: all must hold, ``*`` and ``?`` stand
        for any text, and upper case is as lower case.
    sort : str, optional
        A column: from the highest down where more is better, else from the lowest up; empty cells
        last. Sections stay in the order of the results, unless they are that column's. Without,
        rows too are in that order.
    group : str, optional
        A column: a section for each of its values. Without, one for each data set and number of
        images that methods learned from, since only such methods are compared.
    per_run : bool
        A row for each run, compared as if each were a method.

    Raises
    ------
    UsageError
        When a column is unknown, or no row is left; as ``compare_results``.
    """
    named = [column_named(name.strip(), "--columns") for name in (columns or "").split(",")
             if name.strip()]  # fmt: skip
    chosen = list({column.name: column for column in named}.values())
    order = None if sort is None else column_named(sort, "--sort")
    by = COLUMNS["dataset"] if group is None else column_named(group, "--group")
    asked = {column.name for column in (*chosen, by, *([order] if order else []))}
    asked |= set(re.findall(r"\w+(?=\s*=)", rows or ""))
    intervals = [metric for name, metric in INTERVALS.items() if name in asked]
    found = rows_from(store, results, per_run=per_run, intervals=intervals)
    ranked, rank_notes = with_ranks(found.rows)
    shown = with_best(filtered(ranked, rows) if rows else ranked)
    if order is not None and order.name == by.name:
        shown = _sorted(shown, order)
    sections = _sections(shown, by) if group is not None else _by_size(shown)
    if order is not None:
        sections = tuple(Section(one.title, tuple(_sorted(one.rows, order))) for one in sections)
    readers = chosen or _telling(shown, per_run, apart=group is None)
    if by.name != "dataset" and not chosen and len({row.data for row in shown}) > 1:
        readers = [COLUMNS["dataset"], *readers]
    if len(sections) > 1:
        readers = [column for column in readers if column.name != by.name] or readers
    programs = chosen or [COLUMNS[name] for name in FOR_PROGRAMS]
    if group is not None and by.name not in [column.name for column in programs]:
        programs = [by, *programs]
    hidden = [] if chosen else constant(shown, [*readers, by])
    return Table(
        tuple(readers),
        tuple(programs),
        sections,
        (*notes_on(found, shown, hidden), *rank_notes),
        legend(shown, readers),
    )


_TERM = re.compile(r"\s*(\w+)\s*=(.*)", re.DOTALL)


def filtered(rows: Sequence[Row], wanted: str) -> list[Row]:
    """Return the rows in which every term of ``--rows`` holds.

    A comma within a value is no end of it.
    """
    left = list(rows)
    for term in re.split(r",(?=\s*\w+\s*=)", wanted):
        parts = _TERM.fullmatch(term)
        if parts is None:
            raise UsageError(f"--rows {term!r}: expected column=value, such as head=svm-*")
        name, pattern = parts[1], parts[2].strip()
        column = column_named(name, "--rows")
        kept = [row for row in left if _meets(row, column, name, pattern)]
        if not kept:
            there = dict.fromkeys(_texts(row, column, name)[0] for row in left)
            raise UsageError(f"--rows {term.strip()}: no row is left; {name} is one of: "
                             f"{', '.join(list(there)[:12])}")  # fmt: skip
        left = kept
    return left


def _meets(row: Row, column: Column, name: str, pattern: str) -> bool:
    return any(
        fnmatchcase(text.casefold(), _only_stars(pattern.casefold()))
        for text in _texts(row, column, name)
    )


def _only_stars(pattern: str) -> str:
    return pattern.replace("[", "[[]")  # a bracket in a name is a bracket


def _texts(row: Row, column: Column, name: str) -> list[str]:
    """Return what a term is held against: what programs get under that name, what readers see."""
    values = column.values(row)
    value = values.get(name, next(iter(values.values())))
    return [*([] if value is None else [str(value)]), column.text(row)]


def _sorted(rows: Sequence[Row], column: Column) -> list[Row]:
    """Return rows sorted by a column; equals by what they are, not by when they ended."""

    def what(row: Row) -> tuple[str, ...]:
        one = row.first
        return one.network, weights_of(one), COLUMNS["method"].text(row), one.run_id

    def key(row: Row) -> Any:
        value = next(iter(column.values(row).values()))
        if isinstance(value, dict | list):
            return column.text(row).casefold()
        return value.casefold() if isinstance(value, str) else value

    rows = sorted(rows, key=what)
    full = [row for row in rows if key(row) not in (None, "")]
    empty = [row for row in rows if key(row) in (None, "")]
    if len({isinstance(key(row), str) for row in full}) > 1:
        return sorted(full, key=lambda row: str(key(row))) + empty
    return sorted(full, key=key, reverse=column.more_is_better) + empty


def _sections(rows: Sequence[Row], by: Column) -> tuple[Section, ...]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(by.text(row), []).append(row)
    if len(found) == 1:
        return (Section("", tuple(rows)),)
    title: Callable[[str], str] = str if by.name == "dataset" else lambda t: f"{by.heading}: {t}"
    return tuple(Section(title(text), tuple(those)) for text, those in found.items())


def _by_size(rows: Sequence[Row]) -> tuple[Section, ...]:
    """Return a section for each data set and number of images to learn from."""
    found = list(of_sizes(rows))
    if len(found) == 1:
        return (Section("", tuple(rows)),)
    return tuple(Section(heading_of(data, size), tuple(those)) for data, size, those in found)


def _telling(rows: Sequence[Row], per_run: bool, *, apart: bool = False) -> list[Column]:
    """Return the columns, of those for readers, that tell something here.

    What sections tell apart, data sets and sizes, needs no column.
    """
    names = ["seed" if per_run and name == "seeds" else name for name in FOR_READERS]
    names = [name for name in names if not apart or name not in ("n_per_class", "sample")]
    return telling(rows, names, per_run=per_run)


def telling(rows: Sequence[Row], names: Sequence[str], *, per_run: bool = False) -> list[Column]:
    """Return the columns, of those that are named, that tell something of these rows."""
    columns = [settings_apart(rows, per_run) if name == "settings" else COLUMNS[name]
               for name in names]  # fmt: skip
    return [column for column in columns if _tells(column, rows)]


def _tells(column: Column, rows: Sequence[Row]) -> bool:
    cells = [column.text(row) for row in rows]
    if column.name in ("network", "weights"):
        return len(rows) == 1 or len(_varying(column, rows)) > 1
    if column.name == "sample" and all("shots" in row.first.sample for row in rows if row.size):
        return False  # n_per_class says it
    if column.name in ("n_per_class", "sample", "split_seed", "precision", "seed"):
        return any(len({column.text(row) for row in same}) > 1 for _, same in of_data(rows))
    if column.name == "seeds":
        return any(len(row.runs) > 1 for row in rows)
    if column.name == "test_log_loss":  # where probabilities were asked for
        return any("was" in cell for cell in cells)
    if column.name in ("method", "test_accuracy"):
        return True
    return any(cell not in ("", NONE) for cell in cells)


def _varying(column: Column, rows: Sequence[Row]) -> set[str]:
    """Return a column's values, but for random weights: what a method is called says these."""
    cells = {column.text(row) for row in rows}
    return cells - {"random"} if column.name == "weights" and len(cells) > 1 else cells


def constant(rows: Sequence[Row], shown: Sequence[Column]) -> list[tuple[str, str]]:
    """Return headings and values of the columns that are left out as one for all rows."""
    left = [COLUMNS[name] for name in ("network", "weights") if COLUMNS[name] not in shown]
    return [(column.heading, _one(column, rows)) for column in left if rows]


def _one(column: Column, rows: Sequence[Row]) -> str:
    """Return the one value of a column; of weights also that some are random."""
    (value,) = _varying(column, rows)
    mixed = len({column.text(row) for row in rows}) > 1
    return f"{value} or random, as the method says" if mixed else value


NUMERIC = tuple(column.heading for column in COLUMNS.values() if column.numeric)
"""The headings of columns that are aligned as numbers."""


def rows_of(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of single runs, not compared: for the page."""
    rows = [Row((result,), result.dataset) for result in results]
    columns = [COLUMNS["dataset"], *_telling(rows, True)]
    return [c.heading for c in columns], [[c.text(row) for c in columns] for row in rows]

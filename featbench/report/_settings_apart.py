"""The settings by which rows differ that nothing else in the table tells apart."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from featbench.report._columns import COLUMNS, Column
from featbench.report._names import weights_of
from featbench.report._rows import Row


def settings_apart(rows: Sequence[Row], per_run: bool) -> Column:
    """Return the settings' column with, of each row, only what tells it from rows called alike.

    Parameters
    ----------
    rows : sequence of Row
        All that are shown. A row that is like no other has an empty cell.
    per_run : bool
        Whether seeds have a column.
    """
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(_called(row, per_run), []).append(row)
    texts: dict[str, str] = {}
    for those in alike.values():
        if len(those) > 1:
            texts |= {row.first.run_id: text
                      for row, text in zip(those, _texts(those), strict=True)}  # fmt: skip
    return replace(COLUMNS["settings"], text=lambda row: texts.get(row.first.run_id, ""))


def _called(row: Row, per_run: bool) -> tuple[Any, ...]:
    one = row.first
    seeds = tuple(row.every("seed")) if per_run else ()
    return (row.data, one.network, weights_of(one), COLUMNS["method"].text(row), one.n_per_class,
            row.size, one.split_seed, one.precision, seeds)  # fmt: skip


def _texts(rows: Sequence[Row]) -> list[str]:
    """Return what tells these rows apart; where no setting does, their runs."""
    given = [COLUMNS["settings"].values(row)["settings"] for row in rows]
    names = dict.fromkeys(name for one in given for name in one)
    telling = [n for n in names if any(one.get(n) != given[0].get(n) for one in given)]
    texts = [", ".join(f"{n}={one[n]}" for n in telling if n in one) for one in given]
    return [text or "defaults" if texts.count(text) == 1 else f"run {row.first.run_id[:6]}"
            for row, text in zip(rows, texts, strict=True)]  # fmt: skip

"""The table for programs, and all formats by name."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from featbench.report._columns import parts_of
from featbench.report._html_table import as_html
from featbench.report._latex import as_latex
from featbench.report._markdown import as_markdown
from featbench.report._rows import Row
from featbench.report._table import Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def as_csv(table: Table) -> str:
    """Return CSV in full precision under plain names; no cell is a formula.

    Text that a spreadsheet would take for a formula has an apostrophe before it (OWASP, "CSV
    injection"); all text is quoted, so that no separator in it begins a cell; numbers are numbers.

    Parameters
    ----------
    table : Table
        What to write; sections follow each other.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    text.write(",".join(_names(table)) + "\n")
    for row in table.rows:
        rows.writerow([_csv_text(value) for value in _record(table, row).values()])
    return text.getvalue().rstrip("\n")


def as_json(table: Table) -> str:
    """Return a JSON list, an object a row, in full precision.

    Parameters
    ----------
    table : Table
        What to write; sections follow each other.
    """
    return json.dumps([_record(table, row) for row in table.rows], indent=1)


def _names(table: Table) -> list[str]:
    return list(dict.fromkeys(part for c in table.data_columns for part in parts_of(c)))


def _record(table: Table, row: Row) -> dict[str, Any]:
    return {name: value for c in table.data_columns for name, value in c.values(row).items()}


def _csv_text(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, dict | list):
        value = json.dumps(value)
    if isinstance(value, str):
        value = value.encode("utf-8", "backslashreplace").decode()
        return "'" + value if value.startswith(_FORMULA) else value
    return value


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": as_markdown,
    "csv": as_csv,
    "json": as_json,
    "latex": as_latex,
    "html": as_html,
}
"""What ``featbench table --format`` takes."""
FOR_PROGRAMS = ("csv", "json")
"""The formats that have no place for notes."""

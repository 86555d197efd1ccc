"""``skipped.csv``: which images were left out, of which source, and why."""

import csv
from collections.abc import Sequence
from pathlib import Path

from featbench.files import write_rows

NAME = "skipped.csv"
_COLUMNS = ("source", "id", "reason")


def record_skipped(cache: Path, source: str, skipped: Sequence[tuple[str, str]]) -> None:
    """Write a source's skipped images into the cache's list; those of other sources stay.

    Parameters
    ----------
    cache : Path
        The feature store's folder; the list is ``skipped.csv`` there, and absent while it is empty.
    source : str
        What was given to ``load_dataset``.
    skipped : sequence of (str, str)
        Id and reason of each image left out.
    """
    path = cache / NAME
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            before = [tuple(row) for row in csv.reader(file)][1:]
    except OSError:
        before = []
    others = [row for row in before if row[:1] != (source,)]
    rows = [*others, *((source, name, reason) for name, reason in skipped)]
    if rows == before:
        return
    try:
        if rows:
            write_rows(path, [_COLUMNS, *rows])
        else:
            path.unlink()
    except OSError:  # a read-only cache: they are named on the terminal all the same
        return

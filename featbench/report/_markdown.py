"""The table in Markdown, aligned so that it can be read as it is."""

import re

from featbench.report._columns import Column
from featbench.report._escape import isolated, visible, width
from featbench.report._rows import Row
from featbench.report._table import Table

_SPECIAL = str.maketrans({c: "\\" + c for c in "\\`*[]|~$"} | {"<": "&lt;"})


def as_markdown(table: Table) -> str:
    """Return a GitHub-flavoured Markdown table for each section, and the notes below.

    Parameters
    ----------
    table : Table
        What to show. Text is escaped: a cell holds no mark-up, link or line break of its own.
    """
    texts = []
    for section in table.sections:
        if section.title:
            texts.append(f"### {_escaped(section.title)}")
        texts.append(_grid(table.columns_of(section), section.rows))
    texts.append("\n".join(_sentence(note) for note in (*table.notes, *table.legend)))
    return "\n\n".join(texts)


def _grid(columns: tuple[Column, ...], rows: tuple[Row, ...]) -> str:
    cells = [[_escaped(column.heading) for column in columns]]
    cells += [[_cell(column, row) for column in columns] for row in rows]
    widths = [max(3, *(width(line[i]) for line in cells)) for i in range(len(columns))]
    lines = ["| " + " | ".join(
        _padded(cell, room, column.numeric)
        for cell, room, column in zip(line, widths, columns, strict=True)
    ) + " |" for line in cells]  # fmt: skip
    rule = "|".join(
        "-" * (room + 1) + (":" if column.numeric else "-")
        for room, column in zip(widths, columns, strict=True)
    )
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _cell(column: Column, row: Row) -> str:
    text = _escaped(column.text(row))
    if column.name == "test_accuracy" and (row.best or row.tied):
        mark = "**" if row.best else "*"
        return f"{mark}{text}{mark}"
    return text


def _padded(text: str, room: int, right: bool) -> str:
    space = " " * (room - width(text))
    return space + text if right else text + space


def _escaped(text: str) -> str:
    """Keep a cell a cell: no pipe, line break, mark-up or tag of its own."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", visible(text)).translate(_SPECIAL)
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # within a word it is no mark
    return isolated(text)


def _sentence(note: str) -> str:
    """Keep a line a sentence: no heading, list or quotation."""
    return re.sub(r"^(\d*)([#>+\-=.)])", r"\1\\\2", _escaped(note))

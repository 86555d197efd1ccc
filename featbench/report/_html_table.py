"""The table as one HTML file, or as an element for a page."""

from featbench.markup import escaped, paragraph, shown_in_notebook
from featbench.report._columns import Column
from featbench.report._rows import Row
from featbench.report._table import Section, Table

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>featbench table</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .6rem; text-align: start; border-bottom: 1px solid #8886; }}
.number {{ text-align: right; white-space: nowrap; }}
p {{ max-width: 50rem; margin: .3rem 0; font-size: .9rem; }}
</style>
</head>
<body>
{body}
</body>
</html>"""


def as_html(table: Table) -> str:
    """Return a whole HTML file that needs nothing else.

    Parameters
    ----------
    table : Table
        What to show. Text is escaped: no tag, attribute or entity of its own.
    """
    return _PAGE.format(body="\n".join(_parts(table)))


def for_notebook(table: Table) -> str:
    """Return the table as an element of a notebook.

    Parameters
    ----------
    table : Table
        What to show; escaped as by ``as_html``.
    """
    return shown_in_notebook(*_parts(table))


def _parts(table: Table) -> list[str]:
    parts = []
    for section in table.sections:
        if section.title:
            parts.append(f'<h2 dir="auto">{escaped(section.title)}</h2>')
        parts.append(html_grid(table.columns_of(section), section))
    return parts + [paragraph(note) for note in (*table.notes, *table.legend)]


def html_grid(columns: tuple[Column, ...], section: Section) -> str:
    """Return one section as a ``table`` element, escaped.

    A cell of a numeric column has the unrounded number in ``data-value``, for a script that sorts.

    Parameters
    ----------
    columns : tuple of Column
        Which to show.
    section : Section
        Its rows.
    """
    lines = ["<table>", "<thead><tr>"]
    lines += [f'<th scope="col"{_kind(column)}>{escaped(column.heading)}</th>'
              for column in columns]  # fmt: skip
    lines += ["</tr></thead>", "<tbody>"]
    for row in section.rows:
        cells = "".join(_cell(column, row) for column in columns)
        lines.append(f'<tr class="best">{cells}</tr>' if row.best else f"<tr>{cells}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>"])


def _cell(column: Column, row: Row) -> str:
    text = escaped(column.text(row))
    if column.name == "test_accuracy" and (row.best or row.tied):
        tag = "strong" if row.best else "em"
        text = f"<{tag}>{text}</{tag}>"
    if not column.numeric:
        return f'<td dir="auto">{text}</td>'
    value = next(iter(column.values(row).values()))
    number = f' data-value="{value!r}"' if isinstance(value, int | float) else ""
    return f'<td class="number"{number}>{text}</td>'


def _kind(column: Column) -> str:
    return ' class="number"' if column.numeric else ""

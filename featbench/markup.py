"""Small pieces of HTML, of text that somebody else wrote: for notebooks and pages.

What stands here has no colour of its own, so it can be read on light and on dark.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

_SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_STYLE = """<style>
.featbench table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.featbench th, .featbench td { text-align: start; padding: .2em .6em; }
.featbench .number { text-align: right; white-space: nowrap; }
.featbench p { margin: .3em 0; }
</style>"""


def visible(text: str) -> str:
    """Return text as one line in which nothing acts unseen.

    A line break or tab is a space. Other control characters (a terminal would obey them), bytes
    that were no text, and marks that turn the direction of what follows them are their code points.
    """
    text = "".join(" " if c in _SPACES else c for c in text)
    return "".join(
        f"⟨U+{ord(c):04X}⟩" if c in _BIDI or unicodedata.category(c) in ("Cc", "Cs") else c
        for c in text
    )


def escaped(text: str) -> str:
    """Return text for HTML, between tags or quotes: no tag, attribute or entity of its own."""
    return escape(visible(text), quote=True)


def paragraph(text: str) -> str:
    """Return a ``p`` element whose text runs as its first letter does."""
    return f'<p dir="auto">{escaped(text)}</p>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and values.

    Parameters
    ----------
    pairs : iterable of (str, str)
        Unescaped; one without a value is left out.
    """
    rows = [
        f'<tr><th scope="row">{escaped(name)}</th><td dir="auto">{escaped(value)}</td></tr>'
        for name, value in pairs if value
    ]  # fmt: skip
    return "\n".join(["<table>", "<tbody>", *rows, "</tbody>", "</table>"])


def numbers(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is names, and the others numbers.

    Parameters
    ----------
    headings : sequence of str
        One a column; unescaped.
    rows : iterable of sequence of str
        As many cells each.
    """
    first, *others = headings
    top = f'<th scope="col">{escaped(first)}</th>' + "".join(
        f'<th scope="col" class="number">{escaped(heading)}</th>' for heading in others
    )
    lines = []
    for name, *cells in rows:
        line = "".join(f'<td class="number">{escaped(cell)}</td>' for cell in cells)
        lines.append(f'<tr><th scope="row" dir="auto">{escaped(name)}</th>{line}</tr>')
    head = f"<thead><tr>{top}</tr></thead>"
    return "\n".join(["<table>", head, "<tbody>", *lines, "</tbody>", "</table>"])


def shown_in_notebook(*parts: str) -> str:
    """Return what ``_repr_html_`` gives: pieces of HTML with the little style that they need.

    Parameters
    ----------
    *parts : str
        Escaped.
    """
    return "\n".join(['<div class="featbench">', _STYLE, *filter(None, parts), "</div>"])

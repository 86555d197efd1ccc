"""The table in LaTeX, for booktabs; it compiles with pdflatex whatever names it has."""

import re
import unicodedata
from itertools import groupby

from featbench.report._columns import Column
from featbench.report._escape import visible
from featbench.report._rows import Row
from featbench.report._table import Section, Table

_ON_A_PAGE = 36
"""Rows that a page of an article holds, with heading and notes; more of them may break."""
_PACKAGES = r"% needs \usepackage{booktabs}"
_LONG = r"\usepackage{longtable}, which needs one column of text"
_HEAD = r"""
% What pdflatex has no letters for stands as code points; lualatex and xelatex print it as it is.
\providecommand{\featbenchtext}[2]{\ifdefined\Umathchar #1\else [#2]\fi}"""
_PLAIN = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "{''}", "`": "{`}",
    "[": "{[}", "]": "{]}", "*": "{*}",
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}",
    "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "\u00a0": "~",
    "–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\ldots{}",
    "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "≤": r"$\leq$", "≥": r"$\geq$",
    "−": "$-$", "→": r"$\rightarrow$", "µ": r"$\mu$", "μ": r"$\mu$", "α": r"$\alpha$",
    "²": "$^2$", "°": r"$^\circ$", "⟨": r"$\langle$", "⟩": r"$\rangle$",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d",
    "\u0327": "c",
}  # fmt: skip


def as_latex(table: Table) -> str:
    r"""Return a ``table`` environment for each section, to be read by ``\input``.

    A section longer than a page is a ``longtable``, with its headings on every page.

    Parameters
    ----------
    table : Table
        What to show. Text is escaped: no command, comment or alignment mark of its own.
    """
    notes = [rf"  {_escaped(note)}\par" for note in (*table.notes, *table.legend)]
    last = [r"  \par\smallskip\footnotesize\raggedright", *notes]
    is_long = any(len(section.rows) > _ON_A_PAGE for section in table.sections)
    parts = [(f"{_PACKAGES} and {_LONG}" if is_long else _PACKAGES) + _HEAD]
    for i, section in enumerate(table.sections):
        make = _long_environment if len(section.rows) > _ON_A_PAGE else _environment
        notes_here = last if i == len(table.sections) - 1 and notes else []
        parts.append(make(table.columns_of(section), section, notes_here))
    return "\n".join(parts)


def _environment(columns: tuple[Column, ...], section: Section, notes: list[str]) -> str:
    lines = [r"\begin{table}[htbp]", r"  \centering\small\setlength{\tabcolsep}{4pt}"]
    if section.title:
        lines.append(rf"  \textbf{{{_escaped(section.title)}}}\par\smallskip")
    lines += [rf"  \begin{{tabular}}{{{_layout(columns)}}}", *_heading(columns)]
    lines += _rows(columns, section)
    lines += [r"    \bottomrule", r"  \end{tabular}", *notes, r"\end{table}"]
    return "\n".join(lines)


def _long_environment(columns: tuple[Column, ...], section: Section, notes: list[str]) -> str:
    """Return a table that goes on over pages: in place, and in its own column of text."""
    width = len(columns)
    lines = [r"\begingroup\small\setlength{\tabcolsep}{4pt}"]
    lines.append(rf"  \begin{{longtable}}{{{_layout(columns)}}}")
    if section.title:
        title = rf"\textbf{{{_escaped(section.title)}}}"
        lines.append(rf"    \multicolumn{{{width}}}{{@{{}}l@{{}}}}{{{title}}} \\")
    lines += [*_heading(columns), r"    \endfirsthead", *_heading(columns), r"    \endhead"]
    goes_on = r"\emph{continued on the next page}"
    lines += [r"    \midrule", rf"    \multicolumn{{{width}}}{{@{{}}r@{{}}}}{{{goes_on}}} \\"]
    lines += [r"    \endfoot", r"    \bottomrule", r"    \endlastfoot"]
    lines += _rows(columns, section)
    lines += [r"  \end{longtable}", *notes, r"\par\endgroup"]
    return "\n".join(lines)


def _layout(columns: tuple[Column, ...]) -> str:
    kinds = "".join("r" if column.numeric else "l" for column in columns)
    return f"@{{}}{kinds}@{{}}"


def _heading(columns: tuple[Column, ...]) -> list[str]:
    names = " & ".join(_escaped(column.heading) for column in columns)
    return [r"    \toprule", rf"    {names} \\", r"    \midrule"]


def _rows(columns: tuple[Column, ...], section: Section) -> list[str]:
    return [rf"    {' & '.join(_cell(c, row) for c in columns)} \\" for row in section.rows]


def _cell(column: Column, row: Row) -> str:
    text = _escaped(column.text(row))
    if column.name == "test_accuracy" and (row.best or row.tied):
        return rf"\{'textbf' if row.best else 'textit'}{{{text}}}"
    return text


def _escaped(text: str) -> str:
    """Return text in commands that every LaTeX has, letters it may lack told by number."""
    pieces = re.split(r"(?<=-)(?=-)", unicodedata.normalize("NFC", visible(text)))
    return "{}".join(_commands(piece) for piece in pieces)  # no dash is made of two hyphens


def _commands(text: str) -> str:
    parts = []
    for known, group in groupby(text, key=lambda c: _command(c) is not None):
        run = "".join(group)
        if known:
            parts += [_command(c) or "" for c in run]
        else:
            codes = " ".join(f"U+{ord(c):04X}" for c in run)
            parts.append(rf"\featbenchtext{{{run}}}{{{codes}}}")
    return "".join(parts)


def _command(c: str) -> str | None:
    if c in _PLAIN:
        return _PLAIN[c]
    if " " <= c <= "~":
        return c
    letter, *accents = list(unicodedata.normalize("NFD", c))
    if len(accents) == 1 and accents[0] in _ACCENTS and letter.isascii() and letter.isalpha():
        return rf"\{_ACCENTS[accents[0]]}{{{letter}}}"
    return None

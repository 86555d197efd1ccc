"""Text from files comes back from every format as it was, and does nothing there."""

import csv
import html
import io
import json
import re
import shutil
import subprocess
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from featbench.experiments import Predictions, Result, ResultStore
from featbench.report import (
    Section,
    Table,
    as_csv,
    as_html,
    as_json,
    as_latex,
    as_markdown,
    make_table,
)
from tests.report.test_report import result

HOSTILE = [
    "<script>alert('x')</script>",
    '"><img src=x onerror="alert(1)">',
    "=cmd|'/c calc'!A0",
    '=HYPERLINK("http://x","y")',
    "+1+1", "-2", "@SUM(A1)", "＝1", "\t=1", "\r=1", "\n=1", "a;=1,+2",
    r"\input{/etc/passwd}", r"\write18{x} $x^2$ 50% #1 & ~ {\bf {", r"}} \end{tabular} \\[3cm]",
    "[1cm] *x*", "`--x--` ---", "C:\\dir\\", "\\",
    "a|b", "\\|", "| --- |", "**b** _i_ __u__ [l](javascript:x) ![i](x) ~~s~~ `c`", "# h", "1. x",
    "&lt;b&gt; &amp; &#60; R&D", "a_b __init__ _x", "two\nlines\r\nand\u2028more\x85 \x0b\x0c",
    "שלום עולם", "گربه‌ها", "ab\u202etxt.exe", "\u2067x", "naïve café Žluťoučký ő ß Łódź",
    "日本語 🐱", "\x1b[2J\x1b]0;x\x07", "nul\x00", "e\u0301\u0316", " lead", "%s {0} {x}",
    "'quoted'", "",
]  # fmt: skip
"""Names of data sets, networks, recipes, settings and classes that somebody may have."""


def one_line(text: str) -> str:
    """Return what readers' formats keep of a text: a space for a break, codes for the unseen."""
    text = re.sub("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]", " ", text)
    unseen = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return "".join(
        f"⟨U+{ord(c):04X}⟩" if c in unseen or unicodedata.category(c) == "Cc" else c for c in text
    )


needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed"
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A table of a row a hostile text, in its network, weights, recipe and settings."""
    store = ResultStore(tmp_path_factory.mktemp("results"))
    runs: list[Result] = []
    for i, text in enumerate(HOSTILE):
        one = result(
            i + 1, dataset=HOSTILE[0], network=text, weights=text, recipe=text, cut=text,
            given={"C": i, "note": text}, settings={"C": i}, published_source=text, rows_computed=1,
            finished=f"{i:04d}",
        )  # fmt: skip
        classes = HOSTILE[-2:] + HOSTILE[:-2]
        labels = [k % len(classes) for k in range(100)]
        predictions = Predictions([f"{k}{text}" if i == 3 else str(k) for k in range(100)],
                                  labels, labels)  # type: ignore[arg-type]  # fmt: skip
        store.save(one, predictions.as_csv(classes) if i != 3 else None)
        runs.append(one)
    return make_table(store, runs, columns="dataset,network,test_accuracy,recipe,settings,cut")


def test_csv_comes_back_and_nothing_in_it_is_a_formula(table: Table) -> None:
    text = as_csv(table)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(HOSTILE)
    for row, hostile in zip(rows, HOSTILE, strict=True):
        risky = hostile.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
        assert row["network"] == row["recipe"] == ("'" if risky else "") + hostile
        assert json.loads(row["settings"])["note"] == hostile
        assert float(row["test_accuracy"]) == 0.9
    assert not re.search(r'(^|[,;\t\n"])"?[=@]', re.sub(r'"(?:[^"]|"")*"', "", text))
    for cell in re.findall(r'(?:^|,)"((?:[^"]|"")*)"', text):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert "0.9,0" not in text.splitlines()[0]


def test_negative_numbers_stay_numbers(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    run = result(published_test_accuracy=0.95)
    store.save(run)
    (row,) = csv.DictReader(io.StringIO(as_csv(make_table(store, [run]))))
    assert float(row["published_difference"]) == pytest.approx(-0.05)


def test_json_comes_back(table: Table) -> None:
    rows = json.loads(as_json(table))
    assert [row["network"] for row in rows] == HOSTILE
    assert [row["settings"]["note"] for row in rows] == HOSTILE
    assert {row["dataset"] for row in rows} == {HOSTILE[0]}


class _Reader(HTMLParser):
    """Collects cells and every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "td":
            self.cells.append("")
        self.open = tag not in ("meta",)

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag not in ("td", "tr")

    def handle_data(self, data: str) -> None:
        if self.cells and self.open:
            self.cells[-1] += data


def test_html_comes_back_and_has_no_tag_of_theirs(table: Table) -> None:
    text = as_html(table)
    reader = _Reader()
    reader.feed(text)
    reader.close()
    networks = reader.cells[1 :: len(table.columns)]
    assert networks[:-1] == [one_line(hostile) for hostile in HOSTILE[:-1]]
    assert reader.tags == {
        "html", "head", "meta", "title", "style", "body", "table", "thead", "tbody", "tr", "th",
        "td", "p", "strong",
    }  # fmt: skip
    assert reader.attributes == {
        "lang", "charset", "name", "content", "scope", "class", "dir", "data-value",
    }  # fmt: skip
    assert not {c for c in text if unicodedata.category(c) == "Cc"} - {"\n"}


def cells_of(line: str) -> list[str]:
    """Split a Markdown row at its own pipes, and undo escapes as CommonMark does."""
    cells = re.findall(r"((?:\\.|[^|\\])*)\|", line)[1:]
    plain = [re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cell.strip()) for cell in cells]
    entities = [re.sub(r"&#?\w+;", lambda m: html.unescape(m[0]), cell) for cell in plain]
    return [cell.strip("\u2068\u2069") for cell in entities]


def test_markdown_comes_back_and_has_no_mark_of_theirs(table: Table) -> None:
    lines = as_markdown(table).splitlines()
    rows = lines[2 : 2 + len(HOSTILE)]
    assert {len(cells_of(row)) for row in rows} == {len(table.columns)}
    for row, hostile in zip(rows, HOSTILE, strict=True):
        assert cells_of(row)[1] == one_line(hostile).strip(), hostile
    bare = re.sub(r"\\.", "", "\n".join(rows))
    assert not re.search(r"[<`\[\]~$]", bare)
    assert not re.search(r"\*", bare.replace("**90.0**", ""))
    assert not re.search(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", bare)
    for note in lines[3 + len(HOSTILE) :]:
        assert not re.match(r"[#>+=*-]|\d+[.)] |<", note), note


def test_right_to_left_text_leaves_the_cells_in_their_order(table: Table) -> None:
    for line in as_markdown(table).splitlines():
        depth = 0
        for c in line:
            depth += (c == "\u2068") - (c == "\u2069")
            assert c != "|" or depth == 0
            assert depth == 1 or unicodedata.bidirectional(c) not in ("R", "AL", "RLO", "RLE")
        assert depth == 0


def test_latex_has_no_command_of_theirs(table: Table) -> None:
    text = as_latex(table)
    assert r"needs \usepackage{booktabs} and \usepackage{longtable}" in text
    body = text[text.index(r"\begingroup") :]
    for command in (r"\input", r"\write", r"\bf", r"\end{tabular} \\["):
        assert command not in body
    assert body.count(r"\begin{") == body.count(r"\end{") == 1
    assert r"\textbackslash{}input\{/etc/passwd\}" in body
    assert r"na\"{i}ve caf\'{e} \v{Z}lu\v{t}ou\v{c}k\'{y} \H{o} \ss{} \L{}\'{o}d\'{z}" in body
    assert r"\featbenchtext{שלום}{U+05E9 U+05DC U+05D5 U+05DD}" in body
    for line in body.splitlines():
        if line.endswith(r" \\") and r"\multicolumn" not in line:
            assert len(re.findall(r"(?<!\\)&", line)) == len(table.columns) - 1, line


def many(table: Table, count: int) -> Table:
    """Return a table of so many of its rows, again and again, in two sections."""
    rows = (table.sections[0].rows * (1 + count // len(HOSTILE)))[:count]
    return replace(table, sections=(Section("one", rows), Section(HOSTILE[0], rows[:3])))


def test_only_a_table_longer_than_a_page_goes_on_over_pages(table: Table) -> None:
    short, long = as_latex(many(table, 36)), as_latex(many(table, 37))
    assert "longtable" not in short
    assert short.count(r"\begin{table}") == 2
    assert (long.count(r"\begin{table}"), long.count(r"\begin{longtable}")) == (1, 1)
    first, head, foot, _ = re.split(r"\\end(?:firsthead|head|foot)\n", long)
    headings = re.findall(r"\\toprule\n(.*)\n", long)
    assert headings[0] == headings[1] == headings[2]
    assert headings[0] in first.splitlines()
    assert headings[0] in head.splitlines()
    assert "continued on the next page" in foot


def pdflatex(folder: Path, *tables: Table) -> str:
    """Compile a paper with tables in it; return the log, joined as it was before lines broke."""
    names = [f"table{i}" for i in range(len(tables))]
    for name, one in zip(names, tables, strict=True):
        (folder / f"{name}.tex").write_text(as_latex(one), encoding="utf-8")
    (folder / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs,longtable}\n\\begin{document}\n"
        + "".join(f"\\input{{{name}}}\n" for name in names)
        + "The end.\n\\end{document}\n"
    )
    for _ in range(2):  # a longtable finds its widths in the second pass
        done = subprocess.run(
            ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape",
             "paper.tex"],
            cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    for wrong in ("! ", "Missing character", "undefined"):
        assert wrong not in done.stdout, done.stdout[-3000:]
    return done.stdout


@needs_pdflatex
def test_latex_compiles_whatever_names_it_has(table: Table, tmp_path: Path) -> None:
    pdflatex(tmp_path, table, many(table, 5))


@needs_pdflatex
def test_no_table_runs_off_its_page(table: Table, tmp_path: Path) -> None:
    """The longest that does not break fits with its notes; longer ones break, pages full."""
    narrow = replace(table, columns=table.columns[2:3] * 4)
    alone = replace(many(narrow, 36), sections=(many(narrow, 36).sections[0],))
    said = pdflatex(tmp_path, alone, many(narrow, 150))
    assert "too large" not in said
    assert r"Overfull \vbox" not in said
    pages = re.search(r"Output written on paper.pdf \((\d+) pages", said)
    assert pages is not None
    assert 5 <= int(pages[1]) <= 7

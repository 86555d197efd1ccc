"""Class names that were made to do harm are drawn as they are, in every picture and the report."""

import csv
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from featbench.report._drawing import shorten
from tests.conftest import Said, make_photos

Command = Callable[..., Said]
NAMES = [
    "<script>alert(1)</script>", "=cmd()", r"\input{x}", "$x$", r"$\frac{1", "\"q' & </svg>",
    "two\nlines\tx", "]]>", "--><marquee>", "_x", "{0} %s", "שלום עולם", "گربه‌ها",
]  # fmt: skip
TURNED = "a\u202egpj.exe"
DATA = "_d שלום $x$ <marquee>.csv"
NO_COMMAND = re.compile(r"\s|[\u200e\u2066-\u2069]")


@pytest.fixture
def runs(featbench: Command, tmp_path: Path) -> list[str]:
    """Three runs on classes of these names: calibrated, without probabilities, and trained."""
    photos = sorted(make_photos(tmp_path / "p", {"": 14}, size=28).glob("*/*.jpg"))
    with (tmp_path / DATA).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "split"))
        for i, path in enumerate(photos):
            name = [*NAMES, TURNED][i // 3]
            table.writerow((path.relative_to(tmp_path), name, "test" if i % 3 == 2 else "train"))
    for command in (
        ("fit", "--head", "logreg", "--set", "calibrate=temperature"),
        ("fit", "--head", "centroid"),
        ("finetune", "--blocks", "all", "--epochs", "1", "--set", "select=last"),
    ):
        assert featbench(*command, "--backbone", "lenet5", "--data", DATA).code == 0
    return sorted(path.parent.name for path in tmp_path.glob("results/*/result.json"))


def words(svg: Path) -> str:
    """Return a picture's text without spaces and marks, and see that there is nothing but it."""
    root = ElementTree.fromstring(svg.read_bytes())
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "foreignObject", "a", "marquee"}
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            if name.endswith("href"):
                assert value.startswith(("#", "data:image/png"))
    return NO_COMMAND.sub("", "".join(text for e in root.iter() if (text := e.text)))


@pytest.mark.slow
def test_every_picture_draws_them_and_nothing_in_them_acts(
    featbench: Command, runs: list[str], tmp_path: Path
) -> None:
    net, data, folder = ("--backbone", "lenet5"), ("--data", DATA), tmp_path / "results"
    plots: dict[str, tuple[object, ...]] = {
        "grid": data,
        "embedding": (*net, *data),
        "confusion": (runs[0],),
        "predictions": (*runs, "--count", 14),
        "curves": tuple(run for run in runs if (folder / run / "history.csv").is_file()),
        "reliability": tuple(
            run for run in runs if "log_loss" in (folder / run / "predictions.csv").read_text()
        ),
        "speed": (),
        "sparsity": (*net, *data),
    }
    with_classes = ("grid", "embedding", "confusion", "predictions")
    for name, arguments in plots.items():
        for kind in ("svg", "png", "pdf") if name in with_classes else ("svg",):
            said = featbench("plot", name, *arguments, "-o", f"{name}.{kind}")
            assert said.code == 0, said.err
    for name in plots:
        drawn = words(tmp_path / f"{name}.svg")
        if name in with_classes:
            for label in (*NAMES, TURNED):
                assert NO_COMMAND.sub("", shorten(label, 60)) in drawn, (name, label)
            assert "a�gpj.exe" in drawn
        assert "\u202e" not in drawn
    assert "_dשלום$x$<marquee>" in words(tmp_path / "grid.svg")


class _Tags(HTMLParser):
    """Collects tags and attributes outside the page's own style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_report_shows_them_and_nothing_in_them_acts(
    featbench: Command, runs: list[str], tmp_path: Path
) -> None:
    assert featbench("report", "-o", "r.html").code == 0
    page = (tmp_path / "r.html").read_text()
    found = _Tags(page)
    assert found.tags.count("script") == 1, "its own"
    assert "marquee" not in found.tags
    assert not {name for name in found.attributes if name.startswith("on")}
    assert "\u202e" not in page
    for name in ("$x$", "=cmd()", r"\input{x}", "&lt;script&gt;alert(1)&lt;/script&gt;", "שלום"):
        assert name in page

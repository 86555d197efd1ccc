"""Pages of the documentation as sessions: their blocks in order, and a folder to type them in."""

import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WHY_NOT = re.compile(r"needs .+|changes your shell's settings")
"""Titles of blocks that no test runs (needs a download, needs a GPU); options are checked still."""

_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Parameters
    ----------
    language : str
        ``sh``, ``python``, ``toml``, …
    title : str
        Why it is not run, or the file that it is; or empty.
    text : str
        What stands in it.
    """

    language: str
    title: str
    text: str

    @property
    def runs(self) -> bool:
        """Whether it can be run here."""
        return WHY_NOT.fullmatch(self.title) is None

    @property
    def commands(self) -> list[str]:
        """The lines that are typed at a prompt."""
        if self.language != "sh":
            return []
        return [line for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]


def blocks(page: Path) -> list[Block]:
    """Return a page's fenced blocks in order."""
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def without_blocks(page: Path) -> str:
    """Return a page's text between its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def sessions() -> Iterator[Path]:
    """Yield the pages that have something to type."""
    for page in PAGES:
        if any(block.language in ("sh", "python") for block in blocks(page)):
            yield page


def lay_out(folder: Path) -> None:
    """Put what pages speak of into a folder: photos in class folders, as a zip, new images."""
    rng = np.random.default_rng(0)
    colours = {"cat": (170, 70, 30), "dog": (30, 70, 150), "horse": (60, 150, 50)}
    for name, colour in colours.items():
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(12):
            noise = rng.integers(-60, 60, (40, 40, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{i + 1}.jpg", quality=90)
    taken = sorted((folder / "photos").rglob("*.jpg"))
    (folder / "new").mkdir()
    for path in taken[:2]:
        shutil.copy(path, folder / "new" / path.name)
    shutil.copy(taken[2], folder / "one.jpg")
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.write(taken[3], "a.jpg")
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks")

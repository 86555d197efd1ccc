"""Small real data, small real networks, and the command line as a user calls it."""

import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featbench.cli import main
from featbench.progress import Reporter

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", help="where the exhaustive test of cuts writes its table")


class Notes(Reporter):
    """Keeps the lines that it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def make_photos(root: Path, splits: dict[str, int] | None = None, *, size: int = 40) -> Path:
    """Write class folders of small JPEGs whose colour tells the class."""
    colours = {"moss": (30, 70, 25), "rust": (170, 70, 30), "sky": (120, 190, 240)}
    rng = np.random.default_rng(0)
    for split, count in (splits or {"": 12}).items():
        for name, colour in colours.items():
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                noise = rng.integers(-50, 50, (size, size, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}_{i:03d}.jpg", quality=90)
    return root


@pytest.fixture(scope="session")
def photo_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("source") / "photos", {"train": 10, "test": 6})


@pytest.fixture
def photos(photo_source: Path, tmp_path: Path) -> Path:
    """A folder of its own with train and test splits: three classes, ten and six images each."""
    return Path(shutil.copytree(photo_source, tmp_path / "photos"))


@dataclass
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def featbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Run a command in an empty folder; return its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["featbench", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        assert isinstance(code, int)
        return Said(code, said.out, said.err)

    return call

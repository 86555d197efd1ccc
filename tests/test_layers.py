"""Imports go down only, so that every room can be read without those above it."""

import ast
from pathlib import Path

import pytest

import featbench

ROOT = Path(featbench.__file__).parent
ROOMS = [
    "cli", "report", "experiments", "heads", "finetune", "extraction", "augmentation", "networks",
    "datasets", "statistics",
]  # fmt: skip
FOUNDATION = {
    "errors", "files", "lazy", "machine", "markup", "progress", "registry", "training", "untrusted",
}  # fmt: skip
NEVER = {"heads": {"finetune", "extraction", "augmentation", "networks", "datasets", "statistics"}}
FILES = sorted(ROOT.rglob("*.py"))


def imported(source: str) -> set[str]:
    """Return the modules that this source imports, for running or for types."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def forbidden(room: str, source: str) -> list[str]:
    """Return the imports that point up, sideways where that is barred, or past a room's door."""
    wrong = []
    for name in sorted(imported(source)):
        package, _, rest = name.partition(".")
        target, _, inner = rest.partition(".")
        if package != "featbench" or target not in ROOMS or target == room:
            continue
        upwards = room in FOUNDATION or ROOMS.index(target) < ROOMS.index(room)
        if upwards or target in NEVER.get(room, ()) or inner.startswith("_"):
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    if parts in (("__init__.py",), ("__main__.py",)):
        return  # the public names are imported on first use
    room = parts[0].removesuffix(".py")
    assert room in ROOMS or room in FOUNDATION, f"{room} is no room of docs/architecture.md"
    assert forbidden(room, path.read_text()) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("datasets", "import featbench.networks"),
        ("networks", "from featbench.extraction import extract"),
        ("heads", "from featbench.datasets import Dataset"),
        ("errors", "from featbench import datasets"),
        ("statistics", "from featbench.experiments import Result"),
        ("report", "from featbench.experiments._session import Session"),
    ],
)
def test_the_rule_itself_finds_what_it_forbids(room: str, line: str) -> None:
    assert forbidden(room, line)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_can_be_held_whole_and_says_its_idea(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert path.stem.strip("_") not in {"utils", "util", "helpers", "misc", "common"}
    assert ast.get_docstring(ast.parse(text)), "a module opens with its idea"

"""The recipes in benchmarks/: each says its command and what to expect, and can be looked at."""

import re
from pathlib import Path

import pytest

from featbench.experiments import Session, forecast, load_recipe

FOLDER = Path(__file__).parents[2] / "benchmarks"
RECIPES = sorted(FOLDER.glob("*.toml"))
BINARY = "digits:classes=0,1"
IN_PLACE = {"smoking-stages": [BINARY, f"cifar10-30k.zip={BINARY}"]}


def test_there_are_some() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_opens_with_its_command_and_what_to_expect(path: Path) -> None:
    opening = re.match(r"(#.*\n)+", path.read_text())
    assert opening is not None
    assert opening[0].startswith(f"# featbench run benchmarks/{path.name}")
    assert re.search(r"expect", opening[0], re.IGNORECASE)
    assert re.search(r"\d", opening[0].partition("xpect")[2]), "numbers"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_and_its_presets_can_be_looked_at_without_doing_them(
    path: Path, tmp_path: Path
) -> None:
    presets = re.findall(r"^\[preset\.(\w+)\]", path.read_text(), re.MULTILINE)
    session = Session(cache=tmp_path / "cache", results=tmp_path / "results")
    for preset in (None, *presets):
        data = IN_PLACE.get(path.stem, "digits")
        runs = load_recipe(path, preset=preset, data=data, backbone="efficientnet_lite0").runs
        known = forecast(session, runs)
        assert len(known) == len(runs) > 0
        assert all(one.finished is False for one in known), [one.unknown for one in known]
    assert not (tmp_path / "results").exists()

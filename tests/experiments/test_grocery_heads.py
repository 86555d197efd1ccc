"""benchmarks/grocery-heads.toml runs whole from one command; each feature set is made once."""

import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.experiments import Result, load_recipe
from tests.chromium import chromium
from tests.conftest import Said, make_photos
from tests.experiments.extraction_log import check_cut_once, check_once, check_stored_once

RECIPE = Path(__file__).parents[2] / "benchmarks" / "grocery-heads.toml"


def zipped(folder: Path) -> Path:
    """Return a zip of small photographs of three classes."""
    photos = make_photos(folder / "photos", {"train": 4, "test": 3}, size=60)
    with zipfile.ZipFile(folder / "groceries.zip", "w") as archive:
        for path in sorted(photos.rglob("*.jpg")):
            archive.write(path, path.relative_to(photos))
    return folder / "groceries.zip"


def test_it_is_the_grid_that_it_says() -> None:
    runs = load_recipe(RECIPE).runs
    heads = [run for run in runs if run.head]
    assert len({run.network for run in heads}) == 2
    assert Counter(run.weights for run in heads) == {"default": 42, "random": 42}
    kernels = {"svm-linear", "svm-poly", "svm-rbf", "svm-sigmoid"}
    assert {run.head for run in heads} == kernels | {"logreg", "mlp", "knn"}
    assert {run.seed for run in runs} == {0, 1, 2}
    assert len(heads) == len(set(map(str, heads))) == 2 * 2 * 7 * 3
    assert len(runs) - len(heads) == 2 * 3
    said = re.search(r"(\d+) runs that share (\d+) feature sets", RECIPE.read_text())
    sets = {(r.network, r.weights, r.seed if r.weights == "random" else 0) for r in heads}
    assert said is not None
    assert (int(said[1]), int(said[2])) == (len(runs), len(sets))


@pytest.mark.slow
def test_one_command_does_all_of_it_and_makes_each_feature_set_once(
    featbench: Callable[..., Said], tmp_path: Path
) -> None:
    """With three of its seven heads, for the sake of time."""
    heads = ("--set", 'run.0.head=["svm-rbf", "logreg", "knn"]')
    command = ("run", RECIPE, "--preset", "quick", "--data", zipped(tmp_path), *heads)
    report = tmp_path / "report.html"
    said = featbench(*command, "--set", "preset.quick.seeds=[0,1]", "--report", report, "--json")
    assert said.code == 0, said.err
    results = [Result.model_validate(one) for one in json.loads(said.out)]
    assert {one.status for one in results} == {"ok"}
    assert len(results) == 2 * 2 * 3 * 2 + 2 * 2
    check_once(tmp_path / "results", feature_sets=2 + 2 * 2)
    check_cut_once(tmp_path / "results")
    check_stored_once(tmp_path / "cache")
    again = featbench(*command, "--set", "preset.quick.seeds=[0,1]", "--quiet", "--json")
    assert json.loads(again.out) == json.loads(said.out), "finished runs are done again"
    with chromium() as page:
        page.open(report)
        asked = [url for url in page.requests if not url.startswith("data:")]
        assert asked == [report.as_uri()]
        assert not page.complaints

"""Two runs of one recipe with one seed: the same tables but for times, the same predictions."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.experiments import Result, ResultStore, load_recipe
from featbench.report import FORMATS, make_table
from tests.conftest import Said, make_photos

Command = Callable[..., Said]
TIMES = {
    "extract_seconds", "extract_seconds_cold", "fit_seconds", "predict_seconds", "finished",
    "images_per_second", "peak_memory_mb", "rows_computed", "rows_cached", "command",
}  # fmt: skip
COLUMNS = (
    "network,weights,method,settings,n_per_class,seeds,test_accuracy,interval,ties,p_best,"
    "test_balanced_accuracy,test_macro_f1,test_log_loss,test_log_loss_interval,test_ece,"
    "train_accuracy,val_accuracy,parameters"
)
"""All that tell what a method did; none that tells how long it took."""
RECIPE = """
limit = 16
seeds = [0, 1]
[[run]]
network = "mobilenet_v3_small"
weights = "random"
head = ["logreg", "svm-rbf", "svm-linear", "mlp", "knn", "ridge", "centroid"]
tune = 3
[[run]]
network = "lenet5"
head = "logreg"
set.logreg = { calibrate = "temperature" }
shots = [2, 5]
[[run]]
network = "lenet5"
blocks = [1, "all"]
train = { epochs = 2, batch = 8, dropout = 0.3, augment = "rotate:10+flip" }
[[run]]
network = "lenet5"
blocks = 1
warm_start = "logreg"
train = { epochs = 1 }
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    photos = make_photos(tmp_path / "photos", {"train": 16, "test": 10})
    path = tmp_path / "small.toml"
    path.write_text(f"data = {json.dumps(str(photos))}\n{RECIPE}")
    return path


def as_planned(recipe: Path, folder: Path) -> list[Result]:
    """Return a folder's results in an order of their own: by what was asked, not by time."""
    results = ResultStore(folder).all()
    assert len(results) == len(load_recipe(recipe).runs)
    assert {result.status for result in results} == {"ok"}, [r.error for r in results]
    return sorted(results, key=lambda result: result.run_id)


def check_same(recipe: Path, first: Path, second: Path) -> None:
    """Compare everything that two folders hold but times."""
    stores = [ResultStore(folder) for folder in (first, second)]
    results = [as_planned(recipe, folder) for folder in (first, second)]
    for one, other in zip(*results, strict=True):
        assert untimed(one) == untimed(other)
        for name in ("predictions.csv",):
            contents = [(store.folder / one.run_id / name).read_bytes() for store in stores]
            assert contents[0] == contents[1], (one.network, one.method, name)
        histories = [store.history(one) for store in stores]
        if histories[0] is not None and histories[1] is not None:
            assert histories[0].drop(columns="seconds").equals(histories[1].drop(columns="seconds"))
    for name, write in FORMATS.items():
        texts = [
            write(make_table(store, runs, columns=COLUMNS))
            for store, runs in zip(stores, results, strict=True)
        ]
        assert texts[0] == texts[1], name
        assert "logreg" in texts[0]


def untimed(result: Result) -> dict[str, object]:
    ledger = [{k: v for k, v in line.items() if k != "seconds"} for line in result.ledger]
    return {**result.model_dump(exclude=TIMES), "ledger": ledger}


@pytest.mark.slow
def test_two_runs_of_one_recipe_are_the_same_but_for_times(
    featbench: Command, recipe: Path, tmp_path: Path
) -> None:
    """Each with a folder and a cache of its own."""
    for name in ("a", "b"):
        folders = ("--cache", tmp_path / name / "cache", "--results", tmp_path / name / "results")
        assert featbench("run", recipe, *folders, "--quiet").code == 0
    check_same(recipe, tmp_path / "a" / "results", tmp_path / "b" / "results")


@pytest.mark.slow
def test_neither_threads_nor_processes_change_the_table(recipe: Path, tmp_path: Path) -> None:
    """One worker with all threads, one with a single thread, two with one thread each."""
    ways = {"two": (2, 1), "one": (1, 1), "jobs": (2, 2)}
    for name, (threads, jobs) in ways.items():
        command = [sys.executable, "-m", "featbench", "run", str(recipe), "--quiet"]
        folders = ["--cache", "cache", "--results", name]
        subprocess.run(
            [*command, *folders, "--jobs", str(jobs)], cwd=tmp_path, check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": str(threads),
                 "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
    check_same(recipe, tmp_path / "two", tmp_path / "one")
    check_same(recipe, tmp_path / "two", tmp_path / "jobs")

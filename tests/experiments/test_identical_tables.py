"""Two runs of one recipe with one seed: the same tables but for times, the same predictions."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.experiments import Result, ResultStore, load_recipe
from featbench.experiments._workers import threads_each
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
        path = Path(one.run_id) / "predictions.csv"
        said, again = ((store.folder / path).read_bytes() for store in stores)
        assert said == again, (one.network, one.method)
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


def run_apart(recipe: Path, results: str, *, threads: int, jobs: int) -> Path:
    """Run the recipe in a process of its own, with the cache of the others."""
    folder = recipe.parent
    command = [sys.executable, "-m", "featbench", "run", str(recipe), "--quiet"]
    subprocess.run(
        [*command, "--cache", "cache", "--results", results, "--jobs", str(jobs)],
        cwd=folder, check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": str(threads),
             "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    return folder / results


@pytest.mark.slow
def test_processes_change_no_byte_and_threads_no_printed_table(recipe: Path) -> None:
    alone = run_apart(recipe, "alone", threads=1, jobs=1)
    check_same(recipe, alone, run_apart(recipe, "jobs", threads=1, jobs=2))
    more = run_apart(recipe, "more", threads=2, jobs=1)
    pairs = list(zip(as_planned(recipe, alone), as_planned(recipe, more), strict=True))
    for one, other in pairs:
        summed_by_threads = one.method in ("logreg", "mlp") or one.cut == "pixels"
        assert summed_by_threads or untimed(one) == untimed(other), (one.network, one.method)
        columns = [predictions(folder, one)[:3] for folder in (alone, more)]
        assert columns[0] == columns[1], "id, label and predicted"
        if one.test_log_loss is not None:  # centroid gives no probabilities
            assert one.test_log_loss == pytest.approx(other.test_log_loss, rel=1e-5)
    for name in ("md", "latex"):
        texts = [
            FORMATS[name](make_table(ResultStore(folder), list(runs), columns=COLUMNS))
            for folder, runs in zip((alone, more), zip(*pairs, strict=True), strict=True)
        ]
        assert texts[0] == texts[1], name


def predictions(folder: Path, result: Result) -> list[tuple[str, ...]]:
    """Return a run's predictions, column by column."""
    rows = csv.reader((folder / result.run_id / "predictions.csv").read_text().splitlines())
    return list(zip(*rows, strict=True))


@pytest.mark.parametrize(("share", "threads", "expected"), [(4, 1, 1), (1, 8, 1), (4, 8, 4)])
def test_a_worker_computes_with_no_more_threads_than_one_process(
    share: int, threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    assert threads_each(share) == expected

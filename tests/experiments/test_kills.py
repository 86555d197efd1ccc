"""A recipe that is killed at random moments and run again ends with the undisturbed run's table."""

import json
from pathlib import Path

import pytest

from tests.conftest import make_photos
from tests.experiments.kill_driver import trial

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def small_recipe(folder: Path) -> Path:
    """Write a recipe of seconds that has everything: choices, kept features, training, a cut."""
    photos = make_photos(folder / "photos", {"train": 40, "test": 20})
    path = folder / "small.toml"
    path.write_text(
        f"data = {json.dumps(str(photos))}\n"
        '[[run]]\nnetwork = ["lenet5", "cnn"]\nhead = ["svm-rbf", "mlp"]\ntune = 2\n'
        '[[run]]\nnetwork = "lenet5"\nblocks = [1, "all"]\ntrain = { epochs = 12 }\n'
    )
    return path


@pytest.mark.slow
def test_killed_now_and_then_it_ends_with_the_same_table(tmp_path: Path) -> None:
    account = trial([str(small_recipe(tmp_path))], tmp_path, kills=3)
    assert (account.killed, account.interrupted) == (2, 1)
    assert account.most_left <= 2
    assert json.loads(account.table)["rows"]


@pytest.mark.exhaustive
def test_the_demo_killed_twenty_times_ends_with_the_same_table(tmp_path: Path) -> None:
    account = trial([str(BENCHMARKS / "demo.toml")], tmp_path, kills=20)
    assert (account.killed, account.interrupted) == (13, 7)
    assert len(set(account.progress)) >= 3, "kills at one stage only"  # heads are done in one go
    assert account.most_left <= 2, "temporary files grow"
    assert len(account.extractions) == 2, "one feature set for each kind of weights"

"""Whatever happens to process, disk or bits: the next run completes, with the same rows."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make_photos

TRIALS = [
    "kills_at_each_step",
    "kills_at_random_times",
    "full_disks",
    "four_at_once",
    "flipped_bits",
]


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["float32", "half"])
@pytest.mark.parametrize("trial", TRIALS)
def test_the_store_survives(trial: str, storage: str, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", {"train": 5, "test": 3})
    command = [sys.executable, "-m", "tests.extraction.fault_driver", trial]
    command += [str(photos), str(tmp_path), storage]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr

"""The real command, killed at any moment: it completes, and every row is the undisturbed run's."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

from tests.conftest import make_photos


def command(photos: Path, cache: Path, *more: object) -> list[str]:
    """Return the command that extracts; the engine is given, for bytes hang on it."""
    options = ["--data", photos, "--cache", cache, "--engine", "fused", "--batch-size", 2, *more]
    start = [sys.executable, "-m", "featbench", "extract", "--backbone", "resnet50"]
    return [str(word) for word in [*start, "--weights", "random", *options]]


def rows(path: Path) -> dict[str, bytes]:
    with h5py.File(path) as file:
        ids = file["id"].asstr()[:]
        return {name: row.tobytes() for name, row in zip(ids, file["X"][:], strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle(how: signal.Signals, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", {"train": 40, "test": 20}, size=300)
    whole = tmp_path / "whole.h5"
    began = time.perf_counter()
    subprocess.run(command(photos, tmp_path / "clean", "-o", whole), check=True)
    seconds = time.perf_counter() - began
    chance, cache, share, ended = random.Random(0), tmp_path / "cache", 0.6, 0
    for _ in range(20):  # the moment follows the machine: later runs may be faster than the first
        with subprocess.Popen(command(photos, cache), stderr=subprocess.DEVNULL) as process:
            time.sleep(seconds * share * chance.uniform(0.7, 1.3))
            process.send_signal(how)
            code = process.wait(60)
        if code == 0:  # it was done before
            share *= 0.75
            shutil.rmtree(cache)
            continue
        assert code == {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}[how]
        if how == signal.SIGINT and not list(cache.glob("*/*.h5")):  # no row was computed yet
            share *= 1.2
            continue
        ended += 1
        if ended == {signal.SIGKILL: 5, signal.SIGINT: 1}[how]:
            break
    else:
        pytest.fail(f"only {ended} were ended in the middle, with their rows kept")
    again = tmp_path / "again.h5"
    subprocess.run(command(photos, cache, "-o", again), check=True)
    assert rows(again) == rows(whole)

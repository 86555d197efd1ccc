"""The real command, killed at any moment: it completes, and every row is the undisturbed run's."""

import random
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
    chance, cache = random.Random(0), tmp_path / "cache"
    codes = []
    for _ in range(5 if how == signal.SIGKILL else 1):
        with subprocess.Popen(command(photos, cache), stderr=subprocess.DEVNULL) as process:
            time.sleep(seconds * chance.uniform(0.4, 0.8))
            process.send_signal(how)
            codes.append(process.wait(60))
    ended = {signal.SIGKILL: -9, signal.SIGINT: 130}[how]
    assert ended in codes
    assert set(codes) <= {ended, 0}
    if how != signal.SIGKILL:
        assert list(cache.glob("*/*.h5")), "what was computed before the signal is not kept"
    again = tmp_path / "again.h5"
    subprocess.run(command(photos, cache, "-o", again), check=True)
    assert rows(again) == rows(whole)

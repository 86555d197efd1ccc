"""Killed at any moment, the same command completes, and every row is the undisturbed run's."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from featbench.datasets import load_dataset
from featbench.extraction import extract
from tests.conftest import make_photos

SLOW_EXTRACTION = """
import sys, time
from featbench.datasets import load_dataset
from featbench.extraction import _tuning, _store, extract
_store.SHARD_ROWS = 8
forward = _tuning.Running.__call__
def slowly(self, pixels):
    time.sleep(0.05)
    return forward(self, pixels)
_tuning.Running.__call__ = slowly
print("begun", flush=True)
try:
    extract(load_dataset(sys.argv[1]), "lenet5", cache=sys.argv[2], batch=8, engine="eager")
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle(how: signal.Signals, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", {"train": 60, "test": 20}, size=12)
    options = {"batch": 8, "engine": "eager"}
    undisturbed = extract(load_dataset(photos), "lenet5", cache=tmp_path / "clean", **options)
    cache = tmp_path / "cache"
    for wait in (0.1, 0.35, 0.7):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_EXTRACTION, str(photos), str(cache)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(how)
        assert process.wait(60) in (-signal.SIGKILL, 130, 0)
        process.stdout.close()
    before = len(list(cache.glob("*/*.h5")))
    assert before, "no shard was finished before the kill"
    resumed = extract(load_dataset(photos), "lenet5", cache=cache, **options)
    assert resumed.rows_cached >= 8
    assert resumed.rows_computed + resumed.rows_cached == 240
    for name, part in undisturbed.splits.items():
        assert part.X.tobytes() == resumed.splits[name].X.tobytes()
        assert part.ids == resumed.splits[name].ids
    assert np.isfinite(resumed.train.X).all()

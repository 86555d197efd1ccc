"""Extractions by the hundred, each in a fork of its own that is killed or meets a full disk.

Run as a program by test_faults.py: it must fork before torch has started a thread. The network is
numpy alone, so that one extraction takes milliseconds; all else is the real thing.
"""

import builtins
import errno
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from featbench import files
from featbench.datasets import load_dataset
from featbench.errors import FeatbenchError
from featbench.extraction import _extract, _store, _tuning, extract, verify
from featbench.networks import create_network

torch.set_num_threads(1)
NETWORK = create_network("lenet5")
MATRIX = np.random.default_rng(0).normal(size=(32 * 32, 84)).astype(np.float32) * 12
"""So large that some rows hold a number beyond float16: a half space keeps rows of both kinds."""
STORAGE = sys.argv[4]


class NumpyEngine:
    """What ``Running`` is, without torch."""

    name, batch = "numpy", 8

    def __call__(self, pixels: Any) -> tuple[Any, ...]:
        rows = np.stack([one.reshape(-1).astype(np.float32) @ MATRIX for one in pixels])
        return (rows,)


def start_numpy(task: Any, sample: Any, *, cache: Path, **_: Any) -> NumpyEngine:
    _tuning._write_memory(cache / "engines.json", {"numpy": {"rate": 1.0}})
    return NumpyEngine()


_extract.start_engine = start_numpy  # type: ignore[assignment]
_store.SHARD_ROWS = 8

Fault = Callable[[int, str], None]
"""Is told the number of every step that touches the disk, and what it is."""


def watch(fault: Fault) -> None:
    """Number every step of a write, and tell the fault of it before it happens."""
    done = 0

    def step(what: str) -> None:
        nonlocal done
        done += 1
        fault(done, what)

    class Watched:
        def __init__(self, file: BinaryIO) -> None:
            self.file = file

        def __enter__(self) -> "Watched":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            step("write")
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            step("write, half done")
            self.file.write(content[len(content) // 2 :])

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    def watched_open(path: Path, mode: str) -> Watched:
        step("open")
        return Watched(builtins.open(path, mode))  # type: ignore[arg-type]

    def watched(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            step(name)
            result = act(*arguments)
            step(f"after {name}")
            return result

        return call

    files.open = watched_open  # type: ignore[attr-defined]
    os.fsync = watched("fsync", os.fsync)
    os.rename = watched("rename", os.rename)


def run(photos: Path, cache: Path, rows: Path, fault: Fault | None = None) -> int:
    """Extract in a fork; return its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 3
    try:
        code = work(photos, cache, rows, fault)
    finally:
        os._exit(code)


def start(photos: Path, cache: Path, rows: Path) -> int:
    """Begin an extraction in a fork; return its process."""
    child = os.fork()
    if not child:
        code = 3
        try:
            code = work(photos, cache, rows, None)
        finally:
            os._exit(code)
    return child


def work(photos: Path, cache: Path, rows: Path, fault: Fault | None) -> int:
    if fault is not None:
        watch(fault)
    try:
        found = extract(load_dataset(photos), NETWORK, cache=cache, storage=STORAGE)
    except FeatbenchError as error:
        rows.with_suffix(".error").write_text(str(error))
        return error.exit_code
    rows.write_bytes(found.train.X.tobytes() + found.test.X.tobytes())
    return 0


def die_at(place: int) -> Fault:
    def fault(number: int, what: str) -> None:
        if number == place:
            os.kill(os.getpid(), signal.SIGKILL)

    return fault


def full_from(place: int) -> Fault:
    """Refuse every write from this step on, as a full disk does; names can still be changed."""

    def fault(number: int, what: str) -> None:
        if number >= place and what in ("write, half done", "fsync", "open"):
            raise OSError(errno.ENOSPC, "No space left on device")

    return fault


def check(condition: bool, *what: object) -> None:
    if not condition:
        print("FAILED:", *what, flush=True)
        sys.exit(1)


class Trials:
    """The undisturbed rows, and what every trial must end with."""

    def __init__(self, photos: Path, folder: Path) -> None:
        self.photos, self.folder, self.rows = photos, folder, folder / "rows"
        began = time.perf_counter()
        check(run(photos, folder / "undisturbed", self.rows) == 0, "undisturbed run")
        self.seconds = time.perf_counter() - began
        self.expected = self.rows.read_bytes()
        largest = abs(np.frombuffer(self.expected, np.float32).reshape(-1, 84)).max(1)
        check(0 < (largest > 65504).mean() < 1, "all rows are of one kind", largest)
        self.steps = self.count()

    def count(self) -> int:
        log = self.folder / "steps"

        def note(number: int, what: str) -> None:
            log.write_text(str(number))

        check(run(self.photos, self.folder / "counted", self.rows, note) == 0, "counted run")
        return int(log.read_text())

    def fresh(self) -> Path:
        cache = self.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        self.rows.unlink(missing_ok=True)
        return cache

    def resumes(self, cache: Path, *what: object) -> None:
        self.rows.unlink(missing_ok=True)
        check(run(self.photos, cache, self.rows) == 0, "resuming", *what)
        check(self.rows.read_bytes() == self.expected, "other rows", *what)
        check(not list(verify(cache)), "not whole", *what)


def kills_at_each_step(trials: Trials) -> str:
    for place in range(1, trials.steps + 1):
        cache = trials.fresh()
        code = run(trials.photos, cache, trials.rows, die_at(place))
        check(code == -signal.SIGKILL, "step", place, "was not killed:", code)
        trials.resumes(cache, "killed at step", place)
    return f"{trials.steps} kills"


def kills_at_random_times(trials: Trials) -> str:
    """Kill 100 extractions, up to four on one cache, which must then complete.

    The span that kills are drawn from follows the machine: it grows with every kill and shrinks
    with every run that ended before its own, so that three in four are killed and every part of
    a run has its turn, however long a run takes just now.
    """
    chance, killed, begun, span = random.Random(0), 0, 0, trials.seconds
    while killed < 100:
        check(begun < 1000, "only", killed, "of", begun, "were killed in time")
        cache = trials.fresh()
        for _ in range(4):
            child = start(trials.photos, cache, trials.rows)
            begun += 1
            time.sleep(chance.uniform(0, span))
            os.kill(child, signal.SIGKILL)
            in_time = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            killed += in_time
            span *= 1.1 if in_time else 0.75
            if not in_time:  # nothing is left to interrupt
                break
        trials.resumes(cache, "random kill", begun)
    return f"{killed} of {begun} killed before their end"


def full_disks(trials: Trials) -> str:
    failed = 0
    for place in range(1, trials.steps + 1):
        cache = trials.fresh()
        code = run(trials.photos, cache, trials.rows, full_from(place))
        check(code in (0, 1), "full from step", place, "ended with", code)
        if code == 1:
            failed += 1
            said = trials.rows.with_suffix(".error").read_text()
            check("No space left" in said, "step", place, "said", said)
        else:  # nothing that matters was refused
            check(trials.rows.read_bytes() == trials.expected, "full from", place)
        check(not list(cache.glob("**/*.tmp")), "a part of a file is left, step", place)
        trials.resumes(cache, "full from step", place)
    check(failed > trials.steps // 2, "only", failed, "runs met the full disk")
    return f"{failed} runs met a full disk"


def four_at_once(trials: Trials) -> str:
    for _ in range(5):
        cache = trials.fresh()
        outputs = [trials.folder / f"rows{i}" for i in range(4)]
        children = [start(trials.photos, cache, rows) for rows in outputs]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        check(codes == [0] * 4, "four at once ended with", codes)
        check({rows.read_bytes() for rows in outputs} == {trials.expected}, "other rows")
        trials.resumes(cache, "four at once")
        check(len([p for p in cache.iterdir() if len(p.name) == 64]) == 1, "more than one space")
    return "5 times four processes"


def flipped_bits(trials: Trials) -> str:
    chance, noticed = random.Random(0), 0
    pristine = trials.folder / "undisturbed"
    paths = [p.relative_to(pristine) for p in sorted(pristine.glob("**/*")) if p.is_file()]
    for number in range(200):
        cache = trials.fresh()
        shutil.copytree(pristine, cache)
        path = cache / paths[number % len(paths)]
        content = bytearray(path.read_bytes())
        place = chance.randrange(8 * len(content))
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        report = list(verify(cache))
        check(any(str(path) in line for line in report), path.name, "bit", place, "unnoticed")
        noticed += 1
        code = run(trials.photos, cache, trials.rows)
        check(code == 0, path.name, "bit", place, "ended with", code)
        check(trials.rows.read_bytes() == trials.expected, path.name, "bit", place, "other rows")
    return f"{noticed} of 200 flipped bits reported"


if __name__ == "__main__":
    mode, photos, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    print(json.dumps(globals()[mode](Trials(photos, folder))))

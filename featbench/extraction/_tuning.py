"""Which engine runs a network: the one its space began with, else the fastest that agrees.

Engines are timed on a real batch. What was found is remembered for this machine in
``cache/engines.json``; an engine that compiles is tried only where the images left would pay.
"""

import json
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from featbench.errors import FeatbenchError, UsageError, did_you_mean
from featbench.extraction._engines import ENGINES, PRECISIONS, Engine, Forward
from featbench.extraction._pooling import pool
from featbench.files import read_checked, write_checked
from featbench.machine import cores
from featbench.networks import Network
from featbench.progress import Reporter

FLOAT32_AGREES = 1e-4
BFLOAT16_AGREES = 0.999
COMPILE_SECONDS = 20.0
COMPILE_GAINS = {"cpu": 1 / 10, "cuda": 1 / 3}
DEFAULT_BATCH = {"cpu": 16, "cuda": 256, "mps": 32}
_TIMING_SECONDS = 0.2
_COMPARED = 8
_SHARE, _SECONDS = 1.05, 0.5
"""An engine takes an earlier one's place where that one takes this much longer: noise does not."""

Rows = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Task:
    """What is to be run.

    Parameters
    ----------
    network : Network
        The frozen network.
    layers, poolings : sequence of str
        Which values, and how each becomes a row.
    precision : str
        ``float32`` or ``bfloat16``.
    device : torch.device
        Where.
    batch : int, optional
        Images a forward; by default what suits the device.
    """

    network: Network
    layers: Sequence[str]
    poolings: Sequence[str]
    precision: str
    device: torch.device
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision {self.precision}: expected {', '.join(PRECISIONS)}")
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"--batch-size {self.batch}: expected at least 1")

    @property
    def engines(self) -> list[Engine]:
        """The engines of this precision on this device."""
        kind = self.device.type
        return [e for e in ENGINES if e.precision == self.precision and kind in e.devices]

    @property
    def key(self) -> str:
        """What the times of engines hang on, as text."""
        gpu = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""
        return json.dumps([
            platform.machine(), platform.processor(), cores(), gpu, torch.__version__,
            self.network.name, self.network.preprocessing.shape, list(self.layers),
            self.precision, self.device.type, self.batch,
        ])  # fmt: skip


class Running:
    """An engine at work: every batch has the same shape, so a row hangs on no neighbour.

    Parameters
    ----------
    engine : Engine
        Which.
    task : Task
        On what.
    batch : int
        Images a forward.

    Raises
    ------
    Exception
        Whatever building raises: a missing compiler or package, no memory.
    """

    def __init__(self, engine: Engine, task: Task, batch: int) -> None:
        self.name, self.batch, self._task = engine.name, batch, task
        began = time.perf_counter()
        taps = task.network.taps(task.layers).to(task.device)
        with torch.no_grad():  # not inference mode: the network's own tensors must stay trainable
            self._forward: Forward = engine.build(taps, task.network.preprocessing)
        self.build_seconds = time.perf_counter() - began

    def __call__(self, pixels: NDArray[np.uint8]) -> Rows:
        """Return a row for each layer and image, (n, height, width, channels) uint8, n ≤ batch."""
        padded = pixels
        if len(pixels) < self.batch:
            padded = np.zeros((self.batch, *pixels.shape[1:]), np.uint8)
            padded[: len(pixels)] = pixels
        with torch.inference_mode():
            on_device = torch.from_numpy(padded).to(self._task.device, non_blocking=True)
            values = self._forward(on_device)
            pooled = [pool(v.float(), p) for v, p in zip(values, self._task.poolings, strict=True)]
            return tuple(rows[: len(pixels)].cpu().contiguous().numpy() for rows in pooled)


def start_engine(
    task: Task,
    sample: NDArray[np.uint8],
    *,
    count: int,
    pinned: tuple[str, int] | None,
    asked: str | None,
    cache: Path,
    reporter: Reporter,
) -> Running:
    """Start the engine that is asked for, pinned, or fastest.

    Parameters
    ----------
    task : Task
        What is to be run.
    sample : ndarray of uint8, shape (n, height, width, channels)
        Real pixels, to time and compare engines on.
    count : int
        How many images are to be run.
    pinned : (str, int), optional
        Engine and batch that the space began with.
    asked : str, optional
        What the user wants.
    cache : Path
        Where times are remembered.
    reporter : Reporter
        Is told what was chosen.

    Raises
    ------
    UsageError
        For an engine that there is not.
    FeatbenchError
        When the engine asked for, or every one, cannot run.
    """
    known = {engine.name: engine for engine in task.engines}
    if asked is not None and asked not in known:
        raise UsageError(f"--engine {asked}: {task.precision} on {task.device.type} has "
                         f"{', '.join(known)}{did_you_mean(asked, known)}")  # fmt: skip
    batch = task.batch or DEFAULT_BATCH[task.device.type]
    if asked is not None:
        return _start(known[asked], task, batch, sample, reporter)
    if pinned is not None and pinned[0] in known:
        try:
            return _start(known[pinned[0]], task, task.batch or pinned[1], sample, reporter)
        except FeatbenchError as error:
            reporter.say(f"the engine this space began with cannot run here: {error}")
    return _Contest(task, batch, sample, count, cache, reporter).winner()


def _start(
    engine: Engine, task: Task, batch: int, sample: NDArray[np.uint8], reporter: Reporter
) -> Running:
    """Build an engine and run it once; on lack of memory halve the batch, and say so."""
    while True:
        try:
            running = Running(engine, task, batch)
            began = time.perf_counter()
            running(sample[:batch])
            running.build_seconds += time.perf_counter() - began
            return running
        except Exception as error:  # compilers, drivers and packages raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            if "memory" in reason.lower() and batch > 1:
                batch //= 2
                reporter.say(f"{engine.name}: out of memory; going on with batches of {batch}")
                continue
            raise FeatbenchError(
                f"engine {engine.name}: {type(error).__name__}: {reason}"
            ) from error


class _Contest:
    """Times the engines on a real batch, and keeps the fastest whose rows agree with eager's."""

    def __init__(
        self, task: Task, batch: int, sample: NDArray[np.uint8], count: int, cache: Path,
        reporter: Reporter,
    ) -> None:  # fmt: skip
        self._task, self._batch, self._sample, self._count = task, batch, sample, count
        self._reporter, self._path = reporter, cache / "engines.json"
        self._memory = _read_memory(self._path)
        self._times: dict[str, dict[str, float]] = self._memory.get(task.key, {})
        self._ready: dict[str, Running] = {}
        self._reference: Rows | None = None

    def winner(self) -> Running:
        engines = {engine.name: engine for engine in self._task.engines}
        for engine in engines.values():
            if engine.name not in self._times and (not engine.compiles or self._pays()):
                self._times[engine.name] = self._measure(engine)
        self._memory[self._task.key] = self._times
        _write_memory(self._path, self._memory)
        for name in self._in_order([name for name in engines if name in self._times]):
            if not self._times[name]["rate"]:
                continue
            try:
                running = self._ready.get(name) or _start(
                    engines[name], self._task, self._batch, self._sample, self._reporter
                )
            except FeatbenchError as error:
                self._reporter.say(f"{error}; taking the next one")
                continue
            rate = self._times[name]["rate"]
            self._reporter.say(f"engine {name}, batches of {running.batch} (about {rate:.0f} "
                               "images/s before decoding)")  # fmt: skip
            return running
        raise FeatbenchError(f"{self._task.network.name}: no engine can run it on "
                             f"{self._task.device.type} in {self._task.precision}")  # fmt: skip

    def _in_order(self, names: list[str]) -> list[str]:
        """Return engines as they are to be tried: of those that are about as fast, the first.

        So runs with caches of their own are by the same engine, and come to the same rows, unless
        one is clearly faster at one time and another at another.
        """
        times = {name: self._whole_time(name) for name in names}
        near = _SHARE * min(times.values()) + _SECONDS
        first = [name for name in names if times[name] <= near]
        return [*first, *sorted(set(names) - set(first), key=lambda name: times[name])]

    def _whole_time(self, name: str) -> float:
        """Return the seconds this engine would take for all images, building included."""
        times = self._times[name]
        if not times["rate"]:
            return float("inf")
        building = 0.0 if name in self._ready else times["build"]
        return building + self._count / times["rate"]

    def _pays(self) -> bool:
        """Say whether compiling could win back its own time on the images that are left."""
        best = max((times["rate"] for times in self._times.values()), default=0.0)
        gains = COMPILE_GAINS.get(self._task.device.type, 0.0)
        return bool(best) and self._count / best * gains > COMPILE_SECONDS

    def _measure(self, engine: Engine) -> dict[str, float]:
        try:
            running = _start(engine, self._task, self._batch, self._sample, self._reporter)
            self._check(engine, running)
        except FeatbenchError as error:
            if not isinstance(error.__cause__, ImportError):  # an extra that is not installed
                self._reporter.say(f"{error}; left out")
            return {"rate": 0.0, "build": 0.0}
        self._ready[engine.name] = running
        times: list[float] = []
        pixels = np.resize(self._sample, (running.batch, *self._sample.shape[1:]))
        best = max((known["rate"] for known in self._times.values()), default=0.0)
        while len(times) < 2 or (sum(times) < _TIMING_SECONDS and len(times) < 20):
            began = time.perf_counter()
            running(pixels)
            times.append(time.perf_counter() - began)
            if times[-1] * best > 2 * running.batch:  # twice as slow as another: seen enough
                break
        rate = running.batch / statistics.median(times)
        return {"rate": round(rate, 2), "build": round(running.build_seconds, 2)}

    def _check(self, engine: Engine, running: Running) -> None:
        """Refuse an engine whose rows are not those of eager float32."""
        if self._reference is None:
            plain = running
            if engine.name != "eager":
                eager = next(e for e in ENGINES if e.name == "eager")
                plain = Running(eager, self._task, min(_COMPARED, self._batch))
            self._reference = plain(self._sample[: min(_COMPARED, plain.batch)])
        rows = running(self._sample[: min(_COMPARED, running.batch)])
        for got, expected, layer in zip(rows, self._reference, self._task.layers, strict=True):
            problem = disagreement(got, expected[: len(got)], self._task.precision)
            if problem:
                raise FeatbenchError(f"engine {engine.name}: {layer}: {problem}")


def disagreement(
    got: NDArray[np.float32], expected: NDArray[np.float32], precision: str
) -> str | None:
    """Say how rows differ from eager float32's by more than their precision allows, or None.

    Parameters
    ----------
    got, expected : ndarray of float32, shape (n, ...)
        An engine's rows and eager float32's.
    precision : str
        ``float32``: at most 1e-4 of the row's length; ``bfloat16``: a cosine of 0.999 or more.
    """
    flat, true = (a.reshape(len(a), -1).astype(np.float64) for a in (got, expected))
    if not np.isfinite(flat).all():
        return "a value is not finite"
    lengths = np.linalg.norm(true, axis=1)
    if precision == "float32":
        worst = (np.linalg.norm(flat - true, axis=1) / np.maximum(lengths, 1e-12)).max()
        return None if worst <= FLOAT32_AGREES else f"differs by {worst:.1e} of a row's length"
    product = lengths * np.linalg.norm(flat, axis=1)
    cosine = np.where(product > 0, (flat * true).sum(1) / np.maximum(product, 1e-300), 1.0).min()
    return None if cosine >= BFLOAT16_AGREES else f"has a cosine of {cosine:.4f} on a row"


def _read_memory(path: Path) -> dict[str, Any]:
    """Return remembered times; a file that is not whole counts as none."""
    content = read_checked(path)
    return {} if content is None else dict(json.loads(content))


def _write_memory(path: Path, memory: dict[str, Any]) -> None:
    body = json.dumps(memory, indent=1, sort_keys=True).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checked(path, body)
    except OSError:
        return  # a read-only cache: they are measured again

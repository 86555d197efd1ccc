"""A training under way on disk: all that its end hangs on, as it was when an epoch ended.

    <folder>/checkpoint.safetensors     weights, optimiser, best weights so far, random states; in
                                        its header, as JSON, the rest: history, settings' key

One file, put there whole, so there is never a part of one state with a part of another. What
training draws is drawn from torch's generators, whose states are in it.
"""

import hashlib
import json
import math
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from featbench.errors import FeatbenchError, UsageError
from featbench.files import write_whole
from featbench.finetune._history import in_order
from featbench.finetune._room import Room
from featbench.networks import (
    most_bytes,
    read_about,
    read_header,
    sha256_of_tensors,
    tensors_from_bytes,
    tensors_to_bytes,
)
from featbench.progress import Reporter
from featbench.training import BestEpoch
from featbench.untrusted import JSON_BYTES, check_described, parse_json, read_file, sealed, shown

EVERY = 10.0
"""Seconds between two checkpoints, at least: a short training pays nothing."""
_SHARE = 20
"""Writing one may take this part of the time since the last one."""
FILE = "checkpoint.safetensors"
_FORMAT = 1
_HELD = 256 * 2**20
"""A state of so many bytes is held in memory where it is not yet time to write it."""
_OPTIMISER = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")


class DivergedError(FeatbenchError):
    """The loss is no longer finite: the same again would come of going on."""


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    key: str
    torch: str
    history: list[dict[str, Any]]
    best: Annotated[int, Field(ge=0)]
    value: float | None
    stopped: bool
    most: Annotated[int, Field(ge=1)] | None
    tensors: str


@dataclass
class Underway:
    """A training under way.

    Parameters
    ----------
    module : Module
        What is trained.
    optimizer : Optimizer
        Of its parameters.
    best : BestEpoch
        The best epoch so far.
    device : torch.device
        Whose random numbers are drawn, beside the CPU's.
    room : Room
        How many rows go at once.
    history : list of dict
        A row for every epoch that is done.
    stopped : bool
        Whether it was the last one.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    best: BestEpoch
    device: torch.device
    room: Room
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False

    def _parameters(self) -> list[torch.Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return every tensor of the state."""
        found = {f"module.{n}": t for n, t in self.module.state_dict().items()}
        found |= {f"best.{n}": t for n, t in self.best.kept()[2].items()}
        for number, parameter in enumerate(self._parameters()):
            for name, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    found[f"optimizer.{number}.{name}"] = value
        return found | {f"random.{n}": t for n, t in _random_states(self.device).items()}

    def note(self, key: str) -> dict[str, Any]:
        """Return the rest of it, but for the tensors' checksum."""
        best, value, _ = self.best.kept()
        return {
            "format": _FORMAT, "key": key, "torch": torch.__version__, "history": self.history,
            "best": best, "value": value if math.isfinite(value) else None,
            "stopped": self.stopped, "most": self.room.most,
        }  # fmt: skip

    def like(self, names: Any) -> dict[str, torch.Tensor]:
        """Return tensors shaped as those of a state of this training with such names must be.

        A name that none can have is left out.
        """
        own = self.module.state_dict()
        expected = {f"module.{n}": t for n, t in own.items()}
        expected |= {f"random.{n}": t for n, t in _random_states(self.device).items()}
        if any(name.startswith("best.") for name in names):
            expected |= {f"best.{n}": t for n, t in own.items()}
        for number, parameter in enumerate(self._parameters()):
            for name in _OPTIMISER:
                if (whole := f"optimizer.{number}.{name}") in names:
                    expected[whole] = torch.zeros(()) if name == "step" else parameter
        return expected

    def take_up(self, tensors: dict[str, torch.Tensor], note: _Note) -> None:
        """Be as the state says; its tensors are of the shapes that ``like`` gives."""
        parts: dict[str, dict[str, torch.Tensor]] = {"module": {}, "best": {}, "random": {}}
        state: dict[int, dict[str, torch.Tensor]] = {}
        parameters = self._parameters()
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            if part != "optimizer":
                parts[part][rest] = tensor
                continue
            number, _, leaf = rest.partition(".")
            value = tensor
            if leaf != "step":  # in the parameter's layout: a fused step goes over bare memory
                value = torch.empty_like(parameters[int(number)]).copy_(tensor).detach()
            state.setdefault(int(number), {})[leaf] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.module.load_state_dict(parts["module"])
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.best.go_on(note.best, math.inf if note.value is None else note.value, parts["best"])
        self.history[:] = map(in_order, note.history)  # a sealed note's names are sorted
        self.stopped, self.room.most = note.stopped, note.most
        _set_random_states(parts["random"], self.device)


def _random_states(device: torch.device) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def _set_random_states(states: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if "mps" in states:
        torch.mps.set_rng_state(states["mps"])


@dataclass(frozen=True)
class Checkpoint:
    """Where a training is kept, and which it is.

    Parameters
    ----------
    folder : Path
        Holds nothing else but folders of ``inner`` ones.
    key : str
        Says which training: one with another key is not gone on with.
    """

    folder: Path
    key: str

    @property
    def exists(self) -> bool:
        """Whether there is something to go on from."""
        return (self.folder / FILE).exists()

    def inner(self, name: str) -> "Checkpoint":
        """Return where to keep a training that follows from this one."""
        return Checkpoint(
            self.folder / name, hashlib.sha256(f"{self.key} {name}".encode()).hexdigest()
        )

    def read(self, course: Underway) -> bool:
        """Take up what is there; return whether there was anything to take up.

        Raises
        ------
        UsageError
            When it is damaged, or another training's; the course is then as it was.
        """
        path = self.folder / FILE
        if not path.exists():
            return False
        content = read_file(path, 8 * most_bytes(course.module.state_dict()) + JSON_BYTES)
        about = read_about(content, path).encode()
        raw = parse_json(about, path)
        sha256 = raw.pop("sha256", None) if isinstance(raw, dict) else None
        if not isinstance(sha256, str) or sealed(raw) != about:
            raise UsageError(f"{path}: is damaged (its checksum differs)")
        note = check_described(raw, _Note, str(path))
        for what, here, there in (
            ("format", str(_FORMAT), str(note.format)), ("torch", torch.__version__, note.torch),
            ("settings", self.key[:12], note.key[:12]),
        ):  # fmt: skip
            if here != there:
                raise UsageError(f"{path}: has another {what} ({shown(there)[:40]}, here {here})")
        like = course.like(read_header(content, path).keys())
        tensors = tensors_from_bytes(content, like, path)
        if sha256_of_tensors(tensors) != note.tensors:
            raise UsageError(f"{path}: is damaged (its tensors' checksum differs)")
        course.take_up(tensors, note)
        return True

    def write(self, tensors: dict[str, torch.Tensor], note: dict[str, Any]) -> None:
        """Put a state there, whole, in place of the last one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        about = sealed({**note, "tensors": sha256_of_tensors(tensors)}).decode()
        write_whole(self.folder / FILE, tensors_to_bytes(tensors, about))

    def remove(self) -> None:
        """Leave nothing behind: not the folder, and not an empty one around it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        around = self.folder.parent
        if around.is_dir() and not any(around.iterdir()):
            around.rmdir()


class Keeper:
    """Keeps a course's state at the end of epochs, as often as is cheap; resumes it.

    As a context manager it writes, where training is interrupted, the state that it held back; of
    one that diverged nothing stays.

    Parameters
    ----------
    checkpoint : Checkpoint, optional
        None keeps nothing.
    course : Underway
        The training.
    reporter : Reporter
        Is told where it goes on, and what is wrong with a checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint | None, course: Underway, reporter: Reporter) -> None:
        self._checkpoint, self._course, self._reporter = checkpoint, course, reporter
        self._written, self._cost = time.monotonic(), 0.0
        self._held: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = None

    def resume(self, epochs: int) -> None:
        """Take up the checkpoint that is there; one that cannot be is told, and not used."""
        if self._checkpoint is None:
            return
        try:
            if self._checkpoint.read(self._course):
                self._reporter.say(f"training goes on after epoch {len(self._course.history)} of "
                                   f"{epochs}, where it was interrupted")  # fmt: skip
        except UsageError as error:
            self._reporter.say(f"{error}: training begins anew")

    def after_epoch(self) -> None:
        """Write the state if it is time, else hold it where it is small."""
        if self._checkpoint is None:
            return
        self._held = None
        tensors = self._course.tensors()
        if time.monotonic() - self._written >= max(EVERY, _SHARE * self._cost):
            self._write(tensors, self._course.note(self._checkpoint.key))
        elif sum(t.nbytes for t in tensors.values()) <= _HELD:
            note = json.loads(json.dumps(self._course.note(self._checkpoint.key)))
            self._held = {n: t.detach().to("cpu", copy=True) for n, t in tensors.items()}, note

    def _write(self, tensors: dict[str, torch.Tensor], note: dict[str, Any]) -> None:
        assert self._checkpoint is not None
        began = time.monotonic()
        try:
            self._checkpoint.write(tensors, note)
        except OSError as error:  # a full disk costs the checkpoint, and not the training
            self._reporter.say(f"{self._checkpoint.folder}: a checkpoint cannot be written "
                               f"({error.strerror}); training goes on without")  # fmt: skip
        self._written = time.monotonic()
        self._cost = self._written - began

    def __enter__(self) -> "Keeper":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._checkpoint is not None and isinstance(error, DivergedError):
            self._checkpoint.remove()
            return
        if error is not None and self._held is not None:
            self._write(*self._held)
        if error is not None and self._checkpoint is not None and self._checkpoint.exists:
            self._reporter.say(f"{self._checkpoint.folder}: keeps the training up to here; the "
                               "same again goes on from there")  # fmt: skip

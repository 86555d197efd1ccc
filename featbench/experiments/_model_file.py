"""What ``model.json`` says, and every check of it: it may be somebody else's."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from featbench.errors import UsageError
from featbench.extraction import POOLINGS, PRECISIONS, spec_of
from featbench.heads import FileNote
from featbench.networks import Network, Preprocessing, is_weights_file
from featbench.untrusted import is_plain, shown

FORMAT = 1
FOLDER, DESCRIPTION = "model", "model.json"
_NETWORK = "^[A-Za-z0-9][A-Za-z0-9_./-]{0,199}(:[a-z_]+=[A-Za-z0-9_.,]+)*$"  # with its options
_Side = Annotated[int, Field(ge=1, le=4096)]
_Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
_SPEC_TEXTS = ("network", "layer", "pooling", "precision", "view", "decoder", "weights_sha256")


class NetworkNote(BaseModel):
    """Where the network and its weights come from, and what a row of it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=_NETWORK, max_length=300)]
    weights: Annotated[str, Field(min_length=1, max_length=200)]
    from_file: bool
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    spec: Annotated[dict[str, Any], Field(max_length=20)]
    engine: Annotated[str, Field(max_length=40)]


class PreprocessingNote(BaseModel):
    """Every step from a picture to what a network gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resize: _Side | Annotated[list[_Side], Field(min_length=2, max_length=2)]
    crop: Annotated[list[_Side], Field(min_length=2, max_length=2)] | None
    interpolation: Annotated[str, Field(max_length=20)]
    mean: Annotated[list[_Finite], Field(min_length=1, max_length=3)]
    std: Annotated[list[Annotated[_Finite, Field(gt=0)]], Field(min_length=1, max_length=3)]

    @classmethod
    def of(cls, steps: Preprocessing) -> "PreprocessingNote":
        """Describe the steps."""
        resize = list(steps.resize) if isinstance(steps.resize, tuple) else steps.resize
        crop = None if steps.crop is None else list(steps.crop)
        mean, std = ([float(v) for v in values] for values in (steps.mean, steps.std))
        return cls(
            resize=resize, crop=crop, interpolation=steps.interpolation, mean=mean, std=std
        )  # fmt: skip

    def steps(self) -> Preprocessing:
        """Return the steps; raises UsageError where they do not go together."""
        resize = self.resize if isinstance(self.resize, int) else (self.resize[0], self.resize[1])
        crop = None if self.crop is None else (self.crop[0], self.crop[1])
        return Preprocessing(resize, crop, self.interpolation, tuple(self.mean), tuple(self.std))


class TrainedNote(BaseModel):
    """A network whose tensors lie beside: all that makes them say what they said in training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=_NETWORK, max_length=300)]
    weights: Annotated[str, Field(min_length=1, max_length=200)]
    cut: Annotated[str, Field(min_length=1, max_length=200)]
    outputs: Annotated[int, Field(ge=1, le=10**6)]
    hidden: Annotated[list[Annotated[int, Field(ge=1, le=2**20)]], Field(max_length=16)]
    dropout: Annotated[float, Field(ge=0, lt=1)] | None
    loss: Literal["cross-entropy", "mse"]
    preprocessing: PreprocessingNote
    decoder: Annotated[str, Field(max_length=200)]
    file: FileNote


class ModelFile(BaseModel):
    """All of ``model.json``: with a head, or with a trained network.

    A head's ``network`` is None where its rows were read from a file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    run: Annotated[str, Field(max_length=40)]
    dataset: Annotated[str, Field(max_length=1000)]
    classes: Annotated[list[str], Field(min_length=2, max_length=10**6)]
    network: NetworkNote | None = None
    head: FileNote | None = None
    trained: TrainedNote | None = None
    versions: dict[str, str]


def check_classes(classes: Sequence[str], what: str) -> None:
    """Raise UsageError unless the names differ and can be printed.

    Parameters
    ----------
    classes : sequence of str
        Class names.
    what : str
        Whose, for the error.
    """
    if len(set(classes)) < len(classes):
        raise UsageError(f"{what}: a class name is there twice")
    for name in classes:
        if not is_plain(name) or len(name) > 1000:
            raise UsageError(f"{what}: class name {name[:40]!r} holds control characters, or is "
                             "too long; rename the class")  # fmt: skip


def check_note(note: NetworkNote, path: Path) -> None:
    """Check what a network is to be made from: names, and never a path."""
    if ".." in note.name or not is_plain(note.weights) or not is_plain(note.engine):
        raise UsageError(f"{path}: network: is not named by plain names")
    named = re.fullmatch("run:[0-9a-f]{12}", note.weights) is not None
    if not (note.from_file or named) and (is_weights_file(note.weights) or "\\" in note.weights
                                          or ":" in note.weights):  # fmt: skip
        raise UsageError(f"{path}: network: weights {note.weights[:80]!r} is a path; a model names "
                         "its weights")  # fmt: skip
    for name in _SPEC_TEXTS:
        if not isinstance(note.spec.get(name), str):
            raise UsageError(f"{path}: network: spec: {name} is missing or no text")
    for name, known in (("pooling", POOLINGS), ("precision", PRECISIONS), ("view", ("none",))):
        if note.spec[name] not in known:
            raise UsageError(f"{path}: network: spec: {name} is {shown(note.spec[name])[:80]!r}; "
                             f"expected {', '.join(known)}")  # fmt: skip


def check_same(network: Network, note: NetworkNote, path: Path) -> None:
    """Raise UsageError unless the network made here gives the rows that the head was fitted on.

    The decoder may be of another version: the caller says so.

    Parameters
    ----------
    network : Network
        Made from the note.
    note : NetworkNote
        What the model says of it.
    path : Path
        Of ``model.json``, for the error.
    """
    spec, name = note.spec, f"{network.name} ({note.weights})"
    if spec["layer"] not in network.layers:
        raise UsageError(f"{path}: network: {name} has no layer {shown(spec['layer'])[:80]!r}")
    if network.sha256 != spec["weights_sha256"]:
        hint = "the installed or downloaded ones have changed since"
        if note.from_file:
            hint = "give the file that the run was fitted with"
        elif note.weights == "random":
            hint = "this version of torch or of the network draws other random numbers"
        raise UsageError(
            f"{path}: the weights of {name} are not those it was fitted on (sha256 "
            f"{network.sha256[:12]}…, not {shown(spec['weights_sha256'])[:12]}…): {hint}"
        )
    made = spec_of(network, spec["layer"], spec["pooling"], precision=spec["precision"])
    here = {**json.loads(made.as_json()), "decoder": spec["decoder"]}
    for key in sorted(here.keys() | spec.keys()):
        if here.get(key) != spec.get(key):
            then, now = (shown(str(one.get(key)))[:200] for one in (spec, here))
            raise UsageError(f"{path}: network: {shown(key)[:40]} was {then}, but here it is "
                             f"{now}: fit the run again")  # fmt: skip

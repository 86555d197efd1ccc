"""What is meant where an option is left out: featbench.toml, the last extraction, ``digits``."""

import dataclasses
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featbench.datasets import DATASETS, Source
from featbench.errors import UsageError, did_you_mean
from featbench.experiments._result import ResultStore
from featbench.files import write_whole

FILE = "featbench.toml"
LAST = "last.json"
DEFAULT_DATA = "digits"
DEFAULT_BACKBONE = "efficientnet_lite0"


@dataclass(frozen=True)
class Choice:
    """Which data and network are meant, and where.

    Parameters
    ----------
    data, backbone, weights : str, optional
        None where nobody said.
    seed : int, optional
        Of random weights and training.
    limit : int, optional
        Images a class and split.
    cache, results : str, optional
        The folders.
    """

    data: str | None = None
    backbone: str | None = None
    weights: str | None = None
    seed: int | None = None
    limit: int | None = None
    cache: str | None = None
    results: str | None = None


@dataclass(frozen=True)
class Settled:
    """A complete choice.

    Parameters
    ----------
    data, backbone, weights, seed, limit, cache, results
        As in ``Choice``, none left open.
    said : tuple of str
        What was chosen for the user, a line each.
    """

    data: str
    backbone: str
    weights: str
    seed: int
    limit: int | None
    cache: Path
    results: Path
    said: tuple[str, ...]


def settle(given: Choice, *, remember: bool, folder: Path = Path()) -> Settled:
    """Fill in what the options leave open.

    Parameters
    ----------
    given : Choice
        The options.
    remember : bool
        Whether the last extraction counts (it does for ``fit``).
    folder : Path
        Where featbench.toml is looked for.

    Raises
    ------
    UsageError
        When featbench.toml is not as expected.
    """
    project = _read_project(folder / FILE)
    cache = Path(given.cache or project.cache or "cache")
    results = Path(given.results or project.results or "results")
    last = _read_last(cache) if remember else Choice()
    said: list[str] = []

    def choose(name: str, default: str) -> tuple[str, str]:
        for value, origin in (
            (getattr(given, name), ""),
            (getattr(project, name), f"from {FILE}"),
            (getattr(last, name), "as in the last extraction"),
            (default, "by default"),
        ):
            if value:
                if origin:
                    said.append(f"{name} {value} ({origin})")
                return str(value), origin
        raise AssertionError(name)

    data, data_from = choose("data", DEFAULT_DATA)
    backbone, backbone_from = choose("backbone", DEFAULT_BACKBONE)
    whole = given
    if backbone_from:  # weights and seed belong to the network they were said of
        for origin, source in ((f"from {FILE}", project), ("as in the last extraction", last)):
            is_its = backbone_from == origin or source.backbone in (None, backbone)
            for name in ("weights", "seed"):
                value = getattr(source, name)
                if is_its and value is not None and getattr(whole, name) is None:
                    whole = dataclasses.replace(whole, **{name: value})
                    said.append(f"{name} {value} ({origin})")
    for origin, source in ((f"from {FILE}", project), ("as in the last extraction", last)):
        if data_from == origin and whole.limit is None and source.limit is not None:
            whole = dataclasses.replace(whole, limit=source.limit)
            said.append(f"limit {source.limit} ({origin})")
    if data in DATASETS and Path(data).exists():
        said.append(f"data {data} is the data set of that name; ./{data} is the folder here")
    return Settled(data, backbone, whole.weights or "default", whole.seed or 0, whole.limit,
                   cache, results, tuple(said))  # fmt: skip


def with_backbone(given: Choice, init_from: str | None = None, folder: Path = Path()) -> Choice:
    """Return a choice whose network, where none was said, is the one that a named run trained.

    Parameters
    ----------
    given : Choice
        The options; its weights may be ``run:ID``.
    init_from : str, optional
        How the id of a run begins that training goes on from, in place of weights.
    folder : Path
        Where featbench.toml is looked for.

    Raises
    ------
    UsageError
        When there is no such run.
    """
    named = init_from
    if named is None and given.weights is not None:
        from featbench.networks import RUN  # imports torch, which commands that only show lack

        if given.weights.startswith(RUN):
            named = given.weights.removeprefix(RUN)
    if named is None:
        return given
    run = ResultStore(settle(given, remember=False, folder=folder).results).get(named)
    weights = given.weights if init_from is None else "default"
    backbone = given.backbone or run.network
    return dataclasses.replace(given, backbone=backbone, weights=weights)


def _read_project(path: Path) -> Choice:
    if not path.is_file():
        return Choice()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: is not TOML ({error}); mend it, or write it anew with featbench init"
        ) from error
    known = [f.name for f in dataclasses.fields(Choice)]
    for key in content:
        if key not in known:
            raise UsageError(
                f"{path}: unknown key {key}{did_you_mean(key, known)} Known: {', '.join(known)}"
            )
    for field in dataclasses.fields(Choice):
        expected = int if field.name in ("seed", "limit") else str
        value = content.get(field.name)
        if value is not None and (not isinstance(value, expected) or isinstance(value, bool)):
            kind = "a whole number" if expected is int else "text"
            raise UsageError(f"{path}: {field.name} = {value!r}: expected {kind}")
    return Choice(**content)


def write_project(data: str, backbone: str, folder: Path = Path()) -> Path:
    """Write featbench.toml with the defaults for a folder; return its path.

    Parameters
    ----------
    data, backbone : str
        What is meant where ``--data`` and ``--backbone`` are left out.
    folder : Path
        Where to write it.

    Raises
    ------
    UsageError
        When there is one already.
    """
    path = folder / FILE
    if path.exists():
        raise UsageError(f"{path}: exists already; edit it, or remove it first")
    values = {"data": data, "backbone": backbone, "cache": "cache", "results": "results"}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    text = "\n".join(["# What featbench uses in this folder where an option is left out.", *lines])
    write_whole(path, (text + "\n").encode())
    return path


def remember_extraction(settled: Settled) -> None:
    """Note what was extracted, so that a ``fit`` after it needs no options.

    Parameters
    ----------
    settled : Settled
        What the extraction was of; the note lies in its cache.
    """
    last = {"data": whole_source(settled.data), "backbone": settled.backbone,
            "weights": None if settled.weights == "default" else settled.weights,
            "limit": settled.limit,
            "seed": settled.seed or None}  # fmt: skip
    try:
        write_whole(settled.cache / LAST, json.dumps(last, indent=1).encode())
    except OSError:
        return  # a read-only cache: the next command needs its options typed


def whole_source(data: str) -> str:
    """Return a data set's name as it is, and a path whole, for use from another folder."""
    return Source.read(data).whole


def _read_last(cache: Path) -> Choice:
    """Return the last extraction; a note that cannot be read counts as none."""
    try:
        note: Any = json.loads((cache / LAST).read_bytes())
        return Choice(**note)
    except (OSError, ValueError, TypeError):
        return Choice()

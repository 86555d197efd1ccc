"""What is meant where an option is left out: featbench.toml, the last extraction, ``digits``."""

import dataclasses
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featbench.errors import UsageError, did_you_mean
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
    limit : int, optional
        Images a class and split.
    cache, results : str, optional
        The folders.
    """

    data: str | None = None
    backbone: str | None = None
    weights: str | None = None
    limit: int | None = None
    cache: str | None = None
    results: str | None = None


@dataclass(frozen=True)
class Settled:
    """A complete choice.

    Parameters
    ----------
    data, backbone, weights, limit, cache, results
        As in ``Choice``, none left open.
    said : tuple of str
        What was chosen for the user, a line each.
    """

    data: str
    backbone: str
    weights: str
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
    own_words = given.data or given.backbone
    said = []

    def choose(name: str, default: str) -> str:
        for value, origin in (
            (getattr(given, name), ""),
            (getattr(project, name), f"from {FILE}"),
            (getattr(last, name), "as in the last extraction"),
            (default, "by default"),
        ):
            if value:
                if origin:
                    said.append(f"{name} {value} ({origin})")
                return str(value)
        raise AssertionError(name)

    data = choose("data", DEFAULT_DATA)
    backbone = choose("backbone", DEFAULT_BACKBONE)
    from_last = last if (data, backbone) == (last.data, last.backbone) else Choice()
    from_project = project if backbone == project.backbone else Choice()
    weights = given.weights or from_project.weights or from_last.weights or "default"
    limit = given.limit
    if limit is None and not own_words and from_last.limit is not None:
        limit = from_last.limit
        said.append(f"limit {limit} (as in the last extraction)")
    return Settled(data, backbone, weights, limit, cache, results, tuple(said))


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
    last = {"data": _absolute(settled.data), "backbone": settled.backbone,
            "weights": settled.weights, "limit": settled.limit}  # fmt: skip
    write_whole(settled.cache / LAST, json.dumps(last, indent=1).encode())


def _absolute(data: str) -> str:
    return str(Path(data).expanduser().resolve()) if Path(data).expanduser().exists() else data


def _read_last(cache: Path) -> Choice:
    """Return the last extraction; a note that cannot be read counts as none."""
    try:
        note: Any = json.loads((cache / LAST).read_bytes())
        return Choice(**note)
    except (OSError, ValueError, TypeError):
        return Choice()

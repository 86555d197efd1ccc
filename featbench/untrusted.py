"""Reading files that somebody else may have made: bounded, regular files, and strict JSON.

What is wrong with one is a ``UsageError`` that names the file and the reason.
"""

import hashlib
import json
import os
import stat
import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from featbench.errors import UsageError
from featbench.files import TEMPORARY

JSON_BYTES = 16 * 2**20
"""No description that we write is larger."""
_DIGITS = 20
_DIRECTION_MARKS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Model = TypeVar("Model", bound=BaseModel)


def read_file(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file; links, pipes and devices are refused, not opened.

    Parameters
    ----------
    path : Path
        The file.
    most : int
        A larger one is refused before it is read.

    Raises
    ------
    UsageError
        When it is not there, not a regular file, too large, or cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if stat.S_ISLNK(path.lstat().st_mode):
            raise UsageError(f"{path}: is a link; put the file itself there")
        with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UsageError(f"{path}: is not a regular file")
            if found.st_size > most:
                raise UsageError(f"{path}: has {found.st_size:,} bytes; no such file has more than "
                                 f"{most:,}")  # fmt: skip
            return file.read(found.st_size)  # room is made for as much as is asked for
    except FileNotFoundError:
        raise UsageError(f"{path}: is missing") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error


def check_names_in(folder: Path, known: Collection[str]) -> None:
    """Raise UsageError where a folder holds a file that nobody wrote there for a reason.

    Parameters
    ----------
    folder : Path
        Hidden files, and those that an interrupted write left behind, do not count.
    known : collection of str
        The names there may be.
    """
    for path in folder.iterdir():
        is_leftover = path.name.startswith(".") or path.name.endswith(TEMPORARY)
        if path.name not in known and not is_leftover:
            raise UsageError(f"{folder}: holds {shown(path.name)[:80]!r}, which is no part of it; "
                             "remove it")  # fmt: skip


def parse_json(content: bytes, path: Path) -> Any:
    """Return what JSON says, where it says it once and in bounds.

    Parameters
    ----------
    content : bytes
        UTF-8.
    path : Path
        Where it is from, for the error.

    Raises
    ------
    UsageError
        For what is not JSON, a name that is there twice, NaN and infinities, whole numbers beyond
        64 bits, or nesting too deep.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_int=_whole,
                          parse_constant=_no_constant)  # fmt: skip
    except RecursionError:
        raise UsageError(f"{path}: is nested too deep") from None
    except ValueError as error:
        raise UsageError(f"{path}: is not the JSON expected ({error})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known = dict(pairs)
    if len(known) < len(pairs):
        twice = next(n for i, (n, _) in enumerate(pairs) if n in {m for m, _ in pairs[:i]})
        raise ValueError(f"{shown(twice)[:40]!r} is there twice")
    return known


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS or not -(2**63) <= int(digits) < 2**63:
        raise ValueError("a whole number is beyond 64 bits")
    return int(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def sealed(content: dict[str, Any]) -> bytes:
    """Return JSON that carries the sha256 of itself without it: protection against accident.

    Parameters
    ----------
    content : dict
        Plain data.
    """
    return json.dumps({**content, "sha256": _seal(content)}, indent=1, sort_keys=True).encode()


def _seal(content: dict[str, Any]) -> str:
    plain = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    return hashlib.sha256(plain.encode()).hexdigest()


def read_sealed(path: Path, model: type[Model], newest: int) -> Model:
    """Return what a file written from ``sealed`` says, every value of the type it should be.

    Parameters
    ----------
    path : Path
        The file.
    model : subclass of pydantic.BaseModel
        What it should hold, ``format`` among it.
    newest : int
        The newest ``format`` that can be read.

    Raises
    ------
    UsageError
        When the file is missing, damaged, of a later format, or holds anything else.
    """
    raw = parse_json(read_file(path, JSON_BYTES), path)
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: is not a description (a JSON object)")
    format_ = raw.get("format")
    if isinstance(format_, int) and format_ > newest:
        raise UsageError(f"{path}: has format {format_}, from a later featbench; this one reads up "
                         f"to {newest}: upgrade it")  # fmt: skip
    sha256 = raw.pop("sha256", None)
    try:
        if sha256 != _seal(raw):
            raise UsageError(f"{path}: is damaged (its checksum differs); fit the run again")
        return check_described(raw, model, str(path))
    except RecursionError:
        raise UsageError(f"{path}: is nested too deep") from None


def check_described(content: dict[str, Any], model: type[Model], what: str) -> Model:
    """Return plain data as what it should be, every value of the type it should be.

    Parameters
    ----------
    content : dict
        Before it is written, or after it was read.
    model : subclass of pydantic.BaseModel
        What it should hold.
    what : str
        Whose it is, for the error.

    Raises
    ------
    UsageError
        With the first value that is not so.
    """
    try:
        return model.model_validate(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UsageError(f"{what}: {shown(place)[:80]}: {shown(first['msg'])[:200]}") from None


def is_plain(text: str) -> bool:
    """Say whether a text can be printed without moving the cursor or turning the line around.

    Parameters
    ----------
    text : str
        A name from a file.
    """
    return not any(_acts(character) for character in text)


def shown(text: str) -> str:
    r"""Return a text as it may be printed: what would act on a terminal is written as ``\x1b``.

    Parameters
    ----------
    text : str
        A name from a file, a folder or an archive.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if _acts(c) or "\ud800" <= c <= "\udfff" else c
        for c in text
    )


def _acts(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Zl", "Zp") or character in _DIRECTION_MARKS

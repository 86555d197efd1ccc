"""Files that are whole or not there: write a temporary name, fsync, rename, fsync the folder."""

import csv
import hashlib
import io
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

TEMPORARY = ".tmp"


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that no reader, and no crash, ever sees a part of it.

    Parameters
    ----------
    path : Path
        The final name; what was there is replaced.
    content : bytes
        The whole file.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Put rows of text at ``path`` as CSV; as ``write_whole``."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))


def write_checked(path: Path, content: bytes) -> None:
    """Put a file's sha256 and then its content at ``path``; as ``write_whole``."""
    write_whole(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def read_checked(path: Path) -> bytes | None:
    """Return what ``write_checked`` wrote; None where the file is missing or damaged."""
    try:
        checksum, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest().encode() == checksum else None


def sync_folder(folder: Path) -> None:
    """Make a folder's names durable, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

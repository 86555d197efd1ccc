"""Files that are whole or not there: write a temporary name, fsync, rename, fsync the folder."""

import contextlib
import csv
import functools
import hashlib
import io
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

TEMPORARY = ".tmp"
_OURS = re.compile(r".+\.([0-9a-f]{8})-([0-9]+)-[0-9a-f]{8}\.tmp")


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that no reader, and no crash, ever sees a part of it.

    What killed processes left half-written in that folder goes.

    Parameters
    ----------
    path : Path
        The final name; what was there is replaced.
    content : bytes
        The whole file.
    """
    writer = f"{_processes()}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f"{path.name}.{writer}{TEMPORARY}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _clear_abandoned(path.parent)
    sync_folder(path.parent)


def _clear_abandoned(folder: Path) -> None:
    """Delete temporary files of processes that are known to have ended."""
    if not _processes():
        return
    for path in folder.glob(f"*{TEMPORARY}"):
        found = _OURS.fullmatch(path.name)
        if found and found[1] == _processes() and not _is_running(int(found[2])):
            with contextlib.suppress(OSError):  # another process was first
                path.unlink()


@functools.cache
def _processes() -> str:
    """Return a name for the processes that a number can be looked up among; empty if unknown.

    A folder may be shared by machines, and by containers, where the same number is another process.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        return hashlib.sha256(f"{boot}{os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:8]
    except OSError:
        return ""


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or no number of a process
        return True
    return True


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

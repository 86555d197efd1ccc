"""The three places a picture's content can be: a file, a member of a zip, an array."""

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

MAX_BYTES = 2**30
"""No picture is larger; a zip of some kilobytes can claim to hold one that is."""


@dataclass(frozen=True)
class FilePicture:
    """A file.

    Parameters
    ----------
    path : Path
        Where it is.
    """

    path: Path

    def raw(self) -> bytes:
        """Return the file's bytes; raises OSError when it cannot be read or is too large."""
        _check_size(self.path.stat().st_size)
        return self.path.read_bytes()

    def stamp(self) -> tuple[Any, ...] | None:
        """Return path, size, time of change, modification time and inode."""
        try:
            return _stamp(self.path)
        except OSError:  # reading it will say why
            return None


@dataclass(frozen=True)
class Archive:
    """An open zip and its stamp at that time."""

    file: zipfile.ZipFile
    stamp: tuple[Any, ...]

    @classmethod
    def open(cls, path: Path) -> "Archive":
        """Open a zip; raises BadZipFile or OSError."""
        stamp = _stamp(path)
        return cls(zipfile.ZipFile(path), stamp)


@dataclass(frozen=True)
class ZipPicture:
    """A member of an open zip, read in place (safe from several threads)."""

    archive: Archive
    member: zipfile.ZipInfo

    def raw(self) -> bytes:
        """Return the member's bytes; raises OSError when it is damaged or too large."""
        _check_size(self.member.file_size)
        try:
            return self.archive.file.read(self.member)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
            # NotImplementedError is what zipfile raises for a compression it does not know
            raise OSError(f"damaged in the zip: {error}") from error

    def stamp(self) -> tuple[Any, ...] | None:
        """Return the archive's stamp with the member's directory entry."""
        path, *rest = self.archive.stamp
        member = self.member
        entry = (member.CRC, member.file_size, member.compress_size, member.header_offset)
        return (f"{path}\0{member.filename}", *rest, *entry)


@dataclass(frozen=True, eq=False)
class ArrayPicture:
    """Pixels in memory.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
        Grey or RGB.
    """

    pixels: NDArray[Any]

    def raw(self) -> NDArray[Any]:
        """Return the pixels."""
        return self.pixels

    def stamp(self) -> None:
        """Return None: hashing what is in memory needs no reading."""
        return


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise OSError(f"{size:,} bytes are over the limit of {MAX_BYTES:,}")


def _stamp(path: Path) -> tuple[Any, ...]:
    """Return path, size and what changes when a file does; the change time cannot be set back."""
    found = os.stat(path)
    return str(path), found.st_size, found.st_ctime_ns, found.st_mtime_ns, found.st_ino

"""The three places a picture's content can be: a file, a member of a zip, an array."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class FilePicture:
    """A file."""

    path: Path

    def raw(self) -> bytes:
        """Return the file's bytes."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class ZipPicture:
    """A member of an open zip, read in place (safe from several threads)."""

    archive: zipfile.ZipFile
    member: zipfile.ZipInfo

    def raw(self) -> bytes:
        """Return the member's bytes."""
        return self.archive.read(self.member)


@dataclass(frozen=True, eq=False)
class ArrayPicture:
    """Pixels in memory, (height, width) or (height, width, 3), uint8."""

    pixels: NDArray[Any]

    def raw(self) -> NDArray[Any]:
        """Return the pixels."""
        return self.pixels

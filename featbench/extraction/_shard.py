"""One immutable file of rows, named by the sha256 of its own bytes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from featbench.errors import DamagedCacheError
from featbench.extraction._half import DTYPES, FLOAT32, HALF, Kept
from featbench.files import write_whole

SUFFIX = ".h5"
_ENCODING, _VERSION = "featbench-shard", 1
_WORDS = "16-bit words: the bits of float16, or of bfloat16 in the rows where wide is 1"


@dataclass(frozen=True)
class Shard:
    """Rows and the images they belong to.

    Parameters
    ----------
    rows : ndarray of float32 or uint16, shape (n, ...)
        The features; in a half space 16-bit words.
    images : ndarray of bytes (``S64``), shape (n,)
        The sha256 of each image's content.
    views : ndarray of int32, shape (n,)
        The view's number; 0 for the image itself.
    seconds : float
        Wall time that computing these rows took.
    wide : ndarray of bool, shape (n,), optional
        In a half space: which rows' words are bfloat16; None in one of float32.
    """

    rows: NDArray[Any]
    images: NDArray[np.bytes_]
    views: NDArray[np.int32]
    seconds: float
    wide: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls, kept: Kept, images: NDArray[np.bytes_], views: NDArray[np.int32], seconds: float
    ) -> "Shard":
        """Make a shard of rows as a space keeps them."""
        wide = kept.wide if kept.values.dtype == DTYPES[HALF] else None
        return cls(kept.values, images, views, seconds, wide)

    @property
    def kept(self) -> Kept:
        """The rows as a space keeps them."""
        wide = np.zeros(len(self.rows), bool) if self.wide is None else self.wide
        return Kept(self.rows, wide[: len(self.rows)])

    def write(self, folder: Path) -> Path:
        """Write the shard under the sha256 of its bytes; return its path."""
        content = self._as_hdf5()
        path = folder / f"{hashlib.sha256(content).hexdigest()}{SUFFIX}"
        write_whole(path, content)
        return path

    def _as_hdf5(self) -> bytes:
        """Build the HDF5 file in memory: it touches the disk once, whole."""
        with h5py.File("shard", "w", driver="core", backing_store=False, libver="v110") as file:
            file.attrs.update(encoding=_ENCODING, version=_VERSION, seconds=self.seconds)
            chunk = (min(len(self.rows), 256), *self.rows.shape[1:])
            file.create_dataset("X", data=self.rows, chunks=chunk, fletcher32=True)
            file.create_dataset("image", data=self.images, chunks=chunk[:1], fletcher32=True)
            file.create_dataset("view", data=self.views, chunks=chunk[:1], fletcher32=True)
            if self.wide is not None:
                file.attrs["storage"], file["X"].attrs["encoding"] = HALF, _WORDS
                wide = self.wide.astype(np.uint8)
                file.create_dataset("wide", data=wide, chunks=chunk[:1], fletcher32=True)
            file.flush()
            content: bytes = file.id.get_file_image()
            return content


def read_shard(
    path: Path,
    row_shape: tuple[int, ...] | None = None,
    *,
    storage: str | None = None,
    with_rows: bool = True,
) -> Shard:
    """Read a shard after comparing its bytes with its name.

    Parameters
    ----------
    path : Path
        The shard.
    row_shape : tuple of int, optional
        The shape of a row that the caller expects.
    storage : str, optional
        How the caller expects rows to be kept.
    with_rows : bool
        False leaves the rows out, when only what is there is asked.

    Raises
    ------
    DamagedCacheError
        When the bytes are not those the name promises, or are no shard of this format.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise DamagedCacheError(f"{path}: its content is not what its name promises")
    try:
        with h5py.File.in_memory(content) as file:
            return _read(file, len(content), row_shape, storage, with_rows)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedCacheError(f"{path}: is not a shard of this format ({error})") from error


def _read(
    file: h5py.File,
    size: int,
    row_shape: tuple[int, ...] | None,
    expected: str | None,
    with_rows: bool,
) -> Shard:
    if (file.attrs.get("encoding"), file.attrs.get("version")) != (_ENCODING, _VERSION):
        raise ValueError("another encoding or version")
    storage = file.attrs.get("storage", FLOAT32)
    if storage not in DTYPES or storage != (expected or storage):
        raise ValueError(f"rows are kept as {storage!r}, expected {expected}")
    dtypes = {"X": DTYPES[storage], "image": np.dtype("S64"), "view": np.dtype(np.int32)}
    if storage == HALF:
        dtypes["wide"] = np.dtype(np.uint8)
    for name in dtypes:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link")
    found = {name: file[name] for name in dtypes}
    if {name: one.dtype for name, one in found.items()} != dtypes:
        raise ValueError("another dtype")
    rows = found["X"]
    if sum(one.nbytes for one in found.values()) > size:
        raise ValueError(f"declares {rows.nbytes:,} bytes of rows in a file of {size:,}")
    if any(one.shape != rows.shape[:1] for name, one in found.items() if name != "X"):
        raise ValueError(f"{', '.join(dtypes)} differ in length")
    if row_shape is not None and rows.shape[1:] != row_shape:
        raise ValueError(f"rows of shape {rows.shape[1:]}, expected {row_shape}")
    wide = found["wide"][:] if storage == HALF else None
    if wide is not None and (wide > 1).any():
        raise ValueError("wide holds other numbers than 0 and 1")
    return Shard(
        rows[:] if with_rows else rows[:0],
        found["image"][:],
        found["view"][:],
        float(file.attrs["seconds"]),
        None if wide is None else wide.astype(bool),
    )

"""One immutable file of rows, named by the sha256 of its own bytes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from featbench.errors import DamagedCacheError
from featbench.files import write_whole

SUFFIX = ".h5"
_ENCODING, _VERSION = "featbench-shard", 1


@dataclass(frozen=True)
class Shard:
    """Rows and the images they belong to.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, ...)
        The features.
    images : ndarray of bytes (``S64``), shape (n,)
        The sha256 of each image's content.
    views : ndarray of int32, shape (n,)
        The view's number; 0 for the image itself.
    seconds : float
        Wall time that computing these rows took.
    """

    rows: NDArray[np.float32]
    images: NDArray[np.bytes_]
    views: NDArray[np.int32]
    seconds: float

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
            file.flush()
            content: bytes = file.id.get_file_image()
            return content


def read_shard(
    path: Path, row_shape: tuple[int, ...] | None = None, *, with_rows: bool = True
) -> Shard:
    """Read a shard after comparing its bytes with its name.

    Parameters
    ----------
    path : Path
        The shard.
    row_shape : tuple of int, optional
        The shape of a row that the caller expects.
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
            return _read(file, len(content), row_shape, with_rows)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedCacheError(f"{path}: is not a shard of this format ({error})") from error


def _read(file: h5py.File, size: int, row_shape: tuple[int, ...] | None, with_rows: bool) -> Shard:
    if (file.attrs.get("encoding"), file.attrs.get("version")) != (_ENCODING, _VERSION):
        raise ValueError("another encoding or version")
    for name in ("X", "image", "view"):
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link")
    rows, images, views = file["X"], file["image"], file["view"]
    if (rows.dtype, images.dtype, views.dtype) != (np.float32, np.dtype("S64"), np.int32):
        raise ValueError("another dtype")
    if rows.nbytes + images.nbytes + views.nbytes > size:
        raise ValueError(f"declares {rows.nbytes:,} bytes of rows in a file of {size:,}")
    if images.shape != rows.shape[:1] or views.shape != rows.shape[:1]:
        raise ValueError("X, image and view differ in length")
    if row_shape is not None and rows.shape[1:] != row_shape:
        raise ValueError(f"rows of shape {rows.shape[1:]}, expected {row_shape}")
    kept = rows[:] if with_rows else rows[:0]
    return Shard(kept, images[:], views[:], float(file.attrs["seconds"]))

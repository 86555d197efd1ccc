"""Named arrays in files that others wrote, HDF5, .npz or Parquet: read without trusting them."""

import contextlib
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import h5py
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from featbench.errors import FeatbenchError, UsageError
from featbench.machine import memory_bytes

if TYPE_CHECKING:
    import pandas as pd

_DEFLATE = 1032
"""No byte that deflate wrote stands for more."""
_NUMBERED = re.compile(r"(.+?)[_.-]?\d+")
_DAMAGED = (OSError, ValueError, RuntimeError, NotImplementedError, EOFError, SyntaxError,
            zlib.error, zipfile.BadZipFile)  # fmt: skip
_NO_OBJECTS = "holds Python objects, which are not read: they can run code; save numbers or text"


class ArrayFile(Protocol):
    """An open file of named arrays.

    Numbers come as they are stored, text as arrays of ``str``.
    """

    names: tuple[str, ...]

    def read(self, name: str) -> NDArray[Any]:
        """Return one array whole; raises UsageError when it cannot be, or should not."""

    def about(self, name: str) -> Any:
        """Return an attribute of the file (text, or a sequence of text), or None."""


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[ArrayFile]:
    """Open a file by its ending.

    Parameters
    ----------
    path : Path
        A .h5, .hdf5, .npz or .parquet file.

    Raises
    ------
    UsageError
        When it is not there, or not what its ending says.
    FeatbenchError
        For Parquet, when nothing that reads it is installed.
    """
    kinds = {".h5": _open_hdf5, ".hdf5": _open_hdf5, ".npz": _open_npz, ".parquet": _open_parquet}
    if not path.is_file():
        raise UsageError(f"{path}: no such file; featbench extract -o FILE writes one")
    if path.suffix.lower() not in kinds:
        raise UsageError(f"{path}: expected a file that ends with {', '.join(kinds)}")
    with kinds[path.suffix.lower()](path) as file:
        yield file


def _check_size(where: str, declared: int, stored: int) -> None:
    """Refuse what a file cannot hold, or this machine: before any memory is asked for."""
    if declared > stored * _DEFLATE:
        raise UsageError(f"{where}: declares {declared:,} bytes but holds {stored:,}; write the "
                         "file again")  # fmt: skip
    most = memory_bytes()
    if most is not None and declared > most:
        raise UsageError(
            f"{where}: needs {declared / 2**30:,.0f} GiB, and this machine has "
            f"{most / 2**30:,.0f} GiB of memory; write fewer rows"
        )


@contextlib.contextmanager
def _open_hdf5(path: Path) -> Iterator[ArrayFile]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read as HDF5 ({error})") from error
    with file:
        yield _Hdf5(path, file)


class _Hdf5:
    """Data sets by their path in the file; nothing that points out of the file is followed."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self._path, self._file = path, file
        names: list[str] = []

        def note(name: str, link: Any) -> None:
            if not isinstance(link, h5py.HardLink) or isinstance(file[name], h5py.Dataset):
                names.append(name)

        try:
            file.visititems_links(note)
        except (OSError, KeyError, RuntimeError) as error:
            raise UsageError(f"{path}: cannot be read as HDF5 ({error})") from error
        self.names = tuple(names)

    def about(self, name: str) -> Any:
        try:
            return self._file.attrs.get(name)
        except (OSError, TypeError, ValueError) as error:
            raise UsageError(f"{self._path}: attribute {name} cannot be read ({error})") from error

    def read(self, name: str) -> NDArray[Any]:
        where = f"{self._path}: {name}"
        if not isinstance(self._file.get(name, getlink=True), h5py.HardLink):
            raise UsageError(f"{where} is a link, which is not followed; name the dataset itself")
        data = self._file[name]
        if data.is_virtual or data.external:
            raise UsageError(f"{where}: its values lie in other files, which are not read; copy "
                             "them into this one")  # fmt: skip
        if data.shape is None:
            raise UsageError(f"{where}: is empty")
        text = h5py.check_string_dtype(data.dtype)
        if data.dtype.hasobject and text is None:
            raise UsageError(f"{where}: rows differ in length, or refer to others; expected an "
                             "array of numbers or text")  # fmt: skip
        _check_size(where, data.nbytes, data.id.get_storage_size())
        try:
            found: NDArray[Any] = np.asarray(data[()])
        except (OSError, ValueError, TypeError, MemoryError) as error:
            raise UsageError(f"{where}: cannot be read ({error or 'no memory'})") from error
        return found if text is None else _decoded(found.astype(object))


def _decoded(texts: NDArray[Any]) -> NDArray[Any]:
    """Return bytes as text; a name that is not UTF-8 keeps its bytes, as a file's does."""
    decoded = np.empty(texts.shape, dtype=object)
    for place in np.ndindex(texts.shape):
        value = texts[place]
        raw = value.encode() if isinstance(value, str) else bytes(value)
        decoded[place] = raw.decode("utf-8", "surrogateescape")
    return decoded


@contextlib.contextmanager
def _open_npz(path: Path) -> Iterator[ArrayFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UsageError(f"{path}: cannot be read as .npz ({error})") from error
    with archive:
        yield _Npz(path, archive)


class _Npz:
    """The arrays of a zip; their headers are compared with what the zip holds."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        self._members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()
                         if m.filename.endswith(".npy")}  # fmt: skip
        self.names = tuple(self._members)

    def about(self, name: str) -> Any:
        if name not in self._members or self._checked(name).kind not in "US":
            return None
        found = self.read(name)
        return found.item() if found.ndim == 0 else found

    def read(self, name: str) -> NDArray[Any]:
        where = f"{self._path}: {name}"
        dtype = self._checked(name)
        if dtype.hasobject:
            raise UsageError(f"{where}: {_NO_OBJECTS}")
        try:
            with self._archive.open(self._members[name]) as stream:
                found: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
        except (*_DAMAGED, MemoryError) as error:
            raise UsageError(f"{where}: cannot be read ({error or 'no memory'})") from error
        return _decoded(found.astype(object)) if dtype.kind == "S" else found

    def _checked(self, name: str) -> np.dtype[Any]:
        """Return an array's dtype, once it is known that the array can be in the file."""
        where, member = f"{self._path}: {name}", self._members[name]
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UsageError(f"{where}: is compressed in a way NumPy never does; save it again")
        try:
            with self._archive.open(member) as stream:
                old = npy.read_magic(stream) == (1, 0)
                header = npy.read_array_header_1_0 if old else npy.read_array_header_2_0
                shape, _, dtype = header(stream)
                start = stream.tell()
        except _DAMAGED as error:
            raise UsageError(f"{where}: cannot be read ({error})") from error
        size = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and size + start != member.file_size:
            raise UsageError(f"{where}: declares {size:,} bytes but holds "
                             f"{member.file_size - start:,}")  # fmt: skip
        _check_size(where, size, member.compress_size)
        found: np.dtype[Any] = dtype
        return found


@contextlib.contextmanager
def _open_parquet(path: Path) -> Iterator[ArrayFile]:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise FeatbenchError(f"{path}: Parquet needs pyarrow; run: "
                             "pip install 'featbench[parquet]'") from error  # fmt: skip
    except (OSError, ValueError, MemoryError) as error:
        raise UsageError(f"{path}: cannot be read as Parquet ({error})") from error
    yield _Parquet(path, table)


class _Parquet:
    """Columns; ``X`` may be one column of lists, or numbered columns ``X_0``, ``X_1``, …"""

    def __init__(self, path: Path, table: "pd.DataFrame") -> None:
        if any(name is not None for name in table.index.names):
            table = table.reset_index()
        self._path, self._table = path, table.set_axis([str(c) for c in table.columns], axis=1)
        own = list(self._table.columns)
        groups = {found[1] for column in own if (found := _NUMBERED.fullmatch(column))}
        plain = [column for column in own if not _NUMBERED.fullmatch(column)]
        self.names = tuple(dict.fromkeys([*plain, *sorted(groups)]))

    def about(self, name: str) -> Any:
        return self._table.attrs.get(name)

    def read(self, name: str) -> NDArray[Any]:
        where, columns = f"{self._path}: {name}", list(self._table.columns)
        if columns.count(name) > 1:
            raise UsageError(f"{where}: there are {columns.count(name)} columns of that name")
        if name in columns:
            values = self._table[name].to_numpy()
            if values.dtype != object:
                return np.asarray(values)
            is_list = any(isinstance(v, list | np.ndarray) for v in values)
            return _stacked(values, where) if is_list else values
        number = re.compile(rf"{re.escape(name)}[_.-]?(\d+)")
        found = {c: int(m[1]) for c in columns if (m := number.fullmatch(c))}
        if len(set(found.values())) < len(found):
            raise UsageError(f"{where}: two of its columns have one number")
        arrays = [self._table[c].to_numpy() for c in sorted(found, key=found.__getitem__)]
        odd = [i for i, array in enumerate(arrays) if array.dtype.kind not in "biuf"]
        if odd:
            raise UsageError(f"{where}: number {odd[0]} of its columns holds no numbers")
        return np.stack(arrays, axis=1)


def _stacked(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Return a column of lists as one array."""
    widths = [len(v) if isinstance(v, list | np.ndarray) else -1 for v in values]
    odd = next((row for row, width in enumerate(widths) if width != widths[0]), None)
    if odd is not None or widths[0] < 0:
        row = odd or 0
        there = f"{widths[row]} values" if widths[row] >= 0 else "nothing"
        raise UsageError(f"{where}: row {row} holds {there}; every row needs as many")
    try:
        return np.stack([np.asarray(v) for v in values])
    except ValueError as error:
        raise UsageError(f"{where}: rows cannot be laid side by side ({error})") from error

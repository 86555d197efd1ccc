"""Fitted heads as files: arrays in safetensors, the rest in JSON; loading runs no code from them.

    head.json            which head, its settings, its classes; sha256 and size of the others
    head.safetensors     the preprocessing's and the classifier's arrays
    head.skops           a scikit-learn classifier, where the core is one (``_skops_core.py``)

A head's own core gives and takes plain arrays (``get_arrays``, ``set_arrays``). A checksum protects
from damage and not from forgery, so every value is checked as if it were somebody else's.
"""

import hashlib
import itertools
import math
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as bytes_of

from featbench.errors import FeatbenchError, UsageError
from featbench.files import write_whole
from featbench.heads._arrays import FLOATS, check_array, check_names
from featbench.heads._base import _PREPROCESS, HEADS, Head
from featbench.heads._skops_core import MOST_SKOPS_BYTES, read_core, write_core
from featbench.untrusted import (
    check_described,
    check_names_in,
    is_plain,
    parse_json,
    read_file,
    read_sealed,
    sealed,
)

FORMAT = 1
DESCRIPTION, ARRAYS, CORE = "head.json", "head.safetensors", "head.skops"
MODEL = "model.json"
"""What a run's model adds beside a head: the way from pixels to its rows."""
MOST_BYTES = 2 * 2**30
_MOST_FEATURES = 2**24
_MOST_HEADER = 2**16
_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
           "float32", "float64", "str", "object")  # fmt: skip
_PREPROCESS_ARRAYS: dict[str, dict[str, tuple[str, ...]]] = {  # name to its shape's letters
    "none": {},
    "standardise": {"mean_": ("d",), "scale_": ("d",)},
    "l2": {},
    "whiten": {"mean_": ("d",), "components_": ("k", "d"), "explained_variance_": ("k",)},
}


class FileNote(BaseModel):
    """What a file is, as its description has it.

    Parameters
    ----------
    sha256 : str
        Of its bytes, 64 hex characters.
    size : int
        How many bytes there are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]

    @classmethod
    def of(cls, content: bytes) -> "FileNote":
        """Describe a file's bytes."""
        return cls(sha256=hashlib.sha256(content).hexdigest(), size=len(content))

    def read(self, path: Path, most: int) -> bytes:
        """Return the bytes at ``path`` if they are the ones described; else raise UsageError."""
        content = read_file(path, most)
        if FileNote.of(content) != self:
            raise UsageError(f"{path}: is damaged or another file (its size or sha256 is not as "
                             "described); fit the run again")  # fmt: skip
        return content


class _Classes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Literal[_DTYPES]  # type: ignore[valid-type]
    values: Annotated[list[bool | int | float | str], Field(min_length=2, max_length=10**6)]


class _HeadFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    head: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    core: Annotated[str, Field(max_length=80)]
    settings: Annotated[dict[str, Any], Field(max_length=100)]
    classes: _Classes
    n_features: Annotated[int, Field(ge=1, le=_MOST_FEATURES)]
    files: dict[Annotated[str, Field(pattern="^head[.](safetensors|skops)$")], FileNote]
    versions: dict[str, str]


def save_head(head: Head, folder: Path) -> None:
    """Write a fitted head into a folder, its description last.

    Parameters
    ----------
    head : Head
        Fitted; of a registered class.
    folder : Path
        Made where it is missing; a head that is there is replaced.

    Raises
    ------
    UsageError
        When the head holds what cannot be saved safely.
    FeatbenchError
        When the folder cannot be written.
    """
    name = _registered_name(head)
    arrays = {f"preprocess.{n}": a for n, a in _preprocess_arrays(head).items()}
    arrays |= {f"own.{n}": a for n, a in head._own_arrays().items()}
    contents: dict[str, bytes] = {}
    if hasattr(head.core_, "get_arrays"):
        arrays |= {f"core.{n}": a for n, a in head.core_.get_arrays().items()}
    else:
        contents[CORE] = write_core(head.core_, f"head {name}")
    contents[ARRAYS] = bytes_of({n: np.asarray(a, order="C") for n, a in arrays.items()})
    if len(contents[ARRAYS]) > MOST_BYTES:
        raise UsageError(f"head {name}: its arrays have {len(contents[ARRAYS]):,} bytes; more than "
                         f"{MOST_BYTES:,} are not saved")  # fmt: skip
    described = {
        "format": FORMAT,
        "head": name,
        "core": type(head.core_).__name__,
        "settings": {n: _plain(v, n) for n, v in head.get_params(deep=False).items()},
        "classes": _plain_classes(head.classes_, name),
        "n_features": int(head.n_features_in_),
        "files": {n: FileNote.of(content).model_dump() for n, content in contents.items()},
        "versions": {p: version(p) for p in ("featbench", "scikit-learn", "numpy")},
    }
    check_described(described, _HeadFile, f"head {name}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in {DESCRIPTION, ARRAYS, CORE} - contents.keys():
            (folder / stale).unlink(missing_ok=True)
        for file, content in contents.items():
            write_whole(folder / file, content)
        write_whole(folder / DESCRIPTION, sealed(described))
    except OSError as error:
        raise FeatbenchError(f"{folder}: cannot be written ({error.strerror})") from error


def load_head(folder: Path) -> Head:
    """Return the head that ``save_head`` wrote; its file may be anybody's.

    Parameters
    ----------
    folder : Path
        With ``head.json`` in it.

    Returns
    -------
    Head
        Predicts what the saved one predicted.

    Raises
    ------
    UsageError
        When a file is missing, damaged, not what it should be, or of a later version.
    """
    path = folder / DESCRIPTION
    described = read_sealed(path, _HeadFile, FORMAT)
    if ARRAYS not in described.files:
        raise UsageError(f"{path}: files: {ARRAYS} is missing")
    check_names_in(folder, {DESCRIPTION, MODEL, *described.files})
    head, core = _unfitted(described, path)
    has_arrays = hasattr(core, "set_arrays")
    if has_arrays == (CORE in described.files):
        raise UsageError(f"{path}: files: head {described.head} is kept "
                         f"{'without' if has_arrays else 'in'} {CORE}")  # fmt: skip
    arrays = _read_arrays(folder / ARRAYS, described.files[ARRAYS])
    parts = _by_part(arrays, folder / ARRAYS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            head.classes_ = _classes(described.classes)
            head.n_features_in_ = described.n_features
            head.preprocess_, width = _preprocess(head, parts["preprocess"])
            head._set_own_arrays(parts["own"])
        except (ValueError, TypeError, OverflowError) as error:
            raise UsageError(f"{folder}: {error}") from error
        if has_arrays:
            head.core_ = _filled(core, head, parts["core"], width, folder / ARRAYS)
        else:
            content = described.files[CORE].read(folder / CORE, MOST_SKOPS_BYTES)
            saved_by = described.versions.get("scikit-learn", "")
            head.core_ = read_core(content, folder / CORE, core, saved_by)
        _try(head, folder)
    return head


def _registered_name(head: Head) -> str:
    for name, kind in HEADS.items():
        if type(head) is kind:
            return name
    raise UsageError(f"{type(head).__name__}: is not registered as a head, so it could not be "
                     "found again; put @register_head(name) on it")  # fmt: skip


def _unfitted(described: _HeadFile, path: Path) -> tuple[Head, Any]:
    """Make the head with its settings; nothing is fitted to try them, since that has no bounds."""
    if described.head not in HEADS:
        raise UsageError(f"{path}: head {described.head!r} is not known here; install the package "
                         "that adds it")  # fmt: skip
    head = HEADS[described.head]()
    known = head.get_params(deep=False)
    if unknown := sorted(described.settings.keys() - known.keys()):
        raise UsageError(f"{path}: settings: head {described.head} has no {unknown[0][:40]!r}")
    try:
        settings = {name: _value(plain) for name, plain in described.settings.items()}
    except ValueError as error:
        raise UsageError(f"{path}: settings: {error}") from error
    head.set_params(**settings)
    if not isinstance(head.preprocess, str) or head.preprocess not in _PREPROCESS:
        raise UsageError(f"{path}: settings: preprocess is none of {', '.join(_PREPROCESS)}")
    try:
        cores = {type(core).__name__: core for core in head._cores()}
    except Exception as error:  # a third party's _core may do anything with its settings
        raise UsageError(f"{path}: settings: {_reason(error)}") from error
    if described.core not in cores:
        raise UsageError(f"{path}: core is none of {', '.join(cores)}")
    return head, cores[described.core]


def _read_arrays(path: Path, note: FileNote) -> dict[str, NDArray[Any]]:
    content = note.read(path, MOST_BYTES)
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(_MOST_HEADER, len(content) - 8):
        raise UsageError(f"{path}: is no safetensors file, or its header is too long "
                         f"({length:,} bytes)")  # fmt: skip
    parse_json(content[8 : 8 + length], path)
    try:
        return dict(tensors_of(content))
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"{path}: is no safetensors file ({_reason(error)})") from error


def _by_part(arrays: Mapping[str, NDArray[Any]], path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    parts: dict[str, dict[str, NDArray[Any]]] = {"preprocess": {}, "own": {}, "core": {}}
    for name, array in arrays.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise UsageError(f"{path}: array {name[:40]!r} is not known")
        parts[part][rest] = array
    return parts


def _filled(
    core: Any, head: Head, arrays: Mapping[str, NDArray[Any]], width: int, path: Path
) -> Any:
    core.classes_ = head.classes_
    core.n_features_in_ = width
    try:
        core.set_arrays(arrays, width)
    except Exception as error:  # hostile settings reach it too; a third party's raises anything
        raise UsageError(f"{path}: {_reason(error)}") from error
    return core


def _preprocess_arrays(head: Head) -> dict[str, NDArray[Any]]:
    return {n: getattr(head.preprocess_, n) for n in _PREPROCESS_ARRAYS[head.preprocess]}


def _preprocess(head: Head, arrays: Mapping[str, NDArray[Any]]) -> tuple[Any, int]:
    """Return the fitted preprocessing, and how many columns it gives."""
    wanted = _PREPROCESS_ARRAYS[head.preprocess]
    check_names(arrays, wanted)
    width: int = head.n_features_in_
    sizes: dict[str, int] = {"d": width}
    fitted = _PREPROCESS[head.preprocess]()
    for name, letters in wanted.items():
        if "k" in letters and arrays[name].ndim == len(letters):
            sizes.setdefault("k", arrays[name].shape[0])
        shape = [sizes.get(letter, -1) for letter in letters]
        array = check_array(arrays, name, shape, FLOATS)
        if name == "scale_" and not (array > 0).all():
            raise ValueError(f"{name}: holds a value that is not above 0")
        if name == "explained_variance_" and not (array >= 0).all():
            raise ValueError(f"{name}: holds a value below 0")
        setattr(fitted, name, array)
    fitted.n_features_in_ = width
    return fitted, sizes.get("k", width)


def _try(head: Head, folder: Path) -> None:
    """Ask about one row: a head that cannot answer is refused here, not in the middle of work."""
    try:
        row = np.zeros((1, head.n_features_in_), np.float32)
        label = head.predict(row)
        fits = label.shape == (1,) and label[0] in head.classes_
        for method in ("predict_proba", "decision_function"):
            if hasattr(head, method):
                values = np.asarray(getattr(head, method)(row), dtype=np.float64)
                fits = fits and len(values) == 1 and bool(np.isfinite(values).all())
                if method == "predict_proba":
                    fits = fits and values.shape == (1, len(head.classes_))
    except Exception as error:  # whatever the classifier raises on what it was filled with
        raise UsageError(f"{folder}: the head cannot predict ({_reason(error)})") from error
    if not fits:
        raise UsageError(f"{folder}: the head does not predict one of its classes")


def _plain_classes(classes: NDArray[Any], name: str) -> dict[str, Any]:
    values = classes.tolist()
    dtype = "str" if classes.dtype.kind == "U" else classes.dtype.name
    texts = dtype in ("str", "object")
    if dtype not in _DTYPES or (texts and not all(isinstance(v, str) for v in values)):
        raise UsageError(f"head {name}: labels of type {dtype} cannot be saved; use whole numbers "
                         "or text")  # fmt: skip
    try:
        _check_values(values)
    except ValueError as error:
        raise UsageError(f"head {name}: {error}") from None
    return {"dtype": dtype, "values": values}


def _classes(plain: _Classes) -> NDArray[Any]:
    texts = plain.dtype in ("str", "object")
    kinds = {str} if texts else {bool} if plain.dtype == "bool" else {int, float}
    if {type(v) for v in plain.values} - kinds:
        raise ValueError(f"classes: a value is not of type {plain.dtype}")
    _check_values(plain.values)
    values = np.array(plain.values, dtype=None if plain.dtype == "str" else plain.dtype)
    if values.tolist() != plain.values or any(not a < b for a, b in itertools.pairwise(values)):
        raise ValueError("classes: are not different labels in ascending order")
    return values


def _check_values(values: list[Any]) -> None:
    for value in values:
        if isinstance(value, str) and not (is_plain(value) and len(value) <= 1000):
            raise ValueError(f"class name {value[:40]!r}: holds control characters, or is too long;"
                             " rename the class")  # fmt: skip
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a class is not a finite number")


def _plain(value: Any, name: str) -> Any:
    """Return a setting as JSON: dictionaries as pairs, since their keys may be numbers."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(one, name) for one in value]
    if isinstance(value, dict):
        return {"pairs": [[_plain(k, name), _plain(v, name)] for k, v in value.items()]}
    raise UsageError(f"setting {name} is a {type(value).__name__}, which cannot be saved")


def _value(plain: Any, depth: int = 0) -> Any:
    if plain is None or isinstance(plain, bool | int | float):
        return plain
    if isinstance(plain, str) and is_plain(plain) and len(plain) <= 1000:
        return plain
    if isinstance(plain, list) and depth < 3 and len(plain) <= 10_000:
        return tuple(_value(one, depth + 1) for one in plain)
    if isinstance(plain, dict) and plain.keys() == {"float"} and depth < 3:
        if plain["float"] in ("inf", "-inf", "nan"):
            return float(plain["float"])
    elif isinstance(plain, dict) and plain.keys() == {"pairs"} and depth == 0:
        pairs = plain["pairs"]
        if isinstance(pairs, list) and all(isinstance(p, list) and len(p) == 2 for p in pairs):
            return {_value(k, 3): _value(v, 3) for k, v in pairs}
    raise ValueError("a value is neither a number, nor text, nor a list of them")


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]

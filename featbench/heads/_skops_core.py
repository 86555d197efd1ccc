"""A scikit-learn classifier in a skops file: which types may be in it is fixed here.

skops by itself trusts every scikit-learn estimator, and numpy's and scipy's functions. Its schema
is therefore read here first: no type but those below, no node but plain containers, arrays, numbers
and text, no array that claims more than the file holds.
"""

import io
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import __version__ as _sklearn_version

from featbench.errors import UsageError
from featbench.untrusted import parse_json

MOST_SKOPS_BYTES = 256 * 2**20
_MOST_MEMBERS = 1000
_MOST_DEPTH = 30
_MEMBER = re.compile(r"[0-9]{1,20}\.npy")
_ATTRIBUTE = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")

TRUSTED = (
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.linear_model._ridge.RidgeClassifier",
    "sklearn.linear_model._ridge.RidgeClassifierCV",
    "sklearn.naive_bayes.GaussianNB",
    "sklearn.neighbors._nearest_centroid.NearestCentroid",
    "sklearn.svm._classes.LinearSVC",
    "sklearn.preprocessing._label.LabelBinarizer",  # inside RidgeClassifier
)
"""Classifiers whose prediction is arithmetic on arrays.

Not here: those that follow indices from the file in compiled code (trees, neighbours, LIBSVM),
where a forged one can read or write anywhere.
"""
_CONTAINERS = {"DictNode": "builtins.dict", "ListNode": "builtins.list",
               "TupleNode": "builtins.tuple"}  # fmt: skip
_SCALARS = ("bool", "bool_", "int32", "int64", "float32", "float64", "str_")
_ARRAYS = {"numpy.ndarray", *(f"numpy.{name}" for name in _SCALARS)}


def write_core(core: Any, what: str) -> bytes:
    """Return a fitted scikit-learn classifier as a skops file.

    Parameters
    ----------
    core : estimator
        Of one of the trusted types.
    what : str
        Whose core, for the error.

    Raises
    ------
    UsageError
        When it is of another type, or holds something else.
    """
    import skops.io

    name = f"{type(core).__module__}.{type(core).__qualname__}"
    if name not in TRUSTED:
        raise UsageError(f"{what}: {name} cannot be saved: it is none of the scikit-learn types "
                         "trusted to be loaded; give it get_arrays and set_arrays "
                         "(docs/architecture.md)")  # fmt: skip
    try:
        content = bytes(skops.io.dumps(core))
    except Exception as error:  # skops raises its own on what it does not know
        raise UsageError(f"{what}: cannot be saved ({error})") from error
    _audit(content, Path(what))
    return content


def read_core(content: bytes, path: Path, unfitted: Any, saved_by: str) -> Any:
    """Return the classifier of a skops file, with the settings of an unfitted one.

    Parameters
    ----------
    content : bytes
        The file.
    path : Path
        Its name, for errors.
    unfitted : estimator
        What the head would fit: the classifier must be of exactly this type.
    saved_by : str
        The version of scikit-learn that fitted it.

    Raises
    ------
    UsageError
        When it holds anything that is not trusted, or is not such a classifier.
    """
    import skops.io

    kind = type(unfitted)
    root = _audit(content, path)
    if root != f"{kind.__module__}.{kind.__qualname__}" or root not in TRUSTED:
        raise UsageError(f"{path}: holds a {root}, where the head has a {kind.__name__}")
    if saved_by != _sklearn_version:
        raise UsageError(f"{path}: was fitted by scikit-learn {saved_by[:20]!r}; this is "
                         f"{_sklearn_version}, which may read it wrongly: fit again")  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            core = skops.io.loads(content, trusted=list(TRUSTED))
            core.set_params(**unfitted.get_params(deep=False))
    except Exception as error:  # skops and numpy raise anything on hostile bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(f"{path}: cannot be read ({reason})") from error
    if type(core) is not kind:
        raise UsageError(f"{path}: does not hold a {kind.__name__}")
    return core


def _audit(content: bytes, path: Path) -> str:
    """Check every part of a skops file; return the type of what it holds."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = archive.infolist()
        names = {member.filename for member in members}
        if len(names) < len(members) or len(members) > _MOST_MEMBERS:
            raise UsageError(f"{path}: has too many members, or one of them twice")
        if any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size
               for m in members) or sum(m.file_size for m in members) > len(content):  # fmt: skip
            raise UsageError(f"{path}: is compressed: it may be larger than it looks")
        if unknown := sorted(n for n in names if n != "schema.json" and not _MEMBER.fullmatch(n)):
            raise UsageError(f"{path}: holds {unknown[0][:60]!r}, which is no array")
        schema = parse_json(archive.read("schema.json"), path)
        for name in names - {"schema.json"}:
            _audit_array(archive.read(name), name, path)
    except (zipfile.BadZipFile, KeyError, RuntimeError, OSError, NotImplementedError) as error:
        raise UsageError(f"{path}: is no skops file ({error})") from error
    from skops.io._protocol import PROTOCOL

    if not isinstance(schema, dict) or schema.get("protocol") is not PROTOCOL:
        raise UsageError(f"{path}: is not of skops' protocol {PROTOCOL}: fit the run again")
    root = {k: v for k, v in schema.items() if k not in ("protocol", "_skops_version")}
    _Audit(names, path).node(root, 0)
    if root["__loader__"] != "ObjectNode":
        raise UsageError(f"{path}: holds no classifier")
    return _type_of(root)


def _audit_array(content: bytes, name: str, path: Path) -> None:
    """Check that an array is as long as it says, before anybody makes room for it."""
    file = io.BytesIO(content)
    try:
        numpy_version = np.lib.format.read_magic(file)
        if numpy_version != (1, 0):
            raise ValueError(f"format {numpy_version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        size = dtype.itemsize
        for side in shape:
            size *= side
    except Exception as error:  # it is a literal of Python's that is read there
        raise UsageError(f"{path}: {name} is no array ({type(error).__name__})") from error
    if dtype.kind not in "biufU" or size != len(content) - file.tell():
        raise UsageError(f"{path}: {name} is not a plain array, or not as long as it says")
    values = np.frombuffer(content, dtype, offset=file.tell()) if dtype.kind == "f" else None
    if values is not None and not np.isfinite(values).all():
        raise UsageError(f"{path}: {name} holds a value that is not finite")


class _Audit:
    """Walks a schema and refuses what is not known to be harmless."""

    def __init__(self, names: set[str], path: Path) -> None:
        self._names, self._path = names, path

    def _refuse(self, what: str) -> UsageError:
        return UsageError(f"{self._path}: holds {what}, which is not trusted")

    def node(self, node: Any, depth: int) -> None:
        if not isinstance(node, dict) or depth > _MOST_DEPTH:
            raise self._refuse("a node that is none, or too deep")
        loader, kind = node.get("__loader__"), _type_of(node)
        content = node.get("content")
        known = {"__class__", "__module__", "__loader__", "__id__", "content"}
        if loader == "ObjectNode" and kind in TRUSTED:
            self._attributes(content, depth + 1)
        elif loader == "DictNode" and kind == _CONTAINERS[loader] and isinstance(content, dict):
            known.add("key_types")
            self._key_types(node.get("key_types"), len(content))
            for value in content.values():
                self.node(value, depth + 1)
        elif loader in ("ListNode", "TupleNode") and kind == _CONTAINERS[loader]:
            self._list(content, depth)
        elif loader == "NdArrayNode" and kind in _ARRAYS and node.get("type") == "numpy":
            known |= {"type", "file"}
            if content is not None or node.get("file") not in self._names - {"schema.json"}:
                raise self._refuse("an array without its file")
        elif loader == "NdArrayNode" and kind == "numpy.ndarray" and node.get("type") == "json":
            known |= {"type", "shape"}
            self._list(content, depth)
            self.node(node.get("shape"), depth + 1)
        elif loader == "JsonNode" and isinstance(content, str) and len(content) <= 1000:
            known.add("is_json")
            self._number_or_text(content)
        else:
            raise self._refuse(f"{str(loader)[:40]!r} {kind[:80]!r}")
        if extra := sorted(node.keys() - known):
            raise self._refuse(f"{extra[0][:40]!r} in a node")

    def _attributes(self, content: Any, depth: int) -> None:
        self.node(content, depth)
        if content["__loader__"] != "DictNode":
            raise self._refuse("an object without attributes")
        for name in content["content"]:
            if not _ATTRIBUTE.fullmatch(name):
                raise self._refuse(f"an attribute {name[:40]!r}")

    def _list(self, content: Any, depth: int) -> None:
        if not isinstance(content, list):
            raise self._refuse("a list that is none")
        for value in content:
            self.node(value, depth + 1)

    def _key_types(self, node: Any, count: int) -> None:
        """Check that every key is made by ``str`` or ``int``: a key's type is called."""
        kinds = node.get("content") if isinstance(node, dict) else None
        if not isinstance(kinds, list) or node.get("__loader__") != "ListNode":
            raise self._refuse("keys without types")
        if _type_of(node) != _CONTAINERS["ListNode"] or len(kinds) != count:
            raise self._refuse("keys in another container, or too few")
        for kind in kinds:
            is_type = isinstance(kind, dict) and kind.get("__loader__") == "TypeNode"
            if not is_type or _type_of(kind) not in ("builtins.str", "builtins.int"):
                raise self._refuse("a key that is neither text nor a whole number")

    def _number_or_text(self, content: str) -> None:
        text = {"NaN": "null", "Infinity": "null", "-Infinity": "null"}.get(content, content)
        value = parse_json(text.encode("utf-8", "surrogatepass"), self._path)
        if isinstance(value, dict | list) and len(value):
            raise self._refuse("a container in text")


def _type_of(node: dict[str, Any]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"

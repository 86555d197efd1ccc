"""``load_features``: embeddings from a file, ours or another's, become a table with splits."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featbench.datasets import SPLIT_NAMES, Split, settle_splits
from featbench.errors import UsageError, did_you_mean
from featbench.experiments._array_files import ArrayFile, open_arrays
from featbench.experiments._feature_table import NETWORK, WEIGHTS, FeatureTable, RowOf

_ABOUT = ("dataset", "spec", "weights")
_SIDES = ("train", "val", "test")
_EXACT_IN_FLOAT32 = 2**24
_BFLOAT16 = np.dtype("V2")
"""What NumPy without ml_dtypes takes bfloat16 for."""


@dataclass(frozen=True)
class _Read:
    """What the file holds, before it is a data set; ``names`` say what was read."""

    rows: NDArray[Any]
    labels: NDArray[Any]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    sides: NDArray[Any] | None
    names: tuple[str, ...]


def load_features(
    path: str | os.PathLike[str],
    *,
    X: str = "X",
    y: str = "y",
    split: str | None = None,
    id: str | None = None,
    group: str | None = None,
    limit: int | None = None,
    split_seed: int = 0,
) -> FeatureTable:
    """Read embeddings and their labels; what ``featbench extract -o`` writes, or like it.

    Float32 and float64 stay as they are; float16 and bfloat16 become float32; so do whole numbers
    and booleans, but float64 where a number is beyond 2**24, up to which float32 is exact.

    Parameters
    ----------
    path : path
        A .h5, .hdf5, .npz or .parquet file. Where it has no ``X`` but ``X_train``, ``X_test`` and
        perhaps ``X_val`` (or ``train/X``, …), these are the splits, with ``y_train`` and so on.
    X : str
        The dataset (n, d) of numbers, ``/`` between the parts of its name; in Parquet a column of
        lists, or the beginning of numbered columns (``X_0``, ``X_1``, …).
    y : str
        The labels (n,): text, or whole numbers, which ``classes`` (a dataset or attribute: names,
        or JSON) may name.
    split : str, optional
        ``train``, ``val`` or ``test`` of each row, as text; default ``split``, where there is one.
        Without, or with ``""``, a hash of each id (or group) decides, as for images.
    id : str, optional
        A name of its own for each row; default ``id``, where there is one. Without, or with
        ``""``, the row's number.
    group : str, optional
        What must stay on one side of every division (a patient, say), for each row; default
        ``group``, where there is one. A row without one (empty) is its own.
    limit : int, optional
        Keep this many rows of each class and split: those whose id hashes lowest.
    split_seed : int
        Decides which rows are held out where the file has no split.

    Returns
    -------
    FeatureTable
        With a ``train`` and a ``test`` split.

    Raises
    ------
    UsageError
        When a dataset is not there or is not what it should be, with what there is.
    FeatbenchError
        For Parquet, when nothing that reads it is installed.
    """
    path = Path(path).expanduser()
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}; expected at least 1 row a class")
    with open_arrays(path) as file:
        names = {
            "X": X.strip("/"),
            "y": y.strip("/"),
            "split": _wanted("split" in file.names, split, "split"),
        }
        by_side = _names_by_side(file, names["X"]) if names["X"] not in file.names else {}
        by_side = by_side if "train" in by_side else {}
        for key, given in (("id", id), ("group", group)):
            is_there = bool(_names_by_side(file, key)) if by_side else key in file.names
            names[key] = _wanted(is_there, given, key)
        read = (
            _read_by_side(path, file, names, by_side) if by_side else _read_whole(path, file, names)
        )
        classes, labels = _name_classes(path, file, read)
        network, weights, precision = _origin(file, read.rows)
        known = {*read.names, "classes", *(n for n in _ABOUT if file.about(n) is not None)}
        left = [n for n in file.names if n not in known]
    read = replace(read, groups=_owned(read.groups, read.ids))
    _check_finite(path, read)
    sides = np.full(len(labels), "train") if read.sides is None else read.sides
    present = [side for side in _SIDES if (sides == side).any()]
    if "train" not in present:
        raise UsageError(f"{path}: no row is for training: all are {' or '.join(present)}")
    _check_classes(path, classes, labels)
    n, d = read.rows.shape
    notice = f"{n:,} rows of {d:,} {read.rows.dtype} numbers ({', '.join(read.names)})"
    unread = f"; not read: {_listed(left)}" if left else ""
    table = FeatureTable(
        name=path.stem,
        source=str(path),
        classes=classes,
        splits={side: _split(read, labels, np.flatnonzero(sides == side)) for side in present},
        notices=(notice + unread,),
        rows=read.rows,
        network=network,
        weights=weights,
        precision=precision,
    )
    settled = settle_splits(table, split_seed=split_seed, limit=limit)
    for side in ("train", "test"):
        if not len(settled.splits[side]):
            raise UsageError(f"{path}: no row is left for {side}; add rows, or another "
                             "--split-seed")  # fmt: skip
    _check_classes(path, classes, settled.train.labels)
    return settled


def _check_classes(path: Path, classes: Sequence[str], labels: NDArray[np.int64]) -> None:
    if len(seen := np.unique(labels)) < 2:
        raise UsageError(f"{path}: all rows to train on are of one class ({classes[seen[0]]!r}); a "
                         "classifier needs two")  # fmt: skip


def _split(read: _Read, labels: NDArray[np.int64], picked: NDArray[np.intp]) -> Split:
    return Split(
        ids=tuple(read.ids[i] for i in picked),
        labels=labels[picked],
        pictures=tuple(RowOf(read.rows, int(i)) for i in picked),
        groups=tuple(read.groups[i] for i in picked) if read.groups else None,
    )


def _wanted(is_there: bool, given: str | None, usual: str) -> str:
    """Return the name of a dataset, the usual one where that is there; empty for none."""
    if given is None:
        return usual if is_there else ""
    return given.strip("/")


def _listed(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most]) + (", …" if len(names) > most else "")
    return shown or "nothing"


def _read(path: Path, file: ArrayFile, name: str, option: str) -> NDArray[Any]:
    if name not in file.names:
        near = did_you_mean(name, file.names)
        raise UsageError(
            f"{path}: has no {name!r}{near} There is {_listed(file.names)}; "
            f"name another with --features-{option}"
        )
    return file.read(name)


def _read_whole(path: Path, file: ArrayFile, names: dict[str, str]) -> _Read:
    """Read one X and what belongs to its rows."""
    rows = _as_rows(_read(path, file, names["X"], "x"), f"{path}: {names['X']}")

    def column(key: str) -> NDArray[Any]:
        found = _read(path, file, names[key], key)
        found = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
        if found.ndim != 1 or len(found) != len(rows):
            raise UsageError(
                f"{path}: {names[key]} has shape {found.shape} and {names['X']} {rows.shape}; "
                "expected one value a row"
            )
        return found

    labels = column("y")
    sides = _sides(path, names["split"], column("split")) if names["split"] else None
    ids = (
        _ids(path, names["id"], column("id"))
        if names["id"]
        else tuple(str(i) for i in range(len(rows)))
    )
    groups = tuple(map(_group, column("group").tolist())) if names["group"] else ()
    return _Read(rows, labels, ids, groups, sides, tuple(filter(None, names.values())))


def _names_by_side(file: ArrayFile, name: str) -> dict[str, str]:
    """Return how each split's own ``name`` is called, where the file has one a split."""
    found: dict[str, str] = {}
    for spelling, side in SPLIT_NAMES.items():
        for own in (f"{name}_{spelling}", f"{spelling}_{name}", f"{spelling}/{name}"):
            if own in file.names:
                found.setdefault(side, own)
    return found


def _read_by_side(
    path: Path, file: ArrayFile, names: dict[str, str], by_side: dict[str, str]
) -> _Read:
    """Read an X for each split, and put them into one."""
    if names["split"]:
        raise UsageError(f"{path}: {names['X']!r} comes as {_listed(list(by_side.values()))}: "
                         f"these are the splits, and {names['split']!r} is another")  # fmt: skip
    labels = _names_by_side(file, names["y"])
    ids = _names_by_side(file, names["id"]) if names["id"] else {}
    groups = _names_by_side(file, names["group"]) if names["group"] else {}
    reads = []
    for side in [s for s in _SIDES if s in by_side]:
        own = {"X": by_side[side], "split": "", "id": ids.get(side, "")}
        own["group"] = groups.get(side, "")
        own["y"] = labels.get(side) or by_side[side].replace(names["X"], names["y"])
        reads.append(_read_whole(path, file, own))
    wide = {read.names[0]: read.rows.shape[1] for read in reads}
    if len(set(wide.values())) > 1:
        raise UsageError(f"{path}: rows differ in width: "
                         + ", ".join(f"{n} {w}" for n, w in wide.items()))  # fmt: skip
    present = [side for side in _SIDES if side in by_side]
    for key, found in (("id", ids), ("group", groups)):
        if names[key] and set(found) != set(present):
            raise UsageError(f"{path}: {names[key]!r} is not there for every split")
    named = len(ids) == len(present)
    return _Read(
        np.concatenate([read.rows for read in reads]),
        np.concatenate([read.labels for read in reads]),
        tuple(name if named else f"{side}/{name}"
              for side, read in zip(present, reads, strict=True) for name in read.ids),
        tuple(group for read in reads for group in read.groups),
        np.repeat(present, [len(read.ids) for read in reads]),
        tuple(name for read in reads for name in read.names),
    )  # fmt: skip


def _as_rows(found: NDArray[Any], where: str) -> NDArray[Any]:
    """Return (n, d) rows of float32 or float64, by the rule that ``load_features`` states."""
    if found.ndim > 2:
        raise UsageError(
            f"{where} has shape {found.shape}, and a head takes one row (n, d) an image; extract "
            "with --pool avg (or max, cls, flat) and one view, or reshape it"
        )
    if found.ndim != 2 or 0 in found.shape:
        raise UsageError(f"{where} has shape {found.shape}; expected rows of numbers (n, d)")
    if found.dtype == _BFLOAT16:
        bits = found.view(np.uint16).astype(np.uint32, order="C")
        return (bits << 16).view(np.float32)
    kind = found.dtype.kind
    if kind in "biu":
        largest = max(abs(int(found.max())), abs(int(found.min())))
        return found.astype(np.float32 if largest <= _EXACT_IN_FLOAT32 else np.float64)
    if kind != "f":
        raise UsageError(f"{where} holds {found.dtype}, which are not numbers that a head takes; "
                         "expected float32")  # fmt: skip
    wide = np.float32 if found.dtype.itemsize <= 4 else np.float64
    return np.ascontiguousarray(found, dtype=wide)


def _check_finite(path: Path, read: _Read, at_once: int = 4096) -> None:
    """Refuse NaN and infinity, and say where the first one is."""
    bad = [
        start + int(row)
        for start in range(0, len(read.rows), at_once)
        for row in np.flatnonzero(~np.isfinite(read.rows[start : start + at_once]).all(axis=1))
    ]
    if bad:
        raise UsageError(
            f"{path}: {read.names[0]} holds NaN or infinity in {len(bad):,} of {len(read.rows):,} "
            f"rows (first: row {bad[0]}, id {read.ids[bad[0]]!r}); leave these rows out"
        )


def _sides(path: Path, name: str, found: NDArray[Any]) -> NDArray[Any]:
    """Return each row's split; numbers and booleans do not say which side they mean."""
    if found.dtype.kind not in "OU":
        raise UsageError(
            f"{path}: {name} holds {found.dtype} values, and which of them are for training is not "
            "said; write train, val or test, or name another with --features-split"
        )
    spelt = {value: SPLIT_NAMES.get(str(value).strip().lower()) for value in set(found.tolist())}
    strange = sorted(str(value) for value, side in spelt.items() if side is None)
    if strange:
        raise UsageError(f"{path}: {name} holds {strange[0]!r}; expected train, val or test")
    return np.array([spelt[value] for value in found.tolist()])


def _ids(path: Path, name: str, found: NDArray[Any]) -> tuple[str, ...]:
    ids = tuple(map(str, found.tolist()))
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise UsageError(
            f"{path}: {name} holds {twice!r} more than once; name another with --features-id, or "
            "'' for the row's number"
        )
    return ids


def _owned(groups: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:
    """Return groups, for a row without one a name that no group has; () where no row has one."""
    own, taken = "row", set(groups)
    while any(f"{own} {name}" in taken for name in ids):
        own += "-"
    rows = zip(groups, ids, strict=True) if any(groups) else ()
    return tuple(group or f"{own} {name}" for group, name in rows)


def _group(value: Any) -> str:
    """Return a group's name, empty for a missing one; whole numbers beside missing ones are 3.0."""
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return ""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


def _name_classes(
    path: Path, file: ArrayFile, read: _Read
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the class names, and each row's index into them."""
    where, labels = f"{path}: {read.names[1]}", read.labels
    given = _given_classes(path, file)
    if labels.dtype.kind == "f" and len(missing := np.flatnonzero(np.isnan(labels))):
        raise UsageError(f"{where} has no label in row {missing[0]} (nan); leave the row out")
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == labels.round()).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "iu":
        if not given:
            numbers, inverse = np.unique(labels, return_inverse=True)
            return tuple(map(str, numbers.tolist())), inverse.astype(np.int64)
        strange = np.flatnonzero((labels < 0) | (labels >= len(given)))
        if len(strange):
            raise UsageError(f"{where} is {labels[strange[0]]} in row {strange[0]}, and classes "
                             f"names 0 to {len(given) - 1}")  # fmt: skip
        return given, labels.astype(np.int64)
    if labels.dtype.kind not in "bOU":
        raise UsageError(f"{where} holds {labels.dtype} values; expected whole numbers or text")
    for row, value in enumerate(labels.tolist()):
        if not isinstance(value, str | bool | int) or value == "":
            raise UsageError(f"{where} has no label in row {row} ({value!r}); leave the row out")
    texts = [str(value) for value in labels.tolist()]
    classes = given or tuple(sorted(set(texts)))
    index = {name: i for i, name in enumerate(classes)}
    unknown = next((text for text in texts if text not in index), None)
    if unknown is not None:
        raise UsageError(f"{where} holds {unknown!r}, which classes does not name")
    return classes, np.array([index[text] for text in texts], dtype=np.int64)


def _given_classes(path: Path, file: ArrayFile) -> tuple[str, ...]:
    """Return the names that the file gives its labels; empty where it gives none."""
    found = file.about("classes")
    if found is None and "classes" in file.names:
        found = file.read("classes")
    if found is None:
        return ()
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            found = None
    texts = [v.decode() if isinstance(v, bytes) else v for v in np.ravel(found).tolist()]
    if not all(isinstance(v, str) for v in texts) or len(set(texts)) < len(texts):
        raise UsageError(f"{path}: classes is no list of different names, as text or JSON")
    return tuple(texts)


def _origin(file: ArrayFile, rows: NDArray[Any]) -> tuple[str, str, str]:
    """Return what our export notes of the network, its weights and precision."""
    try:
        spec = json.loads(file.about("spec") or "{}")
    except (ValueError, TypeError):
        spec = {}

    def text(value: Any, otherwise: str) -> str:
        plain = isinstance(value, str) and value.isprintable() and 0 < len(value) <= 100
        return value if plain else otherwise

    spec = spec if isinstance(spec, dict) else {}
    return (
        text(spec.get("network"), NETWORK),
        text(file.about("weights"), WEIGHTS),
        text(spec.get("precision"), str(rows.dtype)),
    )

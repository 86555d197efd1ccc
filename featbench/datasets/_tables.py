"""Tables of images, CSV or Parquet: ``path``, ``label`` and perhaps ``split`` and ``group``."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featbench.datasets._class_folders import SPLIT_NAMES
from featbench.datasets._dataset import Dataset, Split
from featbench.datasets._pictures import FilePicture
from featbench.errors import UsageError

_COLUMNS = ("path", "label", "split", "group")
_EXPECTED = (
    "expected a first line path,label[,split][,group], with commas, semicolons or tabs between"
)
_SEPARATORS = ",;\t"


@dataclass(frozen=True)
class _Table:
    """The columns that are read, without surrounding blanks, and where each row stands."""

    columns: dict[str, list[str]]
    places: list[str]

    def rows(self, kept: list[int]) -> "_Table":
        columns = {name: [cells[i] for i in kept] for name, cells in self.columns.items()}
        return _Table(columns, [self.places[i] for i in kept])


def from_table(path: Path) -> Dataset:
    """Read a CSV or Parquet table: ``path``, ``label`` and perhaps ``split`` and ``group``.

    Paths are relative to the table's folder.
    """
    table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    _check(path, table)
    paths, labels = table.columns["path"], table.columns["label"]
    classes = tuple(sorted(set(labels)))
    label = {c: i for i, c in enumerate(classes)}
    is_there = [(path.parent / p).is_file() for p in paths]
    kept = [i for i, there in enumerate(is_there) if there]
    missing = [p for p, there in zip(paths, is_there, strict=True) if not there]
    if missing and not kept:
        first = (path.parent / missing[0]).absolute()
        raise UsageError(
            f"{path}: none of its {len(missing):,} files is there (first: {first})"
            "; paths are relative to the table's folder"
        )
    problems = []
    if missing:
        files = "file of the table is" if len(missing) == 1 else "files of the table are"
        problems = [f"{len(missing):,} {files} missing (first: {missing[0]})"]
    table = table.rows(kept)
    sides = _sides(path, table)
    splits = {}
    for side in sorted(set(sides)):
        rows = table.rows([i for i, other in enumerate(sides) if other == side]).columns
        splits[side] = Split(
            ids=tuple(rows["path"]),
            labels=np.array([label[c] for c in rows["label"]], dtype=np.int64),
            pictures=tuple(FilePicture(path.parent / p) for p in rows["path"]),
            groups=_groups(rows),
        )
    return Dataset(
        path.stem, str(path), classes, splits, problems=tuple(problems),
        root=path.parent.resolve(), missing=tuple(missing),
    )  # fmt: skip


def _read_csv(path: Path) -> _Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next((line for line in file if line.strip()), "")
            file.seek(0)
            lines = csv.reader(file, delimiter=_separator(first))
            header: list[str] = next((cells for cells in lines if any(map(str.strip, cells))), [])
            wanted = _wanted(path, header)
            columns: dict[str, list[str]] = {name: [] for name in wanted}
            places = []
            for cells in lines:
                if not any(cell.strip() for cell in cells):
                    continue
                place = f"line {lines.line_num}"
                if any(cell.strip() for cell in cells[len(header) :]):
                    raise UsageError(
                        f"{path}, {place}: has {len(cells)} cells, the first line {len(header)}; "
                        'put a cell with a separator in it between quotes: "a,b.jpg"'
                    )
                places.append(place)
                for name, i in wanted.items():
                    columns[name].append(cells[i].strip() if i < len(cells) else "")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: is not UTF-8 ({error.reason}: {error.object[error.start : error.end]!r}); "
            "save the table as CSV UTF-8"
        ) from error
    except (ValueError, OSError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as a table ({error}); {_EXPECTED}") from error
    columns["path"] = [_with_slashes(path.parent, p) for p in columns["path"]]
    return _Table(columns, places)


def _separator(header: str) -> str:
    """Return the separator by which the first line names a path and a label; else a comma."""
    for separator in _SEPARATORS:
        names = {name.strip().lower() for name in next(csv.reader([header], delimiter=separator))}
        if {"path", "label"} <= names:
            return separator
    return ","


def _with_slashes(folder: Path, path: str) -> str:
    r"""Return a path such as ``cat\1.jpg`` with ``/``, unless a file has a ``\`` in its name."""
    if "\\" not in path or (folder / path).is_file():
        return path
    return path.replace("\\", "/")


def _read_parquet(path: Path) -> _Table:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError, ImportError) as error:
        raise UsageError(f"{path}: cannot be read as a table ({error}); {_EXPECTED}") from error
    header = [str(name) for name in table.columns]
    wanted = {name: table.iloc[:, i] for name, i in _wanted(path, header).items()}
    columns = {
        name: [
            "" if empty else str(v).strip() for v, empty in zip(cells, cells.isna(), strict=True)
        ]
        for name, cells in wanted.items()
    }
    return _Table(columns, [f"row {i + 1}" for i in range(len(table))])


def _wanted(path: Path, header: list[str]) -> dict[str, int]:
    """Return where the columns are that are read, however they are capitalised."""
    if not header:
        raise UsageError(f"{path}: cannot be read as a table (it is empty); {_EXPECTED}")
    names = [name.strip().lower() for name in header]
    if missing := {"path", "label"} - set(names):
        raise UsageError(
            f"{path}: has no column {' and no column '.join(sorted(missing))} (it has: "
            f"{', '.join(names)}); {_EXPECTED}"
        )
    if twice := [name for name in _COLUMNS if names.count(name) > 1]:
        raise UsageError(f"{path}: has more than one column {twice[0]}; rename one of them")
    return {name: names.index(name) for name in _COLUMNS if name in names}


def _check(path: Path, table: _Table) -> None:
    """Raise for a row without path or label, and for a path that is there twice."""
    for name, step in (
        ("label", "give each image a label, or remove the line"),
        ("path", "name the image, or remove the line"),
    ):
        empty = [at for at, c in zip(table.places, table.columns[name], strict=True) if not c]
        if empty:
            more = f" ({len(empty):,} such rows)" if len(empty) > 1 else ""
            raise UsageError(f"{path}, {empty[0]}: has no {name}{more}; {step}")
    first: dict[str, str] = {}
    for p, place in zip(table.columns["path"], table.places, strict=True):
        if p in first:
            raise UsageError(f"{path}, {place}: names {p!r} more than once (first: {first[p]})")
        first[p] = place


def _sides(path: Path, table: _Table) -> list[str]:
    """Return the split of every row, by its one spelling."""
    if "split" not in table.columns:
        return ["train"] * len(table.places)
    sides = []
    for given, place in zip(table.columns["split"], table.places, strict=True):
        if given.lower() not in SPLIT_NAMES:
            raise UsageError(
                f"{path}, {place}: column split holds {given!r}; expected train, val or test"
            )
        sides.append(SPLIT_NAMES[given.lower()])
    return sides


def _groups(rows: dict[str, list[str]]) -> tuple[str, ...] | None:
    """Return each row's group, where any has one; an image without is its own."""
    if not any(rows.get("group", ())):
        return None
    return tuple(group or path for group, path in zip(rows["group"], rows["path"], strict=True))

"""Data sets in files of the user's own: a folder, a zip, a table."""

import os
import re
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
from featbench.datasets._class_folders import SPLIT_NAMES, from_class_folders
from featbench.datasets._dataset import Dataset, Split
from featbench.datasets._pictures import Archive, FilePicture, ZipPicture
from featbench.errors import UsageError

_EXPECTED = "expected a first line path,label[,split][,group], with commas between"
_DRIVE = re.compile(r"[A-Za-z]:/")


def walk_folder(path: Path) -> tuple[dict[str, FilePicture], set[str]]:
    """Return files and folders by their path below; links are followed, but never in a circle."""
    files: dict[str, FilePicture] = {}
    folders: set[str] = set()
    for here, inside, names in os.walk(path, followlinks=True):
        above = {os.stat(p).st_ino for p in (Path(here), *Path(here).parents)}
        inside[:] = sorted(d for d in inside if os.stat(Path(here, d)).st_ino not in above)
        for folder in inside:
            folders.add(Path(here, folder).relative_to(path).as_posix())
        for file in names:
            files[Path(here, file).relative_to(path).as_posix()] = FilePicture(Path(here, file))
    return files, folders


def from_folder(path: Path) -> Dataset:
    """Read a folder of class folders."""
    files, folders = walk_folder(path)
    return from_class_folders(path.resolve().name, str(path), files, folders, path.resolve())


def walk_zip(path: Path) -> tuple[dict[str, ZipPicture], set[str], tuple[str, ...]]:
    """Return a zip's files and folders by their name, and what was left out, a line each."""
    try:
        archive = Archive.open(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UsageError(f"{path}: cannot be read as a zip ({error}); make it again") from error
    members = {m.filename.replace("\\", "/"): m for m in archive.file.infolist()}
    if any(m.flag_bits & 1 for m in members.values()):
        raise UsageError(f"{path}: is encrypted; unpack it and give the folder instead")
    unsafe = [n for n in members if n.startswith("/") or ".." in n.split("/") or _DRIVE.match(n)]
    files = {
        name: ZipPicture(archive, member)
        for name, member in members.items()
        if not member.is_dir()
        and name not in unsafe
        and not stat.S_ISLNK(member.external_attr >> 16)
    }
    folders = {name.rstrip("/") for name, m in members.items() if m.is_dir() and name not in unsafe}
    for folder in {name.rpartition("/")[0] for name in files}:
        parts = folder.split("/")
        folders |= {"/".join(parts[: i + 1]) for i in range(len(parts))}
    if not unsafe:
        return files, folders, ()
    note = f"left out {len(unsafe)} zip members with unsafe names (first: {unsafe[0]!r})"
    return files, folders, (note,)


def from_zip(path: Path) -> Dataset:
    """Read a zip of class folders in place: nothing is unpacked."""
    files, folders, left_out = walk_zip(path)
    dataset = from_class_folders(path.stem, str(path), files, folders)
    return replace(dataset, problems=(*dataset.problems, *left_out))


def from_table(path: Path) -> Dataset:
    """Read a CSV or Parquet table: ``path``, ``label`` and perhaps ``split`` and ``group``.

    Paths are relative to the table's folder.
    """
    import pandas as pd

    try:
        table = (
            pd.read_csv(path, dtype=str, keep_default_na=False)
            if path.suffix.lower() == ".csv"
            else pd.read_parquet(path).astype(str)
        )
    except (ValueError, OSError, ImportError) as error:
        raise UsageError(f"{path}: cannot be read as a table ({error}); {_EXPECTED}") from error
    if missing := {"path", "label"} - set(table.columns):
        there = ", ".join(map(str, table.columns))
        raise UsageError(
            f"{path}: has no column {' and no column '.join(sorted(missing))} (it has: {there}); "
            f"{_EXPECTED}"
        )
    if (repeated := table["path"].duplicated()).any():
        raise UsageError(f"{path}: names {table['path'][repeated].iloc[0]!r} more than once")
    classes = tuple(sorted(set(table["label"])))
    label = {c: i for i, c in enumerate(classes)}
    absent = [p for p in table["path"] if not (path.parent / p).is_file()]
    if absent and len(absent) == len(table):
        first = (path.parent / absent[0]).absolute()
        raise UsageError(
            f"{path}: none of its {len(absent):,} files is there (first: {first})"
            "; paths are relative to the table's folder"
        )
    problems = (
        [f"{len(absent)} files of the table are missing (first: {absent[0]})"] if absent else []
    )
    table = table[~table["path"].isin(absent)]
    sides = table["split"].str.lower() if "split" in table else table["path"].map(lambda _: "train")
    sides = sides.map(lambda side: SPLIT_NAMES.get(side, side))
    if strange := sorted(set(sides) - set(SPLIT_NAMES.values())):
        raise UsageError(f"{path}: column split holds {strange[0]!r}; expected train, val or test")
    splits = {}
    for side in sorted(set(sides)):
        rows = table[sides == side]
        splits[side] = Split(
            ids=tuple(rows["path"]),
            labels=np.array([label[c] for c in rows["label"]], dtype=np.int64),
            pictures=tuple(FilePicture(path.parent / p) for p in rows["path"]),
            groups=_groups(rows) if "group" in rows else None,
        )
    return Dataset(
        path.stem, str(path), classes, splits, problems=tuple(problems), root=path.parent.resolve()
    )


def _groups(rows: "pd.DataFrame") -> tuple[str, ...]:
    """Return each row's group; an image without one is its own."""
    pairs = zip(rows["group"], rows["path"], strict=True)
    return tuple(group or path for group, path in pairs)

"""Data sets in files of the user's own: a folder, a zip."""

import os
import re
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

from featbench.datasets._class_folders import from_class_folders
from featbench.datasets._dataset import Dataset
from featbench.datasets._pictures import Archive, FilePicture, ZipPicture
from featbench.errors import UsageError

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
    kind = "zip member with an unsafe name" if len(unsafe) == 1 else "zip members with unsafe names"
    note = f"left out {len(unsafe)} {kind} (first: {unsafe[0]!r})"
    return files, folders, (note,)


def from_zip(path: Path) -> Dataset:
    """Read a zip of class folders in place: nothing is unpacked."""
    files, folders, left_out = walk_zip(path)
    dataset = from_class_folders(path.stem, str(path), files, folders)
    problems = (*dataset.problems, *left_out)
    return replace(dataset, problems=problems, left_out=problems)

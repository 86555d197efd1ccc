"""Images that a person names: files, folders with everything below them, and zips."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from featbench.datasets._class_folders import IMAGE_SUFFIXES, seen
from featbench.datasets._dataset import Dataset, Picture, Split
from featbench.datasets._files import walk_folder, walk_zip
from featbench.datasets._pictures import FilePicture
from featbench.errors import UsageError

GIVEN = "given"


def given_images(paths: Sequence[str | Path]) -> Dataset:
    """Return a data set without labels: every image, in the order in which it was named.

    Parameters
    ----------
    paths : sequence of path
        A file is taken for an image whatever its name. Of a folder or a .zip every image in it
        counts, in order of its name, but for hidden files and a system's leftovers.

    Returns
    -------
    Dataset
        With one split, ``given``, whose labels are all 0 and mean nothing; an image's id is its
        path as given, with ``/`` and its place in the folder or zip behind it.

    Raises
    ------
    UsageError
        When a path does not exist or holds no image.
    """
    pictures: dict[str, Picture] = {}
    problems: list[str] = []
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            files, _ = walk_folder(path)
            inside = {name: p for name, p in files.items() if p.path.is_file()}
            pictures |= _images(str(given), inside.items())
        elif path.is_file() and path.suffix.lower() == ".zip":
            members, _, notes = walk_zip(path)
            pictures |= _images(str(given), members.items())
            problems += [f"{path}: {note}" for note in notes]
        elif path.is_file():
            pictures[str(given)] = FilePicture(path)
        else:
            raise UsageError(f"{path}: no such image, folder or zip")
    split = Split(tuple(pictures), np.zeros(len(pictures), np.int64), tuple(pictures.values()))
    return Dataset(GIVEN, "the images given", (), {GIVEN: split}, problems=tuple(problems))


def _images(given: str, files: Iterable[tuple[str, Picture]]) -> dict[str, Picture]:
    found = {
        f"{given.rstrip('/')}/{name}": picture
        for name, picture in sorted(files)
        if seen(name) is not None and name.lower().endswith(IMAGE_SUFFIXES)
    }
    if not found:
        raise UsageError(
            f"{given}: holds no images; expected files as {', '.join(IMAGE_SUFFIXES[:6])}, …"
        )
    return found

"""Class folders, on disk or in a zip: ``[SPLIT/]CLASS/…/IMAGE``, read as a person would."""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from featbench.datasets._dataset import Dataset, Picture, Split
from featbench.errors import UsageError

_SUFFIXES = "jpg jpeg jpe jfif png bmp gif webp tif tiff ppm pgm pbm pnm avif"
IMAGE_SUFFIXES = tuple(f".{suffix}" for suffix in _SUFFIXES.split())
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""How folders and columns spell the three splits, in lower case."""
_CLUTTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}

Parts = tuple[str, ...]


def from_class_folders(
    name: str,
    source: str,
    pictures: Mapping[str, Picture],
    folders: Iterable[str],
    root: Path | None = None,
) -> Dataset:
    """Build a data set from pictures by path.

    Parameters
    ----------
    name, source : str
        As in ``Dataset``.
    pictures : mapping of str to Picture
        Every file by its path below the source, with ``/`` between the parts.
    folders : iterable of str
        Every folder's path, so that an empty class can be reported.
    root : Path, optional
        What the paths are below, on disk.

    Raises
    ------
    UsageError
        When there are no images in class folders.
    """
    files = {parts: p for path, p in pictures.items() if (parts := seen(path))}
    images = {parts: p for parts, p in files.items() if parts[-1].lower().endswith(IMAGE_SUFFIXES)}
    tree = {parts for folder in folders if (parts := seen(folder))}
    wrapped = _wrappers(images)
    depth = len(wrapped)
    tops = {parts[depth] for parts in images if len(parts) > depth + 2}
    by_split = any(_split_of(top) == "train" for top in tops)
    if not by_split and tops and all(_split_of(top) for top in tops):
        raise UsageError(
            f"{source}: has {' and '.join(sorted(tops))} but no train folder to learn from"
        )
    level = depth + by_split
    if by_split:  # train/images/CLASS: a wrapper inside each split
        of_train = {p[level:]: q for p, q in images.items() if _split_of(p[depth]) == "train"}
        level += len(_wrappers(of_train))

    found: dict[str, list[Parts]] = {}
    loose, beside = [], set()
    for parts in sorted(images):
        inside = parts[:depth] == wrapped and len(parts) > depth
        split = (_split_of(parts[depth]) if by_split else "train") if inside else None
        if len(parts) < level + 2:
            loose.append("/".join(parts))
        elif split is None:
            beside.add(parts[depth] if inside else parts[0])
        else:
            found.setdefault(split, []).append(parts)
    if not found:
        here = f", but {len(images):,} beside them (first: {loose[0]})" if loose else ""
        raise UsageError(
            f"{source}: no images in class folders{here}; put each class's into a folder of its "
            f"own: {name}/CLASS/IMAGE, or {name}/train/CLASS/IMAGE, with images as "
            f"{', '.join(IMAGE_SUFFIXES[:6])}, …"
        )

    classes = sorted({parts[level] for rows in found.values() for parts in rows})
    label = {c: i for i, c in enumerate(classes)}
    splits = {
        split: Split(
            ids=tuple("/".join(parts[depth:]) for parts in rows),
            labels=np.array([label[parts[level]] for parts in rows], dtype=np.int64),
            pictures=tuple(images[parts] for parts in rows),
        )
        for split, rows in found.items()
    }
    class_folders = {
        f[level]
        for f in tree
        if len(f) == level + 1 and f[:depth] == wrapped and (not by_split or _split_of(f[depth]))
    }
    empty = sorted(class_folders - set(classes))
    problems = [f"class folder {c!r} has no images: left out" for c in empty]
    if beside:
        where = ", ".join(sorted(beside))
        problems.append(f"left out images in folders beside the splits: {where}")
    if loose:
        noun = "image" if len(loose) == 1 else "images"
        problems.append(f"left out {len(loose)} {noun} outside class folders (first: {loose[0]})")
    notices = _other_files(files.keys() - images.keys())
    inner = root.joinpath(*wrapped) if root is not None else None
    left_out = tuple(problems)
    return Dataset(
        name, source, tuple(classes), splits, tuple(notices), left_out, inner, left_out=left_out
    )


def seen(path: str) -> Parts | None:
    """Split a path; None for what a person would not see: hidden files, a system's leftovers."""
    folder, _, name = path.rpartition("/")
    above = _seen_folder(folder) if folder else ()
    if above is None or name.startswith(".") or name in _CLUTTER:
        return None
    return (*above, name)


@functools.lru_cache(4096)
def _seen_folder(folder: str) -> Parts | None:
    return seen(folder)


@functools.lru_cache(4096)
def _split_of(folder: str) -> str | None:
    return SPLIT_NAMES.get(folder.lower())


def _other_files(others: Iterable[Parts]) -> list[str]:
    """Say which files were passed over because they are no images."""
    names = [parts[-1] for parts in others]
    if not names:
        return []
    kinds = Counter(PurePosixPath(name).suffix.lower() or name for name in names).most_common(3)
    text = ", ".join(f"{count} × {kind}" for kind, count in kinds)
    files = "file that is no image" if len(names) == 1 else "files that are not images"
    return [f"left out {len(names)} {files} ({text})"]


def _wrappers(images: Iterable[Parts]) -> Parts:
    """Return the folders that merely wrap: nothing beside them has images in folders."""
    paths = list(images)
    depth = 0
    while True:
        inside = {parts[depth] for parts in paths if len(parts) > depth + 1}
        if len(inside) != 1:
            break
        (only,) = inside
        deeper = any(len(p) > depth + 2 and p[depth] == only for p in paths)
        if not deeper or _split_of(only) is not None:
            break
        paths = [p for p in paths if len(p) > depth + 1 and p[depth] == only]
        depth += 1
    return paths[0][:depth] if paths else ()

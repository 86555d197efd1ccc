"""Class folders, on disk or in a zip: ``[SPLIT/]CLASS/…/IMAGE``, read as a person would."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

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
_CLUTTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}

Parts = tuple[str, ...]


def from_class_folders(
    name: str, source: str, pictures: Mapping[str, Picture], folders: Iterable[str]
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

    Raises
    ------
    UsageError
        When there are no images in class folders.
    """
    files = {parts: p for path, p in pictures.items() if (parts := _seen(path))}
    images = {parts: p for parts, p in files.items() if parts[-1].lower().endswith(IMAGE_SUFFIXES)}
    tree = {parts for folder in folders if (parts := _seen(folder))}
    depth = _wrapping_depth(images, tree)
    by_split = any(len(f) > depth + 1 and _split_of(f[depth]) == "train" for f in tree)

    found: dict[str, list[Parts]] = {}
    loose = []
    for parts in sorted(images):
        split = _split_of(parts[depth]) if by_split else "train"
        if split is None:
            continue
        if len(parts) < depth + 2 + by_split:
            loose.append("/".join(parts))
        else:
            found.setdefault(split, []).append(parts)
    if not found:
        raise UsageError(
            f"{source}: no images in class folders; expected {name}/CLASS/IMAGE or "
            f"{name}/train/CLASS/IMAGE with images as {', '.join(IMAGE_SUFFIXES[:6])}, …"
        )

    level = depth + by_split
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
    notices = _left_out(files, images, tree if by_split else set(), depth)
    class_folders = {
        f[level] for f in tree if len(f) == level + 1 and (not by_split or _split_of(f[depth]))
    }
    empty = class_folders - set(classes)
    problems = [f"class folder {c!r} has no images: left out" for c in sorted(empty)]
    if loose:
        problems.append(f"left out {len(loose)} images outside class folders (first: {loose[0]})")
    return Dataset(name, source, tuple(classes), splits, tuple(notices), tuple(problems))


def _seen(path: str) -> Parts | None:
    """Split a path; None for what a person would not see: hidden files, a system's leftovers."""
    parts = tuple(path.split("/"))
    if any(p.startswith(".") or p in _CLUTTER for p in parts):
        return None
    return parts


def _split_of(folder: str) -> str | None:
    return SPLIT_NAMES.get(folder.lower())


def _left_out(
    files: Mapping[Parts, Picture], images: Mapping[Parts, Picture], tree: set[Parts], depth: int
) -> list[str]:
    """Say what was passed over: other files, and folders beside the splits."""
    notices = []
    others = Counter(
        PurePosixPath(parts[-1]).suffix.lower() or parts[-1]
        for parts in files.keys() - images.keys()
    )
    if others:
        kinds = ", ".join(f"{count} × {kind}" for kind, count in others.most_common(3))
        notices.append(f"left out {others.total()} files that are not images ({kinds})")
    strange = {f[depth] for f in tree if len(f) > depth and _split_of(f[depth]) is None}
    if strange:
        notices.append(f"left out folders beside the splits: {', '.join(sorted(strange))}")
    return notices


def _wrapping_depth(images: Iterable[Parts], tree: set[Parts]) -> int:
    """Count the folders that merely wrap: the only entry at their level, with folders inside."""
    depth = 0
    while True:
        inside = {f[depth] for f in tree if len(f) > depth}
        inside |= {parts[depth] for parts in images if len(parts) > depth}
        if len(inside) != 1:
            return depth
        (only,) = inside
        holds_folders = any(len(f) > depth + 1 and f[depth] == only for f in tree)
        if not holds_folders or _split_of(only) is not None:
            return depth
        depth += 1

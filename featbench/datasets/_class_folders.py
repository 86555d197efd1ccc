"""Class folders, on disk or in a zip: ``[SPLIT/]CLASS/…/IMAGE``, read as a person would."""

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np

from featbench.datasets._dataset import Dataset, Picture, Split
from featbench.errors import UsageError

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".avif",
    ]
)
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def from_class_folders(
    name: str, source: str, pictures: Mapping[str, Picture], folders: set[str]
) -> Dataset:
    """Build a data set from pictures by path.

    Parameters
    ----------
    name, source : str
        As in ``Dataset``.
    pictures : mapping of str to Picture
        Every file by its path below the source, with ``/`` between the parts.
    folders : set of str
        Every folder's path, so that an empty class can be reported.

    Raises
    ------
    UsageError
        When there are no images in class folders.
    """
    paths = {PurePosixPath(p): picture for p, picture in pictures.items() if not _is_clutter(p)}
    images = {p: picture for p, picture in paths.items() if p.suffix.lower() in IMAGE_SUFFIXES}
    kept_folders = {PurePosixPath(f) for f in folders if not _is_clutter(f)}
    notices, problems = [], []
    if others := Counter(p.suffix.lower() or p.name for p in paths if p not in images):
        kinds = ", ".join(f"{count} × {kind}" for kind, count in others.most_common(3))
        notices.append(f"left out {others.total()} files that are not images ({kinds})")

    depth = _wrapping_depth(images, kept_folders)
    top = {f.parts[depth] for f in kept_folders if len(f.parts) > depth}
    by_split = any(SPLIT_NAMES.get(t.lower()) == "train" for t in top) and any(
        len(f.parts) > depth + 1 and SPLIT_NAMES.get(f.parts[depth].lower()) == "train"
        for f in kept_folders
    )
    found: dict[str, list[tuple[PurePosixPath, str]]] = {}
    classes, empty, loose, strange = set(), set(), [], set()
    for folder in kept_folders:  # a class exists where its folder does
        parts = folder.parts[depth:]
        if by_split and parts and parts[0].lower() not in SPLIT_NAMES:
            strange.add(parts[0])
        elif len(parts) == 1 + by_split:
            empty.add(parts[-1])
    for path in sorted(images):
        parts = path.parts[depth:]
        if by_split and parts[0].lower() not in SPLIT_NAMES:
            continue
        if len(parts) < 2 + by_split:
            loose.append(path)
            continue
        split = SPLIT_NAMES[parts[0].lower()] if by_split else "train"
        found.setdefault(split, []).append((path, parts[by_split]))
        classes.add(parts[by_split])
    if not found:
        raise UsageError(
            f"{source}: no images in class folders; expected {name}/CLASS/IMAGE or "
            f"{name}/train/CLASS/IMAGE with images as {', '.join(sorted(IMAGE_SUFFIXES)[:6])}, …"
        )
    if strange:
        notices.append(f"left out folders beside the splits: {', '.join(sorted(strange))}")
    if loose:
        problems.append(f"left out {len(loose)} images outside class folders (first: {loose[0]})")
    problems += [f"class folder {c!r} has no images: left out" for c in sorted(empty - classes)]

    order = sorted(classes)
    label = {c: i for i, c in enumerate(order)}
    splits = {
        split: Split(
            ids=tuple("/".join(path.parts[depth:]) for path, _ in rows),
            labels=np.array([label[c] for _, c in rows], dtype=np.int64),
            pictures=tuple(images[path] for path, _ in rows),
        )
        for split, rows in found.items()
    }
    return Dataset(name, source, tuple(order), splits, tuple(notices), tuple(problems))


def _is_clutter(path: str) -> bool:
    """Say whether a person would not see this: hidden files, a Mac's and Windows' leftovers."""
    parts = PurePosixPath(path).parts
    return any(p.startswith(".") or p in ("__MACOSX", "Thumbs.db", "desktop.ini") for p in parts)


def _wrapping_depth(images: Mapping[PurePosixPath, Picture], folders: set[PurePosixPath]) -> int:
    """Count the folders that merely wrap: the only entry at their level, with folders inside."""
    depth = 0
    while True:
        inside = {f.parts[depth] for f in folders if len(f.parts) > depth}
        inside |= {p.parts[depth] for p in images if len(p.parts) > depth}
        if len(inside) != 1:
            return depth
        (only,) = inside
        holds_folders = any(len(f.parts) > depth + 1 and f.parts[depth] == only for f in folders)
        if not holds_folders or only.lower() in SPLIT_NAMES:
            return depth
        depth += 1

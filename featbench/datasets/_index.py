"""The index: which content lay at which path, so that an unchanged file is not read to know it.

As git's: an entry holds a file's size, times and inode, and counts only while all are the same. A
file that changed less than two seconds before it was hashed is not entered, since a later change
within the same tick of the clock could not be seen. The index can be deleted at any time.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from featbench.datasets._dataset import Dataset, Picture, content_name
from featbench.files import read_checked, write_checked
from featbench.machine import cores

_FORMAT = 1
_RACY_SECONDS = 2.0

Stamp = tuple[Any, ...]


class Index:
    """Digests by stamp, in one checksummed file.

    Parameters
    ----------
    path : Path
        The file; one that is missing, damaged or of another format counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[list[Any], str]] = _read(path)
        self._changed = False

    def digests(self, pictures: Iterable[Picture]) -> tuple[str, ...]:
        """Return each picture's sha256, reading only those that are new or changed.

        Parameters
        ----------
        pictures : iterable of Picture
            In any order; the answer is in theirs.
        """
        wanted = list(pictures)
        stamps = [picture.stamp() for picture in wanted]
        found = [self._lookup(stamp) for stamp in stamps]
        unknown = [i for i, name in enumerate(found) if name is None]
        began = time.time()
        with ThreadPoolExecutor(cores()) as pool:
            hashed = pool.map(lambda i: content_name(wanted[i]), unknown, chunksize=64)
            for i, name in zip(unknown, hashed, strict=True):
                found[i] = name
                self._enter(stamps[i], name, began)
        return tuple(name for name in found if name is not None)

    def _lookup(self, stamp: Stamp | None) -> str | None:
        if stamp is None:
            return None
        place, *rest = stamp
        entry = self._known.get(place)
        return entry[1] if entry is not None and entry[0] == rest else None

    def _enter(self, stamp: Stamp | None, name: str, began: float) -> None:
        if stamp is None:
            return
        place, size, modified, *rest = stamp
        if modified / 1e9 > began - _RACY_SECONDS:
            return
        self._known[place] = ([size, modified, *rest], name)
        self._changed = True

    def unknown(self, pictures: Iterable[Picture]) -> int:
        """Return how many pictures would have to be read; what is in memory needs no reading."""
        stamps = (picture.stamp() for picture in pictures)
        return sum(stamp is not None and self._lookup(stamp) is None for stamp in stamps)

    def save(self) -> None:
        """Write the index if it has learned something; one that cannot be written is no loss."""
        if not self._changed:
            return
        body = json.dumps([_FORMAT, self._known]).encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_checked(self._path, body)
        except OSError:
            return  # a read-only cache: the next run hashes again
        self._changed = False


def _read(path: Path) -> dict[str, tuple[list[Any], str]]:
    content = read_checked(path)
    if content is None:
        return {}
    format_, known = json.loads(content)
    return dict(known) if format_ == _FORMAT else {}


def use_index(dataset: Dataset, cache: str | os.PathLike[str]) -> None:
    """Fill in every split's digests, from the index where nothing changed.

    Parameters
    ----------
    dataset : Dataset
        Its splits then know their digests.
    cache : path
        The feature store's folder; the index lies in ``index/`` there, a file a source.
    """
    splits = [split for split in dataset.splits.values() if not split.knows_digests]
    if not splits:
        return
    index = _index_of(dataset, cache)
    for split in splits:
        split.set_digests(index.digests(split.pictures))
    index.save()


def unread_images(dataset: Dataset, cache: str | os.PathLike[str]) -> int:
    """Return how many images ``use_index`` would have to read.

    Parameters
    ----------
    dataset : Dataset
        Nothing of it is read now.
    cache : path
        As in ``use_index``.
    """
    splits = [split for split in dataset.splits.values() if not split.knows_digests]
    index = _index_of(dataset, cache)
    return sum(index.unknown(split.pictures) for split in splits)


def _index_of(dataset: Dataset, cache: str | os.PathLike[str]) -> Index:
    source = os.path.abspath(os.path.expanduser(dataset.source))
    name = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return Index(Path(cache) / "index" / f"{name}.json")

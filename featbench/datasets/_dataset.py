"""What a data set is: classes, and for each split ids, labels and pictures in one order."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featbench.datasets._decode import Raw, decode, digest
from featbench.errors import UsageError, did_you_mean
from featbench.markup import facts, numbers, shown_in_notebook

V = TypeVar("V")


class Picture(Protocol):
    """Where one image's content can be had."""

    def raw(self) -> Raw:
        """Return the content: a file's bytes, or an array of pixels."""

    def stamp(self) -> tuple[Any, ...] | None:
        """Return (place, size, time of change in ns, …), the same while nothing changed; or None.

        None stands for a place that has no such marks: its content is read to know it.
        """


def content_name(picture: Picture) -> str:
    """Return the sha256 of a picture's content; of the failure, where it cannot be read.

    A picture that cannot be read has a name of its own, which no content has: it stays in its
    place, and decoding it says why it is left out.
    """
    try:
        return digest(picture.raw())
    except OSError as error:
        return hashlib.sha256(f"cannot be read: {picture!r} {error!r}".encode()).hexdigest()


@dataclass(frozen=True)
class Split:
    """The images of one split, in one order throughout.

    Parameters
    ----------
    ids : tuple of str
        One name an image, unique in the data set; a path below its root where there are files.
    labels : ndarray of int64, shape (n,)
        Indices into the data set's ``classes``.
    pictures : tuple of Picture
        Where each image's content is.
    groups : tuple of str, optional
        What must stay on one side of any split (a patient, a video); the id where none is given.
    """

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    pictures: tuple[Picture, ...]
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<Split of {len(self):,}>"

    def read(self, i: int) -> Image.Image:
        """Return image ``i`` upright, in RGB; raises BrokenImageError when it cannot be decoded."""
        return decode(self.pictures[i].raw())

    @functools.cached_property
    def digests(self) -> tuple[str, ...]:
        """The sha256 of every image's content, read once."""
        return tuple(content_name(picture) for picture in self.pictures)

    @property
    def knows_digests(self) -> bool:
        """Whether the digests are there without reading anything."""
        return "digests" in self.__dict__

    def set_digests(self, digests: tuple[str, ...]) -> None:
        """Take the digests from somebody who knows them (the index)."""
        if len(digests) != len(self):
            raise ValueError(f"{len(digests)} digests for {len(self)} images")
        self.__dict__["digests"] = digests

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> "Split":
        """Return the split of these rows, in this order."""
        rows = [int(row) for row in rows]
        taken = Split(
            tuple(self.ids[row] for row in rows),
            self.labels[rows],
            tuple(self.pictures[row] for row in rows),
            None if self.groups is None else tuple(self.groups[row] for row in rows),
        )
        if self.knows_digests:  # carry them over: nothing is read twice
            taken.set_digests(tuple(self.digests[row] for row in rows))
        return taken

    def __add__(self, other: "Split") -> "Split":
        """Return both splits' images, this one's first."""
        groups = None
        if self.groups is not None or other.groups is not None:
            groups = (self.groups or self.ids) + (other.groups or other.ids)
        labels = np.concatenate([self.labels, other.labels])
        both = Split(self.ids + other.ids, labels, self.pictures + other.pictures, groups)
        if self.knows_digests and other.knows_digests:
            both.set_digests(self.digests + other.digests)
        return both


@dataclass(frozen=True)
class Dataset:
    """Images with labels, split into ``train``, ``test`` and perhaps ``val``.

    Parameters
    ----------
    name : str
        What results call it.
    source : str
        What was given to ``load_dataset``.
    classes : tuple of str
        The class names; a label is an index into them.
    splits : dict of str to Split
        ``train``, ``test`` and perhaps ``val``.
    notices : tuple of str
        What was decided in reading it, a line each, to be said.
    problems : tuple of str
        What the user should look at (an empty class folder), a line each.
    root : Path, optional
        What ids are paths below, for a folder on disk.
    missing : tuple of str
        Paths that a table names and that are not there; ``problems`` counts them.
    left_out : tuple of str
        Those of ``problems`` that say what else of the source was not read.
    """

    item: ClassVar[str] = "image"

    name: str
    source: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    notices: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    root: Path | None = None
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def train(self) -> Split:
        """The training split."""
        return self.splits["train"]

    @property
    def test(self) -> Split:
        """The test split."""
        return self.splits["test"]

    @property
    def val(self) -> Split | None:
        """The source's own validation split, if it has one."""
        return self.splits.get("val")

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 over every image's id, content, split and class name, and group if it has one.

        Groups decide how folds are drawn and how wide intervals are.
        """
        whole = hashlib.sha256()
        for name in sorted(self.splits):
            split = self.splits[name]
            columns = [split.ids, split.digests, [self.classes[i] for i in split.labels.tolist()]]
            columns += [] if split.groups is None else [split.groups]
            for row in sorted(zip(*columns, strict=True)):
                line = "\0".join((name, *map(str, row), "\n"))
                whole.update(line.encode("utf-8", "surrogateescape"))
        return whole.hexdigest()

    def with_splits(self, splits: dict[str, Split]) -> Self:
        """Return this data set with other splits."""
        return replace(self, splits=splits)

    def by_label(self, by_class: Mapping[Any, V]) -> dict[int, V]:
        """Return what was given class by class (a weight, say) by label.

        Parameters
        ----------
        by_class : mapping
            A key is a class's name; or its label, a number or text that is no class's name.

        Raises
        ------
        UsageError
            For a key that is no class, or two keys for one.
        """
        by_label: dict[int, V] = {}
        for key, value in by_class.items():
            label = self._label(key)
            if label in by_label:
                raise UsageError(f"{self.source}: class {self.classes[label]!r} is given twice, by "
                                 "its name and by its number")  # fmt: skip
            by_label[label] = value
        return by_label

    def describe(self) -> str:
        """Return how many classes there are, and how many items each split has, on one line."""
        sizes = ", ".join(f"{name} {len(split):,}" for name, split in self.splits.items())
        return f"{len(self.classes):,} classes; {self.item}s: {sizes}"

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Return by class how many items each split has of it."""
        count = {
            name: np.bincount(split.labels, minlength=len(self.classes)).tolist()
            for name, split in self.splits.items()
        }
        return {
            c: {name: count[name][label] for name in count} for label, c in enumerate(self.classes)
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.describe()}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: name, classes, and how many items each split has."""
        rows = []
        for name, split in self.splits.items():
            counts = np.bincount(split.labels, minlength=len(self.classes))
            there = counts[counts > 0]
            span = f"{there.min():,}–{there.max():,}" if len(there) else "–"
            rows.append((name, f"{len(split):,}", f"{len(there):,}", span))
        about = [
            ("dataset", self.name),
            ("source", self.source),
            ("classes", f"{len(self.classes):,}: {self._first_classes()}"),
            *(("to look at", line) for line in self.problems),
        ]
        headings = ("split", f"{self.item}s", "classes", f"{self.item}s a class")
        return shown_in_notebook(facts(about), numbers(headings, rows))

    def _first_classes(self) -> str:
        return ", ".join(self.classes[:10]) + (", …" if len(self.classes) > 10 else "")

    def _label(self, key: Any) -> int:
        if str(key) in self.classes:
            return self.classes.index(str(key))
        if str(key).isdecimal() and int(key) < len(self.classes):
            return int(key)
        raise UsageError(
            f"{self.source}: has no class {key!r}{did_you_mean(str(key), self.classes)} "
            f"Classes: {self._first_classes()}"
        )

"""What is wrong with a data set: copies and near-copies across splits, labels, broken files.

Near-copies are found by a difference hash (Krawetz 2013, "Kind of like that"): 64 bits that say
where brightness rises along each row of a 9×8 thumbnail. Two pictures are near-copies when their
hashes differ in at most two bits and their 16×16 grey thumbnails correlate by 0.97 or more (so a
change of brightness or contrast hides none). A picture with hardly any structure, or with a side
under 16 pixels, is compared by content alone.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featbench.datasets._dataset import Dataset, Picture
from featbench.datasets._decode import decode
from featbench.datasets._splits import split_groups
from featbench.errors import BrokenImageError
from featbench.machine import cores
from featbench.progress import SILENT, Reporter

NEAR_BITS = 2
NEAR_CORRELATION = 0.97
PLAIN_BITS = 4
LEAST_SIDE = 16
TINY_CLASS = 5


@dataclass(frozen=True)
class Member:
    """One image of a group."""

    split: str
    id: str
    label: str


@dataclass
class Audit:
    """What an audit found.

    Parameters
    ----------
    duplicates, near_duplicates : list of list of Member
        Sets of images with the same content, and with nearly the same picture.
    split_groups : list of (group, splits)
        Groups of the data set's own (patients, say) that lie in more than one split.
    broken : list of (split, id, reason)
        Images that cannot be decoded.
    missing : list of path
        Files that a table names and that are not there.
    left_out : list of str
        What else of the source was not read, a line each (an empty class folder).
    absent : list of (split, class)
        Classes without an image in a split.
    tiny : list of (class, count)
        Classes with fewer than five training images.
    """

    duplicates: list[list[Member]] = field(default_factory=list)
    near_duplicates: list[list[Member]] = field(default_factory=list)
    split_groups: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    broken: list[tuple[str, str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    absent: list[tuple[str, str]] = field(default_factory=list)
    tiny: list[tuple[str, int]] = field(default_factory=list)

    @property
    def leaks(self) -> list[list[Member]]:
        """Sets of copies, exact or near, that lie in more than one split."""
        groups = [*self.duplicates, *self.near_duplicates]
        return [g for g in groups if len({m.split for m in g}) > 1]

    @property
    def conflicts(self) -> list[list[Member]]:
        """Sets with the same content and different labels."""
        return [g for g in self.duplicates if len({m.label for m in g}) > 1]

    def counts(self) -> dict[str, int]:
        """Return how much of each kind was found."""
        return {
            "duplicates": len(self.duplicates),
            "near_duplicates": len(self.near_duplicates),
            "leaks": len(self.leaks),
            "conflicting_labels": len(self.conflicts),
            "split_groups": len(self.split_groups),
            "broken": len(self.broken),
            "missing": len(self.missing),
            "left_out": len(self.left_out),
            "absent_classes": len(self.absent),
            "tiny_classes": len(self.tiny),
        }


def audit(dataset: Dataset, reporter: Reporter = SILENT) -> Audit:
    """Look at every image of a data set once.

    Parameters
    ----------
    dataset : Dataset
        What to look at.
    reporter : Reporter
        Is told of progress.
    """
    found = Audit(missing=list(dataset.missing), left_out=list(dataset.left_out))
    members, digests, pictures = _all(dataset)
    groups = defaultdict(list)
    for member, digest in zip(members, digests, strict=True):
        groups[digest].append(member)
    found.duplicates = [group for group in groups.values() if len(group) > 1]

    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    hashes, thumbnails, seen = [], [], []
    looks = _looks([pictures[i] for i in first.values()], reporter)
    for (digest, i), look in zip(first.items(), looks, strict=True):
        if isinstance(look, BrokenImageError):
            found.broken += [(m.split, m.id, str(look)) for m in groups[digest]]
        elif look is not None:
            hashes.append(look[0])
            thumbnails.append(look[1])
            seen.append(i)
    for rows in near_groups(np.array(hashes, dtype=np.uint64), np.array(thumbnails)):
        found.near_duplicates.append([m for row in rows for m in groups[digests[seen[row]]]])

    found.split_groups = list(split_groups(dataset.splits).items())
    for name, split in dataset.splits.items():
        count = Counter(split.labels.tolist())
        found.absent += [(name, c) for i, c in enumerate(dataset.classes) if not count[i]]
        if name == "train":
            few = [(c, count[i]) for i, c in enumerate(dataset.classes)]
            found.tiny = [(c, n) for c, n in few if n < TINY_CLASS]
    return found


def _all(dataset: Dataset) -> tuple[list[Member], list[str], list[Picture]]:
    members, digests, pictures = [], list[str](), list[Picture]()
    for name, split in dataset.splits.items():
        labels = [dataset.classes[label] for label in split.labels]
        members += [Member(name, i, c) for i, c in zip(split.ids, labels, strict=True)]
        digests += split.digests
        pictures += split.pictures
    return members, digests, pictures


Look = tuple[int, NDArray[np.uint8]]
"""A picture's difference hash and its thumbnail (16, 16)."""


def _looks(
    pictures: Sequence[Picture], reporter: Reporter
) -> Iterable[Look | BrokenImageError | None]:
    def look(picture: Picture) -> Look | BrokenImageError | None:
        try:
            image = decode(picture.raw()).convert("L")
            if min(image.size) < LEAST_SIDE:
                return None
            code = difference_hash(image)
            if not PLAIN_BITS <= code.bit_count() <= 64 - PLAIN_BITS:
                return None
            return code, np.asarray(image.resize((16, 16), Image.Resampling.BOX))
        except BrokenImageError as error:
            return error
        except OSError as error:
            return BrokenImageError(error.strerror or str(error))

    with ThreadPoolExecutor(cores()) as pool, reporter.bar("look", len(pictures)) as bar:
        for found in pool.map(look, pictures):
            bar.advance(1)
            yield found


def difference_hash(image: Image.Image) -> int:
    """Return 64 bits: whether each of 8×8 thumbnail pixels is darker than the one to its right.

    Parameters
    ----------
    image : Image
        Any size.
    """
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX)).astype(np.int16)
    bits = np.packbits(small[:, :-1] < small[:, 1:])
    return int.from_bytes(bits.tobytes(), "big")


def near_groups(
    hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8] | None = None
) -> list[list[int]]:
    """Return groups of rows that are linked by steps between near-copies.

    Two hashes that differ in two bits agree in at least one of three parts: only rows that share a
    part are compared.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (n,)
        Near-copies differ in at most two bits,
    thumbnails : ndarray of uint8, shape (n, 16, 16), optional
        and correlate by 0.97 or more.
    """
    shapes = None
    if thumbnails is not None and len(hashes):
        shapes = thumbnails.reshape(len(hashes), -1).astype(np.float32)
        shapes -= shapes.mean(axis=1, keepdims=True)
        shapes /= np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-6)
    parent = list(range(len(hashes)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for shift, width in ((0, 22), (22, 21), (43, 21)):
        part = (hashes >> np.uint64(shift)) & np.uint64(2**width - 1)
        order = np.argsort(part, kind="stable")
        edges = np.flatnonzero(np.diff(part[order])) + 1
        for bucket in np.split(order, edges):
            for number, row in enumerate(bucket[:-1]):
                others = bucket[number + 1 :]
                near = others[np.bitwise_count(hashes[others] ^ hashes[row]) <= NEAR_BITS]
                if shapes is not None:
                    near = near[shapes[near] @ shapes[row] >= NEAR_CORRELATION]
                for other in near:
                    parent[root(int(other))] = root(int(row))
    groups = defaultdict(list)
    for row in range(len(hashes)):
        groups[root(row)].append(row)
    return [rows for rows in groups.values() if len(rows) > 1]


def fixed_splits(dataset: Dataset, found: Audit) -> str:
    """Return a CSV table in which neither copies nor groups are split, and no image is broken.

    Copies, near-copies and a group of the data set's own stay together: all go where most of them
    are; of equals, to the first of train, val, test.

    Parameters
    ----------
    dataset : Dataset
        A folder's: its ids are paths.
    found : Audit
        Of that data set.
    """
    side = {(name, i): name for name, split in dataset.splits.items() for i in split.ids}
    own = defaultdict(list)
    group_of: dict[str, str] = {}
    for name, split in dataset.splits.items():
        for i, label, group in zip(split.ids, split.labels, split.groups or (), strict=False):
            own[group].append(Member(name, i, dataset.classes[label]))
            group_of[i] = group
    for together in _joined([*own.values(), *found.duplicates, *found.near_duplicates]):
        order = sorted({m.split for m in together}, key=lambda s: ["train", "val", "test"].index(s))
        count = Counter(m.split for m in together)
        goal = max(order, key=lambda s: count[s])
        first = together[0].id
        for member in together:
            side[member.split, member.id] = goal
            group_of[member.id] = group_of.get(first, first)
    broken = {(split, i) for split, i, _ in found.broken}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "label", "split", "group"])
    for name, split in dataset.splits.items():
        for i, label in zip(split.ids, split.labels, strict=True):
            if (name, i) not in broken:
                path = str(Path(dataset.root or ".", i))
                table.writerow([path, dataset.classes[label], side[name, i], group_of.get(i, i)])
    return text.getvalue()


def _joined(groups: list[list[Member]]) -> list[list[Member]]:
    """Join sets that share an image."""
    now: dict[Member, dict[Member, None]] = {}
    for group in groups:
        mine = dict.fromkeys(group)
        for other in {id(one): one for m in group if (one := now.get(m))}.values():
            mine |= other
        now |= dict.fromkeys(mine, mine)
    return [list(one) for one in {id(one): one for one in now.values()}.values()]

"""Splits that hang on each image's id (or group) alone: adding an image moves no other."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from featbench.datasets._dataset import Dataset, Split
from featbench.errors import UsageError

D = TypeVar("D", bound=Dataset)

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.2
"""Of train, about so much is held out to choose on where the source has no val split."""


def _position(key: str, purpose: str, seed: int) -> float:
    """Return the place of ``key`` in [0, 1), the same on every machine and in every run."""
    encoded = f"{purpose}\0{seed}\0{key}".encode("utf-8", "surrogateescape")
    hashed = hashlib.sha256(encoded).digest()
    return int.from_bytes(hashed[:8], "big") / 2**64


def split_off(
    split: Split, share: float, *, seed: int = 0, purpose: str = "val"
) -> tuple[Split, Split]:
    """Divide a split in two by a hash of each image's id, or of its group.

    The hash is uniform, so every class is divided in the same proportion on average; sizes are
    approximate (of twenty images a share of 0.2 takes one to eight), and that is the price of a
    side that no other image can change. With so few ids
    or groups that a part were empty, it gets the one that hashes nearest.

    Parameters
    ----------
    split : Split
        The images to divide.
    share : float
        About this share of the images, or of the groups, goes to the second part; 0 to 1.
    seed : int
        The split seed.
    purpose : str
        Divisions for different purposes are independent.

    Returns
    -------
    kept, taken : Split
        The larger and the smaller part.
    """
    keys = split.groups or split.ids
    places = np.array([_position(key, purpose, seed) for key in keys])
    taken = places < share
    if len(np.unique(places)) > 1:  # neither part is empty, however few there are
        taken = (taken | (places == places.min())) & (places < places.max())
    return split.take(np.flatnonzero(~taken)), split.take(np.flatnonzero(taken))


def limit_per_class(split: Split, limit: int) -> Split:
    """Keep the ``limit`` images of each class whose id hashes lowest, in their old order."""
    return _lowest(split, limit, "limit", 0)


def draw_per_class(split: Split, count: int, *, seed: int) -> Split:
    """Draw images of each class: those whose id, hashed with the seed, comes first.

    Parameters
    ----------
    split : Split
        All images; their order stays.
    count : int
        So many of each class, or all that there are.
    seed : int
        Which draw.
    """
    return _lowest(split, count, "draw", seed)


def draw_in_all(split: Split, count: int, *, seed: int) -> Split:
    """Draw images whatever their class: those whose id, hashed with the seed, comes first.

    Parameters
    ----------
    split : Split
        All images; their order stays.
    count : int
        So many, or all that there are.
    seed : int
        Which draw.
    """
    hashes = np.array([_position(name, "draw", seed) for name in split.ids])
    return split.take(np.sort(np.argsort(hashes, kind="stable")[:count]))


def _lowest(split: Split, count: int, purpose: str, seed: int) -> Split:
    hashes = np.array([_position(name, purpose, seed) for name in split.ids])
    kept: list[NDArray[np.intp]] = []
    for label in np.unique(split.labels):
        rows = np.flatnonzero(split.labels == label)
        kept.append(rows[np.argsort(hashes[rows], kind="stable")[:count]])
    return split.take(np.sort(np.concatenate(kept))) if kept else split


def settle_splits(
    dataset: D, *, split_seed: int, limit: int | None, test_share: float | None = None
) -> D:
    """Give a data set its train and test split, and keep ``limit`` images of each class of each.

    Parameters
    ----------
    dataset : Dataset
        As its source has it: at least ``train``.
    split_seed : int
        Decides which images become the test split where the source has none.
    limit : int or None
        Images a class and split; None keeps all.
    test_share : float, optional
        About so many of the images or groups, where the source has no test split; by default a
        fifth.

    Raises
    ------
    UsageError
        When there is nothing to train on, or one class only.
    """
    splits, notices = dict(dataset.splits), list(dataset.notices)
    if not splits.get("train"):
        raise UsageError(
            f"{dataset.source}: no image is there to train on; put images into at least two class "
            "folders (DATA/CLASS/IMAGE, or DATA/train/CLASS/IMAGE)"
        )
    if len(dataset.classes) < 2:
        raise UsageError(
            f"{dataset.source}: only one class ({dataset.classes[0]!r}) has images; "
            "a classifier needs at least two class folders"
        )
    if limit is not None:
        splits = {name: limit_per_class(split, limit) for name, split in splits.items()}
    if "test" not in splits and "val" in splits:
        splits["test"] = splits.pop("val")
        notices.append("no test split in the source: its val split is the test split")
    made = "test" not in splits
    if made:
        train, test = split_off(
            splits["train"], test_share or TEST_SHARE, seed=split_seed, purpose="test"
        )
        splits |= {"train": train, "test": test}
        notices.append(_held_out(dataset, splits, test_share))
    splits = {name: splits[name] for name in ("train", "val", "test") if name in splits}
    problems = list(dataset.problems)
    for name in ("train", "test"):
        present = set(splits[name].labels.tolist())
        absent = [c for label, c in enumerate(dataset.classes) if label not in present]
        if absent:
            shown = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
            have = "has" if len(absent) == 1 else "have"
            problems.append(
                f"{len(absent)} of {len(dataset.classes)} classes {have} no {name} {dataset.item}: "
                f"{shown}; {_next_step(dataset, name, test_share or TEST_SHARE if made else None)}"
            )
    if parted := split_groups(splits):
        group, sides = next(iter(parted.items()))
        problems.append(
            f"{len(parted)} of {_n_groups(splits)} groups {'is' if len(parted) == 1 else 'are'} in "
            f"more than one split (first: {group} in {', '.join(sides)}): accuracy comes out "
            "too high; mend the column split, or leave it out: groups then stay together"
        )
    return replace(dataset, splits=splits, notices=tuple(notices), problems=tuple(problems))


def split_groups(splits: Mapping[str, Split]) -> dict[str, tuple[str, ...]]:
    """Return the groups that lie in more than one split, each with the names of its splits.

    Parameters
    ----------
    splits : mapping of str to Split
        All of a data set's. An image without a group is its own, and lies in one split.
    """
    sides: dict[str, dict[str, None]] = {}
    for name, split in splits.items():
        for group in split.groups or ():
            sides.setdefault(group, {})[name] = None
    return {group: tuple(names) for group, names in sides.items() if len(names) > 1}


def _n_groups(splits: Mapping[str, Split]) -> int:
    return len({group for split in splits.values() for group in split.groups or ()})


def _held_out(dataset: Dataset, splits: Mapping[str, Split], share: float | None) -> str:
    """Say how the test split was made, and how unequally it fell on the classes."""
    why = "no test split in the source" if share is None else f"test={share:g}"
    part = "about a fifth" if share is None else f"about {100 * share:g}%"
    train, test = splits["train"], splits["test"]
    counts = np.bincount(test.labels, minlength=len(dataset.classes))
    least, most = counts.min(), counts.max()
    size = f"{len(test):,} {dataset.item}{'' if len(test) == 1 else 's'}"
    size += f", {least:,} a class" if least == most else f", {least:,} to {most:,} a class"
    if train.groups is None:
        return f"{why}: {part} ({size}, by a hash of the id) is the test split"
    n = [_n_groups({"": split}) for split in (test, train)]
    return (
        f"{why}: {part} of the groups, each of them whole ({n[0]:,} of {sum(n):,} groups: {size}; "
        "by a hash of the group), is the test split"
    )


def _next_step(dataset: Dataset, name: str, made: float | None) -> str:
    """Say what gives a class images in a split; ``made`` is the share where featbench made it."""
    pictures = dataset.item == "image"
    if made is None:
        return f"put some of their {dataset.item}s into {name}"
    steps = [f"give a split of your own ({'folders or ' if pictures else ''}a column split)"]
    if pictures and name == "test" and made < 0.5:
        source = dataset.source.partition(":test=")[0]
        steps.append(f"a larger share ({source}:test={0.3 if made < 0.3 else 0.5})")
    return f"{', '.join(steps)} or another --split-seed"


def with_validation(dataset: D, *, share: float = VALIDATION_SHARE, split_seed: int = 0) -> D:
    """Return the data set with a ``val`` split: its own, else a share of train.

    Parameters
    ----------
    dataset : Dataset
        With a train split.
    share : float
        About this share of train is held out where the source has no ``val``.
    split_seed : int
        Decides which.
    """
    if dataset.val is not None and len(dataset.val):
        return dataset
    train, val = split_off(dataset.train, share, seed=split_seed, purpose="val")
    return dataset.with_splits({**dataset.splits, "train": train, "val": val})

"""What the trained part of a network takes: cached values at the cut, or pixels."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from featbench.augmentation import NO_AUGMENTATION
from featbench.datasets import Dataset, Split
from featbench.errors import FeatbenchError
from featbench.extraction import Decoder, Features, Item, batches, extract
from featbench.finetune._budget import CACHED, storage_at
from featbench.finetune._decoded import Decoded, decoded_once
from featbench.finetune._training_rows import FreshViews, KeptViews, Pictures, TrainingRows, Wanted
from featbench.networks import Network
from featbench.progress import Reporter


@dataclass(frozen=True)
class Inputs:
    """One tensor for each split, and what getting them cost.

    Parameters
    ----------
    dataset : Dataset
        Without the images that could not be decoded.
    tensors : dict of str to Tensor
        Values at the cut (n, ...), or pixels (n, height, width, channels) uint8. Values are
        float16; float32 at the features, and where a row of the split does not fit float16. The
        pixels of training images that are augmented are ``Pictures``.
    skipped : tuple of (str, str)
        Id and reason for every image that cannot be decoded.
    costs : dict
        ``extract_seconds``, ``extract_seconds_cold``, ``rows_computed``, ``rows_cached``; and
        ``engine``, where one ran the frozen part. For pixels the seconds of decoding, and no rows.
    seconds_each : float
        What one image took without views, and with nothing cached.
    prefix : str
        How the frozen part is run, as ``choose_prefix`` says.
    training : TrainingRows, optional
        What epochs are trained on, where that is not ``tensors["train"]``.
    """

    dataset: Dataset
    tensors: dict[str, Any]
    skipped: tuple[tuple[str, str], ...]
    costs: dict[str, Any]
    seconds_each: float
    prefix: str
    training: TrainingRows | None = None


def load_inputs(
    dataset: Dataset,
    network: Network,
    at: str,
    prefix: str,
    *,
    precision: str,
    cache: str,
    device: str,
    strict: bool,
    reporter: Reporter,
    wanted: Wanted | None = None,
) -> Inputs:
    """Return what the part of ``network`` above the cut ``at`` takes, or what that is made from.

    Parameters
    ----------
    dataset : Dataset
        The images.
    network : Network
        Of which what lies below ``at`` is frozen.
    at : str
        A place of it, or ``pixels``.
    prefix : str
        As ``choose_prefix`` says: ``cached`` values come through the feature store, where each
        image is run once; else the decoded pixels are held in memory.
    precision : str
        Of the frozen part's forward: ``float32`` or ``bfloat16``.
    cache, device, strict, reporter
        As in ``extract``.
    wanted : Wanted, optional
        What training rows are to be; by default the images themselves.
    """
    if wanted is not None and not wanted.anything:
        wanted = None
    if prefix != CACHED:
        return _pixels(dataset, network, prefix, strict, reporter, wanted)
    run = functools.partial(
        extract,
        network=network,
        layer=at,
        pooling="none",
        precision=precision,
        storage=storage_at(at),
        cache=cache,
        device=device,
        strict=strict,
        reporter=reporter,
    )
    found = run(dataset)
    more = _views_at_cut(found, run, wanted) if wanted is not None else []
    ways = [torch.from_numpy(part.train.X) for part in more]
    if wanted is not None and wanted.recipes[0] == NO_AUGMENTATION:
        ways.insert(0, torch.from_numpy(found.train.X))
    # a single view has no dimension of its own
    several = [way if way.ndim > found.train.X.ndim else way[:, None] for way in ways]
    every = [found, *more]
    return Inputs(
        found.dataset,
        {name: torch.from_numpy(part.X) for name, part in found.splits.items()},
        found.skipped,
        {
            "extract_seconds": sum(part.seconds for part in every),
            "extract_seconds_cold": sum(part.seconds_cold for part in every),
            "rows_computed": sum(part.rows_computed for part in every),
            "rows_cached": sum(part.rows_cached for part in every),
            "engine": found.engine,
        },
        found.seconds_cold / max(1, found.rows_total),
        prefix,
        KeptViews(several) if several else None,
    )


def _views_at_cut(found: Features, run: Callable[..., Features], wanted: Wanted) -> list[Features]:
    """Run views of the training images that could be decoded through the frozen part, once."""
    train = found.dataset.with_splits({"train": found.dataset.train})
    augmented = wanted.recipes[0] != NO_AUGMENTATION
    views = wanted.views if augmented else 1  # a copy's exact steps give the same each time
    every = [
        run(train, views=views, augment=recipe, view_seed=wanted.seed if augmented else 0)
        for recipe in wanted.recipes
        if recipe != NO_AUGMENTATION
    ]
    for name, reason in (pair for part in every for pair in part.skipped):
        raise FeatbenchError(f"{name}: {gone(reason)}")  # else rows would get other images' labels
    return every


def _pixels(
    dataset: Dataset,
    network: Network,
    prefix: str,
    strict: bool,
    reporter: Reporter,
    wanted: Wanted | None,
) -> Inputs:
    began = time.perf_counter()
    tensors: dict[str, Any] = {}
    kept, skipped, cold = {}, [], 0.0
    for name, split in dataset.splits.items():
        decode = _resize_all if wanted is not None and name == "train" else _decode_all
        make = functools.partial(decode, split, network, f"decode {name}", reporter)
        found = decoded_once(decode.__name__, split.digests, network.preprocessing, make)
        rows, broken = _sorted_out(split, found.broken, len(found.pixels))
        tensors[name] = found.pixels
        if decode is _resize_all:
            contents = tuple(split.digests[i] for i in rows)
            tensors[name] = Pictures(found.pixels, contents, network.preprocessing)
        kept[name] = split.take(rows) if broken else split
        skipped += list(broken.items())
        cold += found.seconds
    if strict and skipped:
        first, reason = skipped[0]
        raise FeatbenchError(f"{dataset.source}: {first} cannot be decoded ({reason})")
    each = cold / max(1, sum(map(len, kept.values())))
    costs = {"extract_seconds": time.perf_counter() - began, "extract_seconds_cold": cold}
    costs |= dict.fromkeys(("rows_computed", "rows_cached"), 0)
    training = None
    if wanted is not None:
        training = FreshViews(tensors["train"], wanted.recipes, wanted.seed, wanted.threads)
    return Inputs(dataset.with_splits(kept), tensors, tuple(skipped), costs, each, prefix, training)


def _decode_all(split: Split, network: Network, label: str, reporter: Reporter) -> Decoded:
    """Return all pixels in memory, and which images are broken."""
    began = time.perf_counter()
    channels, height, width = network.preprocessing.shape
    whole = np.empty((len(split), height, width, channels), np.uint8)
    decoder = Decoder(network.preprocessing)
    items = [Item(d, p) for d, p in zip(split.digests, split.pictures, strict=True)]
    done = 0
    with reporter.bar(label, len(split)) as bar:
        for keys, pixels in batches(decoder.in_turns(items, 256), 256):
            whole[done : done + len(keys)] = pixels
            done += len(keys)
            bar.advance(len(keys))
    decoded = torch.from_numpy(whole[:done])
    return Decoded(decoded, dict(decoder.broken), time.perf_counter() - began, whole.nbytes)


def _resize_all(split: Split, network: Network, label: str, reporter: Reporter) -> Decoded:
    """As ``_decode_all``, but before the crop: pictures that views are cut from."""
    began = time.perf_counter()
    decoder = Decoder(network.preprocessing)
    items = [Item(d, p) for d, p in zip(split.digests, split.pictures, strict=True)]
    pixels = []
    with reporter.bar(label, len(split)) as bar:
        for _, picture in decoder.resized(items):
            pixels.append(picture)
            bar.advance(1)
    size = sum(picture.nbytes for picture in pixels)
    return Decoded(pixels, dict(decoder.broken), time.perf_counter() - began, size)


def _sorted_out(
    split: Split, broken: dict[str, str], done: int
) -> tuple[list[int], dict[str, str]]:
    """Return which images were decoded, so many, and why the others are broken, by id."""
    rows = [i for i, name in enumerate(split.digests) if name not in broken]
    reasons = {split.ids[i]: broken[name] for i, name in enumerate(split.digests) if name in broken}
    if len(rows) != done:  # of two files with one content one was still there
        name, reason = next(iter(reasons.items()))
        raise FeatbenchError(f"{name}: {gone(reason)}")
    return rows, reasons


def gone(reason: str) -> str:
    """Say of an image that was there when the data were read that it no longer is, and why."""
    return f"can no longer be read ({reason}); load the data again, or run the same command again"

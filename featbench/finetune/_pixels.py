"""Decoded pictures for training from the pixels, or through a frozen part on every batch."""

import functools
import time
from typing import Any

import numpy as np
import torch

from featbench.datasets import Dataset, Split
from featbench.errors import FeatbenchError
from featbench.extraction import Decoder, Item, batches
from featbench.finetune._decoded import Decoded, decoded_once
from featbench.finetune._inputs import Inputs, gone
from featbench.finetune._training_rows import FreshViews, Pictures, Wanted
from featbench.finetune._undecoded import Undecoded, threads_decoding
from featbench.networks import Network
from featbench.progress import Reporter


def load_pixels(
    dataset: Dataset,
    network: Network,
    prefix: str,
    *,
    hold: bool,
    strict: bool,
    reporter: Reporter,
    wanted: Wanted | None = None,
) -> Inputs:
    """Return the pixels of a data set's images.

    Parameters
    ----------
    dataset : Dataset
        The images.
    network : Network
        Whose preprocessing they go through.
    prefix : str
        As in ``Inputs``.
    hold : bool
        Whether decoded pictures are held in memory. If not, each is decoded once now, so that
        broken ones are known, and again for every batch that it is in.
    strict, reporter
        As in ``extract``.
    wanted : Wanted, optional
        What training rows are to be; by default the images themselves.

    Raises
    ------
    FeatbenchError
        With ``strict``, when an image cannot be decoded.
    """
    began = time.perf_counter()
    tensors: dict[str, Any] = {}
    kept, skipped, cold = {}, [], 0.0
    for name, split in dataset.splits.items():
        resized = wanted is not None and name == "train"
        decode = (_resize_all if resized else _decode_all) if hold else _look_at_all
        make = functools.partial(decode, split, network, f"decode {name}", reporter)
        found = decoded_once(decode.__name__, split.digests, network.preprocessing, make)
        rows, broken = _sorted_out(split, found)
        kept[name] = split.take(rows) if broken else split
        tensors[name] = found.pixels
        if not hold:
            tensors[name] = Undecoded(kept[name], network.preprocessing)
        elif resized:
            tensors[name] = Pictures(found.pixels, kept[name].digests, network.preprocessing)
        skipped += list(broken.items())
        cold += found.seconds
    if strict and skipped:
        first, reason = skipped[0]
        raise FeatbenchError(f"{dataset.source}: {first} cannot be decoded ({reason})")
    # where pictures are not held, asking decodes them, and has that in its own time
    each = cold / max(1, sum(map(len, kept.values()))) if hold else 0.0
    costs = {"extract_seconds": time.perf_counter() - began, "extract_seconds_cold": cold}
    costs |= dict.fromkeys(("rows_computed", "rows_cached"), 0)
    training = None
    if wanted is not None:
        threads = wanted.threads if hold else max(wanted.threads, threads_decoding())
        training = FreshViews(tensors["train"], wanted.recipes, wanted.seed, threads)
    return Inputs(dataset.with_splits(kept), tensors, tuple(skipped), costs, each, prefix, training)


def _decode_all(split: Split, network: Network, label: str, reporter: Reporter) -> Decoded:
    """Return all pixels in memory, and which images are broken."""
    began = time.perf_counter()
    channels, height, width = network.preprocessing.shape
    whole = np.empty((len(split), height, width, channels), np.uint8)
    decoder = Decoder(network.preprocessing)
    done = 0
    with reporter.bar(label, len(split)) as bar:
        for keys, pixels in batches(decoder.in_turns(_items(split), 256), 256):
            whole[done : done + len(keys)] = pixels
            done += len(keys)
            bar.advance(len(keys))
    decoded, seconds = torch.from_numpy(whole[:done]), time.perf_counter() - began
    return Decoded(decoded, done, dict(decoder.broken), seconds, whole.nbytes)


def _resize_all(split: Split, network: Network, label: str, reporter: Reporter) -> Decoded:
    """As ``_decode_all``, but before the crop: pictures that views are cut from."""
    began = time.perf_counter()
    decoder = Decoder(network.preprocessing)
    pixels = []
    with reporter.bar(label, len(split)) as bar:
        for _, picture in decoder.resized(_items(split)):
            pixels.append(picture)
            bar.advance(1)
    size, seconds = sum(picture.nbytes for picture in pixels), time.perf_counter() - began
    return Decoded(pixels, len(pixels), dict(decoder.broken), seconds, size)


def _look_at_all(split: Split, network: Network, label: str, reporter: Reporter) -> Decoded:
    """Return which images are broken, and keep none."""
    began = time.perf_counter()
    decoder = Decoder(network.preprocessing)
    done = 0
    with reporter.bar(label, len(split)) as bar:
        for keys, _ in decoder.in_turns(_items(split), 256):
            done += len(keys)
            bar.advance(len(keys))
    return Decoded(None, done, dict(decoder.broken), time.perf_counter() - began, 0)


def _items(split: Split) -> list[Item]:
    return [Item(d, p) for d, p in zip(split.digests, split.pictures, strict=True)]


def _sorted_out(split: Split, found: Decoded) -> tuple[list[int], dict[str, str]]:
    """Return which images were decoded, and why the others are broken, by id."""
    broken = found.broken
    rows = [i for i, name in enumerate(split.digests) if name not in broken]
    reasons = {split.ids[i]: broken[name] for i, name in enumerate(split.digests) if name in broken}
    if len(rows) != found.count:  # of two files with one content one was still there
        name, reason = next(iter(reasons.items()))
        raise FeatbenchError(f"{name}: {gone(reason)}")
    return rows, reasons

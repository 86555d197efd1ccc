"""What the trained part of a network takes: cached values at the cut, or pixels."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from featbench.datasets import Dataset, Split
from featbench.errors import FeatbenchError
from featbench.extraction import Decoder, Item, batches, extract
from featbench.networks import PIXELS, Network
from featbench.progress import Reporter


@dataclass(frozen=True)
class Inputs:
    """One tensor for each split, and what getting them cost.

    Parameters
    ----------
    dataset : Dataset
        Without the images that could not be decoded.
    tensors : dict of str to Tensor
        Values at the cut (n, ...) float32, or pixels (n, height, width, channels) uint8.
    skipped : tuple of (str, str)
        Id and reason for every image that cannot be decoded.
    costs : dict
        ``extract_seconds``, ``extract_seconds_cold``, ``rows_computed``, ``rows_cached``; for
        pixels the seconds of decoding, and no rows.
    """

    dataset: Dataset
    tensors: dict[str, torch.Tensor]
    skipped: tuple[tuple[str, str], ...]
    costs: dict[str, Any]


def load_inputs(
    dataset: Dataset,
    network: Network,
    at: str,
    *,
    cache: str,
    device: str,
    strict: bool,
    reporter: Reporter,
) -> Inputs:
    """Return what the part of ``network`` above the cut ``at`` takes.

    The frozen part runs once for each image, through the feature store; where nothing is frozen the
    decoded pixels themselves are held in memory.
    """
    if at == PIXELS:
        return _pixels(dataset, network, strict, reporter)
    found = extract(
        dataset,
        network,
        layer=at,
        pooling="none",
        cache=cache,
        device=device,
        strict=strict,
        reporter=reporter,
    )
    return Inputs(
        found.dataset,
        {name: torch.from_numpy(part.X) for name, part in found.splits.items()},
        found.skipped,
        {
            "extract_seconds": found.seconds,
            "extract_seconds_cold": found.seconds_cold,
            "rows_computed": found.rows_computed,
            "rows_cached": found.rows_cached,
        },
    )


def _pixels(dataset: Dataset, network: Network, strict: bool, reporter: Reporter) -> Inputs:
    began = time.perf_counter()
    tensors, kept, skipped = {}, {}, []
    for name, split in dataset.splits.items():
        tensors[name], rows, broken = _decode_all(split, network, f"decode {name}", reporter)
        kept[name] = split.take(rows) if broken else split
        skipped += list(broken.items())
    if strict and skipped:
        first, reason = skipped[0]
        raise FeatbenchError(f"{dataset.source}: {first} cannot be decoded ({reason})")
    seconds = time.perf_counter() - began
    costs = {"extract_seconds": seconds, "extract_seconds_cold": seconds}
    costs |= dict.fromkeys(("rows_computed", "rows_cached"), 0)
    return Inputs(dataset.with_splits(kept), tensors, tuple(skipped), costs)


def _decode_all(
    split: Split, network: Network, label: str, reporter: Reporter
) -> tuple[torch.Tensor, list[int], dict[str, str]]:
    """Return all pixels in memory, which images they are, and why the others are broken."""
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
    rows = [i for i, name in enumerate(split.digests) if name not in decoder.broken]
    broken = {
        split.ids[i]: decoder.broken[name]
        for i, name in enumerate(split.digests)
        if name in decoder.broken
    }
    return torch.from_numpy(whole[:done]), rows, broken

"""What the trained part of a network takes: cached values at the cut, or pixels."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from featbench.datasets import Dataset, Split
from featbench.errors import FeatbenchError
from featbench.extraction import Decoder, Item, batches, extract
from featbench.finetune._budget import CACHED, storage_at
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
        float16; float32 at the features, and where a row of the split does not fit float16.
    skipped : tuple of (str, str)
        Id and reason for every image that cannot be decoded.
    costs : dict
        ``extract_seconds``, ``extract_seconds_cold``, ``rows_computed``, ``rows_cached``; and
        ``engine``, where one ran the frozen part. For pixels the seconds of decoding, and no rows.
    prefix : str
        How the frozen part is run, as ``choose_prefix`` says.
    """

    dataset: Dataset
    tensors: dict[str, torch.Tensor]
    skipped: tuple[tuple[str, str], ...]
    costs: dict[str, Any]
    prefix: str


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
    """
    if prefix != CACHED:
        return _pixels(dataset, network, prefix, strict, reporter)
    found = extract(
        dataset,
        network,
        layer=at,
        pooling="none",
        precision=precision,
        storage=storage_at(at),
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
            "engine": found.engine,
        },
        prefix,
    )


def _pixels(
    dataset: Dataset, network: Network, prefix: str, strict: bool, reporter: Reporter
) -> Inputs:
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
    return Inputs(dataset.with_splits(kept), tensors, tuple(skipped), costs, prefix)


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

"""Activation sparsity: the share of exact zeros that each activation makes on a data set."""

from dataclasses import dataclass
from typing import Any

import torch

from featbench.datasets import Dataset
from featbench.errors import FeatbenchError, UsageError, did_you_mean
from featbench.extraction._device import choose_device
from featbench.extraction._pipeline import Decoder, Item, batches
from featbench.networks import ActivationZeros, Network, ZeroCounter, create_network
from featbench.progress import SILENT, Reporter

_BURST = 8  # batches decoded at a time


@dataclass(frozen=True)
class Sparsity:
    """What ``activation_sparsity`` found.

    Parameters
    ----------
    rows : tuple of ActivationZeros
        One for each call of an activation that makes exact zeros, in the forward's order.
    left_out : dict of str to str
        Layers whose activation makes none, and which it is.
    images : int
        How many were run.
    skipped : tuple of (str, str)
        Id and reason of each image that cannot be decoded.
    """

    rows: tuple[ActivationZeros, ...]
    left_out: dict[str, str]
    images: int
    skipped: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        rows = [
            {"layer": r.layer, "kind": r.kind, "call": r.call, "zeros": r.zeros, "total": r.total,
             "share": r.share} for r in self.rows
        ]  # fmt: skip
        return {"rows": rows, "left_out": self.left_out, "images": self.images,
                "skipped": list(self.skipped)}  # fmt: skip


def activation_sparsity(
    network: Network | str,
    dataset: Dataset,
    *,
    split: str = "test",
    batch: int = 16,
    device: str = "auto",
    strict: bool = False,
    reporter: Reporter = SILENT,
) -> Sparsity:
    """Count the zeros of every activation call of a network, on a split's images.

    What counts is an activation that maps a whole interval to exactly 0: ReLU, ReLU6, Hardswish,
    Hardsigmoid, the shrinking ones, Hardtanh with a bound of 0 and Threshold with value 0, as
    modules or as functions. Others (GELU, SiLU, sigmoid, ELU, …) are 0 at a point at most; they are
    left out and named. A layer that is called twice in a forward has two rows. Zeros are counted in
    float32, in eval mode, on pixels as the network's preprocessing makes them.

    Parameters
    ----------
    network : Network or str
        As ``create_network`` gives it, or its name (with default weights).
    dataset : Dataset
        The images; each counts, copies too.
    split : str
        Which of its splits.
    batch : int
        Images a forward: of no effect on the counts but where rounding decides about a 0.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    strict : bool
        A broken image is an error.
    reporter : Reporter
        Is told of progress.

    Returns
    -------
    Sparsity

    Raises
    ------
    UsageError
        When there is no such split, or no image in it that can be decoded.
    FeatbenchError
        For a broken image, with ``strict``.
    """
    network = create_network(network) if isinstance(network, str) else network
    if split not in dataset.splits:
        raise UsageError(
            f"{dataset.source}: has no split {split!r}{did_you_mean(split, dataset.splits)} "
            f"Splits: {', '.join(dataset.splits)}"
        )
    images = dataset.splits[split]
    place = choose_device(device)
    module = network.module.to(place).to(memory_format=torch.channels_last)
    was_training = module.training
    decoder = Decoder(network.preprocessing)
    items = [Item(d, p) for d, p in zip(images.digests, images.pictures, strict=True)]
    counter, done = ZeroCounter(module.eval()), 0
    with (
        reporter.bar(f"activations of {network.name}", len(images)) as bar,
        counter.watching(),
        torch.inference_mode(),
    ):
        for keys, pixels in batches(decoder.in_turns(items, _BURST * batch), batch):
            module(network.preprocessing.normalise(torch.from_numpy(pixels).to(place)))
            done += len(keys)
            bar.advance(len(keys))
    module.train(was_training)
    skipped = tuple(
        (name, decoder.broken[content])
        for name, content in zip(images.ids, images.digests, strict=True)
        if content in decoder.broken
    )
    if skipped and (strict or not done):
        name, reason = skipped[0]
        raise FeatbenchError(f"{dataset.source}: {name} cannot be decoded ({reason})")
    if not done:
        raise UsageError(f"{dataset.source}: its split {split!r} is empty")
    return Sparsity(counter.rows(), counter.left_out(), done, skipped)

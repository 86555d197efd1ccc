"""Training the last blocks on values computed once, beside plain loops that run all every epoch.

    python benchmarks/speed/finetune.py grocery-41.zip

prints, for each cut, wall time whole and test accuracy of

- ours: ``FineTuneClassifier`` with an empty cache: opening, hashing, decoding, timing the engines,
  the frozen part once, training, predicting
- tuned: a plain loop with our machine settings (the allocator keeps its memory, denormal numbers
  count as zero) and channels_last: each epoch it decodes with PIL and torchvision's transforms, and
  runs the whole network, the frozen part under no_grad
- user: the same loop as it is first written: no settings, contiguous tensors

All follow one protocol: Adam, constant rate, batches of 32 in random order, cross-entropy; batch
norm of the frozen part in eval mode; after each epoch the loss on the validation images; the
weights of the epoch with the lowest are measured on the test images, once. At the rate of 1e-4 one
seed's losses are the same in every way but for the last digits; at 1e-3 rounding decides which
epoch is kept, and runs of one seed differ by up to three points. Each run is a fresh
process; times begin after imports and are medians over the seeds, accuracies means.
"""

import argparse
import copy
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torchvision import transforms

from featbench.datasets import Dataset, Split, decode, load_dataset, with_validation
from featbench.finetune import FineTuneClassifier
from featbench.machine import keep_memory
from featbench.networks import Network, create_network

WAYS = ("ours", "tuned", "user")
Measured = tuple[float, float, str]
"""Seconds, accuracy on the test images, and a remark."""


def ours(blocks: str, seed: int, options: argparse.Namespace) -> Measured:
    """Train with ``FineTuneClassifier`` and an empty cache."""
    began = time.perf_counter()
    dataset = load_dataset(options.data, limit=options.limit)
    with tempfile.TemporaryDirectory() as cache:
        model = FineTuneClassifier(
            options.network, "default", blocks, optimizer="adam", lr=options.lr, batch=32,
            epochs=options.epochs, seed=seed, precision=options.precision, amp=options.amp,
            cache=cache,
        )  # fmt: skip
        accuracy = model.fit(dataset).score(dataset.test)
    seconds = time.perf_counter() - began
    prefix = model.inputs_.costs["extract_seconds"]
    epochs = statistics.median(row["seconds"] for row in model.history_)
    remark = f"frozen part {prefix:.1f} s, {model.inputs_.costs['engine']}; epoch {epochs:.2f} s"
    return seconds, accuracy, remark


def plain(blocks: str, seed: int, options: argparse.Namespace, tuned: bool) -> Measured:
    """Train with a loop as people write it by hand."""
    if tuned:
        keep_memory()
        torch.set_flush_denormal(True)
    layout = torch.channels_last if tuned else torch.contiguous_format
    began = time.perf_counter()
    dataset = with_validation(load_dataset(options.data, limit=options.limit))
    network = create_network(options.network, classes=len(dataset.classes), seed=seed)
    network.module.to(memory_format=layout)
    cut = network.cut(network.place_of(blocks))
    loop = _Loop(network, cut.prefix, cut.suffix, layout)
    optimizer = torch.optim.Adam(cut.suffix.parameters(), lr=options.lr)
    torch.manual_seed(seed)
    best, state, epochs = float("inf"), copy.deepcopy(cut.suffix.state_dict()), []
    for _ in range(options.epochs):
        at = time.perf_counter()
        loop.train(dataset.train, optimizer)
        loss, _ = loop.measure(_val(dataset))
        if loss < best:
            best, state = loss, copy.deepcopy(cut.suffix.state_dict())
        epochs.append(time.perf_counter() - at)
    cut.suffix.load_state_dict(state)
    accuracy = loop.measure(dataset.test)[1]
    seconds = time.perf_counter() - began
    return seconds, accuracy, f"epoch {statistics.median(epochs):.2f} s"


def _val(dataset: Dataset) -> Split:
    assert dataset.val is not None
    return dataset.val


class _Loop:
    """Decode, frozen part under no_grad, trained part: for every batch of every epoch."""

    def __init__(
        self, network: Network, prefix: nn.Module, suffix: nn.Module, layout: torch.memory_format
    ) -> None:
        steps = network.preprocessing
        resize = steps.resize if isinstance(steps.resize, int) else list(steps.resize)
        how = transforms.InterpolationMode(steps.interpolation)
        self.transform = transforms.Compose([
            transforms.Resize(resize, interpolation=how),
            transforms.CenterCrop(steps.crop or steps.shape[1:]),
            transforms.ToTensor(),
            transforms.Normalize(steps.mean, steps.std),
        ])  # fmt: skip
        self.prefix, self.suffix, self.layout = prefix, suffix, layout

    def forward(self, split: Split, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return outputs and labels of some images."""
        images = []
        for i in rows.tolist():
            image: Image.Image = decode(split.pictures[i].raw())
            images.append(self.transform(image))
        pixels = torch.stack(images).contiguous(memory_format=self.layout)
        with torch.no_grad():
            values = self.prefix(pixels)
        return self.suffix(values), torch.from_numpy(split.labels)[rows]

    def train(self, split: Split, optimizer: torch.optim.Optimizer) -> None:
        """Train for an epoch."""
        self.suffix.train()
        for rows in torch.randperm(len(split)).split(32):
            outputs, labels = self.forward(split, rows)
            optimizer.zero_grad()
            functional.cross_entropy(outputs, labels).backward()
            optimizer.step()

    def measure(self, split: Split) -> tuple[float, float]:
        """Return the mean loss and the accuracy."""
        self.suffix.eval()
        with torch.no_grad():
            parts = [self.forward(split, rows) for rows in torch.arange(len(split)).split(32)]
        outputs, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        right = (outputs.argmax(1) == labels).float().mean()
        return functional.cross_entropy(outputs, labels).item(), right.item()


def one(way: str, blocks: str, seed: int, options: argparse.Namespace) -> Measured:
    """Measure one run in this process."""
    if way == "ours":
        return ours(blocks, seed, options)
    return plain(blocks, seed, options, way == "tuned")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="what featbench finetune --data takes")
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--blocks", action="append", help="where to cut (again for more)")
    parser.add_argument("--part", action="append", choices=WAYS, help="only these")
    parser.add_argument("--skip-user-loop", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--precision", default="float32", help="of our frozen part")
    parser.add_argument("--amp", action="store_true", help="train our part in bfloat16")
    parser.add_argument("--limit", type=int, help="images of each class and split")
    options = parser.parse_args()
    ways = [way for way in options.part or WAYS if way != "user" or not options.skip_user_loop]
    print(f"{options.data}, {options.network}, {options.epochs} epochs, {options.seeds} seeds, "
          f"{options.precision}{', amp' if options.amp else ''}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    for blocks in options.blocks or ["blocks.6", "blocks.5"]:
        own = 0.0
        for way in ways:
            runs = []
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
                    runs.append(fresh.submit(one, way, blocks, seed, options).result())
            seconds = statistics.median(run[0] for run in runs)
            accuracies = np.array([run[1] for run in runs])
            own = seconds if way == "ours" else own
            beside = f"{seconds / own:5.2f} times ours" if own and way != "ours" else ""
            print(f"{blocks} {way:6} {seconds:8.1f} s   test {accuracies.mean():.2%} "
                  f"({', '.join(f'{a:.2%}' for a in accuracies)})   {runs[0][2]}   {beside}",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

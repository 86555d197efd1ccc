"""Images a second of `featbench extract`, beside a plain loop and beside what this machine allows.

    python benchmarks/speed/extract.py --data grocery-41.zip --network resnet50

prints, from one run on the same images:

- ours: the whole of `extract` into an empty cache: reading, hashing, decoding, timing the engines,
  compiling where that pays, forwards, writing
- plain: PIL, torchvision's or timm's transforms, eager float32 under no_grad, batches of 32
- forward: the fastest engine on pixels in memory, and nothing else
- decode: reading, decoding and resizing with all cores, and nothing else
- limit: 1 / (1/forward + 1/decode) on a CPU, the lower of the two on an accelerator

each the median of several repeats (of ours: whole extractions), and the ratios.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from featbench.datasets import Dataset, decode, load_dataset
from featbench.extraction import Decoder, Item, batches, choose_device, extract
from featbench.extraction._tuning import Task, _Contest
from featbench.networks import FEATURES, Network, create_network
from featbench.progress import Reporter


class Notes(Reporter):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)


def rate(work: Callable[[], int], repeats: int) -> float:
    """Return the median of images a second over several repeats."""
    rates = []
    for _ in range(repeats):
        began = time.perf_counter()
        count = work()
        rates.append(count / (time.perf_counter() - began))
    return statistics.median(rates)


def plain_loop(dataset: Dataset, network: Network, count: int) -> Callable[[], int]:
    """Return the loop that people write by hand."""
    from torchvision import transforms

    steps = network.preprocessing
    resize = steps.resize if isinstance(steps.resize, int) else list(steps.resize)
    how = transforms.InterpolationMode(steps.interpolation)
    transform = transforms.Compose([
        transforms.Resize(resize, interpolation=how),
        transforms.CenterCrop(steps.crop or steps.shape[1:]),
        transforms.ToTensor(),
        transforms.Normalize(steps.mean, steps.std),
    ])  # fmt: skip
    model = network.cut(FEATURES).prefix.to(memory_format=torch.contiguous_format)
    pictures = dataset.train.pictures[:count]

    def read(i: int) -> torch.Tensor:
        image: Image.Image = decode(pictures[i].raw())
        tensor: torch.Tensor = transform(image)
        return tensor

    def work() -> int:
        with torch.no_grad():
            for start in range(0, len(pictures), 32):
                rows = range(start, min(start + 32, len(pictures)))
                model(torch.stack([read(i) for i in rows]))
        return len(pictures)

    return work


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", action="append", required=True)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--limit", type=int, help="images of each class and split")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain-images", type=int, default=96)
    options = parser.parse_args()
    heading = f"{'network':20} {'ours':>8} {'plain':>8} {'forward':>8} {'decode':>8} {'limit':>8}"
    print(f"{options.data}, {options.precision}, torch {torch.__version__}")
    print(f"{heading} {'ours/plain':>11} {'ours/limit':>11}  engine")
    for name in options.network:
        one(name, options)


def one(name: str, options: argparse.Namespace) -> None:
    """Measure one network and print its line."""
    dataset = load_dataset(options.data, limit=options.limit)
    network = create_network(name, "random")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
        plain = elsewhere.submit(plain_rate, name, options).result()
    notes = Notes()

    def ours() -> int:
        with tempfile.TemporaryDirectory() as cache:
            found = extract(
                dataset, network, cache=cache, precision=options.precision,
                device=options.device, reporter=notes,
            )  # fmt: skip
        return found.rows_computed

    whole = rate(ours, options.repeats)
    forward = forward_limit(network, options)
    decode_rate = decode_limit(dataset, network, options.repeats)
    on_cpu = choose_device(options.device).type == "cpu"
    limit = 1 / (1 / forward + 1 / decode_rate) if on_cpu else min(forward, decode_rate)
    engine = next((line for line in notes.lines if line.startswith("engine")), "")
    print(
        f"{name:20} {whole:8.1f} {plain:8.1f} {forward:8.1f} {decode_rate:8.1f} {limit:8.1f} "
        f"{whole / plain:11.1f} {whole / limit:11.2f}  {engine.split(',')[0][7:]}",
        flush=True,
    )


def plain_rate(name: str, options: argparse.Namespace) -> float:
    """Return the plain loop's rate, in a process without our allocator settings."""
    dataset = load_dataset(options.data, limit=options.limit)
    network = create_network(name, "random")
    return rate(plain_loop(dataset, network, options.plain_images), options.repeats)


def forward_limit(network: Network, options: argparse.Namespace) -> float:
    """Return the fastest engine's images a second on random pixels, compiled ones too."""
    task = Task(network, [FEATURES], ["none"], options.precision, choose_device(options.device))
    channels, height, width = network.preprocessing.shape
    shape = (256, height, width, channels)
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as cache:
        contest = _Contest(task, _batch(task), pixels[:16], 10**9, Path(cache), Notes())
        running = contest.winner()

    def work() -> int:
        for start in range(0, len(pixels), running.batch):
            running(pixels[start : start + running.batch])
        return len(pixels)

    return rate(work, max(3, options.repeats))


def _batch(task: Task) -> int:
    from featbench.extraction._tuning import DEFAULT_BATCH

    return DEFAULT_BATCH[task.device.type]


def decode_limit(dataset: Dataset, network: Network, repeats: int) -> float:
    """Return how many pictures a second all cores read, decode and resize."""
    pictures = dataset.train.pictures[:1024]
    items = [Item(d, p) for d, p in zip(dataset.train.digests, pictures, strict=False)]

    def work() -> int:
        decoder = Decoder(network.preprocessing)
        return sum(len(keys) for keys, _ in batches(decoder.in_turns(items, 256), 16))

    return rate(work, max(3, repeats))


if __name__ == "__main__":
    main()

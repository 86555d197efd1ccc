"""How fast views are made: made pictures of 72 × 72, as training from scratch on 64 × 64 has them.

    python benchmarks/speed/augmentation.py [--images 24000] [--augment RECIPE]

Prints seconds an epoch of one thread's views, then of an epoch of ``cnn`` with and without them.
"""

import argparse
import time

import numpy as np
import torch

from featbench.finetune._objective import Objective
from featbench.finetune._rates import parameter_groups
from featbench.finetune._schedule import Schedule
from featbench.finetune._trainer import Trainer
from featbench.finetune._training_rows import FreshViews, Pictures
from featbench.machine import flush_denormals, keep_memory
from featbench.networks import PIXELS, create_network
from featbench.progress import SILENT
from featbench.training import random_batches


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24_000)
    parser.add_argument("--augment", default="random-crop:64+rotate:20+affine:5")
    parser.add_argument("--train", action="store_true", help="also time an epoch of cnn")
    given = parser.parse_args()
    network = create_network("cnn")
    rng = np.random.default_rng(0)
    pixels = list(rng.integers(0, 256, (given.images, 72, 72, 3), dtype=np.uint8))
    contents = tuple(f"{i:064x}" for i in range(given.images))
    pictures = Pictures(pixels, contents, network.preprocessing)
    views = FreshViews(pictures, [given.augment], 0)
    steps = list(random_batches(len(views), 128))
    began = time.perf_counter()
    for _ in views.batches(steps, 1):
        pass
    seconds = time.perf_counter() - began
    print(f"{given.augment}: {seconds:.2f} s for {given.images:,} views on one thread "
          f"({given.images / seconds:,.0f} a second)")  # fmt: skip
    if not given.train:
        return
    keep_memory()
    labels = torch.from_numpy(rng.integers(0, 10, given.images))
    plain = torch.cat(list(pictures.split(256)))
    schedule = Schedule(epochs=2, batch=128, select="last", optimizer="sgd", lr=1e-3)
    for name, inputs in (("as they are", plain), ("augmented", views)):
        suffix, groups = parameter_groups(network, PIXELS, schedule)
        trainer = Trainer(suffix, network.preprocessing.normalise, torch.device("cpu"), Objective())
        with flush_denormals():
            history, _ = trainer.fit((inputs, labels), None, schedule, groups, SILENT)
        print(f"cnn, an epoch of images {name}: {history[-1]['seconds']:.2f} s")


if __name__ == "__main__":
    main()

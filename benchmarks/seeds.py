"""How often is a difference found between methods that differ by the luck of their seeds only?

    python benchmarks/seeds.py

Prints, for 2, 3 and 5 seeds a method and three sizes of luck, the share of pairs told apart at 5%
and at 0.1%: by sign flips of images alone, and by featbench's rule, which counts the spread over
seeds too.
"""

import numpy as np

from featbench.statistics import Seeded, paired_p_value, sign_flip_test

PAIRS, IMAGES, LEVELS = 6000, 500, (0.05, 0.001)


def share_found(rng: np.random.Generator, n_seeds: int, luck: float) -> tuple[float, list[float]]:
    """Return seeds' part of the variance against the images', and the shares found."""
    p, of_images, of_seeds = np.empty((2, PAIRS)), [], []
    for pair in range(PAIRS):
        ease = rng.normal(1.5, 1.5, IMAGES)
        methods = [
            rng.logistic(0, 0.7, (n_seeds, IMAGES))
            < ease + rng.normal(0, 0.7, IMAGES) + rng.normal(0, luck, (n_seeds, 1))
            for _ in range(2)
        ]
        steps = methods[0].sum(axis=0) - methods[1].sum(axis=0)
        of_images.append(steps.var() / n_seeds**2 / IMAGES)
        of_seeds.append((steps.mean() / n_seeds) ** 2)
        p[0, pair] = sign_flip_test(steps, mid_p=True)
        p[1, pair] = paired_p_value(*(Seeded(m, tuple(range(n_seeds))) for m in methods))
    part = float(np.mean(of_seeds) / np.mean(of_images)) - 1
    return part, [float((row <= level).mean()) for level in LEVELS for row in p]


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    print(f"{PAIRS} pairs, {IMAGES} images; seeds/images: the parts of the true variance")
    print("seeds  luck  seeds/images   flips 5%  rule 5%   flips 0.1%  rule 0.1%")
    for n_seeds in (2, 3, 5):
        for luck in (0.0, 0.15, 0.3):
            part, found = share_found(rng, n_seeds, luck)
            shares = "  ".join(f"{100 * x:7.2f}%" for x in found)
            print(f"{n_seeds:5d} {luck:5.2f} {part:13.2f} {shares}")


if __name__ == "__main__":
    main()

"""Augmented views of an image, seeded by its content: the same in every batch, order and process.

A recipe is steps joined by ``+``, each with its strength after a colon:

| step | what it does |
|---|---|
| ``flip`` | mirrors left and right, half of the time |
| ``crop:S`` | a random part of at least S of the area, sides in ratio 3/4 to 4/3 |
| ``rotate:D`` | turns by -D to D degrees, filling with the mean colour |
| ``colour:S`` | changes brightness, contrast and saturation by up to S |
"""

import hashlib
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps, ImageStat

from featbench.errors import UsageError, did_you_mean

NO_AUGMENTATION = "none"

Step = Callable[[Image.Image, np.random.Generator, float], Image.Image]


def _flip(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    return ImageOps.mirror(image) if rng.random() < strength else image


def _crop(image: Image.Image, rng: np.random.Generator, least: float) -> Image.Image:
    area = image.width * image.height * rng.uniform(least, 1)
    ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    width = min(image.width, max(1, round(math.sqrt(area * ratio))))
    height = min(image.height, max(1, round(math.sqrt(area / ratio))))
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _rotate(image: Image.Image, rng: np.random.Generator, degrees: float) -> Image.Image:
    angle = rng.uniform(-degrees, degrees)
    mean = tuple(round(value) for value in ImageStat.Stat(image).mean)
    return image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=mean)


def _colour(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(1 - strength, 1 + strength))
    return image


_STEPS: dict[str, tuple[Step, float, tuple[float, float]]] = {  # step, default, allowed
    "flip": (_flip, 0.5, (0, 1)),
    "crop": (_crop, 0.5, (0.01, 1)),
    "rotate": (_rotate, 15, (0, 180)),
    "colour": (_colour, 0.2, (0, 1)),
}


class Augmentation:
    """A recipe that has been read.

    Parameters
    ----------
    recipe : str
        As above; ``none`` changes nothing.
    seed : int
        Another seed gives other views.

    Raises
    ------
    UsageError
        For an unknown step or a strength out of its range.
    """

    def __init__(self, recipe: str = NO_AUGMENTATION, seed: int = 0) -> None:
        self._seed = seed
        self._steps: list[tuple[Step, float]] = []
        words = []
        for text in [] if recipe == NO_AUGMENTATION else recipe.split("+"):
            name, colon, number = text.strip().partition(":")
            if name not in _STEPS:
                hint = did_you_mean(name, _STEPS)
                steps = ", ".join(_STEPS)
                raise UsageError(f"--augment {recipe}: unknown step {name!r}{hint} Steps: {steps}")
            step, default, (low, high) = _STEPS[name]
            try:
                strength = float(number) if colon else default
            except ValueError:
                strength = math.nan
            if not low <= strength <= high:
                raise UsageError(
                    f"--augment {text}: expected {name}:N with N from {low:g} to {high:g}"
                )
            self._steps.append((step, strength))
            words.append(f"{name}:{strength:g}")
        self.recipe = "+".join(words) or NO_AUGMENTATION
        """The recipe with every strength written out: equal recipes are equal text."""

    def __call__(self, image: Image.Image, content: str, view: int) -> Image.Image:
        """Return one view.

        Parameters
        ----------
        image : Image
            RGB.
        content : str
            The sha256 of the image's content.
        view : int
            The view's number.
        """
        if not self._steps:
            return image
        seed = hashlib.sha256(f"{self._seed} {content} {view}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(seed[:16], "big"))
        for step, strength in self._steps:
            image = step(image, rng, strength)
        return image

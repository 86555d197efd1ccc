"""What steps draw: where each pixel of a view comes from, and how its colours change.

The distributions are those of torchvision.transforms.v2's RandomCrop, RandomResizedCrop,
RandomHorizontalFlip, RandomRotation, RandomAffine and ColorJitter, whose own drawing hangs on a
random state that all threads share.
"""

import math
from collections.abc import Callable

import numpy as np

from featbench.augmentation._recipe import Step
from featbench.errors import UsageError

Map = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x' = a·x + b·y + c, y' = d·x + e·y + f. Pixel i covers [i, i + 1)."""

BRIGHTNESS, CONTRAST, SATURATION = "brightness", "contrast", "saturation"


class Plan:
    """How one view is made of one picture.

    Parameters
    ----------
    height, width : int
        Of the resized picture.
    size : (int, int)
        Height and width of what the network takes.
    """

    def __init__(self, height: int, width: int, size: tuple[int, int]) -> None:
        self.height, self.width, self.size = height, width, size
        self.map: Map = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        """From places of the view, as far as it is planned, to places of the picture."""
        self.colours: list[tuple[str, float]] = []
        """What is changed, by which factor, in this order."""
        self._cropped = False

    def then(self, inner: Map) -> None:
        """Look up places of the picture by ``inner`` first, then as before."""
        a, b, c, d, e, f = self.map
        p, q, r, s, t, u = inner
        self.map = (
            a * p + b * s, a * q + b * t, a * r + b * u + c,
            d * p + e * s, d * q + e * t, d * r + e * u + f,
        )  # fmt: skip

    def turn(self, p: float, q: float, s: float, t: float, dx: float = 0, dy: float = 0) -> None:
        """Look up by a matrix about the centre, after moving by (-dx, -dy)."""
        x, y = self.width / 2, self.height / 2
        self.then((p, q, x - p * (x + dx) - q * (y + dy), s, t, y - s * (x + dx) - t * (y + dy)))

    def cut(self, top: int, left: int, height: int, width: int) -> None:
        """Keep this part; it may reach over the edge."""
        self.then((1.0, 0.0, float(left), 0.0, 1.0, float(top)))
        self.height, self.width, self._cropped = height, width, True

    def scale_to_size(self) -> None:
        """Stretch what there is to the network's size."""
        height, width = self.size
        if (self.height, self.width) != self.size:
            self.then((self.width / width, 0.0, 0.0, 0.0, self.height / height, 0.0))
            self.height, self.width = self.size

    def finish(self) -> None:
        """Cut the centre, as without augmentation, unless a step has cropped."""
        if not self._cropped:
            cut_centre(self, *self.size)
        self.scale_to_size()


def cut_centre(plan: Plan, height: int, width: int) -> None:
    """Keep the centre, rounded as ``Preprocessing`` does."""
    top, left = round((plan.height - height) / 2.0), round((plan.width - width) / 2.0)
    plan.cut(top, left, height, width)


def _sides(plan: Plan, step: Step) -> tuple[int, int]:
    return plan.size if step.values[""] is None else (int(step.number()), int(step.number()))


def _random_crop(plan: Plan, rng: np.random.Generator, step: Step) -> None:
    (height, width), pad = _sides(plan, step), int(step.number("pad"))
    down, right = plan.height + 2 * pad - height, plan.width + 2 * pad - width
    if down < 0 or right < 0:
        raise UsageError(
            f"augment {step}: cuts {height}x{width} pixels, which is more than the resized picture "
            f"has ({plan.height}x{plan.width}); cut fewer, resize to more, or write pad=N"
        )
    top, left = int(rng.integers(0, down + 1)), int(rng.integers(0, right + 1))
    plan.cut(top - pad, left - pad, height, width)


def _centre_crop(plan: Plan, rng: np.random.Generator, step: Step) -> None:
    cut_centre(plan, *_sides(plan, step))


def _crop(plan: Plan, rng: np.random.Generator, step: Step) -> None:
    for _ in range(10):
        area = plan.height * plan.width * rng.uniform(step.number(), 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= plan.width and 0 < height <= plan.height:
            top = int(rng.integers(0, plan.height - height + 1))
            left = int(rng.integers(0, plan.width - width + 1))
            plan.cut(top, left, height, width)
            break
    else:  # the picture is too long or too high for any such part
        height = min(plan.height, round(plan.width * 4 / 3))
        width = min(plan.width, round(plan.height * 4 / 3))
        plan.cut((plan.height - height) // 2, (plan.width - width) // 2, height, width)
    plan.scale_to_size()


def _flip(plan: Plan, rng: np.random.Generator, step: Step) -> None:
    if rng.random() < step.number():
        plan.then((-1.0, 0.0, float(plan.width), 0.0, 1.0, 0.0))


def _rotate(plan: Plan, rng: np.random.Generator, step: Step) -> None:
    degrees = step.number()
    angle = math.radians(degrees if step.exact else rng.uniform(-degrees, degrees))
    plan.turn(math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle))


def _affine(plan: Plan, rng: np.random.Generator, step: Step) -> None:
    degrees, far, shear = step.number(), step.number("translate"), step.number("shear")
    angle = math.radians(rng.uniform(-degrees, degrees))
    dx = round(rng.uniform(-far * plan.width, far * plan.width)) if far else 0
    dy = round(rng.uniform(-far * plan.height, far * plan.height)) if far else 0
    scale = step.values["scale"]
    assert isinstance(scale, tuple)
    size = rng.uniform(*scale) if scale[0] < scale[1] else scale[0]
    slant = math.tan(math.radians(rng.uniform(-shear, shear))) if shear else 0.0
    # the view is size · rotation(angle) · (1 -slant; 0 1) of the picture: look up by its inverse
    cos, sin = math.cos(angle) / size, math.sin(angle) / size
    plan.turn(cos - slant * sin, sin + slant * cos, -sin, cos, dx, dy)


def _colour(plan: Plan, rng: np.random.Generator, step: Step) -> None:
    kinds = (BRIGHTNESS, CONTRAST, SATURATION)
    factors = {}
    for kind in kinds:
        own = step.values[kind]
        most = step.number() if own is None else step.number(kind)
        factors[kind] = rng.uniform(1 - most, 1 + most)
    plan.colours += [(kinds[i], factors[kinds[i]]) for i in rng.permutation(3)]


DRAW: dict[str, Callable[[Plan, np.random.Generator, Step], None]] = {
    "random-crop": _random_crop,
    "centre-crop": _centre_crop,
    "crop": _crop,
    "flip": _flip,
    "rotate": _rotate,
    "affine": _affine,
    "colour": _colour,
}

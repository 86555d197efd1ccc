"""``Augmentation``: views that hang on the recipe, the seed, the image's content and a number."""

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from featbench.augmentation._pixels import Pixels, render
from featbench.augmentation._recipe import NO_AUGMENTATION, parse
from featbench.augmentation._steps import DRAW, Plan
from featbench.datasets import digest
from featbench.errors import UsageError
from featbench.networks import Preprocessing

_VERSION = 2
"""Of what steps do to pixels: another one is another view, and other rows in the store."""


class Augmentation:
    """A recipe that has been read.

    Parameters
    ----------
    recipe : str
        Steps as in ``_recipe.py``: ``random-crop+flip+rotate:15+colour:0.2``; ``none`` changes
        nothing.
    seed : int
        Another seed gives other views.

    Raises
    ------
    UsageError
        For an unknown step or a number out of its range.
    """

    def __init__(self, recipe: str = NO_AUGMENTATION, seed: int = 0) -> None:
        self._seed = seed
        self._steps = parse(recipe)
        self.recipe = "+".join(map(str, self._steps)) or NO_AUGMENTATION
        """The recipe with its numbers written out: equal recipes are equal text."""

    def __bool__(self) -> bool:
        """Return whether there is any step."""
        return bool(self._steps)

    @property
    def identity(self) -> str:
        """What a view is, for the feature space's key: the recipe and what its steps are now."""
        return f"{self.recipe} (steps {_VERSION})" if self else NO_AUGMENTATION

    def check(self, preprocessing: Preprocessing) -> None:
        """Refuse what this network's pictures, once resized, are too small for.

        Raises
        ------
        UsageError
            When a random crop is larger than the picture, or can be at one place only.
        """
        side = preprocessing.resize
        height, width = side if isinstance(side, tuple) else (side, side)
        size = preprocessing.shape[1:]
        self._draw(np.random.default_rng(0), Plan(height, width, size))
        first = self._steps[0] if self._steps else None
        if first is None or first.name != "random-crop" or first.number("pad"):
            return
        own = first.values[""]
        if (size if own is None else (own, own)) == (height, width):
            raise UsageError(
                f"augment {first}: the resized picture has just these {height}x{width} pixels, so "
                "nothing is random; write pad=4, or resize to more (small networks: cnn:resize=72)"
            )

    def plan(self, content: str, view: int, shape: Sequence[int], size: tuple[int, int]) -> Plan:
        """Draw one view's parameters; the same for the same arguments.

        Parameters
        ----------
        content : str
            The sha256 of the image's content.
        view : int
            The view's number.
        shape : sequence of int
            Of the resized picture: height, width.
        size : (int, int)
            Height and width of the view.
        """
        text = f"{self._seed} {self.recipe} {content} {view}"
        seed = hashlib.sha256(text.encode()).digest()
        plan = Plan(shape[0], shape[1], size)
        self._draw(np.random.default_rng(int.from_bytes(seed[:16], "big")), plan)
        return plan

    def _draw(self, rng: np.random.Generator, plan: Plan) -> None:
        for step in self._steps:
            DRAW[step.name](plan, rng, step)
        plan.finish()

    def __call__(
        self,
        pictures: Sequence[Pixels],
        contents: Sequence[str],
        views: Sequence[int],
        size: tuple[int, int],
    ) -> Pixels:
        """Return one view of each picture.

        Parameters
        ----------
        pictures : sequence of ndarray of uint8, shape (height, width, channels)
            As ``Preprocessing.resized`` makes them.
        contents : sequence of str
            The sha256 of each image's content.
        views : sequence of int
            The views' numbers.
        size : (int, int)
            Height and width that the network takes.

        Returns
        -------
        ndarray of uint8, shape (n, height, width, channels)
        """
        plans = [
            self.plan(content, view, picture.shape, size)
            for picture, content, view in zip(pictures, contents, views, strict=True)
        ]
        return render(pictures, plans)


def augmented_views(
    image: Image.Image, recipe: str, preprocessing: Preprocessing, *, count: int = 8, seed: int = 0
) -> Pixels:
    """Return what a network that is trained with a recipe sees of one image.

    Parameters
    ----------
    image : Image
        As ``Split.read`` returns it.
    recipe : str
        As in ``Augmentation``.
    preprocessing : Preprocessing
        The network's: ``create_network(name).preprocessing``.
    count : int
        How many views.
    seed : int
        Another seed gives other views.

    Returns
    -------
    ndarray of uint8, shape (count, height, width, channels)

    Raises
    ------
    UsageError
        For a recipe that cannot be.
    """
    augmentation = Augmentation(recipe, seed)
    augmentation.check(preprocessing)
    picture = preprocessing.resized(image)
    name = digest(np.asarray(image))
    size = preprocessing.shape[1:]
    return augmentation([picture] * count, [name] * count, range(count), size)

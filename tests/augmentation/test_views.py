"""A view hangs on the image's content, its number and the seed: on no batch, order or thread."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featbench.datasets import load_dataset
from featbench.errors import UsageError
from featbench.extraction import extract
from featbench.extraction._views import Augmentation

RECIPE = "flip+crop:0.5+rotate:15+colour:0.3"


def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_views_are_the_same_again_and_different_from_each_other() -> None:
    views = [np.asarray(Augmentation(RECIPE)(picture(), "a" * 64, v).resize((32, 32)))
             for v in (0, 0, 1)]  # fmt: skip
    other_seed = np.asarray(Augmentation(RECIPE, 1)(picture(), "a" * 64, 0).resize((32, 32)))
    other_image = np.asarray(Augmentation(RECIPE)(picture(), "b" * 64, 0).resize((32, 32)))
    assert np.array_equal(views[0], views[1])
    for other in (views[2], other_seed, other_image):
        assert not np.array_equal(views[0], other)


@pytest.mark.parametrize("step", ["flip:1", "crop:0.3", "rotate:40", "colour:0.9"])
def test_every_step_changes_the_image_and_none_does_not(step: str) -> None:
    changed = Augmentation(step)(picture(), "c" * 64, 3)
    assert changed.size != (60, 40) or changed.tobytes() != picture().tobytes()
    assert Augmentation("none")(picture(), "c" * 64, 3).tobytes() == picture().tobytes()


def test_equal_recipes_are_equal_text() -> None:
    assert Augmentation("flip + crop").recipe == Augmentation("flip:0.50+crop:0.5").recipe
    assert Augmentation("rotate").recipe == "rotate:15"


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [("flop", "did you mean 'flip'"), ("crop:2", "from 0.01 to 1"), ("rotate:x", "rotate:N")],
)
def test_wrong_recipes_say_what_is_known(recipe: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        Augmentation(recipe)


def test_views_are_rows_of_their_own(photos: Path, tmp_path: Path) -> None:
    data = load_dataset(photos, limit=4)
    two = extract(data, "lenet5", views=2, augment=RECIPE, cache=tmp_path, batch=8)
    assert two.train.X.shape == (12, 2, 84)
    assert (two.rows_computed, two.rows_cached) == (48, 0)
    assert not np.array_equal(two.train.X[:, 0], two.train.X[:, 1])
    turned = data.with_splits({"train": data.train.take(range(11, -1, -1))})
    alone = extract(turned, "lenet5", views=2, augment=RECIPE, cache=tmp_path / "b", batch=3)
    np.testing.assert_allclose(alone.train.X[::-1], two.train.X, rtol=1e-5, atol=1e-6)
    three = extract(data, "lenet5", views=3, augment=RECIPE, cache=tmp_path)
    assert np.array_equal(three.train.X[:, :2], two.train.X)
    seeded = extract(data, "lenet5", views=2, augment=RECIPE, view_seed=5, cache=tmp_path)
    assert seeded.spec.key != two.spec.key
    with pytest.raises(UsageError, match="--views 2"):
        extract(data, "lenet5", views=2, cache=tmp_path)

"""A view hangs on recipe, seed, the content of its image and its number, and is torchvision's."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from featbench.augmentation import Augmentation, augmented_views, parse_copies
from featbench.augmentation._pixels import render
from featbench.augmentation._steps import Plan
from featbench.datasets import load_dataset
from featbench.errors import UsageError
from featbench.extraction import extract
from featbench.networks import Preprocessing, create_network

RECIPE = "random-crop:30:pad=2+flip+crop:0.5+rotate:15+affine:5:translate=0.1+colour:0.3"
BILINEAR = InterpolationMode.BILINEAR


def picture(height: int = 40, width: int = 60, channels: int = 3) -> NDArray[np.uint8]:
    """Return a smooth picture, which resampling hardly changes."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / (5 + c) + y / (7 - c)) for c in range(channels)]
    return np.stack(waves, 2).astype(np.uint8)


def as_torch(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


def view(recipe: str, pixels: NDArray[np.uint8], number: int = 0, **options: Any) -> NDArray[Any]:
    size = options.pop("size", pixels.shape[:2])
    return Augmentation(recipe, **options)([pixels], ["a" * 64], [number], size)[0]


def difference(ours: NDArray[np.uint8], theirs: torch.Tensor) -> int:
    return int(np.abs(ours.astype(int) - theirs.permute(1, 2, 0).numpy()).max())


class TestSeeds:
    def test_views_are_the_same_again_and_different_from_each_other(self) -> None:
        one = view(RECIPE, picture(), size=(32, 32))
        assert np.array_equal(one, view(RECIPE, picture(), size=(32, 32)))
        other_image = Augmentation(RECIPE)([picture()], ["b" * 64], [0], (32, 32))[0]
        others = [view(RECIPE, picture(), 1, size=(32, 32)), other_image,
                  view(RECIPE, picture(), seed=1, size=(32, 32))]  # fmt: skip
        assert not any(np.array_equal(one, other) for other in others)

    def test_they_hang_on_no_batch_order_or_thread(self) -> None:
        pictures = [picture(40 + i % 3, 60) for i in range(21)]
        contents = [f"{i:064d}" for i in range(21)]
        ways = Augmentation(RECIPE)
        together = ways(pictures, contents, range(21), (32, 32))
        turned = ways(pictures[::-1], contents[::-1], range(20, -1, -1), (32, 32))
        assert np.array_equal(turned[::-1], together)
        alone = []

        def work() -> None:
            torch.manual_seed(0)
            for i in range(21):
                alone.append(ways([pictures[i]], [contents[i]], [i], (32, 32))[0])

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert np.array_equal(np.stack(alone), together)

    def test_torchs_own_random_state_is_left_alone(self) -> None:
        before = torch.get_rng_state()
        view(RECIPE, picture(), size=(32, 32))
        assert torch.equal(before, torch.get_rng_state())


class TestPixels:
    @pytest.mark.parametrize("degrees", [10, -25, 90])
    def test_a_rotation_is_torchvisions(self, degrees: int) -> None:
        theirs = functional.rotate(as_torch(picture()), degrees, BILINEAR)
        assert difference(view(f"rotate={degrees}", picture()), theirs) <= 1

    def test_an_affine_map_is_torchvisions(self) -> None:
        for number in range(20):
            how = Augmentation("affine:30:translate=0.2:scale=0.7-1.4:shear=15")
            plan = how.plan("a" * 64, number, (40, 60), (40, 60))
            found = affine_of(plan)
            theirs = functional.affine(as_torch(picture()), interpolation=BILINEAR, **found)
            assert difference(render([picture()], [plan])[0], theirs) <= 1

    def test_flips_and_crops_move_pixels_and_change_none(self) -> None:
        own = picture()
        assert np.array_equal(view("flip=1", own), own[:, ::-1])
        cut = view("centre-crop", own, size=(32, 32))
        assert np.array_equal(cut, own[4:36, 14:46])
        parts = {own[t : t + 32, x : x + 32].tobytes() for t in range(9) for x in range(29)}
        for number in range(50):
            assert view("random-crop", own, number, size=(32, 32)).tobytes() in parts
        turned = [view("random-crop:32:pad=40", own, n, size=(32, 32)) for n in range(20)]
        assert any((one == 0).all((1, 2)).any() for one in turned)  # beyond it is black

    def test_a_view_without_steps_is_what_prediction_sees(self) -> None:
        image = Image.fromarray(picture(100, 150))
        for name in ("lenet5", "cnn", "fcnet:size=32:resize=50"):
            steps = create_network(name).preprocessing
            plain = augmented_views(image, "none", steps, count=1)[0]
            assert np.array_equal(plain, steps.pixels(image))
            assert np.array_equal(plain, steps.cropped(steps.resized(image)))

    @pytest.mark.parametrize("channels", [1, 3])
    def test_colours_are_torchvisions(self, channels: int) -> None:
        own = picture(channels=channels)
        apply = {"brightness": functional.adjust_brightness, "contrast": functional.adjust_contrast,
                 "saturation": functional.adjust_saturation}  # fmt: skip
        for number in range(20):
            plan = Augmentation("colour:0.8").plan("a" * 64, number, (40, 60), (40, 60))
            theirs = as_torch(own).float() / 255
            for kind, factor in plan.colours:
                theirs = apply[kind](theirs, factor)
            assert difference(render([own], [plan])[0], (theirs * 255).round()) <= 1

    def test_a_turned_crop_shows_the_picture_beyond_its_edge(self) -> None:
        white = np.full((72, 72, 3), 255, np.uint8)
        inner = Augmentation("centre-crop+rotate=10")([white], ["a"], [0], (56, 56))
        assert inner.min() == 255
        whole = Augmentation("rotate=10")([white], ["a"], [0], (72, 72))
        assert whole.min() == 0  # beyond the picture it is black

    def test_grey_pictures_stay_grey(self) -> None:
        assert view(RECIPE, picture(channels=1), size=(32, 32)).shape == (32, 32, 1)


def affine_of(plan: Plan) -> dict[str, Any]:
    """Return the parameters of torchvision's affine that a plan's map is the inverse of."""
    a, b, c, d, e, f = plan.map
    forward = np.linalg.inv([[a, b, c], [d, e, f], [0, 0, 1]])
    scale = np.hypot(forward[0, 0], forward[1, 0])
    angle = np.arctan2(forward[1, 0], forward[0, 0])
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    slanted = turned @ forward[:2, :2] / scale
    centre = np.array([plan.width / 2, plan.height / 2])
    move = forward[:2, :2] @ centre + forward[:2, 2] - centre
    return {
        "angle": np.degrees(angle), "scale": scale, "translate": [round(v) for v in move],
        "shear": [np.degrees(np.arctan(-slanted[0, 1])), 0.0],
    }  # fmt: skip


class TestDistributions:
    def plans(self, recipe: str, shape: tuple[int, int], size: tuple[int, int]) -> list[Plan]:
        how = Augmentation(recipe)
        return [how.plan("a" * 64, number, shape, size) for number in range(2000)]

    def test_angles_are_uniform_to_both_sides(self) -> None:
        maps = [plan.map for plan in self.plans("rotate:20", (72, 72), (72, 72))]
        angles = np.degrees([np.arctan2(one[3], one[0]) for one in maps])
        assert np.abs(angles).max() <= 20
        shares, _ = np.histogram(angles, 4, (-20, 20))
        assert shares.min() > 400

    def test_random_crops_reach_every_place_alike(self) -> None:
        corners = [(p.map[2], p.map[5]) for p in self.plans("random-crop", (72, 72), (64, 64))]
        counts = np.bincount([int(left) for left, _ in corners], minlength=9)
        assert len(counts) == 9
        assert counts.min() > 150
        assert len(set(corners)) == 81
        padded = [p.map[2] for p in self.plans("random-crop:64:pad=4", (64, 64), (64, 64))]
        assert (min(padded), max(padded)) == (-4, 4)

    def test_a_part_has_its_share_and_its_ratio(self) -> None:
        maps = [plan.map for plan in self.plans("crop:0.4", (90, 100), (64, 64))]
        widths, heights = (np.array([one[i] * 64 for one in maps]) for i in (0, 4))
        shares = widths * heights / (90 * 100)
        assert 0.38 < shares.min() < 0.45
        assert 0.9 < shares.max() < 1.02
        assert (widths / heights).min() > 0.7
        assert (widths / heights).max() < 1.4

    def test_affine_ranges_are_kept(self) -> None:
        recipe = "affine:5:translate=0.1:scale=0.9-1.1:shear=10"
        found = [affine_of(plan) for plan in self.plans(recipe, (60, 100), (60, 100))]
        for name, low, high in (("angle", -5, 5), ("scale", 0.9, 1.1)):
            values = [one[name] for one in found]
            middle, reach = (low + high) / 2, (high - low) / 2
            assert low - 1e-6 <= min(values) < middle - 0.9 * reach
            assert middle + 0.9 * reach < max(values) <= high + 1e-6
        assert {one["translate"][0] for one in found} == set(range(-10, 11))
        assert {one["translate"][1] for one in found} == set(range(-6, 7))
        assert 9 < max(abs(one["shear"][0]) for one in found) <= 10 + 1e-6

    def test_half_are_mirrored_or_as_many_as_said(self) -> None:
        for recipe, share in (("flip", 0.5), ("flip:0.2", 0.2), ("flip:0", 0.0)):
            mirrored = [plan.map[0] < 0 for plan in self.plans(recipe, (8, 8), (8, 8))]
            assert np.mean(mirrored) == pytest.approx(share, abs=0.05)

    def test_colours_come_in_any_order_and_within_their_reach(self) -> None:
        colours = [plan.colours for plan in self.plans("colour:0.3", (8, 8), (8, 8))]
        assert len({tuple(kind for kind, _ in one) for one in colours}) == 6
        factors = [factor for one in colours for _, factor in one]
        assert 0.7 <= min(factors) < 0.72
        assert 1.28 < max(factors) <= 1.3
        alone = self.plans("colour:brightness=0.3", (8, 8), (8, 8))[0].colours
        assert {kind for kind, factor in alone if factor != 1} == {"brightness"}


class TestRecipes:
    def test_equal_recipes_are_equal_text(self) -> None:
        assert Augmentation("flip + crop").recipe == Augmentation("flip:0.50+crop:0.5").recipe
        assert Augmentation("rotate").recipe == "rotate:15"
        text = "random-crop:64:pad=4+affine:5:scale=0.9-1.1+rotate=10+colour:brightness=0.2"
        again = Augmentation(Augmentation(text).recipe).recipe
        assert again == Augmentation(text).recipe
        assert Augmentation("random-crop:64:pad=0").recipe == "random-crop:64"
        assert Augmentation("").recipe == Augmentation("none").recipe == "none"

    @pytest.mark.parametrize(
        ("recipe", "expected"),
        [
            ("flop", "did you mean 'flip'"),
            ("crop:2", "from 0.01 to 1"),
            ("rotate:x", "rotate:N"),
            ("random-crop:3.5", "a whole number"),
            ("affine:5:scal=1-2", "did you mean 'scale'"),
            ("affine:5:scale=2-1", "A-B"),
            ("rotate:5:9", "no parameter '9'"),
            ("affine=5", "can be exact"),
            ("rotate=200", "from -180 to 180"),
            ("rotate:nan", "from 0 to 180"),
        ],
    )
    def test_wrong_recipes_say_what_is_known(self, recipe: str, expected: str) -> None:
        with pytest.raises(UsageError, match=expected):
            Augmentation(recipe)

    def test_copies_are_exact(self) -> None:
        assert parse_copies("rotate:10, rotate:20") == ("rotate=10", "rotate=20")
        assert parse_copies(["flip+rotate:-5"]) == ("flip=1+rotate=-5",)
        assert parse_copies(parse_copies("rotate:10,flip")) == parse_copies("rotate:10,flip")
        assert parse_copies("") == ()

    @pytest.mark.parametrize("copies", ["colour:0.2", "rotate", "rotat:10", "rotate:999", 3])
    def test_copies_that_are_not_exact_are_refused(self, copies: Any) -> None:
        with pytest.raises(UsageError, match=r"copies|unknown step|expected"):
            parse_copies(copies)

    def test_crops_that_do_not_fit_are_refused_first(self) -> None:
        steps = Preprocessing.from_scratch(64, 3, resize=72)
        with pytest.raises(UsageError, match="80x80 pixels, which is more than the resized"):
            Augmentation("random-crop:80").check(steps)
        Augmentation("random-crop:80:pad=4").check(steps)
        with pytest.raises(UsageError, match="nothing is random; write pad=4"):
            Augmentation("random-crop").check(Preprocessing.from_scratch(64, 3))


def test_views_are_rows_of_their_own(photos: Path, tmp_path: Path) -> None:
    recipe = "flip+crop:0.5+rotate:15+colour:0.3"
    data = load_dataset(photos, limit=4)
    two = extract(data, "lenet5", views=2, augment=recipe, cache=tmp_path, batch=8)
    assert two.train.X.shape == (12, 2, 84)
    assert (two.rows_computed, two.rows_cached) == (48, 0)
    assert not np.array_equal(two.train.X[:, 0], two.train.X[:, 1])
    turned = data.with_splits({"train": data.train.take(range(11, -1, -1))})
    alone = extract(turned, "lenet5", views=2, augment=recipe, cache=tmp_path / "b", batch=3)
    np.testing.assert_allclose(alone.train.X[::-1], two.train.X, rtol=1e-5, atol=1e-6)
    three = extract(data, "lenet5", views=3, augment=recipe, cache=tmp_path)
    assert np.array_equal(three.train.X[:, :2], two.train.X)
    seeded = extract(data, "lenet5", views=2, augment=recipe, view_seed=5, cache=tmp_path)
    assert seeded.spec.key != two.spec.key
    with pytest.raises(UsageError, match="--views 2"):
        extract(data, "lenet5", views=2, cache=tmp_path)


def test_what_steps_do_is_part_of_the_key(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_dataset(photos, limit=1)
    first = extract(data, "lenet5", augment="flip", cache=tmp_path).spec
    monkeypatch.setattr("featbench.augmentation._augmentation._VERSION", 99)
    assert extract(data, "lenet5", augment="flip", cache=tmp_path).spec.key != first.key
    assert extract(data, "lenet5", cache=tmp_path).spec.view == "none"


def test_decoding_views_leaves_the_callers_threads_as_they_were(
    photos: Path, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    extract(load_dataset(photos, limit=2), "lenet5", augment="rotate", cache=tmp_path)
    assert torch.get_num_threads() == before

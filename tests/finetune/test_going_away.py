"""Images that go away, or cannot be decoded, never give their rows to other images' labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featbench.datasets import Dataset, load_dataset
from featbench.errors import FeatbenchError, UsageError
from featbench.finetune import FineTuneClassifier
from tests.conftest import make_photos

ROWS: list[dict[str, Any]] = [
    {"augment": "flip", "views": 2}, {"copies": "rotate:10"}, {"augment": "flip", "views": 1},
]  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "p", {"train": 6, "val": 3, "test": 3})


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    options = {"network": "lenet5", "weights": "random", "epochs": 1, "batch": 8, **options}
    return FineTuneClassifier(cache=cache, **options).fit(data)


@pytest.mark.parametrize("rows", ROWS)
def test_an_image_that_went_away_before_its_views_were_made(
    photos: Path, tmp_path: Path, rows: dict[str, Any]
) -> None:
    data = load_dataset(photos)
    tune(data, tmp_path / "c")  # its own row is in the store from now on
    (photos / "train" / "moss" / "moss_002.jpg").unlink()
    with pytest.raises(FeatbenchError, match=r"moss_002\.jpg: can no longer be read .*load the"):
        tune(data, tmp_path / "c", **rows)
    left = tune(load_dataset(photos), tmp_path / "c", **rows).inputs_
    assert left.training is not None
    assert len(left.training) == 17 * (2 if "copies" in rows else 1)


@pytest.mark.parametrize("rows", [{}, *ROWS[:2]])
def test_one_of_two_files_with_one_content_that_went_away(
    photos: Path, tmp_path: Path, rows: dict[str, Any]
) -> None:
    gone = photos / "train" / "moss" / "moss_002.jpg"
    (photos / "train" / "sky" / "twin.jpg").write_bytes(gone.read_bytes())
    data = load_dataset(photos)
    assert len(set(data.train.digests)) == 18
    gone.unlink()
    with pytest.raises(FeatbenchError, match=r"moss_002\.jpg: can no longer be read"):
        tune(data, tmp_path / "c", blocks="all", **rows)


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("blocks", [1, "all"])
@pytest.mark.parametrize("rows", ROWS)
def test_broken_images_and_twins_leave_labels_with_their_rows(
    photos: Path, tmp_path: Path, rows: dict[str, Any], blocks: int | str, refit: bool
) -> None:
    twin = (photos / "test" / "sky" / "sky_001.jpg").read_bytes()
    for name in ("train/moss/moss_000", "train/rust/rust_005", "val/sky/sky_001"):
        (photos / f"{name}.jpg").write_bytes(name.encode())
    for name in ("train/moss/moss_003", "train/sky/sky_000", "val/moss/moss_002"):
        (photos / f"{name}.jpg").write_bytes(twin)
    model = tune(load_dataset(photos), tmp_path / "c", blocks=blocks, refit=refit, **rows)
    clean = load_dataset(photos)
    keep = {n: [i for i, name in enumerate(s.ids) if len(s.pictures[i].raw()) > 100]
            for n, s in clean.splits.items()}  # fmt: skip
    clean = clean.with_splits({n: s.take(keep[n]) for n, s in clean.splits.items()})
    assert [len(split) for split in clean.splits.values()] == [16, 8, 9]
    alone = tune(clean, tmp_path / "c", blocks=blocks, refit=refit, **rows)
    expected = alone.predict_proba(clean.test)
    np.testing.assert_array_equal(model.predict_proba(clean.test), expected)
    assert len(model.inputs_.skipped) == 3
    listed = tmp_path / "c" / "skipped.csv"
    assert not listed.exists()  # the last data set, of the same place, had none
    if blocks == 1:
        tune(load_dataset(photos), tmp_path / "c", blocks=blocks, refit=refit, **rows)
        assert len(listed.read_text().splitlines()) == 1 + 3


@pytest.mark.parametrize("blocks", [1, "all"])
def test_statistics_of_no_image_at_all_are_told_as_too_few_images(
    photos: Path, tmp_path: Path, blocks: int | str
) -> None:
    for path in photos.glob("train/*/*.jpg"):
        path.write_bytes(str(path).encode())
    with pytest.raises(UsageError, match="too few images to train on"):
        tune(load_dataset(photos), tmp_path / "c", blocks=blocks, normalise="data")

"""Images beside their names: examples by class, views, predictions with the worst first."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from featbench.datasets import load_dataset
from featbench.errors import UsageError
from featbench.experiments import PredictionTable
from featbench.report import cases_of, draw_grid, draw_predictions
from tests.conftest import Said

Command = Callable[..., Said]
A = PredictionTable(tuple("wxyz"), ("a", "a", "b", "b"), ("b", "a", "a", "b"), (0.4, 0.9, 0.6, 1.0))
B = PredictionTable(tuple("zyxw"), ("b", "b", "a", "a"), ("b", "b", "a", "b"))


def test_what_most_have_wrong_comes_first_then_the_surest() -> None:
    cases = cases_of([A, B])
    assert [(c.id, c.wrong) for c in cases] == [("w", 2), ("y", 1), ("x", 0), ("z", 0)]
    assert cases[0].answers == (("b", 0.4), ("b", None))
    assert [c.id for c in cases_of([A])] == ["y", "w", "x", "z"]
    with pytest.raises(UsageError, match="no test image in common"):
        cases_of([A, PredictionTable(("q",), ("a",), ("a",))])
    with pytest.raises(UsageError, match="two labels"):
        cases_of([A, PredictionTable(("x",), ("b",), ("a",))])


def test_each_model_has_its_line_below_each_image() -> None:
    images = {"y": Image.new("RGB", (30, 60)), "x": Image.new("L", (8, 8))}
    figure = draw_predictions(cases_of([A, B])[:3], ["svm", "knn"], images.get)
    assert figure.get_suptitle() == "A  svm\nB  knn"
    texts = [[t.get_text().strip("\u200e") for t in axes.texts] for axes in figure.axes]
    assert texts[0][0] == "cannot be read"
    assert [t.replace("\u2068", "").replace("\u2069", "").replace("\u200e", "")
            for t in texts[1]] == ["A ✗ a 60%", "B ✓ b"]  # fmt: skip


def test_a_grid_has_a_row_a_class_and_leaves_out_what_cannot_be_read(photos: Path) -> None:
    (photos / "train/moss/moss_000.jpg").write_bytes(b"no image")
    data = load_dataset(photos)
    figure = draw_grid(data, examples=9)
    assert len(figure.axes) == 3 * 10
    assert sum(bool(axes.images) for axes in figure.axes[:10]) == 9
    assert figure.axes[0].texts[0].get_text() == "moss\n10"
    assert len(draw_grid(data, classes=["sky"], split="test").axes) == 7
    with pytest.raises(UsageError, match="has train, test"):
        draw_grid(data, split="val")
    with pytest.raises(UsageError, match="did you mean 'sky'"):
        draw_grid(data, classes=["skyy"])


def test_the_commands_draw(featbench: Command, photos: Path, tmp_path: Path) -> None:
    for head in ("logreg", "centroid"):
        featbench("fit", "--backbone", "lenet5", "--data", photos, "--head", head)
    runs = [path.name for path in (tmp_path / "results").glob("*/")]
    image = photos / "test/sky/sky_000.jpg"
    for name, arguments in {
        "predictions": runs,
        "speed": [],
        "grid": ["--data", photos, "--class", "sky"],
        "augment": [image, "--augment", "random-crop+flip", "--backbone", "cnn:resize=72"],
        "embedding": ["--data", photos, "--backbone", "lenet5", "--method", "pca"],
    }.items():
        said = featbench("plot", name, *arguments)
        assert said.code == 0, said.err
        assert said.out == f"{tmp_path / name}.png\n"
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 500
    first = featbench("plot", "augment", "--data", photos, "--augment", "flip", "--backbone", "cnn")
    assert first.code == 0, first.err
    assert featbench("plot", "augment", image, "--data", photos, "--augment", "flip").code == 2
    refused = featbench("plot", "augment", "none.jpg", "--augment", "flip")
    assert refused.code == 2
    assert "no such file" in refused.err


def test_pictures_are_found_where_they_are_now(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    featbench("fit", "--backbone", "lenet5", "--data", photos, "--head", "logreg")
    (run,) = (tmp_path / "results").glob("*/")
    moved = photos.rename(tmp_path / "elsewhere")
    assert featbench("plot", "predictions", run.name).code == 2
    assert featbench("plot", "predictions", run.name, "--data", moved).code == 0
    (moved / "test/sky/sky_000.jpg").unlink()
    assert "is not what run" in featbench("plot", "predictions", run.name, "--data", moved).err

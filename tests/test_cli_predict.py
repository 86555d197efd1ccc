"""``featbench predict``: what it prints of images, and with which exit code."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Said

Command = Callable[..., Said]


def fitted(featbench: Command, head: str, *more: object) -> str:
    said = featbench("fit", "--head", head, "--backbone", "lenet5", "--data", "photos", "--json",
                     *more)  # fmt: skip
    assert said.code == 0, said.err
    run: str = json.loads(said.out)["run_id"]
    return run


def test_a_line_an_image_with_label_and_confidence(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    run = fitted(featbench, "logreg")
    said = featbench("predict", run[:6], "photos/test/sky/sky_000.jpg", "photos/test/moss")
    assert said.code == 0
    lines = said.out.splitlines()
    assert len(lines) == 7
    table = pd.read_csv(tmp_path / "results" / run / "predictions.csv").set_index("id")
    for line in lines:
        name, answer = line.split(": ")
        row = table.loc[name.removeprefix("photos/")]
        assert answer == f"{row['predicted']} {100 * row['confidence']:.1f}%"
    three = featbench("predict", run, "photos/test/sky/sky_000.jpg", "--top", 3).out
    assert three.startswith("photos/test/sky/sky_000.jpg: sky ")
    assert three.count("%, ") == 2
    assert featbench("predict", run, "photos", "--quiet").err == ""


def test_a_head_without_probabilities_claims_no_confidence(
    featbench: Command, photos: Path
) -> None:
    run = fitted(featbench, "svm-poly")
    said = featbench("predict", run, "photos/test/sky/sky_000.jpg", "--top", 2)
    assert said.out == "photos/test/sky/sky_000.jpg: sky, rust\n"
    assert said.err.count("gives no probabilities") == 1
    assert "--set calibrate=temperature" in said.err
    document = json.loads(featbench("predict", run, "photos/test/sky/sky_000.jpg", "--json").out)
    (answer,) = document["images"][0]["predictions"]
    assert answer["label"] == "sky"
    assert answer["confidence"] is None
    assert isinstance(answer["score"], float)


def test_a_calibrated_head_has_a_confidence(featbench: Command, photos: Path) -> None:
    run = fitted(featbench, "svm-poly", "--set", "calibrate=temperature")
    said = featbench("predict", run, "photos/test/sky/sky_000.jpg", "--top", 3)
    assert said.out.count("%") == 3
    assert "gives no probabilities" not in said.err


def test_a_run_on_a_file_of_features_knows_no_way_from_an_image(
    featbench: Command, photos: Path
) -> None:
    made = featbench("extract", "--backbone", "lenet5", "--data", "photos", "-o", "f.npz")
    assert made.code == 0, made.err
    said = featbench("fit", "--head", "logreg", "--features", "f.npz", "--json")
    said = featbench("predict", json.loads(said.out)["run_id"], "photos")
    assert said.code == 2
    assert "was fitted on a file of features" in said.err


def test_models_side_by_side_and_as_one_document(featbench: Command, photos: Path) -> None:
    runs = [fitted(featbench, head) for head in ("logreg", "svm-poly", "mlp")]
    also = ("--compare", runs[1], "--compare", f"results/{runs[2]}")
    shutil.make_archive("all", "zip", photos)
    said = featbench("predict", runs[0], "all.zip", *also)
    heading, *lines = said.out.splitlines()
    assert heading.split() == ["image", runs[0][:6], "logreg", runs[1][:6], "svm-poly",
                               runs[2][:6], "mlp"]  # fmt: skip
    assert len(lines) == 48
    assert lines[0].split()[:2] == ["all.zip/test/moss/moss_000.jpg", "moss"]
    document = json.loads(featbench("predict", runs[0], "all.zip", *also, "--json").out)
    assert [model["head"] for model in document["models"]] == ["logreg", "svm-poly", "mlp"]
    assert document["models"][0]["classes"] == ["moss", "rust", "sky"]
    first = document["images"][0]
    assert first["image"] == "all.zip/test/moss/moss_000.jpg"
    assert [p["label"] for p in first["predictions"]] == ["moss"] * 3
    assert sum(x["confidence"] for x in first["predictions"][0]["top"]) <= 1


def test_broken_images_are_skipped_and_looked_at(featbench: Command, photos: Path) -> None:
    run = fitted(featbench, "logreg")
    Path("bad.jpg").write_bytes(b"no image")
    said = featbench("predict", run, "bad.jpg", "photos/test/sky/sky_000.jpg", "--json")
    assert said.code == 3
    document = json.loads(said.out)
    assert [image["image"] for image in document["images"]] == ["photos/test/sky/sky_000.jpg"]
    assert document["skipped"][0]["image"] == "bad.jpg"
    assert "skipped bad.jpg: not an image in a known format" in said.err
    alone = featbench("predict", run, "bad.jpg")
    assert alone.code == 2
    assert "not one of 1 images can be decoded (first: bad.jpg" in alone.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("{run}", "nowhere.jpg"), "nowhere.jpg: no such image, folder or zip"),
        (("{run}", "empty"), "empty: holds no images"),
        (("zzz", "photos"), "no run with an id that begins with 'zzz'"),
        (("photos", "photos"), "photos: holds no model (model.json)"),
        (("{run}", "photos", "--compare", "zzz"), "begins with 'zzz'"),
        (("{run}",), "Missing argument"),
        (("{run}", "photos", "--top", "0"), "--top"),
    ],
)
def test_mistakes_are_named(
    arguments: tuple[str, ...], expected: str, featbench: Command, photos: Path
) -> None:
    run = fitted(featbench, "logreg")
    Path("empty").mkdir()
    said = featbench("predict", *(a.format(run=run) for a in arguments))
    assert said.code == 2
    assert expected in said.err
    assert said.out == ""


def tuned(featbench: Command, *more: object) -> str:
    said = featbench("finetune", "--data", "photos", "--blocks", "all", "--epochs", 2, "--batch", 8,
                     "--json", *more)  # fmt: skip
    assert said.code == 0, said.err
    run: str = json.loads(said.out)["run_id"]
    return run


def test_trained_networks_predict_beside_heads(featbench: Command, photos: Path) -> None:
    run, head = tuned(featbench, "--backbone", "lenet5"), fitted(featbench, "logreg")
    also = tuned(featbench, "--backbone", "cnn:size=32")
    said = featbench("predict", run[:6], "photos/test/sky/sky_000.jpg", "--top", 3)
    assert said.code == 0, said.err
    assert said.out.count("%") == 3
    shutil.make_archive("all", "zip", photos)
    said = featbench("predict", run, "all.zip", "--compare", head, "--compare", also)
    heading, *lines = said.out.splitlines()
    assert heading.split() == ["image", run[:6], "fine-tune", head[:6], "logreg", also[:6],
                               "fine-tune"]  # fmt: skip
    assert len(lines) == 48
    document = json.loads(featbench("predict", head, "photos/test", "--compare", run, "--json").out)
    assert [m["method"] for m in document["models"]] == ["logreg", "fine-tune"]
    assert document["models"][1]["network"] == "lenet5"
    assert len(document["images"]) == 18
    Path("bad.jpg").write_bytes(b"no image")
    said = featbench("predict", run, "bad.jpg", "photos/test/sky/sky_000.jpg")
    assert said.code == 3
    assert "skipped bad.jpg: not an image" in said.err
    alone = featbench("predict", run, "bad.jpg")
    assert alone.code == 2
    assert "not one of 1 images can be decoded (first: bad.jpg" in alone.err


def test_a_run_is_a_backbone_and_a_start_by_its_id_alone(featbench: Command, photos: Path) -> None:
    run = tuned(featbench, "--backbone", "lenet5")
    weights = f"run:{run[:6]}"
    said = featbench("extract", "--data", "photos", "--weights", weights, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["weights"] == f"run:{run}"
    said = featbench("fit", "--head", "logreg", "--json")  # as in the last extraction
    assert (json.loads(said.out)["weights"], json.loads(said.out)["rows_cached"]) == (
        f"run:{run}", 48)  # fmt: skip
    said = featbench("fit", "--head", "ridge", "--data", "photos", "--weights", weights, "--json")
    head = json.loads(said.out)["run_id"]
    assert json.loads(said.out)["network"] == "lenet5"
    assert featbench("predict", head, "photos/test/sky/sky_000.jpg").code == 0
    second = json.loads(
        featbench("finetune", "--data", "photos", "--init-from", run[:6], "--blocks", "all",
                  "--epochs", 1, "--lr", 0.0001, "--json").out
    )  # fmt: skip
    assert (second["network"], second["init_from"]) == ("lenet5", [run])
    assert featbench("predict", second["run_id"], "photos").code == 0
    for options, expected in (
        (("--init-from", run, "--weights", "random"), "goes without --init-from"),
        (("--init-from", run, "--warm-start", "logreg"), "goes without weights and warm_start"),
        (("--init-from", head), "trained no network"),
        (("--init-from", "zzz"), "no run with an id that begins with 'zzz'"),
        (("--init-from", run, "--backbone", "cnn"), "are of lenet5, not of cnn"),
        (("--weights", f"run:{head}"), "trained no network"),
    ):
        said = featbench("finetune", "--data", "photos", *options)
        assert said.code == 2
        assert expected in said.err

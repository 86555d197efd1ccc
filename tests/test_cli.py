"""The command line: what it prints, where, and with which exit code."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.heads import HEADS
from tests.conftest import Said

Command = Callable[..., Said]
BROKEN = b"\xff\xd8\xff\xe0 this is no JPEG"


@pytest.mark.parametrize(("arguments", "barred"), [
    (["--help"], {"torch", "numpy", "sklearn", "pandas", "pydantic"}),
    (["table"], {"torch", "sklearn", "pandas", "matplotlib"}),
    (["results", "ls"], {"torch", "sklearn", "pandas", "matplotlib"}),
    (["datasets"], {"torch", "sklearn", "pandas", "matplotlib"}),
])  # fmt: skip
def test_light_commands_import_nothing_heavy(
    arguments: list[str], barred: set[str], tmp_path: Path
) -> None:
    code = (
        f"import sys; from featbench.cli import main; sys.argv = ['featbench', *{arguments}]\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"heavy = {barred} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_the_two_commands_as_typed_in_an_empty_folder(featbench: Command) -> None:
    first = featbench("extract", "--backbone", "lenet5")
    assert first.code == 0
    assert "1,797 rows computed, 0 from the cache" in first.out
    assert "data digits (by default)" in first.err
    fitted = featbench("fit", "--head", "svm-poly")
    assert fitted.code == 0
    assert "lenet5 (random) · svm-poly: test" in fitted.out
    assert "backbone lenet5 (as in the last extraction)" in fitted.err
    table = featbench("table")
    assert "svm-poly" in table.out
    assert "read by 1 run" in table.out


def test_a_second_extraction_says_that_it_did_nothing(featbench: Command, photos: Path) -> None:
    options = ("extract", "--backbone", "lenet5", "--data", photos)
    assert json.loads(featbench(*options, "--json").out)["rows_computed"] == 48
    again = featbench(*options, "--json", "--batch-size", 5)
    summary = json.loads(again.out)
    assert (summary["rows_computed"], summary["rows_cached"]) == (0, 48)
    assert "nothing to compute, all 48 rows are in the cache" in featbench(*options).out


def test_a_whole_study_from_the_prompt(featbench: Command, photos: Path, tmp_path: Path) -> None:
    data = ("--backbone", "lenet5", "--data", photos)
    fitted = featbench("fit", "--head", "logreg", "--set", "C=1.0", *data, "--json", "--quiet")
    assert fitted.code == 0
    assert fitted.err == ""
    result = json.loads(fitted.out)
    assert result["settings"]["C"] == 1.0
    tuned = featbench("finetune", "--blocks", "all", "--epochs", 2, *data)
    assert "fine-tune from pixels on: test" in tuned.out
    rows = json.loads(featbench("table", "--format", "json").out)
    assert [r["method"] for r in rows] == ["logreg", "fine-tune"]
    assert featbench("table", "--format", "csv").out.startswith("dataset,network,weights,cut")
    assert len(featbench("results", "ls").out.splitlines()) == 2
    assert json.loads(featbench("results", "show", result["run_id"][:5]).out) == result
    page = featbench("report", "-o", "r.html")
    assert page.out.strip() == str(tmp_path / "r.html")
    assert "removed" in featbench("results", "rm", result["run_id"]).out
    assert len(featbench("results", "ls").out.splitlines()) == 1


def test_training_takes_common_settings_as_options_and_the_others_by_set(
    featbench: Command, photos: Path
) -> None:
    said = featbench(
        "finetune", "--backbone", "lenet5", "--data", photos, "--warm-start", "logreg",
        "--epochs", 2, "--schedule", "cosine", "--backbone-lr", 1e-4, "--patience", 3,
        "--set", "clip_norm=1", "--set", "logreg.C=2.0", "--json",
    )  # fmt: skip
    result = json.loads(said.out)
    expected = {
        "epochs": 2, "schedule": "cosine", "backbone_lr": 1e-4, "patience": 3, "clip_norm": 1,
        "warm_start": "logreg", "warm_start_settings": {"C": 2.0},
    }  # fmt: skip
    assert result["given"] == expected
    assert result["settings"]["warm_start_settings"]["C"] == 2.0


def test_a_recipe_and_what_a_second_run_of_it_does(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.toml").write_text(
        'data = "photos"\n[[run]]\nnetwork = "lenet5"\nhead = ["logreg", "svm-rbf"]\n'
        '[[run]]\nnetwork = "lenet5"\nblocks = "nowhere"\n'
    )
    planned = featbench("run", "r.toml", "--dry-run")
    assert len(planned.out.splitlines()) == 3
    assert planned.err == "0 finished, 2 to do, 1 unknown\n"
    seeds = featbench("run", "r.toml", "--dry-run", "--set", "seeds=[0, 1]").out.splitlines()
    assert seeds[-1].endswith(": unknown (like 5)")
    assert planned.out.splitlines()[0].endswith("logreg: to do, 48 rows to extract")
    assert "blocks=nowhere: unknown (" in planned.out
    rows = json.loads(featbench("run", "r.toml", "--dry-run", "--json").out)
    assert [row["finished"] for row in rows] == [False, False, None]
    assert (rows[0]["head"], rows[0]["cached"], rows[0]["rows"]) == ("logreg", 0, 48)
    assert not (tmp_path / "results").exists()
    first = featbench("run", "r.toml", "--report", "r.html")
    assert first.code == 3  # one run failed, the rest went on
    assert "failed: blocks=nowhere" in first.err
    assert first.out.count("frozen + ") == 2
    assert "failed |" in first.out
    assert (tmp_path / "r.html").is_file()
    again = featbench("run", "r.toml", "--json")
    assert again.err.count("is finished already") == 2
    assert [r["status"] for r in json.loads(again.out)] == ["ok", "ok", "failed"]


@pytest.mark.parametrize("ending", ["h5", "npz"])
def test_features_of_a_file_are_fitted_like_those_of_the_images(
    ending: str, featbench: Command, photos: Path, tmp_path: Path
) -> None:
    data = ("--backbone", "lenet5", "--data", photos)
    (tmp_path / "featbench.toml").write_text("limit = 3\nseed = 9\n")  # of images: not for the file
    assert featbench("extract", *data, "--limit", 10, "-o", f"f.{ending}").code == 0
    images = json.loads(
        featbench("fit", "--head", "svm-rbf", *data, "--limit", 10, "--seed", 0, "--json").out
    )
    said = featbench("fit", "--head", "svm-rbf", "--features", f"f.{ending}", "--json")
    assert said.code == 0
    assert "by default" not in said.err
    assert "48 rows of 84 float32 numbers (X, y, split, id)" in said.err
    file = json.loads(said.out)
    for name in ("train_accuracy", "test_accuracy", "test_macro_f1", "settings", "network"):
        assert file[name] == images[name], name
    assert "is finished already" in featbench(
        "fit", "--head", "svm-rbf", "--features", f"f.{ending}", "--features-split", "split"
    ).err  # fmt: skip
    few = ("fit", "--head", "svm-rbf", "--features", f"f.{ending}", "--limit", 2, "--json")
    assert json.loads(featbench(*few).out)["n_train"] == 6
    row = next(r for r in json.loads(featbench("table", "--json").out) if r["dataset"] == "f")
    assert row["extract_seconds_cold"] is None  # no extraction, and none that took no time
    assert (row["description"], row["images_per_second"]) == ("svm-rbf", None)
    assert featbench("report", "-o", "r.html").code == 0


def test_networks_show(featbench: Command) -> None:
    shown = json.loads(
        featbench("networks", "show", "resnet50", "--classes", 196, "--blocks", 1, "--json").out
    )
    assert (shown["total"], shown["trainable"]) == (23_909_636, 15_366_340)
    assert [x["name"] for x in shown["blocks"] if x["trains"]] == ["layer4", "classifier"]
    assert shown["multiply_adds"] == sum(x["multiply_adds"] for x in shown["layers"])
    assert (
        "total 61,706, trainable 61,706"
        in featbench("networks", "show", "lenet5", "--blocks", "all").out
    )


def test_networks_show_prints_the_layer_table_for_a_size(featbench: Command) -> None:
    lines = featbench("networks", "show", "cnn", "--size", 32, "--classes", 3).out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[: lines.index("")]}
    assert rows["layer"] == ["kind", "output", "parameters", "multiply-adds"]
    assert rows["conv1"] == ["Conv2d", "20×30×30", "560", f"{30 * 30 * 27 * 20:,}"]
    assert rows["fc3"] == ["Linear", "3", "153", "150"]
    assert lines[-1].startswith(f"{30**2 * 27 * 20 + 13**2 * 180 * 64 + 2304 * 100 + 5150:,} mult")
    shown = featbench("networks", "show", "resnet18", "--size", 64).out
    assert "layer4.0.relu (call 2)" in shown
    assert shown.endswith("called more than once: 8 of the layers\n")


def test_options_in_a_networks_name_make_another_run_and_another_feature_space(
    featbench: Command, photos: Path
) -> None:
    said = [
        json.loads(featbench("fit", "--head", "logreg", "--data", photos, "--json",
                             "--backbone", name).out)
        for name in ("fcnet:hidden=8,4:size=16", "fcnet:size=16:hidden=8,4", "fcnet:size=16")
    ]  # fmt: skip
    assert [x["network"] for x in said] == ["fcnet:hidden=8,4:size=16"] * 2 + ["fcnet:size=16"]
    assert said[0]["run_id"] == said[1]["run_id"] != said[2]["run_id"]
    assert featbench("predict", said[0]["run_id"], photos).code == 0
    assert len(json.loads(featbench("cache", "ls", "--json").out)) == 2


@pytest.mark.parametrize("what", ["networks", "heads", "datasets"])
def test_lists(what: str, featbench: Command) -> None:
    assert len(featbench(what).out.splitlines()) >= 6
    assert json.loads(featbench(what, "--json").out)


def test_init_is_what_later_commands_use(featbench: Command, photos: Path) -> None:
    assert featbench("init", "photos", "--backbone", "lenet5").code == 0
    said = featbench("fit", "--head", "logreg")
    assert "data photos (from featbench.toml)" in said.err
    assert featbench("init", "photos").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("extract", "--data", "nowhere"), 2, "nowhere: no such folder"),
        (("extract", "--backbone", "resnet5O", "--data", "photos"), 2, "did you mean 'resnet50'"),
        (("fit", "--head", "svm-ploy"), 2, "did you mean 'svm-poly'"),
        (("fit", "--head", "svm-poly", "--set", "degre=2"), 2, "did you mean 'degree'"),
        (("fit",), 2, "fit needs --head: centroid, knn, logreg"),
        (("fit", "--head", "logreg", "--limit", "0"), 2, "greater than or equal"),
        (("extract", "--device", "warp", "--backbone", "lenet5"), 2, "--device warp"),
        (("table", "--format", "xls"), 2, "expected md, csv, json"),
        (("report", "nothing-here"), 2, "nothing-here: no such folder"),
        (("run", "none.toml"), 2, "none.toml: cannot be read"),
        (("networks", "show", "lenet5", "--blocks", "fc9"), 2, "did you mean 'fc2'"),
        (("networks", "show", "lenet5", "--size", "28"), 2, "it is made for 32×32"),
        (
            ("fit", "--head", "logreg", "--backbone", "lenet5:droput=0.1", "--data", "photos"),
            2,
            "did you mean 'dropout'",
        ),
        (
            ("finetune", "--backbone", "lenet5", "--optimizer", "lion"),
            2,
            "expected adamw, adam, sgd",
        ),
        (("finetune", "--set", "layer_decy=0.5"), 2, "did you mean 'layer_decay'"),
        (("finetune", "--lr", "1", "--set", "lr=2"), 2, "--lr says it"),
        (("finetune", "--set", "logreg.C=1"), 2, "goes with --warm-start logreg"),
        (("finetune", "--warm-start", "knn"), 2, "is not one linear layer"),
        (("fit", "--head", "logreg", "--features", "none.h5"), 2, "none.h5: no such file"),
        (("fit", "--head", "logreg", "--features", "f.h5", "--data", "photos"), 2, "--data cannot"),
        (
            ("fit", "--head", "logreg", "--features", "f.h5", "--precision", "bfloat16"),
            2,
            "--precision cannot be given with it",
        ),
        (("fit", "--head", "logreg", "--features-x", "X"), 2, "--features-x goes with --features"),
        (("fnetune",), 2, "No such command"),
    ],
)
def test_mistakes_are_answered_without_a_traceback(
    arguments: tuple[str, ...], code: int, expected: str, featbench: Command, photos: Path
) -> None:
    said = featbench(*arguments)
    assert said.code == code
    assert expected in said.err
    assert "Traceback" not in said.err + said.out
    assert said.out == ""


def test_a_broken_image_among_good_ones_is_skipped_and_looked_at(
    featbench: Command, photos: Path
) -> None:
    (photos / "train" / "moss" / "bad.jpg").write_bytes(BROKEN)
    (photos / "train" / "void").mkdir()
    data = ("--backbone", "lenet5", "--data", photos)
    for command in (("extract",), ("fit", "--head", "logreg"), ("finetune", "--epochs", 1)):
        said = featbench(*command, *data)
        assert said.code == 3
        assert "skipped train/moss/bad.jpg: " in said.err
        assert said.err.endswith("exit code 3\n")
        assert "class folder 'void' has no images" in said.err
    strict = featbench("extract", *data, "--strict")
    assert strict.code == 1
    assert "train/moss/bad.jpg cannot be decoded" in strict.err


def test_a_cache_that_cannot_be_written_is_named(featbench: Command, photos: Path) -> None:
    (photos / "file").write_text("x")
    said = featbench(
        "extract", "--backbone", "lenet5", "--data", "photos", "--cache", "photos/file"
    )
    assert said.code == 1
    assert "choose another --cache DIR" in said.err


def test_debug_shows_the_traceback(featbench: Command) -> None:
    from featbench.errors import UsageError

    with pytest.raises(UsageError):
        featbench("fit", "--head", "nothing", "--debug")


def test_a_bug_is_called_one(featbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featbench.heads.create_head", lambda name: 1 / 0)
    said = featbench("heads")
    assert said.code == 1
    assert "ZeroDivisionError" in said.err
    assert "--debug" in said.err


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_commands_say_so(
    how: signal.Signals, code: int, photos: Path, tmp_path: Path
) -> None:
    slow = (
        "import time, sys; from featbench.extraction import _tuning\n"
        "forward = _tuning.Running.__call__\n"
        "def slowly(self, pixels):\n"
        "    print('working', file=sys.stderr, flush=True); time.sleep(0.2)\n"
        "    return forward(self, pixels)\n"
        "_tuning.Running.__call__ = slowly\n"
        "from featbench.cli import main\n"
        "sys.argv = 'featbench extract --backbone lenet5 --data photos'.split()\n"
        "sys.argv += '--batch-size 4 --engine eager'.split()\n"
        "main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    batches = (line for line in process.stderr if "working" in line)
    for _ in range(4):
        next(batches)
    process.send_signal(how)
    with process.stderr:
        rest = process.stderr.read()
    assert process.wait(60) == code
    assert "interrupted; what was finished is kept" in rest
    assert "Traceback" not in rest
    assert list((tmp_path / "cache").glob("*/*.h5")), "what was computed was thrown away"


def test_settings_are_tuned_at_the_prompt(featbench: Command, photos: Path) -> None:
    options = ("fit", "--backbone", "lenet5", "--data", photos, "--head", "svm-rbf")
    tuned = featbench(*options, "--tune", "4", "--folds", 3, "--memory", "1G")
    assert tuned.code == 0, tuned.err
    assert "best of 4 (" in tuned.err
    assert "Gram matrix" not in tuned.err, "a small one is nobody's concern"
    assert "best of 4]" in tuned.out
    assert "(best of 4)" in featbench("table").out
    for wrong, said in (
        (("--folds", 3), "folds goes with tune"),
        (("--tune", "some"), "tune 'some'"),
        (("--memory", "much"), "--memory much: expected a size"),
        (("--set", "C=0"), "C=0"),
    ):
        done = featbench(*options, *wrong)
        assert done.code == 2
        assert said in done.err
    done = featbench(*options[:-1], "logreg", "--approximate")
    assert (done.code, "always exact" in done.err) == (2, True)


def test_activations_have_a_budget_at_the_prompt(featbench: Command, photos: Path) -> None:
    options = ("finetune", "--backbone", "lenet5", "--data", photos, "--epochs", 1, "--again")
    done = featbench(*options, "--activation-budget", "1K", "--json")
    assert done.code == 0, done.err
    assert (
        "activations at fc2: 240 B an image, 11.5 KB in all, but activation_budget is" in done.err
    )
    assert json.loads(done.out)["prefix"] == "plain"
    done = featbench(*options, "--activation-budget", "1M", "--precision", "bfloat16", "--json")
    assert (json.loads(done.out)["prefix"], json.loads(done.out)["precision"]) == (
        "cached", "bfloat16"
    )  # fmt: skip
    done = featbench(*options, "--activation-budget", "much")
    assert (done.code, "--activation-budget much: expected a size" in done.err) == (2, True)


def test_every_head_is_fitted_at_once(featbench: Command, photos: Path) -> None:
    options = ("fit", "--backbone", "lenet5", "--data", photos, "--head", "all", "--json")
    done = featbench(*options)
    assert done.code == 0, done.err
    assert {result["method"] for result in json.loads(done.out)} == set(HEADS)
    assert featbench(*options, "--set", "degree=2").code == 2

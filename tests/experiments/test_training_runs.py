"""Runs that train above a cut, as the command line does them: settings, history, TensorBoard."""

import csv
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from featbench.cli._console import ConsoleReporter
from featbench.errors import UsageError
from featbench.experiments import Session
from featbench.finetune._history import describe
from tests.conftest import Said, make_photos

COLUMNS = ["epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"]
Command = Callable[..., Said]
TRAIN = ("finetune", "--backbone", "lenet5", "--blocks", "all", "--epochs", 3, "--json")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two classes, of which each has three training images and two of each other split."""
    root = make_photos(tmp_path / "two", {"train": 3, "val": 2, "test": 2})
    for folder in root.glob("*/sky"):
        folder.rename(tmp_path / f"{folder.parent.name}-sky")
    return root


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def only(pattern: str, folder: Path) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_cnn3_by_a_sigmoid_has_one_output(featbench: Command, two: Path, tmp_path: Path) -> None:
    said = featbench(
        "finetune", "--data", two, "--backbone", "cnn3", "--blocks", "all", "--epochs", 1,
        "--set", "binary=sigmoid", "--set", "class_weight={rust = 2.0}", "--json",
    )  # fmt: skip
    result = json.loads(said.out)
    assert result["parameters_total"] == result["parameters_trainable"] == 16_870_721
    assert result["given"] == {"epochs": 1, "binary": "sigmoid", "class_weight": {"rust": 2.0}}
    assert 0 < result["test_log_loss"] < 2
    lines = rows_of(only("results/*/predictions.csv", tmp_path))
    assert [line["label"] for line in lines] == ["moss"] * 2 + ["rust"] * 2
    assert all(float(line["confidence"]) >= 0.5 for line in lines)
    right = np.mean([line["label"] == line["predicted"] for line in lines])
    assert right == result["test_accuracy"]
    shown = featbench("networks", "show", "cnn3", "--classes", 1)
    assert "total 16,870,721" in shown.out


def test_class_weights_are_part_of_the_run(featbench: Command, two: Path) -> None:
    ids = []
    for change in ("class_weight={rust = 2}", "class_weight={rust=2.0}", "class_weight=balanced"):
        result = json.loads(featbench(*TRAIN, "--data", two, "--set", change).out)
        ids.append(result["run_id"])
    assert ids[0] == ids[1] != ids[2]
    wrong = featbench(*TRAIN, "--data", two, "--set", "class_weight={rsut = 2}")
    assert wrong.code == 2
    assert "did you mean 'rust'? Classes: moss, rust" in wrong.err


def test_the_history_has_a_row_an_epoch(featbench: Command, two: Path, tmp_path: Path) -> None:
    featbench(*TRAIN, "--data", two)
    rows = rows_of(only("results/*/history.csv", tmp_path))
    assert list(rows[0]) == COLUMNS
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]


def test_progress_is_one_line_of_eighty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = dict(zip(COLUMNS, [9, 1.25e-4, 12.3456, 0.5, 2.3456, 1.0, 0.01], strict=True))
    reporter = ConsoleReporter()
    reporter._console = type(reporter._console)(
        stderr=True, force_terminal=True, width=80, color_system=None
    )
    with reporter.bar("train", 15, "epochs") as bar:
        bar.advance(9, describe(row))
    drawn = capsys.readouterr().err.replace("\r", "\n").splitlines()
    last = [line for line in drawn if "9/15" in line][-1]
    assert "loss 12.346, val 2.346 100.0%, lr 0.000125" in last


class Writer:
    """Stands for TensorBoard's."""

    written: ClassVar[list[tuple[Any, ...]]] = []

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder = Path(folder)
        self.written.append(("begin", self.folder.name, purge_step))

    def add_text(self, tag: str, text: str, epoch: int) -> None:
        self.written.append((tag, text, epoch))

    def add_scalar(self, tag: str, value: float, epoch: int) -> None:
        self.written.append((tag, value, epoch))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.written.append(("end",))


@pytest.fixture
def tensorboard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(Writer, "written", [])
    return Writer.written


def test_tensorboard_is_told_each_epoch(
    tensorboard: list[tuple[Any, ...]], featbench: Command, two: Path, tmp_path: Path
) -> None:
    result = json.loads(featbench(*TRAIN, "--data", two, "--tensorboard", "board").out)
    assert tensorboard[0] == ("begin", result["run_id"], 1)
    assert tensorboard[-1] == ("end",)
    told = [line for line in tensorboard if line[0] == "loss/val"]
    rows = rows_of(only("results/*/history.csv", tmp_path))
    assert [(v, e) for _, v, e in told] == [(float(r["val_loss"]), int(r["epoch"])) for r in rows]
    tags = {line[0] for line in tensorboard} - {"begin", "run", "end"}
    assert tags == {"loss/train", "loss/val", "accuracy/train", "accuracy/val", "lr", "seconds"}
    plain = json.loads(featbench(*TRAIN, "--data", two, "--again").out)
    assert plain["run_id"] == result["run_id"], "where it is told is no part of a run"


def test_a_recipe_tells_tensorboard_each_of_its_trainings(
    tensorboard: list[tuple[Any, ...]], featbench: Command, two: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        f"data = '{two.as_posix()}'\n[[run]]\nnetwork = 'lenet5'\nblocks = [0, 'all']\n"
        "train = {epochs = 1}\n[[run]]\nnetwork = 'lenet5'\nhead = 'knn'\n"
    )
    assert featbench("run", recipe, "--tensorboard", tmp_path / "board").code == 0
    assert [line[0] for line in tensorboard].count("begin") == 2


def test_without_the_package_the_extra_is_named_before_any_work(
    featbench: Command, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said = featbench(*TRAIN, "--data", two, "--tensorboard", "board")
    assert said.code == 2
    assert "pip install 'featbench[tensorboard]'" in said.err
    assert not (tmp_path / "board").exists()
    assert not (tmp_path / "cache").exists()
    with pytest.raises(UsageError, match="needs the package tensorboard"):
        Session(tensorboard=tmp_path / "board")

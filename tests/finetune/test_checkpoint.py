"""An interrupted training goes on to the end that it would have had; nothing damaged is used."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import featbench
from featbench.datasets import Dataset, load_dataset
from featbench.errors import FeatbenchError
from featbench.finetune import FineTuneClassifier, Schedule
from featbench.finetune import _checkpoint as checkpoints
from featbench.finetune._checkpoint import FILE
from featbench.finetune._objective import Objective
from featbench.finetune._trainer import Trainer
from featbench.networks import sha256_of_tensors
from featbench.progress import Reporter
from tests.conftest import Notes, make_photos

HARD: dict[str, Any] = {
    "network": "lenet5:batch_norm=true:dropout=0.3",
    "weights": "random", "blocks": "all", "epochs": 4, "batch": 8, "schedule": "cosine",
    "warmup_epochs": 1, "layer_decay": 0.8, "weight_decay": 0.01,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("c") / "p", {"train": 10, "val": 4, "test": 4})
    return load_dataset(root)


def tune(data: Dataset, folder: Path, **options: Any) -> FineTuneClassifier:
    return FineTuneClassifier(cache=folder / "cache", **{**HARD, **options}).fit(data)


def fingerprint(model: FineTuneClassifier) -> str:
    return sha256_of_tensors(model.network_.module.state_dict())


def without_times(model: FineTuneClassifier) -> list[list[tuple[str, Any]]]:
    """Return the history with its columns in their order, without seconds."""
    return [[(k, v) for k, v in row.items() if k != "seconds"] for row in model.history_]


def break_in(epoch: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Raise in the middle of this epoch, after its first step."""
    whole = Trainer._epoch

    def broken(self: Trainer, *arguments: Any) -> Any:
        if arguments[-1] < epoch:
            return whole(self, *arguments)
        inner, seen = self._prepare, []

        def prepare(batch: torch.Tensor) -> torch.Tensor:
            seen.append(1)
            if len(seen) > 1:
                raise error
            result: torch.Tensor = inner(batch)
            return result

        self._prepare = prepare
        return whole(self, *arguments)

    monkeypatch.setattr(Trainer, "_epoch", broken)


@pytest.mark.parametrize(
    ("options", "at_once", "epochs"),
    [
        ({"epochs": 3}, False, (1, 2, 3)),
        ({"epochs": 3}, True, (1, 2, 3)),
        ({"optimizer": "sgd", "select": "last", "blocks": 1}, True, (3,)),
        ({"optimizer": "sgd", "momentum": 0.0}, False, (3,)),
        ({"optimizer": "adamw", "select": "val_accuracy", "patience": 2, "hidden": [8],
          "dropout": 0.5, "amp": True}, False, (3,)),
    ],
)  # fmt: skip
def test_the_end_is_that_of_an_undisturbed_training(
    options: dict[str, Any], at_once: bool, epochs: tuple[int, ...], data: Dataset,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(checkpoints, "EVERY", 0.0 if at_once else 60.0)
    monkeypatch.setattr(checkpoints, "_SHARE", 0)
    whole = tune(data, tmp_path, **options)
    for epoch in epochs:
        folder = tmp_path / f"at{epoch}"
        with monkeypatch.context() as inner:
            break_in(epoch, inner, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                tune(data, tmp_path, checkpoint=folder, **options)
        assert (folder / FILE).exists() == (epoch > 1)
        notes = Notes()
        model = tune(data, tmp_path, checkpoint=folder, reporter=notes, **options)
        assert model.resumed_after_ == epoch - 1
        assert fingerprint(model) == fingerprint(whole)
        assert without_times(model) == without_times(whole)
        assert model.best_epoch_ == whole.best_epoch_
        news = f"training goes on after epoch {epoch - 1} of {options.get('epochs', 4)}"
        said = [line for line in notes.lines if line.startswith(news)]
        assert len(said) == (epoch > 1)


def test_a_short_training_writes_nothing(data: Dataset, tmp_path: Path) -> None:
    tune(data, tmp_path, checkpoint=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a bit of a weight": (lambda p: flip(p, -100), "checksum differs"),
    "a bit of the note": (lambda p: flip(p, p.read_bytes().index(b"train_loss")), "checksum"),
    "half of it": (lambda p: p.write_bytes(p.read_bytes()[:-999]), "is no safetensors file"),
    "nothing in it": (lambda p: p.write_bytes(b""), "is no safetensors file"),
    "a link": (lambda p: (p.rename(p.with_name("x")), p.symlink_to("x")), "is a link"),
}


class TestWhatIsNotUsed:
    @pytest.fixture
    def kept(self, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        with monkeypatch.context() as inner:
            break_in(3, inner, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                tune(data, tmp_path, checkpoint=tmp_path / "kept")
        return tmp_path / "kept"

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_one_is_told_and_training_begins_anew(
        self, damage: str, kept: Path, data: Dataset, tmp_path: Path
    ) -> None:
        work, reason = DAMAGES[damage]
        work(kept / FILE)
        notes = Notes()
        model = tune(data, tmp_path, checkpoint=kept, reporter=notes)
        assert model.resumed_after_ == 0
        assert fingerprint(model) == fingerprint(tune(data, tmp_path))
        (line,) = [line for line in notes.lines if "begins anew" in line]
        assert reason in line

    @pytest.mark.parametrize("option", [{"lr": 0.01}, {"seed": 1}, {"hidden": [4]}])
    def test_another_trainings(
        self, option: dict[str, Any], kept: Path, data: Dataset, tmp_path: Path
    ) -> None:
        notes = Notes()
        model = tune(data, tmp_path, checkpoint=kept, reporter=notes, **option)
        assert model.resumed_after_ == 0
        assert any("has another settings" in line for line in notes.lines)

    def test_another_versions(
        self, kept: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checkpoints, "_FORMAT", 2)
        notes = Notes()
        assert tune(data, tmp_path, checkpoint=kept, reporter=notes).resumed_after_ == 0
        assert any("has another format (1, here 2)" in line for line in notes.lines)


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_whole", full)
    notes = Notes()
    model = tune(data, tmp_path, checkpoint=tmp_path / "kept", reporter=notes)
    assert len(model.history_) == 4
    assert any("No space left on device" in line for line in notes.lines)


def test_one_that_diverged_leaves_nothing_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "_SHARE", 0)
    seen: list[bool] = []
    rows = torch.randn(8, 4)

    def prepare(batch: torch.Tensor) -> torch.Tensor:
        seen.append((tmp_path / "run" / "kept" / FILE).exists())
        return batch * (torch.nan if len(seen) > 2 else 1)

    trainer = Trainer(nn.Linear(4, 2), prepare, torch.device("cpu"), Objective())
    groups = [{"params": list(trainer.module.parameters()), "lr": 0.1}]
    place = checkpoints.Checkpoint(tmp_path / "run" / "kept", "k")
    how = Schedule(select="last", batch=8)
    with pytest.raises(FeatbenchError, match=r"epoch 3, batch 1: .*lower lr"):
        trainer.fit((rows, torch.zeros(8).long()), None, how, groups, Reporter(), place)
    assert seen == [False, True, True]
    assert not (tmp_path / "run").exists()


KILLED = """
import sys, time
from pathlib import Path
from featbench.datasets import load_dataset
from featbench.finetune import FineTuneClassifier, _checkpoint
_checkpoint.EVERY, _checkpoint._SHARE = 0.0, 0
from featbench.finetune._objective import Objective
from featbench.finetune._trainer import Trainer
whole = Trainer._epoch
def slow(self, *arguments):
    if arguments[-1] == 3:
        print("third", flush=True)
        time.sleep(60)
    return whole(self, *arguments)
Trainer._epoch = slow
FineTuneClassifier(cache="cache", checkpoint=Path("kept"), **eval(sys.argv[2])).fit(
    load_dataset(sys.argv[1]))
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process outright")
def test_a_killed_process_is_gone_on_with(data: Dataset, tmp_path: Path) -> None:
    path = {**os.environ, "PYTHONPATH": str(Path(featbench.__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data.source), repr(HARD)],
        cwd=tmp_path, env=path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "third\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    model = tune(data, tmp_path, checkpoint=tmp_path / "kept")
    assert model.resumed_after_ == 2
    whole = tune(data, tmp_path)
    assert fingerprint(model) == fingerprint(whole)
    np.testing.assert_array_equal(model.predict_proba(data.test), whole.predict_proba(data.test))

"""Staged training: a run goes on from another one's weights, and its result says from which."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import featbench
from featbench.errors import UsageError
from featbench.experiments import Result, Run, Session, load_recipe, method_key
from featbench.finetune import _checkpoint as checkpoints
from featbench.finetune._trainer import Trainer
from tests.conftest import make_photos
from tests.experiments.test_session import session
from tests.experiments.test_trained_model import tuned_run
from tests.finetune.test_checkpoint import Notes, break_in
from tests.heads.forged import describe


def tensors(here: Session, result: Result) -> dict[str, torch.Tensor]:
    return load_file(here.store.folder / result.run_id / "model" / "network.safetensors")


def frozen(**settings: Any) -> dict[str, Any]:
    """Settings that train, and change nothing that can be seen."""
    return {"optimizer": "sgd", "momentum": 0.0, "lr": 1e-12, "epochs": 1, **settings}


class TestGoingOn:
    def test_from_the_very_weights_classifier_included(self, photos: Path, tmp_path: Path) -> None:
        here = session(tmp_path)
        first = here.run(tuned_run(photos))
        second = here.run(tuned_run(photos, init_from=first.run_id[:6], settings=frozen()))
        old, new = tensors(here, first), tensors(here, second)
        for name in old:
            torch.testing.assert_close(old[name], new[name], rtol=0, atol=1e-9)
        assert second.weights == f"run:{first.run_id}"
        assert (first.init_from, second.init_from) == ([], [first.run_id])
        assert second.test_log_loss == pytest.approx(first.test_log_loss, abs=1e-6)

    def test_the_chain_is_kept_and_every_stage_is_its_own_run(
        self, photos: Path, tmp_path: Path
    ) -> None:
        here = session(tmp_path)
        plain = tuned_run(photos)
        stages = [plain]
        for blocks in ("all", 1, 0):
            stages.append(tuned_run(photos, init_from=stages[-1], blocks=blocks))
        results = list(here.run_all(stages))
        assert [r.status for r in results] == ["ok"] * 4
        ids = [r.run_id for r in results]
        assert len(set(ids)) == 4
        assert [r.init_from for r in results] == [ids[:n] for n in range(4)]
        assert session(tmp_path).run(stages[-1]) == results[-1]
        other = session(tmp_path)
        for result in results:
            assert other.store.find(result.run_id) == result

    def test_a_run_alone_does_first_what_it_goes_on_from(
        self, photos: Path, tmp_path: Path
    ) -> None:
        here = session(tmp_path)
        result = here.run(tuned_run(photos, init_from=tuned_run(photos)))
        assert [r.run_id for r in here.store.all()] == [*result.init_from, result.run_id]

    def test_other_weights_under_the_same_id_are_another_run(
        self, photos: Path, tmp_path: Path
    ) -> None:
        here = session(tmp_path)
        first, other = here.run(tuned_run(photos)), here.run(tuned_run(photos, seed=5))
        follower = tuned_run(photos, init_from=first.run_id)
        before = here.run(follower)
        folder = here.store.folder / first.run_id / "model"
        content = (here.store.folder / other.run_id / "model" / "network.safetensors").read_bytes()
        (folder / "network.safetensors").write_bytes(content)
        shutil.copy(here.store.folder / other.run_id / "model" / "model.json", folder)
        describe(folder, "model.json", run=first.run_id)
        assert session(tmp_path).run(follower).run_id != before.run_id

    def test_dropout_may_change_by_name_and_by_setting(self, photos: Path, tmp_path: Path) -> None:
        here = session(tmp_path)
        first = here.run(tuned_run(photos, settings={"hidden": [8]}))
        second = here.run(
            tuned_run(photos, "lenet5:dropout=0.6", init_from=first.run_id,
                      settings=frozen(hidden=[8], dropout=0.4))
        )  # fmt: skip
        assert second.network == "lenet5:dropout=0.6"
        old, new = tensors(here, first), tensors(here, second)
        assert [tuple(t.shape) for t in old.values()] == [tuple(t.shape) for t in new.values()]
        for a, b in zip(old.values(), new.values(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9)
        third = here.run(tuned_run(photos, init_from=second.run_id, settings=frozen(hidden=[8])))
        assert set(tensors(here, third)) == set(old)

    def test_what_does_not_go_is_refused(self, photos: Path, tmp_path: Path) -> None:
        here = session(tmp_path)
        first = here.run(tuned_run(photos)).run_id
        four = make_photos(tmp_path / "four", {"train": 4, "test": 2})
        for split in ("train", "test"):
            shutil.copytree(four / split / "sky", four / split / "zinc")
        renamed = make_photos(tmp_path / "renamed", {"train": 4, "test": 2})
        for split in ("train", "test"):
            (renamed / split / "sky").rename(renamed / split / "slate")
        for run, expected in (
            (tuned_run(photos, "cnn", init_from=first), "are of lenet5, not of cnn"),
            (tuned_run(photos, "lenet5:batch_norm=true", init_from=first), "does not fit"),
            (tuned_run(photos, init_from=first, settings={"hidden": [8]}),
             r"trained with hidden=\[\], and cannot go on with hidden=\[8\]"),
            (tuned_run(four, init_from=first), r"3 classes \(moss, rust, sky\), four has 4"),
            (tuned_run(renamed, init_from=first), "'slate' is in place of 'sky'"),
            (tuned_run(photos, init_from="zzz"), "no run with an id that begins with 'zzz'"),
        ):  # fmt: skip
            with pytest.raises(UsageError, match=expected):
                here.run(run)
        for fields in ({"weights": "random"}, {"warm_start": "logreg"}):
            with pytest.raises(UsageError, match="init_from goes without weights and warm_start"):
                tuned_run(photos, init_from=first, **fields)
        with pytest.raises(UsageError, match="init_from goes with blocks"):
            Run(str(photos), "lenet5", head="logreg", init_from=first)

    def test_sizes_are_the_networks_and_statistics_the_weights(
        self, photos: Path, tmp_path: Path
    ) -> None:
        here = session(tmp_path)
        first = here.run(tuned_run(photos, "cnn:size=32", settings={"normalise": "data"}))
        larger = tuned_run(photos, "cnn:size=32:resize=40", init_from=first.run_id)
        second = here.run(replace(larger, settings={"epochs": 1, "augment": "random-crop"}))
        assert (second.preprocessing["resize"], second.preprocessing["crop"]) == (40, [32, 32])
        assert second.preprocessing["mean"] == first.preprocessing["mean"] != [0.5, 0.5, 0.5]

    @pytest.mark.parametrize("way", ["init_from", "weights"])
    def test_images_trained_on_before_and_held_out_now_are_told(
        self, tmp_path: Path, way: str
    ) -> None:
        undivided, notes = make_photos(tmp_path / "undivided", {"": 12}), Notes()
        here = Session(cache=tmp_path / "cache", results=tmp_path / "results", reporter=notes)
        begun = here.run(tuned_run(undivided))
        refitted = here.run(tuned_run(undivided, settings={"refit": True}))

        def told(before: Result, **fields: Any) -> list[str]:
            notes.lines.clear()
            name = before.run_id if way == "init_from" else f"run:{before.run_id}"
            here.run(tuned_run(undivided, **{way: name, **fields}), again=True)
            return [line for line in notes.lines if line.startswith(f"run:{before.run_id}")]

        assert told(begun) == told(refitted, settings={"select": "last"}) == []
        assert "accuracy on them is too high; give --split-seed 0" in told(begun, split_seed=1)[0]
        assert "was trained on val's images too" in told(refitted)[0]

    def test_who_goes_on_from_a_failed_run_has_failed(self, photos: Path, tmp_path: Path) -> None:
        here = session(tmp_path)
        bad = tuned_run(photos, settings={"lr": 1e30, "optimizer": "sgd"})
        follower = tuned_run(photos, init_from=bad)
        last = tuned_run(photos, init_from=follower)
        results = list(here.run_all([bad, follower, last, tuned_run(photos)]))
        assert [r.status for r in results] == ["failed", "failed", "failed", "ok"]
        assert "training diverged" in (results[0].error or "")
        assert "the run that it goes on from failed (the loss is" in (results[1].error or "")
        assert len({r.run_id for r in results}) == 4
        assert results[1].init_from == [results[0].run_id]
        assert sorted(p.name for p in here.store.folder.iterdir()) == sorted(
            r.run_id for r in results
        )


RECIPE = """
data = "{photos}"
seeds = [0, 1]

[[run]]
name = "plain"
network = "lenet5"
blocks = "all"
train = {{ epochs = 1, batch = 8 }}

[[run]]
name = "decayed"
init_from = "plain"
network = "lenet5"
blocks = "all"
train = {{ epochs = 1, batch = 8, weight_decay = 0.001 }}

[[run]]
init_from = "decayed"
network = "lenet5:dropout=0.5"
blocks = [1, "all"]
train = {{ epochs = 1, batch = 8, lr = 0.0001 }}
"""


class TestRecipes:
    def write(self, photos: Path, tmp_path: Path, text: str = RECIPE) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(text.format(photos=photos))
        return path

    def test_stages_go_on_from_the_run_of_the_same_seed(self, photos: Path, tmp_path: Path) -> None:
        plan = load_recipe(self.write(photos, tmp_path))
        assert [run.stage for run in plan.runs] == [1, 1, 2, 2, 3, 3, 3, 3]
        assert [run.seed for run in plan.runs] == [0, 1, 0, 1, 0, 0, 1, 1]
        results = list(session(tmp_path).run_all(plan.runs))
        assert [r.status for r in results] == ["ok"] * 8
        ids = [r.run_id for r in results]
        assert [r.init_from for r in results] == [
            [], [], [ids[0]], [ids[1]], *[[ids[0], ids[2]]] * 2, *[[ids[1], ids[3]]] * 2
        ]  # fmt: skip
        assert list(session(tmp_path).run_all(plan.runs)) == results
        methods: dict[str, list[int]] = {}
        for one in results:
            methods.setdefault(method_key(one), []).append(one.seed)
        assert list(methods.values()) == [[0, 1]] * 4, "a stage of two seeds is one method"
        assert "(stage 3)" in plan.runs[-1].describe()

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ('init_from = "plain"', 'init_from = "plane"', "no earlier .*; did you mean 'plain'"),
            ('init_from = "plain"', 'init_from = "decayed"', "no earlier"),
            ('name = "decayed"\ninit_from = "plain"', 'name = "plain"', "decayed.*no earlier"),
            ("blocks = \"all\"\ntrain = {{ epochs = 1, batch = 8 }}",
             "blocks = [1, 2]\ntrain = {{ epochs = 1, batch = 8 }}", "2 runs of that name"),
            ("network = \"lenet5:dropout=0.5\"", "network = \"cnn\"", "no run of that name with"),
            ('init_from = "decayed"', 'init_from = "decayed"\nseeds = [7]', "no run of that name"),
            ("network = \"lenet5\"\nblocks = \"all\"\ntrain = {{ epochs = 1, batch = 8 }}",
             "network = \"lenet5\"\nhead = \"logreg\"", "fits a head"),
            ('init_from = "plain"', 'init_from = "plain"\nweights = "random"', "without weights"),
        ],
    )  # fmt: skip
    def test_what_is_not_one_run_is_an_error_at_load(
        self, old: str, new: str, expected: str, photos: Path, tmp_path: Path
    ) -> None:
        assert old in RECIPE
        path = self.write(photos, tmp_path, RECIPE.replace(old, new, 1))
        with pytest.raises(UsageError, match=f"run.[12].: .*{expected}"):
            load_recipe(path)

    def test_a_finished_run_is_named_by_its_id(self, photos: Path, tmp_path: Path) -> None:
        first = session(tmp_path).run(tuned_run(photos))
        text = RECIPE.replace('"plain"\nnetwork', f'"run:{first.run_id}"\nnetwork')
        text = text.replace("seeds = [0, 1]", "seeds = [0]").replace('name = "run:', 'name = "')
        plan = load_recipe(self.write(photos, tmp_path, text))
        result = session(tmp_path).run(plan.runs[1])
        assert result.init_from == [first.run_id]


class TestInterruptedRuns:
    def test_the_same_run_goes_on_and_leaves_no_checkpoint(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = tuned_run(photos, settings={"epochs": 4})
        whole = session(tmp_path / "whole").run(run)
        with monkeypatch.context() as inner:
            break_in(3, inner, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                session(tmp_path).run(run)
        kept = tmp_path / "results" / whole.run_id / "checkpoint"
        assert kept.exists()
        assert session(tmp_path).store.all() == []
        notes = Notes()
        here = Session(cache=tmp_path / "cache", results=tmp_path / "results", reporter=notes)
        result = here.run(run)
        assert "training goes on after epoch 2 of 4, where it was interrupted" in notes.lines
        assert not kept.exists()
        assert result.run_id == whole.run_id
        paths = [s / "results" / whole.run_id for s in (tmp_path, tmp_path / "whole")]
        for name in ("predictions.csv", "model/network.safetensors"):
            assert paths[0].joinpath(name).read_bytes() == paths[1].joinpath(name).read_bytes()

    def test_again_begins_anew(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = tuned_run(photos, settings={"epochs": 3})
        with monkeypatch.context() as inner:
            break_in(3, inner, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                session(tmp_path).run(run)
        notes = Notes()
        here = Session(cache=tmp_path / "cache", results=tmp_path / "results", reporter=notes)
        here.run(run, again=True)
        assert not [line for line in notes.lines if "goes on" in line]

    def test_a_loss_that_is_no_number_is_not_gone_on_to(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checkpoints, "EVERY", 0.0)
        run = tuned_run(photos, settings={"epochs": 3})
        whole = Trainer._epoch

        def diverges(self: Trainer, *arguments: Any) -> Any:
            if arguments[-1] == 2:
                for parameter in self.module.parameters():
                    parameter.data.fill_(torch.nan)
            return whole(self, *arguments)

        here = session(tmp_path)
        with monkeypatch.context() as inner:
            inner.setattr(Trainer, "_epoch", diverges)
            (failed,) = here.run_all([run])
        assert failed.status == "failed"
        assert "the loss is nan in epoch 2, batch 1: training diverged" in (failed.error or "")
        assert [p.name for p in here.store.folder.iterdir()] == [failed.run_id]
        notes = Notes()
        there = Session(cache=tmp_path / "cache", results=tmp_path / "results", reporter=notes)
        assert there.run(run).status == "ok"
        assert not [line for line in notes.lines if "goes on" in line]

    @pytest.mark.skipif(os.name != "posix", reason="sends signals")
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_the_command_goes_on_where_a_signal_stopped_it(
        self, number: int, code: int, photos: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        path = {**os.environ, "PYTHONPATH": str(Path(featbench.__file__).parents[1])}
        line = [sys.executable, "-c", SLOW, "finetune", "--backbone", "lenet5", "--data", "photos",
                "--blocks", "all", "--epochs", "3"]  # fmt: skip
        child = subprocess.Popen(line, cwd=tmp_path, env=path, stdout=subprocess.PIPE, text=True,
                                 stderr=subprocess.PIPE)  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "third\n"
        child.send_signal(number)
        child.communicate()
        assert child.returncode == code
        monkeypatch.chdir(tmp_path)
        notes = Notes()
        here = Session(cache="cache", results="results", reporter=notes)
        here.run(Run("photos", "lenet5", blocks="all", settings={"epochs": 3}))
        assert "training goes on after epoch 2 of 3, where it was interrupted" in notes.lines


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from featbench.finetune._trainer import Trainer
from featbench.cli import main
whole = Trainer._epoch
def slow(self, *arguments):
    if arguments[-1] == 3:
        print("third", flush=True)
        time.sleep(60)
    return whole(self, *arguments)
Trainer._epoch = slow
main()
"""

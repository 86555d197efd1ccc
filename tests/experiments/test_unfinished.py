"""What an interrupted training left is seen, can be gone on with, and can be removed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featbench.errors import UsageError
from featbench.experiments import ResultStore, Run, Session, remove_unfinished, unfinished
from featbench.finetune._trainer import Trainer
from tests.conftest import Notes, Said

Command = Callable[..., Said]


def session(folder: Path, notes: Notes | None = None) -> Session:
    return Session(cache=folder / "cache", results=folder / "results", reporter=notes or Notes())


def interrupt(here: Session, run: Run, *, again: bool = False) -> None:
    """Do a run whose second epoch is interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        whole = Trainer._epoch

        def broken(self: Trainer, *arguments: Any) -> Any:
            if arguments[-1] == 2:
                raise KeyboardInterrupt
            return whole(self, *arguments)

        patch.setattr(Trainer, "_epoch", broken)
        with pytest.raises(KeyboardInterrupt):
            here.run(run, again=again)


@pytest.fixture
def run(photos: Path) -> Run:
    settings = {"epochs": 2, "select": "last"}
    return Run(str(photos), "lenet5", "random", blocks="all", settings=settings)


def test_it_is_told_where_it_is_listed_and_gone_on_with(run: Run, tmp_path: Path) -> None:
    notes = Notes()
    interrupt(session(tmp_path, notes), run)
    store = ResultStore(tmp_path / "results")
    (left,) = unfinished(store)
    folder = store.folder / left.run_id / "checkpoint"
    assert notes.lines[-1] == f"{folder}: keeps the training up to here; the same again goes on " \
                              "from there"  # fmt: skip
    assert left.size == (folder / "checkpoint.safetensors").stat().st_size
    assert store.all() == []
    notes = Notes()
    assert session(tmp_path, notes).run(run).run_id == left.run_id
    assert any("training goes on after epoch 1 of 2" in line for line in notes.lines)
    assert unfinished(store) == []


def test_at_the_prompt(run: Run, featbench: Command, tmp_path: Path) -> None:
    interrupt(session(tmp_path), run)
    done = session(tmp_path).run(Run(run.data, "lenet5", head="centroid"))
    (left,) = unfinished(ResultStore(tmp_path / "results"))
    first, second = featbench("results", "ls").out.splitlines()
    assert first.startswith(done.run_id)
    assert second.startswith(f"{left.run_id}  20")
    assert "training under way or interrupted, 0." in second
    assert featbench("results", "rm", left.run_id[:6]).out == f"removed {left.run_id}\n"
    assert not (tmp_path / "results" / left.run_id).exists()
    assert featbench("results", "rm", left.run_id).code == 2
    assert "removed" in featbench("results", "rm", done.run_id).out


def test_a_name_that_is_not_ones_alone_removes_nothing(run: Run, tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    for name in ("aa1", "aa2", "ab1"):
        (store.folder / name / "checkpoint").mkdir(parents=True)
        (store.folder / name / "checkpoint" / "checkpoint.safetensors").write_bytes(b"12")
    (store.folder / "ac1" / "checkpoint").mkdir(parents=True)  # nothing is in it
    with pytest.raises(UsageError, match="2 unfinished runs with an id that begins with 'aa'"):
        remove_unfinished(store, "aa")
    assert remove_unfinished(store, "b") is None
    removed = remove_unfinished(store, "ab")
    assert removed is not None
    assert removed.run_id == "ab1"
    assert [one.run_id for one in unfinished(store)] == ["aa1", "aa2"]


def test_a_finished_run_done_again_keeps_nothing_that_no_command_would_use(
    run: Run, tmp_path: Path
) -> None:
    here = session(tmp_path)
    interrupt(here, run, again=True)
    assert len(unfinished(here.store)) == 1  # there is no result: the same command goes on
    name = here.run(run).run_id
    interrupt(here, run, again=True)
    assert not (here.store.folder / name / "checkpoint").exists()
    assert here.run(run).status == "ok"

"""What runs share is made once; several processes come to what one comes to."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from featbench.experiments import Result, Run, Session, carry_out
from featbench.experiments._features_in_hand import LOG
from featbench.experiments._order import in_working_order
from featbench.experiments._workers import chained
from featbench.finetune import _pixels

TIMES = {
    "extract_seconds", "extract_seconds_cold", "fit_seconds", "predict_seconds", "finished",
    "images_per_second", "peak_memory_mb", "rows_computed", "rows_cached", "engine",
}  # fmt: skip


def session(tmp_path: Path) -> Session:
    return Session(cache=tmp_path / "cache", results=tmp_path / "results")


def runs_on(photos: Path, heads: tuple[str, ...] = ("ridge", "svm-rbf")) -> list[Run]:
    """Networks change with every run: the worst order there is."""
    return [
        Run(str(photos), network, "random", head=head, seed=seed)
        for head in heads for seed in (0, 1) for network in ("lenet5", "cnn")
    ]  # fmt: skip


def done(here: Session, runs: list[Run], jobs: int = 1) -> dict[str, Result]:
    return {run.key: result for run, result in carry_out(here, runs, jobs=jobs)}


def log_of(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (tmp_path / "results" / LOG).read_text().splitlines()]


def untimed(result: Result) -> dict[str, Any]:
    """Return a result without its times, and rounded: a product's last bit hangs on threads."""
    whole = result.model_dump(exclude=TIMES)
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in whole.items()}


def test_runs_that_share_come_together_and_stages_follow(photos: Path) -> None:
    runs = runs_on(photos)
    first = Run(str(photos), "lenet5", blocks="all", settings={"epochs": 1})
    second = replace(first, init_from=first)
    ordered = in_working_order([second, *runs, first])
    shared = [(run.network, run.seed) for run in ordered[2:]]
    assert len(set(shared)) == 4 == 1 + sum(a != b for a, b in pairwise(shared))
    assert ordered[:2] == [first, second]
    assert in_working_order(ordered) == ordered
    assert Counter(r.key for r in ordered) == Counter(r.key for r in [second, *runs, first])


def test_each_feature_set_is_extracted_once_and_the_log_proves_it(
    photos: Path, tmp_path: Path
) -> None:
    results = done(session(tmp_path), runs_on(photos))
    assert {result.status for result in results.values()} == {"ok"}
    check_log(tmp_path)


def check_log(tmp_path: Path) -> None:
    computed = [line for line in log_of(tmp_path) if line["rows_computed"]]
    assert len({line["space"] for line in computed}) == len(computed) == 4
    assert all(line["rows_computed"] == 48 for line in computed)


@pytest.mark.slow
def test_several_processes_come_to_what_one_comes_to(photos: Path, tmp_path: Path) -> None:
    runs = [
        *runs_on(photos),
        Run(str(photos), "lenet5", blocks="fc9"),
        Run(str(photos), "lenet5", blocks=1, settings={"epochs": 1}),
        Run(str(photos), "lenet5", blocks=1, settings={"epochs": 2}),
    ]
    runs.append(replace(runs[-1], init_from=runs[-1]))
    alone = {k: untimed(x) for k, x in done(session(tmp_path / "a"), runs).items()}
    here = session(tmp_path / "b")
    together = {k: untimed(x) for k, x in done(here, runs, 2).items()}
    assert together == alone
    check_log(tmp_path / "b")
    assert Counter(x["status"] for x in together.values()) == {"ok": 11, "failed": 1}
    assert {x.run_id for x in here.store.all()} == {x["run_id"] for x in alone.values()}
    again = done(session(tmp_path / "b"), [r for r in runs if r.blocks != "fc9"], 2)
    stored = {x.run_id: x for x in here.store.all()}
    assert all(stored[x.run_id] == x for x in again.values())  # nothing was done again


def test_one_run_alone_needs_no_worker_and_ctrl_c_still_ends_it(
    photos: Path, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGINT), torch.get_num_threads()
    run = Run(str(photos), "lenet5", "random", blocks="all", settings={"epochs": 1})
    (result,) = done(session(tmp_path), [run], jobs=2).values()
    assert result.status == "ok"
    assert (signal.getsignal(signal.SIGINT), torch.get_num_threads()) == before


def test_what_trains_above_one_cut_is_one_workers_in_turn(photos: Path) -> None:
    cut = [Run(str(photos), "lenet5", blocks=1, settings={"epochs": e}) for e in (1, 2)]
    head = Run(str(photos), "lenet5", head="ridge")
    whole = [Run(str(photos), "lenet5", blocks="all", seed=s) for s in (0, 1)]
    stage = replace(whole[0], init_from=whole[0])
    chains = chained([cut[0], head, cut[1], *whole, stage])
    assert chains == [cut, [head], [whole[0], stage], [whole[1]]]


def test_pictures_are_decoded_once_for_runs_that_train_from_pixels(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    plain, resized = _pixels._decode_all, _pixels._resize_all

    def counted(split: Any, network: Any, label: str, reporter: Any) -> Any:
        decoded.append(label)
        return plain(split, network, label, reporter)

    def counted_too(split: Any, network: Any, label: str, reporter: Any) -> Any:
        decoded.append(f"{label} for views")
        return resized(split, network, label, reporter)

    monkeypatch.setattr(_pixels, "_decode_all", counted)
    monkeypatch.setattr(_pixels, "_resize_all", counted_too)
    settings = {"epochs": 1, "select": "last"}
    run = Run(str(photos), "lenet5", "random", blocks="all", settings=settings)
    here = session(tmp_path)
    one, two = here.run(run), here.run(replace(run, seed=1))
    assert decoded == ["decode train", "decode test"]
    assert two.extract_seconds_cold == one.extract_seconds_cold > 0
    assert two.extract_seconds < two.extract_seconds_cold
    alone = session(tmp_path / "alone").run(replace(run, seed=1))
    assert untimed(alone) == untimed(two)
    decoded.clear()
    views = replace(run, settings={**settings, "augment": "flip"})
    for seed in (0, 1):
        here.run(replace(views, seed=seed))
    assert decoded == ["decode train for views"]
    decoded.clear()
    here.run(replace(run, limit=5))
    here.run(replace(run, seed=2))  # other data were between: nothing is kept of the first
    assert decoded == ["decode train", "decode test"] * 2


def test_pictures_are_not_kept_where_memory_is_short(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featbench.finetune._decoded.free_memory", lambda: 1000)
    here = session(tmp_path)
    run = Run(str(photos), "lenet5", "random", blocks="all", settings={"epochs": 1})
    here.run(run)
    assert here._pixels.size <= 1000


@pytest.mark.slow
def test_interrupted_no_worker_goes_on(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        f'data = {json.dumps(str(photos))}\n[[run]]\nnetwork = "lenet5"\nblocks = "all"\n'
        "seeds = [0, 1]\ntrain = { epochs = 100000 }\n"
    )
    command = [sys.executable, "-m", "featbench", "run", "r.toml", "--jobs", "2"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:  # fmt: skip
        until = time.monotonic() + 60
        while not list(tmp_path.glob("results/*/checkpoint/*")) and time.monotonic() < until:
            time.sleep(0.05)
        workers = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert "run the same command to go on" in said
    assert len(workers) >= 2
    until = time.monotonic() + 20  # the trackers of shared memory end when their pipe does
    while any(map(is_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in workers if is_alive(pid)]


def children_of(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(folder.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"

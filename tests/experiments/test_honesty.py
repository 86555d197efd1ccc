"""Nothing is chosen on test data; the same recipe comes to the same table, killed or not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featbench.experiments import Run, Selection, Session
from featbench.experiments import _fit_head as fitting
from featbench.heads import create_head

TIMES = {
    "extract_seconds", "extract_seconds_cold", "fit_seconds", "predict_seconds", "finished",
    "images_per_second", "peak_memory_mb", "rows_computed", "rows_cached", "engine", "ledger",
}  # fmt: skip


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """Features on which the setting that is best on train and val is the worst on test.

    The first column is large and tells the class well, the second is small and tells it better,
    which only a weak penalty can use. In test the first is perfect and the second is noise.
    """
    rng = np.random.default_rng(0)
    n = 300
    y = rng.integers(0, 2, 3 * n)
    split = np.repeat(["train", "val", "test"], n)
    in_test, sign = split == "test", 2 * y - 1
    X = rng.normal(size=(3 * n, 5)).astype(np.float32)
    X[:, 0] = 2 * sign + rng.normal(size=3 * n) * np.where(in_test, 0.05, 1.0)
    told = np.where(in_test, rng.permutation(sign), sign)
    X[:, 1] = 0.15 * told + 0.05 * rng.normal(size=3 * n)
    np.savez(tmp_path / "trap.npz", X=X, y=y.astype(str), split=split)
    return tmp_path / "trap.npz"


def test_choosing_on_test_would_win_and_ours_does_not(trap: Path, tmp_path: Path) -> None:
    search = {"C": [1e-4, 1e-2, 1e3]}
    selection, fixed = Selection("grid", space=search), {"preprocess": "none"}
    run = Run(features=str(trap), head="logreg", settings=fixed, selection=selection)
    result = Session(cache=tmp_path / "c", results=tmp_path / "r").run(run)
    data = np.load(trap)
    X, y, split = data["X"], data["y"], data["split"]

    def measured(settings: dict[str, Any], fit_on: list[str], ask: str) -> float:
        fitted = create_head("logreg", **settings)
        inside = np.isin(split, fit_on)
        fitted.fit(X[inside], y[inside])
        return float((fitted.predict(X[split == ask]) == y[split == ask]).mean())

    every = [{"C": C, **fixed} for C in search["C"]]
    on_val = [measured(one, ["train"], "val") for one in every]
    on_test = [measured(one, ["train", "val"], "test") for one in every]
    honest = int(np.argmax(on_val))
    assert max(on_test) > on_test[honest] + 0.2  # the trap is one
    assert [one["accuracy"] for one in result.ledger] == pytest.approx(on_val)
    assert {"C": result.settings["C"], **fixed} == every[honest]
    assert result.test_accuracy == pytest.approx(on_test[honest])
    assert result.val_accuracy == pytest.approx(max(on_val))


def test_what_is_in_test_changes_no_choice(trap: Path, tmp_path: Path) -> None:
    data = dict(np.load(trap))
    first = Session(cache=tmp_path / "c", results=tmp_path / "r").run(searched(trap))
    inside = data["split"] == "test"
    data["X"][inside] = data["X"][inside][::-1] * 7
    np.savez(trap, **data)
    second = Session(cache=tmp_path / "c", results=tmp_path / "r").run(searched(trap))
    assert second.test_accuracy != first.test_accuracy
    assert second.settings == first.settings
    assert [one["accuracy"] for one in second.ledger] == [x["accuracy"] for x in first.ledger]


def searched(trap: Path) -> Run:
    return Run(features=str(trap), head="svm-rbf", selection=Selection(6))


def test_test_rows_are_asked_once_and_after_the_choice(
    trap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    choose, ask = fitting.choose, fitting._ask

    def chosen(*args: Any, **options: Any) -> Any:
        events.append("choose")
        return choose(*args, **options)

    def asked(head: Any, part: Any, n_classes: int) -> Any:
        events.append(f"ask {len(part.y)}")
        return ask(head, part, n_classes)

    monkeypatch.setattr(fitting, "choose", chosen)
    monkeypatch.setattr(fitting, "_ask", asked)
    Session(cache=tmp_path / "c", results=tmp_path / "r").run(searched(trap))
    assert events == ["choose", "ask 600", "ask 300"]  # train and val together, then test


def recipe(photos: Path, folder: Path) -> Path:
    path = folder / "study.toml"
    path.write_text(
        f"data = {json.dumps(str(photos))}\nseeds = [0]\n"
        '[[run]]\nnetwork = "lenet5"\nhead = ["ridge", "svm-rbf", "mlp"]\ntune = 2\n'
        "set.mlp = { epochs = 3 }\nset.ridge = { alphas = [1.0] }\n".replace(
            "set.ridge = { alphas = [1.0] }\n", ""
        )
        + '[[run]]\nnetwork = "lenet5"\nblocks = [1, "all"]\ntrain = { epochs = 3 }\n'
    )
    return path


def done(command: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """Run a recipe to its end; return every result that is stored, without times, by run."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment())
    return stored(folder)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


def stored(folder: Path) -> dict[str, dict[str, Any]]:
    whole = [json.loads(p.read_text()) for p in (folder / "results").glob("*/result.json")]
    return {one["run_id"]: {k: v for k, v in one.items() if k not in TIMES} for one in whole}


@pytest.mark.slow
def test_the_same_recipe_comes_to_the_same_table_and_killed_goes_on(
    photos: Path, tmp_path: Path
) -> None:
    path = recipe(photos, tmp_path)
    command = [sys.executable, "-m", "featbench", "run", str(path), "--quiet"]
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    undisturbed = done(command, one)
    assert len(undisturbed) == 3 + 2
    rng = random.Random(0)
    kills = 0
    while len(stored(two)) < len(undisturbed) and kills < 2:
        before = {p: p.stat().st_mtime_ns for p in two.glob("results/*/result.json")}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, cwd=two, env=environment(), **quiet) as process:
            wanted = len(before) + rng.randint(1, 2)
            until = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < until:
                if len(list(two.glob("results/*/result.json"))) >= wanted:
                    process.send_signal(signal.SIGKILL)
                time.sleep(0.01)
        kills += 1
        # what was finished is not done again
        assert all(p.stat().st_mtime_ns == when for p, when in before.items())
    assert kills
    assert done(command, two) == undisturbed

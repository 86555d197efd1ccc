"""What a plan comes to is told without doing any of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featbench.errors import UsageError
from featbench.experiments import Forecast, Run, Session, forecast
from featbench.experiments import _forecast as module
from featbench.experiments._sample import Sample


def session(tmp_path: Path) -> Session:
    return Session(cache=tmp_path / "cache", results=tmp_path / "results")


def head_run(photos: Path, **fields: object) -> Run:
    return Run(**{"data": str(photos), "network": "lenet5", "head": "ridge", **fields})  # type: ignore[arg-type]


def told(run: Run, tmp_path: Path) -> Forecast:
    (one,) = forecast(session(tmp_path), [run])
    return one


def test_what_is_finished_and_what_is_cached(photos: Path, tmp_path: Path) -> None:
    run = head_run(photos)
    before = told(run, tmp_path)
    assert (before.finished, before.cached, before.rows) == (False, 0, 48)
    assert before.describe() == "to do, 48 rows to extract"
    assert not (tmp_path / "results").exists()
    assert not list((tmp_path / "cache").glob("*/*.h5"))
    done = session(tmp_path).run(run)
    assert done.run_id == before.run_id
    after = told(run, tmp_path)
    assert (after.finished, after.run_id) == (True, done.run_id)
    assert after.describe() == f"finished, run {done.run_id}"
    other = told(replace(run, head="logreg"), tmp_path)
    assert (other.finished, other.cached) == (False, 48)
    assert other.describe() == "to do, all 48 rows cached"
    assert told(replace(run, precision="bfloat16"), tmp_path).cached == 0


def test_some_rows_may_be_there(photos: Path, tmp_path: Path) -> None:
    session(tmp_path).run(head_run(photos))
    noise = np.random.default_rng(1).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(photos / "train" / "moss" / "new.png")
    one = told(head_run(photos), tmp_path)
    assert (one.finished, one.cached, one.rows) == (False, 48, 49)
    assert one.describe() == "to do, 48 of 49 rows cached"


def test_values_at_a_cut_are_rows_too(photos: Path, tmp_path: Path) -> None:
    run = Run(str(photos), "lenet5", blocks=1, settings={"epochs": 1})
    assert told(run, tmp_path).cached == 0
    session(tmp_path).run(run)
    again = told(replace(run, settings={"epochs": 2}), tmp_path)
    assert (again.finished, again.cached, again.rows) == (False, 48, 48)
    assert told(replace(run, blocks="all"), tmp_path).describe() == "to do"


def test_a_layer_has_its_own_rows(photos: Path, tmp_path: Path) -> None:
    session(tmp_path).run(head_run(photos))
    assert told(head_run(photos, head="knn"), tmp_path).cached == 48
    other = head_run(photos, head="knn", layer="pool1")
    assert (told(other, tmp_path).cached, told(other, tmp_path).rows) == (0, 48)
    session(tmp_path).run(other)
    assert told(replace(other, head="ridge"), tmp_path).cached == 48


def test_a_warm_starts_features_are_rows_too(photos: Path, tmp_path: Path) -> None:
    settings = {"epochs": 1, "select": "last"}
    run = Run(str(photos), "lenet5", blocks=1, warm_start="ridge", settings=settings)
    assert (told(run, tmp_path).cached, told(run, tmp_path).rows) == (0, 48 + 48)
    whole = replace(run, blocks="all")
    assert (told(whole, tmp_path).cached, told(whole, tmp_path).rows) == (0, 48)
    session(tmp_path).run(head_run(photos))
    assert told(run, tmp_path).describe() == "to do, 48 of 96 rows cached"
    session(tmp_path).run(run)
    again = replace(run, settings={**settings, "epochs": 2})
    assert told(again, tmp_path).describe() == "to do, all 96 rows cached"


def test_only_the_images_that_are_drawn_are_rows_of_a_training(
    photos: Path, tmp_path: Path
) -> None:
    run = Run(str(photos), "lenet5", blocks=1, settings={"epochs": 1}, sample=Sample(n_train=6))
    before = told(run, tmp_path)
    done = session(tmp_path).run(run)
    assert before.rows == done.rows_computed == 6 + 18
    assert told(replace(run, settings={"epochs": 2}), tmp_path).cached == 24


def test_nothing_is_promised_of_views(photos: Path, tmp_path: Path) -> None:
    run = Run(str(photos), "lenet5", blocks=1, settings={"augment": "flip", "epochs": 1})
    session(tmp_path).run(replace(run, settings={"epochs": 1}))
    assert told(run, tmp_path).describe() == "to do"


def test_a_run_that_goes_on_from_one_to_be_done_is_to_be_done(photos: Path, tmp_path: Path) -> None:
    first = Run(str(photos), "lenet5", blocks="all", settings={"epochs": 1})
    second = replace(first, init_from=first, settings={"epochs": 2})
    known = forecast(session(tmp_path), [first, second])
    assert [one.finished for one in known] == [False, False]
    assert not (tmp_path / "results").exists()
    session(tmp_path).run(second)
    assert [one.finished for one in forecast(session(tmp_path), [first, second])] == [True, True]


def test_a_big_set_that_nobody_has_read_is_unknown(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_READ", 47)
    one = told(head_run(photos), tmp_path)
    assert (one.finished, one.run_id) == (None, None)
    assert one.describe().startswith("unknown (48 images would have to be read")


def test_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for network in ("resnet18", "timm/resnet18"):
        one = told(Run("digits", network, head="ridge"), tmp_path)
        assert one.describe() == f"unknown (weights of {network} may have to be downloaded)"


def test_whatever_a_network_raises_the_others_are_told(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Session, run: Run) -> None:
        raise RuntimeError("no\nsuch thing")

    with monkeypatch.context() as now:
        now.setattr(Session, "network", broken)
        one = told(head_run(photos), tmp_path)
    assert one.describe() == "unknown (RuntimeError: no)"


def test_a_run_that_cannot_be_says_why_and_the_others_are_told(
    photos: Path, tmp_path: Path
) -> None:
    bad = Run(str(photos), "lenet5", blocks="fc9")
    known = forecast(session(tmp_path), [bad, head_run(photos)])
    assert known[0].describe().startswith("unknown (blocks=fc9")
    assert known[1].finished is False
    with pytest.raises(UsageError, match="nowhere"):
        forecast(session(tmp_path), [head_run(tmp_path / "nowhere")])

"""Fewer images to learn from: draws, one for all methods, and a test split that stays whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featbench.datasets import load_dataset
from featbench.errors import UsageError
from featbench.experiments import Run, Session
from featbench.experiments._sample import Sample
from featbench.report import compare_results
from tests.conftest import make_photos


def session(tmp_path: Path) -> Session:
    return Session(cache=tmp_path / "cache", results=tmp_path / "results")


def test_a_draw_is_of_each_class_the_same_for_all_and_part_of_a_larger_one(photos: Path) -> None:
    whole = load_dataset(str(photos))
    draws = {k: Sample(shots=k).draw(whole, seed=3) for k in (1, 2, 5, 10)}
    for k, drawn in draws.items():
        assert np.bincount(drawn.train.labels).tolist() == [k, k, k]
        assert drawn.test is whole.test
        assert set(drawn.splits) == {"train", "test"}
    sets = [set(drawn.train.ids) for drawn in draws.values()]
    assert sets[0] < sets[1] < sets[2] < sets[3] == set(whole.train.ids)
    assert draws[2].train.ids == Sample(shots=2).draw(whole, seed=3).train.ids
    others = {Sample(shots=2).draw(whole, seed=seed).train.ids for seed in range(5)}
    assert len(others) == 5


def test_an_image_more_moves_at_most_itself_into_a_draw(photos: Path) -> None:
    before = set(Sample(shots=4).draw(load_dataset(str(photos)), seed=0).train.ids)
    for i in range(5):
        old = photos / "train" / "moss" / "moss_000.jpg"
        (photos / "train" / "moss" / f"more_{i}.jpg").write_bytes(old.read_bytes() + b"\0" * i)
        after = set(Sample(shots=4).draw(load_dataset(str(photos)), seed=0).train.ids)
        assert len(after - before) <= 1
        assert all(f"more_{i}" in name for name in after - before)
        before = after


def test_so_many_in_all_with_and_without_a_val_split(tmp_path: Path) -> None:
    plain = load_dataset(str(make_photos(tmp_path / "a", {"train": 40, "test": 5}, size=4)))
    drawn = Sample(n_train=50, n_val=10).draw(plain, seed=1)
    assert [len(drawn.splits[name]) for name in ("train", "val", "test")] == [50, 10, 15]
    assert not set(drawn.train.ids) & set(drawn.splits["val"].ids)
    other = Sample(n_train=50, n_val=10).draw(plain, seed=2)
    assert other.train.ids != drawn.train.ids
    splits = {"train": 20, "val": 10, "test": 5}
    own = load_dataset(str(make_photos(tmp_path / "b", splits, size=4)))
    drawn = Sample(n_train=50, n_val=10).draw(own, seed=1)
    assert [len(drawn.splits[name]) for name in ("train", "val", "test")] == [50, 10, 15]
    assert set(drawn.splits["val"].ids) < set(own.splits["val"].ids)
    assert Sample(n_train=50).shortage(own, drawn) == ""
    few = Sample(n_train=100).draw(own, seed=1)
    assert Sample(n_train=100).shortage(own, few) == "n_train=100: there are 60"


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="shots 0: expected 1 or more"):
        Sample(shots=0)
    with pytest.raises(UsageError, match="give one or the other"):
        Sample(shots=1, n_val=1)


def test_draws_share_features_and_the_fingerprint_and_are_compared(
    photos: Path, tmp_path: Path
) -> None:
    here = session(tmp_path)
    run = Run(str(photos), "lenet5", "random", head="ridge", sample=Sample(shots=2))
    # one network for all draws: its seed would be the draw's
    weights = tmp_path / "w.safetensors"
    save_weights(weights)
    run = replace(run, weights=str(weights))
    few = [here.run(replace(run, seed=seed)) for seed in range(3)]
    other = [here.run(replace(run, seed=seed, head="centroid")) for seed in range(3)]
    whole = here.run(replace(run, sample=Sample()))
    assert [r.rows_computed for r in (*few, *other, whole)] == [48, 0, 0, 0, 0, 0, 0]
    assert {(r.n_train, r.n_per_class, r.n_test) for r in few} == {(6, 2, 18)}
    assert (whole.n_train, whole.n_per_class, whole.sample) == (30, None, {})
    assert {r.fingerprint for r in (*few, *other, whole)} == {whole.fingerprint}
    assert len({r.run_id for r in (*few, *other, whole)}) == 7
    assert few[0].sample == {"shots": 2}
    drawn, all_images = compare_results(here.store, [*few, *other, whole], resamples=200)
    assert [len(runs) for runs in drawn.methods] == [3, 3]
    assert [one.seeds for one in drawn.comparison.standings] == [(0, 1, 2)] * 2
    assert (drawn.sample, all_images.methods) == ({"shots": 2}, ((whole,),))
    assert here.run(replace(run, seed=1)) == few[1]


def save_weights(path: Path) -> None:
    from safetensors.torch import save_file

    from featbench.networks import create_network

    tensors = create_network("lenet5", "random").module.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def test_a_head_learns_from_the_images_drawn_and_no_others(photos: Path, tmp_path: Path) -> None:
    here, sample = session(tmp_path), Sample(shots=3)
    few = here.run(Run(str(photos), "lenet5", head="ridge", sample=sample))
    drawn = sample.draw(load_dataset(str(photos)), seed=0)
    for path in (photos / "train").rglob("*.jpg"):
        if path.relative_to(photos).as_posix() not in drawn.train.ids:
            path.unlink()
    alone = session(tmp_path).run(Run(str(photos), "lenet5", head="ridge"))
    assert alone.n_train == few.n_train == 9
    assert alone.test_log_loss == few.test_log_loss
    assert alone.train_accuracy == few.train_accuracy


def test_training_sees_the_images_drawn(photos: Path, tmp_path: Path) -> None:
    run = Run(
        str(photos), "lenet5", blocks=1, warm_start="ridge", sample=Sample(shots=3),
        settings={"epochs": 1, "select": "last"},
    )  # fmt: skip
    result = session(tmp_path).run(run)
    assert (result.n_train, result.n_val, result.n_test, result.n_per_class) == (9, 0, 18, 3)
    assert result.fingerprint == load_dataset(str(photos)).fingerprint


def test_settings_are_chosen_on_the_val_images_drawn_and_refitted_on_both(
    tmp_path: Path,
) -> None:
    from featbench.experiments import Selection

    folder = make_photos(tmp_path / "photos", {"train": 20, "test": 5})
    run = Run(
        str(folder), "lenet5", head="logreg", selection=Selection("grid"),
        sample=Sample(n_train=32, n_val=5),
    )  # fmt: skip
    result = session(tmp_path).run(run)
    assert (result.n_train, result.n_val, result.n_test) == (37, 5, 15)


def test_a_broken_image_that_was_drawn_is_left_out(photos: Path, tmp_path: Path) -> None:
    sample = Sample(shots=4)
    name = sample.draw(load_dataset(str(photos)), seed=0).train.ids[0]
    (photos / name).write_bytes(b"no image")
    assert name in sample.draw(load_dataset(str(photos)), seed=0).train.ids
    result = session(tmp_path).run(Run(str(photos), "lenet5", head="ridge", sample=sample))
    assert (result.n_train, result.n_skipped) == (11, 1)

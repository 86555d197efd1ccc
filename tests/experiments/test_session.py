"""A run becomes one flat result; finished runs are recognised, failed ones stop nothing."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from featbench.datasets import load_dataset
from featbench.errors import FeatbenchError, UsageError
from featbench.experiments import (
    Result,
    Run,
    Session,
    carry_out,
    load_results,
)
from featbench.experiments._outcome import images_per_second
from featbench.experiments._run import run_id
from featbench.extraction import _extract, extract_layers
from featbench.finetune import Schedule, storage_at
from featbench.networks import create_network


def session(tmp_path: Path) -> Session:
    return Session(cache=tmp_path / "cache", results=tmp_path / "results", command="featbench x")


def head_run(photos: Path, **fields: object) -> Run:
    return Run(**{"data": str(photos), "network": "lenet5", "head": "logreg", **fields})  # type: ignore[arg-type]


def test_a_result_says_all_there_is_to_say(photos: Path, tmp_path: Path) -> None:
    result = session(tmp_path).run(head_run(photos, settings={"C": 1.0}))
    assert (result.dataset, result.network, result.weights) == ("photos", "lenet5", "random")
    assert (result.cut, result.method, result.settings["C"]) == ("classifier", "logreg", 1.0)
    assert (result.n_train, result.n_val, result.n_test, result.n_classes) == (30, 0, 18, 3)
    assert result.test_accuracy is not None
    assert result.test_accuracy > 0.6
    assert result.rows_computed == 48
    assert result.parameters_trainable == 3 * 85
    assert result.parameters_total == 61_706 - 850 + 3 * 85
    assert result.versions["torch"]
    assert result.command == "featbench x"
    stored = json.loads((tmp_path / "results" / result.run_id / "result.json").read_text())
    assert stored == result.model_dump()
    predictions = pd.read_csv(tmp_path / "results" / result.run_id / "predictions.csv")
    right = (predictions["label"] == predictions["predicted"]).mean()
    assert right == pytest.approx(result.test_accuracy)
    assert list(predictions.columns) == ["id", "label", "predicted", "confidence", "log_loss"]
    assert predictions["log_loss"].mean() == pytest.approx(result.test_log_loss, abs=1e-6)


def test_groups_stand_beside_the_predictions(photos: Path, tmp_path: Path) -> None:
    paths = sorted(p.relative_to(photos) for p in photos.rglob("*.jpg"))
    lines = [f"{p},{p.parts[1]},{p.parts[0]},{p.stem[:-1]}" for p in paths]
    table = photos / "table.csv"
    table.write_text("\n".join(["path,label,split,group", *lines]))
    for run in (Run(str(table), "lenet5", head="centroid"),
                Run(str(table), "lenet5", blocks=1, settings={"epochs": 1})):  # fmt: skip
        result = session(tmp_path).run(run)
        said = pd.read_csv(tmp_path / "results" / result.run_id / "predictions.csv")
        assert list(said.columns)[3:] == ["confidence", *(["log_loss"] if run.blocks else []),
                                          "group"]  # fmt: skip
        assert (said["group"] == said["id"].str.extract(r"(\w+)\d\.jpg", expand=False)).all()


def test_training_is_recorded_with_its_history(photos: Path, tmp_path: Path) -> None:
    run = Run(str(photos), "lenet5", blocks=1, warm_start="logreg", settings={"epochs": 2})
    result = session(tmp_path).run(run)
    assert (result.cut, result.method) == ("fc2", "fine-tune")
    assert result.settings["warm_start"] == "logreg"
    assert result.settings["lr"] == 1e-3
    assert result.n_train + result.n_val == 30
    assert result.n_val > 0
    history = session(tmp_path).store.history(result)
    assert history is not None
    assert history["epoch"].tolist() == [1, 2]


def test_a_warm_start_from_a_linear_svm_takes_the_strategy_that_is_a_layer(
    photos: Path, tmp_path: Path
) -> None:
    run = Run(str(photos), "lenet5", blocks=1, warm_start="svm-linear", settings={"epochs": 1})
    result = session(tmp_path).run(run)
    assert result.settings["warm_start_settings"]["strategy"] == "one-vs-rest"
    votes = replace(run, warm_start_settings={"strategy": "one-vs-one"})
    with pytest.raises(UsageError, match="svm-linear with its strategy=one-vs-rest"):
        session(tmp_path).run(votes)


def test_no_two_training_settings_share_a_run_id(photos: Path) -> None:
    others: list[dict[str, Any]] = [
        {}, {"lr": 0.1}, {"backbone_lr": 0.1}, {"layer_decay": 0.5}, {"optimizer": "sgd"},
        {"momentum": 0.5}, {"schedule": "cosine"}, {"warmup_epochs": 1}, {"step_epochs": 2},
        {"step_factor": 0.5}, {"weight_decay": 0.1}, {"dropout": 0.1}, {"label_smoothing": 0.1},
        {"clip_norm": 1.0}, {"amp": True}, {"class_weight": "balanced"}, {"loss": "mse"},
        {"binary": "sigmoid"}, {"hidden": [8]}, {"select": "val_accuracy"}, {"patience": 2},
        {"epochs": 3}, {"batch": 4}, {"refit": True}, {"augment": "flip"},
        {"augment": "flip", "views": 2}, {"copies": "flip"}, {"normalise": "data"},
    ]  # fmt: skip
    assert {key for one in others for key in one} == set(vars(Schedule()))
    runs = [Run(str(photos), "lenet5", blocks=1, settings=one) for one in others]
    warm = ({"C": 1.0}, {"C": 2.0})
    runs += [
        Run(str(photos), "lenet5", blocks=1, warm_start="logreg", warm_start_settings=one)
        for one in warm
    ]
    names = {run_id({"settings": run.settle_settings()[0]}, "") for run in runs}
    assert len(names) == len(others) + len(warm)
    assert len({json.dumps(run.asked_settings) for run in runs}) == len(runs)
    unseen = Run(str(photos), "lenet5", blocks=1, settings={"views": 2})  # of nothing to view
    assert unseen.settle_settings() == runs[0].settle_settings()


def test_times_are_of_the_run_and_its_warm_start(photos: Path, tmp_path: Path) -> None:
    run = Run(str(photos), "lenet5", blocks=1, warm_start="logreg", settings={"epochs": 2})
    began = time.perf_counter()
    result = session(tmp_path).run(run)
    whole = time.perf_counter() - began
    history = session(tmp_path).store.history(result)
    assert history is not None
    assert result.fit_seconds >= history["seconds"].sum()
    assert result.fit_seconds + result.extract_seconds + result.predict_seconds <= whole
    assert (result.rows_computed, result.rows_cached) == (48, 0)  # one pass for both


def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return a list that gets the layers of every engine that is started."""
    seen: list[list[str]] = []
    start = _extract.start_engine

    def started(task: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(list(task.layers))
        return start(task, *arguments, **options)

    monkeypatch.setattr(_extract, "start_engine", started)
    return seen


@pytest.mark.parametrize(("blocks", "layers"), [(1, ["fc1", "features"]), (0, ["features"])])
def test_a_warm_starts_features_and_the_values_at_the_cut_are_of_one_pass(
    blocks: int, layers: list[str], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = passes(monkeypatch)
    run = Run(str(photos), "lenet5", blocks=blocks, warm_start="logreg", settings={"epochs": 1})
    first = session(tmp_path).run(run)
    assert len(seen) == 1
    assert len(seen[0]) == len(layers)
    assert seen[0][-1] == "features"
    assert (first.rows_computed, first.rows_cached) == (48, 0)
    assert 0 < first.extract_seconds_cold <= first.extract_seconds
    again = session(tmp_path).run(run, again=True)
    assert len(seen) == 1
    assert (again.rows_computed, again.rows_cached) == (0, 48)
    assert again.test_log_loss == first.test_log_loss
    head = session(tmp_path).run(Run(str(photos), "lenet5", head="logreg"))
    assert head.rows_computed == 0  # the very rows that heads ask for
    network = create_network("lenet5")
    at = network.place_of(blocks)
    parts = extract_layers(
        load_dataset(str(photos)), network, ["features", at], cache=tmp_path / "cache",
        pooling={"features": "avg"}, storage={at: storage_at(at)},
    )  # fmt: skip
    assert again.extract_seconds_cold == max(part.seconds_cold for part in parts.values())
    apart = Session(cache=tmp_path / "c", results=tmp_path / "r", activation_budget=1).run(run)
    assert (apart.prefix, apart.rows_computed) == ("plain", 48)


def test_where_heads_had_the_features_only_the_values_at_the_cut_are_computed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = passes(monkeypatch)
    here = session(tmp_path)
    here.run(Run(str(photos), "lenet5", head="logreg"))
    run = Run(str(photos), "lenet5", blocks=1, warm_start="logreg", settings={"epochs": 1})
    result = here.run(run)
    assert seen == [["features"], [seen[1][0]]]
    assert result.rows_computed == 48


def test_a_seed_is_another_network_where_weights_are_random(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    first, second = (here.run(head_run(photos, seed=seed)) for seed in (0, 1))
    assert (first.rows_computed, second.rows_computed) == (48, 48)
    alone = session(tmp_path / "alone").run(head_run(photos, seed=1))
    assert alone.run_id == second.run_id


@pytest.mark.parametrize("blocks", [1, "all"])
def test_strict_is_for_training_too(blocks: int | str, photos: Path, tmp_path: Path) -> None:
    (photos / "train" / "moss" / "bad.jpg").write_bytes(b"no image")
    strict = Session(cache=tmp_path / "c", results=tmp_path / "r", strict=True)
    with pytest.raises(FeatbenchError, match=r"bad.jpg cannot be decoded"):
        strict.run(Run(str(photos), "lenet5", blocks=blocks))


def test_a_finished_run_is_recognised(photos: Path, tmp_path: Path) -> None:
    first = session(tmp_path).run(head_run(photos))
    assert session(tmp_path).run(head_run(photos)) == first
    again = session(tmp_path).run(head_run(photos), again=True)
    assert again.run_id == first.run_id
    assert again.rows_cached == 48
    assert len(load_results(tmp_path / "results")) == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_kill_after_the_result_left_goes_when_the_run_is_recognised(
    jobs: int, photos: Path, tmp_path: Path
) -> None:
    run = head_run(photos)
    done = session(tmp_path).run(run)
    kept = tmp_path / "results" / done.run_id / "checkpoint"
    kept.mkdir()
    (kept / "checkpoint.safetensors").write_bytes(b"large")
    session(tmp_path)._failed(run, ValueError("earlier"))
    ((_, again),) = carry_out(session(tmp_path), [run], jobs=jobs)
    assert again == done
    assert not kept.exists()
    assert session(tmp_path).store.all() == [done]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_published_figure_may_come_after_the_run(jobs: int, photos: Path, tmp_path: Path) -> None:
    run = head_run(photos)
    first = session(tmp_path).run(run)
    cited = replace(run, published={"test_accuracy": 0.5, "source": "a paper"}, name="a")
    ((_, found),) = carry_out(session(tmp_path), [cited], jobs=jobs)
    assert found.run_id == first.run_id
    assert (found.published_test_accuracy, found.published_source) == (0.5, "a paper")
    assert found.finished == first.finished
    assert session(tmp_path).store.all() == [found]
    assert (tmp_path / "results" / found.run_id / "predictions.csv").exists()


def test_what_a_run_is_decides_its_name(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    runs = [
        head_run(photos),
        head_run(photos, settings={"C": 2.0}),
        head_run(photos, head="svm-linear"),
        head_run(photos, seed=1),
        head_run(photos, limit=5),
        head_run(photos, recipe="r"),
        head_run(photos, precision="bfloat16"),
    ]
    names = {here.run(run).run_id for run in runs}
    assert len(names) == len(runs)
    (photos / "train" / "moss" / "moss_000.jpg").rename(photos / "train" / "sky" / "x.jpg")
    assert session(tmp_path).run(runs[0]).run_id not in names  # another label is another data set


def test_a_failed_run_is_a_result_and_the_rest_goes_on(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    bad = Run(str(photos), "lenet5", blocks="fc9")
    failed, fine = here.run_all([bad, head_run(photos)])
    assert failed.status == "failed"
    assert failed.error is not None
    assert "did you mean 'fc2'" in failed.error
    assert fine.status == "ok"
    assert {r.status for r in here.store.all()} == {"failed", "ok"}


def test_a_run_that_failed_once_leaves_no_trace_when_it_succeeds(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = session(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr("featbench.experiments._session.fit_head", lambda *_: 1 / 0)
        (failed,) = here.run_all([head_run(photos)])
    assert failed.error == "ZeroDivisionError: division by zero"
    here.run(head_run(photos))
    assert [r.status for r in here.store.all()] == ["ok"]


def test_results_are_found_by_the_beginning_of_their_id(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    result = here.run(head_run(photos))
    assert here.store.get(result.run_id[:4]) == result
    assert result.name == ""
    with pytest.raises(UsageError, match="no run"):
        here.store.get("zzz")
    here.store.remove(result.run_id)
    assert here.store.all() == []
    with pytest.raises(UsageError, match="no such folder"):
        load_results(tmp_path / "nowhere")


def test_results_are_found_by_what_their_recipe_calls_them(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    named = (("weak", 0.1), ("strong", 1.0), ("twice", 2.0), ("twice", 3.0))
    runs = [head_run(photos, recipe="study:quick", name=name, settings={"C": C})
            for name, C in named]  # fmt: skip
    weak, strong, *twice = here.run_all(runs)
    unnamed = here.run(head_run(photos, recipe="study:quick", settings={"C": 0.1}))
    assert unnamed == weak, "a name is no identity"
    assert here.store.get("study:quick/strong") == strong
    assert here.store.get_each("study:quick/twice") == twice
    assert here.store.get_each(strong.run_id[:8]) == [strong]
    seeds = [head_run(photos, recipe="study:quick", name="seeds", seed=s) for s in (1, 2)]
    first, second = here.run_all(seeds)
    assert here.store.get("study:quick/seeds/2") == second
    assert here.store.get_each("study:quick/seeds") == [first, second]
    assert here.store.get("study:quick/strong/0") == strong
    for text, expected in (
        (
            "study:quick/twice",
            f"2 runs are called study:quick/twice; .* its id .*{twice[0].run_id}",
        ),
        ("study:quick/seeds", r"by its seed: study:quick/seeds/1 \("),
        ("study:quick/seeds/3", "no run is called study:quick/seeds/3"),
        ("study:quick/stronk", "no run is called .*; did you mean 'study:quick/strong'"),
        ("study/strong", "no run is called study/strong"),
    ):
        with pytest.raises(UsageError, match=expected):
            here.store.get(text)


def test_results_of_fields_nobody_knows_are_refused() -> None:
    with pytest.raises(ValueError, match="extra"):
        Result(run_id="x", dataset="d", network="n", weights="w", method="m", speed=1)  # type: ignore[call-arg]


def test_the_budget_is_no_part_of_a_run_and_the_way_taken_is_recorded(
    photos: Path, tmp_path: Path
) -> None:
    run = Run(str(photos), "lenet5", blocks=1, settings={"epochs": 1, "select": "last"})
    plain = Session(cache=tmp_path / "c", results=tmp_path / "r1", activation_budget=1).run(run)
    cached = Session(cache=tmp_path / "c", results=tmp_path / "r2").run(run)
    assert plain.run_id == cached.run_id
    assert (plain.prefix, cached.prefix) == ("plain", "cached")
    assert (plain.rows_computed, cached.rows_computed) == (0, 48)
    assert cached.engine
    assert session(tmp_path).run(head_run(photos)).prefix == ""


def test_precision_counts_where_something_is_frozen(photos: Path, tmp_path: Path) -> None:
    how: Any = {"data": str(photos), "network": "lenet5", "settings": {"epochs": 1}}
    results = {
        (blocks, precision): session(tmp_path).run(Run(**how, blocks=blocks, precision=precision))
        for blocks in (1, 4, "all") for precision in ("float32", "bfloat16")
    }  # fmt: skip
    assert results[1, "bfloat16"].precision == "bfloat16"
    assert results[1, "bfloat16"].engine.endswith("bfloat16")
    assert results[1, "float32"].run_id != results[1, "bfloat16"].run_id
    assert results["all", "bfloat16"].precision == "float32"  # nothing runs in it
    assert results[4, "bfloat16"].precision == "float32"  # lenet5 has four blocks
    ids = {results[blocks, precision].run_id
           for blocks in (4, "all") for precision in ("float32", "bfloat16")}  # fmt: skip
    assert len(ids) == 1


def test_a_refitted_run_says_what_its_epoch_was_chosen_on(photos: Path, tmp_path: Path) -> None:
    settings = {"epochs": 2, "batch": 8, "refit": True}
    run = Run(str(photos), "lenet5", "random", blocks="all", settings=settings)
    done = session(tmp_path).run(run)
    plain = session(tmp_path).run(replace(run, settings={"epochs": 2, "batch": 8}))
    assert done.run_id != plain.run_id
    assert (done.n_train, done.n_val) == (plain.n_train + plain.n_val, plain.n_val)
    assert done.n_val > 0
    assert (done.val_accuracy, done.best_epoch) == (plain.val_accuracy, plain.best_epoch)
    assert done.images_per_second is not None
    assert done.images_per_second > 0


def test_a_rate_is_of_what_a_prediction_needs() -> None:
    assert images_per_second(2.0, 4, 1.0, 2) == 1.0
    assert images_per_second(0.0, 4, 1.0, 2) == 2.0
    assert images_per_second(2.0, 0, 1.0, 2) is None


def test_heads_share_the_frozen_networks_rate(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    run = Run(str(photos), "lenet5", "random", head="ridge")
    cold, again = here.run(run), here.run(run, again=True)
    for result in (cold, again):
        seconds = result.extract_seconds_cold / 48 + result.predict_seconds / 48
        assert result.images_per_second == pytest.approx(1 / seconds)
    assert again.extract_seconds_cold == pytest.approx(cold.extract_seconds_cold, rel=0.5)

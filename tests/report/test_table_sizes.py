"""The table of methods that learned from fewer images, or at several layers."""

import json

from featbench.experiments import Result, ResultStore
from featbench.report import as_json, make_table
from tests.report.test_table import save, shown, store

__all__ = ["store"]  # a fixture


def few_shots(store: ResultStore) -> list[Result]:
    """Save three draws each of two methods at 1 and 5 images a class, and one of all images."""
    runs = [
        save(store, 100 * k + 10 * i + draw, right - 20 * i + 3 * draw, method=method, seed=draw,
             sample={"shots": k}, n_per_class=k)
        for k, right in ((5, 330), (1, 220)) for i, method in enumerate(["logreg", "knn"])
        for draw in range(3)
    ]  # fmt: skip
    return [*runs, save(store, 999, 380, method="knn"), save(store, 998, 300)]


def test_methods_that_learned_from_as_many_images_are_compared_draw_by_draw(
    store: ResultStore,
) -> None:
    runs = few_shots(store)
    table = make_table(store, runs)
    assert [s.title for s in table.sections] == [
        "photos, 1 image a class", "photos, 5 images a class", "photos",
    ]  # fmt: skip
    assert [len(row.runs) for row in table.rows] == [3, 3, 3, 3, 1, 1]
    assert [row.best for row in table.rows] == [True, False, True, False, True, False]
    assert "n_per_class" not in [column.name for column in table.columns]
    assert any("learned from as many images" in note for note in table.notes)
    assert any(note.startswith("photos, 1 and 5 images a class: 95%") for note in table.notes)
    assert any(note.startswith("photos, all images: 95%") for note in table.notes)
    alone = make_table(store, [run for run in runs if run.sample == {"shots": 5}])
    for column in ("ties", "p_best", "interval"):
        assert shown(table, column)[2:4] == shown(alone, column), column
    assert "read by 6 runs that learned from 5 images a class" in alone.notes[0]
    (first, *_) = json.loads(as_json(table))
    assert (first["n_per_class"], first["sample"]) == (1, {"shots": 1})
    grouped = make_table(store, runs, group="head")
    assert "n_per_class" in [column.name for column in grouped.columns]


def test_draws_that_are_no_shots_are_named_too(store: ResultStore) -> None:
    runs = [
        save(store, 1, 300, sample={"n_train": 800, "n_val": 200}), save(store, 2, 300),
    ]  # fmt: skip
    table = make_table(store, runs)
    assert [s.title for s in table.sections] == [
        "photos, 800 to train on, 200 to choose on", "photos",
    ]  # fmt: skip
    assert shown(make_table(store, runs, group="network"), "sample") == [
        "800 to train on, 200 to choose on", "",
    ]  # fmt: skip


def test_methods_have_ranks_among_those_of_their_size(store: ResultStore) -> None:
    runs = [
        save(store, 100 * k + 10 * d + i, 300 - 30 * i, dataset=f"d{d}", fingerprint=f"f{d}",
             method=f"m{i}", sample={"shots": k})
        for k in (1, 2) for d in range(3) for i in range(3)
    ]  # fmt: skip
    table = make_table(store, runs)
    assert shown(table, "mean_rank") == ["1.0", "2.0", "3.0"] * 6
    notes = [note for note in table.notes if "rank:" in note]
    assert [note.split(":")[0] for note in notes] == ["1 image a class", "2 images a class"]


def test_a_layer_sweep_names_the_place_of_each_row(store: ResultStore) -> None:
    runs = [
        save(store, 1, 300, layer="layer3", settings={"C": 1}),
        save(store, 2, 310, settings={"C": 1}),
    ]  # fmt: skip
    table = make_table(store, runs)
    assert shown(table, "method") == ["frozen + logreg at layer3", "frozen + logreg"]
    assert [row["layer"] for row in json.loads(as_json(table))] == ["layer3", None]
    assert "settings" not in [column.name for column in table.columns]

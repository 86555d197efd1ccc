"""The table: a row a method, what is best and tied, chosen rows and columns, costs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featbench.errors import UsageError
from featbench.experiments import Predictions, Result, ResultStore
from featbench.report import FORMATS, Table, as_json, as_markdown, make_table
from featbench.report import _comparison as comparison
from tests.conftest import Said
from tests.report.test_report import result

N = 400
CLASSES = ["cat", "dog", "emu"]
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, N)
HARD = RNG.permutation(N)


def save(store: ResultStore, number: int, right: int, **fields: object) -> Result:
    """Save a run that has the ``right`` easiest images right, but for what its seed swaps."""
    n = int(fields.get("n_test", N))  # type: ignore[call-overload]
    order = HARD.copy()
    np.random.default_rng(number).shuffle(order[right - 10 : right + 10])
    wrong = np.ones(N, dtype=bool)
    wrong[order[:right]] = False
    given = {"n_test": n, "test_accuracy": float(1 - wrong[:n].mean()), "rows_computed": 1,
             "weights": "bundled"}  # fmt: skip
    one = result(number, **{**given, **fields})
    said = Predictions([f"{i}.jpg" for i in range(n)], LABELS[:n], ((LABELS + wrong) % 3)[:n])
    store.save(one, said.as_csv(CLASSES))
    return one


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def shown(table: Table, column: str) -> list[str]:
    found = next(c for c in (*table.columns, *table.data_columns) if c.name == column)
    return [found.text(row) for row in table.rows]


def test_seeds_are_one_row_with_mean_and_standard_deviation(store: ResultStore) -> None:
    runs = [save(store, 1 + s, 300 + 8 * s, seed=s) for s in range(3)]
    table = make_table(store, runs)
    accuracies = [run.test_accuracy for run in runs]
    mean, spread = np.mean(accuracies), np.std(accuracies, ddof=1)  # type: ignore[arg-type]
    assert shown(table, "test_accuracy") == [f"{100 * mean:.1f} ± {100 * spread:.1f}"]
    (row,) = json.loads(as_json(table))
    assert row["test_accuracy"] == pytest.approx(mean, abs=1e-15)
    assert row["test_accuracy_std"] == pytest.approx(spread, abs=1e-15)
    assert row["seeds"] == [0, 1, 2]
    assert row["interval_low"] < mean < row["interval_high"]
    assert "±: standard deviation over seeds (n - 1)." in table.legend
    each = make_table(store, runs, per_run=True)
    assert len(each.rows) == 3
    assert shown(each, "seed") == ["0", "1", "2"]


def test_the_best_is_bold_and_what_no_test_tells_from_it_is_marked(store: ResultStore) -> None:
    runs = [
        save(store, 1, 300), save(store, 2, 302, method="knn"), save(store, 3, 200, method="mlp"),
    ]  # fmt: skip
    table = make_table(store, runs)
    best, tied, apart = (row for _, row in sorted(
        zip([r.accuracy for r in table.rows], table.rows, strict=True), key=lambda x: -(x[0] or 0)
    ))  # fmt: skip
    assert (best.best, best.tied, best.p_best) == (True, False, None)
    assert (tied.best, tied.tied) == (False, True)
    assert (apart.best, apart.tied) == (False, False)
    assert shown(table, "ties") == ["a", "a", "b"]
    assert apart.p_best is not None
    assert apart.p_best < 0.05
    text = as_markdown(table)
    assert f"**{shown(table, 'test_accuracy')[table.rows.index(best)]}**" in text
    assert f" *{shown(table, 'test_accuracy')[table.rows.index(tied)]}*" in text
    for said in ("McNemar's test (mid-p)", "Holm's correction", "at 5%", "italic"):
        assert said in text


def test_rows_that_are_left_out_make_nothing_more_significant(store: ResultStore) -> None:
    runs = [save(store, 1 + i, 300 - 14 * i, method=f"m{i}") for i in range(6)]
    whole = {row["method"]: row for row in json.loads(as_json(make_table(store, runs)))}
    some = make_table(store, runs, rows="test_accuracy=0.7*")
    rows = json.loads(as_json(some))
    assert 0 < len(rows) < 6
    for row in rows:
        for name in ("ties", "p_best", "interval_low"):
            assert row[name] == whole[row["method"]][name], name
    assert any("rows are shown; letters and p-values are of all" in note for note in some.notes)


def test_a_filter_takes_stars_and_names_with_commas(store: ResultStore) -> None:
    runs = [
        save(store, 1, 300, network="fcnet:hidden=200,100:size=32"),
        save(store, 2, 300, network="lenet5[a]", method="svm-rbf"),
        save(store, 3, 300, method="svm-poly"),
    ]
    for rows, expected in (
        ("network=fcnet:hidden=200,100:size=32", ["1"]),
        ("network=fcnet:hidden=200,100*, head=logreg", ["1"]),
        ("network=lenet5[a]", ["2"]),
        ("head=SVM-*", ["2", "3"]),
        ("head=svm-*,network=lenet5", ["3"]),
        ("method=*frozen + svm-p*", ["3"]),
    ):
        found = make_table(store, runs, rows=rows).rows
        assert [row.first.run_id[-1] for row in found] == expected, rows
    for rows, said in (
        ("network=resnet50", "no row is left; network is one of: fcnet:hidden=200,100:size=32, le"),
        ("netwrk=lenet5", "no column 'netwrk'; did you mean 'network'"),
        ("lenet5", "expected column=value"),
    ):
        with pytest.raises(UsageError, match=said):
            make_table(store, runs, rows=rows)


def test_columns_are_those_of_json_and_an_unknown_one_is_told(store: ResultStore) -> None:
    runs = [save(store, 1, 300, test_macro_f1=0.71234567, test_ece=0.05, best_epoch=3)]
    names = "method,test_macro_f1,test_ece,best_epoch,interval_low"
    table = make_table(store, runs, columns=names)
    assert [column.text(table.rows[0]) for column in table.columns[:4]] == [
        "frozen + logreg", "71.2", "5.0", "3",
    ]  # fmt: skip
    (row,) = json.loads(as_json(table))
    assert row["test_macro_f1"] == 0.71234567
    assert row["best_epoch"] == 3
    assert set(names.split(",")) <= set(row)
    with pytest.raises(UsageError, match="--columns: no column 'test_acuracy'; did you mean 'test"):
        make_table(store, runs, columns="test_acuracy")


def test_it_is_sorted_from_the_best_down_and_empty_cells_are_last(store: ResultStore) -> None:
    runs = [
        save(store, 1, 200, test_log_loss=0.5),
        save(store, 2, 350, method="knn"),
        save(store, 3, 300, method="mlp", test_log_loss=0.4),
        result(4, status="failed", test_accuracy=None, method="ridge", error="x"),
    ]
    for column, expected in (
        ("test_accuracy", ["knn", "mlp", "logreg", "ridge"]),
        ("test_log_loss", ["mlp", "logreg", "knn", "ridge"]),
        ("head", ["knn", "logreg", "mlp", "ridge"]),
    ):
        rows = make_table(store, runs, sort=column).rows
        assert [row.first.method for row in rows] == expected, column


def test_sorting_leaves_sections_in_their_order_but_for_their_own_column(
    store: ResultStore,
) -> None:
    runs = [
        save(store, 1, 200, network="b"), save(store, 2, 210, network="b", method="knn"),
        save(store, 3, 300, network="a", dataset="other", fingerprint="g"),
        save(store, 4, 310, network="a", dataset="other", fingerprint="g", method="knn"),
    ]  # fmt: skip
    for group, titles in ((None, ["photos", "other"]), ("network", ["network: b", "network: a"])):
        table = make_table(store, runs, sort="test_accuracy", group=group)
        assert [section.title for section in table.sections] == titles
        assert [row.first.method for row in table.rows] == ["knn", "logreg"] * 2
    by_name = make_table(store, runs, sort="network", group="network")
    assert [section.title for section in by_name.sections] == ["network: a", "network: b"]


def test_the_command_lists_the_best_first_and_equals_in_whatever_order_they_ended(
    featbench: Callable[..., Said], tmp_path: Path
) -> None:
    ended = [("ridge", 0.8), ("logreg", 0.7), ("knn", 0.8), ("mlp", 0.9)]
    for folder, runs in (("one", ended), ("other", ended[::-1])):
        for number, (method, accuracy) in enumerate(runs):
            ResultStore(tmp_path / folder).save(
                result(number, run_id=method, method=method, test_accuracy=accuracy)
            )
        said = json.loads(featbench("table", folder, "--json").out)
        assert [row["method"] for row in said] == ["mlp", "knn", "ridge", "logreg"]


def test_groups_are_sections_and_each_data_set_has_its_own_best(store: ResultStore) -> None:
    runs = [
        save(store, 1, 200), save(store, 2, 300, method="knn"),
        save(store, 3, 150, dataset="other", fingerprint="g"),
        save(store, 4, 100, dataset="other", fingerprint="g", method="knn"),
        save(store, 5, 100, fingerprint="abcdef00", n_per_class=5),
    ]  # fmt: skip
    table = make_table(store, runs)
    assert [s.title for s in table.sections] == ["photos", "other", "photos (5 a class)"]
    assert [row.best for row in table.rows] == [False, True, True, False, True]
    assert "### other" in as_markdown(table)
    split = save(store, 6, 100, fingerprint="fedcba01", n_per_class=5)
    assert [s.title for s in make_table(store, [*runs, split]).sections] == [
        "photos (f)", "other", "photos (abcdef)", "photos (fedcba)",
    ]  # fmt: skip
    by_method = make_table(store, runs, group="head")
    assert [s.title for s in by_method.sections] == [
        "method: frozen + logreg", "method: frozen + knn",
    ]  # fmt: skip
    assert by_method.columns[0].name == "dataset"


@pytest.mark.parametrize("column", ["network", "weights"])
def test_a_column_that_makes_the_sections_stands_in_no_row(column: str, store: ResultStore) -> None:
    runs = [save(store, 1 + i, 300 + i, **{column: f"x{i // 2}"}, method=f"m{i}") for i in range(4)]
    table = make_table(store, runs, group=column)
    assert [section.title for section in table.sections] == [f"{column}: x0", f"{column}: x1"]
    assert column not in {one.name for one in table.columns}
    assert not any(note.startswith(f"{column}:") for note in table.notes)


def test_a_column_that_is_asked_for_twice_stands_once(store: ResultStore) -> None:
    table = make_table(
        store, [save(store, 1, 300)], columns="method,interval_low,interval_high,head"
    )
    assert [column.name for column in table.columns] == ["method", "interval"]


def test_a_draw_of_few_images_makes_the_test_split_no_smaller(store: ResultStore) -> None:
    few = save(store, 1, 300, n_per_class=5, sample={"shots": 5})
    assert make_table(store, [few]).notes[0] == (
        "photos: 400 test images, read by 1 run that learned from 5 images a class."
    )
    limited = save(store, 2, 300, n_per_class=5)
    assert "(at most 5 images a class)" in make_table(store, [limited]).notes[0]


def test_two_states_of_one_data_set_are_not_ranked_as_two(store: ResultStore) -> None:
    both = [("a", "f"), ("a", "g"), ("b", "f"), ("b", "g")]
    runs = [save(store, i, 300 + i, method=m, fingerprint=f) for i, (m, f) in enumerate(both, 1)]
    table = make_table(store, runs)
    assert len(table.sections) == 2
    assert not any("rank" in note for note in table.notes)
    assert set(shown(table, "mean_rank")) == {"–"}


@pytest.mark.parametrize(
    ("names", "ranked"),
    [
        (["a", "b"], False),
        (["a", "a:test=0.3", "b"], False),
        (["a", "a:test=0.3", "b", "c"], False),
        (["a:test=0.3", "b", "c.zip:classes=x,y"], True),
    ],
)
def test_ranks_are_over_three_different_sources_or_more(
    names: list[str], ranked: bool, store: ResultStore
) -> None:
    runs = [
        save(store, 10 * d + i, 300 - 30 * i, dataset=name, fingerprint=f"f{d}", method=f"m{i}")
        for d, name in enumerate(names) for i in range(2)
    ]  # fmt: skip
    table = make_table(store, runs)
    assert any(note.startswith("rank") for note in table.notes) == ranked
    assert (set(shown(table, "mean_rank")) == {"–"}) != ranked


def test_methods_on_several_data_sets_have_mean_ranks(store: ResultStore) -> None:
    runs = [
        save(store, 10 * d + i, 300 - 30 * i, dataset=f"d{d}", fingerprint=f"f{d}", method=f"m{i}")
        for d in range(3) for i in range(3)
    ]  # fmt: skip
    alone = save(store, 99, 300, dataset="d0", fingerprint="f0", method="alone")
    table = make_table(store, [*runs, alone])
    assert shown(table, "mean_rank") == ["1.0", "2.0", "3.0", "–", "1.0", "2.0", "3.0", "1.0",
                                         "2.0", "3.0"]  # fmt: skip
    (note,) = (n for n in table.notes if n.startswith("rank"))
    assert "3 data sets of the 3 methods" in note
    assert "less than 1.91 apart" in note  # Demšar 2006: q 2.343, √(3·4/(6·3)) of it


def test_settings_are_shown_where_nothing_else_tells_rows_apart(store: ResultStore) -> None:
    runs = [
        save(store, 1, 300, settings={"C": 1, "k": 2}, given={"k": 2}),
        save(store, 2, 300, settings={"C": 9, "k": 2}, given={"C": 9, "k": 2}),
        save(store, 3, 300, method="knn", given={"k": 7}),
    ]
    assert shown(make_table(store, runs), "settings") == ["defaults", "C=9", ""]
    other = save(store, 4, 300, dataset="other", fingerprint="g")
    sections = make_table(store, [*runs, other])
    assert ["settings" in [c.name for c in sections.columns_of(s)] for s in sections.sections] == [
        True, False,
    ]  # fmt: skip
    apart = make_table(store, runs[1:])
    assert "settings" not in [column.name for column in apart.columns]


def test_names_that_a_recipe_gave_are_the_first_column_where_there_are_some(
    store: ResultStore,
) -> None:
    save(store, 1, 300)
    assert "| name" not in as_markdown(make_table(store, store.all()))
    save(store, 2, 200, method="knn", name="neighbours")
    heading, _, first, second = as_markdown(make_table(store, store.all())).splitlines()[:4]
    assert heading.startswith("| name")
    assert (first.split("|")[1].strip(), second.split("|")[1].strip()) == ("", "neighbours")


def test_a_published_figure_stands_beside_ours_and_costs_beside_quality(store: ResultStore) -> None:
    run = save(
        store, 1, 340, published_test_accuracy=0.9, published_source="Some et al. 2017",
        parameters_trainable=52521, parameters_total=3421024, extract_seconds_cold=20.23,
        fit_seconds=0.3, images_per_second=62.4,
    )  # fmt: skip
    table = make_table(store, [run])
    assert shown(table, "published_test_accuracy") == ["90.0 (-5.0)"]
    assert shown(table, "parameters") == ["52.5k/3.42M"]
    assert shown(table, "seconds") == ["20.2+0.3"]
    assert shown(table, "images_per_second") == ["62"]
    assert any("Some et al. 2017" in line for line in table.legend)
    (row,) = json.loads(as_json(table))
    assert row["published_difference"] == pytest.approx(-0.05)
    assert (row["parameters_total"], row["fit_seconds"]) == (3421024, 0.3)


def test_failed_runs_and_runs_without_predictions_are_told(store: ResultStore) -> None:
    bare = result(2, method="knn")
    store.save(bare)
    runs = [
        save(store, 1, 300), bare, save(store, 3, 301),
        result(4, status="failed", fingerprint="", test_accuracy=None, method="mlp", error="x"),
    ]  # fmt: skip
    table = make_table(store, runs)
    assert [row.first.run_id[-1] for row in table.rows] == ["3", "2", "4"]
    assert shown(table, "test_accuracy")[2] == "failed"
    assert shown(table, "interval")[1] == "82.6–94.5"
    text = as_markdown(table)
    assert "1 run kept no predictions and was not compared" in text
    assert "1 run was left out: another one of the same method and seed is later" in text
    assert "1 run failed: featbench results show 000000" in text


def test_each_file_of_predictions_is_read_once(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [save(store, 1 + i, 300, method=f"m{i % 3}", seed=i // 3) for i in range(6)]
    read: list[str] = []
    load = comparison.load_predictions

    def count(store: ResultStore, one: Result) -> object:
        read.append(one.run_id)
        return load(store, one)

    monkeypatch.setattr(comparison, "load_predictions", count)
    table = make_table(store, runs, sort="test_accuracy", group="head")
    for render in FORMATS.values():
        render(table)
    assert sorted(read) == [run.run_id for run in runs]


def test_the_table_by_default_fits_a_terminal(store: ResultStore) -> None:
    runs = [
        save(
            store, 1 + i, 300, network=network, seed=i // 2, images_per_second=123.4,
            parameters_trainable=52521, parameters_total=3421024, extract_seconds_cold=20.23,
        ) for i, network in enumerate(["efficientnet_lite0", "resnet50"] * 3)
    ]  # fmt: skip
    lines = as_markdown(make_table(store, runs)).splitlines()
    assert max(len(line) for line in lines if line.startswith("|")) <= 120


def test_other_metrics_intervals_are_shown_where_they_are_asked_for(store: ResultStore) -> None:
    runs = []
    for number, share in ((1, 0.9), (2, 0.6)):
        chances = np.full((N, 3), (1 - share) / 2)
        chances[np.arange(N), (LABELS + (share * N < HARD)) % 3] = share
        said = Predictions([f"{i}.jpg" for i in range(N)], LABELS, chances.argmax(1), chances)
        losses = said.losses()
        assert losses is not None
        runs.append(result(number, method=f"m{number}", n_test=N, test_log_loss=losses.mean()))
        store.save(runs[-1], said.as_csv(CLASSES))
    runs.append(save(store, 3, 300, method="bare", test_log_loss=None))
    columns = "method,test_log_loss,test_log_loss_interval,test_macro_f1_interval"
    table = make_table(store, runs, columns=columns)
    first, second, bare = json.loads(as_json(table))
    for row in (first, second):
        assert row["test_log_loss_low"] < row["test_log_loss"] < row["test_log_loss_high"]
    assert bare["test_log_loss_low"] is None
    assert bare["test_macro_f1_low"] < 0.75 < bare["test_macro_f1_high"]
    assert first["test_log_loss_high"] < second["test_log_loss_low"]
    low, high = first["test_log_loss_low"], first["test_log_loss_high"]
    assert shown(table, "test_log_loss_interval") == [
        f"{low:.3f}–{high:.3f}",
        f"{second['test_log_loss_low']:.3f}–{second['test_log_loss_high']:.3f}",
        "–",
    ]
    note = "95% intervals of macro F1, log-loss: BCa bootstrap of images (10,000 resamples, seed 0)"
    assert any(line.startswith(note) for line in table.notes)
    plain = make_table(store, runs)
    assert not any("log-loss:" in line for line in plain.notes), "it takes time: only where asked"
    by = make_table(store, runs, sort="test_log_loss_interval", rows="test_log_loss_interval=0.*")
    assert [row.first.method for row in by.rows] == ["m1", "m2"]

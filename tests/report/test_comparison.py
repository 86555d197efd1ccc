"""Results become methods, seeds together, and are compared by the predictions they kept."""

from pathlib import Path

import numpy as np
import pytest

from featbench.errors import FeatbenchError
from featbench.experiments import Predictions, Result, ResultStore, load_predictions
from featbench.report import compare_results, make_table
from featbench.report._columns import COLUMNS
from tests.report.test_report import result

CLASSES = ["a\rb", 'c "d"\n', "=e,f"]
N = 200
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, N)
HARD = RNG.random(N)


def save(
    store: ResultStore, number: int, share: float, *, groups: list[str] | None = None,
    **fields: object,
) -> Result:  # fmt: skip
    one = result(number, **fields)
    ids = [f"{i}.jpg" for i in range(N)]
    wrong = HARD + RNG.normal(0, 0.05, N) > share
    predicted = Predictions(ids, LABELS, (LABELS + wrong) % 3)
    store.save(one, predicted.as_csv(CLASSES, groups))
    return one


def test_seeds_of_one_method_are_together_whatever_each_has_chosen(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    tuned = {"method": "svm-rbf", "selection": {"tune": 1}, "searched": ["C"]}
    first, other = ([{"settings": {"C": c, "gamma": 1, "random_state": 0}}] for c in (1, 10))
    runs = [
        save(store, 1, 0.9, settings={"C": 1, "random_state": 0}),
        save(store, 2, 0.9, settings={"C": 1, "random_state": 1}, seed=1),
        save(store, 3, 0.6, settings={"C": 2, "random_state": 0}),
        save(store, 4, 0.9, settings={"C": 10}, ledger=other, **tuned),
        save(store, 5, 0.9, settings={"C": 1}, seed=1, ledger=first, **tuned),
        save(store, 6, 0.9, fingerprint="other", dataset="elsewhere"),
        result(7, status="failed", fingerprint="", test_accuracy=None),
    ]
    photos, elsewhere = compare_results(store, runs, resamples=200)
    assert [[r.run_id[-1] for r in runs] for runs in photos.methods] == [
        ["1", "2"], ["3"], ["4", "5"],
    ]  # fmt: skip
    assert [one.seeds for one in photos.comparison.standings] == [(0, 1), (0,), (0, 1)]
    assert photos.comparison.standings[1].letters == ("b",)
    assert elsewhere.dataset == "elsewhere"
    assert [photos.place_of(run) for run in runs] == [0, 0, 1, 2, 2, None, None]


def test_stages_of_several_seeds_are_one_method_whatever_run_each_goes_on_from(
    tmp_path: Path,
) -> None:
    store = ResultStore(tmp_path)
    stage = {"init_method": "m", "init_weights": "bundled"}
    runs = [save(store, 1 + s, 0.9, seed=s, weights=f"run:{s}", **stage) for s in (0, 1)]
    (found,) = compare_results(store, runs, resamples=200)
    assert found.methods == (tuple(runs),)
    (row,) = make_table(store, runs).rows
    assert (COLUMNS["seeds"].text(row), COLUMNS["weights"].text(row)) == ("2", "bundled")


def test_runs_without_predictions_are_named_not_compared(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    kept, bare = save(store, 1, 0.9), result(2, method="knn")
    store.save(bare)
    (found,) = compare_results(store, [kept, bare], resamples=200)
    assert found.without_predictions == (bare,)
    assert compare_results(store, [bare]) == []


def test_of_two_runs_of_one_seed_the_last_counts(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    runs = [save(store, 1, 0.5), save(store, 2, 0.9, recipe="later")]
    (found,) = compare_results(store, runs, resamples=200)
    assert found.methods == ((runs[1],),)


def test_predictions_come_back_as_they_were_groups_and_hostile_names_too(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    groups = [f"patient {i % 20}\r" for i in range(N)]
    one = save(store, 1, 0.9, groups=groups)
    table = load_predictions(store, one)
    assert table is not None
    assert table.labels == tuple(CLASSES[y] for y in LABELS)
    assert table.groups == tuple(groups)
    assert table.confidences is None
    (found,) = compare_results(store, [one, save(store, 2, 0.8, method="knn")], resamples=200)
    assert found.comparison.n_groups == 20


def test_each_images_log_loss_comes_back_and_files_of_before_have_none(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    one = result(1)
    chances = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    said = Predictions(["1", "2", "3"], np.array([0, 0, 0]), chances.argmax(1), chances)
    store.save(one, said.as_csv(CLASSES))
    table = load_predictions(store, one)
    assert table is not None
    assert table.losses == pytest.approx([-np.log(0.7), -np.log(1e-15), 0], abs=1e-6)
    path = tmp_path / one.run_id / "predictions.csv"
    assert "-0.0" not in path.read_text()
    path.write_text("id,label,predicted,confidence\n1,a,a,0.7\n")
    old = load_predictions(store, one)
    assert old is not None
    assert (old.confidences, old.losses) == ((0.7,), None)


def test_a_damaged_table_names_its_file(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    one = save(store, 1, 0.9)
    for text in ("id,label\n1,2\n", "", "id,label,predicted,confidence\n1,2\n"):
        (tmp_path / one.run_id / "predictions.csv").write_text(text)
        with pytest.raises(FeatbenchError, match=r"predictions\.csv: is no table of predictions"):
            load_predictions(store, one)

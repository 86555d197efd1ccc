"""Settings are chosen on images held out of training; the test split is read once, after."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featbench.errors import UsageError
from featbench.experiments import Run, Selection, Session, load_recipe
from featbench.experiments._feature_table import FeatureTable
from featbench.experiments._features_file import load_features
from featbench.experiments._fit_head import fit_head
from featbench.experiments._outcome import Conditions
from featbench.experiments._rows import Rows
from featbench.experiments._selection import _folds, choose, with_validation_rows
from featbench.heads import HEADS, Head, create_head
from featbench.progress import SILENT, Reporter


def embeddings(path: Path, splits: dict[str, int], seed: int = 0) -> Path:
    """Write rows of three classes that overlap."""
    rng = np.random.default_rng(seed)
    side = np.repeat(list(splits), list(splits.values()))
    y = np.arange(len(side)) % 3
    X = rng.normal(size=(len(side), 8)).astype(np.float32)
    X[np.arange(len(side)), y] += 1.5
    np.savez(path, X=X, y=y, split=side)
    return path


@pytest.fixture
def table(tmp_path: Path) -> FeatureTable:
    return load_features(embeddings(tmp_path / "rows.npz", {"train": 120, "val": 30, "test": 60}))


def session(tmp_path: Path, reporter: Reporter = SILENT) -> Session:
    return Session(cache=tmp_path / "cache", results=tmp_path / "results", reporter=reporter)


def folds(selection: Selection, table: FeatureTable) -> Any:
    rows = Rows.of_table(table)
    return _folds(selection, rows, with_validation_rows(rows), 0)


class TestWhatIsHeldOut:
    def test_is_the_sources_val_split(self, table: FeatureTable) -> None:
        [(train, held_out)] = folds(Selection(5), table)
        assert train.tolist() == list(range(120))
        assert held_out.tolist() == list(range(120, 150))

    def test_is_a_fifth_where_the_source_has_none(self, tmp_path: Path) -> None:
        rows = load_features(embeddings(tmp_path / "a.npz", {"train": 300, "test": 30}))
        [(train, held_out)] = folds(Selection(5), rows)
        assert 40 < len(held_out) < 80
        assert sorted([*train, *held_out]) == list(range(300))
        [again] = folds(Selection(5), rows)
        assert np.array_equal(again[1], held_out)

    def test_is_the_share_that_is_asked_for(self, table: FeatureTable) -> None:
        [(train, held_out)] = folds(Selection(5, validation=0.4), table)
        assert 40 < len(held_out) < 80
        assert len(train) + len(held_out) == 150

    def test_is_every_row_once_in_folds(self, table: FeatureTable) -> None:
        found = folds(Selection(5, folds=5), table)
        assert sorted(np.concatenate([held for _, held in found])) == list(range(150))
        assert all(not set(train) & set(held) for train, held in found)

    def test_keeps_groups_together(self, table: FeatureTable) -> None:
        groups = tuple(f"patient {i // 10}" for i in range(120))
        val = tuple(f"patient {12 + i // 10}" for i in range(30))
        own = table.splits
        grouped = table.with_splits({
            "train": own["train"].take(range(120)), "val": own["val"], "test": own["test"]
        })  # fmt: skip
        object.__setattr__(grouped.splits["train"], "groups", groups)
        object.__setattr__(grouped.splits["val"], "groups", val)
        every = np.array(groups + val)
        for train, held_out in folds(Selection(5, folds=3), grouped):
            assert not set(every[train]) & set(every[held_out])


def test_a_run_fits_its_head_on_whole_groups(
    table: FeatureTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of val among them, where settings were chosen."""
    seen: list[list[str]] = []
    fit = HEADS["logreg"].fit

    def noted(self: Head, X: Any, y: Any, *rest: Any, **more: Any) -> Head:
        if "groups" in more:
            seen.append(more["groups"].tolist())
        return fit(self, X, y, *rest, **more)

    monkeypatch.setattr(HEADS["logreg"], "fit", noted)
    named = tuple(f"patient {i // 10}" for i in range(120))
    object.__setattr__(table.splits["train"], "groups", named)
    settings = create_head("logreg").get_params()
    for count in (0, 2):
        run = Run(features="rows.npz", head="logreg", selection=Selection(count))
        fit_head(run, settings, Rows.of_table(table), Conditions())
    assert seen == [list(named), [*named, *table.splits["val"].ids]]


def test_the_test_split_is_not_looked_at(table: FeatureTable, tmp_path: Path) -> None:
    """Spoiling it changes nothing that is chosen."""
    rows = Rows.of_table(table)
    spoiled = Rows.of_table(table)
    spoiled.parts["test"].X[:] = np.nan
    ask: dict[str, Any] = {"seed": 0, "split_seed": 0, "reporter": SILENT}
    first, second = (choose(Selection(8), "svm-rbf", {}, one, **ask) for one in (rows, spoiled))
    assert [one.accuracy for one in first.candidates] == [one.accuracy for one in second.candidates]
    assert first.head.get_params() == second.head.get_params()
    assert (first.n_val, len(first.candidates)) == (30, 8)


def test_a_result_keeps_the_ledger_and_is_fitted_on_train_and_val(tmp_path: Path) -> None:
    file = embeddings(tmp_path / "rows.npz", {"train": 120, "val": 30, "test": 60})
    run = Run(features=str(file), head="svm-rbf", selection=Selection(7))
    result = session(tmp_path).run(run)
    assert result.selection == {"tune": 7, "folds": None, "validation": None}
    assert len(result.ledger) == 7
    assert (result.n_train, result.n_val, result.n_test) == (150, 30, 60)
    best = max(result.ledger, key=lambda line: line["accuracy"])
    assert result.val_accuracy == best["accuracy"]
    assert result.settings == best["settings"]
    table = load_features(file)
    parts = with_validation_rows(Rows.of_table(table)).parts
    alone = create_head("svm-rbf", **result.settings).fit(parts["train"].X, parts["train"].y)
    assert result.test_accuracy == alone.score(parts["test"].X, parts["test"].y)
    stored = json.loads((tmp_path / "results" / result.run_id / "result.json").read_text())
    assert stored["ledger"] == result.ledger


def test_how_settings_are_chosen_is_part_of_the_identity(tmp_path: Path) -> None:
    file = str(embeddings(tmp_path / "rows.npz", {"train": 60, "val": 30, "test": 30}))
    here = session(tmp_path)
    ways = [Selection(), Selection(3), Selection(4), Selection(3, folds=3), Selection("grid")]
    runs = [Run(features=file, head="svm-linear", selection=way) for way in ways]
    assert len({here.run(run).run_id for run in runs}) == len(runs)
    finished = here.run(runs[1]).finished
    assert here.run(runs[1]).finished == finished


def test_given_settings_are_kept_and_not_searched(tmp_path: Path) -> None:
    file = str(embeddings(tmp_path / "rows.npz", {"train": 60, "val": 30, "test": 30}))
    run = Run(features=file, head="svm-poly", settings={"degree": 5}, selection=Selection(4))
    result = session(tmp_path).run(run)
    assert {line["settings"]["degree"] for line in result.ledger} == {5}
    assert result.given["degree"] == 5


def test_candidates_that_cannot_be_chosen_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Told(Reporter):
        def say(self, line: str) -> None:
            told.append(line)

    monkeypatch.setattr(HEADS["svm-linear"], "space", {"max_iter": (1, 100_000)})
    file = str(embeddings(tmp_path / "rows.npz", {"train": 60, "val": 30, "test": 30}))
    run = Run(features=file, head="svm-linear", selection=Selection("grid"))
    result = session(tmp_path, Told()).run(run)
    assert result.settings["max_iter"] == 100_000
    assert result.ledger[0]["problem"].startswith("did not converge")
    assert any("max_iter=1): did not converge" in line for line in told)
    assert told.index("svm-linear: a grid of 2 candidates, 2 fits") < len(told) - 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tune": -1}, "tune -1"),
        ({"tune": "lots"}, "tune 'lots'"),
        ({"tune": True}, "tune True"),
        ({"folds": 5}, "folds goes with tune"),
        ({"tune": 3, "folds": 1}, "folds 1"),
        ({"tune": 3, "validation": 1.5}, "validation 1.5"),
        ({"tune": 3, "folds": 3, "validation": 0.2}, "give one"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Selection(**fields)


def test_too_few_rows_to_choose_on_is_said(tmp_path: Path) -> None:
    for rows, way in ((4, Selection(3, folds=5)), (2, Selection(3, validation=0.2))):
        file = str(embeddings(tmp_path / f"{rows}.npz", {"train": rows, "test": 6}))
        with pytest.raises(UsageError, match=r"only 4|too few rows"):
            session(tmp_path).run(Run(features=file, head="svm-rbf", selection=way))


def test_training_above_a_cut_is_not_tuned(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tune goes with a head"):
        Run("digits", "lenet5", blocks=1, selection=Selection(3))


def test_a_recipe_says_how_settings_are_chosen(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        'tune = 5\nfolds = 3\n[[run]]\nnetwork = "lenet5"\nhead = ["svm-rbf", "logreg"]\n'
        '[[run]]\nnetwork = "lenet5"\nhead = "svm-linear"\ntune = 0\n'
        '[[run]]\nnetwork = "lenet5"\nblocks = 1\n'
    )
    ways = [run.selection for run in load_recipe(path).runs]
    assert ways == [Selection(5, 3), Selection(5, 3), Selection(), Selection()]
    path.write_text('[[run]]\nnetwork = "lenet5"\nblocks = 1\ntune = 3\n')
    with pytest.raises(UsageError, match="tune goes with head"):
        load_recipe(path)


def test_memory_that_is_too_small_is_an_error_or_an_approximation_that_is_labelled(
    tmp_path: Path,
) -> None:
    file = str(embeddings(tmp_path / "rows.npz", {"train": 600, "test": 90}))
    small = Session(cache=tmp_path, results=tmp_path / "results", memory=4 * 390**2)
    with pytest.raises(UsageError, match=r"400 rows needs .* --approximate"):
        small.run(Run(features=file, head="svm-rbf"))
    rough = small.run(Run(features=file, head="svm-rbf", settings={"approximate": True}))
    assert rough.approximate == "Nyström, 600 rows, one-vs-rest"
    exact = session(tmp_path).run(Run(features=file, head="svm-rbf"))
    assert exact.approximate == ""
    assert rough.test_accuracy is not None
    assert exact.test_accuracy is not None
    assert abs(rough.test_accuracy - exact.test_accuracy) < 0.1
    assert rough.test_accuracy > 0.6


def test_an_approximation_is_made_only_where_it_must_be() -> None:
    head: Head = create_head("svm-rbf", approximate=True)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    assert not hasattr(head.fit(X, y).core_, "approximation")


def test_an_approximation_is_done_again_once_memory_allows(tmp_path: Path) -> None:
    file = str(embeddings(tmp_path / "rows.npz", {"train": 600, "test": 90}))
    run = Run(features=file, head="svm-rbf", settings={"approximate": True})
    small = Session(cache=tmp_path, results=tmp_path / "results", memory=4 * 390**2)
    assert small.run(run).approximate
    assert session(tmp_path).run(run).approximate == ""


def test_memory_is_planned_before_any_candidate_is_tried(tmp_path: Path) -> None:
    told: list[str] = []

    class Told(Reporter):
        def say(self, line: str) -> None:
            told.append(line)

    file = str(embeddings(tmp_path / "rows.npz", {"train": 600, "test": 90}))
    small = Session(cache=tmp_path, results=tmp_path, memory=4 * 390**2, reporter=Told())
    with pytest.raises(UsageError, match="400 rows needs"):
        small.run(Run(features=file, head="svm-rbf", selection=Selection(3)))
    assert not any("is best of" in line for line in told)


def test_other_class_names_are_another_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.arange(60) % 3
    ids = []
    for names in (["a", "b", "c"], ["a", "c", "b"]):
        np.savez(tmp_path / "rows.npz", X=X, y=y, classes=names)
        ids.append(session(tmp_path).run(Run(features=str(tmp_path / "rows.npz"), head="ridge")))
    assert ids[0].run_id != ids[1].run_id

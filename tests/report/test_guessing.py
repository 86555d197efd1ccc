"""Below every table and in the report: how far guessing gets, and what was never asked."""

from pathlib import Path

import numpy as np
import pytest

from featbench.experiments import Predictions, Result, ResultStore
from featbench.report import make_table, write_report
from tests.report.test_report import result

CLASSES = ["plain", "karo", "dots"]
LABELS = np.array([1] * 12 + [0] * 4 + [2] * 5)  # 12 of 21 are karo


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def save(store: ResultStore, number: int, predicted: np.ndarray, labels: np.ndarray = LABELS,
         classes: list[str] = CLASSES, **fields: object) -> Result:  # fmt: skip
    given = {"n_test": len(labels), "test_accuracy": float(np.mean(predicted == labels)),
             "n_classes": len(classes), "weights": "bundled", "rows_computed": 1}  # fmt: skip
    one = result(number, **{**given, **fields})
    ids = [f"{i}.jpg" for i in range(len(labels))]
    store.save(one, Predictions(ids, labels, predicted).as_csv(classes))
    return one


SCRATCH = {"method": "fine-tune", "cut": "pixels", "weights": "random"}
KARO = np.full(21, 1)
HALF = np.where(np.arange(21) < 8, 0, LABELS)


def test_a_table_says_what_always_the_commonest_class_would_get(store: ResultStore) -> None:
    runs = [
        save(store, 1, KARO, **SCRATCH),
        save(store, 2, HALF),
        save(store, 3, LABELS, dataset="other", fingerprint="g"),
    ]
    notes = make_table(store, runs).notes
    for name in ("photos", "other"):
        said = f"{name}: always the commonest class of the test images would be right for 57.1%"
        assert sum(note.startswith(said) for note in notes) == 1
    assert "photos: lenet5 · from scratch answers every image with the same class." in notes
    assert not any("answers" in note and note.startswith("other") for note in notes)


def test_rows_that_are_not_shown_are_not_named(store: ResultStore) -> None:
    runs = [save(store, 1, KARO, **SCRATCH), save(store, 2, HALF)]
    notes = make_table(store, runs, rows="head=logreg").notes
    assert any("57.1%" in note for note in notes)
    assert not any("same class" in note for note in notes)


def test_several_methods_and_some_seeds_are_told(store: ResultStore) -> None:
    runs = [save(store, 1, KARO, **SCRATCH), save(store, 2, HALF, **SCRATCH, seed=1),
            save(store, 3, KARO, method="knn")]  # fmt: skip
    assert (
        "photos: each of these answers every image with one class: lenet5 · from scratch (1 of 2 "
        "seeds); lenet5 (bundled) · frozen + knn."
    ) in make_table(store, runs).notes


def test_the_share_is_of_the_images_that_are_compared(store: ResultStore) -> None:
    runs = [save(store, 1, HALF), save(store, 2, LABELS[6:], LABELS[6:], method="knn")]
    path = store.folder / runs[1].run_id / "predictions.csv"
    heading, *rows = path.read_text().splitlines()
    moved = [f"{int(row.split('.')[0]) + 6}.jpg,{row.split(',', 1)[1]}" for row in rows]
    path.write_text("\n".join([heading, *moved, ""]))
    assert any("right for 40.0% of them" in note for note in make_table(store, runs).notes)


def test_without_predictions_nothing_is_said(store: ResultStore) -> None:
    store.save(one := result(1))
    notes = make_table(store, [one]).notes
    assert not any("class" in note for note in notes)


def test_the_report_says_it_in_its_first_sentences_and_below_its_table(store: ResultStore) -> None:
    save(store, 1, KARO, **SCRATCH)
    save(store, 2, HALF)
    page = write_report(store, store.folder / "r.html").read_text()
    first, rest = page.split("</header>")
    assert "Always the commonest class would be right for 57.1%." in first
    assert "lenet5 · from scratch answers every image with the same class." in first
    assert "photos: always the commonest class of the test images would be right" in rest


def test_classes_without_test_images_are_told_and_named_where_answers_name_them(
    store: ResultStore,
) -> None:
    plain = np.zeros(19, dtype=int)
    one = save(store, 1, plain, plain, ["benign", "malignant"], dataset="clean")
    said = "1 of 2 classes has no test image. No accuracy here, balanced or not, says anything of"
    assert f"clean: {said} it." in make_table(store, [one]).notes
    wrong = plain.copy()
    wrong[0] = 1
    two = save(store, 2, wrong, plain, ["benign", "malignant"], dataset="clean", method="knn")
    notes = make_table(store, [one, two]).notes
    assert any(note.startswith("clean: 1 of 2 classes has no test image: malignant. No") for note
               in notes)  # fmt: skip
    assert not any("answers every image" in note for note in notes), "there is but one to give"
    page = write_report(store, store.folder / "r.html").read_text()
    assert "1 of 2 classes has no test image: malignant." in page.split("</header>")[0]


def test_only_all_of_the_absent_classes_are_named(store: ResultStore) -> None:
    one = save(store, 1, np.where(np.arange(21) < 1, 3, LABELS), classes=[*CLASSES, "d", "e"])
    notes = make_table(store, [one]).notes
    assert any("2 of 5 classes have no test image. No" in note for note in notes)
    whole = save(store, 2, LABELS, fingerprint="g", dataset="whole")
    assert not any("no test image" in note for note in make_table(store, [whole]).notes)

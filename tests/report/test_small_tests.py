"""Where test images are few, a note says which differences cannot be told."""

from pathlib import Path

import numpy as np
import pytest

from featbench.experiments import Predictions, Result, ResultStore
from featbench.report import make_table
from featbench.report._small_tests import least_difference
from featbench.statistics import mcnemar
from tests.report.test_report import result


def notes(tmp_path: Path, n: int, wrong: int, *, groups: int = 0, **fields: object) -> list[str]:
    """Return what is said below a table of one run, of n test images with some wrong."""
    store = ResultStore(tmp_path)
    labels = np.arange(n) % 2
    said = np.where(np.arange(n) < wrong, 1 - labels, labels)
    belong = [f"g{i % groups}" for i in range(n)] if groups else None
    one: Result = result(1, **{"n_test": n, "rows_cached": 1, **fields})
    store.save(
        one, Predictions([str(i) for i in range(n)], labels, said).as_csv(["a", "b"], belong)
    )
    return [note for note in make_table(store, [one]).notes if "cannot be told" in note or
            "too few for McN" in note]  # fmt: skip


def test_what_cannot_be_told_is_said_with_a_next_step(tmp_path: Path) -> None:
    assert notes(tmp_path, 21, 9) == [
        "photos: 21 test images: differences below 23.8 points cannot be told apart (McNemar's "
        "test of two runs, even if only one of them is ever right alone); hold out more with "
        "--data photos:test=0.4 (all images are divided anew), or add images."
    ]
    (note,) = notes(tmp_path / "zip", 21, 9, source="/data/my photos.zip")
    assert "--data '/data/my photos.zip:test=0.4' (all" in note


@pytest.mark.parametrize(
    "other", [{"n": 400}, {"n": 60, "wrong": 1}, {"n": 21, "wrong": 9, "groups": 7}]
)
def test_nothing_is_said_where_intervals_are_narrow_or_groups_count(
    other: dict[str, int], tmp_path: Path
) -> None:
    assert notes(tmp_path, **{"wrong": 100, **other}) == []


@pytest.mark.parametrize(
    "fields",
    [{"dataset": "photos:test=0.3"}, {"rows_cached": 0}],
    ids=["asked for", "a file's rows"],
)
def test_a_share_is_proposed_only_where_none_was_asked_for(
    fields: dict[str, object], tmp_path: Path
) -> None:
    (note,) = notes(tmp_path, 21, 9, **fields)
    assert note.endswith("; hold out more, or add images.")


def test_with_four_images_nothing_can_be_told(tmp_path: Path) -> None:
    (note,) = notes(tmp_path, 4, 1)
    assert "photos: 4 test images: too few for McNemar's test to tell any two runs apart" in note


@pytest.mark.parametrize("n", [5, 21, 100])
def test_the_least_difference_is_just_significant(n: int) -> None:
    found = least_difference(n)
    assert found is not None
    right = round(found * n)
    assert mcnemar(right, 0) < 0.05 < mcnemar(right - 1, 0)
    assert least_difference(right - 1) is None

"""Few-shot results become curves, and a table of how many labels are needed."""

import json

import pytest

from featbench.experiments import Result
from featbench.report import few_shot_curves, labels_needed_table
from tests.report.test_report import result

ACCURACY = {1: 0.3, 2: 0.5, 5: 0.7, 10: 0.8}


def runs(method: str = "logreg", more: float = 0.0, **fields: object) -> list[Result]:
    return [
        result(
            100 * k + seed, method=method, seed=seed, n_per_class=k, sample={"shots": k},
            test_accuracy=accuracy + more + 0.01 * seed, **fields,
        )
        for k, accuracy in ACCURACY.items() for seed in (0, 1, 2)
    ]  # fmt: skip


def test_runs_alike_but_for_size_and_draw_are_one_curve() -> None:
    whole = result(1, method="logreg")
    logreg, knn = few_shot_curves([*runs(), whole, *runs("knn")])
    assert (logreg.shots, logreg.draws) == ((1, 2, 5, 10), (0, 1, 2))
    assert logreg.accuracies[:, 0].tolist() == pytest.approx(list(ACCURACY.values()))
    assert knn.method != logreg.method


def test_a_draw_that_a_size_lacks_is_left_out() -> None:
    some = [one for one in runs() if not (one.seed == 2 and one.n_per_class == 5)]
    (curve,) = few_shot_curves(some)
    assert curve.draws == (0, 1)
    assert few_shot_curves([one for one in runs() if one.status == "failed"]) == []


def test_the_table_has_the_fewest_labels_first_and_is_plain() -> None:
    rows = labels_needed_table([*runs(more=-0.4), *runs("knn"), *runs("ridge", 0.1)], 0.6)
    assert json.loads(json.dumps(rows)) == rows
    counts = [row["count"] for row in rows]
    assert counts[2] is None
    assert counts[0] < counts[1]
    assert rows[0]["low"] <= counts[0] <= rows[0]["high"]
    assert rows[0]["draws"] == 3

"""The report's first sentences: what training more gains is said of one network at a time."""

from dataclasses import replace

import numpy as np
import pytest

from featbench.report import Row
from featbench.report._summary import summary_of
from featbench.statistics import Interval, Standing
from tests.report.test_report import result

PRETRAINED = {"network": "big", "weights": "bundled", "rows_cached": 1}
TRAINED = {**PRETRAINED, "method": "fine-tune", "cut": "blocks.6"}
SCRATCH = {"method": "fine-tune", "cut": "pixels"}


def row(accuracy: float, letters: str = "", **fields: object) -> Row:
    one = result(test_accuracy=accuracy, n_test=21, **fields)
    standing = Standing("", accuracy, Interval(0.0, 1.0), tuple(letters), (0,), 0)
    return Row((one,), "fabric", standing if letters else None)


def training(*rows: Row) -> list[str]:
    said = summary_of("fabric", rows)
    return [line for line in said if "Training more" in line or "random weights" in line]


def test_training_more_is_against_the_same_networks_frozen_features() -> None:
    rows = [row(0.571, "a", **SCRATCH), row(0.476, "a", **PRETRAINED), row(0.429, "a", **TRAINED),
            row(0.4, "a", **{**PRETRAINED, "method": "knn"})]  # fmt: skip
    assert training(*rows) == [
        "Training more of big (bundled) loses 4.7 points against the best head on its frozen "
        "features, frozen + logreg (47.6%), which may be chance.",
        "lenet5 · from scratch learned from random weights, and is 9.5 points above the best head "
        "on a pretrained network's frozen features, big (bundled) · frozen + logreg (47.6%), which "
        "may be chance.",
    ]


def test_methods_that_are_called_alike_say_how_they_differ() -> None:
    gentle = row(0.9, "a", **TRAINED, run_id="a", settings={"lr": 1e-4})
    fast = row(0.8, "a", **TRAINED, run_id="b", settings={"lr": 1e-3})
    said = summary_of("fabric", [gentle, replace(fast, tied=True), row(0.5, "b", **SCRATCH)])
    assert "is big (bundled) · fine-tune blocks.6 (lr=0.0001): 90.0% of" in said[0]
    assert "does not tell it apart from big (bundled) · fine-tune blocks.6 (lr=0.001)." in " ".join(
        said
    ).replace("The test images do not", "does not")
    named = [replace(r, runs=(r.first.model_copy(update={"name": name, "recipe": "r"}),))
             for r, name in ((gentle, "gentle"), (fast, "block"))]  # fmt: skip
    assert "fine-tune blocks.6 (gentle): 90.0%" in summary_of("fabric", named)[0]


def test_another_network_or_other_weights_are_not_more_of_the_same() -> None:
    for other in ({"network": "small"}, {"weights": "imagenet"}):
        assert training(row(0.9, **TRAINED), row(0.8, **{**PRETRAINED, **other})) == []


def test_from_scratch_has_no_sentence_where_it_is_not_the_best() -> None:
    assert training(row(0.9, **PRETRAINED), row(0.5, **SCRATCH)) == []


@pytest.mark.parametrize(
    ("letters", "end"),
    [(("a", "b"), ", more than chance explains."), (("", ""), "frozen + logreg (80.0%).")],
)
def test_it_says_whether_that_may_be_chance_where_it_is_known(
    letters: tuple[str, str], end: str
) -> None:
    (line,) = training(row(0.9, letters[0], **TRAINED), row(0.8, letters[1], **PRETRAINED))
    assert line.startswith("Training more of big (bundled) gains 10.0 points over the best head")
    assert line.endswith(end)


def test_of_many_networks_the_best_three_are_told() -> None:
    rows = [
        row(accuracy, **{**kind, "network": f"n{i}"})
        for i, accuracy in enumerate(np.linspace(0.9, 0.5, 5)) for kind in (TRAINED, PRETRAINED)
    ]  # fmt: skip
    assert [line.split()[3] for line in training(*rows)] == ["n0", "n1", "n2"]

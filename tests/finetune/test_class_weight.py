"""What an image of each class counts in training: by the class's name, or so that all balance."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from featbench.datasets import Dataset, load_dataset
from featbench.errors import UsageError
from featbench.finetune import FineTuneClassifier, Schedule
from featbench.finetune._objective import Objective, class_weights
from tests.conftest import make_photos


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("c") / "p", {"train": 8, "val": 4, "test": 4})
    return load_dataset(root)


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    return FineTuneClassifier(
        "lenet5", "random", cache=cache, **{"epochs": 2, "batch": 8, **options}
    ).fit(data)


@pytest.mark.parametrize("given", [{"rust": 3.0}, {"1": 3}, {1: 3}])
def test_a_class_is_named_or_numbered(given: dict[Any, float], data: Dataset) -> None:
    schedule = Schedule(class_weight=given)
    weights = class_weights(schedule, data, torch.tensor([0, 1, 2]))
    assert weights is not None
    assert weights.tolist() == [1, 3, 1]
    assert all(type(key) is str for key in schedule.class_weight)  # as JSON keeps it


def test_a_heavy_class_is_found_more_often(data: Dataset, tmp_path: Path) -> None:
    plain, heavy = (
        tune(data, tmp_path, blocks=1, lr=0.01, class_weight=weight).predict_proba(data.test)
        for weight in (None, {"rust": 50.0})
    )
    assert heavy[:, 1].mean() > plain[:, 1].mean() + 0.05


def test_weights_of_one_are_none(data: Dataset, tmp_path: Path) -> None:
    first, same = (
        tune(data, tmp_path, blocks=0, class_weight=weight).predict_proba(data.test)
        for weight in (None, {"moss": 1.0})
    )
    np.testing.assert_allclose(first, same, atol=1e-5)


def test_an_unknown_class_names_the_nearest_before_any_work(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'mos'; did you mean 'moss'\? Classes: moss, rust, sky"):
        tune(data, tmp_path, class_weight={"mos": 2})
    assert not list(tmp_path.glob("*/*.h5"))


@pytest.mark.parametrize(
    "wrong",
    [{"moss": -1}, {"moss": "much"}, {"moss": True}, {"moss": float("nan")}, {}, {"moss": 0},
     {1: 2, "1": 3}, "even", [1, 2, 3]],
)  # fmt: skip
def test_a_weight_that_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"class_weight=.*: expected balanced, none, or a number"):
        Schedule(class_weight=wrong)


class TestASingleOutput:
    outputs = torch.tensor([[0.3], [-1.2], [2.0], [0.1]])
    target = torch.tensor([0, 1, 1, 0])
    weight = torch.tensor([0.5, 4.0])

    def test_with_binary_cross_entropy(self) -> None:
        objective = Objective(weight=self.weight)
        loss = objective(objective.scores(self.outputs), self.target, training=True)
        expected = functional.binary_cross_entropy_with_logits(
            self.outputs[:, 0], self.target.float(), self.weight[self.target]
        )
        torch.testing.assert_close(loss, expected)

    def test_with_the_squared_error(self) -> None:
        objective = Objective("mse", self.weight)
        loss = objective(objective.scores(self.outputs), self.target, training=True)
        errors = (self.outputs[:, 0].sigmoid() - self.target).square()
        torch.testing.assert_close(loss, (errors * self.weight[self.target]).mean())

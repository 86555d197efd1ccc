"""A training ends by saying which epoch it kept, and when that is no better than guessing."""

import math

import pytest
import torch

from featbench.finetune._history import conclude

LABELS = torch.arange(40) % 4
HISTORY = [
    {"epoch": 1, "val_loss": 1.2, "val_accuracy": 0.40},
    {"epoch": 2, "val_loss": 0.7, "val_accuracy": 0.75},
    {"epoch": 3, "val_loss": 0.9, "val_accuracy": 0.80},
]


def test_says_the_epoch_and_what_it_was_chosen_by() -> None:
    by_loss = list(conclude(HISTORY, 2, "val_loss", LABELS))
    assert by_loss == ["epoch 2 of 3 kept (lowest validation loss, 0.7; 75.0% right)"]
    by_accuracy = list(conclude(HISTORY, 3, "val_accuracy", LABELS))
    assert by_accuracy == ["epoch 3 of 3 kept (highest validation accuracy, 80.0%; loss 0.9)"]
    assert list(conclude(HISTORY, 3, "last", LABELS)) == []


@pytest.mark.parametrize(
    ("loss", "accuracy", "told"),
    [
        (math.log(4) + 0.01, 0.25, "no better than guessing, whose loss is 1.39 and which has 25"),
        (math.log(4) - 0.01, 0.25, ""),
        (100.0, 0.90, "above guessing's, 1.39, though 90.0% are right: it is far too sure"),
    ],
)
def test_says_when_guessing_is_as_good(loss: float, accuracy: float, told: str) -> None:
    rows = [{"epoch": 1, "val_loss": loss, "val_accuracy": accuracy}]
    lines = list(conclude(rows, 1, "last", LABELS))
    assert len(lines) == bool(told)
    assert not told or told in lines[0]
    assert list(conclude(rows, 1, "last", None)) == []


def test_guessing_knows_how_frequent_each_class_is() -> None:
    rare = torch.tensor([0] * 19 + [1])
    rows = [{"epoch": 1, "val_loss": 0.5, "val_accuracy": 0.95}]
    assert "loss is 0.199 and which has 95.0% right" in next(conclude(rows, 1, "last", rare))
    one = torch.zeros(9, dtype=torch.int64)
    assert list(conclude(rows, 1, "last", one)) == [], "of one class there is nothing to guess"

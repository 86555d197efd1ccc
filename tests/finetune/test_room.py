"""Where memory runs out a batch goes in pieces, and the step is still the whole batch's."""

from typing import Any

import pytest
import torch
from torch import nn

from featbench.errors import FeatbenchError
from featbench.finetune import Schedule
from featbench.finetune._objective import Objective, balanced_weights
from featbench.finetune._room import is_out_of_memory
from featbench.finetune._trainer import Trainer
from tests.finetune.test_checkpoint import Notes

ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    "other systems' cpu": RuntimeError("DefaultCPUAllocator: not enough memory: you tried"),
    "python": MemoryError(),
}


class Narrow(nn.Module):
    """A linear layer that has room for so many rows."""

    def __init__(self, most: int, error: BaseException, *, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3) if norm else nn.Identity()
        self.most, self.error = most, error
        self.sizes: list[int] = []

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(rows))
        if len(rows) > self.most:
            raise self.error
        result: torch.Tensor = self.norm(self.layer(rows))
        return result


def train(module: nn.Module, objective: Objective, **options: Any) -> tuple[Any, list[str]]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 4, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    trainer = Trainer(module, lambda batch: batch, torch.device("cpu"), objective)
    groups = [{"params": list(module.parameters()), "lr": 0.1}]
    how = Schedule(**{"optimizer": "sgd", "batch": 16, "epochs": 3, "select": "last", **options})
    notes = Notes()
    torch.manual_seed(0)
    history, _ = trainer.fit((rows, labels), (rows, labels), how, groups, notes)
    return history, notes.lines


@pytest.mark.parametrize("error", ERRORS)
def test_every_way_of_running_out_is_known(error: str) -> None:
    assert is_out_of_memory(ERRORS[error])
    module = Narrow(4, ERRORS[error])
    _, lines = train(module, Objective())
    assert max(module.sizes[-20:]) == 4
    assert [line for line in lines if line.startswith("training: memory has no room for 16 ")]
    assert "from now on 8, their gradients added up" in lines[0]
    assert "from now on 4" in lines[1]
    assert lines[2].startswith("predicting: memory has no room for 40 images at once")


WEIGHTS = balanced_weights(torch.tensor([0] * 20 + [1] * 15 + [2] * 5), 3)


@pytest.mark.parametrize(
    "objective",
    [Objective(), Objective(weight=WEIGHTS), Objective(smoothing=0.2),
     Objective(weight=WEIGHTS, smoothing=0.2), Objective("mse", WEIGHTS, 0.1)],
)  # fmt: skip
@pytest.mark.parametrize("most", [1, 3, 5])
def test_the_steps_are_the_whole_batchs(objective: Objective, most: int) -> None:
    """Forty rows in batches of sixteen: the last one is shorter, and pieces are uneven."""
    wide, narrow = Narrow(99, MemoryError()), Narrow(most, MemoryError())
    (first, _), (second, _) = (train(m, objective, clip_norm=0.5) for m in (wide, narrow))
    for a, b in zip(wide.parameters(), narrow.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(first, second, strict=True):
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
            assert a[name] == pytest.approx(b[name], rel=1e-5)


def test_batch_norm_never_learns_from_one_row() -> None:
    module = Narrow(2, MemoryError(), norm=True)
    _, lines = train(module, Objective())
    assert "but for batch norm, which sees a piece at a time" in lines[0]
    assert 1 not in module.sizes[:30]


def test_no_room_at_all_says_what_to_do() -> None:
    for norm, at_last in ((False, 1), (True, 2)):
        with pytest.raises(FeatbenchError, match=f"even {at_last} at a time.*train fewer blocks"):
            train(Narrow(0, MemoryError(), norm=norm), Objective())


def test_another_error_is_not_tried_again() -> None:
    module = Narrow(0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        train(module, Objective())
    assert len(module.sizes) == 1

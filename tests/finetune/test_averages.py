"""After few steps a network is in use what it was in training: its averages are its own."""

from pathlib import Path

import pytest
import torch
from torch import nn

from featbench.datasets import Dataset, load_dataset
from featbench.finetune import FineTuneClassifier
from featbench.finetune._averages import measured_anew, remember
from featbench.finetune._trainer import Trainer
from tests.conftest import make_photos


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("a") / "p", {"train": 12, "val": 4, "test": 4})
    return load_dataset(root)


def net(momentum: float | None = 0.01) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=momentum), nn.Dropout(0.5))


def test_a_share_of_five_hundredths_is_remembered() -> None:
    assert remember(net(0.01), 298)  # 0.99²⁹⁸ = 0.0500…
    assert not remember(net(0.01), 299)
    assert not remember(net(0.1), 40)
    assert not remember(net(None), 1), "a plain mean over all batches"
    assert not remember(nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)), 1)


def test_they_are_the_means_over_batches_of_what_the_weights_give_now() -> None:
    module, batches = net().train(), torch.randn(5, 8, 3)
    with torch.inference_mode(), measured_anew(module):
        assert not module[2].training, "no dropout"
        for batch in batches:
            module(batch)
    values = torch.stack([module[0](batch) for batch in batches]).detach()
    norm = module[1]
    assert torch.allclose(norm.running_mean, values.mean(dim=(0, 1)), atol=1e-6)
    assert torch.allclose(norm.running_var, values.var(dim=1).mean(dim=0), atol=1e-6)
    assert norm.momentum == 0.01
    assert not any(part.training for part in module)


def tune(data: Dataset, cache: Path, epochs: int = 4) -> FineTuneClassifier:
    return FineTuneClassifier(
        "efficientnet_lite0", blocks=1, epochs=epochs, batch=16, cache=cache
    ).fit(data)


def test_what_few_steps_taught_is_there_in_use(data: Dataset, tmp_path: Path) -> None:
    model = tune(data, tmp_path)
    assert model.score(data.train) > 0.9
    assert model.score(data.test) > 0.9


def test_training_itself_is_not_touched(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = tune(data, tmp_path, 2)
    monkeypatch.setattr("featbench.finetune._trainer.remember", lambda module, steps: False)
    left = tune(data, tmp_path, 2)
    for one, other in zip(measured.history_, left.history_, strict=True):
        assert one["train_loss"] == other["train_loss"]
        assert one["val_loss"] < other["val_loss"]


def test_a_short_last_batch_counts_no_more_than_others(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = Trainer._ask

    def ask(own: Trainer, given: torch.Tensor, piece: slice) -> torch.Tensor:
        sizes.append(len(given[piece]))
        return real(own, given, piece)

    monkeypatch.setattr(Trainer, "_ask", ask)
    FineTuneClassifier(
        "efficientnet_lite0", blocks=1, epochs=1, batch=16, select="last", cache=tmp_path
    ).fit(data)
    assert sizes[:2] == [18, 18], "36 training images, not 16, 16 and 4"

"""What is frozen: no gradient, no optimiser state, no weight decay, batch norm in eval mode."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from featbench.datasets import Dataset, load_dataset
from featbench.finetune import FineTuneClassifier, Schedule
from featbench.networks import create_network
from tests.conftest import make_photos

NAME = "mobilenet_v3_small"
TRAINED = ("features.11.", "features.12.", "classifier.")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(make_photos(tmp_path_factory.mktemp("z") / "p", {"train": 4, "test": 1}))


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    options = {"blocks": 2, "epochs": 2, "batch": 6, "select": "last", **options}
    return FineTuneClassifier(NAME, "random", cache=cache, device="cpu", **options).fit(data)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_optimiser_never_meets_what_is_frozen(
    optimizer: str, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.optim.Optimizer] = []
    make = Schedule.make_optimizer

    def kept(self: Schedule, *arguments: Any) -> torch.optim.Optimizer:
        made.append(make(self, *arguments))
        return made[-1]

    monkeypatch.setattr(Schedule, "make_optimizer", kept)
    model = tune(data, tmp_path, optimizer=optimizer, momentum=0.9, weight_decay=0.5, lr=0.01)
    (stepper,) = made
    module = model.network_.module
    above = {id(p) for n, p in module.named_parameters() if n.startswith(TRAINED)}
    assert all(group["weight_decay"] == 0.5 for group in stepper.param_groups)
    assert {id(p) for group in stepper.param_groups for p in group["params"]} == above
    assert {id(p) for p in stepper.state} == above
    assert all(stepper.state.values()), "momentum or Adam's means"
    start = create_network(NAME, "random", 3).module.state_dict()
    for name, parameter in module.named_parameters():
        assert parameter.requires_grad == name.startswith(TRAINED), name
        assert (parameter.grad is not None) == name.startswith(TRAINED), name
    for name, tensor in module.state_dict().items():
        same = tensor.numpy().tobytes() == start[name].numpy().tobytes()
        assert same != name.startswith(TRAINED), name  # decay alone moves every trained weight


def test_frozen_batch_norm_is_in_eval_mode_while_the_rest_trains(
    data: Dataset, tmp_path: Path
) -> None:
    model = FineTuneClassifier(NAME, "random", 2, epochs=2, batch=6, select="last", device="cpu")
    seen: dict[str, bool] = {}

    def look(row: Mapping[str, Any]) -> None:  # after the first epoch; there is no validation
        if row["epoch"] > 1:
            return
        seen.update({name: part.training for name, part in model.network_.module.named_modules()})

    model.set_params(cache=tmp_path, listeners=[look]).fit(data)
    norms = {
        name: module
        for name, module in model.network_.module.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    }
    for name, norm in norms.items():
        assert seen[name] == name.startswith(TRAINED), name
        assert (norm.num_batches_tracked > 0) == name.startswith(TRAINED), name


def test_with_all_blocks_all_batch_norm_trains(data: Dataset, tmp_path: Path) -> None:
    model = tune(data, tmp_path, blocks="all", epochs=1)
    state = model.network_.module.state_dict()
    counts = [value for name, value in state.items() if name.endswith("num_batches_tracked")]
    assert counts
    assert all(value == 2 for value in counts)

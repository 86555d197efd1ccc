"""On a CPU two runs with one seed are the same to the byte: weights, history, predictions."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from featbench.datasets import Dataset, load_dataset
from featbench.extraction import extract
from featbench.finetune import FineTuneClassifier
from featbench.heads import create_head
from tests.conftest import make_photos


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("i") / "p", {"train": 12, "val": 4, "test": 4})


@pytest.fixture(scope="module")
def data(root: Path) -> Dataset:
    return load_dataset(root)


def everything(data: Dataset, cache: Path, **options: Any) -> dict[str, Any]:
    options = {"network": "lenet5", "weights": "random", "epochs": 3, "batch": 8, **options}
    model = FineTuneClassifier(cache=cache, device="cpu", **options).fit(data)
    state = model.network_.module.state_dict()
    found: dict[str, Any] = {name: tensor.numpy().tobytes() for name, tensor in state.items()}
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in model.history_]
    return found | {"history": rows, "test": model.predict_proba(data.test).tobytes()}


@pytest.mark.parametrize(
    "options",
    [
        {"blocks": 0},
        {"blocks": 1},
        {"blocks": "all"},
        {"blocks": "all", "dropout": 0.5},
        {"blocks": 1, "hidden": [16, 8], "dropout": 0.2},
        {"blocks": "all", "amp": True},
        {"network": "mlp-sigmoid", "blocks": "all", "loss": "mse", "optimizer": "sgd", "lr": 0.1},
        {"network": "mobilenet_v3_small", "blocks": 2, "class_weight": {"moss": 2.0}},
    ],
    ids=str,
)
def test_two_runs_are_the_same_to_the_byte(
    options: dict[str, Any], data: Dataset, tmp_path: Path
) -> None:
    first = everything(data, tmp_path, **options)
    assert everything(data, tmp_path, **options) == first
    assert everything(data, tmp_path, seed=1, **options)["test"] != first["test"]


def test_two_runs_from_a_warm_start_are_the_same_to_the_byte(data: Dataset, tmp_path: Path) -> None:
    found = extract(data, "lenet5", cache=tmp_path)
    heads = [create_head("logreg").fit(found.train.X, found.train.y) for _ in range(2)]
    first, again = (everything(data, tmp_path, warm_start=head, lr=0.01) for head in heads)
    assert first == again


def test_two_processes_are_the_same_to_the_byte(root: Path, tmp_path: Path) -> None:
    script = (
        "import hashlib, sys; from pathlib import Path;"
        "from featbench.datasets import load_dataset;"
        "from tests.finetune.test_identical_runs import everything;"
        "found = everything(load_dataset(sys.argv[1]), Path('cache'), blocks=1, dropout=0.3);"
        "print(hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest())"
    )
    here = Path(__file__).parents[2]
    said = [
        subprocess.run(
            [sys.executable, "-c", script, str(root)], cwd=tmp_path, check=True, text=True,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(here), "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1] != ""

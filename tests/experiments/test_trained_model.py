"""A trained network's model says of an image, in another process, what its run said of it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import featbench
from featbench.datasets import GIVEN, given_images
from featbench.errors import FeatbenchError, UsageError
from featbench.experiments import (
    Result,
    Run,
    Session,
    TrainedModel,
    find_model,
    find_weights,
    load_model,
)
from featbench.networks import create_network
from tests.conftest import make_photos
from tests.experiments.test_model import ASK
from tests.experiments.test_session import head_run, session

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "hidden": {"hidden": [16, 8], "dropout": 0.3},
    "dropout": {"dropout": 0.3},
    "mse": {"loss": "mse"},
    "sgd": {"optimizer": "sgd", "lr": 0.1},
}


def tuned_run(photos: Path, network: str = "lenet5", **fields: Any) -> Run:
    settings = {"epochs": 2, "batch": 8, **fields.pop("settings", {})}
    return Run(str(photos), network, **{"blocks": "all", "settings": settings, **fields})


def model_of(result: Result, here: Session) -> TrainedModel:
    model = find_model(result.run_id, here.store)
    assert isinstance(model, TrainedModel)
    return model


def test_every_kind_says_what_its_run_said_in_a_fresh_process(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    results = [here.run(tuned_run(photos, settings=kind)) for kind in KINDS.values()]
    results.append(here.run(tuned_run(photos, "lenet5:batch_norm=true")))
    results.append(here.run(tuned_run(photos, "mobilenet_v3_small", weights="random")))
    above = [here.run(tuned_run(photos, blocks=blocks)) for blocks in (0, 1)]
    path = {**os.environ, "PYTHONPATH": str(Path(featbench.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False,
                          cwd=tmp_path, env=path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for result in results + above:
        answers = said[result.run_id]
        table = pd.read_csv(tmp_path / "results" / result.run_id / "predictions.csv")
        place = {name: i for i, name in enumerate(answers["ids"])}
        rows = [place[f"photos/{name}"] for name in table["id"]]
        assert [answers["labels"][row] for row in rows] == table["predicted"].tolist()
        # values at a cut were kept in half precision when the run was measured
        most = 2e-6 if result in results else 1e-3
        np.testing.assert_allclose(np.array(answers["confidence"])[rows], table["confidence"],
                                   atol=most)  # fmt: skip


def test_two_classes_by_one_sigmoid(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "p", {"train": 8, "test": 4})
    for folder in root.glob("*/sky"):
        shutil.rmtree(folder)
    here = session(tmp_path)
    for loss in ("cross-entropy", "mse"):
        result = here.run(tuned_run(root, settings={"binary": "sigmoid", "loss": loss}))
        model = model_of(result, here)
        answers = model.predict(given_images([root / "test"]), model.create_network())
        table = pd.read_csv(tmp_path / "results" / result.run_id / "predictions.csv")
        assert answers.probabilities is not None
        np.testing.assert_allclose(answers.probabilities.max(1), table["confidence"], atol=2e-6)


def test_the_preprocessing_is_the_models_own(photos: Path, tmp_path: Path) -> None:
    """That of the weights that it began with, whatever a network of this name has by itself."""
    file = tmp_path / "own.safetensors"
    save_file(create_network("mobilenet_v3_small", "random").module.state_dict(), file)
    here = session(tmp_path)
    result = here.run(tuned_run(photos, "mobilenet_v3_small", weights=str(file), blocks=0))
    file.unlink()
    model = model_of(result, here)
    network = model.create_network()
    assert network.preprocessing == create_network("mobilenet_v3_small", "random").preprocessing
    assert network.weights == f"run:{result.run_id}"
    assert model.summary()["weights"] == "own.safetensors"


def test_a_model_that_cannot_be_saved_costs_no_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featbench.experiments._trained_model._MOST_BYTES", 1000)
    here = session(tmp_path)
    result = here.run(tuned_run(photos))
    assert here.store.find(result.run_id) == result
    with pytest.raises(UsageError, match=r"holds no model.*--again"):
        find_model(result.run_id, here.store)


class TestARunAsABackbone:
    def test_its_weights_are_frozen_and_named_by_what_they_are(
        self, photos: Path, tmp_path: Path
    ) -> None:
        here = session(tmp_path)
        tuned = here.run(tuned_run(photos, settings={"hidden": [8]}))
        head = here.run(head_run(photos, weights=f"run:{tuned.run_id[:6]}"))
        assert head.weights == f"run:{tuned.run_id}"
        plain = here.run(head_run(photos))
        assert head.run_id != plain.run_id
        assert (head.rows_computed, plain.rows_computed) == (48, 48)
        tensors = load_file(here.store.folder / tuned.run_id / "model" / "network.safetensors")
        network = here.network(head_run(photos, weights=f"run:{tuned.run_id}"))
        for name, tensor in network.module.state_dict().items():
            if not name.startswith("fc3."):
                assert torch.equal(tensor, tensors[name])
        spaces = [json.loads(p.read_bytes()) for p in (tmp_path / "cache").glob("*/space.json")]
        assert network.sha256 in json.dumps(spaces)
        assert here.run(head_run(photos, weights=f"run:{tuned.run_id}")) == head

    def test_the_heads_model_finds_it_again(self, photos: Path, tmp_path: Path) -> None:
        here = session(tmp_path)
        tuned = here.run(tuned_run(photos))
        head = here.run(head_run(photos, weights=f"run:{tuned.run_id}"))
        model = find_model(head.run_id, here.store)
        answers = model.predict(
            given_images([photos / "test"]), model.create_network(), cache=tmp_path / "cache"
        )
        table = pd.read_csv(tmp_path / "results" / head.run_id / "predictions.csv")
        assert [model.classes[c] for c in answers.predicted] == table["predicted"].tolist()
        shutil.rmtree(here.store.folder / tuned.run_id)
        with pytest.raises(UsageError, match=f"no run with an id that begins with '{tuned.run_id}"):
            model.create_network()

    def test_it_is_trained_on_above_a_cut(self, photos: Path, tmp_path: Path) -> None:
        here = session(tmp_path)
        tuned = here.run(tuned_run(photos))
        again = here.run(tuned_run(photos, blocks=1, weights=f"run:{tuned.run_id}"))
        first, second = (
            load_file(here.store.folder / r.run_id / "model" / "network.safetensors")
            for r in (tuned, again)
        )
        same = {name for name in first if torch.equal(first[name], second[name])}
        assert same == {n for n in first if n.startswith(("conv", "fc1"))}

    def test_what_does_not_go_is_refused(self, photos: Path, tmp_path: Path) -> None:
        here = session(tmp_path)
        tuned = here.run(tuned_run(photos))
        head = here.run(head_run(photos))
        for weights, network, expected in (
            (f"run:{tuned.run_id}", "cnn", "are of lenet5, not of cnn; use --backbone lenet5"),
            (f"run:{tuned.run_id}", "lenet5:batch_norm=true", "does not fit the network"),
            (f"run:{head.run_id}", "lenet5", "trained no network; its weights are --weights rand"),
            ("run:zzz", "lenet5", "no run with an id that begins with 'zzz'"),
        ):
            with pytest.raises(UsageError, match=expected):
                here.run(head_run(photos, weights=weights, network=network))
        with pytest.raises(UsageError, match="find_weights"):
            create_network("lenet5", f"run:{tuned.run_id}")
        weights = find_weights(f"run:{tuned.run_id}", here.store)
        assert create_network("lenet5:dropout=0.5", weights).weights == f"run:{tuned.run_id}"
        moved = here.store.folder / tuned.run_id
        other = here.run(tuned_run(photos, seed=1))
        shutil.rmtree(moved / "model")
        shutil.copytree(here.store.folder / other.run_id / "model", moved / "model")
        with pytest.raises(UsageError, match="holds another run's model"):
            find_weights(f"run:{tuned.run_id}", here.store)


def test_a_loaded_model_is_of_its_kind(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    result = here.run(tuned_run(photos))
    model = load_model(here.store.folder / result.run_id / "model")
    assert model.title == f"{result.run_id[:6]} fine-tune"
    assert model.summary()["method"] == "fine-tune"
    assert model.summary()["head"] is None


def test_one_body_with_two_normalisations_has_two_rows(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    ways = [{"normalise": how} for how in ("weights", "data")]  # of frozen bodies alike
    ids = [here.run(tuned_run(photos, blocks=0, settings=way)).run_id for way in ways]
    heads = [head_run(photos, network="lenet5", weights=f"run:{name}") for name in ids]
    both = [result.test_log_loss for result in here.run_all(heads)]
    alone = session(tmp_path).run(heads[1], again=True)
    assert both[1] == alone.test_log_loss != both[0]


def test_answers_are_never_another_images(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    model = model_of(here.run(tuned_run(photos)), here)
    first = photos / "test" / "sky" / "sky_000.jpg"
    twin = first.with_name("twin.jpg")
    twin.write_bytes(first.read_bytes())
    images = given_images([first.parent])
    assert len(set(images.splits[GIVEN].digests)) < len(images.splits[GIVEN])
    first.unlink()
    with pytest.raises(FeatbenchError, match=r"sky_000\.jpg can no longer be read"):
        model.predict(images, model.create_network())

"""Models made by somebody who means harm, from the folder up to the command line."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featbench.datasets import given_images
from featbench.errors import UsageError
from featbench.experiments import Answers, load_model
from featbench.heads import FileNote
from featbench.untrusted import sealed
from tests.conftest import Said
from tests.experiments.test_session import head_run, session
from tests.heads.forged import Payload, describe, put_arrays

Command = Callable[..., Said]
Attack = Callable[[Path], Any]


def says(**changes: Any) -> Attack:
    return lambda folder: describe(folder, "model.json", **changes)


def network(**changes: Any) -> Attack:
    return says(**{f"network__{name}": value for name, value in changes.items()})


def raw(content: bytes) -> Attack:
    return lambda folder: (folder / "model.json").write_bytes(content)


def another_head(folder: Path) -> None:
    """Change head.json alone: model.json describes the genuine one."""
    describe(folder, settings__C=99.0)


ATTACKS: dict[str, tuple[Attack, str]] = {
    "a network that is a path": (network(name="../../evil"), "network.name"),
    "a network out of timm's names": (network(name="timm/../evil"), "not named by plain names"),
    "a network with underscores": (network(name="__import__"), "network.name"),
    "a network that is an address": (network(name="https://evil.example/x"), "network.name"),
    "a network nobody knows": (network(name="evil"), "unknown network"),
    "a network of a hub": (network(name="timm/hf-hub.evil/model"), "timm has no such model"),
    "a network that is a list": (network(name=["lenet5"]), "network.name"),
    "a network that fills the memory": (network(name="fcnet:hidden=60000,60000"), "at most"),
    "a network with an option nobody knows": (network(name="lenet5:evil=1"), "no option 'evil'"),
    "a network with an option that is a path": (network(name="lenet5:a=../../x"), "network.name"),
    "weights that are a pickle": (network(weights="evil.pth"), "is a path"),
    "weights in another folder": (network(weights="../../evil.safetensors"), "is a path"),
    "weights from the root": (network(weights="/dev/zero"), "is a path"),
    "weights that are an address": (network(weights="https://evil.example/x"), "is a path"),
    "weights of a drive": (network(weights="C:evil"), "is a path"),
    "weights of a share": (network(weights="\\\\evil\\x"), "is a path"),
    "weights with control characters": (network(weights="\x1b[2J"), "plain names"),
    "weights nobody knows": (network(weights="IMAGENET1K_V9"), "no pretrained weights"),
    "weights said to be a file's": (network(from_file=True), "give it with --weights FILE"),
    "weights of another sum": (network(spec__weights_sha256="0" * 64), "not those it was fitted"),
    "a sum with control characters": (network(spec__weights_sha256="\x1b[2J"), "not those it was"),
    "another network's rows": (network(spec__network="resnet50"), "network was resnet50"),
    "a layer nobody knows": (network(spec__layer="evil\x1b[2J"), "has no layer"),
    "a layer of another width": (network(spec__layer="conv1"), "expects rows of 84"),
    "a layer that is a list": (network(spec__layer=[]), "layer is missing or no text"),
    "a precision nobody knows": (network(spec__precision="float1"), "precision is 'float1'"),
    "a pooling nobody knows": (network(spec__pooling="evil"), "pooling is 'evil'"),
    "augmented views": (network(spec__view="flip:0.5"), "view is 'flip:0.5'"),
    "another preprocessing": (network(spec__preprocessing={}), "preprocessing was {}"),
    "a decoder that is a number": (network(spec__decoder=1), "decoder is missing or no text"),
    "no spec": (network(spec={}), "is missing or no text"),
    "a seed beyond all": (network(seed=2**64), "beyond 64 bits"),
    "a seed that is text": (network(seed="0"), "network.seed"),
    "no network": (says(network=None), "fitted on a file of features"),
    "a network that is text": (says(network="lenet5"), "network: "),
    "a class that clears the screen": (says(classes=["a", "\x1b[2J", "c"]), "control characters"),
    "a class that turns the line": (says(classes=["a", "\u202e", "c"]), "control characters"),
    "a class of a new line": (says(classes=["a", "b\nc", "c"]), "control characters"),
    "a class twice": (says(classes=["a", "a", "c"]), "there twice"),
    "a class too few": (says(classes=["a", "b"]), "do not go with the head's labels"),
    "a class that is no text": (says(classes=["a", 1, "c"]), "classes.1"),
    "a class too long": (says(classes=["a", "b" * 9999, "c"]), "too long"),
    "a run that clears the screen": (says(run="\x1b[2J"), "control characters"),
    "a run too long": (says(run="r" * 99), "run: "),
    "a head of another model": (another_head, "head.json: is damaged or another file"),
    "a key nobody knows": (says(evil=1), "evil"),
    "a format of the future": (says(format=99), "later featbench"),
    "a description nested too deep": (raw(b"[" * 100_000), "nested too deep"),
    "a pickle": (raw(pickle.dumps(0)), "not the JSON expected"),
    "a file beside": (lambda f: (f / "setup.py").write_text("x"), "is no part of it"),
    "no head": (lambda f: (f / "head.json").unlink(), "head.json: is missing"),
}


def predict(folder: Path, images: Path, cache: Path) -> Answers:
    model = load_model(folder)
    return model.predict(given_images([images]), model.create_network(), cache=cache)


@pytest.fixture(scope="module")
def genuine(photo_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genuine")
    result = session(folder).run(head_run(photo_source, head="svm-linear"))
    return folder / "results" / result.run_id / "model"


@pytest.mark.parametrize("case", ATTACKS)
def test_is_refused_with_a_reason(
    case: str, genuine: Path, photos: Path, featbench: Command, tmp_path: Path
) -> None:
    work, reason = ATTACKS[case]
    folder = tmp_path / "theirs"
    shutil.copytree(genuine, folder)
    work(folder)
    with pytest.raises(UsageError, match=reason) as refused:
        predict(folder, photos, tmp_path / "cache")
    assert str(folder) in str(refused.value)
    said = featbench("predict", folder, photos)
    assert said.code == 2
    assert said.out == ""
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err


def test_a_pickle_given_as_weights_is_not_run(
    genuine: Path, photos: Path, featbench: Command, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    torch.save({"conv1.weight": Payload(canary)}, tmp_path / "evil.pth")
    folder = tmp_path / "theirs"
    shutil.copytree(genuine, folder)
    describe(folder, "model.json", network__from_file=True)
    said = featbench("predict", folder, photos, "--weights", "evil.pth")
    assert said.code == 2
    assert "cannot be read as plain tensors" in said.err
    assert not canary.exists()


def test_names_in_a_zip_and_of_images_cannot_act_on_the_terminal(
    genuine: Path, photos: Path, featbench: Command, tmp_path: Path
) -> None:
    name = "a\x1b]0;evil\x07\u202e.jpg"
    shutil.copy(photos / "test" / "sky" / "sky_000.jpg", tmp_path / name)
    (tmp_path / f"b{name}").write_bytes(b"no image")
    said = featbench("predict", genuine, name, f"b{name}")
    assert said.code == 3
    assert "a\\x1b]0;evil\\x07\\u202e.jpg: " in said.out
    assert "skipped ba\\x1b]0;evil\\x07\\u202e.jpg: not an image" in said.err
    assert not {"\x1b", "\x07", "\u202e"} & set(said.out + said.err)


def test_a_whole_forged_model_is_no_worse_than_its_labels(
    genuine: Path, photos: Path, tmp_path: Path
) -> None:
    """A forgery that is valid in every value is a classifier, and gives labels of its own."""
    folder = tmp_path / "theirs"
    shutil.copytree(genuine, folder)
    put_arrays(folder, core_intercept=np.full(3, 5.0))
    described = json.loads((folder / "model.json").read_bytes())
    del described["sha256"]
    described["head"] = FileNote.of((folder / "head.json").read_bytes()).model_dump()
    (folder / "model.json").write_bytes(sealed(described))
    answers = predict(folder, photos, tmp_path / "cache")
    assert set(answers.predicted.tolist()) <= {0, 1, 2}

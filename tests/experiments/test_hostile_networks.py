"""Trained networks made by somebody who means harm: each is refused with a reason, or harmless."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from featbench.datasets import given_images
from featbench.errors import UsageError
from featbench.experiments import load_model
from featbench.heads import FileNote
from featbench.networks import check_values
from featbench.untrusted import sealed
from tests.conftest import Said
from tests.experiments.test_session import session
from tests.experiments.test_trained_model import tuned_run
from tests.heads.forged import Payload, describe, safetensors

Command = Callable[..., Said]
Attack = Callable[[Path], Any]
FILE = "network.safetensors"


def says(**changes: Any) -> Attack:
    return lambda folder: describe(folder, "model.json", **changes)


def trained(**changes: Any) -> Attack:
    return says(**{f"trained__{name}": value for name, value in changes.items()})


def steps(**changes: Any) -> Attack:
    return trained(**{f"preprocessing__{name}": value for name, value in changes.items()})


def put(folder: Path, content: bytes) -> None:
    """Write the file of tensors, and make ``model.json`` describe it."""
    (folder / FILE).write_bytes(content)
    describe(folder, "model.json", trained__file=FileNote.of(content).model_dump())


def tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Attack:
    def work(folder: Path) -> None:
        found = load((folder / FILE).read_bytes())
        change(found)
        put(folder, save(found))

    return work


def tensor(name: str, value: Callable[[torch.Tensor], torch.Tensor]) -> Attack:
    return tensors(lambda found: found.update({name: value(found[name]).contiguous()}))


def header(change: Callable[[dict[str, Any]], Any]) -> Attack:
    """Change what the header says, and leave the data as they are."""

    def work(folder: Path) -> None:
        content = (folder / FILE).read_bytes()
        length = int.from_bytes(content[:8], "little")
        said = json.loads(content[8 : 8 + length])
        change(said)
        put(folder, safetensors(said, content[8 + length :]))

    return work


def entry(name: str, **changes: Any) -> Attack:
    return header(lambda said: said[name].update(changes))


def twice(folder: Path) -> None:
    content = (folder / FILE).read_bytes()
    length = int.from_bytes(content[:8], "little")
    text = content[8 : 8 + length].rstrip()
    more = b',"fc3.bias":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'
    put(folder, safetensors(text[:-1] + more, content[8 + length :]))


def with_a_head(folder: Path) -> None:
    (folder / "head.json").write_text("{}")
    describe(folder, "model.json", head=FileNote.of(b"{}").model_dump())


def without_either(folder: Path) -> None:
    described = json.loads((folder / "model.json").read_bytes())
    del described["sha256"], described["trained"]
    (folder / "model.json").write_bytes(sealed(described))


def beyond_its_size(folder: Path) -> None:
    with (folder / FILE).open("ab") as file:
        file.truncate(2**40)


def as_it_says(size: int) -> Attack:
    return trained(file={"sha256": "0" * 64, "size": size})


def a_link(folder: Path) -> None:
    (folder / FILE).rename(folder.parent / "elsewhere")
    (folder / FILE).symlink_to(folder.parent / "elsewhere")


def a_pipe(folder: Path) -> None:
    (folder / FILE).unlink()
    os.mkfifo(folder / FILE)


NAN = float("nan")
ATTACKS: dict[str, tuple[Attack, str]] = {
    "a network that is a path": (trained(name="../../evil"), "trained.name"),
    "a network out of timm's names": (trained(name="timm/../evil"), "not named by plain names"),
    "a network with underscores": (trained(name="__import__"), "trained.name"),
    "a network that is an address": (trained(name="https://evil.example/x"), "trained.name"),
    "a network of a hub": (trained(name="timm/hf-hub.evil/model"), "timm has no such model"),
    "a network nobody knows": (trained(name="evil"), "unknown network"),
    "a network that is a list": (trained(name=["lenet5"]), "trained.name"),
    "another network": (trained(name="logistic"), "bytes are more than logistic has"),
    "another network of the size": (trained(name="lenet5:batch_norm=true"), "is missing"),
    "a network that fills the memory": (trained(name="fcnet:hidden=60000,60000"), "at most"),
    "a network with an option nobody knows": (trained(name="lenet5:evil=1"), "no option 'evil'"),
    "a network with an option that is a path": (trained(name="lenet5:a=../../x"), "trained.name"),
    "hidden layers that fill the memory": (trained(hidden=[2**20] * 16), "larger than its file"),
    "hidden layers beyond count": (trained(hidden=[8] * 99), "trained.hidden"),
    "a hidden layer below zero": (trained(hidden=[-1]), "trained.hidden"),
    "hidden layers that are not there": (trained(hidden=[8]), "tensor 'fc3.0.bias' is missing"),
    "hidden layers that are text": (trained(hidden="8"), "trained.hidden"),
    "outputs that fill the memory": (trained(outputs=10**9), "trained.outputs"),
    "another number of outputs": (trained(outputs=7), "do not go with 7 outputs"),
    "a single output": (trained(outputs=1), "do not go with 1 outputs"),
    "a loss nobody knows": (trained(loss="evil"), "trained.loss"),
    "dropout of all": (trained(dropout=1.0), "trained.dropout"),
    "dropout that is not there": (trained(dropout=0.5), "is missing"),
    "weights that clear the screen": (trained(weights="\x1b[2J"), "plain names"),
    "a cut that clears the screen": (trained(cut="\x1b[2J"), "plain names"),
    "a decoder that clears the screen": (trained(decoder="\x1b[2J"), "plain names"),
    "a picture that fills the memory": (steps(resize=10**9), "preprocessing.resize"),
    "a picture of no size": (steps(resize=[0, 0]), "preprocessing.resize"),
    "a crop that fills the memory": (steps(crop=[10**6, 10**6]), "preprocessing.crop"),
    "a picture of another size": (steps(resize=[64, 64], crop=None), "cannot predict"),
    "a crop of three sides": (steps(crop=[8, 8, 8]), "preprocessing.crop"),
    "another number of channels": (
        steps(mean=[0.5] * 3, std=[0.5] * 3), "cannot predict"),
    "two channels": (steps(mean=[0.5] * 2, std=[0.5] * 2), "mean and std need 1 or 3"),
    "a std of zero": (steps(std=[0.0]), "preprocessing.std"),
    "a mean that is text": (steps(mean=["x"]), "preprocessing.mean"),
    "an interpolation nobody knows": (steps(interpolation="evil"), "interpolation 'evil'"),
    "a step nobody knows": (steps(evil=1), "evil"),
    "no preprocessing": (trained(preprocessing={}), "preprocessing"),
    "a key nobody knows": (trained(evil=1), "evil"),
    "a head beside": (with_a_head, "describes not one model"),
    "no model": (without_either, "describes not one model"),
    "a trained network that is text": (says(trained="lenet5"), "trained"),
    "a class too few": (says(classes=["a", "b"]), "do not go with 3 outputs"),
    "a class twice": (says(classes=["a", "a", "c"]), "there twice"),
    "a class that clears the screen": (says(classes=["a", "\x1b[2J", "c"]), "control characters"),
    "a format of the future": (says(format=99), "later featbench"),
    "another hash": (trained(file__sha256="0" * 64), "is damaged or another file"),
    "a hash that is a path": (trained(file__sha256="../../x"), "file.sha256"),
    "another size": (trained(file__size=1), "has .* bytes; no such file has more than 1"),
    "a size below zero": (trained(file__size=-1), "file.size"),
    "a size that fills the memory": (as_it_says(2**40), "bytes are more than lenet5 has"),
    "a file beyond its size": (beyond_its_size, "no such file has more than"),
    "a missing tensor": (tensors(lambda t: t.pop("fc1.bias")), "tensor 'fc1.bias' is missing"),
    "no tensors": (tensors(lambda t: t.clear()), "is missing"),
    "an extra tensor": (tensors(lambda t: t.update(evil=torch.zeros(1))), "'evil' is not known"),
    "a tensor that is a path": (
        tensors(lambda t: t.update({"../../evil": torch.zeros(1)})), "is not known"),
    "a tensor named as python names things": (
        tensors(lambda t: t.update({"__class__": torch.zeros(1)})), "'__class__' is not known"),
    "a tensor that clears the screen": (
        tensors(lambda t: t.update({"\x1b[2J": torch.zeros(1)})), "is not known"),
    "a tensor under another name": (
        tensors(lambda t: t.update({"fc9.bias": t.pop("fc1.bias")})), "'fc1.bias' is missing"),
    "a tensor of another shape": (
        tensor("fc1.weight", lambda t: t.T), r"is torch.float32 \(400, 120\), expected"),
    "a tensor of no shape": (tensor("fc1.bias", lambda t: t[0].clone()), r"\(\), expected"),
    "a wider tensor": (tensor("fc3.bias", lambda t: torch.zeros(9)), r"\(9,\), expected"),
    "a tensor of doubles": (
        tensor("conv1.bias", lambda t: t.double()), "is torch.float64"),
    "a tensor of halves": (tensor("fc1.bias", lambda t: t.half()), "is torch.float16"),
    "a tensor of whole numbers": (tensor("fc1.bias", lambda t: t.int()), "is torch.int32"),
    "a tensor that is no number": (tensor("fc1.bias", lambda t: t * NAN), "cannot have"),
    "one infinity": (
        tensor("fc1.weight", lambda t: t.index_fill(0, torch.tensor([3]), float("inf"))),
        "cannot have"),
    "numbers that overflow": (tensor("fc3.weight", lambda t: t * 0 + 3e38), "no probabilities"),
    "a huge declared tensor": (entry("fc1.bias", shape=[2**62]), "can hold"),
    "a tensor of huge sides": (entry("fc1.bias", shape=[2**31] * 16), "can hold"),
    "a tensor of many sides": (entry("fc1.bias", shape=[1] * 99), "can hold"),
    "a tensor of a side below zero": (entry("fc1.bias", shape=[-120]), "can hold"),
    "a tensor of a side that is true": (entry("fc1.bias", shape=[True]), "can hold"),
    "a tensor of a dtype nobody knows": (entry("fc1.bias", dtype="evil"), "can hold"),
    "data before the file": (entry("fc1.bias", data_offsets=[-480, 0]), "is no safetensors file"),
    "data behind the file": (
        entry("fc1.bias", data_offsets=[2**40, 2**40 + 480]), "is no safetensors file"),
    "data of another tensor": (
        header(lambda h: h["fc2.bias"].update(data_offsets=[0, 336])), "is no safetensors file"),
    "an entry that is a list": (header(lambda h: h.update({"fc1.bias": []})), "can hold"),
    "a tensor twice": (twice, "there twice"),
    "a header that is a list": (lambda f: put(f, safetensors([])), "no JSON object"),
    "a header too long": (
        lambda f: put(f, safetensors({}, length=2**60)), "its header is too long"),
    "a header nested too deep": (
        lambda f: put(f, safetensors(b"[" * 100_000)), "nested too deep|not the JSON"),
    "half a file": (
        lambda f: put(f, (f / FILE).read_bytes()[:5000]), "that such a file can hold"),
    "a file without its last byte": (
        lambda f: put(f, (f / FILE).read_bytes()[:-1]), "is no safetensors file"),
    "an empty file": (lambda f: put(f, b""), "is no safetensors file"),
    "a pickle": (lambda f: put(f, pickle.dumps(0)), "is no safetensors file"),
    "no tensors' file": (lambda f: (f / FILE).unlink(), "is missing"),
    "a link": (a_link, "is a link"),
    "a pipe": (a_pipe, "is not a regular file"),
    "a file beside": (lambda f: (f / "setup.py").write_text("x"), "is no part of it"),
}  # fmt: skip


@pytest.fixture(scope="module")
def genuine(photo_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genuine")
    result = session(folder).run(tuned_run(photo_source, settings={"epochs": 1}))
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
        load_model(folder).create_network()
    assert str(folder) in str(refused.value)
    said = featbench("predict", folder, photos)
    assert said.code == 2
    assert said.out == ""
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err


def test_a_pickle_in_the_place_of_tensors_is_not_run(
    genuine: Path, photos: Path, featbench: Command, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    folder = tmp_path / "theirs"
    shutil.copytree(genuine, folder)
    torch.save({"conv1.weight": Payload(canary)}, tmp_path / "evil")
    for content in ((tmp_path / "evil").read_bytes(), pickle.dumps(Payload(canary))):
        put(folder, content)
        assert featbench("predict", folder, photos).code == 2
    assert not canary.exists()


def test_an_unchanged_model_is_not_refused(genuine: Path, photos: Path) -> None:
    model = load_model(genuine)
    answers = model.predict(given_images([photos]), model.create_network())
    assert len(answers.ids) == 48


def test_a_whole_forged_model_is_no_worse_than_its_labels(
    genuine: Path, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    shutil.copytree(genuine, folder)
    tensor("fc3.bias", lambda t: torch.tensor([0.0, 50.0, 0.0]))(folder)
    model = load_model(folder)
    answers = model.predict(given_images([photos]), model.create_network())
    assert set(answers.predicted.tolist()) == {1}


def test_whole_numbers_are_the_networks_own() -> None:
    """They are places in a table, such as a window's relative positions."""
    own = {"index": torch.arange(4), "bn.num_batches_tracked": torch.tensor(0)}
    check_values({**own, "bn.num_batches_tracked": torch.tensor(7)}, own, "x")
    for name, value in (("index", torch.tensor([0, 1, 2, 2**40])),
                        ("bn.num_batches_tracked", torch.tensor(-1))):  # fmt: skip
        with pytest.raises(UsageError, match=f"x: tensor {name} holds values"):
            check_values({**own, name: value}, own, "x")

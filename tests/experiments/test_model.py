"""A run's model says of an image, in another process and folder, what the run said of it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file

import featbench
from featbench.datasets import GIVEN, given_images
from featbench.errors import FeatbenchError, UsageError
from featbench.experiments import Result, Run, Session, find_model, load_model
from featbench.experiments._model import SavedModel
from featbench.heads import HEADS, create_head
from featbench.networks import create_network
from tests.experiments.test_session import head_run, session

ASK = """
import json, sys
from pathlib import Path
from featbench.datasets import given_images
from featbench.experiments import load_model
said = {}
for folder in sorted(Path("results").glob("*/model")):
    model = load_model(folder)
    answers = model.predict(given_images(["photos"]), model.create_network(), cache="elsewhere")
    chances = answers.probabilities
    said[folder.parent.name] = {
        "ids": answers.ids, "labels": [model.classes[i] for i in answers.predicted],
        "confidence": None if chances is None else chances.max(1).tolist()}
print(json.dumps(said))
"""


def model_of(result: Result, tmp_path: Path) -> SavedModel:
    return load_model(tmp_path / "results" / result.run_id / "model")


def test_every_head_says_what_its_run_said_in_a_fresh_process(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    results = [here.run(head_run(photos, head=name)) for name in HEADS]
    path = {**os.environ, "PYTHONPATH": str(Path(featbench.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False,
                          cwd=tmp_path, env=path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for result in results:
        answers = said[result.run_id]
        table = pd.read_csv(tmp_path / "results" / result.run_id / "predictions.csv")
        place = {name: i for i, name in enumerate(answers["ids"])}
        rows = [place[f"photos/{name}"] for name in table["id"]]
        assert [answers["labels"][row] for row in rows] == table["predicted"].tolist()
        if answers["confidence"] is not None:
            got = np.array(answers["confidence"])[rows]
            np.testing.assert_allclose(got, table["confidence"], atol=2e-6)  # the table's digits
        else:
            assert table["confidence"].isna().all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_the_store_has_is_not_computed_again(
    precision: str, photos: Path, tmp_path: Path
) -> None:
    result = session(tmp_path).run(head_run(photos, precision=precision))
    model = model_of(result, tmp_path)
    before = sorted((tmp_path / "cache").glob("*/*.h5"))
    model.predict(given_images([photos]), model.create_network(), cache=tmp_path / "cache")
    assert sorted((tmp_path / "cache").glob("*/*.h5")) == before


def test_the_whole_way_is_in_the_folder(photos: Path, tmp_path: Path) -> None:
    result = session(tmp_path).run(head_run(photos, seed=3, head="svm-rbf"))
    shutil.rmtree(tmp_path / "cache")
    moved = shutil.move(tmp_path / "results" / result.run_id / "model", tmp_path / "theirs")
    assert {p.name for p in Path(moved).iterdir()} == {
        "model.json", "head.json", "head.safetensors"
    }  # fmt: skip
    described = json.loads((Path(moved) / "model.json").read_bytes())
    assert described["network"]["spec"]["preprocessing"]["crop"] == [32, 32]
    assert described["classes"] == ["moss", "rust", "sky"]
    assert str(tmp_path) not in (Path(moved) / "model.json").read_text()
    model = load_model(Path(moved))
    answers = model.predict(
        given_images([photos / "test"]), model.create_network(), cache=tmp_path / "cache"
    )
    labels = [model.classes[i] for i in answers.predicted]
    right = [name.split("/")[-2] == label for name, label in zip(answers.ids, labels, strict=True)]
    assert np.mean(right) == pytest.approx(result.test_accuracy)


def test_top_begins_with_the_label_and_falls(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    for head in ("logreg", "svm-poly"):
        model = model_of(here.run(head_run(photos, head=head)), tmp_path)
        answers = model.predict(
            given_images([photos]), model.create_network(), cache=tmp_path / "cache"
        )
        for i in range(len(answers.ids)):
            best = answers.top(i, 99)
            assert best[0][0] == answers.predicted[i]
            assert sorted(c for c, _ in best) == [0, 1, 2]
            chances = [p for _, p in best if p is not None]
            assert chances == sorted(chances, reverse=True)
            assert len(chances) == (3 if head == "logreg" else 0)
        assert len(answers.top(0, 2)) == 2


def test_weights_that_are_not_the_same_are_noticed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(session(tmp_path).run(head_run(photos)), tmp_path)
    monkeypatch.setattr(
        "featbench.experiments._model.create_network",
        lambda name, weights, seed: create_network(name, weights, seed=seed + 1),
    )
    with pytest.raises(UsageError, match="draws other random numbers"):
        model.create_network()


def test_weights_of_a_file_are_asked_for_and_compared(photos: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "own.safetensors", tmp_path / "other.safetensors"
    save_file(create_network("lenet5", seed=7).module.state_dict(), file)
    save_file(create_network("lenet5", seed=8).module.state_dict(), other)
    model = model_of(session(tmp_path).run(head_run(photos, weights=str(file))), tmp_path)
    with pytest.raises(UsageError, match=r"needs the weights file 'own.safetensors'.*--weights"):
        model.create_network()
    with pytest.raises(UsageError, match="give the file that the run was fitted with"):
        model.create_network(other)
    answers = model.predict(
        given_images([photos]), model.create_network(file), cache=tmp_path / "cache"
    )
    assert len(answers.ids) == 48


def test_broken_images_are_left_out_and_named(photos: Path, tmp_path: Path) -> None:
    model = model_of(session(tmp_path).run(head_run(photos)), tmp_path)
    (photos / "test" / "sky" / "bad.jpg").write_bytes(b"no image")
    answers = model.predict(
        given_images([photos / "test"]), model.create_network(), cache=tmp_path / "cache"
    )
    ((name, reason),) = answers.skipped
    assert name == f"{photos}/test/sky/bad.jpg"
    assert "not an image" in reason
    assert len(answers.ids) == len(answers.predicted) == 18


def test_runs_without_a_model_say_what_to_do(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    (failed,) = here.run_all([Run(str(photos), "lenet5", blocks="fc9")])
    with pytest.raises(UsageError, match="failed"):
        find_model(failed.run_id, here.store)
    old = here.run(head_run(photos))
    shutil.rmtree(tmp_path / "results" / old.run_id / "model")
    with pytest.raises(UsageError, match="do it again with --again"):
        find_model(old.run_id, here.store)
    here.run(head_run(photos), again=True)
    for name in (old.run_id[:5], str(here.store.folder / old.run_id),
                 str(here.store.folder / old.run_id / "model")):  # fmt: skip
        assert find_model(name, here.store).title == f"{old.run_id[:6]} logreg"


def test_a_head_that_cannot_be_saved_costs_no_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise UsageError("cannot be saved")

    monkeypatch.setattr("featbench.experiments._model.save_head", refuse)
    here = session(tmp_path)
    result = here.run(head_run(photos))
    assert here.store.find(result.run_id) == result
    with pytest.raises(UsageError, match="holds no model"):
        find_model(result.run_id, here.store)


def test_no_model_is_better_than_half_of_one(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = session(tmp_path)
    result = here.run(head_run(photos))
    monkeypatch.setattr(
        "featbench.experiments._model.write_whole", lambda *_: (_ for _ in ()).throw(OSError(28))
    )
    with pytest.raises(FeatbenchError, match="model: cannot be written"):
        here.run(head_run(photos), again=True)
    with pytest.raises(UsageError, match="holds no model"):
        find_model(result.run_id, here.store)


def test_given_images_are_what_a_person_would_see(photos: Path, tmp_path: Path) -> None:
    moss = photos / "test" / "moss"
    for clutter in (".DS_Store", "Thumbs.db", "notes.txt", ".hidden.jpg"):
        (moss / clutter).write_text("x")
    (photos / "__MACOSX").mkdir()
    (photos / "__MACOSX" / "x.jpg").write_text("x")
    os.mkfifo(photos / "pipe.jpg")
    assert len(given_images([photos]).splits[GIVEN]) == 48
    (photos / "pipe.jpg").unlink()
    archive = shutil.make_archive(str(tmp_path / "all"), "zip", photos)
    assert len(given_images([archive]).splits[GIVEN]) == 48
    odd = shutil.copy(moss / "moss_000.jpg", tmp_path / "odd")
    ids = given_images([odd, moss / "moss_001.jpg", odd, moss]).splits[GIVEN].ids
    assert ids[:2] == (str(odd), str(moss / "moss_001.jpg"))
    assert len(ids) == 1 + 6
    for nothing in ("nowhere.jpg", os.devnull):
        with pytest.raises(UsageError, match=f"{nothing}: no such image"):
            given_images([nothing])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty: holds no images"):
        given_images([tmp_path / "empty"])


def test_a_session_saves_what_a_head_of_today_needs(photos: Path, tmp_path: Path) -> None:
    here = Session(cache=tmp_path / "c", results=tmp_path / "r")
    result = here.run(head_run(photos, head="mlp", settings={"hidden": [5], "epochs": 2}))
    model = find_model(str(tmp_path / "r" / result.run_id), here.store)
    assert model.head.get_params()["hidden"] == (5,)
    assert model.summary()["network"] == "lenet5"
    assert type(model.head) is type(create_head("mlp"))

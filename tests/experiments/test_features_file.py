"""Embeddings from a file are fitted as if they had been extracted here; a bad file is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from featbench.datasets import load_dataset
from featbench.errors import UsageError
from featbench.experiments import FeatureTable, Run, Session, load_features
from featbench.extraction import Features, export, extract
from featbench.networks import create_network
from tests.conftest import Notes

ENDINGS = [".h5", ".npz", ".parquet"]
Columns = dict[str, Any]


def made(n: int = 40, d: int = 6, **changed: Any) -> Columns:
    """Return columns of a file: two classes that differ, alternating."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    columns: Columns = {
        "X": (rng.normal(size=(n, d)) + 3 * y[:, None]).astype(np.float32),
        "y": y,
        "split": ["train" if i < n * 0.6 else "test" for i in range(n)],
        "id": [f"item{i}" for i in range(n)],
        **changed,
    }
    return {name: values for name, values in columns.items() if values is not None}


def write(path: Path, columns: Columns, **about: Any) -> Path:
    """Write columns as a person would who has never heard of featbench."""
    if path.suffix == ".npz":
        np.savez(path, **columns, **about)
    elif path.suffix == ".parquet":
        table = pd.DataFrame({n: list(v) if np.ndim(v) > 1 else v for n, v in columns.items()})
        table.attrs.update(about)
        table.to_parquet(path)
    else:
        with h5py.File(path, "w") as file:
            file.attrs.update(about)
            for name, values in columns.items():
                file[name] = values
    return path


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Features:
    folder = tmp_path_factory.mktemp("digits")
    return extract(load_dataset("digits", limit=12), "lenet5", cache=folder / "cache")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("head", ["logreg", "svm-poly"])
def test_what_was_exported_gives_what_the_images_give(
    ending: str, head: str, digits: Features, tmp_path: Path
) -> None:
    export(digits, tmp_path / f"f{ending}")
    session = Session(cache=tmp_path / "cache", results=tmp_path / "results")
    there = session.run(Run("digits", "lenet5", head=head, limit=12))
    here = session.run(Run(features=str(tmp_path / f"f{ending}"), head=head))
    told = [f for f in type(here).model_fields if f.endswith(("accuracy", "_f1", "_loss", "_ece"))]
    assert [getattr(here, name) for name in told] == [getattr(there, name) for name in told]
    for name in ("network", "weights", "precision", "cut", "n_train", "n_test", "n_classes",
                 "parameters_trainable", "settings", "seed"):  # fmt: skip
        assert getattr(here, name) == getattr(there, name), name
    assert (here.dataset, here.parameters_total, here.rows_computed, here.engine) == (
        "f", None, 0, "",
    )  # fmt: skip
    tables = [(tmp_path / "results" / r.run_id / "predictions.csv").read_text()
              for r in (here, there)]  # fmt: skip
    assert tables[0] == tables[1]


def test_without_splits_a_file_is_divided_and_limited_as_its_images_are(
    digits: Features, tmp_path: Path
) -> None:
    parts = list(digits.splits.values())
    columns = {
        "X": np.concatenate([p.X for p in parts]),
        "y": np.concatenate([p.y for p in parts]),
        "id": [name for p in parts for name in p.ids],
    }
    path = write(tmp_path / "f.h5", columns, classes=json.dumps(digits.dataset.classes))
    for limit, seed in ((None, 0), (None, 7), (5, 1)):
        ours = load_features(path, limit=limit, split_seed=seed)
        images = load_dataset("digits", limit=limit or 12, split_seed=seed)
        for side in ("train", "test"):
            assert sorted(ours.splits[side].ids) == sorted(images.splits[side].ids)
    assert "about a fifth (" in ours.notices[1]
    assert "a class, by a hash of the id" in ours.notices[1]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_foreign_file_with_names_of_its_own(ending: str, tmp_path: Path) -> None:
    names = ["cat", "dog"]
    usual = made()
    columns = {
        "emb": usual["X"].astype(np.float16),
        "species": [names[i] for i in usual["y"]],
        "part": ["Training" if s == "train" else "valid" for s in usual["split"]],
        "key": np.arange(40) * 10,
        "unused": np.zeros(40),
    }
    path = write(tmp_path / f"foreign{ending}", columns)
    table = load_features(path, X="emb", y="species", split="part", id="key")
    assert isinstance(table, FeatureTable)
    assert (table.name, table.classes) == ("foreign", ("cat", "dog"))
    assert (table.network, table.weights, table.precision) == ("features", "unknown", "float32")
    assert table.rows.dtype == np.float32
    assert list(table.splits) == ["train", "test"]  # val is the test split where there is no other
    assert table.test.ids[:2] == ("240", "250")
    parts = table.parts()
    assert np.array_equal(parts["test"].X, columns["emb"][24:].astype(np.float32))
    assert parts["train"].y.tolist() == usual["y"][:24].tolist()
    assert "not read: unused" in table.notices[0]


@pytest.mark.parametrize("pattern", ["{0}_{1}", "{1}/{0}", "deep/{0}_{1}"])
def test_arrays_may_come_a_split(pattern: str, tmp_path: Path) -> None:
    usual, columns = made(), {}
    for side, rows in (("train", slice(0, 20)), ("valid", slice(20, 30)), ("test", slice(30, 40))):
        columns[pattern.format("X", side)] = usual["X"][rows]
        columns[pattern.format("y", side)] = usual["y"][rows]
    deep = "deep/" if pattern.startswith("deep") else ""
    path = write(tmp_path / "f.h5", columns)
    table = load_features(path, X=f"{deep}X", y=f"{deep}y")
    assert {side: len(split) for side, split in table.splits.items()} == {
        "train": 20, "val": 10, "test": 10,
    }  # fmt: skip
    assert np.array_equal(table.parts()["val"].X, usual["X"][20:30])
    assert table.test.ids[0] == "test/0"
    del columns[pattern.format("y", "test")]
    with pytest.raises(UsageError, match=r"has no '.*y.*'; did you mean"):
        load_features(write(tmp_path / "g.h5", columns), X=f"{deep}X", y=f"{deep}y")


def test_a_dataset_may_lie_deep_in_the_file(tmp_path: Path) -> None:
    usual = made()
    path = write(tmp_path / "f.hdf5", {"embeddings/all/X": usual["X"], "embeddings/y": usual["y"]})
    table = load_features(path, X="/embeddings/all/X", y="embeddings/y")
    assert len(table.train) + len(table.test) == 40
    assert sorted((*table.train.ids, *table.test.ids), key=int) == [str(i) for i in range(40)]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("float16", "float32"), ("float32", "float32"), ("float64", "float64"), (">f4", "float32"),
        ("uint8", "float32"), ("int64", "float32"), ("bool", "float32"),
    ],
)  # fmt: skip
def test_numbers_keep_their_value(stored: str, expected: str, tmp_path: Path) -> None:
    X = (made()["X"] * 9).round().clip(0, 200).astype(stored)
    table = load_features(write(tmp_path / "f.npz", made(X=X)))
    assert table.rows.dtype == expected
    assert np.array_equal(table.rows, X.astype(np.float64))


def test_whole_numbers_beyond_float32_are_kept_exactly(tmp_path: Path) -> None:
    X = made()["X"].astype(np.int64) + 2**24 + 1
    table = load_features(write(tmp_path / "f.h5", made(X=X)))
    assert table.rows.dtype == np.float64
    assert np.array_equal(table.rows, X)


def test_bfloat16_is_read(tmp_path: Path) -> None:
    exact = made()["X"].view(np.uint32) & 0xFFFF0000
    cut = (exact >> 16).astype(np.uint16).view("V2")
    table = load_features(write(tmp_path / "f.npz", made(X=cut)))
    assert np.array_equal(table.rows, exact.view(np.float32))


def test_bfloat16_of_hdf5_is_read(tmp_path: Path) -> None:
    exact = (made()["X"].view(np.uint32) & 0xFFFF0000).view(np.float32)
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)
    path = write(tmp_path / "f.h5", made(X=None))
    with h5py.File(path, "a") as file:
        space = h5py.h5s.create_simple(exact.shape)
        data = h5py.h5d.create(file.id, b"X", kind, space)
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, exact)
    table = load_features(path)
    assert table.rows.dtype == np.float32
    assert np.array_equal(table.rows, exact)


def test_labels_as_numbers_text_or_named_numbers(tmp_path: Path) -> None:
    y = made()["y"]
    by_number = load_features(write(tmp_path / "a.h5", made(y=y * 90 + 9)))
    assert by_number.classes == ("9", "99")  # as numbers, not as text
    assert by_number.train.labels[:2].tolist() == [0, 1]
    assert load_features(write(tmp_path / "b.npz", made(y=y.astype(float)))).classes == ("0", "1")
    assert load_features(write(tmp_path / "c.npz", made(y=y == 1))).classes == ("False", "True")
    column = load_features(write(tmp_path / "d.npz", made(y=y[:, None])))
    assert column.train.labels[:2].tolist() == [0, 1]
    text = np.array(["zebra", "ant"])[y]
    for ending in (".h5", ".npz"):
        listed = write(tmp_path / f"e{ending}", made(classes=["zebra", "ant"], y=text.tolist()))
        assert load_features(listed).classes == ("zebra", "ant")
        named = write(tmp_path / f"f{ending}", made(classes=["zebra", "ant"]))
        assert load_features(named).classes == ("zebra", "ant")
        bare = write(tmp_path / f"g{ending}", made(y=text.astype("S").tolist()))
        assert load_features(bare).classes == ("ant", "zebra")


def test_the_fingerprint_is_over_id_content_label_and_split(tmp_path: Path) -> None:
    usual = made()
    first = load_features(write(tmp_path / "a.h5", usual))
    order = np.random.default_rng(1).permutation(40)
    shuffled = {n: np.array(v)[order].tolist() if isinstance(v, list) else v[order]
                for n, v in usual.items()}  # fmt: skip
    again = load_features(write(tmp_path / "b.npz", shuffled))
    assert first.fingerprint == again.fingerprint
    X, y, split, ids = usual["X"].copy(), usual["y"].copy(), usual["split"][:], usual["id"][:]
    X[3, 3] += 1
    y[3] = 0
    split[3] = "test"
    ids[3] = "other"
    for i, changed in enumerate(({"X": X}, {"y": y}, {"split": split}, {"id": ids})):
        other = load_features(write(tmp_path / f"{i}.h5", made(**changed)))
        assert other.fingerprint != first.fingerprint, changed.keys()


def test_rows_on_both_sides_are_said(tmp_path: Path) -> None:
    X = made()["X"].copy()
    X[39] = X[1]
    kept = Notes()
    path = write(tmp_path / "f.h5", made(X=X))
    Session(results=tmp_path / "r", reporter=kept).run(Run(features=str(path), head="logreg"))
    assert any("train and test share 1 rows" in line for line in kept.lines)


WRONG: list[tuple[Columns, dict[str, Any], str]] = [
    ({"X": None, "Xs": np.zeros((40, 2))}, {}, "has no 'X'; did you mean 'Xs'.*--features-x"),
    ({"y": None}, {}, "has no 'y'.* There is .*X.*--features-y"),
    ({}, {"split": "sides"}, "has no 'sides'.*--features-split"),
    ({}, {"id": "name"}, "has no 'name'.*--features-id"),
    ({"X": np.zeros((40, 3, 4, 4))}, {}, r"\(40, 3, 4, 4\).*--pool avg"),
    ({"X": np.zeros(40)}, {}, r"\(40,\); expected rows"),
    ({"X": np.zeros((40, 0))}, {}, r"\(40, 0\); expected rows"),
    ({"X": np.zeros((40, 2), complex)}, {}, "complex128"),
    ({"X": np.full((40, 2), "a", "S1")}, {}, "not numbers"),
    ({"X": np.zeros((39, 2))}, {}, r"y has shape \(40,\) and X \(39, 2\)"),
    ({"y": np.eye(40)}, {}, "one value a row"),
    ({"y": np.zeros(40)}, {}, "one class"),
    ({"y": np.arange(40) * 0.5}, {}, "whole numbers or text"),
    ({"y": np.append(np.arange(39.0), np.nan)}, {}, "no label in row 39"),
    ({"y": ["a", "", *["b"] * 38]}, {}, "no label in row 1"),
    ({"y": [0] * 24 + [1] * 16}, {}, "to train on are of one class"),
    ({"classes": ["a"]}, {}, "y is 1 in row 1, and classes names 0 to 0"),
    ({"classes": ["b", "c"], "y": ["a", "b"] * 20}, {}, "'a', which classes does not name"),
    ({"classes": ["b", "b"]}, {}, "no list of different names"),
    ({"classes": np.arange(2)}, {}, "no list of different names"),
    ({"split": ["test"] * 40}, {}, "no row is for training: all are test"),
    ({"split": ["train", "holdout"] * 20}, {}, "holds 'holdout'; expected train, val or test"),
    ({"split": np.arange(40) % 2}, {}, "which of them are for training is not said"),
    ({"split": np.arange(40) % 2 == 1}, {}, "which of them are for training is not said"),
    ({"id": ["a"] * 40}, {}, "'a' more than once"),
    ({}, {"limit": 0}, "at least 1 row"),
]  # fmt: skip


@pytest.mark.parametrize("ending", [".h5", ".npz"])
@pytest.mark.parametrize(("changed", "asked", "expected"), WRONG)
def test_what_is_wrong_is_said_with_the_file_and_the_name(
    changed: Columns, asked: dict[str, Any], expected: str, ending: str, tmp_path: Path
) -> None:
    path = write(tmp_path / f"f{ending}", made(**changed))
    with pytest.raises(UsageError, match=expected) as said:
        load_features(path, **asked)
    assert "limit" in asked or str(path) in str(said.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_named_with_their_row(bad: float, tmp_path: Path) -> None:
    X = made()["X"].copy()
    X[17, 2] = bad
    with pytest.raises(UsageError, match=r"in 1 of 40 rows \(first: row 17, id 'item17'\)"):
        load_features(write(tmp_path / "f.h5", made(X=X)))


def test_too_few_rows_to_divide_are_refused(tmp_path: Path) -> None:
    few = {"X": np.eye(3), "y": np.array([0, 1, 1]), "id": ["b", "d", "e"]}
    path = write(tmp_path / "f.npz", few)
    said = set()
    for seed in range(20):
        try:
            table = load_features(path, split_seed=seed)
        except UsageError as error:
            said.add(str(error).removeprefix(f"{path}: ")[:18])
        else:
            assert len(table.test)
            assert len(set(table.train.labels)) == 2
    assert said == {"all rows to train "}


def test_what_the_file_says_of_itself_is_not_believed_blindly(tmp_path: Path) -> None:
    for i, spec in enumerate(('{"network": "\\u001b[31m"}', "[1]", "no json", "{}")):
        path = write(tmp_path / f"{i}.h5", made(), spec=spec, weights="x" * 101)
        table = load_features(path)
        assert (table.network, table.weights) == ("features", "unknown")


def test_a_run_is_of_a_file_or_of_a_network() -> None:
    for wrong in (
        {"data": "digits", "features": "f.h5", "head": "logreg"},
        {"network": "lenet5", "features": "f.h5", "head": "logreg"},
        {"features": "f.h5", "blocks": 1},
        {"data": "digits", "head": "logreg"},
    ):
        with pytest.raises(UsageError):
            Run(**wrong)  # type: ignore[arg-type]


def test_a_failed_run_of_a_file_is_a_result_too(tmp_path: Path) -> None:
    session = Session(results=tmp_path / "results")
    path = write(tmp_path / "f.h5", made(y=np.zeros(40)))
    (failed,) = session.run_all([Run(features=str(path), head="logreg")])
    assert (failed.status, failed.dataset, failed.network) == ("failed", "f", "features")
    write(path, made())
    (fine,) = session.run_all([Run(features=str(path), head="logreg")])
    assert fine.status == "ok"
    assert [r.run_id for r in session.store.all()] == [fine.run_id]


def test_unpooled_features_are_refused_with_the_option_that_pools(
    photos: Path, tmp_path: Path
) -> None:
    network = create_network("lenet5")
    layer = network.layers[0]
    found = extract(load_dataset(photos), network, layer=layer, cache=tmp_path / "cache")
    assert found.train.X.ndim == 4
    export(replace(found), tmp_path / "f.h5")
    with pytest.raises(UsageError, match="--pool avg"):
        load_features(tmp_path / "f.h5")

"""Groups of rows go into features' files and come back; rows without one are their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from featbench.datasets import load_dataset
from featbench.errors import UsageError
from featbench.experiments import load_features
from featbench.extraction import export, extract
from tests.conftest import make_photos
from tests.experiments.test_features_file import ENDINGS, made, write


@pytest.mark.parametrize("ending", ENDINGS)
def test_groups_go_into_the_file_and_come_back(ending: str, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", {"all": 12}) / "all"
    lines = [f"{p.relative_to(photos)},{p.parent.name},P{int(p.stem[-3:]) // 4}"
             for p in sorted(photos.rglob("*.jpg"))]  # fmt: skip
    (photos / "all.csv").write_text("\n".join(["path,label,group", *lines]))
    there = extract(load_dataset(photos / "all.csv"), "lenet5", cache=tmp_path / "cache")
    assert set(there.train.groups or ()) | set(there.test.groups or ()) == {"P0", "P1", "P2"}
    export(there, tmp_path / f"f{ending}")
    here = load_features(tmp_path / f"f{ending}")
    for side, split in there.dataset.splits.items():
        assert here.splits[side].groups == split.groups == here.parts()[side].groups
    whole = load_features(tmp_path / f"f{ending}", split="")
    assert [set(split.groups or ()) for split in whole.splits.values()] == [
        set(split.groups or ()) for split in there.dataset.splits.values()
    ], "a division by groups, as of the images"
    assert load_features(tmp_path / f"f{ending}", group="").train.groups is None


def test_groups_are_a_part_of_what_a_data_set_is(tmp_path: Path) -> None:
    owner = [f"P{i // 3}" for i in range(39)] + [""]
    path = write(tmp_path / "f.npz", made(owner=owner))
    plain, grouped = load_features(path), load_features(path, group="owner")
    assert plain.splits["train"].ids == grouped.splits["train"].ids
    assert grouped.test.groups == (*owner[24:39], "row item39"), "one without a group is its own"
    assert plain.fingerprint != grouped.fingerprint
    by_side = {"X_train": made()["X"][:24], "y_train": made()["y"][:24], "group_train": owner[:24],
               "X_test": made()["X"][24:], "y_test": made()["y"][24:]}  # fmt: skip
    with pytest.raises(UsageError, match="'group' is not there for every split"):
        load_features(write(tmp_path / "g.npz", by_side))
    both = load_features(write(tmp_path / "h.npz", {**by_side, "group_test": owner[24:]}))
    assert both.train.groups == tuple(owner[:24])
    assert both.test.groups == (*owner[24:39], "row test/15"), "the 15th of both is not one group"
    with pytest.raises(UsageError, match="'ownr' is not there for every split"):
        load_features(tmp_path / "h.npz", group="ownr")
    none = load_features(write(tmp_path / "n.npz", made(group=[""] * 40)))
    assert none.train.groups is None


@pytest.mark.parametrize(
    "owner",
    [
        [1.0, 2.0] * 4 + [np.nan] * 32,
        np.array([1, 2] * 4 + [None] * 32, dtype=object),
        ["1", "2"] * 4 + [" "] * 32,
        np.array(pd.Series([1, 2] * 4 + [None] * 32, dtype="Int64"), dtype=object),
    ],
)
def test_a_missing_group_is_no_group(
    owner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({n: list(v) for n, v in made(id=None, owner=owner).items()})
    monkeypatch.setattr(pd, "read_parquet", lambda path: table)
    (tmp_path / "f.parquet").touch()
    read = load_features(tmp_path / "f.parquet", group="owner")
    assert read.train.groups == ("1", "2") * 4 + tuple(f"row {i}" for i in range(8, 24))
    table["owner"] = ["row 9"] + [""] * 39
    again = load_features(tmp_path / "f.parquet", group="owner").train.groups
    assert again is not None
    assert len(set(again)) == 24, "a group may be called as a row would be"

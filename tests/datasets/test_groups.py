"""Groups that a table's own split tears apart are reported by every command, and can be mended."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.datasets import audit, fixed_splits, load_dataset, split_groups
from tests.conftest import Said, make_photos


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A table whose patients 0 to 2 of 4 are in more than one split, patient 0 by two images."""
    root = make_photos(tmp_path / "clinic", {"train": 6, "test": 3})
    lines = ["path,label,split,group"]
    for path in sorted(root.rglob("*.jpg")):
        name = path.relative_to(root)
        side, number = name.parts[0], int(path.stem[-3:])
        patient = number % 3 if side == "test" else min(number, 3)
        lines.append(f"{name},{name.parts[1]},{side},P{patient}")
    table = root / "clinic.csv"
    table.write_text("\n".join(lines))
    return table


def test_a_split_that_parts_groups_is_a_problem_of_the_data(clinic: Path) -> None:
    dataset = load_dataset(clinic)
    assert split_groups(dataset.splits) == dict.fromkeys(["P0", "P1", "P2"], ("train", "test"))
    (line,) = dataset.problems
    assert line.startswith("3 of 4 groups are in more than one split (first: P0 in train, test)")
    assert "group" not in "".join(load_dataset(f"{clinic}:test=0.3").problems)


def test_every_command_says_it_and_the_check_counts_it(
    featbench: Callable[..., Said], clinic: Path
) -> None:
    checked = featbench("data", "check", clinic)
    assert checked.code == 3
    assert "split_groups 3 groups (column group)" in " ".join(checked.out.split())
    assert "split group: P0 in train, test" in checked.out
    found = json.loads(featbench("data", "check", clinic, "--json").out)
    assert found["counts"]["split_groups"] == 3
    assert found["split_groups"][0] == ["P0", ["train", "test"]]
    work = ("--backbone", "lenet5", "--data", clinic)
    for command in (("extract",), ("fit", "--head", "centroid"), ("plot", "grid", "-o", "g.png")):
        said = featbench(*command, *(work if command[0] != "plot" else work[2:]))
        assert said.code == 3
        assert said.err.count("3 of 4 groups are in more than one split") == 1


def test_mended_splits_keep_patients_and_copies_together(clinic: Path) -> None:
    folder = clinic.parent
    shutil.copy(folder / "train/moss/moss_005.jpg", folder / "test/rust/rust_001.jpg")  # P3, P1
    dataset = load_dataset(clinic)
    text = fixed_splits(dataset, audit(dataset))
    mended = folder / "mended.csv"
    mended.write_text(text)
    again = load_dataset(mended)
    assert again.problems == ()
    assert audit(again).leaks == []
    group_of = {Path(r["path"]).name: r["group"] for r in csv.DictReader(io.StringIO(text))}
    assert group_of["moss_000.jpg"] == "P0"
    assert group_of["moss_005.jpg"] == group_of["rust_001.jpg"] == group_of["sky_004.jpg"]

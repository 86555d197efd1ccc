"""``data check`` and ``init`` show what was read, and the check ends with what to do."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.cli import _data
from featbench.datasets import load_dataset
from tests.conftest import Said, make_photos
from tests.datasets.test_tables import write_table


def rows(said: Said) -> list[list[str]]:
    return [line.split() for line in said.out.splitlines()]


def test_a_clean_set_is_shown_and_nothing_is_found(
    featbench: Callable[..., Said], photos: Path
) -> None:
    said = featbench("data", "check", photos)
    assert said.code == 0
    assert "photos: 3 classes; images: train 30, test 18" in said.out
    for row in (["class", "train", "test"], ["moss", "10", "6"], ["all", "30", "18"]):
        assert row in rows(said)
    assert said.out.splitlines()[-1] == "nothing found"


def test_every_finding_is_named_with_a_next_step(
    featbench: Callable[..., Said], photos: Path
) -> None:
    table = write_table(photos)
    (photos / "train/moss/moss_000.jpg").unlink()
    (photos / "test/sky/sky_001.jpg").write_bytes(b"x")
    for path in sorted((photos / "train/rust").iterdir())[2:]:
        path.unlink()
    said = featbench("data", "check", table)
    assert said.code == 3
    assert "missing 9 files that the table names" in " ".join(said.out.split())
    assert "9 files of the table are missing" in said.err
    for line in (
        "missing: train/moss/moss_000.jpg",
        "broken: test:test/sky/sky_001.jpg",
        "tiny: rust, 2 in train",
        "  missing: mend the column path",
        "  broken: replace or remove them",
        "  tiny_classes: add images",
    ):
        assert f"\n{line}" in said.out
    assert said.out.splitlines()[-1] == "3 findings: exit code 3"
    found = json.loads(featbench("data", "check", table, "--json").out)
    assert found["classes"]["rust"] == {"train": 2, "test": 6}
    assert found["counts"]["missing"] == len(found["missing"]) == 9


def test_a_class_may_be_called_all_and_a_name_need_not_be_utf_8(
    featbench: Callable[..., Said], photos: Path
) -> None:
    (photos / "train" / "moss").rename(photos / "train" / "all")
    (photos / "test" / "moss").rename(photos / "test" / "all")
    for side in ("train", "test"):
        (photos / side / "sky").rename(photos / side / "caf\udce9")
    said = featbench("data", "check", photos)
    assert [row for row in rows(said) if row[:1] == ["all"]] == [
        ["all", "10", "6"], ["all", "30", "18"],
    ]  # fmt: skip
    assert ["caf\\udce9", "10", "6"] in rows(said)
    assert said.out.encode(), "a terminal of UTF-8 can show it"
    fixed = featbench("data", "check", photos, "--fix-splits", "mended.csv")
    assert fixed.code == 2
    assert "has a name that is not UTF-8; rename it" in fixed.err


def test_what_was_left_out_is_a_finding(featbench: Callable[..., Said], photos: Path) -> None:
    (photos / "train" / "void").mkdir()
    said = featbench("data", "check", photos)
    assert said.code == 3
    assert "left out: class folder 'void' has no images" in said.out
    assert said.out.splitlines()[-1] == "1 finding: exit code 3"


def test_of_many_classes_the_rest_is_summed(
    featbench: Callable[..., Said], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_data, "_MOST_CLASSES", 1)
    said = featbench("data", "check", photos)
    assert re.search(r"\nmoss +\S+ +\S+\n… and 2 more +20 +12\nall +30 +18\n", said.out)
    assert "rust" not in said.out


def test_init_says_what_it_read(featbench: Callable[..., Said], tmp_path: Path) -> None:
    dataset = load_dataset(make_photos(tmp_path / "p", {"": 12}))
    said = featbench("init", tmp_path / "p")
    assert said.out.startswith(f"p: {dataset.describe()}\nwrote ")
    assert f"p: {dataset.notices[0]}" in said.err

"""A CSV names images, labels, and perhaps splits and groups."""

from pathlib import Path

import pytest

from featbench.datasets import load_dataset
from featbench.errors import UsageError


def write_table(photos: Path, *, split: bool = True) -> Path:
    lines = ["path,label,split" if split else "path,label"]
    for path in sorted(photos.rglob("*.jpg")):
        side, name = path.relative_to(photos).parts[:2]
        lines.append(f"{path.relative_to(photos)},{name}" + (f",{side}" if split else ""))
    table = photos / "table.csv"
    table.write_text("\n".join(lines))
    return table


def test_a_table_gives_the_same_data_as_its_folder(photos: Path) -> None:
    folder, table = load_dataset(photos), load_dataset(write_table(photos))
    assert table.classes == folder.classes
    assert table.fingerprint == folder.fingerprint


def test_a_table_without_splits_gets_a_test_split(photos: Path) -> None:
    table = load_dataset(write_table(photos, split=False))
    assert len(table.train) + len(table.test) == 48


def test_files_that_are_missing_are_reported(photos: Path) -> None:
    table = write_table(photos)
    (photos / "train" / "moss" / "moss_000.jpg").unlink()
    assert any("1 files of the table are missing" in p for p in load_dataset(table).problems)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("file,label\na,b", "no column path"),
        ("path,label,split\na.jpg,x,holdout", "holds 'holdout'"),
        ("path,label\na.jpg,x\na.jpg,y", "more than once"),
        ("", "cannot be read as a table"),
    ],
)
def test_a_bad_table_says_what_is_wrong(content: str, expected: str, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(content)
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=expected):
        load_dataset(table)

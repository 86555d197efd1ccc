"""A CSV names images, labels, and perhaps splits and groups."""

from pathlib import Path

import pandas as pd
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
    assert any(
        "1 file of the table is missing (first: train/moss/moss_000.jpg)" in p
        for p in load_dataset(table).problems
    )


def test_empty_lines_may_stand_before_the_heading_and_a_heading_alone_is_no_table(
    photos: Path,
) -> None:
    table = write_table(photos)
    plain = load_dataset(table).fingerprint
    table.write_text("\n \n" + table.read_text())
    assert load_dataset(table).fingerprint == plain
    table.write_text("path,label\n")
    for options in ("", ":test=0.3"):
        with pytest.raises(UsageError, match="no image is there to train on"):
            load_dataset(f"{table}{options}")


def test_blanks_around_a_cell_mean_nothing(photos: Path) -> None:
    table = write_table(photos)
    plain = load_dataset(table)
    lines = table.read_text().replace(",", " ,\t").splitlines()
    table.write_text(" \n".join(lines) + "\n \n")
    blank = load_dataset(table)
    assert blank.classes == plain.classes
    assert blank.fingerprint == plain.fingerprint
    grouped = [f"{line}, {group}" for line, group in zip(lines, ["group", *"ab" * 24], strict=True)]
    table.write_text("\n".join(grouped))
    assert set(load_dataset(table).train.groups or ()) == {"a", "b"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("file,label\na,b", "no column path"),
        ("path,label,split\na.jpg,x,holdout", "holds 'holdout'"),
        ("path,label\na.jpg,x\na.jpg,y", "more than once"),
        ("", "cannot be read as a table"),
        ("path,label\na.jpg,x\n\nb.jpg, \nc.jpg,", r"t.csv, line 4: has no label \(2 such rows\)"),
        ("path,label\n,x", "line 2: has no path"),
        ("path,label,split\na.jpg,x", "line 2: column split holds ''"),
        ("path,label\na,b.jpg,x", "line 2: has 3 cells, the first line 2"),
        ("path,label,label\na.jpg,x,y", "more than one column label"),
    ],
)
def test_a_bad_table_says_what_is_wrong(content: str, expected: str, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(content)
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=expected):
        load_dataset(table)


def test_a_parquet_table_is_read_by_the_same_rules(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(write_table(photos))
    table["group"] = None
    table["label"] = table["label"].astype("category")
    monkeypatch.setattr(pd, "read_parquet", lambda path: table)
    file = photos / "t.parquet"
    file.touch()
    dataset = load_dataset(file)
    assert dataset.fingerprint == load_dataset(photos).fingerprint
    assert dataset.train.groups is None, "no row has one"
    table.loc[4, "label"] = None
    with pytest.raises(UsageError, match=r"t.parquet, row 5: has no label; give"):
        load_dataset(file)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_as_a_spreadsheet_saves_it_gives_the_same_data(
    separator: str, photos: Path
) -> None:
    table = write_table(photos)
    plain = load_dataset(table)
    text = table.read_text().replace("path,label,split", "Path,LABEL,Split").replace("/", "\\")
    lines = text.replace(",", separator).splitlines()
    lines += [separator * 2, ""]  # an empty row of the spreadsheet, an empty line
    table.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    saved = load_dataset(table)
    assert saved.classes == plain.classes
    assert saved.train.ids == plain.train.ids
    assert saved.fingerprint == plain.fingerprint


def test_a_backslash_in_a_files_own_name_stays(photos: Path) -> None:
    table = write_table(photos)
    (photos / "train/moss/moss_000.jpg").rename(photos / "a\\b.jpg")
    table.write_text(table.read_text().replace("train/moss/moss_000.jpg", "a\\b.jpg"))
    assert "a\\b.jpg" in load_dataset(table).train.ids


def test_quoted_cells_keep_their_separators(photos: Path) -> None:
    table = write_table(photos)
    (photos / "train/moss/moss_000.jpg").rename(photos / "a, b.jpg")
    table.write_text(table.read_text().replace("train/moss/moss_000.jpg", '"a, b.jpg"'))
    assert "a, b.jpg" in load_dataset(table).train.ids


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_table_that_is_not_utf_8_says_how_to_save_it(encoding: str, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes("path,label\na.jpg,bösartig\n".encode(encoding))
    with pytest.raises(UsageError, match=r"t.csv: is not UTF-8 .*save the table as CSV UTF-8"):
        load_dataset(table)


def test_the_path_as_it_is_written_decides_an_images_side(photos: Path) -> None:
    table = write_table(photos, split=False)
    relative = load_dataset(table)
    assert {name.split("/")[0] for name in relative.train.ids} == {"train", "test"}
    absolute = table.with_name("absolute.csv")
    lines = [line.replace("t", f"{photos}/t", 1) for line in table.read_text().splitlines()[1:]]
    absolute.write_text("\n".join(["path,label", *lines]))
    other = load_dataset(absolute)
    assert sorted((*other.train.ids, *other.test.ids)) == [li.split(",")[0] for li in sorted(lines)]
    assert set(other.test.ids) != {f"{photos}/{name}" for name in relative.test.ids}

"""What a newcomer gets wrong first: each answer names the file or option, and the next step."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Said

Command = Callable[..., Said]


@pytest.fixture
def mess(photos: Path, tmp_path: Path) -> Path:
    """A folder of things that are not what they should be, beside good ``photos``."""
    (tmp_path / "flat").mkdir()
    for image in (photos / "train" / "moss").iterdir():
        (tmp_path / "flat" / image.name).write_bytes(image.read_bytes())
    (tmp_path / "one" / "moss").mkdir(parents=True)
    (tmp_path / "one" / "moss" / "1.jpg").write_bytes(image.read_bytes())
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.zip").write_text("no zip")
    (tmp_path / "wrong.csv").write_text("file,class\na.jpg,moss\n")
    (tmp_path / "bars.csv").write_text("path|label\na.jpg|moss\n")
    (tmp_path / "moved.csv").write_text("path,label\nmoss/1.jpg,moss\nsky/1.jpg,sky\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "notes.txt").write_text("hello")
    return tmp_path


def asked(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LENET = "--backbone lenet5 --data photos"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "extract --data photo",
            ["photo: no such folder", "did you mean 'photos'", "--data takes"],
        ),
        ("extract photos", ["unexpected extra argument", "behind an option: --data photos"]),
        ("extract --data empty", ["empty: no images", "empty/CLASS/IMAGE"]),
        ("extract --data flat", ["but 10 beside them (first: moss_", "a folder of its own"]),
        ("extract --data one", ["only one class ('moss')", "at least two class folders"]),
        ("extract --data bad.zip", ["bad.zip: cannot be read as a zip", "make it again"]),
        ("extract --data wrong.csv", ["no column label", "it has: file, class", "path,label"]),
        ("extract --data bars.csv", ["it has: path|label", "with commas, semicolons or tabs"]),
        ("extract --data moved.csv", ["none of its 2 files", "relative to the table's folder"]),
        ("extract --data empty.csv", ["empty.csv: cannot be read", "path,label"]),
        ("extract --data notes.txt", ["notes.txt: expected a folder, a .zip, a .csv"]),
        ("extract --backbone efficientnet", ["did you mean 'efficientnet_lite0'"]),
        (f"extract {LENET} --layer layer9", ["cannot be cut at 'layer9'", "Places: conv1"]),
        (f"extract {LENET} -o x.xlsx", ["-o x.xlsx: expected a file that ends with .h5"]),
        (f"extract {LENET} --weights notes.txt", ["--weights notes.txt", ".safetensors"]),
        (f"extract {LENET} --device gpu", ["--device gpu: expected auto, cpu, cuda"]),
        ("fit", ["fit needs --head", "logreg", "or all"]),
        ("table --data photos", ["No such option", "--rows dataset=NAME"]),
        ("fit --head svm", ["did you mean 'svm-linear'"]),
        ("fit --head rbf", ["did you mean 'svm-rbf'"]),
        (f"fit --head logreg --set c=1 {LENET}", ["no setting 'c'; did you mean 'C'"]),
        (f"fit --head logreg --set C {LENET}", ["--set C: expected name=value"]),
        (f"fit --head logreg --tune many {LENET}", ["tune 'many'", "or grid"]),
        ("fit --head logreg --features notes.txt", ["notes.txt: expected a file that ends with"]),
        (f"finetune {LENET} --blocks 9", ["lenet5 has 4 blocks", "or use all"]),
        (f"finetune {LENET} --augment spin", ["unknown step 'spin'", "Steps: random-crop"]),
        ("finetune --init-from abc", ["begins with 'abc'", "featbench results ls"]),
        ("predict abc photos", ["begins with 'abc'", "featbench results ls"]),
        ("report", ["no results; featbench fit, finetune and run make them"]),
        ("plot curves", ["name a run (featbench results ls lists them)"]),
        ("plot speed", ["no finished runs; featbench fit"]),
        ("plot grid --data photos -o grid.txt", ["-o grid.txt: a picture ends in .png"]),
        ("plot grid --data photos --class lion", ["has no class 'lion'", "Classes: moss"]),
        ("run none.toml", ["none.toml: cannot be read"]),
        ("run notes.txt", ["notes.txt: is not TOML"]),
        ("cache verify --cache nowhere", ["nowhere: no such folder; featbench extract makes one"]),
    ],
)
def test_the_answer_says_where_and_what_next(
    command: str, expected: list[str], featbench: Command, mess: Path
) -> None:
    said = featbench(*asked(command))
    assert said.code == 2, said.err
    for part in expected:
        assert part in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    if "-o" in command or "--layer" in command:
        assert "extract lenet5" not in said.err, "it was found only after the work"


def test_nothing_recorded_yet_is_no_mistake_and_says_how_to_begin(featbench: Command) -> None:
    assert "featbench fit --head logreg makes one" in featbench("table").out
    listed = featbench("results", "ls")
    assert (listed.code, listed.out) == (0, "")
    assert "featbench fit --head logreg makes one" in listed.err
    assert featbench("results", "ls", "--json").out == "[]\n"

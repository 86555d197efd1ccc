"""What is meant where an option is left out, and that it is said."""

from pathlib import Path

import pytest

from featbench.errors import UsageError
from featbench.experiments import Choice, remember_extraction, settle, write_project


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_said_means_digits_and_the_bundled_network() -> None:
    chosen = settle(Choice(), remember=True)
    assert (chosen.data, chosen.backbone, chosen.weights) == (
        "digits",
        "efficientnet_lite0",
        "default",
    )
    assert chosen.said == ("data digits (by default)", "backbone efficientnet_lite0 (by default)")


def test_options_then_the_file_then_the_last_extraction() -> None:
    last = settle(Choice("digits", "resnet18", "random", seed=3, limit=5), remember=False)
    last.cache.mkdir()
    remember_extraction(last)
    after = settle(Choice(), remember=True)
    assert (after.backbone, after.weights, after.limit) == ("resnet18", "random", 5)
    assert after.seed == 3
    assert settle(Choice(), remember=False).backbone == "efficientnet_lite0"
    assert settle(Choice(backbone="vgg16"), remember=True).weights == "default"
    assert settle(Choice(backbone="resnet18"), remember=True).limit == 5
    assert settle(Choice("digits"), remember=True).limit is None
    assert settle(Choice("digits"), remember=True).weights == "random"
    assert "weights random (as in the last extraction)" in after.said
    write_project("photos.zip", "vgg16")
    assert settle(Choice(), remember=True).backbone == "vgg16"
    assert settle(Choice(), remember=True).data == "photos.zip"
    assert settle(Choice(data="digits"), remember=True).data == "digits"


def test_a_bad_file_is_named() -> None:
    write_project("digits", "resnet18")
    with pytest.raises(UsageError, match="exists already"):
        write_project("digits", "resnet18")
    Path("featbench.toml").write_text('dta = "x"')
    with pytest.raises(UsageError, match="did you mean 'data'"):
        settle(Choice(), remember=True)
    Path("featbench.toml").write_text("[")
    with pytest.raises(UsageError, match="is not TOML"):
        settle(Choice(), remember=True)


def test_a_note_that_cannot_be_read_counts_as_none() -> None:
    Path("cache").mkdir()
    Path("cache/last.json").write_text("{")
    assert settle(Choice(), remember=True).data == "digits"

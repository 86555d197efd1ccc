"""What Tab completes: the names there are, quickly."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.cli import _names_file
from tests.conftest import Said

Tab = Callable[..., list[str]]


@pytest.fixture
def tab(
    monkeypatch: pytest.MonkeyPatch, featbench: Callable[..., Said], tmp_path: Path
) -> Callable[[str], list[str]]:
    """Return what bash is told when Tab is pressed at the end of a line."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))

    def press(line: str) -> list[str]:
        monkeypatch.setenv("_FEATBENCH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        try:
            said = featbench()
        finally:
            monkeypatch.delenv("_FEATBENCH_COMPLETE")
        assert said.code == 0, said.err
        return said.out.split()

    return press


def test_names_of_networks_heads_and_data(tab: Tab) -> None:
    assert tab("featbench extract --backbone efficientnet_li") == [
        "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"
    ]  # fmt: skip
    assert tab("featbench networks show lenet") == ["lenet5"]
    assert set(tab("featbench fit --head svm-")) == {
        "svm-linear", "svm-poly", "svm-rbf", "svm-sigmoid"
    }  # fmt: skip
    assert "all" in tab("featbench fit --head ")
    assert "all" not in tab("featbench finetune --warm-start ")
    assert tab("featbench fit --data flow") == ["flowers102"]


def test_values_of_options_and_names_of_settings(tab: Tab) -> None:
    assert tab("featbench finetune --optimizer ada") == ["adamw", "adam"]
    assert tab("featbench extract --pool c") == ["cls"]
    assert tab("featbench fit --device c") == ["cpu", "cuda"]
    assert tab("featbench fit --head svm-poly --set deg") == ["degree="]
    assert tab("featbench fit --head logreg --set deg") == []
    assert tab("featbench finetune --set mom") == ["momentum="]
    assert tab("featbench table --columns method,test_acc") == ["method,test_accuracy"]


def test_every_value_it_offers_is_one_the_command_takes(tab: Tab) -> None:
    from featbench.report import COSTS, FORMATS

    assert tab("featbench table --format ") == list(FORMATS)
    assert tab("featbench plot speed --cost ") == list(COSTS)


def test_ids_of_runs_recipes_and_presets(
    tab: Tab, featbench: Callable[..., Said], photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.toml").write_text(
        'data = "photos"\n[[run]]\nnetwork = "lenet5"\nhead = "centroid"\n[preset.quick]\nlimit = 2'
    )
    assert tab("featbench predict ") == []
    (run,) = json.loads(featbench("run", "r.toml", "--json", "--quiet").out)
    assert tab("featbench predict ") == [run["run_id"]]
    assert tab(f"featbench plot confusion {run['run_id'][:4]}") == [run["run_id"]]
    assert tab("featbench results show --results elsewhere ") == []
    assert tab("featbench table --recipe ") == ["r"]
    assert tab("featbench run r.toml --preset q") == ["quick"]
    assert tab("featbench run none.toml --preset q") == []
    (tmp_path / "results" / run["run_id"] / "result.json").write_text("{}")
    assert tab("featbench predict ") == []


def test_torch_is_not_imported_a_second_time(tab: Tab, tmp_path: Path) -> None:
    expected = tab("featbench fit --backbone lenet")
    code = (
        "import sys; from featbench.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'sklearn', 'numba', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    pressed = {"_FEATBENCH_COMPLETE": "complete_bash", "COMP_CWORD": "3",
               "COMP_WORDS": "featbench fit --backbone lenet"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, **pressed}, cwd=Path.cwd(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == expected


def test_names_are_collected_anew_when_they_may_have_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def collect() -> dict[str, list[str]]:
        asked.append(True)
        return {"networks": ["one"]}

    monkeypatch.setattr(_names_file, "_collect", collect)
    for _ in range(2):
        assert _names_file.known_names()["networks"] == ["one"]
    assert len(asked) == 1
    monkeypatch.setattr(_names_file, "version", lambda name: "another")
    _names_file.known_names()
    assert len(asked) == 2
    (tmp_path / "featbench" / "names.json").write_bytes(b"damaged")
    assert _names_file.known_names()["networks"] == ["one"]
    assert len(asked) == 3

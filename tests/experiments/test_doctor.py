"""``featbench doctor``: each thing that stands in the way is told with its next step."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from featbench.experiments import Finding, _doctor, check_up
from featbench.networks import efficientnet_lite
from tests.conftest import Said

Command = Callable[..., Said]


def problems(found: list[Finding]) -> dict[str, Finding]:
    return {one.name: one for one in found if one.problem}


def looked_at(tmp_path: Path, device: str = "cpu") -> list[Finding]:
    return list(check_up(tmp_path / "cache", tmp_path / "results", device))


def test_a_machine_in_order_is_said_to_be_so_and_no_file_is_left(
    featbench: Command, tmp_path: Path
) -> None:
    said = featbench("doctor", "--device", "cpu")
    assert said.code == 0, said.out
    assert said.out.endswith("everything is as it should be\n")
    for word in ("Python", "torch", "cores", "memory", "cache", "UMAP", "rows read back"):
        assert word in said.out
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_used_are_problems_and_the_rest_is_still_looked_at(
    featbench: Command, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    (tmp_path / "results" / "abc").mkdir(parents=True)
    (tmp_path / "results" / "abc" / "result.json").write_text("{}")
    said = featbench("doctor", "--json", "--device", "warp")
    assert said.code == 3
    report = json.loads(said.out)
    assert report["ok"] is False
    found = problems([Finding(**one) for one in report["findings"]])
    assert set(found) == {"cache", "runs", "device"}
    assert "is a file" in found["cache"].problem
    assert found["cache"].next_step == "choose another with --cache DIR"
    assert "abc" in found["runs"].problem
    assert "--device warp" in found["device"].problem
    assert any(one["name"] == "engine" for one in report["findings"])


def test_a_folder_that_is_read_only_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(dir: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(_doctor.tempfile, "TemporaryFile", refuse)
    found = problems([_doctor._folder("cache", tmp_path, "elsewhere")])
    assert "Read-only file system" in found["cache"].problem


def test_too_little_room_and_too_many_threads_are_problems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(_doctor.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(_doctor, "free_memory", lambda: 2**20)
    monkeypatch.setattr(_doctor, "cores", lambda: 0)
    found = problems([*_doctor._machine("cpu"), *_doctor._folders(tmp_path, tmp_path)])
    assert set(found) == {"cores", "memory", "cache", "results", "data sets", "weights"}
    assert all(one.next_step for one in found.values())


def test_versions_that_are_missing_or_too_old_are_problems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        if name == "numba":
            raise _doctor.PackageNotFoundError(name)
        return "1.0" if name == "torch" else "999"

    monkeypatch.setattr(_doctor, "version", version)
    found = problems(list(_doctor._versions()))
    assert set(found) == {"torch", "numba"}
    assert found["torch"].problem.startswith("torch 1.0 is not >=2.")
    assert found["torch"].next_step.startswith('pip install --upgrade "torch>=2.')


def test_bundled_weights_that_were_changed_are_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(efficientnet_lite._SHA256, "efficientnet_lite0", "0" * 64)
    found = problems(list(_doctor._self_test("cpu")))
    assert "is not the file that was published" in found["bundled network"].problem
    assert "pip install --force-reinstall" in found["bundled network"].next_step


def test_other_features_than_the_known_ones_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = efficientnet_lite._load_bundled

    def fill_wrongly(module: torch.nn.Module, name: str) -> None:
        fill(module, name)
        with torch.no_grad():
            module.get_parameter("conv_stem.weight").mul_(1.1)

    monkeypatch.setattr(efficientnet_lite, "_load_bundled", fill_wrongly)
    found = problems(list(_doctor._self_test("cpu")))
    assert set(found) == {"ten digits"}
    assert "report this" in found["ten digits"].next_step

"""What the README shows works as it stands."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Said

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_open_it() -> None:
    top = README.splitlines()[:5]
    assert top[2:4] == ["    make demo", "    make test"]
    targets = (ROOT / "Makefile").read_text()
    assert "\ndemo:" in targets
    assert "\ntest:" in targets


@pytest.mark.slow
def test_its_commands_work_as_typed_one_after_the_other(
    featbench: Callable[..., Said], tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    lines = [line for block in blocks("sh") for line in block.splitlines() if line]
    assert len(lines) >= 8
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "featbench"
        said = featbench(*arguments)
        assert said.code == 0, f"{line}: {said.err}"
        assert said.out


@pytest.mark.slow
def test_its_python_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    head, tuned = map(float, capsys.readouterr().out.split())
    assert head > 0.8
    assert 0 <= tuned <= 1


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target

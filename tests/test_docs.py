"""What the README and the documentation show works as it stands."""

import contextlib
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from featbench.cli import app
from featbench.datasets import DATASETS
from featbench.experiments import ResultStore
from featbench.heads import HEADS
from featbench.networks import NETWORKS, _small
from tests.conftest import Said
from tests.docs_pages import PAGES, ROOT, Block, blocks, lay_out, sessions, without_blocks

README = ROOT / "README.md"


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@contextlib.contextmanager
def registries_as_they_were() -> Iterator[None]:
    """Take out again what a page registers."""
    all_names = [(registry, set(registry)) for registry in (HEADS, NETWORKS, DATASETS)]
    entries = [(registry._entries, names) for registry, names in all_names]
    entries.append((_small._SMALL, set(_small._SMALL)))
    try:
        yield
    finally:
        for named_so, names in entries:
            for name in set(named_so) - names:
                del named_so[name]


@pytest.fixture(scope="session")
def features_so_far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Feature spaces that earlier pages made: a row is its image's, whoever computed it."""
    return tmp_path_factory.mktemp("features")


def share_spaces(source: Path, target: Path) -> None:
    for space in source.glob("*/space.json"):
        shutil.copytree(space.parent, target / space.parent.name, dirs_exist_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", list(sessions()), ids=named)
def test_a_page_works_as_typed_from_top_to_bottom(
    page: Path, featbench: Callable[..., Said], tmp_path: Path, features_so_far: Path
) -> None:
    lay_out(tmp_path)
    share_spaces(features_so_far, tmp_path / "cache")
    names: dict[str, Any] = {"__name__": "page"}
    with registries_as_they_were():
        for block in blocks(page):
            if not block.runs:
                continue
            if block.language == "python":
                exec(compile(block.text, named(page), "exec"), names)
            elif block.title:
                (tmp_path / block.title).write_text(block.text, encoding="utf-8")
            for line in block.commands:
                program, *arguments = shlex.split(with_run_ids(line, tmp_path / "results"))
                assert program == "featbench", line
                said = featbench(*arguments)
                assert said.code == 0, f"{line}: {said.err}"
                assert said.out, line
    share_spaces(tmp_path / "cache", features_so_far)


def with_run_ids(line: str, results: Path) -> str:
    """Put the newest run's id in place of RUN, and the one's before it of OTHER_RUN."""
    if "RUN" not in line:
        return line
    runs = [result.run_id for result in ResultStore(results).all()]
    return re.sub(r"\bRUN\b", runs[-1], re.sub(r"\bOTHER_RUN\b", runs[-2], line))


COMMANDS = [
    pytest.param(line, id=f"{named(page)}: {line}")
    for page in PAGES
    for block in blocks(page)
    for line in block.commands
]


@pytest.mark.parametrize("line", COMMANDS)
def test_what_a_command_names_is_there(line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "featbench"
    parse(arguments)


def parse(arguments: list[str]) -> None:
    """Read a command's arguments as it would; raises where an option is not known."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and arguments and arguments[0] in command.commands:
        command = command.commands[arguments.pop(0)]
    with command.make_context(
        "featbench", arguments, resilient_parsing="--install" in str(arguments)
    ):
        pass


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_in_the_text_have_options_that_there_are(page: Path) -> None:
    for code in re.findall(r"`(featbench [^`]+)`", without_blocks(page)):
        words = code.split()[1:]
        command: Any = typer.main.get_command(app)
        while hasattr(command, "commands") and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        known |= {"--help", "--debug"}
        asked = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert asked <= known, code
        if hasattr(command, "commands"):
            assert not words or words[0].isupper() or words[0].startswith("-"), code


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_command_hides_from_the_tests(page: Path) -> None:
    """Commands stand in ``sh`` blocks; a title says why a block is not run, or names a file."""
    hidden = re.findall(r"(?m)^ +featbench .*$", without_blocks(page))
    assert not hidden, "put them into ```sh, with a title where they cannot run here"
    for block in blocks(page):
        assert block.language != "" or "featbench " not in block.text
        assert not block.runs or "." in block.title or not block.title


def test_a_title_that_says_why_is_what_keeps_a_block_from_running() -> None:
    assert Block("sh", "", "featbench heads\n").runs
    assert not Block("sh", "needs a download", "featbench heads\n").runs
    with pytest.raises(Exception, match="--hed"):
        parse(["fit", "--hed", "logreg"])


def test_the_two_commands_open_the_readme() -> None:
    top = README.read_text().splitlines()[:5]
    assert top[2:4] == ["    make demo", "    make test"]
    targets = (ROOT / "Makefile").read_text()
    assert "\ndemo:" in targets
    assert "\ntest:" in targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    made = ROOT / "docs" / "reference"  # these pages are made when the site is built
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        path = (page.parent / target).resolve()
        if "://" not in target and path.parent != made:
            assert path.exists(), target

"""The documentation builds strictly, says what the code has, and loads nothing from elsewhere."""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.markup import render

import featbench
from featbench.cli import app
from tests.docs_pages import ROOT
from tools import build_docs

_LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


ALL = list(commands(typer.main.get_command(app)))


class Loaded(HTMLParser):
    """What a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(_LOADS.get(tag, ""))
        if address:
            self.addresses.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "site"
    assert build_docs.build(folder) == 0
    return folder


@pytest.mark.slow
def test_it_builds_without_a_warning_and_has_every_page(site: Path) -> None:
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    for page in pages:
        assert (site / page.with_suffix(".html")).is_file(), page
    start = (site / "index.html").read_text()
    for page in pages:
        address = page.with_suffix(".html").as_posix()
        assert re.search(f'href="(\\./)?{address}"', start), f"{page}: not in the menu"


@pytest.mark.slow
def test_every_command_and_public_name_is_in_the_reference(site: Path) -> None:
    text = (site / "reference" / "commands.html").read_text()
    for path, command in ALL:
        assert f"featbench {' '.join(path)}</code>" in text
        assert all(p.opts[0] in text for p in command.params)
    assert "..." not in text.split("<article")[1].split("featbench doctor")[0].split("ARGS]...")[1]
    text = (site / "reference" / "featbench.html").read_text()
    for name in featbench.__all__:
        assert f'id="featbench.{name}"' in text or f".{name}" in text
    for room in build_docs.ROOMS:
        assert (site / "reference" / f"featbench.{room}.html").is_file()


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert loaded.addresses
        for address in loaded.addresses:
            assert not re.match(r"[a-z]+:|//", address) or address.startswith("data:"), page


@pytest.mark.slow
def test_a_link_that_leads_nowhere_stops_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("zensical.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[gone](nowhere.md)\n")
    monkeypatch.setattr(build_docs, "ROOT", tmp_path)
    monkeypatch.setattr(build_docs, "commands", lambda: "# Commands")
    monkeypatch.setattr(build_docs, "exported", lambda name, title: f"# {title}")
    assert build_docs.build(tmp_path / "site") != 0
    assert not (tmp_path / "site").exists()
    (tmp_path / "docs" / "index.md").write_text("# Start\n\nNo link.\n")
    config = (tmp_path / "zensical.toml").read_text()
    lines = [line for line in config.splitlines() if "tutorial" not in line and "cuts" not in line]
    (tmp_path / "zensical.toml").write_text("\n".join(lines))
    assert build_docs.build(tmp_path / "site") == 0


def test_a_folder_in_the_menu_stands_for_its_pages(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    for name in ("b", "index", "a"):
        (tmp_path / "studies" / f"{name}.md").write_text("# x")
    made = build_docs.navigation('{ "Studies" = "studies/" },', tmp_path)
    assert made == '{ "Studies" = ["studies/index.md", "studies/a.md", "studies/b.md"] },'


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_help_is_printed_as_it_is_written(path: tuple[str, ...], command: Any) -> None:
    """Brackets could be taken for markup, and a word between colons for a picture of it."""
    for text in [command.help, *(getattr(p, "help", None) for p in command.params)]:
        if text:
            assert render(text).plain == text

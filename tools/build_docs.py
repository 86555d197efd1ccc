"""Builds the documentation site: ``python tools/build_docs.py [SITE]``, by default into ``site/``.

Pages that are made from code are made here, so that they are never stale: the commands from the
Typer app, a page a room from what its ``__init__.py`` exports, and the changelog. All is put
together in a temporary folder and built strictly: a warning is an error.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "datasets", "networks", "augmentation", "extraction", "heads", "finetune", "experiments",
    "report", "statistics",
)  # fmt: skip


def commands() -> str:
    """Return a page of all commands and their options, from the app itself."""
    made = subprocess.run(
        [sys.executable, "-m", "typer", "featbench.cli", "utils", "docs", "--name", "featbench",
         "--title", "Commands"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
        text=True, encoding="utf-8",
    ).stdout  # fmt: skip
    made = re.sub(r"(?m)^\$ ", "", made).replace("```console", "```text")
    return _with_whole_sentences(made)


def _with_whole_sentences(page: str) -> str:
    """Put a command's first sentence where the list of commands cuts it off."""
    import typer

    from featbench.cli import app

    group: Any = typer.main.get_command(app)
    lines = []
    for line in page.splitlines():
        if heading := re.match(r"#+ `featbench ?([\w ]*)`", line):
            group = typer.main.get_command(app)
            for name in heading[1].split():
                group = group.commands[name]
        if (item := re.match(r"\* `(\w+)`: .*\.\.\.$", line)) and item[1] in group.commands:
            sentence = " ".join(group.commands[item[1]].help.split("\n\n")[0].split())
            line = f"* `{item[1]}`: {sentence}"
        lines.append(line)
    return "\n".join(lines)


def exported(name: str, title: str) -> str:
    """Return a page of what a package exports, explained by its docstrings."""
    package = importlib.import_module(name)
    lines = [f"# {title}", "", (package.__doc__ or "").strip(), ""]
    for each in sorted(package.__all__):
        lines += [f"::: {name}.{each}", ""]
    return "\n".join(lines)


def changes() -> str:
    """Return the changelog, with its links as seen from the site."""
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "](")


def navigation(config: str, pages: Path) -> str:
    """Put a folder's pages, its index first, where the configuration names the folder."""

    def listed(match: re.Match[str]) -> str:
        folder = pages / match[1]
        found = sorted(folder.glob("*.md"), key=lambda p: (p.stem != "index", p.stem))
        return "[" + ", ".join(f'"{page.relative_to(pages).as_posix()}"' for page in found) + "]"

    return re.sub(r'(?<== )"([\w-]+/)"', listed, config)


def build(site: Path) -> int:
    """Build the site; return the builder's exit code."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        pages = shutil.copytree(ROOT / "docs", work / "docs")
        made = {"changes": changes(), "reference/commands": commands(),
                "reference/featbench": exported("featbench", "featbench")}  # fmt: skip
        for name in ROOMS:
            made[f"reference/featbench.{name}"] = exported(f"featbench.{name}", f"featbench.{name}")
        for name, text in made.items():
            (pages / f"{name}.md").write_text(text, encoding="utf-8")
        config = (ROOT / "zensical.toml").read_text(encoding="utf-8")
        (work / "zensical.toml").write_text(navigation(config, pages), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
            cwd=work, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        )  # fmt: skip
        print(done.stdout, end="")
        if done.returncode or "griffe:" in done.stdout:  # what it says of docstrings is no warning
            return done.returncode or 1
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(work / "site", site)
        return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    raise SystemExit(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site"))

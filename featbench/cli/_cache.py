"""Commands that look after the feature store."""

import datetime
import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from featbench.cli import _options as options
from featbench.cli._app import app
from featbench.cli._console import print_error, print_table

cache_app = typer.Typer(help="Look after the feature store.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")

Key = Annotated[str, typer.Argument(help="A space's key, or how it begins.")]


def _folder(cache: str | None) -> Path:
    from featbench.experiments import Choice, settle

    return settle(Choice(cache=cache), remember=False).cache


@cache_app.command("ls")
def ls(cache: options.Cache = None, as_json: options.Json = False) -> None:
    """List feature spaces: key, size, age, what made them."""
    from featbench.extraction import spaces

    found = spaces(_folder(cache))
    if as_json:
        print(json.dumps([
            {"key": s.key, "bytes": s.size, "shards": len(s.shards), "changed": s.changed,
             **s.description} for s in found
        ]))  # fmt: skip
        return
    rows = [
        (
            s.key[:12],
            f"{s.size / 2**20:.1f} MiB",
            str(len(s.shards)),
            datetime.datetime.fromtimestamp(s.changed).strftime("%Y-%m-%d %H:%M"),
            s.describe(),
        )
        for s in found
    ]
    print_table(("space", "size", "shards", "written", "what made it"), rows)


@cache_app.command("verify")
def verify(cache: options.Cache = None) -> None:
    """Hash every shard anew; exit 4 when something is damaged."""
    from featbench.extraction import spaces
    from featbench.extraction import verify as problems_of

    folder = _folder(cache)
    problems = list(problems_of(folder))
    for line in problems:
        print(line)
    found = spaces(folder)
    shards = sum(len(space.shards) for space in found)
    if problems:
        print_error(
            f"{len(problems)} problems in {shards} shards; damaged shards are set aside and their "
            "rows computed again when they are next needed"
        )
        raise typer.Exit(4)
    print(f"{shards} shards in {len(found)} spaces are whole")


@cache_app.command("prune")
def prune(
    older_than: Annotated[
        float | None, Option(help="Also delete spaces not written to for so many days.")
    ] = None,
    space: Annotated[str | None, Option(help="Also delete the space whose key begins so.")] = None,
    cache: options.Cache = None,
) -> None:
    """Delete damaged shards and abandoned temporary files, and whole spaces if asked."""
    from featbench.extraction import prune as delete

    files, size = delete(_folder(cache), older_than_days=older_than, space=space)
    print(f"deleted {files} files, {size / 2**20:.1f} MiB")


@cache_app.command("compact")
def compact(cache: options.Cache = None) -> None:
    """Merge small shards."""
    from featbench.extraction import compact as merge

    before, after = merge(_folder(cache))
    print(f"{before} shards before, {after} after")


@cache_app.command("export")
def export(
    key: Key,
    output: Annotated[Path, Option("-o", "--output", help="A .h5, .npz or .parquet file.")],
    cache: options.Cache = None,
) -> None:
    """Write one space's rows to a plain file: X, image (sha256 of the content), view."""
    from featbench.extraction import export_space, find_space

    count = export_space(find_space(_folder(cache), key), output)
    print(f"wrote {count:,} rows to {output}")

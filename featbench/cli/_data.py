"""Commands that look at a data set."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from featbench.cli import _complete as complete
from featbench.cli import _options as options
from featbench.cli._app import app
from featbench.cli._console import ConsoleReporter, print_table
from featbench.errors import UsageError

if TYPE_CHECKING:
    from featbench.datasets import Audit

data_app = typer.Typer(help="Look at a data set.", no_args_is_help=True)
app.add_typer(data_app, name="data")

_EXPLAINED = {
    "duplicates": "sets of copies: images with the same content",
    "near_duplicates": "sets of nearly the same picture",
    "leaks": "of these sets of copies, those in more than one split",
    "conflicting_labels": "sets of copies with different labels",
    "split_groups": "groups (column group) that are in more than one split",
    "broken": "images that cannot be decoded",
    "absent_classes": "classes without an image in a split",
    "tiny_classes": "classes with fewer than five training images",
}


@data_app.command("check")
def check(
    data: Annotated[str, typer.Argument(help="What --data takes.", autocompletion=complete.data)],
    fix_splits: Annotated[
        Path | None, Option(help="Write a .csv that splits no copies and no groups.")
    ] = None,
    split_seed: options.SplitSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Find copies and leaks, split groups, conflicting labels, broken files, tiny classes."""
    from featbench.datasets import audit, fixed_splits, load_dataset
    from featbench.files import write_whole

    dataset = load_dataset(data, split_seed=split_seed)
    if fix_splits is not None and dataset.root is None:
        raise UsageError(
            "--fix-splits names files, so it needs a folder or a table: unpack the zip"
        )
    found = audit(dataset, ConsoleReporter())
    counts = found.counts()
    if as_json:
        groups = {
            kind: [[asdict(m) for m in group] for group in getattr(found, kind)]
            for kind in ("duplicates", "near_duplicates", "leaks", "conflicts")
        }
        lists = ("split_groups", "broken", "absent", "tiny")
        rest = {kind: getattr(found, kind) for kind in lists}
        print(json.dumps({"counts": counts, "groups": groups, **rest}))
    else:
        rows = [(name, str(count), _EXPLAINED[name]) for name, count in counts.items()]
        print_table(("found", "count", "what it is"), rows)
        _examples(found)
    if fix_splits is not None:
        write_whole(fix_splits, fixed_splits(dataset, found).encode("utf-8", "surrogateescape"))
        typer.echo(f"wrote {fix_splits}", err=True)
    if any(counts.values()) or dataset.problems:
        raise typer.Exit(3)


def _examples(found: "Audit", most: int = 5) -> None:
    """Show the first sets and groups that matter most, and the first broken files."""
    lines: list[str] = []
    shown: Sequence[list] = [*found.leaks[:most], *found.conflicts[:most]]  # type: ignore[type-arg]
    for group in shown:
        lines.append("same: " + "  ".join(f"{m.split}:{m.id} ({m.label})" for m in group[:4]))
    parted = found.split_groups[:most]
    lines += [f"split group: {group} in {', '.join(sides)}" for group, sides in parted]
    lines += [f"broken: {split}:{i}: {reason}" for split, i, reason in found.broken[:most]]
    lines += [f"absent: {c} in {split}" for split, c in found.absent[:most]]
    if lines:
        print("\n" + "\n".join(dict.fromkeys(lines)))

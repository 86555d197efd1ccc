"""Commands that look at a data set."""

import json
import shlex
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
    from featbench.datasets import Audit, Dataset

data_app = typer.Typer(help="Look at a data set.", no_args_is_help=True)
app.add_typer(data_app, name="data")

_MOST_CLASSES = 30
_EXPLAINED = {
    "duplicates": "sets of copies: images with the same content",
    "near_duplicates": "sets of nearly the same picture",
    "leaks": "of these sets of copies, those in more than one split",
    "conflicting_labels": "sets of copies with different labels",
    "split_groups": "groups (column group) that are in more than one split",
    "broken": "images that cannot be decoded",
    "missing": "files that the table names and that are not there",
    "left_out": "kinds of other things that were left out",
    "absent_classes": "classes without an image in a split",
    "tiny_classes": "classes with fewer than five training images",
}
_NEXT = {
    "duplicates": "keep one image of each set",
    "near_duplicates": "look at them; those of one scene belong in one group (column group)",
    "leaks": "{mend} --fix-splits mended.csv, then --data mended.csv",
    "conflicting_labels": "keep the right one of each set: a head learns from both",
    "split_groups": "leave the column split out: groups then stay together; or --fix-splits",
    "broken": "replace or remove them; every command skips them",
    "missing": "mend the column path (it is relative to the table's folder), or remove the lines",
    "left_out": "put images below class folders",
    "absent_classes": "a split of your own, a larger share (NAME:test=0.3), another --split-seed",
    "tiny_classes": "add images, or leave such a class out (NAME:classes=A,B)",
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
    """Show classes and splits; find copies and leaks, split groups, broken and missing files."""
    from featbench.datasets import audit, fixed_splits, load_dataset
    from featbench.files import write_whole

    dataset = load_dataset(data, split_seed=split_seed)
    if fix_splits is not None and dataset.root is None:
        raise UsageError(
            "--fix-splits names files, so it needs a folder or a table: unpack the zip"
        )
    reporter = ConsoleReporter()
    for line in (*dataset.notices, *dataset.problems):
        reporter.say(f"{dataset.name}: {line}")
    found = audit(dataset, reporter)
    counts = found.counts()
    has_findings = bool(any(counts.values()) or dataset.problems)
    if as_json:
        _print_json(dataset, found)
    else:
        _print_classes(dataset)
        rows = [(name, f"{count:,}", _EXPLAINED[name]) for name, count in counts.items()]
        print_table(("found", "count", "what it is"), rows)
        _examples(found)
        kinds = [name for name, count in counts.items() if count]
        seed = f" --split-seed {split_seed}" if split_seed else ""
        mend = f"featbench data check {shlex.quote(data)}{seed}"
        mend = mend if dataset.root else "unpack it first: featbench data check FOLDER"
        _verdict(mend, kinds, has_findings)
    if fix_splits is not None:
        write_whole(fix_splits, _as_utf8(fixed_splits(dataset, found)))
        typer.echo(f"wrote {fix_splits}", err=True)
    if has_findings:
        raise typer.Exit(3)


def _as_utf8(table: str) -> bytes:
    try:
        return table.encode()
    except UnicodeEncodeError as error:
        from featbench.untrusted import shown

        line = table[: error.start].rpartition("\n")[2] + table[error.start :].partition("\n")[0]
        raise UsageError(f"--fix-splits: {shown(line)} has a name that is not UTF-8; "
                         "rename it, for tables are UTF-8") from error  # fmt: skip


def _print_json(dataset: "Dataset", found: "Audit") -> None:
    sets = {
        kind: [[asdict(m) for m in group] for group in getattr(found, kind)]
        for kind in ("duplicates", "near_duplicates", "leaks", "conflicts")
    }
    lists = ("split_groups", "broken", "missing", "left_out", "absent", "tiny")
    rest = {kind: getattr(found, kind) for kind in lists}
    about = {"counts": found.counts(), "classes": dataset.class_counts()}
    print(json.dumps({**about, "groups": sets, **rest}))


def _print_classes(dataset: "Dataset") -> None:
    """Print how many images of each class each split has; of many classes the first."""
    from featbench.untrusted import shown

    by_class = list(dataset.class_counts().items())
    rows = [(shown(name), list(count.values())) for name, count in by_class[:_MOST_CLASSES]]
    if others := [count for _, count in by_class[_MOST_CLASSES:]]:
        sums = [sum(count[name] for count in others) for name in dataset.splits]
        rows.append((f"… and {len(others):,} more", sums))
    rows.append(("all", [len(split) for split in dataset.splits.values()]))
    print(f"{shown(dataset.name)}: {dataset.describe()}\n")
    print_table(
        ("class", *dataset.splits), [(name, *(f"{n:,}" for n in counts)) for name, counts in rows]
    )
    print()


def _examples(found: "Audit", most: int = 5) -> None:
    """Show the first sets, groups, files and classes that there is something about."""
    from featbench.untrusted import shown

    lines: list[str] = []
    for group in (
        *found.leaks[:most], *found.conflicts[:most],
        *found.duplicates[:most], *found.near_duplicates[:most],
    ):  # fmt: skip
        lines.append("same: " + "  ".join(f"{m.split}:{m.id} ({m.label})" for m in group[:4]))
    parted = found.split_groups[:most]
    lines += [f"split group: {group} in {', '.join(sides)}" for group, sides in parted]
    lines += [f"broken: {split}:{i}: {reason}" for split, i, reason in found.broken[:most]]
    lines += [f"missing: {path}" for path in found.missing[:most]]
    lines += [f"left out: {line}" for line in found.left_out[:most]]
    lines += [f"absent: {c} in {split}" for split, c in found.absent[:most]]
    lines += [f"tiny: {c}, {count} in train" for c, count in found.tiny[:most]]
    if lines:
        print("\n" + "\n".join(shown(line) for line in dict.fromkeys(lines)))


def _verdict(mend: str, kinds: Sequence[str], has_findings: bool) -> None:
    """Print how many kinds of things were found, what may be done, and the exit code."""
    steps = [f"{kind}: {_NEXT[kind].format(mend=mend)}" for kind in kinds]
    if steps:
        print("\nnext steps\n" + "\n".join(f"  {step}" for step in steps))
    n = max(len(kinds), int(has_findings))
    print(f"\n{n} {'finding' if n == 1 else 'findings'}: exit code 3" if n else "\nnothing found")

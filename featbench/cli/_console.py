"""What people see: progress bars, notices and errors on stderr, small tables on stdout."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from featbench.progress import Bar, Reporter

if TYPE_CHECKING:
    from featbench.experiments import Result


class _RateColumn(ProgressColumn):
    """Units a second; nothing where a unit takes longer than one."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        return Text(f"{speed:.0f} {unit}/s" if speed and speed >= 1 else "")


class _TaskBar:
    def __init__(self, progress: Progress, task: int) -> None:
        self._progress, self._task = progress, task

    def advance(self, count: int, note: str = "") -> None:
        self._progress.update(self._task, advance=count, note=note)  # type: ignore[arg-type]


class ConsoleReporter(Reporter):
    """Writes to stderr: a bar with rate and time left on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    def say(self, line: str) -> None:
        """Print one line."""
        self._console.print(line, style="dim", markup=False, soft_wrap=True)

    @contextmanager
    def bar(self, label: str, total: int, unit: str = "images") -> Iterator[Bar]:
        """Show a bar that goes away when it is done."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            _RateColumn(Column(no_wrap=True)),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        if not self._console.is_terminal:
            self.say(f"{label}: {total:,} {unit}")
        with Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        ) as progress:
            yield _TaskBar(progress, progress.add_task(label, total=total, unit=unit, note=""))


def print_error(message: str) -> None:
    """Print an error to stderr, its first word in red on a terminal."""
    console = Console(stderr=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(message, markup=False, soft_wrap=True)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns, the last one unpadded so that it can be cut from."""
    whole = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(row[i]) for row in whole) for i in range(len(headings))]
    for row in whole:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip(), file=sys.stdout)


def print_network(summary: dict[str, Any]) -> None:
    """Print a network's layers, its blocks and the sums."""
    rows = [
        (
            x["name"] if x["call"] == 1 else f"{x['name']} (call {x['call']})",
            x["kind"],
            "×".join(map(str, x["output"])),
            f"{x['parameters']:,}",
            f"{x['multiply_adds']:,}",
        )
        for x in summary["layers"]
    ]
    print_table(("layer", "kind", "output", "parameters", "multiply-adds"), rows)
    print()
    blocks = [
        (x["name"], f"{x['parameters']:,}", "yes" if x["trains"] else "") for x in summary["blocks"]
    ]
    print_table(("block", "parameters", "trains"), blocks)
    print(f"\n{summary['network']}: total {summary['total']:,}, trainable {summary['trainable']:,} "
          f"(from {summary['trained_from']} on)")  # fmt: skip
    image = "×".join(map(str, summary["input"]))
    print(
        f"{summary['multiply_adds']:,} multiply-adds for one image of {image}, in convolutions, "
        "linear layers and attention"
    )
    again = {x["name"] for x in summary["layers"] if x["call"] > 1}
    if again:
        print(f"every call is counted; called more than once: {len(again)} of the layers")


def one_line(result: "Result") -> str:
    """Return a run and how it ended, on one line."""
    what = f"{result.network} ({result.weights}) · {result.method}"
    if result.cut != "classifier":
        what += f" from {result.cut} on"
    if result.layer:
        what += f" at {result.layer}"
    if result.sample:
        drawn = ", ".join(f"{name}={count}" for name, count in result.sample.items())
        what += f", {drawn}, draw {result.seed}"
    if result.status != "ok" or result.test_accuracy is None or result.train_accuracy is None:
        return f"{what}: failed: {result.error}"
    if result.ledger:
        chosen = ", ".join(f"{k}={v}" for k, v in result.given.items() if k != "random_state")
        what += f" [{chosen or 'defaults'}, best of {len(result.ledger)}]"
    if result.approximate:
        what += " (approximate)"
    return (
        f"{what}: test {100 * result.test_accuracy:.1f}%, train {100 * result.train_accuracy:.1f}%,"
        f" fit {result.fit_seconds:.1f} s, run {result.run_id}"
    )

"""What commands that compute begin and end with: a session, one run, what was left out."""

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from featbench.cli._console import ConsoleReporter, one_line
from featbench.errors import UsageError
from featbench.progress import SILENT, Reporter

if TYPE_CHECKING:
    from featbench.experiments import ResultStore, Run, Session, Settled


def make_reporter(quiet: bool, chosen: "Settled") -> Reporter:
    reporter = SILENT if quiet else ConsoleReporter()
    for line in chosen.said:
        reporter.say(line)
    return reporter


def make_notice(quiet: bool) -> Callable[[str], None]:
    """Return what says a line on stderr, or nothing where that is asked."""
    return (SILENT if quiet else ConsoleReporter()).say


def open_session(
    chosen: "Settled",
    device: str,
    quiet: bool,
    strict: bool = False,
    *,
    memory: str | None = None,
    activation_budget: str | None = None,
    tensorboard: Path | None = None,
    mlflow: str | None = None,
) -> "Session":
    from featbench.experiments import Session

    return Session(
        cache=chosen.cache,
        results=chosen.results,
        device=device,
        strict=strict,
        memory=_bytes("--memory", memory),
        activation_budget=_bytes("--activation-budget", activation_budget),
        command=shlex.join(["featbench", *sys.argv[1:]]),
        tensorboard=tensorboard,
        mlflow=mlflow,
        reporter=make_reporter(quiet, chosen),
    )


def _bytes(option: str, text: str | None) -> int | None:
    """Return a size such as 4G or 512M in bytes."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if found is None or float(found[1]) == 0:
        raise UsageError(f"{option} {text}: expected a size such as 4G or 512M")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def run_one(run: "Run", session: "Session", again: bool, as_json: bool) -> None:
    result = session.run(run, again=again)
    print(json.dumps(result.model_dump()) if as_json else one_line(result))
    warn_skipped(session.skipped, session.store.folder / "RUN" / "skipped.csv")
    finish(bool(result.n_skipped or session.problems))


def warn_skipped(skipped: dict[str, str], listed: Path, most: int = 10) -> None:
    """Name the images that were left out, and why; say where all of them are listed."""
    from featbench.untrusted import shown

    lines: Iterable[Any] = list(skipped.items())[:most]
    for name, reason in lines:
        print(f"skipped {shown(name)}: {shown(reason)}", file=sys.stderr)
    if len(skipped) > most:
        print(f"skipped {len(skipped) - most} more: see {listed}", file=sys.stderr)


def warn_unreadable(store: "ResultStore") -> None:
    """Name the results that were left out; then there is something to look at."""
    for line in store.unreadable:
        print(f"left out: {line}", file=sys.stderr)
    finish(bool(store.unreadable))


def finish(something_to_look_at: bool) -> None:
    if something_to_look_at:
        print("done, but there is something to look at: exit code 3", file=sys.stderr)
        raise typer.Exit(3)

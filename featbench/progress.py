"""How long work tells what it is doing: a reporter is handed down, silent by default."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """A progress bar under way."""

    def advance(self, count: int, note: str = "") -> None:
        """Count so many more units done; ``note`` stands beside the bar."""


class Reporter:
    """Says nothing. The command line hands down one that writes to stderr."""

    def say(self, line: str) -> None:
        """Tell one line of news."""

    @contextmanager
    def bar(self, label: str, total: int, unit: str = "images") -> Iterator[Bar]:
        """Show progress over ``total`` units while the block runs."""
        yield _SilentBar()


class _SilentBar:
    def advance(self, count: int, note: str = "") -> None:
        """Do nothing."""


SILENT = Reporter()

"""Text that somebody else wrote, made harmless for readers' formats."""

import unicodedata

from featbench.markup import visible as visible


def isolated(text: str) -> str:
    """Return text between isolates where it has right-to-left letters: cells keep their order."""
    if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text):
        return f"\u2068{text}\u2069"
    return text


def width(text: str) -> int:
    """Return how many columns of a terminal text takes."""
    return sum(_width(c) for c in text)


def _width(c: str) -> int:
    if unicodedata.combining(c) or unicodedata.category(c) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1

"""Text that somebody else wrote, made harmless for readers' formats."""

import unicodedata

_SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def visible(text: str) -> str:
    """Return text as one line in which nothing acts unseen.

    A line break or tab is a space. Other control characters (a terminal would obey them), bytes
    that were no text, and marks that turn the direction of what follows them are their code points.
    """
    text = "".join(" " if c in _SPACES else c for c in text)
    return "".join(
        f"⟨U+{ord(c):04X}⟩" if c in _BIDI or unicodedata.category(c) in ("Cc", "Cs") else c
        for c in text
    )


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

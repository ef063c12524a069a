"""Making text from outside harmless where it enters (SPEC 7)."""

from collections.abc import Iterable
from typing import Final

LONGEST: Final = 200


def harmless(text: str, *, longest: int = LONGEST) -> str:
    """Strip control characters (C0, DEL, C1, separators, bidi, surrogates) and cut to `longest`.

    Runs of white space become one blank, so that a newline can never start a record, a status
    line or a terminal sequence of its own.
    """
    printable = "".join(char if char.isprintable() else " " for char in text[: longest * 8])
    squeezed = " ".join(printable.split())
    return squeezed if len(squeezed) <= longest else squeezed[: longest - 1] + "…"


def harmless_lines(text: str) -> str:
    """Strip control characters from a whole document; its lines stay as they are."""
    lines = text.split("\n")
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)


def nearest(word: str, known: Iterable[str]) -> str:
    """Find the known word most like `word`, case aside; "" where nothing is like it."""
    from difflib import get_close_matches  # noqa: PLC0415 - who makes no mistake never needs it

    folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(word[:100].casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""

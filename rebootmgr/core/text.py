"""Making text from outside harmless where it enters (SPEC 7)."""

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

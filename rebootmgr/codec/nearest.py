"""Guessing what somebody meant to type."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str:
    """Find the known word most like `word`, case aside; "" where nothing is like it."""
    folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(word[:100].casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""

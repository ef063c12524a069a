"""What every screen is made of: lines that fit, times that people read, colour if wanted."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from rebootmgr.control.described import UNKNOWN
from rebootmgr.text import harmless

LABEL: Final = 13
GATE: Final = 22
NARROWEST: Final = 40
GLUE: Final = "\N{NO-BREAK SPACE}"  # keeps an instant on one line; never from outside: harmless()
UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))

RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
DIM: Final = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """How and when it is looked at. `zone` None is this machine's own; `width` in columns."""

    now: datetime
    zone: tzinfo | None
    width: int
    color: bool

    def instant(self, at: datetime | None) -> str:
        """Say when, in local time with its zone, and how far away that is."""
        if at is None:
            return UNKNOWN
        ahead = (at - self.now).total_seconds()
        away = "now"
        if abs(ahead) >= 1:
            away = f"in {span(ahead)}" if ahead > 0 else f"{span(-ahead)} ago"
        text = f"{at.astimezone(self.zone):%a %Y-%m-%d %H:%M %Z} ({away})"
        return text.replace(" ", GLUE)

    def paint(self, text: str, color: str) -> str:
        """Colour `text` if colour is wanted."""
        return f"\x1b[{color}m{text}\x1b[0m" if self.color else text

    def wrap(self, text: str, *, indent: int) -> list[str]:
        """Break `text` into lines for a column that starts at `indent`."""
        width = max(self.width, NARROWEST) - indent
        lines = textwrap.wrap(text, width, break_on_hyphens=False)
        return [line.replace(GLUE, " ") for line in lines] or [""]

    def field(self, label: str, text: str, color: str = "") -> Iterator[str]:
        """Give a line `label: text`, and its continuation lines."""
        first, *rest = self.wrap(text, indent=LABEL + 2)
        yield f"{label:>{LABEL}}: {self.paint(first, color) if color else first}"
        yield from (" " * (LABEL + 2) + line for line in rest)

    def item(self, symbol: str, color: str, name: str, texts: list[str]) -> Iterator[str]:
        """Give one entry of a list: a symbol, a name, and texts in a column of their own."""
        lines = [line for text in texts for line in self.wrap(text, indent=GATE + 4)]
        first = lines[0] if lines else ""
        head = self.paint(f"{symbol} {harmless(name, longest=GATE):<{GATE}}", color)
        yield f" {head} {first}".rstrip()
        yield from (" " * (GATE + 4) + line for line in lines[1:])


def span(seconds: float) -> str:
    """Say a duration in its two largest units: `3 h 20 min`, `42 s`."""
    left = int(seconds)
    parts: list[str] = []
    for size, unit in UNITS:
        if left >= size or parts:
            count, left = divmod(left, size)
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in parts[:2] if part) or "0 s"

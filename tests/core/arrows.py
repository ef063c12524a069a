"""The arrows of the attempt, as the walked worlds show them: docs/design.md has them from here.

`python -m tests.core.arrows` walks every exploration and writes them anew. tests/core/test_world.py
compares each exploration with what stands there.
"""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rebootmgr.core.describe import name_of
from rebootmgr.core.events import Event
from rebootmgr.core.states import State
from tests.core.natures import DEEP, SHALLOW
from tests.core.world import Edge, Nature, World, explore

PAGE: Final = Path(__file__).parents[2] / "docs/design.md"
BEGIN: Final = "<!-- arrows: written by python -m tests.core.arrows -->"
END: Final = "<!-- arrows end -->"
ROW: Final = re.compile(r"\| `(\w+)` \| `(\w+)` \| ([^|]*) \| ([^|]*) \|")


@dataclass(frozen=True, slots=True, order=True)
class Arrow:
    """From one state of the attempt into another."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Row:
    """What stands in the page: an arrow, the events that it is seen after, and one walk with it."""

    arrow: Arrow
    events: frozenset[str]
    seen_in: str


class Arrows(dict[Arrow, set[str]]):
    """Every arrow that was seen, and the events that led along it."""

    def watch(self, before: State, event: Event, after: State) -> None:
        """Note one step."""
        start, end = name_of(before), name_of(after)
        if start is not end:
            self.setdefault(Arrow(start, end), set()).add(type(event).__name__)


def walk(nature: Nature) -> tuple[dict[World, list[Edge]], Arrows]:
    """Explore, and note the arrows."""
    arrows = Arrows()
    return explore(replace(nature, watch=arrows.watch)), arrows


def read_rows() -> list[Row]:
    """What stands in the page."""
    text = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    return [
        Row(Arrow(row[1], row[2]), frozenset(re.findall(r"`(\w+)`", row[3])), row[4])
        for row in ROW.finditer(text)
    ]


def written(rows: Iterable[Row]) -> str:
    """The diagram and the table."""
    rows = sorted(rows, key=lambda row: row.arrow)
    lines = ["", "```mermaid", "stateDiagram-v2"]
    lines += [f"    {row.arrow.start} --> {row.arrow.end}" for row in rows]
    lines += ["```", "", "| From | To | After | Seen in the walk |", "|---|---|---|---|"]
    for row in rows:
        events = ", ".join(f"`{event}`" for event in sorted(row.events))
        lines.append(f"| `{row.arrow.start}` | `{row.arrow.end}` | {events} | {row.seen_in} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the page anew."""
    events: dict[Arrow, set[str]] = {}
    walks: dict[Arrow, str] = {}
    for nature in (*SHALLOW, *DEEP):
        for arrow, after in walk(nature)[1].items():
            events.setdefault(arrow, set()).update(after)
            walks.setdefault(arrow, nature.name)
    rows = [Row(arrow, frozenset(after), walks[arrow]) for arrow, after in events.items()]
    head, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}{written(rows)}{END}{tail}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

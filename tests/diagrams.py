"""Draws the sequences that pages show, as SVG: `python -m tests.diagrams` writes them into docs.

A sequence is a column for each who takes part, and its rows from top to bottom. It follows the
colours of whoever looks (light or dark), and needs no font but the reader's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parent.parent / "docs"
COLUMN, MARGIN, HEAD, ROW, LINE = 250, 130, 56, 44, 17
STYLE: Final = """\
text { font: 14px sans-serif; fill: #1b1f24; text-anchor: middle; }
.paper { fill: #ffffff; } .head { font-weight: bold; } .note { fill: #fff4ce; stroke: #b58900; }
.box { fill: #e6f0fb; stroke: #3b6ea5; } .life { stroke: #8a94a0; stroke-dasharray: 3 4; }
.arrow { stroke: #1b1f24; fill: none; marker-end: url(#tip); } .no { stroke: #b3261e; }
.part { stroke: #8a94a0; } .tip { fill: #1b1f24; }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9ed; } .paper { fill: #16191d; } .note { fill: #3d3413; stroke: #b58900; }
.box { fill: #1d2c3d; stroke: #6b9bd0; } .arrow { stroke: #e6e9ed; } .no { stroke: #ff8a80; }
.tip { fill: #e6e9ed; }
}
"""


@dataclass(frozen=True, slots=True)
class Says:
    """One tells another something; `refuses` is drawn in red."""

    who: int
    whom: int
    text: str
    refuses: bool = False


@dataclass(frozen=True, slots=True)
class Does:
    """What somebody does alone, in one line or several."""

    who: int
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """A line across, from which on another way is told."""

    text: str


Row = Says | Does | Part


@dataclass(frozen=True, slots=True)
class Story:
    """What a picture tells, and its title for those who do not see it."""

    title: str
    actors: Sequence[str]
    rows: Sequence[Row]


GRANT: Final = Story(
    "Two hosts and one slot",
    ("node1", "lock server", "node2"),
    (
        Does(0, "an update is staged,\nevery gate of the host is open"),
        Says(0, 1, "pre-reboot"),
        Says(1, 0, "200: granted"),
        Says(2, 1, "pre-reboot"),
        Says(1, 2, "423: node1 holds the slot", refuses=True),
        Does(0, "pre-reboot.d, every gate\nonce more, reboot"),
        Does(0, "boot-complete.target,\npost-boot.d"),
        Says(0, 1, "steady-state"),
        Says(1, 0, "200: taken back"),
        Says(2, 1, "pre-reboot"),
        Says(1, 2, "200: granted"),
        Does(2, "reboots"),
    ),
)
FAILED: Final = Story(
    "An update fails on a host of a fleet",
    ("administrator", "host", "lock server", "other hosts"),
    (
        Does(1, "reboots with a slot, is judged:\nrolled_back or not_applied"),
        Says(1, 2, "report: the reboot failed"),
        Does(2, "halts the group;\nthe slot stays with the host"),
        Says(2, 3, "423: halted", refuses=True),
        Does(1, "staged again, it is tried again;\nfailed twice, it is quarantined"),
        Says(0, 1, "rebootmgrctl history, why"),
        Part("the update is bad: another one is staged"),
        Does(1, "reboots into that one: succeeded"),
        Says(1, 2, "steady-state"),
        Part("the host was the cause, and is mended"),
        Says(0, 1, "rebootmgrctl forgive"),
        Says(1, 2, "steady-state"),
        Part("in both cases"),
        Says(0, 2, "rebootmgrctl fleet resume"),
        Says(2, 3, "200: granted"),
    ),
)
PICTURES: Final[Mapping[str, Story]] = {"fleet-grant.svg": GRANT, "failed-update.svg": FAILED}


def _x(column: int) -> int:
    return MARGIN + column * COLUMN


def _lines(text: str, x: int, y: int, kind: str = "") -> Iterator[str]:
    named = f' class="{kind}"' if kind else ""
    for number, line in enumerate(text.split("\n")):
        yield f'<text x="{x}" y="{y + number * LINE}"{named}>{escape(line)}</text>'


def _drawn(row: Row, y: int, width: int) -> Iterator[str]:
    match row:
        case Says(who, whom, text, refuses):
            step = 4 if whom > who else -4
            kind = "arrow no" if refuses else "arrow"
            ends = f'x1="{_x(who) + step}" y1="{y + 8}" x2="{_x(whom) - step}" y2="{y + 8}"'
            yield f'<line class="{kind}" {ends}/>'
            beside = min(who, whom) if abs(whom - who) == 1 else max(who, whom) - 1
            yield from _lines(text, _x(beside) + COLUMN // 2, y)
        case Does(who, text):
            tall = 12 + LINE * len(text.split("\n"))
            box = f'x="{_x(who) - 119}" y="{y - 18}" width="238" height="{tall}" rx="4"'
            yield f'<rect class="note" {box}/>'
            yield from _lines(text, _x(who), y)
        case Part(text):
            yield f'<line class="part" x1="10" y1="{y - 4}" x2="{width - 10}" y2="{y - 4}"/>'
            yield from _lines(text, width // 2, y + 14, "head")


def _height(row: Row) -> int:
    match row:
        case Does(_, text):
            return ROW + LINE * text.count("\n")
        case Says() | Part():
            return ROW


def draw(told: Story) -> str:
    """Draw a sequence as SVG."""
    width = 2 * MARGIN + COLUMN * (len(told.actors) - 1)
    height = HEAD + 20 + sum(map(_height, told.rows))
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img">'
        ),
        f"<title>{escape(told.title)}</title>",
        f"<style>\n{STYLE}</style>",
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"'
            ' markerHeight="8" orient="auto"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>'
        ),
        f'<rect class="paper" width="{width}" height="{height}"/>',
    ]
    for column, name in enumerate(told.actors):
        x = _x(column)
        parts.append(f'<line class="life" x1="{x}" y1="{HEAD - 16}" x2="{x}" y2="{height - 8}"/>')
        parts.append(f'<rect class="box" x="{x - 75}" y="10" width="150" height="30" rx="4"/>')
        parts += _lines(name, x, 30, "head")
    y = HEAD + 22
    for row in told.rows:
        parts += _drawn(row, y, width)
        y += _height(row)
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    for file, sequence in PICTURES.items():
        (DOCS / file).write_text(draw(sequence), "utf-8")

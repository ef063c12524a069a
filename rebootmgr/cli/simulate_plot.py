"""A simulated roll-out as a drawing: requests a second and hosts down over time, in SVG."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from rebootmgr.cli.page import span
from rebootmgr.cli.simulate_page import mean_levels
from rebootmgr.simulation.outcome import Outcome

WIDTH: Final = 800
HEIGHT: Final = 240  # of one panel
LEFT: Final = 70
TOP: Final = 30
COLUMNS: Final = 360
TICKS: Final = 6
STYLE: Final = 'font-family="sans-serif" font-size="12" fill="#333"'


def encode_plot(found: Outcome) -> str:
    """Draw it; the first moment, in which all hosts may ask at once, is cut off and said."""
    first = min(found.requests, default=0)
    end = max([first + COLUMNS, *found.requests, *found.down]) + 1
    step = -(-(end - first) // COLUMNS)
    bounds = list(range(first, end + step, step))
    rates = [0.0] * (len(bounds) - 1)
    for second, count in found.requests.items():
        rates[(second - first) // step] += count / step
    down = list(mean_levels(found.down, bounds))
    shown = sorted(rates)[-2] if len(rates) > 1 and sorted(rates)[-2] else max(rates)
    cut = f", {rates[0]:.0f} in the first {span(step)}" if rates[0] > shown else ""
    high = 2 * HEIGHT
    body = (
        *_panel(f"requests a second{cut}", rates, shown, top=0),
        *_panel("hosts down", down, max(down), top=HEIGHT),
        *_times(end - first),
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high + TOP}">',
            f'<rect width="{WIDTH}" height="{high + TOP}" fill="white"/>',
            *body,
            "</svg>\n",
        )
    )


def _panel(title: str, values: list[float], most: float, *, top: int) -> Iterator[str]:
    most = most or 1.0
    wide, deep = (WIDTH - LEFT - 10) / len(values), HEIGHT - 2 * TOP
    floor = top + TOP + deep
    heights = [deep * min(value / most, 1.0) for value in values]
    corners = [LEFT + wide * place for place in range(len(values) + 1)]
    points = " ".join(
        f"{x:.1f},{floor - tall:.1f}"
        for (begin, end), tall in zip(pairwise(corners), heights, strict=True)
        for x in (begin, end)
    )
    yield _text(LEFT, top + TOP - 8, title, "start")
    for share in (0.0, 0.5, 1.0):
        y = floor - deep * share
        yield f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>'
        yield _text(LEFT - 6, y + 4, f"{most * share:.4g}", "end")
    yield f'<polygon points="{LEFT},{floor} {points} {WIDTH - 10},{floor}" fill="#4477aa"/>'


def _times(length: int) -> Iterator[str]:
    for place in range(TICKS + 1):
        x = LEFT + (WIDTH - LEFT - 10) * place / TICKS
        anchor = "end" if place == TICKS else "middle"
        yield _text(x, 2 * HEIGHT - TOP + 16, span(length * place // TICKS), anchor)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {STYLE}>{text}</text>'

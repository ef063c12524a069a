"""A simulated roll-out as a drawing: SVG."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from math import ceil, floor, log10
from typing import Final
from xml.sax.saxutils import escape

from rebootmgr.cli.page import span
from rebootmgr.cli.simulate_page import count, mean_levels, sized
from rebootmgr.core.window import Opening, openings
from rebootmgr.simulation.report import Rollout
from rebootmgr.simulation.scenario import Scenario

WIDTH: Final = 800
LEFT: Final = 64
RIGHT: Final = WIDTH - 52  # half a label of a time
HEAD: Final = 68  # title, and a line below it
PANEL: Final = 176
DEEP: Final = 120  # of a panel, its curve
FOOT: Final = 24
COLUMNS: Final = 360
MOST_TICKS: Final = 8
MINUTES: Final = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
DAY: Final = 1440
DAYS: Final = (1, 2, 7, 14, 28, 56, 112)
ROUND: Final = (1, 2, 5, 10)
INK: Final = "#333"
GRID: Final = "#ccc"
BAND: Final = "#eebb55"
COLORS: Final = ("#228833", "#4477aa", "#aa3377")


@dataclass(frozen=True, slots=True)
class _Axis:
    """Time from left to right: seconds since the begin of the simulation, in whole steps."""

    begun: datetime
    zone: tzinfo
    first: int
    last: int
    step: int

    def place(self, second: float) -> float:
        share = (second - self.first) / (self.last - self.first)
        return LEFT + (RIGHT - LEFT) * min(max(share, 0.0), 1.0)

    def second(self, at: datetime) -> float:
        return (at - self.begun).total_seconds()

    def at(self, second: float) -> datetime:
        return self.begun + timedelta(seconds=second)


@dataclass(frozen=True, slots=True)
class _Curve:
    """What one panel shows: a value for each of some equal stretches of time."""

    title: str
    values: list[float]
    most: float
    is_whole: bool = True


def encode_plot(found: Rollout, scenario: Scenario, zone: tzinfo) -> str:
    """Draw hosts done, hosts down and requests over the time in which anything happened.

    The first moment, in which all hosts may ask at once, is cut off in the last, and said.
    """
    axis = _axis(found, zone)
    bands = list(_bands(scenario, axis))
    high = HEAD + PANEL * len(COLORS) + FOOT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}">',
        f"<title>{escape(_title(found, scenario))}</title>",
        f'<rect width="{WIDTH}" height="{high}" fill="white"/>',
        _text(LEFT, 26, _title(found, scenario), size=16),
        _text(LEFT, 46, _below(found, scenario, axis, is_shaded=bool(bands))),
    ]
    for place, (curve, color) in enumerate(zip(_curves(found, axis), COLORS, strict=True)):
        lines += _panel(curve, color, axis, bands, top=HEAD + PANEL * place)
    return "\n".join((*lines, "</svg>\n"))


def _title(found: Rollout, scenario: Scenario) -> str:
    fleet = sized(scenario)
    if not found.updated:
        return f"Roll-out to {fleet}: none updated"
    many = "all" if found.updated == found.hosts else f"{found.updated}"
    return f"Roll-out to {fleet}: {many} updated within {span(found.duration.total_seconds())}"


def _below(found: Rollout, scenario: Scenario, axis: _Axis, *, is_shaded: bool) -> str:
    begin = f"{axis.at(axis.first).astimezone(axis.zone):from %a %Y-%m-%d %H:%M %Z}"
    parts = [begin]
    if is_shaded:
        parts.append("shaded: a window is open")
    late, never = (sum(left.hosts for left in those) for those in (found.unfinished, found.never))
    if late:
        parts.append(f"not yet after {span(scenario.length_s)}: {count(late, 'host')}")
    if never:
        parts.append(f"never: {count(never, 'host')}")
    return "; ".join(parts)


def _axis(found: Rollout, zone: tzinfo) -> _Axis:
    """Take the time from the first to the last thing that happened, or all where nothing did."""
    seconds = [*found.requests, *found.down, *found.done]
    whole = int((found.ended - found.begun).total_seconds())
    first, last = (min(seconds), max(seconds) + 1) if seconds else (0, whole)
    length = max(last - first, 60)
    step = -(-length // COLUMNS)
    return _Axis(found.begun, zone, first, first + step * -(-length // step), step)


def _bands(scenario: Scenario, axis: _Axis) -> Iterator[Opening]:
    """When the calendar of some host lets it reboot, before splay."""
    calendars = dict.fromkeys(policy.calendar for policy in scenario.policies)
    for calendar in calendars:
        if calendar.periodic or calendar.blackouts:
            yield from openings(calendar, axis.at(axis.first), axis.at(axis.last))


def _curves(found: Rollout, axis: _Axis) -> Iterator[_Curve]:
    step = axis.step
    bounds = list(range(axis.first, axis.last + 1, step))
    rates = [0.0] * (len(bounds) - 1)
    for second, asked in found.requests.items():
        rates[(second - axis.first) // step] += asked / step
    shown = sorted(rates)[-2] if len(rates) > 1 and sorted(rates)[-2] else max(rates)
    is_cut = rates[0] > round_levels(shown, is_whole=False)[-1]
    cut = f" (cut off: {rates[0]:.1f} in the first {span(step)})" if is_cut else ""
    down = list(mean_levels(found.down, bounds))
    yield _Curve("hosts done", list(_last_levels(found.done, bounds)), found.hosts)
    yield _Curve("hosts down for their reboot", down, max(down))
    yield _Curve(f"requests a second to the lock server{cut}", rates, shown, is_whole=False)


def _last_levels(levels: Mapping[int, int], bounds: list[int]) -> Iterator[float]:
    """Give the level at the end of each stretch: what is done stays done."""
    changes, level = iter(sorted(levels.items())), 0
    change = next(changes, None)
    for end in bounds[1:]:
        while change is not None and change[0] < end:
            level, change = change[1], next(changes, None)
        yield level


def _panel(
    curve: _Curve, color: str, axis: _Axis, bands: list[Opening], *, top: int
) -> Iterator[str]:
    """Draw one: bands behind the grid, the grid behind the curve."""
    ticks = round_levels(curve.most, is_whole=curve.is_whole)
    most, roof = ticks[-1], top + PANEL - DEEP - 24
    bottom = roof + DEEP
    for band in bands:
        x, end = (axis.place(axis.second(at)) for at in (band.start, band.end))
        yield (
            f'<rect class="window" x="{x:.1f}" y="{roof}" width="{max(end - x, 0.5):.1f}" '
            f'height="{DEEP}" fill="{BAND}" fill-opacity="0.35"/>'
        )
    yield _text(LEFT, roof - 10, curve.title)
    for tick in ticks:
        y = bottom - DEEP * tick / most
        yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
        yield _text(LEFT - 8, y + 4, f"{tick:.10g}", anchor="end")
    for at, label in round_times(axis.at(axis.first), axis.at(axis.last), axis.zone):
        x = axis.place(axis.second(at))
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{roof}" y2="{bottom + 4}" stroke="{GRID}"/>'
        yield _text(x, bottom + 18, label, anchor="middle")
    yield _area(curve.values, most, color, bottom)


def _area(values: list[float], most: float, color: str, bottom: int) -> str:
    wide = (RIGHT - LEFT) / len(values)
    tall = [bottom - DEEP * min(value / most, 1.0) for value in values]
    corners = pairwise(LEFT + wide * place for place in range(len(values) + 1))
    points = " ".join(
        f"{x:.1f},{y:.1f}" for ends, y in zip(corners, tall, strict=True) for x in ends
    )
    around = f"{LEFT},{bottom} {points} {RIGHT},{bottom}"
    return f'<polygon points="{around}" fill="{color}" fill-opacity="0.8"/>'


def round_levels(most: float, *, is_whole: bool) -> list[float]:
    """Give at most six round numbers from 0 up to one that is at least `most`."""
    rough = (most or 1.0) / 5
    size = 10.0 ** floor(log10(rough))
    step = next(size * each for each in ROUND if size * each >= rough * (1 - 1e-9))
    if is_whole:
        step = max(step, 1.0)
    return [round(step * place, 9) for place in range(ceil((most or 1.0) / step - 1e-9) + 1)]


def round_times(start: datetime, end: datetime, zone: tzinfo) -> list[tuple[datetime, str]]:
    """Give at most eight round times in [start, end] on the clocks of `zone`, as they are said."""
    length = (end - start) / timedelta(minutes=1)
    midnight = datetime.combine(start.astimezone(zone), datetime.min.time())
    minutes = next((each for each in MINUTES if length < MOST_TICKS * each), None)
    if minutes is not None:
        step = timedelta(minutes=minutes)
    else:
        days = next(each for each in DAYS if length < MOST_TICKS * each * DAY)
        midnight -= timedelta(days=midnight.weekday() if days >= 7 else 0)
        step = timedelta(days=days)
    found: dict[datetime, str] = {}
    days_said: set[date] = set()
    wall = midnight
    while (at := wall.replace(tzinfo=zone).astimezone(UTC)) <= end:
        if at >= start and at not in found:
            shown = at.astimezone(zone)  # not `wall`, which the clocks may leave out
            day = "" if shown.date() in days_said else f"{shown:%a %m-%d}"
            clock = f"{shown:%H:%M}" if minutes is not None else ""
            found[at] = f"{day} {clock}".strip()
            days_said.add(shown.date())
        wall += step
    return sorted(found.items())


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    style = f'font-family="sans-serif" font-size="{size}" fill="{INK}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {style}>{escape(text)}</text>'

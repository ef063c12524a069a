"""A simulated roll-out as text for people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Final

from rebootmgr.cli.page import Page, span
from rebootmgr.simulation.report import Left, Rollout
from rebootmgr.simulation.scenario import Scenario

MOST_ROWS: Final = 18
ROWS_S: Final = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
DAY_S: Final = 86400
TIME: Final = 10
NUMBER: Final = 8


def render_outcome(
    found: Rollout, scenario: Scenario, zone: tzinfo, *, width: int
) -> Iterator[str]:
    """Give what was simulated, what came of it, and how it went over time."""
    page = Page(now=scenario.start, zone=zone, width=width, color=False)
    yield from page.field("fleet", _fleet(scenario))
    yield from page.field("updated", _updated(found, page))
    if any(policy.deadlines for policy in scenario.policies):
        yield from page.field("deadlines", _by_deadline(found))
    for left in found.unfinished:
        yield from page.field("not yet", _left(left, f" after {span(scenario.length_s)}"))
    for left in found.never:
        yield from page.field("never", _left(left))
    yield from page.field("slots", _slots(found))
    yield from page.field("requests", _requests(found))
    if found.requests:
        yield ""
        yield from _bars(found, width=min(width, 80))


def _fleet(scenario: Scenario) -> str:
    terms = scenario.terms
    parts = [sized(scenario)]
    low, high = min(scenario.reboots_s), max(scenario.reboots_s)
    low, high = low * (1 - scenario.spread), high * (1 + scenario.spread)
    taken = span(low) if span(low) == span(high) else f"{span(low)} to {span(high)}"
    parts.append(f"a reboot takes {taken}")
    if scenario.configured is not None:
        parts.append("rebootmgr-lockd as it is configured")
    elif terms.lends:
        parts.append("rebootmgr-lockd")
    if scenario.canaries:
        parts.append(f"{count(scenario.canaries, 'canary', 'canaries')} first")
    if scenario.polling:
        parts.append(f"{100 * scenario.polling:g} % of them poll")
    whose = []
    if any(policy.calendar.periodic for policy in scenario.policies):
        whose.append("its configuration")
    if (server := scenario.configured) and any(map(server.is_timed, server.sizes)):
        whose.append("the lock server")
    parts.append(f"in the windows of {' and '.join(whose)}" if whose else "at any time")
    return ", ".join(parts)


def sized(scenario: Scenario) -> str:
    """Say how many hosts there are, and slots for them."""
    hosts, terms, configured = count(scenario.hosts, "host"), scenario.terms, scenario.configured
    if configured is not None:
        return f"{hosts}: " + ", ".join(
            f"{number} in {group} with {count(configured.terms_of(group).slots, 'slot')}"
            for group, number in configured.sizes.items()
        )
    of_each = f" for each of {terms.groups} groups" if terms.groups > 1 else ""
    return f"{hosts}, {count(terms.slots, 'slot')}{of_each}"


def render_needed(scenario: Scenario) -> str:
    """Say how many slots it takes."""
    configured = scenario.configured
    whose = f"in {' and in '.join(configured.last)}" if configured else "of each group"
    return f"{count(scenario.terms.slots, 'slot')} {whose}; with fewer it takes longer"


def _updated(found: Rollout, page: Page) -> str:
    if found.last_update is None or found.first_request is None:
        return f"none of {found.hosts}"
    many = (
        f"all {found.hosts}"
        if found.updated == found.hosts
        else f"{found.updated} of {found.hosts}"
    )
    first, last = (_when(at, page) for at in (found.first_request, found.last_update))
    return f"{many} within {span(found.duration.total_seconds())}, from {first} to {last}"


def _by_deadline(found: Rollout) -> str:
    if not found.by_deadline:
        return "no host went by deadline"
    missed = count(found.by_deadline, "host")
    return f"{missed} found no window in time, and went without by deadline"


def _when(at: datetime, page: Page) -> str:
    return f"{at.astimezone(page.zone):%a %Y-%m-%d %H:%M:%S %Z}"


def _left(left: Left, after: str = "") -> str:
    why = "; ".join(detail for _, detail in left.why)
    such = "" if left.hosts == 1 else f", such as {left.example}"
    return f"{count(left.hosts, 'host')}{after}{such}: {why}"


def _slots(found: Rollout) -> str:
    most = max(found.down.values(), default=0)
    used = f"{100 * found.utilisation:.1f} % in use while any host wanted one"
    return f"{used}; at most {count(most, 'host')} down at the same time"


def _requests(found: Rollout) -> str:
    each = found.all_requests / found.hosts
    return (
        f"{found.all_requests}, {each:.1f} for each host (2 are the least); "
        f"{found.mean:.1f} a second on average, {found.peak} in the busiest"
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A part of the time: it begins at `start`, in seconds."""

    start: int
    requests: float
    down: float


def _bars(found: Rollout, *, width: int) -> Iterator[str]:
    rows = list(_rows(found))
    room = (width - TIME - 2 * (NUMBER + 2)) // 2
    busiest = max(row.requests for row in rows) or 1.0
    deepest = max(row.down for row in rows) or 1.0
    yield f"{'after':<{TIME}}{'requests/s':<{room + NUMBER + 2}}hosts down"
    for row in rows:
        asked, down = (
            "#" * round(room * share) for share in (row.requests / busiest, row.down / deepest)
        )
        left = f"{row.requests:>{NUMBER}.1f} {asked:<{room}} "
        yield f"{span(row.start):<{TIME}}{left}{row.down:>{NUMBER}.0f} {down}".rstrip()


def _rows(found: Rollout) -> Iterator[_Row]:
    first = min(found.requests)
    end = max(*found.requests, *found.down, first + 1) + 1
    whole = end - first
    fitting = (length for length in ROWS_S if length * MOST_ROWS >= whole)
    length = next(fitting, DAY_S * -(-whole // (DAY_S * MOST_ROWS)))
    starts = range(first, end, length)
    asked = dict.fromkeys(starts, 0)
    for second, times in found.requests.items():
        asked[first + (second - first) // length * length] += times
    down = mean_levels(found.down, [*starts, starts[-1] + length])
    for start, level in zip(starts, down, strict=True):
        yield _Row(start - first, asked[start] / length, level)


def mean_levels(levels: Mapping[int, int], bounds: list[int]) -> Iterator[float]:
    """Give the mean level between two bounds each; `levels` says what it changes to, and when."""
    changes = sorted(levels.items())
    place, level = 0, 0
    for start, end in pairwise(bounds):
        area, since = 0, start
        while place < len(changes) and changes[place][0] < end:
            at, changed = changes[place]
            if at > since:
                area += level * (at - since)
                since = at
            level, place = changed, place + 1
        yield (area + level * (end - since)) / (end - start)


def count(number: int, noun: str, several: str = "") -> str:
    """Say how many: `1 host`, `2 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {several or f'{noun}s'}"

"""What was lent, refused and written since the start, in numbers."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rebootmgr.lending.group import Fleet
from rebootmgr.lending.questions import (
    Came,
    Change,
    Failed,
    Frozen,
    Halted,
    Joined,
    Left,
    Lent,
    Resumed,
    SlotsSet,
    TakenBack,
    Thawed,
)
from rebootmgr.lending.terms import Moment, Rules

SPANS_S: Final = (1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 4 * 3600.0, 24 * 3600.0)
STORE_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
UNCONFIGURED: Final = ""  # stands for every group that nobody configured: there may be many


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values were up to each edge, and beyond the last; not summed up. `total` is all."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    def with_value(self, value: float) -> "Histogram":
        """Count one more."""
        place = bisect_left(self.edges, value)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Histogram(self.edges, counts, self.total + value)


def empty(edges: tuple[float, ...]) -> Histogram:
    """Begin to count."""
    return Histogram(edges, (0,) * (len(edges) + 1), 0.0)


@dataclass(frozen=True, slots=True)
class Counts:
    """All of it at one instant. By group; refusals by group and kind; the store by operation."""

    grants: Mapping[str, int]
    returns: Mapping[str, int]
    refusals: Mapping[tuple[str, str], int]
    waits: Mapping[str, Histogram]
    holds: Mapping[str, Histogram]
    store: Mapping[str, Histogram]
    store_errors: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A wait that ended in a grant, or a hold that ended in a return."""

    group: str
    span_s: float
    granted: bool


@dataclass(slots=True)
class Tally:
    """Counts as it goes."""

    grants: Counter[str] = field(default_factory=Counter)
    returns: Counter[str] = field(default_factory=Counter)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    waits: dict[str, Histogram] = field(default_factory=dict)
    holds: dict[str, Histogram] = field(default_factory=dict)
    store: dict[str, Histogram] = field(default_factory=dict)
    store_errors: int = 0

    def counts(self) -> Counts:
        """Give what was counted, as of now."""
        return Counts(
            dict(self.grants),
            dict(self.returns),
            dict(self.refusals),
            dict(self.waits),
            dict(self.holds),
            dict(self.store),
            self.store_errors,
        )

    def took(self, operation: str, span_s: float) -> None:
        """Count how long the store took."""
        known = self.store.get(operation, empty(STORE_S))
        self.store[operation] = known.with_value(span_s)

    def has_ended(self, ended: tuple[Ended, ...]) -> None:
        """Count grants and returns that are on disk."""
        for one in ended:
            counter, spans = (
                (self.grants, self.waits) if one.granted else (self.returns, self.holds)
            )
            counter[one.group] += 1
            spans[one.group] = spans.get(one.group, empty(SPANS_S)).with_value(one.span_s)


def label(group: str, rules: Rules) -> str:
    """Name a group as it is counted."""
    return group if group in rules.groups else UNCONFIGURED


def ends(before: Fleet, changes: tuple[Change, ...], rules: Rules, at: Moment) -> tuple[Ended, ...]:
    """Say which waits and holds of the fleet as it was end by these changes."""
    found = []
    for change in changes:
        match change:
            case Lent(group=name, id=host):
                if host in before.group(name).holders:
                    continue
                entry = before.group(name).queue.find(host)
                wait_s = 0.0 if entry is None else at.s - entry.joined_s
                found.append(Ended(label(name, rules), wait_s, granted=True))
            case TakenBack(group=name, id=host):
                holder = before.group(name).holders.get(host)
                held_s = 0.0 if holder is None else at.s - holder.since_s
                found.append(Ended(label(name, rules), held_s, granted=False))
            case Joined() | Left() | SlotsSet() | Frozen() | Thawed():
                pass
            case Failed() | Came() | Halted() | Resumed():
                pass
    return tuple(found)

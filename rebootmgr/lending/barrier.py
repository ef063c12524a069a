"""What is asked of each host alone: that others went first, and that its kind is not down already.

The rest of the queue goes on meanwhile.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from rebootmgr.lending.questions import About, Kind
from rebootmgr.lending.terms import Moment

_LATELY: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Before:
    """A group that goes first. Nobody in it has held, waited or failed since `quiet_s`; None: now.

    `came` are the versions into which its hosts came back, and when; "": they told none.
    """

    name: str
    came: Mapping[str, datetime]
    quiet_s: float | None


@dataclass(frozen=True, slots=True)
class Barrier:
    """The groups before this one, how long each must have been quiet, and how hosts are spread.

    `down` are how many holders have each value of the label.
    """

    before: tuple[Before, ...]
    soak_s: float
    label: str
    most: int
    down: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why this host gets nothing, while others may, and at what second that may end at best."""

    kind: Kind
    detail: str
    until_s: float


class Telling(Protocol):
    """Somebody who told what he is."""

    @property
    def about(self) -> About:
        """What was told."""


def down_by(label: str, holders: Iterable[Telling]) -> Mapping[str, int]:
    """Count the values of a label."""
    found = Counter(value_of(label, one.about) for one in holders)
    return {value: number for value, number in found.items() if value}


def value_of(label: str, about: About) -> str:
    """Give what a host says of itself by this label; "": nothing, and it counts for itself."""
    return next((value for key, value in about.labels if key == label), "")


def obstacle(barrier: Barrier | None, about: About, at: Moment) -> Obstacle | None:
    """Say what is in the way of a host that tells this of itself."""
    if barrier is None:
        return None
    for before in barrier.before:
        if (found := _waits_for(before, barrier.soak_s, about.target, at)) is not None:
            return found
    if not barrier.label:
        return None
    value = value_of(barrier.label, about)
    down = barrier.down.get(value, 0)
    if not value or down < barrier.most:
        return None
    return Obstacle(Kind.SPREAD, f"{down} with {barrier.label}={value}", at.s)


def _waits_for(before: Before, soak_s: float, target: str, at: Moment) -> Obstacle | None:
    kind, name = Kind.WAITING_FOR_GROUP, before.name
    if target and target not in before.came:
        detail = f"no host of group {name} has come back with {target}"
        return Obstacle(kind, detail, at.s + soak_s)
    if not target and not any(at.wall - when <= _LATELY for when in before.came.values()):
        detail = f"no host of group {name} has come back within 7 days"
        return Obstacle(kind, detail, at.s + soak_s)
    if before.quiet_s is None:
        detail = f"hosts of group {name} hold or wait for slots"
        return Obstacle(kind, detail, at.s + soak_s)
    until_s = before.quiet_s + soak_s
    if at.s < until_s:
        return Obstacle(kind, f"group {name} has not been quiet for long enough", until_s)
    return None

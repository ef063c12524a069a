"""What happened in a fleet, for people who ask later: who got a slot, and who did what."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from rebootmgr.lending.group import Fleet
from rebootmgr.lending.questions import (
    About,
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
from rebootmgr.lending.terms import Moment

MOST_KEPT: Final = 100_000  # of the latest: four roll-outs to 10,000 hosts, some 20 MB


class What(StrEnum):
    """What it was."""

    LENT = "lent"
    RETURNED = "returned"
    TAKEN_BACK = "taken_back"
    FAILED = "failed"
    RECOVERED = "recovered"
    HALTED = "halted"
    RESUMED = "resumed"
    FROZEN = "frozen"
    THAWED = "thawed"
    SLOTS = "slots"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One thing that happened in a group ("": in all of them), to a host or to the group itself.

    `by` is the administrator who did it, "" where the host or time did. `detail` is a reason, two
    versions, or a number of slots. A slot that came back was held for `held_s`; what an
    administrator ordered is to end at `until`.
    """

    at: datetime
    group: str
    what: What
    id: str = ""
    name: str = ""
    by: str = ""
    detail: str = ""
    held_s: int | None = None
    until: datetime | None = None


def happened(before: Fleet, changes: tuple[Change, ...], at: Moment) -> tuple[Happened, ...]:
    """Say what these changes of the fleet as it was mean to people; who waits is no news."""
    return tuple(one for change in changes for one in _news(before, change, at))


def _news(before: Fleet, change: Change, at: Moment) -> Iterator[Happened]:
    wall = at.wall
    match change:
        case Lent(group, host) if host in before.group(group).holders:
            pass  # it was told so again
        case Lent(group, host, name, when, about, _):
            detail = _versions(about)
            yield Happened(at=when, group=group, what=What.LENT, id=host, name=name, detail=detail)
        case TakenBack(group, host, by):
            holder = before.group(group).holders.get(host)
            yield Happened(
                at=wall,
                group=group,
                what=What.TAKEN_BACK if by else What.RETURNED,
                id=host,
                name="" if holder is None else holder.name,
                by=by,
                held_s=None if holder is None else round(max(at.s - holder.since_s, 0.0)),
            )
        case Failed(group, host, reason):
            holder = before.group(group).holders.get(host)
            what, name = What.FAILED if reason else What.RECOVERED, holder.name if holder else ""
            yield Happened(at=wall, group=group, what=what, id=host, name=name, detail=reason)
        case Halted(group, reason, when):
            yield Happened(at=when, group=group, what=What.HALTED, detail=reason)
        case Resumed(group, by):
            yield Happened(at=wall, group=group, what=What.RESUMED, by=by)
        case Frozen(group, reason, until, by, when):
            yield Happened(
                at=when, group=group, what=What.FROZEN, by=by, detail=reason, until=until
            )
        case Thawed(group, by):
            yield Happened(at=wall, group=group, what=What.THAWED, by=by)
        case SlotsSet(group, slots, until, by):
            detail = "" if slots is None else str(slots)
            yield Happened(at=wall, group=group, what=What.SLOTS, by=by, detail=detail, until=until)
        case Joined() | Left() | Came():
            pass


def _versions(about: About) -> str:
    if not (about.booted or about.target):
        return ""
    return f"{about.booted or '?'} → {about.target or '?'}"

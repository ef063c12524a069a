"""What administrators want, and what they are shown, in JSON."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, TypeAlias

from rebootmgr import __version__
from rebootmgr.fleetlock import admin_names
from rebootmgr.instants import encode_instant
from rebootmgr.lending.barrier import obstacle
from rebootmgr.lending.group import Fleet, Group, Holder, slots_of
from rebootmgr.lending.history import Happened
from rebootmgr.lending.questions import (
    Ambiguous,
    Answer,
    Crowded,
    Done,
    FreezeGroup,
    Granted,
    NoSuchHolder,
    Refused,
    Release,
    Resume,
    Returned,
    SetSlots,
    Thaw,
    Unavailable,
    UnknownGroup,
)
from rebootmgr.lending.queue import Waiting
from rebootmgr.lending.saying import counted, sentence
from rebootmgr.lending.standing import looked_at
from rebootmgr.lending.standstill import Freeze
from rebootmgr.lending.terms import MAX_HOLD_S, Moment, Rules
from rebootmgr.lending.turns import turn_s
from rebootmgr.lockd.http.wire_words import Said, Unfit
from rebootmgr.lockd_config.keys import MOST_SLOTS
from rebootmgr.table import FaultError, Json, Table
from rebootmgr.text import harmless

LONGEST_REASON: Final = 200
_GROUP: Final = re.compile(r"[a-zA-Z0-9.-]{1,253}")

Wish: TypeAlias = Release | SetSlots | FreezeGroup | Thaw | Resume
Document: TypeAlias = dict[str, Json]


def decode_wish(path: str, body: bytes, by: str, at: Moment) -> Wish | Unfit:
    """Read what is wanted at `path`, which is one of those that change something."""
    try:
        return _wish(path, Table(json.loads(body.decode("utf-8", "replace")), "the body"), by, at)
    except FaultError as error:
        return Unfit(str(error))
    except (ValueError, RecursionError):
        return Unfit("the body is not JSON")


def _wish(path: str, body: Table, by: str, at: Moment) -> Wish | Unfit:
    match path:
        case admin_names.RELEASE:
            host = body.text("host")
            return Release(_group(body), host, by) if host else Unfit("the host is missing")
        case admin_names.SLOTS:
            return _slots(body, by, at)
        case admin_names.FREEZE:
            reason = harmless(body.text("reason"), longest=LONGEST_REASON)
            until = body.maybe("until", body.time)
            if not reason:
                return Unfit("the reason is missing: those that are refused are told it")
            if until is not None and until <= at.wall:
                return Unfit("its end is in the past")
            return FreezeGroup(_group(body), reason, until, by)
        case admin_names.THAW:
            return Thaw(_group(body), by)
        case admin_names.RESUME:
            group, forgive = _group(body), body.maybe("forgive", body.text) or ""
            return Resume(group, forgive, by) if group else Unfit("the group is missing")
        case _:
            raise AssertionError(path)


def _slots(body: Table, by: str, at: Moment) -> SetSlots | Unfit:
    slots, until = body.maybe("slots", body.whole), body.maybe("until", body.time)
    if slots is not None and not 0 <= slots <= MOST_SLOTS:
        return Unfit(f"slots must be a whole number from 0 to {MOST_SLOTS}")
    if until is not None and until <= at.wall:
        return Unfit("its end is in the past")
    group = _group(body)
    return SetSlots(group, slots, until, by) if group else Unfit("the group is missing")


def _group(body: Table) -> str:
    """Read a group; "" where none is meant, or all."""
    group = body.maybe("group", body.text) or ""
    if group and not _GROUP.fullmatch(group):
        raise FaultError("a group has letters, digits, dots and dashes, 253 at most")
    return group


def group_of_holder(fleet: Fleet, host: str) -> str | Said:
    """Find the one group that lent a slot to a host, by id or name; or say what is in the way."""
    found = [
        name
        for name, group in fleet.groups.items()
        if host in group.holders or any(one.name == host for one in group.holders.values())
    ]
    match found:
        case [name]:
            return name
        case []:
            value = f'no host of the id or name "{harmless(host)}" holds a slot'
            return Said(status=404, kind="no_such_holder", value=value)
        case _:
            value = f"it holds slots of several groups, give one of them: {', '.join(found)}"
            return Said(status=409, kind="ambiguous", value=value)


def encode_done(wish: Wish, answer: Answer, before: Fleet, rules: Rules) -> Said:
    """Say what became of a wish; `before` is the fleet in which it was made."""
    match answer:
        case Done():
            return Said(status=200, kind="success", value=_done(wish, before))
        case UnknownGroup():
            known = ", ".join(rules.groups)
            value = f"there is no such group, the configuration has {known}"
            return Said(status=404, kind="unknown_group", value=value)
        case NoSuchHolder():
            return Said(status=404, kind="no_such_holder", value=sentence(answer))
        case Ambiguous():
            return Said(status=409, kind="ambiguous", value=sentence(answer))
        case Unavailable():
            value = "the store cannot be asked: look at the server's journal, then repeat this"
            return Said(status=503, kind="store_unavailable", value=value)
        case Granted() | Refused() | Returned() | Crowded():
            raise AssertionError(answer)  # only hosts get these


def _done(wish: Wish, before: Fleet) -> str:
    match wish:
        case Release(group, host, _):
            return f"{host} has no slot of group {group} any more; it may still reboot"
        case SetSlots(group, None, _, _):
            return f"group {group} lends what is configured"
        case SetSlots(group, slots, until, _):
            lent = len(before.group(group).holders)
            more = f"; {lent} are lent, and none is taken back" if lent > (slots or 0) else ""
            return f"group {group} lends {counted(slots or 0, 'slot')}{_until(until)}{more}"
        case FreezeGroup(group, _, until):
            return f"{_named(group)} frozen{_until(until)}: no slot is lent, returns are taken"
        case Thaw(group, _):
            frozen = before.group(group).freeze if group else before.freeze
            return f"{_named(group)} {'not frozen' if frozen is None else 'thawed'}"
        case Resume(group, forgive, _):
            halted = before.group(group).halt is not None
            resumed = f"{_named(group)} {'resumed' if halted else 'not halted by failed reboots'}"
            gone = f"; {harmless(forgive)} has no slot of it any more; it may still reboot"
            return resumed + gone if forgive else resumed


def _named(group: str) -> str:
    return f"group {group} is" if group else "all groups are"


def _until(until: datetime | None) -> str:
    return "" if until is None else f" until {encode_instant(until, timespec='seconds')}"


# What is shown


@dataclass(frozen=True, slots=True)
class Most:
    """So many holders and hosts that wait are shown of each group."""

    holders: int
    waiting: int


def encode_fleet(
    fleet: Fleet, rules: Rules, at: Moment, *, trouble: str, groups: Iterable[str], most: Most
) -> Document:
    """Show these groups. Times are in UTC."""
    return {
        **encode_server(fleet, at, trouble=trouble),
        "groups": [encode_group(fleet, name, rules, at, most) for name in groups],
    }


def encode_server(fleet: Fleet, at: Moment, *, trouble: str) -> Document:
    """Show what is so for all groups."""
    return {
        "version": __version__,
        "at": encode_instant(at.wall, timespec="seconds"),
        "trouble": trouble or None,
        "freeze": _freeze(fleet.freeze, at),
    }


def encode_history(told: Iterable[Happened], at: Moment) -> Document:
    """Show what happened, oldest first."""
    return {
        "version": __version__,
        "at": encode_instant(at.wall, timespec="seconds"),
        "history": [
            {
                "at": encode_instant(one.at, timespec="seconds"),
                "group": one.group or None,
                "what": str(one.what),
                "id": one.id or None,
                "name": one.name or None,
                "by": one.by or None,
                "detail": one.detail or None,
                "held_seconds": one.held_s,
                "until": encode_instant(one.until, timespec="seconds"),
            }
            for one in told
        ],
    }


def names_of(fleet: Fleet, rules: Rules) -> list[str]:
    """Name the groups that are configured, and then those of which there is something to say."""
    return [*rules.groups, *sorted(name for name in fleet.groups if name not in rules.groups)]


def _freeze(freeze: Freeze | None, at: Moment) -> Document | None:
    if freeze is None or not freeze.holds(at.wall):
        return None
    return {
        "reason": freeze.reason,
        "by": freeze.by,
        "since": encode_instant(freeze.at, timespec="seconds"),
        "until": encode_instant(freeze.until, timespec="seconds"),
    }


def encode_group(fleet: Fleet, name: str, rules: Rules, at: Moment, most: Most) -> Document:
    """Show one group."""
    group, lends = looked_at(fleet, name, rules, at)
    terms, slots = rules.terms_of(name), slots_of(name, group, rules, at)
    override = group.override
    is_changed = override is not None and (override.until is None or at.wall < override.until)
    stands = group.stands
    most_s = MAX_HOLD_S if terms is None else terms.max_hold_s
    holders = group.holders.values()
    return {
        "name": name,
        "slots": slots,
        "configured_slots": None if terms is None else terms.slots,
        "slots_until": encode_instant(
            override.until if override is not None and is_changed else None, timespec="seconds"
        ),
        "lent": len(holders),
        "overdue": sum(_is_overdue(one, most_s, at) for one in holders),
        "failed": sum(bool(one.failed) for one in holders),
        "settling": len(group.settling),
        "hosts_waiting": len(group.queue),
        "freeze": _freeze(group.freeze, at),
        "halt": None
        if group.halt is None
        else {
            "reason": group.halt.reason,
            "since": encode_instant(group.halt.at, timespec="seconds"),
        },
        "stands": None
        if stands is None
        else {
            "kind": str(stands.kind),
            "detail": stands.detail,
            "until": encode_instant(stands.until, timespec="seconds"),
        },
        "holders": [_holder(one, most_s, at) for one in _first(group, most.holders)],
        "waiting": [
            _waiting(group, lends, at, number, entry)
            for number, entry in enumerate(islice(group.queue, most.waiting), 1)
        ],
    }


def encode_glance(group: Document) -> Document:
    """Show of a group, as it was encoded, what is seen at a glance."""
    stands, waiting = group["stands"], group["waiting"]
    first = waiting[0] if isinstance(waiting, list) and waiting else None
    alone = first["in_the_way"] if isinstance(first, dict) else None
    return {
        "name": group["name"],
        "stands": stands["kind"] if isinstance(stands, dict) else None,
        "slots": group["slots"],
        "failed": group["failed"],
        "overdue": group["overdue"],
        "in_the_way": alone["kind"] if isinstance(alone, dict) else None,
        "in_use": bool(group["lent"] or group["hosts_waiting"]),
    }


def _first(group: Group, most: int) -> list[Holder]:
    """Give those that hold for longest; where not all are shown, first those that failed."""
    holders = sorted(group.holders.values(), key=lambda one: one.since_s)
    if len(holders) > most:
        holders.sort(key=lambda one: not one.failed)
    return holders[:most]


def _is_overdue(holder: Holder, most_s: float, at: Moment) -> bool:
    return at.s - holder.since_s > most_s


def _holder(holder: Holder, most_s: float, at: Moment) -> Document:
    return {
        "id": holder.id,
        "name": holder.name or None,
        "since": encode_instant(holder.since, timespec="seconds"),
        "overdue": _is_overdue(holder, most_s, at),
        "failed": holder.failed or None,
        "booted": holder.about.booted or None,
        "target": holder.about.target or None,
    }


def _waiting(group: Group, slots: int, at: Moment, number: int, entry: Waiting) -> Document:
    _, in_s = turn_s(group, slots, at, entry)
    alone = obstacle(group.barrier, entry.about, at)
    return {
        "id": entry.id,
        "name": entry.name or None,
        "since": encode_instant(entry.joined, timespec="seconds"),
        "place": number,
        "turn_seconds": None if in_s is None else round(in_s),
        "in_the_way": None if alone is None else {"kind": str(alone.kind), "detail": alone.detail},
    }

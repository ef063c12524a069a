"""What administrators want, and what they are shown, in JSON."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, TypeAlias

from rebootmgr import __version__
from rebootmgr.fleetlock import admin_names
from rebootmgr.instants import encode_instant
from rebootmgr.lending.group import Fleet, Group, slots_of
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
from rebootmgr.lending.saying import counted, sentence
from rebootmgr.lending.standing import looked_at
from rebootmgr.lending.standstill import Freeze
from rebootmgr.lending.terms import MAX_HOLD_S, Moment, Rules
from rebootmgr.lending.turns import turn_s
from rebootmgr.lockd.http.wire_words import Said, Unfit
from rebootmgr.lockd.keys import MOST_SLOTS
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


def encode_fleet(
    fleet: Fleet, rules: Rules, at: Moment, *, trouble: str, groups: Iterable[str], most: int
) -> Document:
    """Show these groups; of those that wait the first `most`. Times are in UTC."""
    return {
        "version": __version__,
        "at": encode_instant(at.wall, timespec="seconds"),
        "trouble": trouble or None,
        "freeze": _freeze(fleet.freeze, at),
        "groups": [_encode_group(fleet, name, rules, at, most) for name in groups],
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


def _encode_group(fleet: Fleet, name: str, rules: Rules, at: Moment, most: int) -> Document:
    group, lends = looked_at(fleet, name, rules, at)
    terms, slots = rules.terms_of(name), slots_of(name, group, rules, at)
    override = group.override
    is_changed = override is not None and (override.until is None or at.wall < override.until)
    stands = group.stands
    return {
        "name": name,
        "slots": slots,
        "configured_slots": None if terms is None else terms.slots,
        "slots_until": encode_instant(
            override.until if override is not None and is_changed else None, timespec="seconds"
        ),
        "lent": len(group.holders),
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
        "holders": list(_holders(group, MAX_HOLD_S if terms is None else terms.max_hold_s, at)),
        "waiting": list(_waiting(group, lends, at, most)),
    }


def _holders(group: Group, most_s: float, at: Moment) -> Iterator[Document]:
    for holder in sorted(group.holders.values(), key=lambda one: one.since_s):
        yield {
            "id": holder.id,
            "name": holder.name or None,
            "since": encode_instant(holder.since, timespec="seconds"),
            "overdue": at.s - holder.since_s > most_s,
            "failed": holder.failed or None,
            "booted": holder.about.booted or None,
            "target": holder.about.target or None,
        }


def _waiting(group: Group, slots: int, at: Moment, most: int) -> Iterator[Document]:
    for number, entry in enumerate(group.queue, 1):
        if number > most:
            return
        _, in_s = turn_s(group, slots, at, entry)
        yield {
            "id": entry.id,
            "name": entry.name or None,
            "since": encode_instant(entry.joined, timespec="seconds"),
            "place": number,
            "turn_seconds": None if in_s is None else round(in_s),
        }

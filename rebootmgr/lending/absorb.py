"""What others wrote into the store, taken into the fleet as it is; nothing is decided here."""

from dataclasses import replace
from typing import Final

from rebootmgr.lending.granting import Decided
from rebootmgr.lending.group import Fleet, Group, Holder, Override
from rebootmgr.lending.questions import (
    Answer,
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
    Unavailable,
)
from rebootmgr.lending.queue import Waiting
from rebootmgr.lending.saved import STAY_S, entry_of, then_s
from rebootmgr.lending.standing import looked_at
from rebootmgr.lending.standstill import Freeze, Halt
from rebootmgr.lending.terms import Moment, Rules
from rebootmgr.lending.turns import idle_marked, passed_time

_PUT_OFF_S: Final = 3600.0  # so seldom is a place put off again


def absorbed(fleet: Fleet, changes: tuple[Change, ...], rules: Rules, at: Moment) -> Decided:
    """Take changes in, in order; a question that was held back and has no place any more is lost.

    Each says what is so now, and may say what was known already.
    """
    answers: list[tuple[int, Answer]] = []
    for change in changes:
        match change:
            case Frozen("", reason, until, by, since):
                fleet = replace(fleet, freeze=Freeze(reason, until, by, since))
                continue
            case Thawed(""):
                fleet = replace(fleet, freeze=None)
                continue
            case Joined(ticket=ticket):
                fleet = replace(fleet, tickets=max(fleet.tickets, ticket + 1))
            case _:
                pass
        name = change.group
        group, slots = looked_at(fleet, name, rules, at)
        group = passed_time(group, slots, at)
        if isinstance(change, Joined | Left):
            entry = group.queue.find(change.id)
            if entry is not None and entry.held is not None:
                answers.append((entry.held.number, Unavailable()))
        terms = rules.terms_of(name)
        group = _with(group, change, 0.0 if terms is None else terms.settle_s, at)
        fleet = fleet.put(name, idle_marked(group, slots, at), rules)
    return Decided(fleet, answers=tuple(answers))


def asked_since(fleet: Fleet, since_s: float) -> frozenset[int]:
    """Name, by their tickets, those that wait and were heard here since then."""
    return frozenset(
        entry.ticket
        for group in fleet.groups.values()
        for entry in group.queue
        if entry.held is not None or entry.answered_s >= since_s
    )


def asked_elsewhere(fleet: Fleet, tickets: frozenset[int], rules: Rules, at: Moment) -> Fleet:
    """Keep the places of those that ask another server, as if it had told them the longest time."""
    for name, group in fleet.groups.items():
        kept = [
            entry
            for entry in group.queue
            if entry.ticket in tickets and entry.gone_s < at.s + STAY_S - _PUT_OFF_S
        ]
        for entry in kept:
            later = entry._replace(gone_s=at.s + STAY_S)
            group = group.with_queue(group.queue.put(later))  # noqa: PLW2901 - it grows
        if kept:
            fleet = fleet.put(name, group, rules)
    return fleet


def _with(group: Group, change: Change, settle_s: float, at: Moment) -> Group:
    match change:
        case Joined(_, host):
            return _in_order(_without(group, host), change, at)
        case Left(_, host):
            return _without(group, host)
        case Lent(_, host, name, since, about, failed):
            return group.lent_to(Holder(host, name, since, then_s(since, at), about, failed))
        case TakenBack(_, host):
            return _given_back(group, host, settle_s, at)
        case SlotsSet(_, slots, until):
            override = None if slots is None else Override(slots, until)
            return group._replace(override=override)
        case Frozen(_, reason, until, by, since):
            return group._replace(freeze=Freeze(reason, until, by, since))
        case Thawed():
            return group._replace(freeze=None)
        case Failed(_, host, reason):
            holder = group.holders.get(host)
            return group if holder is None else group.lent_to(replace(holder, failed=reason))
        case Came(_, version, since):
            return group.with_came(version, since)
        case Halted(_, reason, since):
            return group._replace(halt=Halt(reason, since))
        case Resumed():
            return group._replace(halt=None)


def _given_back(group: Group, host: str, settle_s: float, at: Moment) -> Group:
    """Take a slot back and let it rest, by whomever it came back."""
    if host not in group.holders:
        return group
    group = group.given_back(host, at, counts=True)
    return group._replace(settling=(*group.settling, at.s + settle_s)) if settle_s else group


def _without(group: Group, host: str) -> Group:
    entry = group.queue.find(host)
    return group if entry is None else group.with_queue(group.queue.without(entry))


def _in_order(group: Group, joined: Joined, at: Moment) -> Group:
    """Give it its place: the last one, where nobody wrote into the store by hand."""
    queue, behind = group.queue, list[Waiting]()
    if queue.ahead_of(joined.ticket) < len(queue):
        behind = [entry for entry in queue if entry.ticket >= joined.ticket]
    for entry in behind:
        queue = queue.without(entry)
    queue = queue.put(entry_of(joined, at))
    for entry in behind:
        if entry.ticket != joined.ticket:
            queue = queue.put(entry)
    return group.with_queue(queue)

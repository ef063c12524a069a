"""What the store keeps of a fleet, and the fleet that is read from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rebootmgr.lending.group import Fleet, Group, Holder, Override, slots_of
from rebootmgr.lending.questions import Came, Frozen, Halted, Joined, Lent, SlotsSet
from rebootmgr.lending.queue import Queue, Waiting
from rebootmgr.lending.standstill import Freeze, Halt
from rebootmgr.lending.terms import Moment, Rules
from rebootmgr.lending.turns import LONGEST_RETRY_S

STAY_S: Final = 3 * LONGEST_RETRY_S


@dataclass(frozen=True, slots=True)
class Saved:
    """Every row of the store.

    Who holds, who waits, how many slots there are, what is frozen and halted, and who came back
    into which version, the latest last.
    """

    holders: tuple[Lent, ...] = ()
    waiting: tuple[Joined, ...] = ()
    slots: tuple[SlotsSet, ...] = ()
    freezes: tuple[Frozen, ...] = ()
    halts: tuple[Halted, ...] = ()
    came: tuple[Came, ...] = ()


def restored(saved: Saved, last: Fleet, rules: Rules, at: Moment) -> Fleet:
    """Make a fleet of what was read; `last` is what we knew of it before, if we did.

    Of those that wait and were not known, each counts as asked now and told the longest time.
    Answers that were held back are not held any more.
    """
    groups: dict[str, Group] = {name: _emptied(group, at) for name, group in last.groups.items()}
    for row in saved.slots:
        override = None if row.slots is None else Override(row.slots, row.until)
        groups[row.group] = groups.get(row.group, _new(at))._replace(override=override)
    freezes = {row.group: Freeze(row.reason, row.until, row.by, row.at) for row in saved.freezes}
    for name, freeze in freezes.items():
        if name:
            groups[name] = groups.get(name, _new(at))._replace(freeze=freeze)
    for halted in saved.halts:
        halt = Halt(halted.reason, halted.at)
        groups[halted.group] = groups.get(halted.group, _new(at))._replace(halt=halt)
    for came in saved.came:
        group = groups.get(came.group, _new(at))
        groups[came.group] = group.with_came(came.version, came.at)
    for lent in sorted(saved.holders, key=lambda row: row.at):
        group = groups.get(lent.group, _new(at))
        since_s = then_s(lent.at, at)
        holder = Holder(lent.id, lent.name, lent.at, since_s, lent.about, lent.failed)
        groups[lent.group] = group.lent_to(holder)
    known = {name: group.queue for name, group in last.groups.items()}
    for joined in sorted(saved.waiting, key=lambda row: row.ticket):
        group = groups.get(joined.group, _new(at))
        entry = _waiting(joined, known, at)
        groups[joined.group] = group.with_queue(group.queue.put(entry))
    tickets = max((row.ticket for row in saved.waiting), default=0) + 1
    groups = {name: _resting(name, group, rules, at) for name, group in groups.items()}
    kept = {n: group for n, group in groups.items() if n in rules.groups or not group.is_empty}
    return Fleet(kept, max(tickets, last.tickets), freezes.get(""))


def _resting(name: str, group: Group, rules: Rules, at: Moment) -> Group:
    """Let all that is free rest as if it had come back when the last slot did."""
    terms = rules.terms_of(name)
    last = max(group.came.values(), default=None)
    if terms is None or last is None or not terms.settle_s:
        return group
    until_s = then_s(last, at) + terms.settle_s
    free = max(slots_of(name, group, rules, at) - len(group.holders), 0)
    return group if until_s <= at.s else group._replace(settling=(until_s,) * free)


def _new(at: Moment) -> Group:
    return Group(counted_s=at.s, quiet_s=at.s)


def _emptied(group: Group, at: Moment) -> Group:
    """Keep what is learned; forget what the store knows better."""
    return Group(
        held_s=group.held_s,
        returned=group.returned,
        front=group.front,
        counted_s=at.s,
        quiet_s=at.s,
    )


def _waiting(row: Joined, known: Mapping[str, Queue], at: Moment) -> Waiting:
    queue = known.get(row.group)
    entry = None if queue is None else queue.find(row.id)
    if entry is not None and entry.ticket == row.ticket:
        return entry._replace(held=None)
    return entry_of(row, at)


def entry_of(row: Joined, at: Moment) -> Waiting:
    """Expect a host of which only its place is known: as if it had asked now."""
    return Waiting(
        ticket=row.ticket,
        id=row.id,
        name=row.name,
        joined=row.at,
        joined_s=then_s(row.at, at),
        answered_s=at.s,
        told_s=None,
        interval_s=None,
        due_s=at.s + LONGEST_RETRY_S,
        gone_s=at.s + STAY_S,
    )


def then_s(then: datetime, at: Moment) -> float:
    """Put an instant of the wall clock on the other; one that lies ahead is now."""
    return at.s - max((at.wall - then).total_seconds(), 0.0)

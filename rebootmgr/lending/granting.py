"""What is free is lent, and who gets nothing is told why."""

from dataclasses import dataclass
from typing import Final

from rebootmgr.lending.barrier import Obstacle, obstacle
from rebootmgr.lending.group import Fleet, Group, Holder
from rebootmgr.lending.questions import Answer, Change, Granted, Kind, Left, Lent, Refused
from rebootmgr.lending.queue import Waiting
from rebootmgr.lending.standing import looked_at
from rebootmgr.lending.terms import Moment, Rules
from rebootmgr.lending.turns import (
    Kept,
    front_after,
    idle_marked,
    next_up,
    passed_time,
    retry_after_s,
    retry_once_s,
    turn_s,
)

HALTED_S: Final = 600.0  # people may end a halt at any time


@dataclass(frozen=True, slots=True)
class Decided:
    """What follows. `answers` are by the number of the question; who is held back has none."""

    fleet: Fleet
    changes: tuple[Change, ...] = ()
    answers: tuple[tuple[int, Answer], ...] = ()


@dataclass(frozen=True, slots=True)
class Lending:
    """What was lent, and to whom."""

    changes: tuple[Change, ...]
    answers: tuple[tuple[int, Answer], ...]
    hosts: frozenset[str]


def now(fleet: Fleet, name: str, rules: Rules, at: Moment) -> tuple[Group, int]:
    """Give a group as it stands, and how many slots it lends, having counted what they did."""
    group, slots = looked_at(fleet, name, rules, at)
    return passed_time(group, slots, at), slots


def refusal(group: Group, slots: int, entry: Waiting, retry_s: int, at: Moment) -> Refused:
    """Say why a host gets nothing, and when to come back."""
    hindered = obstacle(group.barrier, entry.about, at)
    return _refused(group, slots, hindered, turn_s(group, slots, at, entry), retry_s)


def refusal_until(
    group: Group, slots: int, entry: Waiting, turn: tuple[int, float | None], at: Moment
) -> Refused:
    """Say why a host gets nothing, and to come back when it pays."""
    hindered = obstacle(group.barrier, entry.about, at)
    stands, host, in_s = group.stands, entry.id, turn[1]
    if stands is not None and stands.until is not None:
        retry_s = retry_once_s(host, (stands.until - at.wall).total_seconds())
    elif stands is not None and stands.kind is Kind.HALTED:
        retry_s = retry_after_s(host, HALTED_S)
    elif hindered is not None and stands is None:
        soon_s = max(hindered.until_s - at.s, in_s or 0.0)
        retry_s = retry_once_s(host, soon_s)
    elif _settles(group, slots) and turn[0] <= len(group.settling):
        retry_s = retry_once_s(host, group.settling[turn[0] - 1] - at.s)
    else:
        retry_s = retry_after_s(host, in_s)
    return _refused(group, slots, hindered, turn, retry_s)


def _settles(group: Group, slots: int) -> bool:
    """Whether nothing is in the way but slots that came back a moment ago."""
    if group.stands is not None or not group.settling:
        return False
    return slots <= len(group.holders) < slots + len(group.settling)


def _refused(
    group: Group,
    slots: int,
    hindered: Obstacle | None,
    turn: tuple[int, float | None],
    retry_s: int,
) -> Refused:
    place, in_s = turn
    stands, detail, until = group.stands, "", None
    is_full = len(group.holders) >= slots
    if stands is not None:
        kind, detail, until = stands.kind, stands.detail, stands.until
    elif hindered is not None and not (is_full and hindered.kind is Kind.SPREAD):
        kind, detail, in_s = hindered.kind, hindered.detail, None
    elif _settles(group, slots):
        kind = Kind.SETTLING
    else:
        kind = Kind.ALL_SLOTS_FULL if is_full else Kind.QUEUED
    return Refused(
        kind=kind,
        retry_after_s=retry_s,
        lent=len(group.holders),
        slots=slots,
        holders=group.named,
        place=place,
        waiting=len(group.queue),
        turn_s=in_s,
        detail=detail,
        until=until,
    )


def lend_free(
    name: str, group: Group, slots: int, asked: tuple[int, Waiting] | None, at: Moment
) -> tuple[Group, Lending]:
    """Lend what is free to those whose turn it is: the one who asks, and those held back."""
    changes: list[Change] = []
    answers: list[tuple[int, Answer]] = []
    hosts: list[str] = []
    number, asker = asked or (0, None)
    look_s = None
    while len(group.holders) < slots and group.queue:
        chosen = next_up(group, slots, at, asker)
        if chosen is None:
            break
        if isinstance(chosen, Kept):
            look_s = chosen.look_s
            break
        asks = chosen is asker
        held = chosen.held
        to = number if asks or held is None else held.number
        asker = None if asks else asker
        front = front_after(group, slots, at, chosen)
        group = group._replace(queue=group.queue.without(chosen), front=front)
        holder = Holder(chosen.id, chosen.name, at.wall, at.s, chosen.about)
        group = group.lent_to(holder)
        lent = Lent(name, chosen.id, chosen.name, at.wall, chosen.about)
        changes += [Left(name, chosen.id), lent]
        answers.append((to, Granted()))
        hosts.append(chosen.id)
    if look_s != group.look_s:
        group = group._replace(look_s=look_s)
    return group, Lending(tuple(changes), tuple(answers), frozenset(hosts))


def then_lend(so_far: Decided, name: str, group: Group, rules: Rules, at: Moment) -> Decided:
    """Lend what is free now that the group is another."""
    group, slots = looked_at(so_far.fleet, name, rules, at, group)
    group, lent = lend_free(name, group, slots, None, at)
    return Decided(
        so_far.fleet.put(name, idle_marked(group, slots, at), rules),
        (*so_far.changes, *lent.changes),
        (*so_far.answers, *lent.answers),
    )

"""What becomes of a question: the fleet after it, what is to be written, and who is answered."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from rebootmgr.lending.group import Fleet, Group, Holder, Override, looked_at, slots_of
from rebootmgr.lending.questions import (
    Ambiguous,
    Answer,
    Change,
    Crowded,
    Done,
    FreezeGroup,
    Frozen,
    Granted,
    Joined,
    Kind,
    Left,
    Lent,
    NoSuchHolder,
    PreReboot,
    Question,
    Refused,
    Release,
    Returned,
    SetSlots,
    SlotsSet,
    SteadyState,
    TakenBack,
    Thaw,
    Thawed,
    UnknownGroup,
)
from rebootmgr.lending.queue import Held, Waiting
from rebootmgr.lending.standstill import Freeze
from rebootmgr.lending.terms import Moment, Rules
from rebootmgr.lending.turns import (
    LONGEST_HELD_S,
    LONGEST_RETRY_S,
    MOST_HELD,
    Kept,
    idle_marked,
    is_near,
    next_up,
    passed_time,
    retry_after_s,
    retry_once_s,
    turn_s,
)

MOST_GROUPS: Final = 1000  # of those that nobody configured
BACK_AT_ONCE_S: Final = 1  # after an answer that was held back
SWEEP_S: Final = 60.0  # between two looks for those who left
_SHORTEST_STAY_S: Final = 900.0
_INTERVALS: Final = 3  # without a question, and a host has left
_EARLY: Final = 0.8
_LATE: Final = 1.2
_LATE_S: Final = 30.0
_SHORTEST_INTERVAL_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Decided:
    """What follows. `answers` are by the number of the question; who is held back has none."""

    fleet: Fleet
    changes: tuple[Change, ...] = ()
    answers: tuple[tuple[int, Answer], ...] = ()


def decide(fleet: Fleet, number: int, question: Question, rules: Rules, at: Moment) -> Decided:
    """Answer a question as of `at`; nothing of it is true before the changes are on disk."""
    match question:
        case PreReboot():
            return _ask(fleet, number, question, rules, at)
        case SteadyState(group, host):
            return _give_back(fleet, number, group, host, rules, at)
        case Release(group, host):
            return _release(fleet, number, group, host, rules, at)
        case SetSlots():
            return _set_slots(fleet, number, question, rules, at)
        case FreezeGroup():
            return _freeze(fleet, number, question, rules, at)
        case Thaw(group):
            return _thaw(fleet, number, group, rules)


def look(fleet: Fleet, rules: Rules, at: Moment) -> Decided:
    """Do what time brings: end what was held, drop who left, lend what is free."""
    thawed = _thawed(fleet, rules, at)
    fleet, changes = thawed.fleet, list(thawed.changes)
    answers: list[tuple[int, Answer]] = []
    for name in fleet.groups:
        group, slots = _now(fleet, name, rules, at)
        override = group.override
        if override is not None and override.until is not None and override.until <= at.wall:
            group = group._replace(override=None)
            changes.append(SlotsSet(name, None, None))
        for entry in _gone(group, at):
            group = group.with_queue(group.queue.without(entry))
            changes.append(Left(name, entry.id))
        if at.s >= group.swept_s + SWEEP_S:
            group = group._replace(swept_s=at.s)
        group, lent = _lend(name, group, slots, None, at)
        changes += lent.changes
        answers += lent.answers
        for ticket in group.queue.held:
            entry = group.queue.at(ticket)
            if entry.held is not None and entry.held.until_s <= at.s:
                answer = _refusal(group, slots, entry, BACK_AT_ONCE_S, at)
                answers.append((entry.held.number, answer))
                entry = _answered(entry, BACK_AT_ONCE_S, at)
                group = group.with_queue(group.queue.put(entry))
        fleet = fleet.put(name, idle_marked(group, slots, at), rules)
    return Decided(fleet, tuple(changes), tuple(answers))


def _gone(group: Group, at: Moment) -> list[Waiting]:
    if at.s < group.swept_s + SWEEP_S:
        return []
    return [one for one in group.queue if one.held is None and one.gone_s <= at.s]


def look_again_s(fleet: Fleet, at: Moment) -> float | None:
    """When `look` finds something to do, at the latest; None: not before the next question."""
    wanted: list[float] = []
    ends = [] if fleet.freeze is None or fleet.freeze.until is None else [fleet.freeze.until]
    for group in fleet.groups.values():
        held = (group.queue.at(ticket).held for ticket in group.queue.held)
        wanted += [one.until_s for one in held if one is not None]
        if group.look_s is not None:
            wanted.append(group.look_s)
        if group.queue:
            wanted.append(group.swept_s + SWEEP_S)
        ends += [
            one.until
            for one in (group.override, group.freeze)
            if one is not None and one.until is not None
        ]
    wanted += [at.s + max((end - at.wall).total_seconds(), 0.0) for end in ends]
    return min(wanted, default=None)


def hung_up(fleet: Fleet, number: int, question: Question, rules: Rules, at: Moment) -> Fleet:
    """Let go of a question that was held back: nobody waits for its answer any more."""
    if not isinstance(question, PreReboot):
        return fleet
    group = fleet.group(question.group)
    entry = group.queue.find(question.id)
    if entry is None or entry.held is None or entry.held.number != number:
        return fleet
    entry = _answered(entry, None, at)
    return fleet.put(question.group, group.with_queue(group.queue.put(entry)), rules)


@dataclass(frozen=True, slots=True)
class _Lent:
    changes: tuple[Change, ...]
    answers: tuple[tuple[int, Answer], ...]
    hosts: frozenset[str]


def _now(fleet: Fleet, name: str, rules: Rules, at: Moment) -> tuple[Group, int]:
    group, slots = looked_at(fleet, name, rules, at)
    return passed_time(group, slots, at), slots


def _ask(fleet: Fleet, number: int, question: PreReboot, rules: Rules, at: Moment) -> Decided:
    name, terms = question.group, rules.terms_of(question.group)
    group = fleet.group(name)
    if question.id in group.holders:
        return Decided(fleet, answers=((number, Granted(again=True)),))
    if terms is None or _is_one_too_many(fleet, name, rules):
        return Decided(fleet, answers=((number, UnknownGroup()),))
    group, slots = looked_at(fleet, name, rules, at)
    known = group.queue.find(question.id)
    if known is None:
        if len(group.queue) >= terms.max_waiting:
            retry_s = retry_after_s(question.id, LONGEST_RETRY_S)
            return Decided(fleet, answers=((number, Crowded(retry_s)),))
        return _join(fleet, number, question, rules, at)
    answers: tuple[tuple[int, Answer], ...] = ()
    if known.held is not None:  # the same host asks again: the older question is answered
        answers = ((known.held.number, _refusal(group, slots, known, BACK_AT_ONCE_S, at)),)
    entry, changes = _heard(known, at), tuple[Change, ...]()
    if len(group.holders) < slots:
        group = passed_time(group, slots, at)
        group = group.with_queue(group.queue.put(entry))
        group, lent = _lend(name, group, slots, (number, entry), at)
        changes, answers = lent.changes, (*answers, *lent.answers)
        if entry.id in lent.hosts:
            fleet = fleet.put(name, idle_marked(group, slots, at), rules)
            return Decided(fleet, changes, answers)
    group, told = _wait(group, slots, number, entry, question.wait_s, at)
    fleet = fleet.put(name, idle_marked(group, slots, at), rules)
    return Decided(fleet, changes, (*answers, *told))


def _join(fleet: Fleet, number: int, question: PreReboot, rules: Rules, at: Moment) -> Decided:
    name = question.group
    group, slots = _now(fleet, name, rules, at)
    entry = _newcomer(fleet.tickets, question, at)
    group = group.with_queue(group.queue.put(entry))
    group, lent = _lend(name, group, slots, (number, entry), at)
    if entry.id in lent.hosts:  # it never was in the store's queue
        told: tuple[tuple[int, Answer], ...] = ()
        changes = tuple(one for one in lent.changes if one != Left(name, entry.id))
    else:
        group, told = _wait(group, slots, number, entry, question.wait_s, at)
        changes = (*lent.changes, Joined(name, entry.id, entry.name, entry.ticket, at.wall))
    fleet = replace(fleet, tickets=fleet.tickets + 1)
    fleet = fleet.put(name, idle_marked(group, slots, at), rules)
    return Decided(fleet, changes, (*lent.answers, *told))


def _is_one_too_many(fleet: Fleet, name: str, rules: Rules) -> bool:
    if name in fleet.groups or name in rules.groups:
        return False
    return sum(group not in rules.groups for group in fleet.groups) >= MOST_GROUPS


def _newcomer(ticket: int, question: PreReboot, at: Moment) -> Waiting:
    return Waiting(
        ticket=ticket,
        id=question.id,
        name=question.name,
        joined=at.wall,
        joined_s=at.s,
        answered_s=at.s,
        told_s=None,
        interval_s=None,
        due_s=at.s,
        gone_s=at.s + _SHORTEST_STAY_S,
    )


def _heard(entry: Waiting, at: Moment) -> Waiting:
    """Learn from when a host comes whether it does as it is told."""
    gap_s, told_s = at.s - entry.answered_s, entry.told_s
    interval_s = entry.interval_s
    if told_s is not None:
        as_told = _EARLY * told_s <= gap_s <= _LATE * told_s + _LATE_S
        own_s = min(max(gap_s, _SHORTEST_INTERVAL_S), LONGEST_RETRY_S)
        interval_s = None if as_told else own_s
    if entry.held is None and interval_s == entry.interval_s:
        return entry
    return entry._replace(interval_s=interval_s, held=None)


def _answered(entry: Waiting, told_s: float | None, at: Moment) -> Waiting:
    """Expect a host again, which is told when to come (None: its answer did not reach it)."""
    due_s = entry.interval_s or told_s or _SHORTEST_INTERVAL_S
    longest_s = max(entry.interval_s or 0.0, told_s or 0.0)
    gone_s = at.s + max(_INTERVALS * longest_s, _SHORTEST_STAY_S)
    return Waiting(
        entry.ticket,
        entry.id,
        entry.name,
        entry.joined,
        entry.joined_s,
        at.s,
        told_s,
        entry.interval_s,
        at.s + due_s,
        gone_s,
    )


def _wait(
    group: Group, slots: int, number: int, entry: Waiting, wait_s: float, at: Moment
) -> tuple[Group, tuple[tuple[int, Answer], ...]]:
    """Hold the answer back, or refuse."""
    place, in_s = turn_s(group, slots, at, entry)
    may_hold = wait_s > 0 and len(group.queue.held) < MOST_HELD
    if may_hold and is_near(group, slots, place, in_s):
        entry = entry._replace(held=Held(number, at.s + min(wait_s, LONGEST_HELD_S)))
        return group.with_queue(group.queue.put(entry)), ()
    stands = group.stands
    if stands is None or stands.until is None:
        retry_s = retry_after_s(entry.id, in_s)
    else:
        retry_s = retry_once_s(entry.id, (stands.until - at.wall).total_seconds())
    answer = _refused(group, slots, place, in_s, retry_s)
    entry = _answered(entry, float(answer.retry_after_s), at)
    return group.with_queue(group.queue.put(entry)), ((number, answer),)


def _refusal(group: Group, slots: int, entry: Waiting, retry_s: int, at: Moment) -> Refused:
    return _refused(group, slots, *turn_s(group, slots, at, entry), retry_s)


def _refused(group: Group, slots: int, place: int, in_s: float | None, retry_s: int) -> Refused:
    stands = group.stands
    lack = Kind.ALL_SLOTS_FULL if len(group.holders) >= slots else Kind.QUEUED
    return Refused(
        kind=lack if stands is None else stands.kind,
        retry_after_s=retry_s,
        lent=len(group.holders),
        slots=slots,
        holders=group.named,
        place=place,
        waiting=len(group.queue),
        turn_s=in_s,
        detail="" if stands is None else stands.detail,
        until=None if stands is None else stands.until,
    )


def _lend(
    name: str, group: Group, slots: int, asked: tuple[int, Waiting] | None, at: Moment
) -> tuple[Group, _Lent]:
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
        front = group.front if chosen.deaf else max(group.front, chosen.ticket)
        group = group._replace(queue=group.queue.without(chosen), front=front)
        group = group.lent_to(Holder(chosen.id, chosen.name, at.wall, at.s))
        changes += [Left(name, chosen.id), Lent(name, chosen.id, chosen.name, at.wall)]
        answers.append((to, Granted()))
        hosts.append(chosen.id)
    if look_s != group.look_s:
        group = group._replace(look_s=look_s)
    return group, _Lent(tuple(changes), tuple(answers), frozenset(hosts))


def _give_back(
    fleet: Fleet, number: int, name: str, host: str, rules: Rules, at: Moment
) -> Decided:
    group, slots = _now(fleet, name, rules, at)
    entry, changes = group.queue.find(host), list[Change]()
    had, answers = host in group.holders, list[tuple[int, Answer]]()
    if had:
        group = group.given_back(host, at, counts=True)
        changes.append(TakenBack(name, host))
    if entry is not None:
        moot = _refusal(group, slots, entry, BACK_AT_ONCE_S, at)
        group = group.with_queue(group.queue.without(entry))
        changes.append(Left(name, host))
        if entry.held is not None:  # both questions cannot be meant
            answers.append((entry.held.number, moot))
    answers.append((number, Returned(had)))
    so_far = Decided(fleet, tuple(changes), tuple(answers))
    if not changes:
        return so_far
    return _then_lend(so_far, name, group, slots, rules, at)


def _release(fleet: Fleet, number: int, name: str, host: str, rules: Rules, at: Moment) -> Decided:
    group, slots = _now(fleet, name, rules, at)
    found = [host] if host in group.holders else _named(host, group.holders.values())
    if len(found) != 1:
        answer = Ambiguous(tuple(sorted(found))) if found else NoSuchHolder()
        return Decided(fleet, answers=((number, answer),))
    group = group.given_back(found[0], at, counts=False)
    so_far = Decided(fleet, (TakenBack(name, found[0]),), ((number, Done()),))
    return _then_lend(so_far, name, group, slots, rules, at)


def _named(name: str, holders: Iterable[Holder]) -> list[str]:
    return [holder.id for holder in holders if holder.name and holder.name == name]


def _set_slots(fleet: Fleet, number: int, question: SetSlots, rules: Rules, at: Moment) -> Decided:
    name = question.group
    if rules.terms_of(name) is None:
        return Decided(fleet, answers=((number, UnknownGroup()),))
    group, _ = _now(fleet, name, rules, at)
    override = None if question.slots is None else Override(question.slots, question.until)
    group = group._replace(override=override)
    slots = 0 if group.stands else slots_of(name, group, rules, at)
    change = SlotsSet(name, question.slots, question.until)
    so_far = Decided(fleet, (change,), ((number, Done()),))
    return _then_lend(so_far, name, group, slots, rules, at)


def _freeze(fleet: Fleet, number: int, question: FreezeGroup, rules: Rules, at: Moment) -> Decided:
    name = question.group
    if name and rules.terms_of(name) is None:
        return Decided(fleet, answers=((number, UnknownGroup()),))
    freeze = Freeze(question.reason, question.until, question.by, at.wall)
    change = Frozen(name, question.reason, question.until, question.by, at.wall)
    return Decided(_frozen(fleet, name, freeze, rules), (change,), ((number, Done()),))


def _frozen(fleet: Fleet, name: str, freeze: Freeze | None, rules: Rules) -> Fleet:
    if not name:
        return replace(fleet, freeze=freeze)
    return fleet.put(name, fleet.group(name)._replace(freeze=freeze), rules)


def _thaw(fleet: Fleet, number: int, name: str, rules: Rules) -> Decided:
    answer: Answer = Done()
    if name and name not in fleet.groups and rules.terms_of(name) is None:
        answer = UnknownGroup()
    frozen = fleet.group(name).freeze if name else fleet.freeze
    if frozen is None:
        return Decided(fleet, answers=((number, answer),))
    return Decided(_frozen(fleet, name, None, rules), (Thawed(name),), ((number, answer),))


def _thawed(fleet: Fleet, rules: Rules, at: Moment) -> Decided:
    """End the freezes whose time is over."""
    freezes = [("", fleet.freeze), *((name, one.freeze) for name, one in fleet.groups.items())]
    changes: list[Change] = []
    for name, freeze in freezes:
        if freeze is not None and not freeze.holds(at.wall):
            fleet = _frozen(fleet, name, None, rules)
            changes.append(Thawed(name))
    return Decided(fleet, tuple(changes))


def _then_lend(
    so_far: Decided, name: str, group: Group, slots: int, rules: Rules, at: Moment
) -> Decided:
    group, lent = _lend(name, group, slots, None, at)
    return Decided(
        so_far.fleet.put(name, idle_marked(group, slots, at), rules),
        (*so_far.changes, *lent.changes),
        (*so_far.answers, *lent.answers),
    )

"""What becomes of a question: the fleet after it, what is to be written, and who is answered."""

from dataclasses import replace
from typing import Final

from rebootmgr.lending.barrier import obstacle
from rebootmgr.lending.granting import Decided, lend_free, now, refusal, refusal_until, then_lend
from rebootmgr.lending.group import Fleet, Group
from rebootmgr.lending.orders import freeze, release, report, resume, set_slots, thaw, thawed
from rebootmgr.lending.questions import (
    About,
    Answer,
    Came,
    Change,
    Crowded,
    FreezeGroup,
    Granted,
    Joined,
    Left,
    PreReboot,
    Question,
    Release,
    Report,
    Resume,
    Returned,
    SetSlots,
    SlotsSet,
    SteadyState,
    TakenBack,
    Thaw,
    UnknownGroup,
)
from rebootmgr.lending.queue import Held, Waiting
from rebootmgr.lending.standing import looked_at
from rebootmgr.lending.terms import Moment, Rules
from rebootmgr.lending.turns import (
    LONGEST_HELD_S,
    LONGEST_RETRY_S,
    MOST_HELD,
    idle_marked,
    is_near,
    passed_time,
    retry_after_s,
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


def decide(fleet: Fleet, number: int, question: Question, rules: Rules, at: Moment) -> Decided:
    """Answer a question as of `at`; nothing of it is true before the changes are on disk."""
    match question:
        case PreReboot():
            return _ask(fleet, number, question, rules, at)
        case SteadyState():
            return _give_back(fleet, number, question, rules, at)
        case Report():
            return report(fleet, number, question, rules, at)
        case Release():
            return release(fleet, number, question, rules, at)
        case SetSlots():
            return set_slots(fleet, number, question, rules, at)
        case FreezeGroup():
            return freeze(fleet, number, question, rules, at)
        case Thaw():
            return thaw(fleet, number, question, rules)
        case Resume():
            return resume(fleet, number, question, rules, at)


def look(fleet: Fleet, rules: Rules, at: Moment) -> Decided:
    """Do what time brings: end what was held, drop who left, lend what is free."""
    ended = thawed(fleet, rules, at)
    fleet, changes = ended.fleet, list(ended.changes)
    answers: list[tuple[int, Answer]] = []
    for name in fleet.groups:
        group, slots = now(fleet, name, rules, at)
        override = group.override
        if override is not None and override.until is not None and override.until <= at.wall:
            group, slots = looked_at(fleet, name, rules, at, group._replace(override=None))
            changes.append(SlotsSet(name, None, None))
        for entry in _gone(group, at):
            group = group.with_queue(group.queue.without(entry))
            changes.append(Left(name, entry.id))
        if at.s >= group.swept_s + SWEEP_S:
            group = group._replace(swept_s=at.s)
        group, lent = lend_free(name, group, slots, None, at)
        changes += lent.changes
        answers += lent.answers
        for ticket in group.queue.held:
            entry = group.queue.at(ticket)
            if entry.held is not None and entry.held.until_s <= at.s:
                answer = refusal(group, slots, entry, BACK_AT_ONCE_S, at)
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
        if group.settling and group.queue:
            wanted.append(group.settling[0])
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
        answers = ((known.held.number, refusal(group, slots, known, BACK_AT_ONCE_S, at)),)
    entry, changes = _heard(known, question.about, at), tuple[Change, ...]()
    if len(group.holders) < slots:
        group = passed_time(group, slots, at)
        group = group.with_queue(group.queue.put(entry))
        group, lent = lend_free(name, group, slots, (number, entry), at)
        changes, answers = lent.changes, (*answers, *lent.answers)
        if entry.id in lent.hosts:
            fleet = fleet.put(name, idle_marked(group, slots, at), rules)
            return Decided(fleet, changes, answers)
    group, told = _wait(group, slots, number, entry, question.wait_s, at)
    fleet = fleet.put(name, idle_marked(group, slots, at), rules)
    return Decided(fleet, changes, (*answers, *told))


def _join(fleet: Fleet, number: int, question: PreReboot, rules: Rules, at: Moment) -> Decided:
    name = question.group
    group, slots = now(fleet, name, rules, at)
    entry = _newcomer(fleet.tickets, question, at)
    group = group.with_queue(group.queue.put(entry))
    group, lent = lend_free(name, group, slots, (number, entry), at)
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
        about=question.about,
    )


def _heard(entry: Waiting, about: About, at: Moment) -> Waiting:
    """Learn from when a host comes whether it does as it is told, and what it tells of itself."""
    gap_s, told_s = at.s - entry.answered_s, entry.told_s
    interval_s = entry.interval_s
    if told_s is not None:
        as_told = _EARLY * told_s <= gap_s <= _LATE * told_s + _LATE_S
        own_s = min(max(gap_s, _SHORTEST_INTERVAL_S), LONGEST_RETRY_S)
        interval_s = None if as_told else own_s
    if entry.held is None and interval_s == entry.interval_s and about == entry.about:
        return entry
    return entry._replace(interval_s=interval_s, held=None, about=about)


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
        None,
        entry.about,
    )


def _wait(
    group: Group, slots: int, number: int, entry: Waiting, wait_s: float, at: Moment
) -> tuple[Group, tuple[tuple[int, Answer], ...]]:
    """Hold the answer back, or refuse."""
    turn = turn_s(group, slots, at, entry)
    may_hold = wait_s > 0 and len(group.queue.held) < MOST_HELD
    is_free = obstacle(group.barrier, entry.about, at) is None
    if may_hold and is_free and is_near(group, slots, *turn):
        entry = entry._replace(held=Held(number, at.s + min(wait_s, LONGEST_HELD_S)))
        return group.with_queue(group.queue.put(entry)), ()
    answer = refusal_until(group, slots, entry, turn, at)
    entry = _answered(entry, float(answer.retry_after_s), at)
    return group.with_queue(group.queue.put(entry)), ((number, answer),)


def _give_back(
    fleet: Fleet, number: int, question: SteadyState, rules: Rules, at: Moment
) -> Decided:
    name, host = question.group, question.id
    group, slots = now(fleet, name, rules, at)
    entry, changes = group.queue.find(host), list[Change]()
    had, answers = host in group.holders, list[tuple[int, Answer]]()
    if had:
        group = group.given_back(host, at, counts=True)
        changes.append(TakenBack(name, host))
        group, came = _returned(name, group, question, rules, at)
        changes += came
    if entry is not None:
        moot = refusal(group, slots, entry, BACK_AT_ONCE_S, at)
        group = group.with_queue(group.queue.without(entry))
        changes.append(Left(name, host))
        if entry.held is not None:  # both questions cannot be meant
            answers.append((entry.held.number, moot))
    answers.append((number, Returned(had)))
    so_far = Decided(fleet, tuple(changes), tuple(answers))
    if not changes:
        return so_far
    return then_lend(so_far, name, group, rules, at)


def _returned(
    name: str, group: Group, question: SteadyState, rules: Rules, at: Moment
) -> tuple[Group, tuple[Change, ...]]:
    """Remember who came back, for whoever waits for that, and let the slot rest."""
    terms = rules.groups.get(name)
    if terms is None:
        return group, ()
    version = question.about.booted
    group = group.with_came(version, at.wall)
    if terms.settle_s:
        group = group._replace(settling=(*group.settling, at.s + terms.settle_s))
    return group, (Came(name, version, at.wall),)

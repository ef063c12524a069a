"""Where questions come in and answers go out: nothing is told before the store has it.

One batch is written at a time. What comes meanwhile is answered at once where the answer neither
changes nor promises anything; all else goes into the next batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from rebootmgr.lending.absorb import absorbed, asked_elsewhere
from rebootmgr.lending.group import Fleet
from rebootmgr.lending.inbox import Inbox, Numbered, inbox_of
from rebootmgr.lending.lend import decide, hung_up, look, look_again_s
from rebootmgr.lending.questions import (
    Answer,
    Came,
    Change,
    FreezeGroup,
    Frozen,
    Granted,
    Halted,
    Lent,
    PreReboot,
    Question,
    Refused,
    Release,
    Report,
    Resume,
    Resumed,
    SetSlots,
    SlotsSet,
    SteadyState,
    Thaw,
    Thawed,
    Unavailable,
)
from rebootmgr.lending.saved import Saved, restored
from rebootmgr.lending.terms import Moment, Rules

Answers: TypeAlias = tuple[tuple[int, Answer], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question came; no other has its number."""

    number: int
    question: Question


@dataclass(frozen=True, slots=True)
class HungUp:
    """Whoever asked waits for the answer no more."""

    number: int
    question: Question


@dataclass(frozen=True, slots=True)
class Written:
    """The changes are on disk."""


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The changes are on disk, or they are not."""


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Others wrote this first, and the changes are not in the store.

    It is all that they wrote until that was found.
    """

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class OthersWrote:
    """Others wrote this; changes of ours that were about to be sent were not."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class OthersHeard:
    """Hosts with these tickets asked another server of late."""

    tickets: frozenset[int]


@dataclass(frozen=True, slots=True)
class StoreLost:
    """What others write is heard no more."""


@dataclass(frozen=True, slots=True)
class StoreRead:
    """The store was opened anew and holds this."""

    saved: Saved


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time went by, or the rules are new."""


Event: TypeAlias = (
    Asked
    | HungUp
    | Written
    | WriteFailed
    | Overtaken
    | OthersWrote
    | OthersHeard
    | StoreLost
    | StoreRead
    | Ticked
)


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a question; who has gone misses it."""

    number: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Write:
    """Put all of this on disk, or none, in this order; `Written` or `WriteFailed` follows.

    Where others write, too, `Overtaken` may follow, and with no changes it is only looked whether
    they did.
    """

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """Open the store and read it, until that succeeds; `StoreRead` follows."""


Effect: TypeAlias = Reply | Write | Read


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing is known for sure: the store is being opened."""


@dataclass(frozen=True, slots=True)
class Idle:
    """All that is known is on disk."""


@dataclass(frozen=True, slots=True)
class Writing:
    """The changes of the fleet are under way to the disk; these answers wait for that.

    `taken` are the questions that it answers, `before` is the fleet to which they came. Those with
    numbers up to `newest` came before the write was sent.
    """

    answers: Answers
    taken: tuple[Numbered, ...]
    before: Fleet
    newest: int


@dataclass(frozen=True, slots=True)
class Desk:
    """`fleet` is as it will be when what is being written is on disk.

    If the store is `shared` others write to it, too: what is promised is compared with it, and
    what else is told rests on what it held after the question came. So it is for those with numbers
    up to `seen`; the others have it looked into, all together.
    """

    store: Closed | Idle | Writing = field(default_factory=Closed)
    fleet: Fleet = field(default_factory=Fleet)
    inbox: Inbox = field(default_factory=Inbox)
    shared: bool = False
    seen: int = -1


@dataclass(frozen=True, slots=True)
class Turn:
    """The desk after an event, and what is to be done, in order."""

    desk: Desk
    effects: tuple[Effect, ...] = ()


def step(desk: Desk, event: Event, rules: Rules, at: Moment) -> Turn:
    """Say what follows from an event."""
    match event:
        case Asked(number, question):
            return _asked(desk, number, question, rules, at)
        case HungUp(number, question):
            return Turn(_hung_up(desk, number, question, rules, at))
        case Written():
            return _written(desk, rules, at)
        case WriteFailed() | StoreLost():
            return _write_failed(desk)
        case Overtaken(changes):
            return _overtaken(desk, changes, rules, at)
        case OthersWrote(changes):
            return _others_wrote(desk, changes, rules, at)
        case OthersHeard(tickets):
            return Turn(_others_heard(desk, tickets, rules, at))
        case StoreRead(saved):
            fleet = restored(saved, desk.fleet, rules, at)
            return _batch(replace(desk, store=Idle(), fleet=fleet), rules, at)
        case Ticked():
            if isinstance(desk.store, Idle):
                return _batch(desk, rules, at)
            return Turn(desk)


def wake_s(desk: Desk, at: Moment) -> float | None:
    """When a `Ticked` has something to do, at the latest."""
    return look_again_s(desk.fleet, at) if isinstance(desk.store, Idle) else None


def _asked(desk: Desk, number: int, question: Question, rules: Rules, at: Moment) -> Turn:
    if isinstance(desk.store, Closed):
        return Turn(desk, (Reply(number, Unavailable()),))
    if not desk.shared and _is_known(desk.fleet, question):
        decided = decide(desk.fleet, number, question, rules, at)
        if not decided.changes:
            return Turn(_with_fleet(desk, decided.fleet), _replies(decided.answers))
    desk = replace(desk, inbox=desk.inbox.with_one(number, question))
    return _batch(desk, rules, at) if isinstance(desk.store, Idle) else Turn(desk)


def _is_known(fleet: Fleet, question: Question) -> bool:
    """Whether it comes from a host that waits: if nothing is written for it, it holds nothing.

    Its answer may leave at once, even if what it was decided on may yet fail.
    """
    if not isinstance(question, PreReboot):
        return False
    return fleet.group(question.group).queue.find(question.id) is not None


def _with_fleet(desk: Desk, fleet: Fleet) -> Desk:
    return Desk(desk.store, fleet, desk.inbox, desk.shared, desk.seen)


def _hung_up(desk: Desk, number: int, question: Question, rules: Rules, at: Moment) -> Desk:
    store = desk.store
    if desk.shared and isinstance(store, Writing):
        taken = tuple(one for one in store.taken if one[0] != number)
        before = hung_up(store.before, number, question, rules, at)
        store = replace(store, taken=taken, before=before)
    fleet = hung_up(desk.fleet, number, question, rules, at)
    return replace(desk, store=store, fleet=fleet, inbox=desk.inbox.without(number))


def _batch(desk: Desk, rules: Rules, at: Moment) -> Turn:
    """Decide what came, and write it down together.

    A host whose slot or place this batch changes is asked about no more: what it was told must be
    on disk when it leaves. So its next question waits for the next batch.
    """
    told: list[Effect] = []
    while True:
        changes: list[Change] = []
        answers: list[tuple[int, Answer]] = []
        touched: set[tuple[str, str]] = set()
        fleet = desk.fleet
        taken, later = _taken(desk)
        for number, question in taken:
            if _host(question) in touched:
                later.append((number, question))
                continue
            decided = decide(fleet, number, question, rules, at)
            fleet = decided.fleet
            changes += decided.changes
            answers += decided.answers
            touched.update(_touched(decided.changes))
            if desk.shared:
                changes += _told_again(fleet, question, decided.answers)
        looked = look(fleet, rules, at)
        changes += looked.changes
        answers += looked.answers
        inbox = inbox_of(sorted(later, key=_number))
        if changes or _rests_on_store(desk, answers):
            left = {number for number, _ in later}
            asked = tuple(one for one in taken if one[0] not in left)
            newest = max(map(_number, (*taken, *later, *answers)), default=desk.seen)
            writing = Writing(tuple(answers), asked, desk.fleet, max(newest, desk.seen))
            after = replace(desk, store=writing, fleet=looked.fleet, inbox=inbox)
            return Turn(after, (*told, Write(tuple(changes))))
        told += _replies(tuple(answers))
        desk = replace(desk, store=Idle(), fleet=looked.fleet, inbox=inbox)
        if not inbox:
            return Turn(desk, tuple(told))


def _told_again(fleet: Fleet, question: Question, answers: Answers) -> Iterator[Change]:
    """Write a holder down again that is told so again: it may be another's, who never told it.

    That one takes back what it granted untold.
    """
    match question:
        case PreReboot(group=name, id=host):
            if any(answer == Granted(again=True) for _, answer in answers):
                one = fleet.group(name).holders[host]
                yield Lent(name, host, one.name, one.since, one.about, one.failed)
        case SteadyState() | Report() | Release() | SetSlots() | FreezeGroup() | Thaw() | Resume():
            pass


def _rests_on_store(desk: Desk, answers: list[tuple[int, Answer]]) -> bool:
    """Whether others may have written what makes these answers wrong.

    A slot that another server granted after a question came makes no refusal of it wrong: whoever
    asks two servers at once hears two answers.
    """
    return desk.shared and not all(
        isinstance(answer, Refused) and number <= desk.seen for number, answer in answers
    )


def _number(one: tuple[int, object]) -> int:
    return one[0]


def _taken(desk: Desk) -> tuple[list[Numbered], list[Numbered]]:
    """Split the inbox into what goes into this batch, best order first, and what comes later.

    One question of each host, and none before an administrator's that came earlier. Returns go
    first, then those who wait, in the order of their coming.
    """
    taken: list[Numbered] = []
    later: list[Numbered] = []
    hosts: set[tuple[str, str]] = set()
    inbox = list(desk.inbox)
    for place, (number, question) in enumerate(inbox):
        host = _host(question)
        if host is None:
            cut = max(place, 1)
            later += inbox[cut:]
            taken = taken or inbox[:1]
            break
        (later if host in hosts else taken).append((number, question))
        hosts.add(host)
    return sorted(taken, key=lambda one: _order(desk.fleet, one[1])), later


def _order(fleet: Fleet, question: Question) -> int:
    match question:
        case PreReboot(group=group, id=host):
            entry = fleet.group(group).queue.find(host)
            return fleet.tickets if entry is None else entry.ticket
        case SteadyState() | Report() | Release() | SetSlots() | FreezeGroup() | Thaw() | Resume():
            return -1


def _host(question: Question) -> tuple[str, str] | None:
    """Name the host that it comes from; None: an administrator."""
    match question:
        case PreReboot(group=group, id=host) | SteadyState(group=group, id=host):
            return group, host
        case Report(group=group, id=host):
            return group, host
        case Release() | SetSlots() | FreezeGroup() | Thaw() | Resume():
            return None


def _touched(changes: tuple[Change, ...]) -> Iterator[tuple[str, str]]:
    apart = SlotsSet | Frozen | Thawed | Came | Halted | Resumed
    return ((one.group, one.id) for one in changes if not isinstance(one, apart))


def _written(desk: Desk, rules: Rules, at: Moment) -> Turn:
    store = desk.store
    if not isinstance(store, Writing):
        return Turn(desk)
    told = _replies(store.answers)
    after = replace(desk, store=Idle(), seen=store.newest)
    if not desk.inbox:
        return Turn(after, told)
    turn = _batch(after, rules, at)
    return Turn(turn.desk, (*told, *turn.effects))


def _write_failed(desk: Desk) -> Turn:
    """Tell everybody that we do not know, and find out."""
    waiting = list(desk.store.answers) if isinstance(desk.store, Writing) else []
    numbers = [number for number, _ in (*waiting, *desk.inbox)]
    for group in desk.fleet.groups.values():
        held = (group.queue.at(ticket).held for ticket in group.queue.held)
        numbers += [one.number for one in held if one is not None]
    replies = tuple(Reply(number, Unavailable()) for number in numbers)
    return Turn(Desk(Closed(), desk.fleet, shared=desk.shared), (*replies, Read()))


def _overtaken(desk: Desk, changes: tuple[Change, ...], rules: Rules, at: Moment) -> Turn:
    store = desk.store
    if not isinstance(store, Writing):
        return Turn(desk)
    return _others_wrote(replace(desk, seen=store.newest), changes, rules, at)


def _others_wrote(desk: Desk, changes: tuple[Change, ...], rules: Rules, at: Moment) -> Turn:
    """Take it in, and decide again what was decided without."""
    match desk.store:
        case Closed():
            return Turn(desk)
        case Writing(taken=taken, before=before):
            inbox = inbox_of(sorted((*taken, *desk.inbox), key=_number))
            desk = replace(desk, store=Idle(), fleet=before, inbox=inbox)
        case Idle():
            pass
    taken_in = absorbed(desk.fleet, changes, rules, at)
    turn = _batch(replace(desk, fleet=taken_in.fleet), rules, at)
    return Turn(turn.desk, (*_replies(taken_in.answers), *turn.effects))


def _others_heard(desk: Desk, tickets: frozenset[int], rules: Rules, at: Moment) -> Desk:
    store = desk.store
    if isinstance(store, Writing):
        store = replace(store, before=asked_elsewhere(store.before, tickets, rules, at))
    return replace(desk, store=store, fleet=asked_elsewhere(desk.fleet, tickets, rules, at))


def _replies(answers: Answers) -> tuple[Reply, ...]:
    return tuple(Reply(number, answer) for number, answer in answers)

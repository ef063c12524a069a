"""Everything that hosts, network, disk, crash, clock and administrators may do to the desk.

The promises are in the words of whoever holds a slot: what was told, what is on disk, who is still
connected. Nothing of the program is asked whether it did right.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rebootmgr.core.window import Calendar
from rebootmgr.lending.desk import (
    Asked,
    Desk,
    Effect,
    Event,
    HungUp,
    Idle,
    Read,
    Reply,
    StoreRead,
    Ticked,
    Turn,
    Write,
    WriteFailed,
    Written,
    step,
)
from rebootmgr.lending.questions import (
    Answer,
    Change,
    FreezeGroup,
    Frozen,
    Granted,
    Joined,
    Left,
    Lent,
    PreReboot,
    Question,
    Release,
    Returned,
    SetSlots,
    SlotsSet,
    SteadyState,
    TakenBack,
    Thaw,
    Thawed,
    Unavailable,
)
from rebootmgr.lending.saved import Saved
from rebootmgr.lending.terms import Moment, Rules, Terms

BEGIN: Final = datetime(2030, 1, 6, tzinfo=UTC)
GROUP: Final = "g"
HELD_S: Final = 61.0  # until an answer is held no more, and a slot has been idle for long
GONE_S: Final = 14400.0  # until a host that said nothing has left


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What may happen in this walk."""

    name: str
    hosts: tuple[str, ...]
    slots: int = 1
    most_open: int = 1  # questions of one host at once
    most_open_in_all: int = 9
    waits_s: tuple[float, ...] = (60.0, 0.0)  # for which hosts let their answers be held
    spans_s: tuple[float, ...] = ()  # that may pass
    slots_set: tuple[int | None, ...] = ()  # by administrators, who also release
    freezes: str | None = None  # the group that administrators freeze, "" for all
    windows: bool = False  # open and close
    failures: bool = True


@dataclass(frozen=True, slots=True)
class Disk:
    """The rows, and what is on its way to them."""

    holders: frozenset[str] = frozenset()
    waiting: tuple[tuple[int, str], ...] = ()
    slots: int | None = None
    frozen: bool = False

    def after(self, changes: tuple[Change, ...], configured: int) -> "Disk":
        """Carry changes out as any store would, and mind the first promise."""
        holders, waiting, slots = set(self.holders), dict(self.waiting), self.slots
        frozen = self.frozen
        for change in changes:
            match change:
                case Joined(id=host, ticket=ticket):
                    assert host not in waiting.values(), "two places in the queue"
                    assert ticket not in waiting, "two hosts with one ticket"
                    waiting[ticket] = host
                case Left(id=host):
                    waiting = {t: one for t, one in waiting.items() if one != host}
                case Lent(id=host):
                    assert host not in holders, "lent twice to one host"
                    assert not frozen, "lent while it is frozen"
                    holders.add(host)
                    most = configured if slots is None else slots
                    assert len(holders) <= most, "more holders than slots at the grant"
                case TakenBack(id=host):
                    assert host in holders, "what nobody had was taken back"
                    holders.remove(host)
                case SlotsSet(slots=wanted):
                    slots = wanted
                case Frozen():
                    frozen = True
                case Thawed():
                    frozen = False
        assert not holders & set(waiting.values()), "who holds does not wait"
        return Disk(frozenset(holders), tuple(sorted(waiting.items())), slots, frozen)

    def saved(self, freezes: str) -> Saved:
        return Saved(
            tuple(Lent(GROUP, host, "", BEGIN) for host in sorted(self.holders)),
            tuple(Joined(GROUP, host, "", ticket, BEGIN) for ticket, host in self.waiting),
            () if self.slots is None else (SlotsSet(GROUP, self.slots, None),),
            (Frozen(freezes, "", None, "", BEGIN),) if self.frozen else (),
        )


@dataclass(frozen=True, slots=True)
class World:
    """The desk and all around it.

    `told` are the hosts that were told a slot is theirs, and have not begun to give it back.
    `open` are the questions whose asker waits, in the order of their coming.
    """

    nature: Nature
    desk: Desk = field(default_factory=Desk)
    disk: Disk = field(default_factory=Disk)
    told: frozenset[str] = frozenset()
    open: tuple[tuple[int, Question], ...] = ()
    writing: tuple[Change, ...] | None = None
    reading: bool = True
    is_open: bool = True
    now_s: float = 0.0
    numbers: int = 1

    @property
    def at(self) -> Moment:
        return Moment(BEGIN + timedelta(seconds=self.now_s), self.now_s)

    @property
    def rules(self) -> Rules:
        calendar = Calendar(periodic=not self.is_open)
        return Rules(groups={GROUP: Terms(slots=self.nature.slots, calendar=calendar)})

    def edges(self) -> Iterator[tuple[str, "World"]]:
        """All that may happen next, and the world after it."""
        yield from self._network()
        yield from self._store()
        if self.nature.failures:
            yield from self._crashes()
        if self.nature.slots_set:
            yield from self._admin()
        if self.nature.freezes is not None:
            yield from self._freezes(self.nature.freezes)
        if self.nature.windows:
            there = replace(self, is_open=not self.is_open)
            yield "the window closes" if self.is_open else "the window opens", there.on(Ticked())
        for span_s in self.nature.spans_s:
            yield f"{span_s:.0f} s pass", self.after(span_s)

    def _network(self) -> Iterator[tuple[str, "World"]]:
        room = len(self.open) < self.nature.most_open_in_all
        for host in self.nature.hosts if room else ():
            mine = [one for _, one in self.open if getattr(one, "id", "") == host]
            if len(mine) < self.nature.most_open:
                for wait_s in self.nature.waits_s:
                    wish = PreReboot(GROUP, host, wait_s=wait_s)
                    yield f"{host} asks, and waits {wait_s:.0f} s", self.asks(wish)
                yield f"{host} gives back", self.gives_back(host)
        for number, question in self.open:
            rest = tuple(one for one in self.open if one[0] != number)
            gone = replace(self, open=rest)
            yield f"{question} is given up", gone.on(HungUp(number, question))

    def _store(self) -> Iterator[tuple[str, "World"]]:
        yield from self.store_works()
        if self.writing is not None and self.nature.failures:
            yield "fails before the write", replace(self, writing=None).on(WriteFailed())
            yield "fails after the write", self._carried_out().on(WriteFailed())

    def store_works(self) -> Iterator[tuple[str, "World"]]:
        """What the store does where nothing goes wrong."""
        if self.writing is not None:
            yield "written", self._carried_out().on(Written())
        if self.reading:
            yield (
                "read",
                replace(self, reading=False).on(
                    StoreRead(self.disk.saved(self.nature.freezes or ""))
                ),
            )

    def saved(self) -> Saved:
        return self.disk.saved(self.nature.freezes or "")

    def _crashes(self) -> Iterator[tuple[str, "World"]]:
        ends = [("", self)]
        if self.writing is not None:
            ends = [(" before the write", self), (" after the write", self._carried_out())]
        for when, world in ends:
            restarted = replace(world, desk=Desk(), open=(), writing=None, reading=True)
            yield f"kill -9{when}", restarted

    def _admin(self) -> Iterator[tuple[str, "World"]]:
        if any(isinstance(one, Release | SetSlots) for _, one in self.open):
            return
        host = self.nature.hosts[0]  # the others are like it
        after = replace(self, told=self.told - {host})
        yield f"release {host}", after.asks(Release(GROUP, host))
        for slots in self.nature.slots_set:
            yield f"slots {slots}", self.asks(SetSlots(GROUP, slots))

    def _freezes(self, group: str) -> Iterator[tuple[str, "World"]]:
        if not any(isinstance(one, FreezeGroup | Thaw) for _, one in self.open):
            yield "freeze", self.asks(FreezeGroup(group, "why"))
            yield "thaw", self.asks(Thaw(group))

    def _carried_out(self) -> "World":
        assert self.writing is not None
        disk = self.disk.after(self.writing, self.nature.slots)
        return replace(self, disk=disk, writing=None)

    def without_obstacles(self) -> "World":
        """Thawed, and in its window."""
        world = replace(self, is_open=True).on(Ticked())
        freezes = self.nature.freezes
        return world if freezes is None else world.asks(Thaw(freezes))

    def gives_back(self, host: str) -> "World":
        """From then on it does not count on its slot any more."""
        return replace(self, told=self.told - {host}).asks(SteadyState(GROUP, host))

    def after(self, span_s: float) -> "World":
        return replace(self, now_s=self.now_s + span_s).on(Ticked())

    def asks(self, question: Question) -> "World":
        number = self.numbers
        world = replace(self, open=(*self.open, (number, question)), numbers=number + 1)
        return world.on(Asked(number, question))

    def on(self, event: Event) -> "World":
        turn: Turn = step(self.desk, event, self.rules, self.at)
        world = replace(self, desk=turn.desk)
        for effect in turn.effects:
            world = world._does(effect)
        world.mind()
        return world

    def _does(self, effect: Effect) -> "World":
        match effect:
            case Write(changes):
                assert self.writing is None, "one batch at a time"
                assert changes
                self._mind_what_is_written(changes)
                return replace(self, writing=changes)
            case Read():
                return replace(self, reading=True)
            case Reply(number, answer):
                question = dict(self.open).get(number)
                if question is None:
                    return self  # the answer is lost
                rest = tuple(one for one in self.open if one[0] != number)
                world = replace(self, open=rest)
                world._mind_what_is_told(question, answer)
                if isinstance(answer, Granted) and isinstance(question, PreReboot):
                    ends = {SteadyState(GROUP, question.id), Release(GROUP, question.id)}
                    if not ends & {one for _, one in rest}:
                        return replace(world, told=world.told | {question.id})
                return world

    # The promises

    def mind(self) -> None:
        assert self.told <= self.disk.holders, "a granted slot is forgotten"
        if isinstance(self.desk.store, Idle):
            assert not self.desk.inbox, "nothing is left lying about"
            group = self.desk.fleet.group(GROUP)
            held = {one.held.number for one in group.queue if one.held is not None}
            assert {number for number, _ in self.open} <= held, "somebody is never answered"
            assert set(group.holders) == self.disk.holders, "what is known is on disk"
            waiting = [(one.ticket, one.id) for one in group.queue]
            assert tuple(waiting) == self.disk.waiting, "the queue is on disk"

    def _mind_what_is_written(self, changes: tuple[Change, ...]) -> None:
        asked = [question for _, question in self.open]
        lent = {change.id for change in changes if isinstance(change, Lent)}
        assert self.is_open or not lent, "lent outside its window"
        for change in changes:
            match change:
                case Lent(id=host):
                    wishes = [one for one in asked if isinstance(one, PreReboot)]
                    assert host in {one.id for one in wishes}, "lent to somebody who hung up"
                case TakenBack(id=host):
                    ends = {SteadyState(GROUP, host), Release(GROUP, host)}
                    assert ends & set(asked), "taken back unasked"
                case Joined() | Left() | SlotsSet() | Frozen() | Thawed():
                    pass
        self._mind_the_order(lent)

    def _mind_the_order(self, lent: set[str]) -> None:
        """Who came earlier and has been waiting on the line all along goes first."""
        places = {host: ticket for ticket, host in self.disk.waiting}
        newest = max((places.get(host, 10**9) for host in lent), default=-1)
        first = min((number for number, _ in self.open), default=0)
        for number, question in self.open:
            if not isinstance(question, PreReboot) or not question.wait_s or number != first:
                continue
            if question.id in lent or question.id in self.disk.holders:
                continue
            ends = [one for _, one in self.open if one == SteadyState(GROUP, question.id)]
            assert ends or places.get(question.id, 10**9) >= newest, "overtaken while it was there"

    def _mind_what_is_told(self, question: Question, answer: Answer) -> None:
        on_its_way = {one.id for one in self.writing or () if isinstance(one, Lent)}
        match question, answer:
            case _, Unavailable():
                pass
            case PreReboot(id=host), Granted():
                assert host in self.disk.holders, "told before it is on disk"
            case PreReboot(id=host), _:
                others = [one for _, one in self.open if getattr(one, "id", "") == host]
                if not others:
                    assert host not in self.disk.holders | on_its_way, "a refusal that holds a slot"
            case SteadyState(id=host), Returned():
                others = [one for _, one in self.open if getattr(one, "id", "") == host]
                if not others:
                    assert host not in self.disk.holders, "told it is back, and it is not"
            case SteadyState(), _:
                raise AssertionError("a return is never refused")
            case Release() | SetSlots() | FreezeGroup() | Thaw(), _:
                pass


NATURES: Final = (
    Nature(name="two hosts", hosts=("a", "b")),
    Nature(
        name="two slots",
        hosts=("a", "b", "c"),
        slots=2,
        waits_s=(60.0,),
        most_open_in_all=2,
        failures=False,
    ),
    Nature(
        name="repetitions",
        hosts=("a", "b"),
        waits_s=(0.0,),
        most_open=2,
        most_open_in_all=3,
        failures=False,
    ),
    Nature(
        name="time",
        hosts=("a", "b"),
        waits_s=(60.0,),
        spans_s=(HELD_S, GONE_S),
        most_open_in_all=2,
        failures=False,
    ),
    Nature(
        name="administrators",
        hosts=("a", "b"),
        waits_s=(60.0,),
        slots_set=(2, None),
        most_open_in_all=2,
        failures=False,
    ),
    Nature(
        name="freezes",
        hosts=("a", "b"),
        waits_s=(60.0,),
        freezes=GROUP,
        most_open_in_all=2,
        failures=False,
    ),
    Nature(
        name="freezes of all",
        hosts=("a", "b"),
        waits_s=(60.0,),
        freezes="",
        most_open_in_all=1,
    ),
    Nature(
        name="windows",
        hosts=("a", "b"),
        waits_s=(60.0,),
        windows=True,
        most_open_in_all=2,
        failures=False,
    ),
)

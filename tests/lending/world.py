"""Everything that hosts, network, disk, crash, clock and administrators may do to the desk.

The promises are in the words of whoever holds a slot: what was told, what is on disk, who is still
connected. Nothing of the program is asked whether it did right.
"""

import os
from collections.abc import Callable, Iterator
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
    About,
    Answer,
    Came,
    Change,
    Failed,
    FreezeGroup,
    Frozen,
    Granted,
    Halted,
    Joined,
    Left,
    Lent,
    PreReboot,
    Question,
    Release,
    Report,
    Resume,
    Resumed,
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
CANARY: Final = "c"  # the group that goes first, of one host of the same name
SETTLE_S: Final = 100.0
SOAK_S: Final = 100.0
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
    settle_s: float = 0.0
    halts: bool = False  # hosts report failures, and administrators resume and forgive
    canary: bool = False  # hosts go to "new", and wait until the canary came back with it
    spread: bool = False  # two hosts of one rack; the last is of none
    failures: bool = True


@dataclass(frozen=True, slots=True)
class Disk:
    """The rows, and what is on its way to them."""

    holders: frozenset[str] = frozenset()
    waiting: tuple[tuple[int, str], ...] = ()
    slots: int | None = None
    frozen: bool = False
    failed: frozenset[str] = frozenset()
    halted: bool = False
    came: tuple[tuple[str, str], ...] = ()  # group and version
    canary: tuple[str, ...] = ()  # what the group of the canary does: holds or waits

    def after(self, changes: tuple[Change, ...], configured: int) -> "Disk":
        """Carry changes out as any store would, and mind the first promise."""
        holders, waiting, slots = set(self.holders), dict(self.waiting), self.slots
        frozen, halted, failed = self.frozen, self.halted, set(self.failed)
        came, canary = set(self.came), set(self.canary)
        for change in changes:
            match change:
                case Joined(group="c"):
                    canary.add("waits")
                case Left(group="c"):
                    canary.discard("waits")
                case Lent(group="c"):
                    canary.add("holds")
                case TakenBack(group="c"):
                    canary.remove("holds")
                case Came(group=group, version=version):
                    came.add((group, version))
                case Failed(id=host, reason=reason):
                    assert host in holders, "a failed holder that holds nothing"
                    (failed.add if reason else failed.discard)(host)
                case Halted():
                    halted = True
                case Resumed():
                    halted = False
                case Joined(id=host, ticket=ticket):
                    assert host not in waiting.values(), "two places in the queue"
                    assert ticket not in waiting, "two hosts with one ticket"
                    waiting[ticket] = host
                case Left(id=host):
                    waiting = {t: one for t, one in waiting.items() if one != host}
                case Lent(id=host):
                    assert host not in holders, "lent twice to one host"
                    assert not frozen, "lent while it is frozen"
                    assert not halted, "lent while it is halted"
                    holders.add(host)
                    most = configured if slots is None else slots
                    assert len(holders) <= most, "more holders than slots at the grant"
                case TakenBack(id=host):
                    assert host in holders, "what nobody had was taken back"
                    holders.remove(host)
                    failed.discard(host)
                case SlotsSet(slots=wanted):
                    slots = wanted
                case Frozen():
                    frozen = True
                case Thawed():
                    frozen = False
        assert not holders & set(waiting.values()), "who holds does not wait"
        return Disk(
            *(frozenset(holders), tuple(sorted(waiting.items())), slots, frozen),
            *(frozenset(failed), halted, tuple(sorted(came)), tuple(sorted(canary))),
        )

    def saved(self, freezes: str, about: Callable[[str], About], last: datetime) -> Saved:
        return Saved(
            (
                *(self._holder(host, about(host)) for host in sorted(self.holders)),
                *(Lent(CANARY, CANARY, "", BEGIN) for _ in range(self.canary.count("holds"))),
            ),
            (
                *(Joined(GROUP, host, "", ticket, BEGIN) for ticket, host in self.waiting),
                *(
                    Joined(CANARY, CANARY, "", 10**6, BEGIN)
                    for _ in range(self.canary.count("waits"))
                ),
            ),
            () if self.slots is None else (SlotsSet(GROUP, self.slots, None),),
            (Frozen(freezes, "", None, "", BEGIN),) if self.frozen else (),
            (Halted(GROUP, "why", BEGIN),) if self.halted else (),
            tuple(Came(group, version, last) for group, version in self.came),
        )

    def _holder(self, host: str, about: About) -> Lent:
        return Lent(GROUP, host, "", BEGIN, about, "why" if host in self.failed else "")


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
    back_s: tuple[float, ...] = ()  # when slots came back, in the nature that lets them rest
    quiet_s: float | None = 0.0  # since when nobody of the canary's group holds or waits
    canary_goes: bool = False  # from here on, until it came back

    @property
    def at(self) -> Moment:
        return Moment(BEGIN + timedelta(seconds=self.now_s), self.now_s)

    @property
    def rules(self) -> Rules:
        calendar = Calendar(periodic=not self.is_open)
        nature = self.nature
        terms = Terms(
            slots=nature.slots,
            calendar=calendar,
            settle_s=nature.settle_s,
            halt_after=1 if nature.halts else 0,
            after=(CANARY,) if nature.canary else (),
            soak_s=SOAK_S,
            spread="rack" if nature.spread else "",
        )
        first = {CANARY: Terms(halt_after=0)} if nature.canary else {}
        return Rules(groups={GROUP: terms, **first})

    def wish(self, host: str, wait_s: float = 60.0) -> PreReboot:
        return PreReboot(GROUP, host, wait_s=wait_s, about=self.about(host))

    def about(self, host: str) -> About:
        """What a host tells of itself."""
        racked = self.nature.spread and host != self.nature.hosts[-1]
        labels = (("rack", "1"),) if racked else ()
        return About(labels=labels, target="new" if self.nature.canary else "")

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
        if self.nature.halts:
            yield from self._failures()
        if self.nature.canary:
            yield from self._canary()
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
                    wish = self.wish(host, wait_s)
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
            quiet_s = None if self.disk.canary else self.quiet_s
            there = replace(self, reading=False, quiet_s=quiet_s)
            yield "read", there.on(StoreRead(self.saved()))

    def saved(self) -> Saved:
        back_s = max(self.back_s, default=0.0)
        last = BEGIN + timedelta(seconds=back_s)
        return self.disk.saved(self.nature.freezes or "", self.about, last)

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

    def _failures(self) -> Iterator[tuple[str, "World"]]:
        if any(isinstance(one, Report | Resume) for _, one in self.open):
            return
        host = self.nature.hosts[0]
        yield f"{host} reports that it failed", self.asks(Report(GROUP, host, "why"))
        yield f"{host} reports that it did not", self.asks(Report(GROUP, host, ""))
        yield "resume", self.asks(Resume(GROUP))
        forgiven = replace(self, told=self.told - {host})
        yield f"forgive {host}", forgiven.asks(Resume(GROUP, host))

    def _canary(self) -> Iterator[tuple[str, "World"]]:
        if any(getattr(one, "group", "") == CANARY for _, one in self.open):
            return
        yield "the canary asks", self.asks(PreReboot(CANARY, CANARY))
        for version in ("new", "old"):
            back = SteadyState(CANARY, CANARY, About(booted=version))
            yield f"the canary is back with {version}", self.asks(back)

    def canary_went(self) -> "World":
        """Have it back with the new version, as it is told to by whoever wants a turn."""
        back = SteadyState(CANARY, CANARY, About(booted="new"))
        return replace(self, canary_goes=False).asks(back)

    def _carried_out(self) -> "World":
        assert self.writing is not None
        disk = self.disk.after(self.writing, self.nature.slots)
        quiet_s = None if disk.canary else self.quiet_s
        return replace(self, disk=disk, writing=None, quiet_s=quiet_s)

    def without_obstacles(self) -> "World":
        """Thawed, resumed and in its window, and the canary has been there."""
        world = replace(self, is_open=True).on(Ticked())
        freezes = self.nature.freezes
        if self.nature.halts:
            return world.asks(Resume(GROUP))
        if self.nature.canary:
            return replace(world, canary_goes=True)
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
                rested = [at for at in self.back_s if self.now_s - at < self.nature.settle_s]
                back = [self.now_s for one in changes if isinstance(one, Came)]
                world = replace(self, back_s=(*rested, *back))
                world._mind_what_is_written(changes)
                after = self.disk.after(changes, self.nature.slots)
                gone = self.disk.canary and not after.canary
                quiet_s: float | None = self.now_s
                if not gone and self.quiet_s is not None:
                    quiet_s = self.quiet_s
                if self.disk.canary and after.canary:
                    quiet_s = None
                return replace(world, writing=changes, quiet_s=quiet_s)
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
                    if question.group == CANARY:
                        return world
                    host = question.id
                    ends = {SteadyState(GROUP, host), Release(GROUP, host), Resume(GROUP, host)}
                    if not ends & {one for _, one in rest}:
                        return replace(world, told=world.told | {host})
                return world

    # The promises

    def mind(self) -> None:
        assert self.told <= self.disk.holders, "a granted slot is forgotten"
        if isinstance(self.desk.store, Idle):
            assert not self.desk.inbox, "nothing is left lying about"
            group = self.desk.fleet.group(GROUP)
            first = self.desk.fleet.group(CANARY)
            both = (*group.queue, *first.queue)
            held = {one.held.number for one in both if one.held is not None}
            assert {number for number, _ in self.open} <= held, "somebody is never answered"
            assert set(group.holders) == self.disk.holders, "what is known is on disk"
            waiting = [(one.ticket, one.id) for one in group.queue]
            assert tuple(waiting) == self.disk.waiting, "the queue is on disk"

    def _mind_what_is_written(self, changes: tuple[Change, ...]) -> None:
        asked = [question for _, question in self.open]
        lent = {one.id for one in changes if isinstance(one, Lent) and one.group == GROUP}
        assert self.is_open or not lent, "lent outside its window"
        self._mind_the_roll_out(changes)
        for change in changes:
            match change:
                case Lent(id=host):
                    wishes = [one for one in asked if isinstance(one, PreReboot)]
                    assert host in {one.id for one in wishes}, "lent to somebody who hung up"
                case TakenBack(group="c"):
                    pass
                case TakenBack(id=host):
                    ends = {SteadyState(GROUP, host), Release(GROUP, host), Resume(GROUP, host)}
                    assert ends & set(asked), "taken back unasked"
                case Failed() | Halted():
                    assert any(isinstance(one, Report) for one in asked), "it failed unreported"
                case Resumed():
                    assert any(isinstance(one, Resume) for one in asked), "resumed by nobody"
                case Joined() | Left() | SlotsSet() | Frozen() | Thawed() | Came():
                    pass
        self._mind_the_order(lent)

    def _mind_the_roll_out(self, changes: tuple[Change, ...]) -> None:
        lent = [one for one in changes if isinstance(one, Lent) and one.group == GROUP]
        if not lent:
            return
        holders = self.disk.holders
        for change in changes:
            if isinstance(change, TakenBack):
                holders -= {change.id}
            elif isinstance(change, Lent) and change.group == GROUP:
                holders |= {change.id}
                racked = [host for host in holders if self.about(host).labels]
                if self.about(change.id).labels:
                    assert len(racked) <= 1, "two of one rack are down"
        if self.nature.canary:
            assert (CANARY, "new") in self.disk.came, "lent before the canary was there"
            assert self.quiet_s is not None, "lent while the canary's group is busy"
            assert self.now_s - self.quiet_s >= SOAK_S, "lent while the canary soaks"
        resting = [at for at in self.back_s if self.now_s - at < self.nature.settle_s]
        if resting:  # elsewhere an administrator may have set more slots
            busy = len(holders) + len(resting)
            assert busy <= self.nature.slots, "lent before it had rested"

    def _mind_the_order(self, lent: set[str]) -> None:
        """Who came earlier and has been waiting on the line all along goes first."""
        places = {host: ticket for ticket, host in self.disk.waiting}
        newest = max((places.get(host, 10**9) for host in lent), default=-1)
        first = min((number for number, _ in self.open), default=0)
        for number, question in self.open:
            if not isinstance(question, PreReboot) or not question.wait_s or number != first:
                continue
            if self.nature.canary or self.nature.spread or question.group != GROUP:
                continue  # who may go is not who came first
            if question.id in lent or question.id in self.disk.holders:
                continue
            ends = [one for _, one in self.open if one == SteadyState(GROUP, question.id)]
            assert ends or places.get(question.id, 10**9) >= newest, "overtaken while it was there"

    def _mind_what_is_told(self, question: Question, answer: Answer) -> None:
        on_its_way = {one.id for one in self.writing or () if isinstance(one, Lent)}
        match question, answer:
            case _, Unavailable():
                pass
            case PreReboot(group="c") | SteadyState(group="c"), _:
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
            case Report() | Release() | SetSlots() | FreezeGroup() | Thaw() | Resume(), _:
                pass


SHALLOW: Final = (
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
    Nature(
        name="resting",
        hosts=("a", "b"),
        slots=2,
        waits_s=(60.0,),
        settle_s=SETTLE_S,
        spans_s=(SETTLE_S,),
        most_open_in_all=1,
        failures=False,
    ),
    Nature(
        name="resting through restarts",
        hosts=("a", "b"),
        waits_s=(60.0,),
        settle_s=SETTLE_S,
        spans_s=(SETTLE_S,),
        most_open_in_all=1,
    ),
    Nature(
        name="halts through restarts",
        hosts=("a", "b"),
        waits_s=(60.0,),
        halts=True,
        most_open_in_all=1,
    ),
    Nature(
        name="canaries",
        hosts=("a",),
        waits_s=(60.0,),
        canary=True,
        spans_s=(SOAK_S,),
        most_open_in_all=1,
        failures=False,
    ),
    Nature(
        name="canaries and restarts",
        hosts=("a",),
        waits_s=(60.0,),
        canary=True,
        spans_s=(SOAK_S,),
        most_open_in_all=1,
    ),
    Nature(
        name="racks",
        hosts=("a", "b", "c"),
        slots=2,
        waits_s=(60.0,),
        spread=True,
        most_open_in_all=1,
        failures=False,
    ),
)
DEEP: Final = (
    Nature(
        name="halts",
        hosts=("a", "b"),
        waits_s=(60.0,),
        halts=True,
        most_open_in_all=2,
        failures=False,
    ),
)
"""Those that take so many worlds that `make soak` walks them."""
NATURES: Final = (*SHALLOW, *DEEP) if os.environ.get("REBOOTMGR_WALK") == "deep" else SHALLOW

"""The outside, modelled: what host, fleet, disk and crash may do, and what must never happen.

A `World` is the machine, the disk, the truth about host and fleet, and the questions that are still
unanswered. `World.edges` is everything that can happen next; `World.after` obeys what the machine
then wants and asserts the promises of SPEC 13 on the way.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from rebootmgr.core.alarm import _monos
from rebootmgr.core.backoff import Retry
from rebootmgr.core.describe import blockers
from rebootmgr.core.effects import (
    Acquire,
    CancelRequest,
    Effect,
    ReadFacts,
    Reboot,
    Release,
    RunHooks,
    SaveMemory,
    StopHooks,
    Warn,
)
from rebootmgr.core.events import (
    Cancelled,
    Event,
    FactsRead,
    Forgiven,
    HoldAdded,
    HoldReleased,
    HooksFailed,
    HooksPassed,
    HooksUnclear,
    HostChanged,
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnasked,
    LockUnclear,
    PolicyLoaded,
    RebootAccepted,
    RebootAsked,
    RebootRefused,
    ReleaseUnclear,
    Saved,
    SaveFailed,
    ShutdownBegan,
    SlotReleased,
    StopAsked,
    Ticked,
)
from rebootmgr.core.facts import (
    Deployments,
    Facts,
    Inhibitor,
    Logind,
    Look,
    OsUnknown,
    Session,
)
from rebootmgr.core.gates import local_blockers, pending
from rebootmgr.core.machine import start, step
from rebootmgr.core.memory import Hold, Memory
from rebootmgr.core.model import (
    BootId,
    Deployment,
    DeploymentId,
    Moment,
    Phase,
    Slot,
    Ticket,
    UpdateKey,
)
from rebootmgr.core.policy import Patience, Policy
from rebootmgr.core.states import (
    Attempt,
    Committing,
    Idle,
    Owed,
    PostBoot,
    Rebooting,
    Starting,
    State,
    Waiting,
)
from rebootmgr.core.window import Calendar, Weekly
from tests.core import canonical

PATIENCE = Patience(
    first_retry_s=canonical.SOON,
    longest_retry_s=canonical.SOON,
    reserved_s=(canonical.SOON, canonical.SOON),
    release_again_s=canonical.SOON,
    longest_retry_after_s=canonical.SOON,
    shutdown_s=canonical.SOON,
    final_warning_s=canonical.SOON,
    check_s=0.0,
)
LATE = 100.0
OPEN = datetime(2030, 1, 6, 1, tzinfo=UTC)  # a Sunday
SHUT = datetime(2030, 1, 7, 1, tzinfo=UTC)
SUNDAYS = Calendar(
    periodic=True,
    windows=(
        Weekly(
            days=frozenset({6}),
            start=datetime(2030, 1, 6, tzinfo=UTC).time(),
            length=timedelta(hours=3),
            zone=UTC,
        ),
    ),
)


def deployment(name: str, timestamp: int) -> Deployment:
    key = UpdateKey(f"os/{name}")
    return Deployment(id=DeploymentId(name), key=key, version=name, timestamp=timestamp)


OLD, A, B = deployment("old", 1), deployment("a", 2), deployment("b", 3)
S1, S2 = Slot("http://one/", "default", "me"), Slot("http://two/", "default", "me")
INHIBITOR = Inhibitor(who="backup", why="running", uid=0, pid=7)
ALICE = Session(id="1", user="alice", tty="pts/0")
HOLD = Hold(id="h", owner="root", reason="not now", since=OPEN, until=None)
ALL_HOOKS = frozenset({Phase.CHECK, Phase.PRE_REBOOT, Phase.POST_BOOT, Phase.ABANDONED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """Which of all the things that can happen do happen in this exploration."""

    name: str
    policies: tuple[Policy, ...]
    updates: tuple[Deployment, ...] = (A,)
    hooks: frozenset[Phase] = frozenset()
    slow_looks: bool = False
    inhibits: bool = True
    logind_look: Look = Look.HOST
    sessions: bool = False
    unknowns: bool = False
    operators: bool = False
    crashes: bool = True
    reboots: bool = False
    save_fails: bool = False
    hooks_unclear: bool = False
    window_moves: bool = False
    stops: bool = False
    logind_refuses: bool = False
    boot_fails: bool = False
    first_slots: frozenset[Slot] = frozenset()


@dataclass(frozen=True, slots=True)
class Looking:
    ticket: Ticket
    look: Look
    seen: Facts


@dataclass(frozen=True, slots=True)
class Running:
    ticket: Ticket
    phase: Phase


@dataclass(frozen=True, slots=True)
class AskingServer:
    ticket: Ticket
    slot: Slot
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class GivingBack:
    ticket: Ticket
    slot: Slot


@dataclass(frozen=True, slots=True)
class Calling:
    target: DeploymentId


Question: TypeAlias = Looking | Running | AskingServer | GivingBack | Calling
Edge: TypeAlias = tuple[str, "World"]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    nature: Nature = field(compare=False)
    state: State
    disk: Memory = field(default_factory=Memory)
    ruling: int = 0
    questions: frozenset[Question] = frozenset()
    booted: Deployment = OLD
    on_disk: frozenset[Deployment] = frozenset({OLD})
    staged: Deployment | None = None
    inhibited: bool = False
    users: bool = False
    unknown: bool = False
    healthy: bool = True
    open: bool = True
    down: bool = False
    full: bool = False
    drained: bool = False
    granted: bool = False
    holding: frozenset[Slot] = frozenset()
    late: frozenset[Slot] = frozenset()
    reboots: int = 0

    @property
    def policy(self) -> Policy:
        return self.nature.policies[self.ruling]

    def at(self, mono: float = 0.0) -> Moment:
        return Moment(wall=OPEN if self.open else SHUT, mono=mono)

    # --- what can happen -----------------------------------------------------------------

    def edges(self) -> Iterator[Edge]:
        for event, world in self._possible():
            yield from world.on(event)
        yield from self._silently()
        if self.nature.crashes:
            yield "crash", self.crash()
        if self.nature.reboots:
            yield "power cut", self.boot(self.booted, self.on_disk)
        if self.nature.reboots and self.down and self.staged is not None:
            disk = self.on_disk | {self.staged}
            yield "booted the update", self.boot(self.staged, disk)
            yield "booted the old one", self.boot(self.booted, disk)
            yield "finalization failed", self.boot(self.booted, self.on_disk)

    def _silently(self) -> Iterator[Edge]:
        """What happens without anybody telling us."""
        if self.nature.save_fails:
            yield "disk full" if not self.full else "disk mended", replace(self, full=not self.full)
        for slot in self.late:
            left = self.late - {slot}
            yield (
                f"late grant of {slot.server}",
                replace(self, late=left, holding=self.holding | {slot}),
            )

    def _possible(self) -> Iterator[tuple[Event, "World"]]:
        yield from self._host_changes()
        yield from self._operators()
        if self.down:
            yield ShutdownBegan(), self
            if self.nature.logind_refuses:
                yield RebootRefused("called off"), replace(self, down=False)
        if _monos(self.state) and self._time_may_pass():
            yield Ticked(), replace(self, late=frozenset())
        for question in self.questions:
            left = replace(self, questions=self.questions - {question})
            yield from left._answers(question)
        if self.nature.stops and not self.state.stopping:
            yield StopAsked(), self
        for ruling in range(len(self.nature.policies)):
            if ruling != self.ruling:
                yield PolicyLoaded(), replace(self, ruling=ruling)

    def _host_changes(self) -> Iterator[tuple[Event, "World"]]:
        if self.staged is not None:
            yield HostChanged(Look.HOST), replace(self, staged=None)
        if self.down:
            return  # going down, whatever else happens; only a withdrawal still means something
        for update in self.nature.updates:
            if update not in {self.staged, self.booted}:
                yield HostChanged(Look.HOST), replace(self, staged=update)
        if self.nature.inhibits:
            yield HostChanged(self.nature.logind_look), replace(self, inhibited=not self.inhibited)
        if self.nature.sessions:
            yield HostChanged(self.nature.logind_look), replace(self, users=not self.users)
        if self.nature.unknowns:
            yield HostChanged(Look.HOST), replace(self, unknown=not self.unknown)
        if self.nature.boot_fails:
            yield HostChanged(Look.HOST), replace(self, healthy=not self.healthy)
        if self.nature.window_moves and self._time_may_pass():
            yield Ticked(), replace(self, open=not self.open, late=frozenset())

    def _time_may_pass(self) -> bool:
        """A call to logind is answered, and a machine that goes down is down, in ten minutes."""
        return not (self.down or any(isinstance(each, Calling) for each in self.questions))

    def _operators(self) -> Iterator[tuple[Event, "World"]]:
        if self.nature.operators:
            yield HoldAdded(HOLD), self
            yield HoldReleased(HOLD.id), self
            yield Cancelled(HOLD), self
            yield RebootAsked("root", now=False, valid_s=60.0), self
        if self.nature.operators or any(one.kept for one in self.state.ledger):
            yield Forgiven(None), self

    def _answers(self, question: Question) -> Iterator[tuple[Event, "World"]]:
        match question:
            case Looking(ticket, look, seen):
                yield FactsRead(ticket, seen), self
                if (now := self.facts(look)) != seen:
                    yield FactsRead(ticket, now), self
            case Running(ticket, phase):
                after = self._ran(phase)
                yield HooksPassed(ticket), after
                yield HooksFailed(ticket, "hook", "no"), after
                if self.nature.hooks_unclear:
                    yield HooksUnclear(ticket, "no unit"), self
                    yield HooksUnclear(ticket, "killed"), after
            case AskingServer(ticket, slot, cancelled):
                yield from self._lock_answers(ticket, slot, cancelled=cancelled)
            case GivingBack(ticket, slot):
                free = replace(self, holding=self.holding - {slot})
                yield SlotReleased(ticket, slot), free
                yield ReleaseUnclear(ticket, slot, "lost"), free
                yield ReleaseUnclear(ticket, slot, "lost"), self
            case Calling():
                yield RebootAccepted(), replace(self, down=True)
                if self.nature.logind_refuses:
                    yield RebootAccepted(), self  # accepted, and nothing happens
                    yield RebootRefused("no"), self

    def _lock_answers(
        self, ticket: Ticket, slot: Slot, *, cancelled: bool
    ) -> Iterator[tuple[Event, "World"]]:
        ours = replace(self, holding=self.holding | {slot})
        awaited = getattr(self.state.attempt, "ticket", None) == ticket
        yield LockGranted(ticket, slot), replace(ours, granted=awaited or self.granted)
        yield LockUnclear(ticket, slot, "", answered=False), ours
        yield LockUnclear(ticket, slot, "", answered=False), replace(self, late=self.late | {slot})
        if not cancelled:
            yield LockReserved(ticket, slot, "draining"), ours
            yield LockUnclear(ticket, slot, "500", answered=True), ours
            yield LockUnclear(ticket, slot, "500", answered=True), self
            if slot not in self.holding:
                yield LockRefused(ticket, slot, "busy"), self

    def _ran(self, phase: Phase) -> "World":
        return replace(self, drained=False) if phase is Phase.ABANDONED else self

    # --- what the machine sees -----------------------------------------------------------

    def facts(self, look: Look) -> Facts:
        os = None
        if Look.OS in look:
            disk = tuple(one.id for one in sorted(self.on_disk, key=lambda one: one.timestamp))
            os = (
                OsUnknown("asleep")
                if self.unknown
                else Deployments(
                    booted=self.booted,
                    default=self.staged or self.booted,
                    staged=self.staged is not None,
                    on_disk=disk,
                )
            )
        logind = None
        if Look.LOGIND in look:
            logind = Logind(
                inhibitors=(INHIBITOR,) if self.inhibited else (),
                sessions=(ALICE,) if self.users else (),
                preparing=self.down,
            )
        return Facts(
            boot=canonical.THIS,
            os=os,
            logind=logind,
            boot_incomplete=("" if self.healthy else "slow.service failed")
            if Look.BOOT in look
            else None,
            hooks=self.nature.hooks if Look.HOOKS in look else None,
        )

    # --- what follows --------------------------------------------------------------------

    def on(self, event: Event, *then: Event) -> Iterator[Edge]:
        """The step that `event` causes, whole, and cut off by a crash after each of its effects.

        `then` are answers that are already on their way and come before everything else.
        """
        shift = LATE if isinstance(event, Ticked) else 0.0
        outcome = step(self.state, event, at=self.at(shift), policy=self.policy)
        state = rewind(outcome.state, shift) if shift else outcome.state
        world = replace(self, state=state, granted=self.granted and not is_resting(state))
        yield from world._follow(type(event).__name__, outcome.effects, list(then))

    def _follow(self, name: str, effects: tuple[Effect, ...], told: list[Event]) -> Iterator[Edge]:
        """Obey in order, as the daemon's hands do: nothing is done that could not be recorded."""
        world, on_record = self, True
        saves = any(isinstance(effect, SaveMemory) for effect in effects)
        reboots = any(isinstance(effect, Reboot) for effect in effects)
        assert not (saves and reboots), "a slow save between the last look and the call"
        for done, effect in enumerate(effects):
            match effect:
                case SaveMemory(memory) if not self.full:
                    world = replace(world, disk=memory)
                    told.append(Saved())
                case SaveMemory():
                    on_record = False
                    told.append(SaveFailed("disk full"))
                case Acquire(ticket, slot) if not on_record:
                    told.append(LockUnasked(ticket, slot))
                case RunHooks(ticket, Phase.PRE_REBOOT) if not on_record:
                    told.append(HooksFailed(ticket, "", "not on record"))
                case _:
                    world = world.obey(effect)
            if self.nature.crashes and done + 1 < len(effects):
                yield f"{name}, crash after {type(effect).__name__}", world.crash()
        if not told and (looking := world._prompt_look()):
            world = replace(world, questions=world.questions - {looking})
            told = [FactsRead(looking.ticket, world.facts(looking.look))]
        if told:
            for label, after in world.on(*told):
                yield f"{name}, {label}", after
        else:
            world.check()
            yield name, world.folded()

    def _prompt_look(self) -> Looking | None:
        """The look under way, where looks are not what this exploration is about."""
        if self.nature.slow_looks:
            return None
        looks = (question for question in self.questions if isinstance(question, Looking))
        return next(looks, None)

    def obey(self, effect: Effect) -> "World":
        match effect:
            case SaveMemory():
                raise AssertionError("saved before, in order")
            case ReadFacts(ticket, look):
                return self._ask(Looking(ticket, look, self.facts(look)))
            case RunHooks(ticket, phase):
                return self._start_hooks(ticket, phase)
            case StopHooks() | Warn():
                return self
            case Acquire(ticket, slot):
                return self._acquire(ticket, slot)
            case CancelRequest(ticket):
                return self._cancel(ticket)
            case Release(ticket, slot):
                return self._release(ticket, slot)
            case Reboot(target):
                self._judge_reboot(target)
                return self._ask(Calling(target.id))

    def _ask(self, question: Question) -> "World":
        return replace(self, questions=self.questions | {question})

    def _start_hooks(self, ticket: Ticket, phase: Phase) -> "World":
        world = self._ask(Running(ticket, phase))
        assert not self.down or phase is not Phase.ABANDONED, "undoes while going down"
        if phase is not Phase.PRE_REBOOT:
            return world
        assert self.disk.drained, "drains without having written it down"
        assert self.policy.slot is None or self.granted, "drains without the fleet's consent"
        return replace(world, drained=True)

    def _acquire(self, ticket: Ticket, slot: Slot) -> "World":
        assert not self._at_server(slot), "two requests for one slot at a time"
        assert any(debt.slot == slot for debt in self.disk.debts), "asks without a record"
        assert not local_blockers(self.state, self.policy, self.at()), "asks the fleet too early"
        return self._ask(AskingServer(ticket, slot))

    def _cancel(self, ticket: Ticket) -> "World":
        for question in self.questions:
            if isinstance(question, AskingServer) and question.ticket == ticket:
                others = self.questions - {question}
                return replace(self, questions=others | {replace(question, cancelled=True)})
        return self  # it was never put

    def _release(self, ticket: Ticket, slot: Slot) -> "World":
        assert not self._at_server(slot), "two requests for one slot at a time"
        assert not (self.down and slot in self.holding), "gives the slot back while going down"
        assert not self.drained, "gives the slot back before it has undone the drain"
        assert self.state.memory.settled == canonical.THIS, "gives back before boot-complete"
        assert not any(debt.slot == slot and debt.kept for debt in self.disk.debts), "kept"
        return self._ask(GivingBack(ticket, slot))

    def _at_server(self, slot: Slot) -> bool:
        return any(
            isinstance(question, AskingServer | GivingBack) and question.slot == slot
            for question in self.questions
        )

    def _judge_reboot(self, target: Deployment) -> None:
        assert target == self.staged, "reboots into something that is not staged"
        assert not self.inhibited, "reboots past an inhibitor"
        assert not self.unknown, "reboots without knowing"
        assert self.healthy, "reboots before boot-complete"
        assert self.open or not self.policy.calendar.periodic, "reboots outside the window"
        assert not self.disk.holds, "reboots past a hold"
        assert target.key not in {one.key for one in self.disk.quarantine}, "quarantined"
        intent = self.disk.intent
        assert intent is not None, "reboots without a record"
        assert (intent.target, intent.boot) == (target.id, canonical.THIS), "wrong record"
        if self.policy.slot is not None:
            assert self.granted, "reboots without this attempt's consent"
            assert self.policy.slot in self.holding, "reboots without the slot"
        assert isinstance(self.state.attempt, Rebooting), "why would not say reboot"
        assert self.reboots < self.policy.reboots_per_day, "one reboot too many"

    def check(self) -> None:
        """What holds in every world."""
        recorded = {debt.slot for debt in self.disk.debts}
        assert self.holding | self.late <= recorded, "a slot is off the record"
        assert not self.drained or self.disk.drained, "a drain is off the record"
        known = pending(self.state.known)
        says_why = blockers(self.state, self.policy, self.at())
        calls = isinstance(self.state.attempt, Rebooting)
        assert calls or known is None or says_why or self.state.stopping, "waits for no reason"
        match self.state.attempt:
            case Idle():
                assert known is None, "idle with work to do"
            case Waiting(target):
                assert known == target, "waits for something else"
            case Committing(warned_until=None):
                assert self.state.looking is not None, "commits without a look"
            case Starting():
                assert self.state.looking or self.state.look_again, "never starts"
            case PostBoot(None):
                assert (
                    not self.healthy
                    or self.state.looking
                    or self.state.stopping
                    or (self.state.look_again or self.state.look_next)
                    or self.state.setback
                ), "never settles"
            case _:
                pass
        assert len([q for q in self.questions if isinstance(q, Looking)]) < 12, "looks pile up"

    def crash(self) -> "World":
        """The daemon dies and starts again; what it asked the servers may still be granted."""
        unheard = {q.slot for q in self.questions if isinstance(q, AskingServer)}
        called = any(isinstance(question, Calling) for question in self.questions)
        outcome = start(self.disk, at=self.at(), policy=self.policy)
        world = replace(
            self,
            state=outcome.state,
            questions=frozenset(),
            late=self.late | unheard,
            down=self.down or called,
            granted=False,
        )
        for effect in outcome.effects:
            world = world.obey(effect)
        world.check()
        return world.folded()

    def boot(self, booted: Deployment, on_disk: frozenset[Deployment]) -> "World":
        """The machine goes down, by our call or without, and comes up again."""
        disk = replace(self.disk, settled=_aged(self.disk.settled))
        if disk.intent is not None:
            disk = replace(disk, intent=replace(disk.intent, boot=canonical.OTHER))
        if disk.ask is not None:
            disk = replace(disk, ask=replace(disk.ask, boot=canonical.OTHER))
        return replace(
            self,
            disk=disk,
            booted=booted,
            on_disk=on_disk,
            reboots=self.reboots + self.down,
            staged=None,
            down=False,
            drained=False,
            questions=frozenset(q for q in self.questions if isinstance(q, AskingServer)),
        ).crash()

    def folded(self) -> "World":
        """The same world with everything renamed that does not matter."""
        budget = self.policy.reboots_per_day
        state, rename = canonical.state(self.state, budget)
        stale = Ticket(0)
        questions: set[Question] = set()
        for question in self.questions:
            match question:
                case Calling():
                    questions.add(question)
                case Looking(seen=seen) if rename(question.ticket) == stale:
                    if is_tempting(seen):
                        questions.add(replace(question, ticket=stale))
                case Running() if rename(question.ticket) == stale:
                    if question.phase is Phase.ABANDONED:
                        questions.add(replace(question, ticket=stale))
                case Looking() | Running() | AskingServer() | GivingBack():
                    questions.add(replace(question, ticket=rename(question.ticket)))
        return replace(
            self,
            state=state,
            disk=canonical.memory(self.disk, budget),
            questions=frozenset(questions),
        )


def is_tempting(seen: Facts) -> bool:
    """A late answer that would lead to a reboot, were it believed; the others are not kept."""
    clear = isinstance(seen.logind, Logind) and not seen.logind.inhibitors
    return clear and isinstance(seen.os, Deployments) and seen.os.staged


def is_resting(state: State) -> bool:
    return isinstance(state.attempt, Idle | Waiting | Starting)


def _aged(boot: BootId | None) -> BootId | None:
    return None if boot is None else canonical.OTHER


def rewind(state: State, shift: float) -> State:
    """`shift` seconds have passed: what was due stays due, what lies ahead is that much nearer."""

    def back(mono: float) -> float:
        return mono - shift

    def moved(retry: Retry) -> Retry:
        return replace(retry, at=back(retry.at))

    attempt: Attempt = state.attempt
    match attempt:
        case Committing(target, float(until)):
            attempt = Committing(target, back(until))
        case Rebooting(target_id, until):
            attempt = Rebooting(target_id, back(until))
        case _:
            pass
    ledger = tuple(
        replace(one, tenure=replace(one.tenure, retry=moved(one.tenure.retry)))
        if isinstance(one.tenure, Owed)
        else one
        for one in state.ledger
    )
    intent = state.memory.intent
    if intent is not None:
        intent = replace(intent, mono=back(intent.mono))
    return replace(
        state,
        attempt=attempt,
        ledger=ledger,
        look_again=None if state.look_again is None else moved(state.look_again),
        save_again=None if state.save_again is None else moved(state.save_again),
        clock_again=None if state.clock_again is None else back(state.clock_again),
        setback=None
        if state.setback is None
        else replace(state.setback, retry=moved(state.setback.retry)),
        grace=None if state.grace is None else replace(state.grace, until=back(state.grace.until)),
        passed_checks_at=None if state.passed_checks_at is None else back(state.passed_checks_at),
        memory=replace(state.memory, intent=intent),
    )


def explore(nature: Nature) -> dict[World, list[Edge]]:
    """Every world reachable from a cold start, to the fixpoint."""
    policy = nature.policies[0]
    memory = Memory()
    outcome = start(memory, at=Moment(wall=OPEN, mono=0.0), policy=policy)
    first = World(nature=nature, state=outcome.state)
    for effect in outcome.effects:
        first = first.obey(effect)
    graph: dict[World, list[Edge]] = {}
    origin: dict[World, tuple[str, World] | None] = {first.folded(): None}
    frontier = deque(origin)
    while frontier:
        world = frontier.popleft()
        try:
            graph[world] = list(world.edges())
        except AssertionError as broken:
            broken.add_note("\n".join(["how it came to that:", *story(world, origin)]))
            raise
        for label, after in graph[world]:
            if after not in origin:
                origin[after] = (label, world)
                frontier.append(after)
    return graph


def story(world: World, origin: dict[World, tuple[str, World] | None]) -> list[str]:
    """The shortest way to `world`, one line an event."""
    lines = [f"  {world.state.attempt}"]
    while (cause := origin[world]) is not None:
        label, world = cause
        lines.append(f"  {world.state.attempt}\n    {label}")
    return lines[::-1]

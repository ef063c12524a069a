"""The outside, modelled: what host, fleet, disk and crash may do, and what must never happen.

A `World` is the machine, the disk, the truth about host and fleet, and the questions that are still
unanswered. `World.edges` is everything that can happen next; `World.after` obeys what the machine
then wants and asserts the promises of SPEC 13 on the way.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeAlias

from rebootmgr.core.alarm import _monos
from rebootmgr.core.backoff import Retry
from rebootmgr.core.describe import blockers
from rebootmgr.core.effects import (
    Acquire,
    Effect,
    ReadFacts,
    Reboot,
    Release,
    RunHooks,
    SaveMemory,
    TellOutcome,
    Warn,
)
from rebootmgr.core.events import (
    Cancelled,
    ClockJumped,
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
    LockUnclear,
    PolicyLoaded,
    RebootAccepted,
    RebootAsked,
    RebootRefused,
    RebootUnclear,
    ReleaseUnclear,
    Saved,
    SaveFailed,
    ShutdownBegan,
    SlotReleased,
    StopAsked,
    Ticked,
    Withdrawn,
)
from rebootmgr.core.facts import (
    Deployments,
    Facts,
    Inhibitor,
    Logind,
    LogindUnreachable,
    Look,
    NotOstree,
    OsUnknown,
    Session,
)
from rebootmgr.core.gates import local_blockers
from rebootmgr.core.machine import start, step
from rebootmgr.core.memory import Backlog, Hold, Memory
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
    Asking,
    Attempt,
    Cause,
    Committing,
    Idle,
    Owed,
    PostBoot,
    Preparing,
    Queued,
    Rebooting,
    Starting,
    State,
    Waiting,
)
from rebootmgr.core.window import Blackout, Calendar, Weekly
from rebootmgr.simulation.executor import Events, carry_out
from rebootmgr.updates.words import Witnesses, decode_deployments, describe_holder
from tests.core import canonical
from tests.fakes.gvariant import encode_dictionary

PATIENCE = Patience(
    first_retry_s=canonical.SOON,
    longest_retry_s=canonical.SOON,
    reserved_s=(canonical.SOON, canonical.SOON),
    release_again_s=canonical.SOON,
    longest_retry_after_s=canonical.SOON,
    longest_release_s=canonical.SOON,
    shutdown_s=canonical.SOON,
    final_warning_s=canonical.SOON,
    sysroot_s=canonical.SOON,
    last_look_s=canonical.SOON,
    confirm_s=canonical.SOON,
    check_s=0.0,
)
LATE = 1.5
OPEN = datetime(2030, 1, 6, 1, tzinfo=UTC)  # a Sunday
SHUT = datetime(2030, 1, 7, 1, tzinfo=UTC)
LAST = datetime(2030, 1, 6, 2, 20, tzinfo=UTC)
"""In the window, and too late to begin with a drain (canonical.MEASURED)."""
TO_LAST = (LAST - OPEN).total_seconds()
BETWEEN = datetime(2030, 1, 6, 12, tzinfo=UTC)
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
MONDAYS_FROZEN = Calendar(
    blackouts=(Blackout(name="Monday", start=BETWEEN, end=SHUT + timedelta(days=1), zone=UTC),)
)


def deployment(name: str, timestamp: int) -> Deployment:
    key = UpdateKey(f"os:{name}")
    id_ = DeploymentId(f"os-{name}.0")
    return Deployment(id=id_, key=key, version=name, timestamp=timestamp)


@cache
def witnessed(
    booted: Deployment,
    shown: Deployment | None,
    filed: Deployment | None,
    on_disk: frozenset[Deployment],
    *,
    locked: bool,
) -> Deployments | OsUnknown | NotOstree:
    """What the daemon makes of rpm-ostree's word, which is `shown`, and of ostree's, `filed`."""
    there = on_disk | {booted} | (frozenset() if shown is None else {shown})
    tables = {each: _table(each, staged=each == shown) for each in there}
    properties = {"BootedDeployment": tables[booted], "DefaultDeployment": tables[shown or booted]}
    order = sorted(tables, key=lambda each: (each != shown, each != booted, each.timestamp))
    file = None
    if filed is not None:
        target = {"osname": "os", "name": f"{filed.version}.0"}
        file = encode_dictionary({"target": target, "kargs": ["rw"]})
    others = Witnesses(staged_file=file, sysroot=describe_holder((-1,), "") if locked else None)
    return decode_deployments({"Deployments": [tables[each] for each in order]}, properties, others)


def _table(one: Deployment, *, staged: bool) -> dict[str, object]:
    name, when = one.version, one.timestamp
    own = {"id": one.id, "checksum": name, "version": name, "timestamp": when, "staged": staged}
    return {"osname": "os", **own}


OLD, A, B = deployment("old", 1), deployment("a", 2), deployment("b", 3)
S1, S2 = Slot("http://one/", "default", "me"), Slot("http://two/", "default", "me")
INHIBITOR = Inhibitor(who="backup", why="running", uid=0, pid=7)
HOLD = Hold(id="h", owner="root", reason="not now", since=OPEN, until=None)
UNTIL = replace(HOLD, id="until", until=BETWEEN)
ALL_HOOKS = frozenset({Phase.CHECK, Phase.PRE_REBOOT, Phase.POST_BOOT, Phase.ABANDONED})


def ignore(before: State, event: Event, after: State) -> None:
    """Watch no steps."""


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
    withdrawals: bool = False
    works: bool = False
    operators: bool = False
    crashes: bool = True
    reboots: bool = False
    save_fails: bool = False
    hooks_unclear: bool = False
    window_moves: bool = False
    stops: bool = False
    spans: bool = False
    clock_lies: bool = False
    just_over: bool = False
    fit: bool = False
    logind_refuses: bool = False
    boot_fails: bool = False
    drivers: bool = False
    one_server: bool = False
    left: frozenset[Slot] = frozenset()
    hooks_move: bool = False
    logind_silent: bool = False
    memories: tuple[Memory, ...] = (Memory(),)
    unclear_calls: bool = False
    ladders: bool = False
    watch: Callable[[State, Event, State], None] = field(default=ignore, compare=False)


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
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Calling:
    target: DeploymentId


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for with `reboot`, and how long it lasts yet (s)."""

    key: UpdateKey
    left: float
    now: bool


@dataclass(frozen=True, slots=True)
class Told:
    """When who is logged in was last told of a reboot, and until when: seconds from now."""

    at: float
    until: float


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
    fading: Deployment | None = None
    locked: bool = False
    inhibited: bool = False
    user: str = ""
    told: Told | None = None
    minute: bool = False
    behind_s: float | None = None
    announced: frozenset[float] = frozenset()
    wish: Wish | None = None
    held_s: float | None = None
    held_until: bool = False
    held: bool = False
    lies: bool = False
    vouched: bool = False
    unknown: bool = False
    deaf: bool = False
    bare: bool = False
    healthy: bool = True
    open: bool = True
    last: bool = False
    down: bool = False
    called: bool = False
    looked_s: float = 0.0
    failures: tuple[int, int] = (0, 0)
    full: bool = False
    drained: bool = False
    granted: bool = False
    holding: frozenset[Slot] = frozenset()
    late: frozenset[Slot] = frozenset()
    left: frozenset[Slot] = frozenset()
    driver: str = ""
    reboots: int = 0

    @property
    def policy(self) -> Policy:
        return self.nature.policies[self.ruling]

    @property
    def hooks(self) -> frozenset[Phase]:
        """The phases for which there are programs."""
        return frozenset() if self.bare else self.nature.hooks

    def at(self, mono: float = 0.0) -> Moment:
        inside = LAST if self.last else OPEN
        return Moment(wall=SHUT if self.open is self.lies else inside, mono=mono)

    @property
    def tick_s(self) -> float:
        """How much time passes at once."""
        return TO_LAST if self.nature.fit else LATE

    def moved(self) -> "World":
        """The window opens, is about to end, or ends."""
        if self.nature.fit and self.open and not self.last:
            return replace(self, last=True)
        return replace(self, open=not self.open, last=False)

    @property
    def wishes_now(self) -> bool:
        """Whether somebody wants what is staged now, whatever the hour and whoever is there."""
        wish, staged = self.wish, self.staged
        return wish is not None and staged is not None and wish.now and wish.key == staged.key

    def lent(self, slot: Slot) -> Slot:
        """What a server knows this slot as: two names may be those of one server."""
        return replace(slot, server=S1.server) if self.nature.one_server else slot

    # --- what can happen -----------------------------------------------------------------

    def edges(self) -> Iterator[Edge]:
        for event, world in self._possible():
            yield from world.on(event)
        for later in self._moments_later():
            for event, world in later._possible():
                if not isinstance(event, Ticked):
                    yield from world.on(event, late=True)
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
        if self.locked:
            yield "whoever had locked the sysroot was killed", replace(self, locked=False)
        if self.nature.hooks_move and not any(isinstance(q, Running) for q in self.questions):
            # Who takes a program away that has drained the host, undoes that himself.
            drained = self.drained and self.bare
            yield "hooks came or went", replace(self, bare=not self.bare, drained=drained)
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
                yield RebootRefused("called off"), replace(self, down=False, called=False)
        if _monos(self.state, self.at(), self.policy) and self._time_may_pass():
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
            if self.nature.withdrawals:  # ostree's file goes first, rpm-ostree hears of it last
                yield HostChanged(Look.HOST), replace(self, staged=None, fading=self.staged)
        if self.fading is not None:
            yield HostChanged(Look.HOST), replace(self, fading=None)
        if self.down:
            return  # going down, whatever else happens; only a withdrawal still means something
        for update in self.nature.updates:
            if update not in {self.staged, self.booted}:
                behind_s = self.behind_s
                if self.policy.deadlines and behind_s is None:
                    behind_s = 0.0
                staged = replace(self, staged=update, fading=None, behind_s=behind_s)
                yield HostChanged(Look.HOST), staged
                if self.nature.withdrawals:  # the file is there, and rpm-ostree shows what was
                    shown = self.fading or self.staged or self.booted
                    fading = None if shown == update else shown
                    yield HostChanged(Look.HOST), replace(self, staged=update, fading=fading)
        if self.nature.works:
            yield HostChanged(Look.SYSROOT), replace(self, locked=not self.locked)
        if self.nature.inhibits:
            yield HostChanged(self.nature.logind_look), replace(self, inhibited=not self.inhibited)
        if self.nature.sessions:
            user = "" if self.user else self._new_session()
            changed = replace(self, user=user, told=None, announced=frozenset())
            yield HostChanged(self.nature.logind_look), changed
        if self.nature.unknowns:
            yield HostChanged(Look.HOST), replace(self, unknown=not self.unknown)
        if self.nature.logind_silent:
            yield HostChanged(Look.LOGIND), replace(self, deaf=not self.deaf)
        if self.nature.drivers:
            yield from self._drivers()
        if self.nature.boot_fails:
            yield HostChanged(Look.HOST), replace(self, healthy=not self.healthy)
        if self.nature.window_moves and self._time_may_pass():
            yield Ticked(), replace(self.moved(), late=frozenset())

        if self.nature.clock_lies and not self.vouched:
            yield ClockJumped(), replace(self, lies=not self.lies)
            yield ClockJumped(), replace(self, lies=False, vouched=True)

    def _new_session(self) -> str:
        """An id that nobody has heard of: logind gives none twice."""
        promises = {promise.session for promise in self.state.promises}
        known = self.state.known.logind
        seen = {session.id for session in known.sessions} if known else set()
        return next(id_ for id_ in "12345" if id_ not in promises | seen)

    def _moments_later(self) -> Iterator["World"]:
        """What was to end soon has just ended, and the daemon has not been told."""
        ahead = any(at > 0.0 for at in _monos(self.state, self.at(), self.policy))
        ahead |= isinstance(self.state.attempt, Committing)  # its end rings no alarm
        moves = self.nature.window_moves
        if self.nature.just_over and (ahead or moves) and self._time_may_pass():
            later = replace(self, late=frozenset())
            yield later.passed()
            if moves:
                yield later.moved().passed()

    def _drivers(self) -> Iterator[tuple[Event, "World"]]:
        """An agent that knows locks comes, and may hold a slot when it goes; or one without."""
        match self.driver:
            case "":
                yield HostChanged(Look.HOST), replace(self, driver="registered")
                yield HostChanged(Look.HOST), replace(self, driver="apply")
            case "registered":
                yield HostChanged(Look.HOST), replace(self, driver="")
                yield HostChanged(Look.HOST), replace(self, driver="", left=frozenset({S1}))
            case _:
                yield HostChanged(Look.HOST), replace(self, driver="")

    def _time_may_pass(self) -> bool:
        """A call to logind is answered within the ten minutes; a shutdown may take longer."""
        return not any(isinstance(each, Calling) for each in self.questions)

    def _operators(self) -> Iterator[tuple[Event, "World"]]:
        if self.nature.operators:
            free = replace(self, held=False, held_s=None)
            yield HoldAdded(HOLD), replace(self, held=True, held_s=None)
            yield HoldReleased(HOLD.id), free
            yield Cancelled(HOLD), replace(self, held=True, held_s=None, wish=None)
            yield RebootAsked("root", now=False, valid_s=60.0), self._wishing(60.0, now=False)
            yield Withdrawn(), replace(self, wish=None)
        if self.nature.spans:
            timed = replace(self, held=False, held_s=canonical.SOON)  # it is the same hold
            yield HoldAdded(HOLD, for_s=canonical.SOON), timed
            yield Withdrawn(), replace(self, wish=None)
            for now in (False, True):
                asked = RebootAsked("root", now=now, valid_s=canonical.SOON)
                yield asked, self._wishing(canonical.SOON, now=now)
        if self.nature.clock_lies:
            yield HoldAdded(UNTIL), replace(self, held_until=self.open)
        if self.nature.operators or any(one.kept for one in self.state.ledger):
            yield Forgiven(None), self

    def _wishing(self, left: float, *, now: bool) -> "World":
        """A wish is for what the daemon knows to be staged."""
        target = self.state.target
        return self if target is None else replace(self, wish=Wish(target.key, left, now))

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
            case GivingBack(ticket, slot, cancelled):
                lent = {self.lent(slot)}
                free = replace(self, holding=self.holding - lent, left=self.left - lent)
                yield ReleaseUnclear(ticket, slot, "lost"), self
                yield SlotReleased(ticket, slot), free  # or it came too late to be taken back
                if not cancelled:
                    yield ReleaseUnclear(ticket, slot, "lost"), free
            case Calling():
                yield RebootAccepted(), replace(self, down=True, deaf=False)
                if self.nature.logind_refuses:
                    yield RebootAccepted(), replace(self, called=False)  # and nothing happens
                    yield RebootRefused("no"), replace(self, called=False)
                if self.nature.unclear_calls:
                    yield RebootUnclear("no reply"), replace(self, down=True)
                    yield RebootUnclear("no reply"), replace(self, called=False)

    def _lock_answers(
        self, ticket: Ticket, slot: Slot, *, cancelled: bool
    ) -> Iterator[tuple[Event, "World"]]:
        lent = self.lent(slot)
        ours = replace(self, holding=self.holding | {lent}, left=self.left - {lent})
        awaited = getattr(self.state.attempt, "ticket", None) == ticket
        yield LockGranted(ticket, slot), replace(ours, granted=awaited or self.granted)
        yield LockUnclear(ticket, slot, "", answered=False), ours
        yield LockUnclear(ticket, slot, "", answered=False), replace(self, late=self.late | {lent})
        if not cancelled:
            yield LockReserved(ticket, slot, "draining"), ours
            yield LockUnclear(ticket, slot, "500", answered=True), ours
            yield LockUnclear(ticket, slot, "500", answered=True), self
            if lent not in self.holding | self.left:
                yield LockRefused(ticket, slot, "busy"), self

    def _ran(self, phase: Phase) -> "World":
        return replace(self, drained=False) if phase is Phase.ABANDONED else self

    # --- what the machine sees -----------------------------------------------------------

    def facts(self, look: Look) -> Facts:
        os = None
        if Look.OS in look:
            shown = self.fading or self.staged
            shown = None if shown == self.booted else shown
            seen = (self.booted, shown, self.staged, self.on_disk)
            os = OsUnknown("asleep") if self.unknown else witnessed(*seen, locked=self.locked)
            if self.driver and isinstance(os, Deployments):
                os = replace(os, driver=self.driver, registered=self.driver == "registered")
        logind: Logind | LogindUnreachable | None = None
        if Look.LOGIND in look and self.deaf:
            logind = LogindUnreachable("no answer")
        elif Look.LOGIND in look:
            logind = Logind(
                inhibitors=(INHIBITOR,) if self.inhibited else (),
                sessions=(Session(id=self.user, user="alice", tty="pts/0"),) if self.user else (),
                preparing=self.down,
            )
        return Facts(
            boot=canonical.THIS,
            os=os,
            logind=logind,
            boot_incomplete=("" if self.healthy else "slow.service failed")
            if Look.BOOT in look
            else None,
            hooks=self.hooks if Look.HOOKS in look else None,
            clock_synchronized=self.vouched if Look.CLOCK in look else None,
            sysroot_locked=self.locked if Look.SYSROOT in look else None,
        )

    # --- what follows --------------------------------------------------------------------

    def on(self, event: Event, *then: Event, late: bool = False) -> Iterator[Edge]:
        """The step that `event` causes, whole, and cut off by a crash after each of its effects.

        `then` are answers that are already on their way and come before everything else. `late`:
        the machine is told of this first of all after time has passed.
        """
        shift = self.tick_s if late or isinstance(event, Ticked) else 0.0
        outcome = step(self.state, event, at=self.at(shift), policy=self.policy)
        self.nature.watch(self.state, event, outcome.state)
        state, effects = outcome
        if shift:
            state = rewind(state, shift)
            effects = tuple(
                SaveMemory(rewound(effect.memory, shift))
                if isinstance(effect, SaveMemory)
                else effect
                for effect in effects
            )
        here = self if late or not shift else self.passed()
        world = replace(
            here,
            state=state,
            granted=self.granted and not is_resting(state),
            looked_s=self._looked(event, outcome.state, shift),
            failures=self._failures(event, outcome.state, shift),
        )
        name = type(event).__name__
        try:
            yield from world._follow(f"just over, {name}" if late else name, effects, list(then))
        except AssertionError as broken:
            broken.add_note(f"after {event}")
            raise

    def passed(self) -> "World":
        """Time has gone by; the machine has yet to be told."""
        shift = self.tick_s
        wish, held_s, told = self.wish, self.held_s, self.told
        behind_s = None if self.behind_s is None else min(self.behind_s + shift, canonical.AGED)
        announced = frozenset(at - shift for at in self.announced if at - shift > -2 * LATE)
        if wish is not None:
            wish = None if wish.left <= shift else replace(wish, left=wish.left - shift)
        if held_s is not None:
            held_s = None if held_s <= shift else held_s - shift
        if told is not None:
            told = Told(told.at - shift, told.until - shift)
        return replace(
            self,
            wish=wish,
            held_s=held_s,
            told=told,
            behind_s=behind_s,
            announced=announced,
            held_until=self.held_until and self.open,
            disk=rewound(self.disk, shift),
        )

    def _looked(self, event: Event, after: State, shift: float) -> float:
        """How long it looks for the last time, at the end of a look; that has to end some time."""
        before = self.state.attempt
        if not isinstance(before, Committing) or before.warned_until is not None:
            return 0.0
        if not isinstance(after.attempt, Committing) or after.attempt.warned_until is not None:
            return 0.0
        looking = self.state.looking
        answered = isinstance(event, FactsRead) and looking and event.ticket == looking.ticket
        looked_s = min(self.looked_s + shift, LATE)
        assert not (answered and looked_s > canonical.SOON), "looks for the last time for ever"
        return looked_s

    def _failures(self, event: Event, after: State, shift: float) -> tuple[int, int]:
        """How often in a row the lock and the preparation failed: each time, the wait grows."""
        if not self.nature.ladders:
            return self.failures
        lock, preparation = self.failures
        awaited = getattr(self.state.attempt, "ticket", None) == getattr(event, "ticket", object())
        match self.state.attempt, event:
            case Asking(), LockGranted() | LockReserved() if awaited:
                lock = 0
            case Asking(), LockRefused() | LockUnclear() if awaited:
                lock = self._failed(Cause.LOCK, lock, after, shift)
            case Preparing(), HooksPassed() if awaited:
                preparation = 0
            case Preparing(), HooksFailed() | HooksUnclear() if awaited:
                preparation = self._failed(Cause.PREPARATION, preparation, after, shift)
            case _:
                pass
        return lock, preparation

    def _failed(self, cause: Cause, before: int, after: State, now: float) -> int:
        failures = min(before + 1, 3)
        setback = after.setback(cause)
        assert setback is not None, "does not wait after a failure"
        patience, wait = self.policy.patience, setback.retry.at - now
        doubled = patience.first_retry_s * 2 ** (failures - 1)
        assert wait >= 0.5 * min(doubled, patience.longest_retry_s), "tries sooner than it may"
        return failures

    def _follow(self, name: str, effects: tuple[Effect, ...], told: list[Event]) -> Iterator[Edge]:
        """Obey in order, as the daemon's hands do: nothing is done that could not be recorded."""
        saves = any(isinstance(effect, SaveMemory) for effect in effects)
        reboots = any(isinstance(effect, Reboot) for effect in effects)
        assert not (saves and reboots), "a slow save between the last look and the call"
        hands = Hands(self)
        for done, events in enumerate(carry_out(effects, hands)):
            told.extend(events or ())
            if self.nature.crashes and done + 1 < len(effects):
                yield f"{name}, crash after {type(effects[done]).__name__}", hands.world.crash()
        world = hands.world
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

    def obey(self, effects: tuple[Effect, ...]) -> "World":
        """Do what a start wants, none of which comes to anything at once."""
        hands = Hands(self)
        assert not any(carry_out(effects, hands))
        return hands.world

    def asking(self, question: Question) -> "World":
        return replace(self, questions=self.questions | {question})

    def running(self, order: RunHooks) -> "World":
        phase = order.phase
        world = self.asking(Running(order.ticket, phase))
        assert not self.down or phase is not Phase.ABANDONED, "undoes while going down"
        if phase is not Phase.PRE_REBOOT:
            return world
        assert self.disk.drained, "drains without having written it down"
        in_time = self.open or not self.policy.calendar.periodic or self.waives("windows")
        assert self.wishes_now or (in_time and not self.last), "drains when it is too late"
        assert self.policy.slot is None or self.granted, "drains without the fleet's consent"
        return replace(world, drained=not self.bare)

    def acquiring(self, question: Acquire) -> "World":
        slot = question.slot
        assert self.driver != "registered", "asks where another agent asks under our name"
        assert not self._at_server(slot), "two requests for one slot at a time"
        assert any(debt.slot == slot for debt in self.disk.debts), "asks without a record"
        closed = local_blockers(self.state, self.policy, self.at())
        assert not closed, f"asks the fleet too early: {closed}"
        return self.asking(AskingServer(question.ticket, slot))

    def cancelling(self, ticket: Ticket) -> "World":
        for question in self.questions:
            if isinstance(question, AskingServer) and question.ticket == ticket:
                others = self.questions - {question}
                return replace(self, questions=others | {replace(question, cancelled=True)})
            if isinstance(question, GivingBack) and question.ticket == ticket:
                others = self.questions - {question}
                return replace(self, questions=others | {replace(question, cancelled=True)})
        return self  # it was never put

    def releasing(self, request: Release) -> "World":
        slot = request.slot
        assert self.driver != "registered", "frees what another agent holds under our name"
        assert not self._at_server(slot), "two requests for one slot at a time"
        lent = self.lent(slot)
        assert not (self.down and lent in self.holding), "gives the slot back while going down"
        assert not self.drained, "gives the slot back before it has undone the drain"
        assert self.state.memory.settled == canonical.THIS, "gives back before boot-complete"
        kept = {self.lent(debt.slot) for debt in self.disk.debts if debt.kept}
        assert lent not in kept, "kept"
        return self.asking(GivingBack(request.ticket, slot))

    def _at_server(self, slot: Slot) -> bool:
        return any(
            isinstance(question, AskingServer | GivingBack)
            and self.lent(question.slot) == self.lent(slot)
            for question in self.questions
        )

    def calling(self, target: Deployment) -> "World":
        assert target == self.staged, "reboots into something that is not staged"
        assert self.fading is None, "reboots while what is staged changes"
        assert not self.locked, "reboots while somebody works on the deployments"
        assert not self.inhibited, "reboots past an inhibitor"
        assert not self.unknown, "reboots without knowing"
        assert not self.deaf, "reboots past whoever logind cannot name"
        assert self.drained or Phase.PRE_REBOOT not in self.hooks, "reboots without a drain"
        assert self.healthy, "reboots before boot-complete"
        assert self.open or not self.policy.calendar.blackouts, "reboots in a freeze"
        skips = self.wishes_now
        is_free = skips or self.waives("windows")
        assert self.open or is_free or not self.policy.calendar.periodic, "outside the window"
        assert not self.held, "reboots past a hold"
        assert self.held_s is None, "reboots before a hold is over"
        assert not self.held_until, "reboots before the end of a hold by the true time"
        if self.user and self.policy.sessions_wait and not skips:
            self._check_courtesy()
        assert target.key not in {one.key for one in self.disk.quarantine}, "quarantined"
        intent = self.disk.intent
        assert intent is not None, "reboots without a record"
        assert (intent.target, intent.boot) == (target.id, canonical.THIS), "wrong record"
        if self.policy.slot is not None:
            assert self.granted, "reboots without this attempt's consent"
            assert self.lent(self.policy.slot) in self.holding, "reboots without the slot"
        assert isinstance(self.state.attempt, Rebooting), "why would not say reboot"
        assert self.reboots < self.policy.reboots_per_day, "one reboot too many"
        return replace(self.asking(Calling(target.id)), called=True)

    def _check_courtesy(self) -> None:
        """Somebody is there: it has had the time that the last warning promised, and lately."""
        told = self.told
        knew = any(at <= 0.0 for at in self.announced) and self.waives("sessions")
        assert told is not None or self.minute or knew, "reboots without a word"
        if told is not None:
            assert told.until <= 0.0, "reboots before the time that was promised"
            assert told.at > -2 * LATE, "reboots on a warning of long ago"

    def waives(self, gate: str) -> bool:
        """Whether by a deadline nobody waits for this any more, by the true age of the update."""
        return self.behind_s is not None and any(
            self.behind_s >= step.after.total_seconds() and gate in step.waive
            for step in self.policy.deadlines
        )

    def check(self) -> None:
        """What holds in every world."""
        recorded = {self.lent(debt.slot) for debt in self.disk.debts}
        assert self.holding | self.late <= recorded, "a slot is off the record"
        slot = self.policy.slot
        if slot is not None and self._is_calm():
            assert self.lent(slot) not in self.left - recorded, "what was left is not given back"
        assert not (self.down and self.disk.intent is None and self.called), "forgets its call"
        assert not self.drained or self.disk.drained, "a drain is off the record"
        known = self.state.target
        says_why = blockers(self.state, self.policy, self.at())
        calls = isinstance(self.state.attempt, Rebooting)
        assert calls or known is None or says_why or self.state.stopping, "waits for no reason"
        match self.state.attempt:
            case Idle():
                assert known is None, "idle with work to do"
            case Waiting(target) | Queued(target):
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
                    or self.state.setbacks
                ), "never settles"
            case _:
                pass
        assert len([q for q in self.questions if isinstance(q, Looking)]) < 12, "looks pile up"

    def _is_calm(self) -> bool:
        """Whether nothing is known to be asked for, and nobody else is to be left in peace."""
        state = self.state
        return (
            isinstance(state.attempt, Idle | Waiting | Queued)
            and self.disk.settled == canonical.THIS
            and not (self.driver == "registered" or state.looking or state.look_next)
            and not (self.full or state.unsaved or state.stopping)
            and not any(debt.asked for debt in self.disk.debts)
        )

    def crash(self) -> "World":
        """The daemon dies and starts again; what it asked the servers may still be granted."""
        unheard = {self.lent(q.slot) for q in self.questions if isinstance(q, AskingServer)}
        called = any(isinstance(question, Calling) for question in self.questions)
        outcome = start(self.disk, at=self.at(), policy=self.policy)
        world = replace(
            self,
            state=outcome.state,
            questions=frozenset(),
            late=self.late | unheard,
            down=self.down or called,
            called=self.called or called,
            granted=False,
            minute=False,
            looked_s=0.0,
            failures=(0, 0),
        )
        world = world.obey(outcome.effects)
        world.check()
        return world.folded()

    def boot(self, booted: Deployment, on_disk: frozenset[Deployment]) -> "World":
        """The machine goes down, by our call or without, and comes up again."""
        disk = replace(self.disk, settled=_aged(self.disk.settled))
        if disk.intent is not None:
            disk = replace(disk, intent=replace(disk.intent, boot=canonical.OTHER))
        if disk.ask is not None:
            disk = replace(disk, ask=replace(disk.ask, boot=canonical.OTHER))
        disk = replace(disk, holds=tuple(map(_in_another_boot, disk.holds)))
        return replace(
            self,
            disk=disk,
            booted=booted,
            on_disk=on_disk,
            reboots=self.reboots + self.down,
            staged=None,
            user="",
            told=None,
            wish=None,
            vouched=False,
            fading=None,
            locked=False,
            down=False,
            called=False,
            drained=False,
            questions=frozenset(q for q in self.questions if isinstance(q, AskingServer)),
        ).crash()

    def folded(self) -> "World":
        """The same world with everything renamed that does not matter."""
        budget = self.policy.reboots_per_day
        ages = any(policy.deadlines for policy in self.nature.policies)
        state, rename = canonical.state(self.state, budget, levels=self.nature.ladders, ages=ages)
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
            disk=canonical.memory(self.disk, budget, ages=ages),
            questions=frozenset(questions),
            wish=None if self.wish is None else replace(self.wish, left=canonical.SOON),
            held_s=None if self.held_s is None else canonical.SOON,
            told=None
            if self.told is None
            else Told(*canonical.told(self.told.at, self.told.until)),
            minute=self.minute and isinstance(state.attempt, Committing),
        )


def is_tempting(seen: Facts) -> bool:
    """A late answer that would lead to a reboot, were it believed; the others are not kept."""
    clear = isinstance(seen.logind, Logind) and not seen.logind.inhibitors
    return clear and isinstance(seen.os, Deployments) and seen.os.staged


def is_resting(state: State) -> bool:
    return isinstance(state.attempt, Idle | Waiting | Queued | Starting)


def _in_another_boot(hold: Hold) -> Hold:
    return replace(hold, span=hold.span and replace(hold.span, boot=canonical.OTHER))


def rewound(memory: Memory, shift: float) -> Memory:
    """`shift` seconds have passed: so much nearer is everything that survives."""
    intent, ask = memory.intent, memory.ask
    return replace(
        memory,
        intent=intent and replace(intent, mono=intent.mono - shift),
        ask=ask and replace(ask, ends=ask.ends - shift),
        holds=tuple(
            replace(hold, span=hold.span and replace(hold.span, ends=hold.span.ends - shift))
            for hold in memory.holds
        ),
        backlog=memory.backlog and _older(memory.backlog, shift),
    )


def _older(backlog: Backlog, shift: float) -> Backlog:
    anchor = backlog.anchor
    if anchor is None or anchor.born is None:
        return backlog
    return replace(backlog, anchor=replace(anchor, born=anchor.born - shift))


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
        case Committing(target, until, warned_until):
            warned_until = None if warned_until is None else back(warned_until)
            attempt = Committing(target, back(until), warned_until)
        case Rebooting(target_id, float(until), unclear):
            attempt = Rebooting(target_id, back(until), unclear)
        case Preparing(target, ticket, phase, since):
            attempt = Preparing(target, ticket, phase, back(since))
        case _:
            pass
    ledger = tuple(
        replace(one, tenure=replace(one.tenure, retry=moved(one.tenure.retry)))
        if isinstance(one.tenure, Owed)
        else one
        for one in state.ledger
    )
    return replace(
        state,
        attempt=attempt,
        ledger=ledger,
        look_again=None if state.look_again is None else moved(state.look_again),
        save_again=None if state.save_again is None else moved(state.save_again),
        ask_again=None if state.ask_again is None else back(state.ask_again),
        setbacks=tuple(replace(one, retry=moved(one.retry)) for one in state.setbacks),
        graces=tuple(replace(one, until=back(one.until)) for one in state.graces),
        promises=tuple(
            replace(one, at=back(one.at), until=back(one.until)) for one in state.promises
        ),
        passed_checks_at=None if state.passed_checks_at is None else back(state.passed_checks_at),
        told=tuple(replace(one, due=back(one.due)) for one in state.told),
        memory=rewound(state.memory, shift),
    )


class Hands:
    """What obeys in a world: each effect makes the next one."""

    def __init__(self, world: World) -> None:
        self.world = world

    def save(self, memory: Memory) -> Saved | SaveFailed:
        if self.world.full:
            return SaveFailed("disk full")
        self.world = replace(self.world, disk=memory)
        return Saved()

    def look(self, question: ReadFacts) -> Events:
        seen = self.world.facts(question.look)
        self.world = self.world.asking(Looking(question.ticket, question.look, seen))
        return ()

    def run_hooks(self, order: RunHooks) -> Events:
        self.world = self.world.running(order)
        return ()

    def ask(self, question: Acquire) -> Events:
        self.world = self.world.acquiring(question)
        return ()

    def take_back(self, ticket: Ticket) -> Events:
        self.world = self.world.cancelling(ticket)
        return ()

    def give_back(self, request: Release) -> Events:
        self.world = self.world.releasing(request)
        return ()

    def reboot(self, order: Reboot) -> Events:
        self.world = self.world.calling(order.target)
        return ()

    def stop_hooks(self, _: Ticket) -> Events:
        return ()

    def tell_outcome(self, _: TellOutcome) -> Events:
        return ()

    def warn(self, order: Warn) -> Events:
        world = self.world
        if world.user in {session.id for session in order.sessions}:
            is_last = isinstance(world.state.attempt, Committing)
            told = Told(0.0, order.in_s)
            if order.waives:  # which is no promise: the window may open before
                assert order.in_s > 0.0, "announces what is past"
                if "sessions" in order.waives:
                    said = world.announced | {order.in_s}
                    self.world = replace(world, announced=said)
                return ()
            self.world = replace(world, told=told, minute=world.minute or is_last)
        return ()


def begin(nature: Nature, memory: Memory) -> World:
    """The daemon starts with what is remembered, all of which is true."""
    if nature.fit:
        memory = replace(memory, reboots=canonical.MEASURED)
    outcome = start(memory, at=Moment(wall=OPEN, mono=0.0), policy=nature.policies[0])
    first = World(
        nature=nature,
        state=outcome.state,
        disk=memory,
        left=nature.left,
        drained=memory.drained and memory.settled == canonical.THIS,
        holding=frozenset(debt.slot for debt in memory.debts if debt.granted),
        held=any(hold.id == HOLD.id and hold.until is None for hold in memory.holds),
    )
    return first.obey(outcome.effects).folded()


def explore(nature: Nature) -> dict[World, list[Edge]]:
    """Every world reachable from a cold start, to the fixpoint."""
    graph: dict[World, list[Edge]] = {}
    begun = (begin(nature, memory) for memory in nature.memories)
    origin: dict[World, tuple[str, World] | None] = dict.fromkeys(begun)
    frontier = deque(origin)
    while frontier:
        world = frontier.popleft()
        try:
            graph[world] = list(world.edges())
        except AssertionError as broken:
            broken.add_note("\n".join([nature.name, "how it came to that:", *story(world, origin)]))
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

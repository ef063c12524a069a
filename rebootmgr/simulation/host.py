"""One host in virtual time: the real machine, and hands that obey it as the daemon's do."""

from collections import deque
from dataclasses import replace
from typing import Final

from rebootmgr.core.alarm import deadline
from rebootmgr.core.counters import Api
from rebootmgr.core.describe import blockers
from rebootmgr.core.effects import (
    Acquire,
    Effect,
    ReadFacts,
    Reboot,
    Release,
    RunHooks,
    TellOutcome,
    Warn,
)
from rebootmgr.core.events import (
    Event,
    FactsRead,
    HostChanged,
    LockAnswer,
    LockUnclear,
    RebootAccepted,
    ReleaseAnswer,
    Saved,
    ShutdownBegan,
    StopAsked,
    Ticked,
)
from rebootmgr.core.facts import Deployments, Facts, Logind, Look
from rebootmgr.core.gates import goes_by_deadline
from rebootmgr.core.machine import start, step
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import (
    Blocker,
    BootId,
    Deployment,
    DeploymentId,
    Outcome,
    Phase,
    Ticket,
    UpdateKey,
)
from rebootmgr.core.states import Asking, Idle, Queued, State
from rebootmgr.fleetlock.words import Reply, decode_lock_answer, decode_release_answer
from rebootmgr.simulation.executor import Events, carry_out
from rebootmgr.simulation.queueing import Leg, Queueing, is_common, queue, unqueue
from rebootmgr.simulation.world import Due, World

OLD: Final = Deployment(id=DeploymentId("os-old.0"), key=UpdateKey("old"), version="old")
NEW: Final = Deployment(id=DeploymentId("os-new.0"), key=UpdateKey("new"), version="new")
BOOTS: Final = (BootId("before"), BootId("after"))
NOT_YET: Final = Deployments(booted=OLD, default=OLD, staged=False)
PENDING: Final = Deployments(booted=OLD, default=NEW, staged=True)
UPDATED: Final = Deployments(booted=NEW, default=NEW, staged=False, on_disk=(NEW.id, OLD.id))
ROLLED_BACK: Final = Deployments(booted=OLD, default=OLD, staged=False, on_disk=(NEW.id, OLD.id))
QUIET: Final = Logind()
NO_HOOKS: Final = frozenset[Phase]()
NEVER: Final = float("inf")
PRESUMED: Final = (Saved(),)
"""A save that succeeds changes nothing, so that the machine need not hear of it."""


class Host:
    """A host and its daemon. `os` is what rpm-ostree says; `over`: there is nothing left to do."""

    __slots__ = (
        "_answer", "_boots", "_disk", "_falls", "_held", "_last", "_number", "_queueing", "_reply",
        "_state", "_waits", "_world", "alarm", "died", "group", "os", "over", "policy",
    )  # fmt: skip

    def __init__(self, number: int, world: World, state: State) -> None:
        self.group = world.scenario.group(number)
        self.os = NOT_YET
        self.alarm = NEVER
        self.over = self.died = False
        self._number = number
        self._world = world
        self.policy = world.scenario.policy(number)
        if self.policy.slot is not None:  # it runs for a while, and has told its server so
            told = replace(state.memory, confirmed=(self.policy.slot,))
            state = replace(state, memory=told)
        self._state: State | None = state
        self._disk = state.memory
        self._boots = 0
        self._waits = False
        self._falls = False
        self._queueing: Queueing | None = None
        self._held: Acquire | None = None
        self._last: Reply | None = None
        self._reply: tuple[Reply, float] | None = None
        self._answer: tuple[LockAnswer | ReleaseAnswer, float] | None = None
        world.agenda.add((world.scenario.staged_at(number), number, Due.STAGED))

    @property
    def state(self) -> State | None:
        """Where the daemon is; None while the host is down."""
        if self._state is None or self._queueing is None:
            return self._state
        return unqueue(self._state, self._queueing, self._world.scenario)

    @property
    def is_down(self) -> bool:
        """Whether the daemon does not run."""
        return self._state is None

    @property
    def blockers(self) -> tuple[Blocker, ...]:
        """What is in its way now, in the words of `why`."""
        if self._queueing is not None:
            return (self._queueing.setback.blocker,)  # every local gate is open
        state, at = self._state, self._world.moment
        return () if state is None else blockers(state, self.policy, at)

    def happen(self, due: Due) -> None:
        """What was planned for now is here, unless it was planned anew since."""
        now = self._world.now
        match due:
            case Due.ALARM if now == self.alarm:
                if self._queueing is None:
                    self._live_alike(due, Ticked())
                elif not self._ask_again(self._queueing):
                    self._live(Ticked())
            case Due.ANSWER if self._answer is not None and now == self._answer[1]:
                answer, self._answer = self._answer[0], None
                self._live(answer)
            case Due.STAGED:
                self.os = PENDING
                self._live_alike(due, HostChanged(Look.OS))
            case Due.BOOTED:
                self._boot()
            case Due.TOLD if self._held is not None:
                self._hear_at_last(self._held)
            case Due.ALARM | Due.ANSWER | Due.TOLD | Due.SERVER:
                pass

    def _hear_at_last(self, question: Acquire) -> None:
        """Hear what the server held back."""
        reply = self._world.server.collect(self._number)
        if reply is not None:
            self._held, wall = None, self._world.moment.wall
            self._live(decode_lock_answer(question.ticket, question.slot, reply, at=wall))

    def _ask_again(self, queueing: Queueing) -> bool:
        """Ask without the machine; False where it has to decide about this answer, or whether."""
        if not queueing.may_ask(self._world.now):
            return False
        reply, heard_at = self._request_now(Api.PRE_REBOOT)
        if not queueing.is_refused_again(reply, heard_at):
            self._reply = reply, heard_at
            return False
        queueing.wait_again(heard_at, self.policy)
        self._wake_at(queueing.due)
        return True

    def _live_alike(self, due: Due, event: Event) -> None:
        """Do as the first host did to which this happened in the same place at the same time."""
        world, state = self._world, self._state
        place = id(state), id(self.policy.calendar), due, world.now
        leg = world.legs.get(place)
        if leg is not None and self._follow(leg):
            return
        self._live(event)
        if world.shortcuts and state is not None and self._state is not None:
            leg = Leg(state, self._state, self._last, self._queueing, self.alarm)
            if is_common(leg):
                world.legs[place] = leg

    def _follow(self, leg: Leg) -> bool:
        now, queueing = self._world.now, leg.queueing
        if leg.reply is not None and queueing is not None:
            reply, heard_at = self._request_now(Api.PRE_REBOOT)
            if reply is not leg.reply or heard_at > now:
                self._reply = reply, heard_at
                return False
            self._last = reply
            self._queueing = queueing = replace(queueing)
            queueing.wait_first(now, self.policy)
        self._state, self._disk = leg.after, leg.after.memory
        self._count()
        self._wake_at(leg.alarm if queueing is None else queueing.due)
        return True

    def _request(self, api: Api) -> tuple[Reply, float] | None:
        return self._world.server.handle(api, self.group, self._number, self._world.now)

    def _request_now(self, api: Api) -> tuple[Reply, float]:
        """Ask a server that answers at once; with others no shortcut is taken."""
        found = self._request(api)
        if found is None:
            raise AssertionError(api)
        return found

    def _wake_at(self, at: float) -> None:
        self.alarm = at
        if at != NEVER:
            self._world.agenda.add((at, self._number, Due.ALARM))

    def _live(self, *events: Event, effects: tuple[Effect, ...] = ()) -> None:
        """Let the daemon decide and obey until it has to wait."""
        at, policy, inbox = self._world.moment, self.policy, deque(events)
        state, self._queueing = self.state, None
        while state is not None:
            for came in carry_out(effects, self):
                if came and not (came == PRESUMED and self._world.shortcuts):
                    inbox.extend(came)
            if not inbox:
                break
            state, effects = step(state, inbox.popleft(), at=at, policy=policy)
        self._state = state
        self._fall_if_told()
        self._count()
        self._arm()

    def save(self, memory: Memory) -> Saved:
        """See `Surroundings`, as all that follow."""
        self._disk = memory
        return Saved()

    def look(self, question: ReadFacts) -> Events:
        """Everything is read at once."""
        return (FactsRead(question.ticket, self._look(question.look)),)

    def ask(self, question: Acquire) -> Events:
        """The server may be slow."""
        return self._send(question)

    def give_back(self, request: Release) -> Events:
        """The server may be slow."""
        return self._send(request)

    def take_back(self, ticket: Ticket) -> Events:
        """What is not answered yet never is."""
        if self._held is not None:
            slot, self._held = self._held.slot, None
            self._world.server.hang_up(self._number, self._world.now)
            return (LockUnclear(ticket, slot, "the question was taken back", answered=False),)
        if self._answer is None:
            return ()
        slot, self._answer = self._answer[0].slot, None
        return (LockUnclear(ticket, slot, "the question was taken back", answered=False),)

    def reboot(self, _: Reboot) -> Events:
        """It is done, once this step is."""
        self._falls = True
        if self._world.shortcuts:
            return (ShutdownBegan(),)  # nothing more of this state is used
        return RebootAccepted(), ShutdownBegan(), StopAsked()

    def run_hooks(self, _: RunHooks) -> Events:
        """There are none."""
        return ()

    def stop_hooks(self, _: Ticket) -> Events:
        """There are none."""
        return ()

    def tell_outcome(self, order: TellOutcome) -> Events:
        """It is heard at once."""
        failed = order.reboot.outcome in {Outcome.ROLLED_BACK, Outcome.NOT_APPLIED}
        now = self._world.now
        self._world.server.report(self.group, self._number, failed=failed, now=now)
        return ()

    def warn(self, _: Warn) -> Events:
        """There is nobody."""
        return ()

    def _look(self, look: Look) -> Facts:
        return Facts(
            boot=BOOTS[self._boots],
            os=self.os if Look.OS in look else None,
            logind=QUIET if Look.LOGIND in look else None,
            boot_incomplete="" if Look.BOOT in look else None,
            hooks=NO_HOOKS if Look.HOOKS in look else None,
            clock_synchronized=True if Look.CLOCK in look else None,
        )

    def _send(self, request: Acquire | Release) -> Events:
        """Send it, unless the shortcut did; an answer that takes its time comes later."""
        asks = isinstance(request, Acquire)
        foreseen, self._reply = self._reply, None
        found = foreseen or self._request(Api.PRE_REBOOT if asks else Api.STEADY_STATE)
        if found is None and isinstance(request, Acquire):
            self._held = request
        if found is None:
            return ()
        reply, at = found
        decode = decode_lock_answer if asks else decode_release_answer
        wall = self._world.scenario.moment(at).wall
        answer = decode(request.ticket, request.slot, reply, at=wall)
        self._last = reply
        if at <= self._world.now:
            return (answer,)
        self._answer = answer, at
        self._world.agenda.add((at, self._number, Due.ANSWER))
        return ()

    def _fall_if_told(self) -> None:
        """Go down, and come up with the update, or without it."""
        if not self._falls:
            return
        world = self._world
        up_at = world.now + world.scenario.reboot_s(self._number)
        if self._state is not None and goes_by_deadline(self._state, self.policy, world.moment):
            world.tally.by_deadline += 1
        self._falls = False
        self._state = None
        self.died = world.scenario.dies(self._number)
        if self.died:
            self.over = True
            world.tally.die(self.group, world.now)
            return
        self.os = ROLLED_BACK if world.scenario.fails(self._number) else UPDATED
        world.tally.down(world.now, up_at)
        world.agenda.add((up_at, self._number, Due.BOOTED))

    def _boot(self) -> None:
        """The boot is complete; what state.json holds is all that the daemon knows."""
        world = self._world
        self._boots += 1
        self._state, effects = start(self._disk, at=world.moment, policy=self.policy)
        self._live(effects=effects)
        if self.os is UPDATED:
            world.tally.update(world.now)
        if any(debt.kept for debt in self._disk.debts):
            world.tally.keep(self.group, world.now)

    def _count(self) -> None:
        attempt = None if self._state is None else self._state.attempt
        match attempt:
            case Asking() | Queued():
                waits = True
            case _:
                waits = False
        if waits is not self._waits:
            self._waits = waits
            self._world.tally.wait(self.group, self._world.now, 1 if waits else -1)
        if isinstance(attempt, Idle) and self._boots and not self.over:
            self.over = all(debt.kept for debt in self._disk.debts)
            if self.over:
                self._world.tally.end(self.group)

    def _arm(self) -> None:
        """Wake the daemon when it is due."""
        world, state, at = self._world, self._state, self._world.moment
        self.alarm = NEVER
        if state is None or self.over:
            return
        if world.shortcuts and not world.scenario.terms.lends:
            self._queueing = queue(
                state, self._last, at=at, policy=self.policy, scenario=world.scenario
            )
            if self._queueing is not None:
                self._wake_at(self._queueing.due)
                return
        due = deadline(state, at=at, policy=self.policy)
        times = [] if due.mono is None else [due.mono]
        times += [] if due.wall is None else [world.scenario.instant(due.wall)]
        if times:
            self._wake_at(min(times))

"""A host in virtual time whose daemon really decides, on a real state.json that may go at any call.

Everything else it meets is kind: hooks pass, the lock server grants, a reboot boots the update.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rebootmgr.core.alarm import deadline
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
    HoldReleased,
    HooksPassed,
    LockGranted,
    RebootAccepted,
    Saved,
    SaveFailed,
    ShutdownBegan,
    SlotReleased,
    StopAsked,
    Ticked,
)
from rebootmgr.core.facts import Deployments, Facts, Logind
from rebootmgr.core.machine import start, step
from rebootmgr.core.memory import Debt, Hold, HoldSpan, Memory, Quarantine
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
from rebootmgr.core.policy import Policy, Strategy
from rebootmgr.core.states import Idle, Queued, State, Waiting
from rebootmgr.simulation.executor import Events, carry_out
from rebootmgr.state.store import StateStore
from tests.fakes.disk import Disk, PowerCut

NOON: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MOST_STEPS: Final = 500
PHASES: Final = frozenset({Phase.CHECK, Phase.PRE_REBOOT, Phase.POST_BOOT})
SLOT: Final = Slot("https://lock.example/", "default", "me")
FORMER: Final = Slot("https://former.example/", "default", "me")
POLICY: Final = Policy(
    strategies=frozenset({Strategy.FLEET_LOCK}), slot=SLOT, seed="me", reboots_per_day=9
)


def deployment(version: str) -> Deployment:
    return Deployment(
        id=DeploymentId(f"os-{version}.0"), key=UpdateKey(f"os:{version}"), version=version
    )


OLD, NEW = deployment("1"), deployment("2")
BAD: Final = Quarantine(key=UpdateKey("os:0"), why="failed twice", since=NOON)
SHORT: Final = Hold(
    id="short",
    owner="root",
    reason="lunch",
    since=NOON,
    until=NOON + timedelta(hours=1),
    span=HoldSpan(boot=BootId("b0"), ends=3700.0, seconds=3600.0, is_dated=False),
)
LONG: Final = Hold(id="long", owner="root", reason="visit", since=NOON, until=None)
FIRST: Final = Memory(
    settled=BootId("b0"),
    booted=OLD,
    debts=(Debt(slot=FORMER),),
    quarantine=(BAD,),
    holds=(SHORT, LONG),
)


@dataclass(frozen=True, slots=True)
class End:
    """Where everything came to rest."""

    booted: Deployment
    reboots: int
    drained: bool
    slots: frozenset[Slot]
    memory: Memory


@dataclass
class Host:
    """`released`: somebody lifted the hold without an end. Nothing may forget either hold.

    `later` is the policy from the first crash on.
    """

    root: Path
    disk: Disk
    booted: Deployment = OLD
    staged: Deployment | None = NEW
    boots: int = 0
    drained: bool = False
    slots: set[Slot] = field(default_factory=lambda: {FORMER})
    going_down: bool = False
    reboots: int = 0
    released: bool = False
    policy: Policy = POLICY
    later: Policy = POLICY
    seconds: float = 100.0
    runs: int = 0
    store: StateStore = field(init=False)

    def live(self) -> End:
        """Run until nothing is left to do, daemon after daemon."""
        while True:
            self.runs += 1
            assert self.runs < 20, "the daemon is started again and again"
            try:
                state = self._run()
            except PowerCut:  # only the daemon is gone
                self.policy = self.later
                continue
            if state is not None:
                memory = state.memory
                return End(self.booted, self.reboots, self.drained, frozenset(self.slots), memory)
            self.boot(finalized=True)

    def boot(self, *, finalized: bool) -> None:
        """Come up again; `finalized`: with what was staged. An agent stages what is missing."""
        self.booted = self.staged if finalized and self.staged is not None else self.booted
        self.staged = None if self.booted == NEW else NEW
        self.boots += 1
        self.going_down = False

    def _run(self) -> State | None:
        """One daemon, from its start to its rest; None when the machine goes down."""
        self.store = StateStore(self.root, files=self.disk)
        memory = self.store.read(at=self._at().wall)
        assert isinstance(memory, Memory)
        inbox: deque[Event] = deque()
        state, effects = start(memory, at=self._at(), policy=self.policy)
        self._obey(effects, inbox)
        for _ in range(MOST_STEPS):
            if inbox:
                event = inbox.popleft()
            elif self.going_down:
                return None
            elif isinstance(state.attempt, Waiting | Queued) and LONG in state.memory.holds:
                self.released = True
                event = HoldReleased(LONG.id)
            else:
                due = deadline(state, at=self._at(), policy=self.policy)
                waits = [] if due.mono is None else [due.mono - self.seconds]
                waits += [] if due.wall is None else [(due.wall - self._at().wall).total_seconds()]
                if not waits:
                    assert isinstance(state.attempt, Idle), state.attempt
                    return state
                self.seconds += min(waits)
                event = Ticked()
            state, effects = step(state, event, at=self._at(), policy=self.policy)
            self._obey(effects, inbox)
        raise AssertionError("it never comes to rest")

    def _at(self) -> Moment:
        return Moment(wall=NOON + timedelta(seconds=self.seconds), mono=self.seconds)

    def _obey(self, effects: tuple[Effect, ...], inbox: deque[Event]) -> None:
        for events in carry_out(effects, self):
            inbox.extend(events or ())

    def save(self, memory: Memory) -> Saved | SaveFailed:
        try:
            self.store.write(memory)
        except OSError as error:
            return SaveFailed(str(error))
        return Saved()

    def look(self, question: ReadFacts) -> Events:
        return (FactsRead(question.ticket, self._facts()),)

    def run_hooks(self, order: RunHooks) -> Events:
        undoes = order.phase in {Phase.ABANDONED, Phase.POST_BOOT}
        self.drained = order.phase is Phase.PRE_REBOOT or (self.drained and not undoes)
        return (HooksPassed(order.ticket),)

    def ask(self, question: Acquire) -> Events:
        self.slots.add(question.slot)
        return (LockGranted(question.ticket, question.slot),)

    def give_back(self, request: Release) -> Events:
        self.slots.discard(request.slot)
        return (SlotReleased(request.ticket, request.slot),)

    def reboot(self, _: Reboot) -> Events:
        assert self.released, "the hold without an end was forgotten"
        assert self._at().wall >= NOON + timedelta(hours=1), "the hold was forgotten"
        self.reboots += 1
        self.going_down = True
        return RebootAccepted(), ShutdownBegan(), StopAsked()

    def stop_hooks(self, _: Ticket) -> Events:
        return ()

    def take_back(self, _: Ticket) -> Events:
        return ()

    def tell_outcome(self, _: TellOutcome) -> Events:
        return ()

    def warn(self, _: Warn) -> Events:
        return ()

    def _facts(self) -> Facts:
        os = Deployments(
            booted=self.booted,
            default=self.staged or self.booted,
            staged=self.staged is not None,
            on_disk=(self.booted.id, *((self.staged.id,) if self.staged else ())),
        )
        boot = BootId(f"b{self.boots}")
        logind = Logind(preparing=self.going_down)
        return Facts(boot=boot, os=os, logind=logind, boot_incomplete="", hooks=PHASES)


def what_matters(end: End) -> End:
    """Without times and slots confirmed free: a restart and another configuration change them."""
    memory = end.memory
    reboots = tuple(replace(one, at=NOON, seconds=0.0) for one in memory.reboots)
    return replace(end, memory=replace(memory, reboots=reboots, last_seen=None, confirmed=()))

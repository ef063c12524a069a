"""A transcript: feed an event, say what must follow."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar

from rebootmgr.core.alarm import deadline
from rebootmgr.core.describe import blockers, describe
from rebootmgr.core.effects import Acquire, Effect, ReadFacts, RunHooks
from rebootmgr.core.events import (
    Event,
    FactsRead,
    HooksPassed,
    HostChanged,
    LockGranted,
    RebootAccepted,
    ShutdownBegan,
    Ticked,
)
from rebootmgr.core.facts import (
    BootTimes,
    Change,
    Deployments,
    Facts,
    Inhibitor,
    Logind,
    Look,
    Session,
)
from rebootmgr.core.machine import start, step
from rebootmgr.core.memory import Hold, Memory, PastReboot, Unreadable
from rebootmgr.core.model import (
    BootId,
    Deployment,
    DeploymentId,
    Moment,
    Outcome,
    Phase,
    Reason,
    Slot,
    UpdateKey,
)
from rebootmgr.core.policy import ClockRule, Policy, Strategy
from rebootmgr.core.states import Asking, State
from rebootmgr.core.status import Status
from tests.core.world import SUNDAYS

T = TypeVar("T", bound=Effect)

EPOCH = datetime(2030, 1, 6, 1, tzinfo=UTC)  # a Sunday
UP_S = 7200.0
FIRST_BOOT = BootId("b1")
SLOT = Slot("https://lock.example/", "default", "me")
IMMEDIATE = Policy(seed="me")
FLEET = Policy(strategies=frozenset({Strategy.FLEET_LOCK}), slot=SLOT, seed="me")
SUNDAY = replace(IMMEDIATE, calendar=SUNDAYS, clock=ClockRule.NEVER)  # from 0:00 to 3:00
MONDAY = EPOCH + timedelta(days=1)
NEXT_SUNDAY = EPOCH + timedelta(days=7, hours=-1)  # when its window opens


def deployment(version: str, *, timestamp: int = 1) -> Deployment:
    key = UpdateKey(f"os:{version}")
    return Deployment(
        id=DeploymentId(f"os-{version}.0"), key=key, version=version, timestamp=timestamp
    )


OLD, NEW, NEWER = deployment("1"), deployment("2"), deployment("3")
DAY = timedelta(days=1)


def past(seconds: float = 60.0, *, ago: timedelta = 3 * DAY) -> PastReboot:
    """A reboot that succeeded, and how long it took."""
    return PastReboot(
        at=EPOCH - ago, target=OLD.id, version="1", outcome=Outcome.SUCCEEDED, seconds=seconds
    )


def settled(*reboots: PastReboot, **changes: object) -> Memory:
    """What is remembered in a first boot that was judged, after these reboots."""
    memory = Memory(settled=FIRST_BOOT, booted=OLD, confirmed=(SLOT,), reboots=reboots)
    return replace(memory, **changes)  # type: ignore[arg-type] # by name, as in replace


ALICE = Session(id="1", user="alice", tty="pts/0")
BOB = Session(id="2", user="bob", tty="pts/1")
BACKUP = Inhibitor(who="backup", why="nightly", uid=0, pid=7)
HOLD = Hold(id="1", owner="root", reason="audit", since=EPOCH, until=None)
OS_CHANGED = HostChanged(Look.OS)
LOGIND_CHANGED = HostChanged(Look.LOGIND)


@dataclass
class Script:
    """One host and its daemon. `facts` is what the next look will find."""

    policy: Policy = IMMEDIATE
    memory: Memory | Unreadable = field(default_factory=Memory)
    staged: Deployment | None = None
    logind: Logind = field(default_factory=Logind)
    hooks: frozenset[Phase] = frozenset()
    boot: BootId = FIRST_BOOT
    booted: Deployment = OLD
    on_disk: tuple[str, ...] = ()
    boot_incomplete: str = ""
    boot_times: BootTimes | None = None
    staged_at: datetime | None = None
    synchronized: bool | None = None
    seconds: float = UP_S
    began: datetime = EPOCH
    booted_at: datetime = field(init=False)
    state: State = field(init=False)
    effects: list[Effect] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.booted_at = self.began - timedelta(seconds=self.seconds)
        self.state, effects = start(self.memory, at=self.at, policy=self.policy)
        self.effects.extend(effects)

    @property
    def at(self) -> Moment:
        return Moment(wall=self.booted_at + timedelta(seconds=self.seconds), mono=self.seconds)

    def on(self, *events: Event) -> Self:
        """These happen, one after the other; `effects` is what they brought."""
        self.effects = []
        for event in events:
            self.state, effects = step(self.state, event, at=self.at, policy=self.policy)
            self.effects.extend(effects)
        return self

    def look(self, **changes: object) -> Self:
        """The look under way is answered with what the host is like now, but for `changes`."""
        assert self.state.looking is not None
        found = replace(self.facts, **changes)  # type: ignore[arg-type] # by name, as in replace
        return self.on(FactsRead(self.state.looking.ticket, found))

    def settle(self) -> Self:
        """Answer looks until none is under way."""
        effects: list[Effect] = []
        while self.state.looking is not None:
            effects += self.look().effects
        self.effects = effects
        return self

    @property
    def facts(self) -> Facts:
        is_change = self.staged is not None and self.staged.key.startswith(f"{self.booted.key}+")
        os = Deployments(
            booted=self.booted,
            default=self.staged or self.booted,
            staged=self.staged is not None,
            on_disk=self.on_disk,
            staged_at=self.staged_at,
            change=Change(same_base=is_change),
        )
        return Facts(
            boot=self.boot,
            os=os,
            logind=self.logind,
            boot_incomplete=self.boot_incomplete,
            boot_times=self.boot_times,
            hooks=self.hooks,
            clock_synchronized=self.synchronized,
        )

    def later(self, seconds: float) -> Self:
        """Time passes, and the alarm rings."""
        self.seconds += seconds
        return self.on(Ticked())

    def sleep(self) -> Self:
        """Jump to the next deadline that the core named."""
        due = deadline(self.state, at=self.at, policy=self.policy)
        waits = [] if due.mono is None else [due.mono - self.seconds]
        waits += [] if due.wall is None else [(due.wall - self.at.wall).total_seconds()]
        assert waits, "nothing to wait for"
        return self.later(min(waits))

    def granted(self) -> Self:
        """The fleet agrees to the question just put."""
        return self.on(LockGranted(self.get(Acquire).ticket, SLOT))

    def passed(self) -> Self:
        """The hooks just started exit with 0."""
        return self.on(HooksPassed(self.get(RunHooks).ticket))

    def get(self, kind: type[T]) -> T:
        """The one effect of this kind."""
        (found,) = [effect for effect in self.effects if isinstance(effect, kind)]
        return found

    def has(self, kind: type[Effect]) -> bool:
        return any(isinstance(effect, kind) for effect in self.effects)

    @property
    def reasons(self) -> list[Reason]:
        """What is in the way now."""
        return [one.reason for one in blockers(self.state, self.policy, self.at)]

    def looks_at(self) -> Look:
        return self.get(ReadFacts).look

    def under(self, **changes: object) -> Self:
        """Change the policy that the following events meet."""
        self.policy = replace(self.policy, **changes)  # type: ignore[arg-type] # by name, as in replace
        return self


def running(policy: Policy = IMMEDIATE, **host: object) -> Script:
    """A daemon that looked around once, in a boot that is settled."""
    return Script(policy=policy, **{"memory": settled(), **host}).settle()  # type: ignore[arg-type]


def staged(policy: Policy = IMMEDIATE, **host: object) -> Script:
    """An update has just been staged on a running host, and looked at once."""
    script = running(policy, **host)
    script.staged = NEW
    return script.on(OS_CHANGED).look()


def asking() -> Script:
    """The fleet has just been asked."""
    script = staged(FLEET)
    assert isinstance(script.state.attempt, Asking)
    return script


def committing() -> Script:
    """The fleet has just agreed."""
    return asking().granted()


def rebooting() -> Script:
    """logind has just been called."""
    return committing().look()


def next_boot(policy: Policy = FLEET, **host: object) -> Script:
    """The host went down as it was asked to, and is up again; nobody has looked at it yet."""
    memory = rebooting().on(RebootAccepted(), ShutdownBegan()).state.memory
    found = {"memory": memory, "boot": BootId("b2"), "booted": NEW, **host}
    return Script(policy, **found)  # type: ignore[arg-type]


def shown(script: Script) -> Status:
    """What people are shown."""
    return describe(script.state, script.policy, script.at, since={})

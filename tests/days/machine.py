"""A simulated machine over many boots: deployments and their fates, the clock, who else is there.

It shares with tests.fleet how logind is asked and what it may answer.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from rebootmgr.core.events import HostChanged, RebootAccepted, ShutdownBegan, StopAsked
from rebootmgr.core.facts import (
    Deployments,
    Facts,
    Finalization,
    Logind,
    LogindUnreachable,
    Look,
    OsUnknown,
    Session,
    Work,
)
from rebootmgr.core.model import Deployment, DeploymentId, Moment, Phase
from tests.days.updates import FOR_EVER, Fate, Update, deploy, key_of
from tests.fleet.host import Host
from tests.fleet.world import World

ALL_HOOKS: Final = frozenset(Phase)
HOOK_TIMEOUT_S: Final = 300.0
BROKEN_CLOCK: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Rtc(Enum):
    """What the clock says before it is synchronized."""

    GOOD = auto()
    NONE = auto()  # 1970
    WRONG = auto()


class Machine(Host):
    """`newest` is what rpm-ostreed-automatic stages; `called_at` all reboots that we asked for."""

    def __init__(self, world: World, season: datetime, *, hooks: frozenset[Phase]) -> None:
        super().__init__(world, hooks=False)
        self._hooks = hooks
        self.season = season
        self.updates = {key_of(1): Update(1)}
        self.booted = self.default = deploy(1)
        self.previous: Deployment | None = None
        self.newest: Update | None = None
        self.rtc = Rtc.GOOD
        self.rtc_days = 0.0  # how far it is off, if it is wrong
        self.ntp_takes_s = 20.0
        self.synchronized = True  # once in this boot
        self._is_set_by_hand = False
        self.clock_watcher: Callable[[], None] = lambda: None
        self.jumps: list[tuple[float, float]] = []  # of the clock while people can rely on it
        self._fast_s = self._vouched_s = 0.0
        self.complete = True
        self.finalization = Finalization.OPEN
        self.unlocked = "none"
        self.transaction = ""
        self.driver = ""
        self.os_is_silent = False
        self.logind_is_gone = False
        self.check_says_no = False
        self.drain_fails = False
        self.hooks_hang = False
        self.hooks_dawdle = 0.1
        self.hooks_take_s: dict[Phase, float] = {}
        self.post_boot_failed = False
        self.checked_at = float("-inf")
        self.called_at: list[float] = []
        self.seen: set[str] = set()  # what booted since the last call
        self.orderly = False  # how the last boot ended
        self.left_with: DeploymentId | None = None  # what was staged then
        self._called: float | None = None

    @property
    def at(self) -> Moment:
        now = self._world.agenda.now
        wall = self.season + timedelta(seconds=now + self.fast_s)
        return Moment(wall=wall, mono=now - self._began)

    @property
    def fast_s(self) -> float:
        """How much the wall clock is ahead of the truth."""
        return self._fast_s

    @property
    def hooks(self) -> frozenset[Phase]:
        return self._hooks

    @property
    def logind(self) -> Logind:
        return self._logind

    # --- updates -------------------------------------------------------------------------

    def offer(self, fate: Fate = Fate.GOOD, times: int = FOR_EVER) -> Update:
        """There is a newer update, staged in the place of what was staged before."""
        self.version += 1
        self.newest = self.updates[key_of(self.version)] = Update(self.version, fate, times)
        self.stage()
        return self.newest

    def publish(self) -> None:
        self.offer()

    def stage(self) -> None:
        """The timer comes round: the newest update is staged, unless the host runs it."""
        if self.newest is None or not self.up or self.going_down:
            return
        if self.booted.key != key_of(self.newest.version) and not (
            self.staged is not None and self.staged.key == key_of(self.newest.version)
        ):
            self._stage(self.newest.version)

    def redeploy(self) -> None:
        """The same commit again, under a new serial: what is staged, or else what is booted."""
        if self.up and not self.going_down:
            self._stage(int((self.staged or self.booted).version))

    def withdraw(self) -> None:
        self.newest = None
        self.staged = None
        self.daemon.tell(HostChanged(Look.OS))

    def _stage(self, version: int) -> None:
        taken = {
            each.id for each in (self.booted, self.previous, self.default, self.staged) if each
        }
        serial = next(n for n in range(9) if deploy(version, n).id not in taken)
        self.staged = deploy(version, serial)
        self.daemon.tell(HostChanged(Look.OS))

    # --- what can be seen ----------------------------------------------------------------

    @property
    def goes_down_for_others(self) -> bool:
        """Whether somebody else has called for the shutdown that is under way."""
        return self.going_down and self._called is None

    def look(self, wanted: Look) -> Facts:
        facts = super().look(wanted)
        if facts.os is not None and self.os_is_silent:
            facts = replace(facts, os=OsUnknown("no answer"))
        if facts.logind is not None and self.logind_is_gone:
            facts = replace(facts, logind=LogindUnreachable("no answer"))
        return facts

    def _deployments(self) -> Deployments:
        there = (self.staged, self.booted, self.default, self.previous)
        return Deployments(
            booted=self.booted,
            default=self.staged or self.default,
            staged=self.staged is not None,
            finalization=self.finalization,
            unlocked=self.unlocked,
            transaction=Work(self.transaction, "") if self.transaction else None,
            driver=self.driver,
            on_disk=tuple(dict.fromkeys(each.id for each in there if each is not None)),
        )

    def _boot_incomplete(self) -> str:
        return "" if self.complete else "greenboot-healthcheck.service has not succeeded"

    def _is_synchronized(self) -> bool:
        return self.is_vouched_for

    def is_on_disk(self, id_: str) -> bool:
        """Whether a deployment was finalized and is still there."""
        return id_ in self.in_the_boot_menu()

    def in_the_boot_menu(self) -> frozenset[str]:
        """Everything that was finalized and is still there."""
        return frozenset(each.id for each in (self.booted, self.default, self.previous) if each)

    def change(self, look: Look, **what: object) -> None:
        """Something is different from now on, and whoever listens is told."""
        for name, value in what.items():
            setattr(self, name, value)
        self.daemon.tell(HostChanged(look))

    def sit(self, *sessions: Session, scheduled: str = "") -> None:
        """These people are logged in now; perhaps somebody scheduled a shutdown."""
        self._logind = replace(self._logind, sessions=sessions, scheduled=scheduled)
        self.daemon.tell(HostChanged(Look.LOGIND))

    def install(self, hooks: frozenset[Phase]) -> None:
        """Hooks for these phases, and no others, are there now."""
        self._hooks = hooks
        self.daemon.tell(HostChanged(Look.HOOKS))

    # --- hooks ---------------------------------------------------------------------------

    def hook_takes_s(self, phase: Phase) -> float:
        dice = self._world.dice
        if self.hooks_hang:
            return HOOK_TIMEOUT_S
        if phase in self.hooks_take_s:
            return self.hooks_take_s[phase]
        return dice.uniform(0.1, 200 if dice.random() < self.hooks_dawdle else 10)

    def hook_fails(self, phase: Phase) -> bool:
        failed = self.hooks_hang
        match phase:
            case Phase.CHECK:
                failed |= self.check_says_no
                self.checked_at = float("-inf") if failed else self._world.agenda.now
            case Phase.PRE_REBOOT:
                failed |= self.drain_fails
            case Phase.POST_BOOT:
                failed |= self.updates[self.booted.key].strikes(Fate.SICK)
                self.post_boot_failed = failed
            case Phase.ABANDONED:
                pass
        return failed

    # --- the clock -----------------------------------------------------------------------

    def set_clock(self, fast_s: float) -> None:
        """Somebody sets the wall clock, or the time servers do, to what is right."""
        self._turn_clock(fast_s)
        self._is_set_by_hand = fast_s != 0.0
        self.daemon.clock_set()

    @property
    def is_vouched_for(self) -> bool:
        """What timedate1 says: who sets the clock makes it unsynchronized (adjtimex(2))."""
        return self.synchronized and not self._is_set_by_hand

    def _turn_clock(self, fast_s: float) -> None:
        self.clock_watcher()
        self._fast_s = fast_s
        self.clock_watcher()
        if self.synchronized:
            self.jumps.append((self._world.agenda.now, fast_s - self._vouched_s))
            self._vouched_s = fast_s

    def suspend(self, for_s: float) -> None:
        """Sleep; CLOCK_BOOTTIME goes on."""
        self.asleep = True
        self._world.agenda.after(for_s, self._resume, self._boots)

    def _resume(self, boots: int) -> None:
        if boots == self._boots:
            self.wake_up()

    def wake_up(self) -> None:
        """Sleep no longer."""
        if self.asleep:
            self.asleep = False
            overslept, self._overslept = self._overslept, []
            for call, args in overslept:
                self.when_awake(call, *args)
            self.daemon.clock_set()
            self.daemon.tell()

    def _synchronize(self, boots: int) -> None:
        if boots == self._boots and self.up:
            self._turn_clock(0.0)  # what it said before, nobody has vouched for
            self.synchronized = True
            self.set_clock(0.0)

    # --- boots ---------------------------------------------------------------------------

    def reboot(self) -> None:
        if self.going_down:
            self.daemon.tell(RebootAccepted())
            return
        self._called = self._world.agenda.now
        self.seen.clear()
        super().reboot()

    def restart(self, *, into: Deployment | None = None) -> None:
        """Somebody else reboots, perhaps into another deployment."""
        if not self.up or self.going_down:
            return
        if into is not None:
            self.default, self.staged = into, None
        self.going_down = True
        self._called = None
        self._logind = replace(self._logind, preparing=True)
        self.daemon.tell(ShutdownBegan(), HostChanged(Look.LOGIND), StopAsked())
        self._world.agenda.after(self._world.dice.uniform(0.1, 20), self._fall, self._boots)

    def roll_back(self) -> None:
        """An administrator goes back to what was booted before, if there is such a thing."""
        if self.previous is None or not self.up:
            return
        if self.going_down:
            self.default, self.staged = self.previous, None
        self.restart(into=self.previous)

    def lose_power(self, *, for_s: float = 0.0) -> None:
        """Be gone at once, and come up again that much later."""
        self.orderly = False
        self._reset(off_s=for_s)

    def _go_down(self, boots: int) -> None:
        super()._go_down(boots)
        if not self.going_down:
            self._called = None

    def _fall(self, boots: int) -> None:
        if boots != self._boots or not self.up:
            return
        self.orderly = True
        staged = self.staged
        may_finalize = staged is not None and self.finalization is Finalization.OPEN
        if staged and may_finalize and not self.updates[staged.key].strikes(Fate.NEVER):
            self.default = staged
        self._reset()

    def _reset(self, *, off_s: float = 0.0) -> None:
        if self._called is not None and self.going_down:
            self.called_at.append(self._called)
        self._called = None
        self.up = self.asleep = False
        self._overslept.clear()
        self.left_with = None if self.staged is None else self.staged.id
        self.staged = None
        self.daemon.end(restart_s=0.0)
        dice = self._world.dice
        self._world.agenda.after(dice.uniform(20, 120) + off_s, self._come_up)

    def _come_up(self) -> None:
        world, dice = self._world, self._world.dice
        if self.default.id != self.booted.id:
            self.previous, self.booted = self.booted, self.default
        self.seen.add(self.booted.id)
        self.up = True
        self.going_down = self.drained = self.complete = self.post_boot_failed = False
        self.finalization, self.unlocked, self.transaction = Finalization.OPEN, "none", ""
        self.checked_at = float("-inf")
        self._boots += 1
        self._logind = Logind()
        self.clock_watcher()
        self.synchronized = self._is_set_by_hand = False
        self._began = world.agenda.now - 5.0
        self._forget_the_time()
        world.agenda.after(dice.uniform(1, 15), self._start_daemon, self._boots)
        if self.updates[self.booted.key].strikes(Fate.RED) and self.previous is not None:
            world.agenda.after(dice.uniform(60, 400), self._turn_red, self._boots)
        else:
            world.agenda.after(dice.uniform(5, 90), self._be_complete, self._boots)
        world.agenda.after(dice.uniform(60, 900), self._stage_if, self._boots)

    def _start_daemon(self, boots: int) -> None:
        if boots == self._boots and self.up:
            self.daemon.wake()

    def _stage_if(self, boots: int) -> None:
        if boots == self._boots:
            self.stage()

    def _be_complete(self, boots: int) -> None:
        if boots == self._boots and self.up:
            self.change(Look.BOOT, complete=True)

    def _turn_red(self, boots: int) -> None:
        """Do as greenboot does: try once more, or go back."""
        if boots == self._boots:
            self.restart(into=self.previous if self._world.dice.random() < 0.6 else None)

    def _forget_the_time(self) -> None:
        world = self._world
        match self.rtc:
            case Rtc.GOOD:
                pass
            case Rtc.NONE:
                back = BROKEN_CLOCK - self.season
                self._turn_clock(back.total_seconds() - world.agenda.now)
            case Rtc.WRONG:
                self._turn_clock(self.rtc_days * 86400.0)
        world.agenda.after(self.ntp_takes_s, self._synchronize, self._boots)

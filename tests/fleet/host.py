"""A simulated host: what it runs, what is staged, what logind says, and how it reboots."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol

from rebootmgr.core.events import (
    Event,
    HostChanged,
    RebootAccepted,
    RebootRefused,
    ShutdownBegan,
    StopAsked,
)
from rebootmgr.core.facts import Deployments, Facts, Inhibitor, Logind, Look
from rebootmgr.core.model import BootId, Deployment, Moment, Phase
from tests.core.script import EPOCH, deployment
from tests.fleet.world import World

BACKUP: Final = Inhibitor(who="backup", why="nightly", uid=0, pid=7)
UP_S: Final = 7200.0


class Daemon(Protocol):
    """Whoever runs on the host."""

    def wake(self) -> None:
        """Start, if the host is up."""

    def tell(self, *events: Event) -> None:
        """These happened."""

    def end(self, *, restart_s: float) -> None:
        """Be gone at once."""

    def clock_set(self) -> None:
        """The wall clock was set, or the machine slept."""


class Host:
    """`version` is the newest update there is for it; `drained` what pre-reboot.d left behind."""

    daemon: Daemon

    def __init__(self, world: World, *, hooks: bool) -> None:
        self.version = 1
        self.booted = deployment("1")
        self.staged: Deployment | None = None
        self.up = True
        self.going_down = False
        self.drained = False
        self.asleep = False
        self.disk_full = False
        self._world = world
        self._overslept: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._hooks = frozenset(Phase) if hooks else frozenset[Phase]()
        self._logind = Logind()
        self._boots = 0
        self._began = world.agenda.now - UP_S

    @property
    def boot(self) -> BootId:
        return BootId(f"b{self._boots}")

    @property
    def at(self) -> Moment:
        now = self._world.agenda.now
        return Moment(wall=EPOCH + timedelta(seconds=now), mono=now - self._began)

    def look(self, wanted: Look) -> Facts:
        """What a look at these sources finds now."""
        return Facts(
            boot=self.boot,
            os=self._deployments() if Look.OS in wanted else None,
            logind=self._logind if Look.LOGIND in wanted else None,
            boot_incomplete=self._boot_incomplete() if Look.BOOT in wanted else None,
            hooks=self._hooks if Look.HOOKS in wanted else None,
            clock_synchronized=self._is_synchronized() if Look.CLOCK in wanted else None,
        )

    def hook_takes_s(self, phase: Phase) -> float:
        """How long the hooks of a phase will take this time."""
        return self._world.dice.uniform(0.1, 3)

    def hook_fails(self, phase: Phase) -> bool:
        """Whether they fail in the end."""
        chance = self._world.weather.crash * 9
        return phase is not Phase.POST_BOOT and self._world.happens(chance)

    def when_awake(self, call: Callable[..., None], *args: object) -> None:
        """Call now, or as soon as the machine is not suspended any longer."""
        if self.asleep:
            self._overslept.append((call, args))
        else:
            call(*args)

    @property
    def is_up_to_date(self) -> bool:
        return self.booted.version == str(self.version) and self.staged is None

    def inhibit(self, *inhibitors: Inhibitor, may_override: bool = False) -> None:
        """These, and no others, are in the way of a shutdown now."""
        self._logind = replace(self._logind, inhibitors=inhibitors, may_override=may_override)
        self.daemon.tell(HostChanged(Look.LOGIND))

    def publish(self) -> None:
        """There is a newer update, staged in the place of what was staged before."""
        self.version += 1
        self.stage()

    def stage(self) -> None:
        """The newest update is staged, as soon as the machine is up."""
        if not self.up:
            self._world.agenda.after(30, self.stage)
        elif self.booted.version != str(self.version) and not self.going_down:
            self.staged = deployment(str(self.version))
            self.daemon.tell(HostChanged(Look.OS))

    def withdraw(self) -> None:
        """There is no update any more."""
        self.version = int(self.booted.version)
        self.staged = None
        self.daemon.tell(HostChanged(Look.OS))

    def reboot(self) -> None:
        """logind is asked: it may refuse, do nothing, begin and give up, or do it."""
        world = self._world
        if world.happens(0.0 if world.weather.is_fine else 0.03):
            self.daemon.tell(RebootRefused("access denied"))
            return
        self.daemon.tell(RebootAccepted())
        if world.happens(0.0 if world.weather.is_fine else 0.02):
            return
        self.going_down = True
        self._logind = replace(self._logind, preparing=True)
        world.agenda.after(world.dice.uniform(0.01, 1), self._go_down, self._boots)

    def lose_power(self) -> None:
        """Go down at once, and come up again; what was staged is lost, and staged again later."""
        dice, agenda = self._world.dice, self._world.agenda
        self.up = False
        self.staged = None
        self.daemon.end(restart_s=0.0)
        agenda.after(dice.uniform(2, 300 if dice.random() < 0.02 else 6), self._come_up)

    def _deployments(self) -> Deployments:
        return Deployments(
            booted=self.booted,
            default=self.staged or self.booted,
            staged=self.staged is not None,
        )

    def _boot_incomplete(self) -> str:
        return ""

    def _is_synchronized(self) -> bool:
        return True

    def _go_down(self, boots: int) -> None:
        if boots != self._boots or not self.up:
            return
        world = self._world
        self.daemon.tell(ShutdownBegan(), HostChanged(Look.LOGIND))
        if world.happens(0.0 if world.weather.is_fine else 0.03):
            self.going_down = False
            self._logind = replace(self._logind, preparing=False)
            self.daemon.tell(RebootRefused("called off"), HostChanged(Look.LOGIND))
        else:
            self.daemon.tell(StopAsked())
            world.agenda.after(world.dice.uniform(0.1, 4), self._fall, boots)

    def _fall(self, boots: int) -> None:
        if boots == self._boots and self.up:
            self.booted = self.staged or self.booted
            self.lose_power()

    def _come_up(self) -> None:
        self.up = True
        self.going_down = False
        self._boots += 1
        self._logind = Logind()
        self._began = self._world.agenda.now - 10.0
        self.daemon.wake()
        if not self.is_up_to_date:
            self._world.agenda.after(self._world.dice.uniform(30, 300), self.stage)

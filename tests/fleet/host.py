"""A simulated host: what it runs, what is staged, what logind says, and how it reboots."""

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


class Host:
    """`version` is the newest update there is for it; `drained` what pre-reboot.d left behind."""

    def __init__(self, world: World, daemon: Daemon, *, hooks: bool) -> None:
        self.version = 1
        self.booted = deployment("1")
        self.staged: Deployment | None = None
        self.up = True
        self.going_down = False
        self.drained = False
        self._world = world
        self._daemon = daemon
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

    @property
    def facts(self) -> Facts:
        """What a look finds now."""
        os = Deployments(
            booted=self.booted,
            default=self.staged or self.booted,
            staged=self.staged is not None,
        )
        return Facts(
            boot=self.boot, os=os, logind=self._logind, boot_incomplete="", hooks=self._hooks
        )

    @property
    def is_up_to_date(self) -> bool:
        return self.booted.version == str(self.version) and self.staged is None

    def inhibit(self, *inhibitors: Inhibitor) -> None:
        """These, and no others, are in the way of a shutdown now."""
        self._logind = replace(self._logind, inhibitors=inhibitors)
        self._daemon.tell(HostChanged(Look.LOGIND))

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
            self._daemon.tell(HostChanged(Look.OS))

    def withdraw(self) -> None:
        """There is no update any more."""
        self.version = int(self.booted.version)
        self.staged = None
        self._daemon.tell(HostChanged(Look.OS))

    def reboot(self) -> None:
        """logind is asked: it may refuse, do nothing, begin and give up, or do it."""
        world = self._world
        if world.happens(0.0 if world.weather.is_fine else 0.03):
            self._daemon.tell(RebootRefused("access denied"))
            return
        self._daemon.tell(RebootAccepted())
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
        self._daemon.end(restart_s=0.0)
        agenda.after(dice.uniform(2, 300 if dice.random() < 0.02 else 6), self._come_up)

    def _go_down(self, boots: int) -> None:
        if boots != self._boots or not self.up:
            return
        world = self._world
        self._daemon.tell(ShutdownBegan(), HostChanged(Look.LOGIND))
        if world.happens(0.0 if world.weather.is_fine else 0.03):
            self.going_down = False
            self._logind = replace(self._logind, preparing=False)
            self._daemon.tell(RebootRefused("called off"), HostChanged(Look.LOGIND))
        else:
            self._daemon.tell(StopAsked())
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
        self._daemon.wake()
        if not self.is_up_to_date:
            self._world.agenda.after(self._world.dice.uniform(30, 300), self.stage)

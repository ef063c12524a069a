"""The daemon, put together: one loop, one bus, one inbox."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, MutableMapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus, bus_address
from rebootmgr.config.load import Loaded, load
from rebootmgr.control.object import Control
from rebootmgr.control.polkit import read_changers
from rebootmgr.core.alarm import Deadline
from rebootmgr.core.effects import Effect
from rebootmgr.core.events import (
    ClockJumped,
    HostChanged,
    RebootRefused,
    ShutdownBegan,
    StopAsked,
    Ticked,
)
from rebootmgr.core.facts import Deployments, Look
from rebootmgr.core.memory import Memory, Unreadable
from rebootmgr.core.states import State
from rebootmgr.core.status import Status
from rebootmgr.daemon.hands import Hands, Store, Tools
from rebootmgr.daemon.herald import Herald
from rebootmgr.daemon.look import Eyes
from rebootmgr.daemon.loop import Runner
from rebootmgr.daemon.operators import Operators
from rebootmgr.errors import BusError
from rebootmgr.fleetlock.client import FleetLock
from rebootmgr.hooks.phases import Hooks, PhaseRunner, choose_hook_runner
from rebootmgr.logind.login1 import Logind
from rebootmgr.show.metrics_socket import MetricsSocket, OwnProcess
from rebootmgr.show.motd import Motd
from rebootmgr.state.store import NoStore, StateStore
from rebootmgr.systemd.boot import Systemd
from rebootmgr.systemd.notify import Notify
from rebootmgr.systemd.time import Alarm, Clock, Timedate
from rebootmgr.updates.rpm_ostree import RpmOstree

log = logging.getLogger(__name__)

FIRST_LOOK_S: Final = 1.0  # rpm-ostreed may have to be started first, and ready waits for nobody
STOP_S: Final = 4.5
LAST_ORDERS_S: Final = 0.3
METRICS: Final = "run/rebootmgr/public/metrics.promsock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line said."""

    root: Path
    dry_run: bool


class _Ended(Exception):  # noqa: N818 - no error: it ends the task group
    """The daemon was asked to stop, and has come to rest."""


class App:
    """Everything that lives as long as the daemon."""

    def __init__(
        self, options: Options, bus: Bus, hooks: Hooks, loaded: Loaded, memory: Memory | Unreadable
    ) -> None:
        self._options = options
        self._bus = bus
        self._herald = Herald()
        self._herald.counters = replace(self._herald.counters, dbus_connected=True)
        self._clock = Clock()
        self._runner = Runner(memory, loaded.policy, self._clock)
        self._hooks = hooks
        self._os = RpmOstree(bus, options.root)
        self._logind = Logind(bus)
        self._systemd = Systemd(bus)
        self._process = OwnProcess()
        self._motd = Motd(options.root)
        self._ended = asyncio.Event()
        self._looked = asyncio.Event()
        self._news = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._herald.note_loading(loaded, self._clock.read().wall)
        self._loaded = loaded

    async def run(self, notify: Notify, environ: MutableMapping[str, str]) -> None:
        """Serve until asked to stop; anything unexpected ends the daemon, for systemd to mend."""
        root = self._options.root
        boot = await self._systemd.read_boot(root=root, environ=environ)
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            self._notify = notify
            self._metrics = MetricsSocket.open(
                root / METRICS, mode=self._loaded.socket_mode, text=self._exposition
            )
            stack.callback(self._metrics.close)
            self._control = self._make_control()
            self._control.refresh = self._refresh
            await self._control.serve()
            self._motd.clear()
            stack.callback(self._motd.clear)
            self._alarm = Alarm(
                ticked=lambda: self._runner.tell(Ticked()),
                jumped=lambda: self._runner.tell(ClockJumped()),
            )
            stack.callback(self._alarm.close)
            eyes = Eyes(
                boot=boot,
                os=self._os,
                logind=self._logind,
                boot_incomplete=self._systemd.read_boot_incomplete,
                boot_times=self._systemd.read_boot_times,
                phases=self._hooks.phases,
                synchronized=Timedate(self._bus).read_synchronized,
            )
            self._hands = Hands(self._tools(eyes), tasks, self._runner.tell)
            self._hands.servers = dict(self._loaded.servers)
            await self._watch()
            stack.callback(self._os.close)
            self._listen_to_signals()
            for service in (
                self._hands.work(),
                self._runner.run(self),
                self._metrics.serve(),
                self._publish(),
                self._watch_bus(),
                notify.feed_watchdog(self._ended),
                self._reload_when_told(),
            ):
                tasks.create_task(service)
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_LOOK_S):
                    await self._looked.wait()
            notify.ready()
            await self._ended.wait()
            notify.stopping()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_ORDERS_S):
                    await self._hands.finish()
            raise _Ended

    def follow(self, before: State, after: State, effects: tuple[Effect, ...]) -> None:
        """Obey, and have the news told."""
        known = after.known
        if known is not None and isinstance(known.os, Deployments):
            self._hands.booted = known.os.booted
        self._herald.count(effects)
        self._hands.obey(effects)
        self._news.set()  # also where only time went by: a window opened, a hold is over

    def wake_at(self, due: Deadline) -> None:
        """Arm the alarm."""
        self._alarm.arm(wall=due.wall, mono=due.mono)

    async def reload(self) -> tuple[str, ...]:
        """Take the configuration anew, or keep the old one and say what is wrong with the new."""
        self._notify.reloading()
        loaded = load(self._options.root, dry_run=self._options.dry_run)
        self._herald.note_loading(loaded, self._clock.read().wall)
        if loaded.errors or loaded.policy.invalid:
            self._notify.ready()
            self._news.set()
            return tuple(str(problem) for problem in loaded.errors) or (loaded.policy.invalid,)
        self._loaded = loaded
        self._hands.servers = {**self._hands.servers, **loaded.servers}
        self._metrics.set_mode(loaded.socket_mode)
        self._runner.load(loaded.policy)
        log.info("configuration reloaded")
        self._notify.ready()
        return ()

    def _tools(self, eyes: Eyes) -> Tools:
        root = self._options.root
        store: Store = NoStore() if self._options.dry_run else StateStore(root)
        return Tools(
            eyes=eyes,
            store=store,
            hooks=self._hooks,
            fleet=FleetLock(observed=self._herald.count_answer),
            rebooter=self._logind,
            dev=root / "dev",
        )

    async def _obeyed(self) -> None:
        await self._hands.finish()

    def _make_control(self) -> Control:
        return Control(
            self._bus,
            self._status(),
            reload=self.reload,
            operators=Operators(self._runner, self._clock, obeyed=self._obeyed),
            changers=read_changers(self._options.root),
            machine_id=self._options.root / "etc/machine-id",
        )

    async def _watch(self) -> None:
        """Subscribe first, so that what changes after the first look is not missed."""

        def shutdown(begins: bool) -> None:  # noqa: FBT001 - PrepareForShutdown's argument
            if begins:
                self._runner.tell(ShutdownBegan())
            else:
                self._runner.tell(RebootRefused("the shutdown was called off"))
            self._runner.tell(HostChanged(Look.LOGIND, "PrepareForShutdown"))

        await self._os.watch(lambda what: self._runner.tell(HostChanged(Look.OS, what)))
        await self._logind.watch(
            lambda what: self._runner.tell(HostChanged(Look.LOGIND, what)), shutdown
        )
        await self._systemd.watch(lambda what: self._runner.tell(HostChanged(Look.BOOT, what)))

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        self._runner.when_at_rest(self._ended.set)

    def _stop(self) -> None:
        """Come to rest: one release at most, and an end within five seconds (SPEC 6)."""
        self._runner.tell(StopAsked())
        asyncio.get_running_loop().call_later(STOP_S, self._ended.set)

    async def _reload_when_told(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            await self.reload()

    async def _publish(self) -> None:
        """Tell the news; many changes at once are told once."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._tell()
            if self._runner.state.known is not None:
                self._looked.set()

    async def _refresh(self) -> None:
        """Tell what time alone has changed: it wakes nobody while nothing is pending."""
        if self._herald.is_overtaken(self._status()):
            await self._tell()

    async def _tell(self) -> None:
        status = self._status()
        if self._herald.say(status):
            self._notify.status(status.sentence)
            if not self._options.dry_run:
                self._motd.show(status)
            await self._control.publish(status)

    async def _watch_bus(self) -> None:
        why = await self._bus.wait_lost()
        raise BusError("", f"the system bus is gone: {why}")

    def _status(self) -> Status:
        return self._herald.status(self._runner.state, self._runner.policy, self._clock.read())

    def _exposition(self) -> bytes:
        from rebootmgr.show.metrics import encode_metrics  # noqa: PLC0415 - 6 MB, if scraped

        return encode_metrics(self._status(), self._herald.counters, self._process.read())


async def serve(
    options: Options,
    environ: MutableMapping[str, str],
    hook_runner: Callable[[Path, Bus], PhaseRunner] = choose_hook_runner,
) -> None:
    """Connect, recall, and run the daemon until it is told to stop."""
    notify = Notify(environ, pid=os.getpid())
    address = bus_address(options.root, environ)
    loaded = load(options.root, dry_run=options.dry_run)
    memory = StateStore(options.root).read(at=Clock().read().wall)
    bus = await Bus.connect(address)
    try:
        hooks = Hooks(options.root, hook_runner(options.root, bus))
        await App(options, bus, hooks, loaded, memory).run(notify, environ)
    except* _Ended:
        log.info("stopped")
    finally:
        await bus.close()

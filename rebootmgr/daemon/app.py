"""The daemon, put together: one loop, one bus, one inbox."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus, bus_address
from rebootmgr.config.load import Loaded, load
from rebootmgr.control.members import WATCH
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
from rebootmgr.core.model import BootId, Source
from rebootmgr.core.states import State
from rebootmgr.core.status import Status
from rebootmgr.daemon.hands import Hands, Store, Tools
from rebootmgr.daemon.herald import Herald
from rebootmgr.daemon.look import Eyes
from rebootmgr.daemon.loop import Runner
from rebootmgr.daemon.operators import Operators
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.hooks.launch import HookRunner, choose_hook_runner
from rebootmgr.hooks.phases import HookPhases
from rebootmgr.logind.login1 import Login1
from rebootmgr.show.exposition import Exposition
from rebootmgr.show.metrics_socket import MetricsSocket, OwnProcess
from rebootmgr.show.motd import Motd
from rebootmgr.state.store import NoStore, StateStore
from rebootmgr.systemd.boot import BootWatch
from rebootmgr.systemd.notify import Notify
from rebootmgr.systemd.time import Alarm, SystemClock, Timedate
from rebootmgr.updates.choice import ChosenSource, choose_source

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outset:
    """What there is when the daemon starts.

    What we ask goes over `bus`, where nobody else has anything to say; `public` is for callers.
    """

    bus: Bus
    public: Bus
    boot: BootId
    boot_watch: BootWatch
    hooks: HookPhases
    source: ChosenSource
    loaded: Loaded
    memory: Memory | Unreadable


class App:
    """Everything that lives as long as the daemon, and not longer than its `tasks`; close it then.

    RebootmgrError when another daemon serves its metrics.
    """

    def __init__(
        self, options: Options, outset: Outset, notify: Notify, tasks: asyncio.TaskGroup
    ) -> None:
        root, bus, loaded = options.root, outset.bus, outset.loaded
        self._options = options
        self._buses = (bus, outset.public)
        self._loaded = loaded
        self._hooks = outset.hooks
        self._notify = notify
        self._tasks = tasks
        self._ended = asyncio.Event()
        self._looked = asyncio.Event()
        self._news = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._clock = SystemClock()
        self._herald = Herald()
        self._herald.counters = replace(self._herald.counters, dbus_connected=True)
        self._herald.note_loading(loaded, self._clock.read().wall)
        self._runner = Runner(outset.memory, loaded.policy, self._clock)
        self._os = outset.source
        self._herald.note_source(self._os.choice)
        self._logind = Login1(bus)
        self._boot = outset.boot_watch
        self._motd = Motd(root)
        self._process = OwnProcess()
        self._exposition = Exposition(self._make_exposition, self._exposed)
        self._metrics = MetricsSocket.open(
            root / METRICS, mode=loaded.socket_mode, text=self._exposition.text
        )
        self._alarm = Alarm(
            ticked=lambda: self._runner.tell(Ticked()),
            jumped=lambda: self._runner.tell(ClockJumped()),
        )
        eyes = Eyes(
            boot=outset.boot,
            os=self._os,
            logind=self._logind,
            boot_incomplete=self._boot.read_boot_incomplete,
            boot_times=self._boot.read_boot_times,
            not_finalized=self._boot.read_not_finalized,
            phases=outset.hooks.phases,
            synchronized=Timedate(bus).read_synchronized,
        )
        store: Store = NoStore() if options.dry_run else StateStore(root)
        tools = Tools(
            eyes=eyes,
            store=store,
            hooks=outset.hooks,
            fleet=LockClient(observed=self._herald.count_answer),
            rebooter=self._logind,
            dev=root / "dev",
        )
        self._hands = Hands(tools, tasks, self._runner.tell)
        self._hands.servers, self._hands.labels = dict(loaded.servers), loaded.labels
        operators = Operators(
            self._runner, self._clock, obeyed=self._hands.finish, reload=self.reload
        )
        self._control = Control(
            outset.public,
            self._status(),
            refresh=self._refresh,
            handlers=operators.handlers,
            changers=read_changers(root),
            machine_id=root / "etc/machine-id",
        )

    def close(self) -> None:
        """Leave no descriptor, and nothing that people could take for news."""
        self._os.close()
        self._alarm.close()
        self._motd.clear()
        self._metrics.close()

    async def run(self) -> None:
        """Serve until asked to stop; anything unexpected ends the daemon, for systemd to mend."""
        await self._control.serve()
        self._motd.clear()
        await self._watch()
        self._listen_to_signals()
        for service in (
            self._hands.work(),
            self._runner.run(self),
            self._metrics.serve(),
            self._publish(),
            *(self._watch_bus(bus) for bus in self._buses),
            self._notify.feed_watchdog(self._ended),
            self._reload_when_told(),
        ):
            self._tasks.create_task(service)
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_S):
                await self._looked.wait()
        self._notify.ready()
        await self._ended.wait()
        self._notify.stopping()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_ORDERS_S):
                await self._hands.finish()
        raise _Ended

    def follow(self, before: State, after: State, effects: tuple[Effect, ...]) -> None:
        """Obey, and have the news told."""
        os = after.known.os
        if isinstance(os, Deployments):
            self._hands.booted, self._hands.target = os.booted, os.default
        self._herald.count(effects)
        self._hands.obey(effects)
        self._news.set()  # also where only time went by: a window opened, a hold is over

    def wake_at(self, due: Deadline) -> None:
        """Arm the alarm."""
        self._alarm.arm(wall=due.wall, mono=due.mono)

    async def reload(self) -> tuple[str, ...]:
        """Take the configuration anew, whole or not at all; what is wrong with it, () if nothing.

        After a failure, of whatever, everything is as it was before.
        """
        self._notify.reloading()
        problems = self._take_anew() or await self._choose_source()
        self._notify.ready()
        self._news.set()
        return problems

    def _take_anew(self) -> tuple[str, ...]:
        try:  # first what can fail
            loaded = load(self._options.root, dry_run=self._options.dry_run)
            problems = tuple(str(one) for one in loaded.errors) or (loaded.policy.invalid,)
            if not any(problems):
                self._metrics.set_mode(loaded.socket_mode)
        except (OSError, RebootmgrError) as error:
            why = str(error)
            self._herald.note_failed_loading(why, self._clock.read().wall)
            return (why,)
        self._herald.note_loading(loaded, self._clock.read().wall)
        if any(problems):
            return problems
        self._loaded = loaded
        self._hands.servers = {**self._hands.servers, **loaded.servers}
        self._hands.labels = loaded.labels
        self._hooks.timeout_s = loaded.hook_timeout_s
        self._runner.load(loaded.policy)
        log.info("configuration reloaded")
        return ()

    async def _choose_source(self) -> tuple[str, ...]:
        """Choose anew where updates come from, and look there; what hindered it, () if nothing."""
        try:
            is_other = await self._os.choose(self._loaded.config.settings.updates.source)
        except (OSError, RebootmgrError) as error:
            return (f"the source of updates stays as it was: {error}",)
        self._herald.note_source(self._os.choice)
        if is_other:
            self._runner.tell(HostChanged(Look.OS, f"updates come from {self._os.name}"))
        elif self._os.name is not Source.RPM_OSTREE:  # which tells of everything, and may sleep
            self._runner.tell(HostChanged(Look.OS, "the configuration was reloaded"))
        return ()

    async def _watch(self) -> None:
        """Subscribe first, so that what changes after the first look is not missed."""

        def shutdown(begins: bool) -> None:  # noqa: FBT001 - PrepareForShutdown's argument
            if begins:
                self._runner.tell(ShutdownBegan())
            else:
                self._runner.tell(RebootRefused("the shutdown was called off"))
            self._runner.tell(HostChanged(Look.LOGIND, "PrepareForShutdown"))

        await self._os.watch(
            lambda what: self._runner.tell(HostChanged(Look.OS, what)),
            lambda what: self._runner.tell(HostChanged(Look.SYSROOT, what)),
        )
        await self._logind.watch(
            lambda what: self._runner.tell(HostChanged(Look.LOGIND, what)), shutdown
        )
        await self._boot.watch(lambda what: self._runner.tell(HostChanged(Look.BOOT, what)))

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
            if not self._runner.state.known.is_nothing:
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

    async def _watch_bus(self, bus: Bus) -> None:
        why = await bus.wait_lost()
        raise BusError("", f"the system bus is gone: {why}")

    def _status(self) -> Status:
        return self._herald.status(self._runner.state, self._runner.policy, self._clock.read())

    def _exposed(self) -> tuple[object, ...]:
        return (self._runner.state, self._runner.policy, self._herald.counters)

    def _make_exposition(self) -> bytes:
        from rebootmgr.show.metrics import encode_metrics  # noqa: PLC0415 - 6 MB, if scraped

        return encode_metrics(self._status(), self._herald.counters, self._process.read())


async def serve(
    options: Options,
    environ: MutableMapping[str, str],
    hook_runner: Callable[[Path], HookRunner] = choose_hook_runner,
) -> None:
    """Connect, recall, and run the daemon until it is told to stop."""
    notify = Notify(environ, pid=os.getpid())
    address = bus_address(options.root, environ)
    loaded = load(options.root, dry_run=options.dry_run)
    memory = StateStore(options.root).read(at=SystemClock().read().wall)
    async with _connected(address) as public, _connected(address) as bus:
        await _close_off(bus)
        boot_watch = BootWatch(bus, may_be_absent=options.root != Path("/"))
        choice = await choose_source(bus, options.root, loaded.config.settings.updates.source)
        outset = Outset(
            bus=bus,
            public=public,
            boot=await boot_watch.read_boot(root=options.root, environ=environ),
            boot_watch=boot_watch,
            hooks=HookPhases(
                options.root, hook_runner(options.root), timeout_s=loaded.hook_timeout_s
            ),
            source=ChosenSource(bus, options.root, choice),
            loaded=loaded,
            memory=memory,
        )
        try:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
                app = App(options, outset, notify, tasks)
                stack.callback(notify.close)
                stack.callback(app.close)
                await app.run()
        except* _Ended:
            log.info("stopped")


async def _close_off(bus: Bus) -> None:
    """Take the name to which the D-Bus policy lets nobody speak; we do as well without it."""
    try:
        await bus.own(WATCH)
    except BusError as error:
        if not error.name:
            raise
        log.debug("no name for what we ask over the bus: %s", error)


@asynccontextmanager
async def _connected(address: str) -> AsyncIterator[Bus]:
    bus = await Bus.connect(address)
    try:
        yield bus
    finally:
        await bus.close()

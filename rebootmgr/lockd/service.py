"""The lock server, put together: sockets, seats, pages, the lender and its store."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import MutableMapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from ssl import SSLContext
from typing import Final

from rebootmgr.errors import ConfigError, Problem, RebootmgrError
from rebootmgr.fleetlock.admin_names import SOCKET
from rebootmgr.lending.saying import counted
from rebootmgr.lockd.admin import MODE, MOST_CONNECTIONS, AdminPages
from rebootmgr.lockd.first_open import FirstOpen
from rebootmgr.lockd.http.entrance import Entrance
from rebootmgr.lockd.http.guest import Reception
from rebootmgr.lockd.http.listeners import (
    BACKLOG,
    ListenError,
    close_all,
    exposed,
    inherited,
    listen_at,
)
from rebootmgr.lockd.http.pages import Pages
from rebootmgr.lockd.http.seats import Seats
from rebootmgr.lockd.key_material import KeyMaterial, open_key_material
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.choosing import store_of
from rebootmgr.lockd.watch import Watch
from rebootmgr.lockd_config.configuration import (
    Configuration,
    load_configuration,
    unused_listen,
)
from rebootmgr.lockd_config.keys import Address
from rebootmgr.systemd.notify import Notify
from rebootmgr.unix_sockets import listen_at_path

log = logging.getLogger(__name__)

OPEN_S: Final = 10.0
"""So long may the store take before systemd hears that we are up, in trouble or not."""
STOP_S: Final = 5.0
LAST_WORDS_S: Final = 1.0
STATUS_S: Final = 5.0


class Service:
    """Everything that lives as long as the server; `given` are sockets from the service manager."""

    def __init__(
        self,
        root: Path,
        configuration: Configuration,
        keys: KeyMaterial,
        given: Sequence[socket.socket],
        notify: Notify,
    ) -> None:
        self._root, self._given, self._notify = root, tuple(given), notify
        self._stop, self._reload = asyncio.Event(), asyncio.Event()
        self._asked_to_reload: list[asyncio.Future[Sequence[str]]] = []
        self._configuration, self._keys = configuration, keys
        path = Path(configuration.wanted.store.path)
        self._store = FirstOpen(store_of(configuration.wanted.store, keys))
        self._lender = Lender(self._store, configuration.rules)
        self._seats = Seats(configuration.wanted.server.most_connections)
        self._watch = Watch(self._lender)
        self._pages = Pages(self._lender.ask, self._watch, self._seats)
        self._reception = Reception(self._pages.answer, self._pages.respond, self._seats)
        self._entrance = Entrance(self._reception, self._tls_of_now)
        self._admin_seats = Seats(MOST_CONNECTIONS)
        admin = AdminPages(self._lender, path.parent, self._reloaded)
        self._admin_entrance = Entrance(
            Reception(admin.answer, admin.respond, self._admin_seats), lambda: None
        )
        self._listeners: dict[Address, socket.socket] = {}
        self._accepting: dict[socket.socket, asyncio.Task[None]] = {}

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Serve until told to stop; then answer what was asked, and let go of everything."""
        with ExitStack() as stack:
            stack.callback(self._close)
            admin = _listen_for_administrators(self._root / SOCKET)
            stack.callback(admin.close)
            self._warn_of(self._configuration)
            self._use(self._configuration, self._keys, self._open_new(self._configuration))
            lending = tasks.create_task(self._lender.run())
            with suppress(TimeoutError):
                async with asyncio.timeout(OPEN_S):
                    await self._store.tried.wait()
            self._accepting[admin] = tasks.create_task(self._admin_entrance.open(admin))
            self._accept(tasks)
            self._listen_to_signals()
            services = [
                tasks.create_task(service)
                for service in (
                    self._notify.feed_watchdog(self._stop),
                    self._tell_status(),
                    self._reload_when_told(tasks),
                )
            ]
            self._notify.ready()
            await self._stop.wait()
            self._notify.stopping()
            for task in (*services, *self._accepting.values()):
                task.cancel()
            await self._come_to_an_end(lending)
        log.info("stopped")

    async def _come_to_an_end(self, lending: asyncio.Task[None]) -> None:
        """Answer those that ask, then those that are held back, and close the store."""
        self._reception.pre_shutdown()
        self._watch.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._seats.wait_for_answers()
        lending.cancel()
        await asyncio.wait([lending])
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._seats.wait_until_left()

    def _close(self) -> None:
        self._seats.close()
        self._admin_seats.close()
        close_all(self._listeners)
        for listener in self._given:
            listener.close()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    def _tls_of_now(self) -> SSLContext | None:
        certificates = self._keys.certificates
        if certificates is None:
            return None
        return certificates.current(asyncio.get_running_loop().time())

    # The configuration

    def _open_new(self, configuration: Configuration) -> dict[Address, socket.socket]:
        """Listen where it is wanted and we do not; ListenError, ConfigError."""
        server = configuration.wanted.server
        if self._given:
            if not (server.tls_cert_file or server.plain_http):
                _refuse_exposed(self._given)
            return {}
        opened = listen_at([each for each in server.listen if each not in self._listeners])
        if not opened and not self._listeners.keys() & set(server.listen):
            raise ListenError("there is no address to listen at: look at server.listen")
        return opened

    def _use(
        self, configuration: Configuration, keys: KeyMaterial, opened: dict[Address, socket.socket]
    ) -> None:
        """Go by it from now on."""
        server = configuration.wanted.server
        gone = {each: its for each, its in self._listeners.items() if each not in server.listen}
        for listener in gone.values():
            if listener in self._accepting:
                self._accepting.pop(listener).cancel()
        close_all(gone)
        self._listeners = {
            each: its for each, its in {**self._listeners, **opened}.items() if each not in gone
        }
        self._configuration, self._keys = configuration, keys
        self._seats.most = server.most_connections
        self._pages.door, self._pages.hosts = keys.door, configuration.wanted.hosts

    def _accept(self, tasks: asyncio.TaskGroup) -> None:
        """Accept wherever we listen."""
        for listener in (*self._given, *self._listeners.values()):
            if listener not in self._accepting:
                self._accepting[listener] = tasks.create_task(self._entrance.open(listener))
        where = ", ".join(map(str, self._listeners)) or "the sockets of the service manager"
        log.info("listening at %s", where)

    async def _reloaded(self) -> Sequence[str]:
        """Take the configuration anew, and say what is in the way, line by line."""
        answer: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
        self._asked_to_reload.append(answer)
        self._reload.set()
        return await answer

    async def _reload_when_told(self, tasks: asyncio.TaskGroup) -> None:
        said: Sequence[str] = ("rebootmgr-lockd stops",)
        try:
            while True:
                await self._reload.wait()
                self._reload.clear()
                self._notify.reloading()
                self._answer_reloads(self._take_anew(tasks))
                self._notify.ready()
        finally:
            self._answer_reloads(said)

    def _answer_reloads(self, said: Sequence[str]) -> None:
        asked, self._asked_to_reload = self._asked_to_reload, []
        for answer in asked:
            if not answer.done():  # as that of somebody who hung up
                answer.set_result(said)

    def _take_anew(self, tasks: asyncio.TaskGroup) -> Sequence[str]:
        """Take the configuration anew, whole or not at all; say what is in the way."""
        try:  # first what can fail
            configuration = load_configuration(self._root)
            configuration.check()
            _check_store(self._configuration, configuration)
            keys = open_key_material(configuration)
            opened = self._open_new(configuration)
        except RebootmgrError as error:
            said = (*str(error).splitlines(), "the configuration stays as it was")
            for line in said:
                log.error("%s", line)  # noqa: TRY400 - expected
            return said
        self._warn_of(configuration)
        self._use(configuration, keys, opened)
        self._lender.take_rules(configuration.rules)
        self._accept(tasks)
        log.info("configuration reloaded")
        return ()

    def _warn_of(self, configuration: Configuration) -> None:
        """Say what is valid, and still not what anybody wants."""
        handed_over = unused_listen(configuration, "the sockets are those of systemd")
        for warning in (*configuration.warnings, *(handed_over if self._given else ())):
            log.warning("%s", warning)

    # What systemd shows

    async def _tell_status(self) -> None:
        while True:
            self._notify.status(self._sentence())
            with suppress(TimeoutError):
                async with asyncio.timeout(STATUS_S):
                    await self._stop.wait()

    def _sentence(self) -> str:
        if self._lender.trouble:
            return f"lends nothing: {self._lender.trouble}"
        groups = self._lender.fleet.groups.values()
        lent = sum(len(group.holders) for group in groups)
        waiting = sum(len(group.queue) for group in groups)
        return f"{counted(lent, 'slot')} lent, {counted(waiting, 'host')} waiting"


def _check_store(before: Configuration, after: Configuration) -> None:
    """Raise ConfigError where the store is to be another one, which takes a restart."""
    if before.wanted.store != after.wanted.store:
        one, other = asdict(before.wanted.store), asdict(after.wanted.store)
        key = next(f"store.{name}" for name, value in other.items() if value != one[name])
        found = after.merged.values.get(key)
        file = None if found is None else found.place.file
        message, hint = "is another store than the one in use", "restart the server"
        raise ConfigError([_problem(file or "store", key, message, hint)])


def _refuse_exposed(given: Sequence[socket.socket]) -> None:
    """Raise ConfigError where a socket of the service manager would speak plain HTTP to all."""
    if open_to_all := list(exposed(given)):
        message = f"{open_to_all[0]} is beyond this host, and plain http is read on the way"
        hint = "set server.tls_cert_file; behind a proxy that speaks TLS, server.plain_http = true"
        raise ConfigError([_problem("the socket unit", "server.plain_http", message, hint)])


def _problem(file: str, key: str, message: str, hint: str) -> Problem:
    return Problem(file=file, line=None, key=key, message=message, hint=hint)


def _listen_for_administrators(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return listen_at_path(path, mode=MODE, backlog=BACKLOG)
    except OSError as error:
        what = f"cannot listen at {path}: {error.strerror or error}"
        cure = "its folder must be ours, and no other rebootmgr-lockd may run"
        raise ListenError(f"{what} ({cure})") from error


async def serve(root: Path, environ: MutableMapping[str, str]) -> None:
    """Read the configuration, and serve until told to stop."""
    notify = Notify(environ, pid=os.getpid())
    given = inherited()
    configuration = load_configuration(root)
    configuration.check()
    keys = open_key_material(configuration)
    try:
        service = Service(root, configuration, keys, given, notify)
        async with asyncio.TaskGroup() as tasks:
            await service.run(tasks)
    except BaseExceptionGroup as group:
        expected, bugs = group.split(RebootmgrError)
        if expected is None or bugs is not None:
            raise
        raise _first(expected) from None
    finally:
        notify.close()


def _first(group: BaseExceptionGroup[RebootmgrError]) -> RebootmgrError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

"""A lock server on a real socket: any server's dialect, or whatever a test scripts.

By hand rather than with a web framework, because most of what it must be able to do is bad HTTP.
As a process: `python -m tests.fakes.fleetlock --port-file F --log F --slots N --dialect D`,
steered by POST /control/seize and /control/free `{"group", "id"}`, /control/reply
`{"status", "body"}`; GET /control/state shows who holds what.
"""

import argparse
import asyncio
import json
import ssl
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.fleetlock_dialects import DIALECTS, Airlock
from tests.fakes.fleetlock_store import Dialect, Trouble
from tests.fakes.fleetlock_wire import (
    Script,
    Seen,
    drip,
    error,
    hang,
    read_request,
    reply,
    silence,
    slow_down,
)
from tests.waiting import telling

__all__ = ["FakeFleetLock", "Script", "Seen", "drip", "error", "hang", "reply", "silence"]


LONGEST_HEAD = 2**20
TOO_LARGE = (  # what Go says then, to the byte
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"431 Request Header Fields Too Large"
)


@dataclass
class FakeFleetLock:
    """`async with FakeFleetLock() as server:`; `server.url` is its base URL.

    `groups` are those that are configured there, None for any; `trouble` ails it; `host` is the
    address to listen at, `base` the path below which it is served. With `retry_after` every
    question that is not granted is answered with that wish, in seconds.
    """

    slots: int = 1
    dialect: Dialect = field(default_factory=Airlock)
    groups: frozenset[str] | None = None
    trouble: Trouble | None = None
    retry_after: int = 0
    log: Path | None = None
    tls: ssl.SSLContext | None = None
    holders: dict[str, list[str]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    script: deque[Script] = field(default_factory=deque)
    host: str = "127.0.0.1"
    base: str = ""
    port: int = 0
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    open_connections: int = 0
    _postponed: list[tuple[str, str, str]] = field(default_factory=list)
    most_connections: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        name = "localhost" if self.host == "127.0.0.1" else self.host
        return f"{'https' if self.tls else 'http'}://{name}:{self.port}{self.base}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, self.host, self.port, ssl=self.tls, limit=LONGEST_HEAD
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, what: BaseException | None, _: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def seize(self, group: str, id_: str) -> bool:
        """Let `id_` hold a slot of `group`, as pre-reboot does."""
        holders = self.holders.setdefault(group, [])
        if id_ not in holders and len(holders) >= self.slots:
            return False
        if id_ not in holders:
            holders.append(id_)
        return True

    def free(self, group: str, id_: str) -> None:
        """Give the slot back, as steady-state does."""
        holders = self.holders.get(group, [])
        if id_ in holders:
            holders.remove(id_)

    def postpone(self, call: str, group: str, id_: str) -> None:
        """Note what is done once the store is back."""
        self._postponed.append((call, group, id_))

    def recover(self) -> None:
        """Let the store come back: what was asked meanwhile is done now, whoever waits for it."""
        self.trouble = None
        for call, group, id_ in self._postponed:
            self.seize(group, id_) if call == "pre-reboot" else self.free(group, id_)
        self._postponed.clear()

    async def wait_seen(self, number: int) -> None:
        """Wait until `number` requests have come."""
        with telling(lambda: f"of {number} requests {len(self.seen)} came"):
            async with self.arrived:
                await self.arrived.wait_for(lambda: len(self.seen) >= number)

    async def wait_closed(self) -> None:
        """Wait until no client is connected any more."""
        with telling(lambda: f"{self.open_connections} connections are open still"):
            async with self.arrived:
                await self.arrived.wait_for(lambda: self.open_connections == 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.open_connections += 1
        self.most_connections = max(self.most_connections, self.open_connections)
        try:
            async with asyncio.timeout(getattr(self.dialect, "read_s", None)):
                request = await read_request(reader)
            await self._record(request)
            await self._act(self._answer(request), reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # TimeoutError is an OSError
        except asyncio.LimitOverrunError:
            writer.write(TOO_LARGE)
            writer.write_eof()
            while await reader.read(LONGEST_HEAD):
                pass  # or what was not read would reset the connection
        except asyncio.CancelledError:
            pass  # only __aexit__ cancels, and a cancelled handler makes asyncio complain
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            async with self.arrived:
                self.open_connections -= 1
                self.arrived.notify_all()

    async def _record(self, request: Seen) -> None:
        if request.target.startswith("/control/"):
            return
        if self.log is not None:
            with self.log.open("a") as log:
                log.write(json.dumps(asdict(request)) + "\n")
        async with self.arrived:
            self.seen.append(request)
            self.arrived.notify_all()

    async def _act(
        self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if script.gate is not None:
            await script.gate.wait()
        for part in script.parts:
            writer.write(part)
            await writer.drain()
        match script.then:
            case "hang":
                await reader.read()
            case "drip":
                while not reader.at_eof() and not writer.is_closing():
                    writer.write(script.parts[-1])
                    await writer.drain()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(script.every_s):
                            await reader.read(1)
            case _:
                pass

    def _answer(self, request: Seen) -> Script:
        if request.target.startswith("/control/"):
            return self._control(request)
        script = self.script.popleft() if self.script else self._own_answer(request)
        if self.retry_after and request.target.endswith("/v1/pre-reboot"):
            return slow_down(script, self.retry_after)
        return script

    def _own_answer(self, request: Seen) -> Script:
        """As the dialect has it, which knows nothing of a proxy that takes the base off."""
        if not request.target.startswith("/"):
            return self.dialect.answer(self, request)
        if not request.target.startswith(f"{self.base}/"):
            return reply(404, "404 page not found\n")
        return self.dialect.answer(self, replace(request, target=request.target[len(self.base) :]))

    def _control(self, request: Seen) -> Script:
        wish: dict[str, Any] = json.loads(request.body or "{}")
        match request.target:
            case "/control/seize":
                return reply(200 if self.seize(wish["group"], wish["id"]) else 409)
            case "/control/free":
                self.free(wish["group"], wish["id"])
            case "/control/reply":
                self.script.append(reply(wish["status"], wish.get("body", "")))
            case "/control/state":
                return reply(200, json.dumps(self.holders))
            case _:
                return reply(404)
        return reply(200)


async def _run(options: argparse.Namespace) -> None:
    async with FakeFleetLock(
        slots=options.slots,
        dialect=DIALECTS[options.dialect](),
        log=options.log,
        port=options.port,
    ) as server:
        unfinished = options.port_file.with_suffix(".new")
        unfinished.write_text(f"{server.port}\n")
        unfinished.rename(options.port_file)
        print("listening on port", server.port, flush=True)  # noqa: T201 - a program in a terminal
        await asyncio.get_running_loop().create_future()


def main(arguments: Sequence[str]) -> None:
    """Serve until ended by a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="airlock")
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])

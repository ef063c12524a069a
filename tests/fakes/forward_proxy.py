"""A forward proxy on a real socket: CONNECT and absolute-form, to wherever it is told."""

import asyncio
import base64
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.fakes.fleetlock_wire import Seen, read_request

BACK_AGAIN = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
HOP_BY_HOP = frozenset({"connection", "proxy-authorization", "proxy-connection"})


@dataclass
class ForwardProxy:
    """`async with ForwardProxy() as proxy:`; `proxy.authority` is where it listens.

    `names` are hosts that it alone knows, with their ports on loopback; `pair` is the USER:PASSWORD
    that it wants; `refusal` is all that it says, if it is not empty.
    """

    names: dict[str, int] = field(default_factory=dict)
    pair: str = ""
    refusal: bytes = b""
    host: str = "127.0.0.1"
    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, what: BaseException | None, _: TracebackType | None
    ) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._lead(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        except asyncio.CancelledError:
            pass  # only __aexit__ cancels, and a cancelled handler makes asyncio complain
        finally:
            writer.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        self.seen.append(request)
        wanted = "Basic " + base64.b64encode(self.pair.encode()).decode()
        if self.refusal or (self.pair and request.headers.get("proxy-authorization") != wanted):
            writer.write(self.refusal or BACK_AGAIN)
            return
        is_tunnel = request.method == "CONNECT"
        parts = urlsplit(f"//{request.target}" if is_tunnel else request.target)
        host = parts.hostname or ""
        where = ("127.0.0.1", self.names[host]) if host in self.names else (host, parts.port or 80)
        back, forth = await asyncio.open_connection(*where)
        if is_tunnel:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            forth.write(_as_origin(request, parts.path))
        async with asyncio.TaskGroup() as group:
            group.create_task(pour(reader, forth))
            group.create_task(pour(back, writer))


def _as_origin(request: Seen, path: str) -> bytes:
    headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP} | {
        "connection": "close"
    }
    lines = [f"{request.method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + request.body.encode()


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on bytes until either end goes."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

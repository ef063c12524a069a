"""Somebody who watches a lock server by server-sent events, and what it was told."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from rebootmgr.fleetlock.admin_names import EVENTS

LONGEST_LINE: Final = 2**20


@dataclass(frozen=True, slots=True)
class Told:
    """One event."""

    kind: str
    data: str

    @property
    def document(self) -> Any:
        return json.loads(self.data)


@dataclass
class Watcher:
    """What a program that watches knows. `told` is all that came, in order."""

    response: aiohttp.ClientResponse
    told: list[Told] = field(default_factory=list)
    server: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)

    async def next(self) -> Told | None:
        """Take one event in JSON; None: the server hung up."""
        told = await self.next_raw()
        return None if told is None else self._take(told)

    async def next_raw(self) -> Told | None:
        """Take one event, whatever is in it."""
        kind, data = "", []
        async for raw in self.response.content:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            match name:
                case "event":
                    kind = value
                case "data":
                    data.append(value)
                case "" if kind:
                    self.told.append(Told(kind, "\n".join(data)))
                    return self.told[-1]
                case _:
                    pass
        return None

    def _take(self, told: Told) -> Told:
        match told.kind:
            case "server":
                self.server = told.document
                shown = self.shown
                self.groups = {name: one for name, one in self.groups.items() if name in shown}
            case "group":
                self.groups[told.document["name"]] = told.document
            case _:
                pass
        return told

    async def until(self, fulfilled: Callable[["Watcher"], bool]) -> None:
        """Take events until it knows enough."""
        while not fulfilled(self):
            assert await self.next() is not None, "the server hung up"

    async def end(self) -> str:
        """Take events to the end; the reason that was told."""
        while await self.next() is not None:
            pass
        assert self.told[-1].kind == "end"
        return str(self.told[-1].document["reason"])

    @property
    def shown(self) -> list[str]:
        return [one["name"] for one in self.server["groups"]]

    def holders(self, group: str = "default") -> list[str]:
        return [one["id"] for one in self.groups.get(group, {"holders": []})["holders"]]


@asynccontextmanager
async def watching(
    port: int, path: str = EVENTS, headers: dict[str, str] | None = None
) -> AsyncIterator[Watcher]:
    """Watch until the block ends."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout, read_bufsize=LONGEST_LINE) as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as response,
    ):
        yield Watcher(response)

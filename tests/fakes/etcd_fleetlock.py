"""A lock server on etcd with airlock's semantics: one key per group, read, compare, write.

`active` is what matters: which hosts were told that they have a slot and have not yet come to
return it. It is kept from what crosses the wire, not from what etcd says.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Final, Self

from aiohttp import web

from tests.fakes.etcd import EtcdCluster, Unavailable
from tests.waiting import telling

KEY: Final = "com.coreos.airlock/groups/{}/v1/semaphore"


class EtcdFleetLock:
    """`async with EtcdFleetLock(etcd, slots=1) as server:`; `server.url` is its base URL."""

    def __init__(self, etcd: EtcdCluster, *, slots: int) -> None:
        self.active: set[str] = set()
        self.most_active = 0
        self.answers: list[tuple[str, str, int]] = []
        self._etcd = etcd
        self._slots = slots
        self._answered = asyncio.Condition()

    @property
    def url(self) -> str:
        host, port = self._runner.addresses[0]
        return f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/pre-reboot", self._pre_reboot)
        app.router.add_post("/v1/steady-state", self._steady_state)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def holders(self, group: str = "default") -> list[str]:
        """Read who holds a slot, as etcd has it."""
        value, _ = await self._etcd.read(KEY.format(group))
        holders: list[str] = json.loads(value)["holders"] if value else []
        return holders

    @property
    def successes(self) -> int:
        """How many requests were answered with 200."""
        return sum(status == 200 for _, _, status in self.answers)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it is so; looked at after each answer."""
        with telling(lambda: f"active: {self.active}; answers: {self.answers}"):
            async with self._answered:
                await self._answered.wait_for(holds)

    async def _pre_reboot(self, request: web.Request) -> web.Response:
        id_, group = await _identity(request)
        response = await self._change(group, id_, self._with)
        if response.status == 200:
            self.active.add(id_)
            self.most_active = max(self.most_active, len(self.active))
        return await self._note("pre-reboot", id_, response)

    async def _steady_state(self, request: web.Request) -> web.Response:
        id_, group = await _identity(request)
        self.active.discard(id_)  # whoever says this relies on the slot no longer
        response = await self._change(group, id_, _without)
        return await self._note("steady-state", id_, response)

    async def _note(self, api: str, id_: str, response: web.Response) -> web.Response:
        self.answers.append((api, id_, response.status))
        async with self._answered:
            self._answered.notify_all()
        return response

    async def _change(
        self, group: str, id_: str, change: Callable[[list[str], str], list[str] | None]
    ) -> web.Response:
        """Read, change, and write if nobody else has: once, as airlock does."""
        key = KEY.format(group)
        try:
            value, version = await self._etcd.read(key)
            before: list[str] = json.loads(value)["holders"] if value else []
            holders = change(before, id_)
            if holders is None:
                return _error(f"all {self._slots} semaphore slots currently locked")
            if holders == before and id_ in before:
                return web.Response()
            text = json.dumps({"total_slots": self._slots, "holders": sorted(holders)})
            if await self._etcd.write(key, text, version=version):
                return web.Response()
        except Unavailable as error:
            return _error(f"context deadline exceeded: {error}", kind="failed_sem_init")
        return _error("conflict on semaphore detected, aborting")

    def _with(self, holders: list[str], id_: str) -> list[str] | None:
        if id_ in holders:
            return holders
        return [*holders, id_] if len(holders) < self._slots else None


def _without(holders: list[str], id_: str) -> list[str]:
    return [one for one in holders if one != id_]


async def _identity(request: web.Request) -> tuple[str, str]:
    assert request.headers["fleet-lock-protocol"] == "true"
    params = (await request.json())["client_params"]
    return str(params["id"]), str(params["group"])


def _error(value: str, *, kind: str = "failed_lock") -> web.Response:
    """An error as airlock sends it: JSON that calls itself text."""
    return web.Response(status=500, text=json.dumps({"kind": kind, "value": value}))

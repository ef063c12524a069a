"""A fleet of real daemons and a lock server on a real etcd, which loses its leader meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.fakes.etcd import EtcdCluster, find_etcd
from tests.fakes.etcd_fleetlock import EtcdFleetLock
from tests.fakes.host import Host, Json, fleet_lock, reasons

HOSTS: Final = 4
SLOTS: Final = 2
NUDGE_S: Final = 2.0
GRANT: Final = ("pre-reboot", 200)
QUICK: Final = "timeout_seconds = 5\n"  # so that a release is repeated soon


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[EtcdCluster]:
    if not find_etcd():
        pytest.skip(
            "THERE IS NO ETCD, SO NO LOCK SERVER ON ETCD WAS TESTED: packaging/prepare says why;"
            " Debian: apt-get install etcd-server; Fedora: dnf install etcd"
        )
    async with EtcdCluster(tmp_path) as etcd:
        yield etcd


async def post(url: str, api: str, id_: str) -> int:
    body = json.dumps({"client_params": {"id": id_, "group": "default"}})
    headers = {"fleet-lock-protocol": "true"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/{api}", data=body, headers=headers) as response,
    ):
        return response.status


async def test_of_many_questions_at_once_etcd_grants_as_many_as_there_are_slots(
    etcd: EtcdCluster,
) -> None:
    ids = [f"h{number}" for number in range(12)]
    async with EtcdFleetLock(etcd, slots=2) as server:
        for _ in range(5):
            at_once = await asyncio.gather(*(post(server.url, "pre-reboot", id_) for id_ in ids))
            assert 1 <= at_once.count(200) <= 2
            in_turn = [await post(server.url, "pre-reboot", id_) for id_ in ids]
            granted = {id_ for id_, status in zip(ids, in_turn, strict=True) if status == 200}
            assert len(granted) == 2
            assert granted == set(await server.holders()) == server.active
            for id_ in granted:
                assert await post(server.url, "steady-state", id_) == 200
        assert await server.holders() == []


async def test_without_a_majority_nothing_is_granted_and_nothing_is_lost(
    etcd: EtcdCluster,
) -> None:
    async with EtcdFleetLock(etcd, slots=2) as server:
        assert await post(server.url, "pre-reboot", "first") == 200
        first, second, _ = etcd.members
        etcd.kill(first)
        etcd.kill(second)
        asked = (post(server.url, "pre-reboot", "next"), post(server.url, "steady-state", "first"))
        assert list(await asyncio.gather(*asked)) == [500, 500]
        etcd.start(first)
        etcd.start(second)
        await etcd.until_healthy()
        assert await server.holders() == ["first"]
        assert await post(server.url, "steady-state", "first") == 200
        assert await server.holders() == []


async def settle(host: Host, holds: Callable[[Json], bool]) -> Json:
    """Wait until the host says so; whenever it waits for the fleet, it forgets its back-off."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(NUDGE_S):
                return await host.until(holds)
        if set(reasons(await host.status())) & {"lock_refused", "lock_unreachable"}:
            await host.reload()


async def update(home: Path, number: int, url: str, may_return: asyncio.Event) -> None:
    """Bring one host from a staged update to a confirmed release."""
    await asyncio.to_thread(home.mkdir)
    async with Host(home) as host:
        host.configure(f'[identity]\nnode_uuid = "{number:032x}"\n' + fleet_lock(url) + QUICK)
        await host.os.stage("42.2")
        await host.start()
        await settle(host, lambda _: host.reboots() == 1)
        await may_return.wait()
        await host.reboot()
        await host.start()
        status = await settle(
            host, lambda status: status["state"] == "idle" and not status["slots"]
        )
        assert status["booted"]["version"] == "42.2"


async def test_a_roll_out_goes_on_while_the_leader_dies_and_returns(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    may_return = asyncio.Event()
    everybody = {f"{number:032x}" for number in range(1, HOSTS + 1)}
    async with EtcdFleetLock(etcd, slots=SLOTS) as server:
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, HOSTS + 1):
                home = tmp_path / f"host{number}"
                tasks.create_task(update(home, number, server.url, may_return))
            await server.until(lambda: len(server.active) >= SLOTS)
            dead = await etcd.kill_leader()
            others, asked = everybody - server.active, len(server.answers)
            await server.until(lambda: others <= {id_ for _, id_, _ in server.answers[asked:]})
            may_return.set()
            released = server.successes
            await server.until(lambda: server.successes > released)
            etcd.start(dead)
            await etcd.until_healthy()
        assert server.most_active == SLOTS
        assert (server.active, await server.holders()) == (set(), [])
        assert {id_ for api, id_, status in server.answers if (api, status) == GRANT} == everybody

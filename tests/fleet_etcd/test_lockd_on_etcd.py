"""The lock server on a real etcd: two instances of the program, and what is killed meanwhile."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.etcd import EtcdCluster, find_etcd
from tests.lockd.program import Server, serving

ROUNDS = 200
AT_ONCE = 12


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[EtcdCluster]:
    if not find_etcd():
        pytest.skip(
            "THERE IS NO ETCD, SO THE LOCK SERVER WAS NOT TESTED ON IT: packaging/prepare says why;"
            " Debian: apt-get install etcd-server; Fedora: dnf install etcd"
        )
    async with EtcdCluster(tmp_path) as etcd:
        yield etcd


def on(etcd: EtcdCluster, more: str = "") -> str:
    urls = json.dumps([member.url for member in etcd.members])
    return f'[store]\nkind = "etcd"\netcd_endpoints = {urls}\n{more}'


@pytest.fixture
async def servers(etcd: EtcdCluster, tmp_path: Path) -> AsyncIterator[list[Server]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(serving(_made(tmp_path / name), on(etcd)))
            for name in ("one", "two")
        ]


def _made(path: Path) -> Path:
    path.mkdir()
    return path


async def ask(http: aiohttp.ClientSession, server: Server, api: str, host: str) -> int:
    body = json.dumps({"client_params": {"id": host, "group": "default"}})
    url = f"http://127.0.0.1:{server.port}/v1/{api}"
    async with http.post(url, data=body, headers={"fleet-lock-protocol": "true"}) as response:
        await response.read()
        return response.status


async def test_of_two_servers_and_one_slot_never_two_hosts_have_it(servers: list[Server]) -> None:
    seen: Counter[int] = Counter()
    async with aiohttp.ClientSession() as http:
        for turn in range(ROUNDS):
            asked = [(servers[number % 2], f"h{number}") for number in range(AT_ONCE)]
            statuses = await asyncio.gather(
                *(ask(http, server, "pre-reboot", host) for server, host in asked)
            )
            seen.update(statuses)
            granted = [
                host for (_, host), status in zip(asked, statuses, strict=True) if status == 200
            ]
            assert len(granted) == 1
            other = servers[turn % 2]
            assert await ask(http, other, "pre-reboot", granted[0]) == 200
            assert await ask(http, other, "steady-state", granted[0]) == 200
    assert set(seen) == {200, 423}


async def test_a_place_in_the_queue_outlives_its_server(
    servers: list[Server], etcd: EtcdCluster, tmp_path: Path
) -> None:
    one, two = servers
    assert (await one.ask("h1")).status == 200
    assert (await one.ask("h2")).status == 423
    one.process.kill()
    await one.process.wait()
    assert "you are 2nd of 2" in (await two.ask("h3")).value
    assert (await two.give_back("h1")).status == 200
    async with serving(_made(tmp_path / "three"), on(etcd)) as three:
        assert (await three.ask("h2")).status == 200


async def test_without_a_majority_it_says_so_and_goes_on_when_there_is_one(
    servers: list[Server], etcd: EtcdCluster
) -> None:
    one, two = servers
    assert (await one.ask("h1")).status == 200
    first, second, _ = etcd.members
    etcd.kill(first)
    etcd.kill(second)
    assert (await two.give_back("h1")).status == 503
    ready = await two.get("/readyz")
    assert ready.status == 503
    assert b"etcd: http://127.0.0.1:" in ready.body
    etcd.start(first)
    etcd.start(second)
    for server in servers:
        while (await server.get("/readyz")).status != 200:
            pass
    assert (await two.ask("h2")).status in {423, 503}
    while (await one.give_back("h1")).status != 200:
        pass
    while (await two.ask("h2")).status != 200:
        pass

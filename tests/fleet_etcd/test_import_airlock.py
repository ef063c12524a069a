"""What a real airlock leaves in a real etcd becomes ours, once."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from rebootmgr.lending.saved import Saved
from rebootmgr.lending.terms import Rules, Terms
from rebootmgr.lockd.airlock_words import PREFIX, decode_semaphores, taken_over
from rebootmgr.lockd.stores.gateway_words import Pair
from rebootmgr.lockd.stores.sqlite import SqliteStore
from tests.fakes.etcd import EtcdCluster, find_etcd
from tests.lockd.program import ROOT, configure, free_socket, serving

PROGRAM = ("-m", "rebootmgr.lockd.main")
TAKEN = """\
group "a/b c": 0 of 1 slots held: nobody
  it has no table here, so its slots only come back: add [groups.*]
group default: 2 of 3 slots held: w1, w2
2 of them hold a slot here from now on
"""
REAL = '{"total_slots":3,"holders":["w1","w2"]}'
NOBODY = '{"total_slots":1,"holders":null}'


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[EtcdCluster]:
    if not find_etcd():
        pytest.skip("THERE IS NO ETCD, SO NO AIRLOCK WAS TAKEN OVER: packaging/prepare says why")
    async with EtcdCluster(tmp_path) as etcd:
        assert await etcd.write(f"{PREFIX}default/v1/semaphore", REAL, version=0)
        assert await etcd.write(f"{PREFIX}a%2Fb+c/v1/semaphore", NOBODY, version=0)
        yield etcd


async def run(root: Path, *arguments: str) -> tuple[int, str, str]:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *PROGRAM, "--root", str(root), "import", "airlock", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def where(etcd: EtcdCluster) -> tuple[str, str]:
    return "--endpoints", ",".join(member.url for member in etcd.members)


def nobody_there() -> str:
    with free_socket() as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}/"


async def test_its_holders_become_ours_once(etcd: EtcdCluster, tmp_path: Path) -> None:
    configure(tmp_path, "[groups.default]\nslots = 3\n")
    asked = (*where(etcd), "--airlock-url", nobody_there())
    assert await run(tmp_path, *asked) == (0, TAKEN, "")
    async with serving(tmp_path, "[groups.default]\nslots = 3\n") as server:
        assert (await server.ask("w1")).status == 200
        assert (await server.ask("w3")).status == 200
        assert (await server.ask("w4")).status == 423
        assert (await server.give_back("w2")).status == 200
        status, _, said = await run(tmp_path, *asked)
        assert (status, "it was taken over at" in said) == (1, True)


async def test_nothing_is_taken_over_from_an_airlock_that_answers(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=405)

    configure(tmp_path, "")
    app = web.Application()
    app.router.add_route("*", "/v1/steady-state", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        status, _, said = await run(tmp_path, *where(etcd), "--airlock-url", url)
    finally:
        await runner.cleanup()
    assert status == 1
    assert said == (
        f"rebootmgr-lockd: {url} still answers (HTTP 405): stop airlock first, or both lend one"
        " slot\n"
    )
    store = SqliteStore(tmp_path / "var/lib/rebootmgr-lockd/lockd.sqlite")
    assert await store.open() == Saved()
    await store.close()


async def test_a_mistake_on_the_command_line_is_said(tmp_path: Path) -> None:
    configure(tmp_path, "")
    url = nobody_there()
    status, _, said = await run(tmp_path, "--endpoints", "etcd:2379", "--airlock-url", url)
    assert (status, "is no URL of a member of etcd" in said) == (1, True)
    status, _, said = await run(tmp_path, "--endpoints", url, "--airlock-url", "airlock")
    assert (status, "--airlock-url airlock is no URL" in said) == (1, True)
    secret = ("--credentials-file", str(tmp_path / "none"))
    status, _, said = await run(tmp_path, "--endpoints", url, "--airlock-url", url, *secret)
    assert (status, "--credentials-file: " in said) == (1, True)
    status, _, said = await run(tmp_path, "--endpoints", url, "--airlock-url", url)
    assert (status, "look whether it runs" in said) == (1, True)


def pair(group: str, value: object) -> Pair:
    return Pair(f"{group}/v1/semaphore", json.dumps(value), 1)


def test_what_no_host_could_ask_for_is_left_out_and_said() -> None:
    found = decode_semaphores(
        [pair("g", {"total_slots": 2, "holders": ["a b", "c"]}), Pair("else", "", 1)]
    )
    rules = Rules(groups={"g": Terms(slots=1)})
    taken = taken_over(found, Saved(), rules, datetime(2030, 1, 6, tzinfo=UTC))
    assert [one.id for one in taken.changes] == ["c"]
    assert taken.told == (
        'group g: 2 of 2 slots held: "a b", c',
        "  it lends 1 here, by its configuration",
        '  "a b" is left out: no host of that id or group can ask us',
    )


@pytest.mark.parametrize("value", [3, {}, {"total_slots": "3", "holders": []}, {"total_slots": 3}])
def test_what_no_airlock_wrote_is_named(value: object) -> None:
    with pytest.raises(ValueError, match="holds what no airlock wrote"):
        decode_semaphores([pair("g", value)])

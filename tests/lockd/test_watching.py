"""Those who watch: they are told what is so and what changes, and none of them costs much."""

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.fleetlock.admin_names import EVENTS, FREEZE, RELEASE, STATUS, THAW
from rebootmgr.lending.questions import Change, Halted, Joined, Lent
from rebootmgr.lockd.http.pages import FOR_THE_EYE
from rebootmgr.lockd.http.seats import MOST_WATCHING
from rebootmgr.lockd.http.streams import UNREAD
from rebootmgr.lockd.stores.sqlite import SqliteStore
from rebootmgr.lockd.watch import MOST, MOST_GROUPS
from tests.lockd.program import configure, kept_alive, parsed, serving
from tests.lockd.test_admin import ask_as, wished
from tests.lockd.test_bounds import resident_kb
from tests.lockd.watcher import watching

NOW: Final = datetime.now(UTC)


async def stored(root: Path, changes: list[Change]) -> None:
    """Have the server find this in its store."""
    configure(root, "")
    store = SqliteStore(root / "var/lib/rebootmgr-lockd/lockd.sqlite")
    await store.open()
    await store.write(tuple(changes))
    await store.close()


async def test_who_watches_is_told_what_is_so_and_then_each_change(tmp_path: Path) -> None:
    async with serving(tmp_path, "[groups.default]\n[groups.db]\nslots = 2\n") as server:
        assert (await server.ask("h1")).status == 200
        async with watching(server.port) as watcher:
            assert watcher.response.content_type == "text/event-stream"
            await watcher.until(lambda it: len(it.groups) == 2)
            assert [one.kind for one in watcher.told] == ["server", "group", "group"]
            assert watcher.shown == ["default", "db"]
            assert (watcher.holders(), watcher.holders("db")) == (["h1"], [])
            assert (await server.ask("h2", "db")).status == 200
            await watcher.until(lambda it: it.holders("db") == ["h2"])
            assert (await server.ask("h3")).status == 423
            await watcher.until(lambda it: it.groups["default"]["hosts_waiting"] == 1)
            await ask_as(os.geteuid(), tmp_path, wished(FREEZE, {"reason": "week", "group": "db"}))
            await watcher.until(lambda it: it.groups["db"]["stands"] is not None)
            assert watcher.groups["db"]["stands"]["kind"] == "frozen"
            assert watcher.server["freeze"] is None
            await ask_as(os.geteuid(), tmp_path, wished(FREEZE, {"reason": "all"}))
            await watcher.until(lambda it: it.server["freeze"] is not None)
            await ask_as(os.geteuid(), tmp_path, wished(RELEASE, {"host": "h1"}))
            await watcher.until(lambda it: it.holders() == [])
            groups = [one.document["name"] for one in watcher.told if one.kind == "group"]
            # Each of them when it changed, and no other then.
            assert groups[:4] == ["default", "db", "db", "default"]


async def test_a_group_with_nothing_left_to_say_is_watched_no_more(tmp_path: Path) -> None:
    text = "any_group = true\n"
    async with serving(tmp_path, text) as server, watching(server.port) as watcher:
        assert (await server.ask("h1", "other")).status == 200
        await watcher.until(lambda it: it.holders("other") == ["h1"])
        assert (await server.give_back("h1", "other")).status == 200
        await watcher.until(lambda it: it.shown == ["default"])
        assert list(watcher.groups) == ["default"]


async def test_so_many_may_watch_and_keep_no_host_out(tmp_path: Path) -> None:
    async with serving(tmp_path, "[server]\nmax_connections = 2\n") as server:
        async with AsyncExitStack() as stack:
            entered = [
                await stack.enter_async_context(watching(server.port)) for _ in range(MOST_WATCHING)
            ]
            for watcher in entered:
                await watcher.until(lambda it: "default" in it.groups)
            refused = await server.get(EVENTS)
            assert (refused.status, refused.kind) == (503, "too_many_watching")
            assert refused.headers["Retry-After"] == "30"
            assert (await server.ask("h1")).status == 200
            await entered[0].until(lambda it: it.holders() == ["h1"])
        status = 503
        while status == 503:  # until it has heard that they hung up
            async with watching(server.port) as another:
                status = another.response.status
        assert status == 200


async def test_a_reader_that_does_not_read_is_cut_off_with_the_reason(tmp_path: Path) -> None:
    """Of what there is to tell it takes so much as the kernels between them hold, then it ends."""
    groups = [f"g{number}" for number in range(MOST_GROUPS)]
    text = "".join(f"[groups.{name}]\nslots = {MOST.holders}\n" for name in groups)
    changes: list[Change] = [
        Lent(name, f"{name}-{number}", "x" * 64, NOW)
        for name in groups
        for number in range(MOST.holders)
    ]
    await stored(tmp_path, changes)
    async with serving(tmp_path, text) as server:
        before = resident_kb(server)
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", server.port))
            slow.sendall(kept_alive(EVENTS, method="GET", headers={}))
            while "was cut off: too slow" not in server.log:
                assert server.process.returncode is None
                await asyncio.to_thread(slow.getpeername)
            assert resident_kb(server) - before < 20 * 1024
            heard = await asyncio.to_thread(read_all, slow)
    assert len(heard) < 5 * UNREAD
    assert b"event: end\r\n" in heard.replace(b"\n", b"\r\n")
    assert b"too slow" in heard[-400:]


def read_all(line: socket.socket) -> bytes:
    heard = b""
    while chunk := line.recv(2**16):
        heard += chunk
    return heard


async def test_who_is_let_in_no_more_watches_no_more(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("old\n")
    text = "[server]\nauthorization_file = '/tokens'\n"
    async with serving(tmp_path, text) as server:
        for path in (EVENTS, STATUS, *FOR_THE_EYE):
            assert (await server.get(path)).status == 401
        async with watching(server.port, headers={"Authorization": "old"}) as watcher:
            await watcher.until(lambda it: "default" in it.groups)
            tokens.write_text("new\n")
            await server.reload()
            assert (await server.get(STATUS, {"Authorization": "new"})).status == 200
            asked = {"Authorization": "new"}
            assert (await server.ask("h1", headers=asked)).status == 200
            await watcher.until(lambda it: it.told[-1].kind == "end" or bool(it.holders()))
            assert watcher.holders() == []
            assert "the Authorization header is not accepted any more" in watcher.told[-1].data


async def test_who_watches_hears_that_the_server_stops_and_does_not_hold_it_up(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, watching(server.port) as watcher:
        await watcher.until(lambda it: "default" in it.groups)
        assert await server.stop() == 0
        assert await watcher.end() == "the server is stopping"


async def test_of_many_groups_those_that_stand_still_are_among_the_shown(tmp_path: Path) -> None:
    last = f"g{MOST_GROUPS + 9}"
    text = "".join(f"[groups.g{number}]\n" for number in range(MOST_GROUPS + 10))
    await stored(tmp_path, [Halted(last, "its reboot failed", NOW)])
    async with serving(tmp_path, text) as server, watching(server.port) as watcher:
        await watcher.until(lambda it: len(it.groups) == MOST_GROUPS)
        assert watcher.server["more_groups"] == 11
        assert watcher.shown[-2:] == [f"g{MOST_GROUPS - 3}", last]


async def test_of_ten_thousand_that_wait_the_first_few_are_told(tmp_path: Path) -> None:
    """Bytes are counted, which do not depend on how busy the machine is."""
    changes: list[Change] = [
        Joined("default", f"host-{number}", "x" * 64, number, NOW) for number in range(1, 10_001)
    ]
    await stored(tmp_path, changes)
    async with serving(tmp_path) as server:
        async with watching(server.port) as watcher:
            await watcher.until(lambda it: "default" in it.groups)
            assert watcher.groups["default"]["hosts_waiting"] == 10_000
            assert len(watcher.groups["default"]["waiting"]) == MOST.waiting
            assert sum(len(one.data) for one in watcher.told) < 8 * 1024
        assert len((await server.get(STATUS)).body) < 40 * 1024
        assert len((await server.get(f"{STATUS}?waiting=9999999")).body) < 400 * 1024


@pytest.mark.parametrize("path", [EVENTS, STATUS])
async def test_a_head_is_answered_and_its_connection_is_of_further_use_or_closed(
    tmp_path: Path, path: str
) -> None:
    async with serving(tmp_path) as server:
        line = await server.connect()
        line.writer.write(kept_alive(path, method="HEAD", headers={"Connection": "close"}))
        raw = await line.reader.read(-1)
        line.writer.close()
        assert parsed(raw).status == 200
        assert parsed(raw).body == b""


async def test_what_only_administrators_may_is_refused_over_tcp(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert (await server.ask("h1")).status == 200
        for raw in (wished(RELEASE, {"host": "h1"}), wished(FREEZE, {"reason": "x"})):
            answer = await server.send(raw)
            assert (answer.status, answer.kind) == (403, "forbidden")
            assert "rebootmgrctl fleet" in answer.value
        thawed = await server.send(wished(THAW, {}))
        assert thawed.status == 403
        assert (await server.ask("h1")).value == "a slot is yours already"

"""Whatever became of state.json, the whole daemon starts, says what it knows, and decides."""

import asyncio
import json
from datetime import UTC, datetime
from itertools import islice

import pytest

from rebootmgr.control.members import encode_usec
from rebootmgr.daemon.app import Options, serve
from rebootmgr.errors import BusError
from rebootmgr.instants import encode_instant
from tests.daemon.test_hostile import CONTROL, texts
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import NODE_ID, Host, fleet_lock
from tests.fakes.spoken import MANAGER
from tests.state.damage import damaged
from tests.state.starts import logged_to
from tests.state.test_words import NOON

WHOLE = 100
AT = encode_instant(NOON)
PAST = {"at": AT, "target": "fcos-bb.0", "version": "42"}
HELD = {"id": "h", "owner": "root", "reason": "visit", "since": AT}
DEBT = {"group": "default", "id": NODE_ID}
SUNDAYS = """\
[updates]
strategy = "periodic"
[[updates.periodic.window]]
days = ["Sun"]
start_time = "1:00"
length_minutes = 60
"""


@pytest.mark.parametrize(
    "keys",
    [
        {"reboots": [{**PAST, "at": "9999-12-31T23:59:59.999999Z"}]},
        {"reboots": [{**PAST, "at": "2999-12-31T23:59:59Z", "outcome": "succeeded"}]},
        {"reboots": [{**PAST, "outcome": "succeeded", "seconds": 1e18}] * 3},
        {"reboots": [{**PAST, "outcome": "succeeded", "seconds": 1e10}] * 3},
        {"reboots": [{**PAST, "version": "42\ud800", "target": "\udfff"}]},
        {"holds": [{**HELD, "until": "9999-12-31T23:59:59Z"}]},
        {"holds": [{**HELD, "reason": "x\ud800\x1b[2J", "id": "\ud800"}]},
        {"last_seen": "2999-12-31T23:59:59Z", "settled": "\ud800"},
        {"attempts": {"\ud800": 2**63}, "outcomes": {"succeeded": 10**300}},
    ],
)
async def test_a_value_that_cannot_be_never_ends_the_daemon(
    host: Host, keys: dict[str, object]
) -> None:
    host.configure(SUNDAYS)
    await host.os.stage("42.2")
    host.remember(**keys)
    await host.start()
    status = await host.until_state("waiting")
    assert not [text for text in texts(status) if CONTROL.search(text)]
    assert (await host.metrics())["rebootmgr_reboot_pending"] == 1
    code, _, _ = await host.ctl("history")
    assert code == 0
    assert await host.stop() == 0
    assert "Traceback" not in host.log.read_text()


async def test_the_daemon_starts_with_files_that_were_damaged_in_any_way(host: Host) -> None:
    host.state_file.parent.mkdir(parents=True)
    for number, data in enumerate(islice(damaged(4000, seed=11), 0, None, 500)):
        host.state_file.write_bytes(data)
        host.state_file.with_name("state.json~").unlink(missing_ok=True)
        await host.start()
        status = await host.status()
        assert not [text for text in texts(status) if CONTROL.search(text)], number
        assert await host.stop() == 0, number
    assert "Traceback" not in host.log.read_text()


async def test_a_hundred_damaged_files_go_through_all_of_the_daemon_on_a_bus(host: Host) -> None:
    """All but the process, which takes most of the time."""
    host.configure(SUNDAYS)
    await host.os.stage("42.2")
    host.state_file.parent.mkdir(parents=True)
    with logged_to(host.root / "log"):
        for number, data in enumerate(damaged(WHOLE, seed=13)):
            host.state_file.write_bytes(data)
            host.state_file.with_name("state.json~").unlink(missing_ok=True)
            options = Options(root=host.root, dry_run=False)
            async with asyncio.TaskGroup() as tasks:
                daemon = tasks.create_task(serve(options, dict(host.environ)))
                status = await host.until(lambda status: status["state"] != "starting")
                assert not [text for text in texts(status) if CONTROL.search(text)], number
                assert (await host.metrics())["rebootmgr_reboot_pending"] == 1
                daemon.cancel()
    assert "Traceback" not in (host.root / "log").read_text("utf-8", "replace")


async def test_hundreds_of_debts_are_paid_by_one_child_at_a_time(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    host.remember(releases_owed=[{**DEBT, "server": server.url, "id": f"n{n}"} for n in range(300)])
    await host.start()
    await server.wait_seen(5)
    assert server.most_connections == 1
    assert len((await host.status())["slots"]) <= 64
    assert await host.stop() == 0


async def test_nobody_can_place_more_holds_than_the_file_takes_back(host: Host) -> None:
    host.remember(holds=[{**HELD, "id": f"h{n}"} for n in range(500)])
    await host.start()
    code, _, error = await host.ctl("hold", "--reason", "one more", "--forever")
    assert (code, error) == (
        1,
        "rebootmgrctl: there are 500 holds already: release some, see `rebootmgrctl holds`\n",
    )
    assert (await host.ctl("release", "h7"))[0] == 0
    assert (await host.ctl("hold", "--reason", "one more", "--forever"))[0] == 0
    assert await host.stop() == 0
    await host.start()
    assert len((await host.status())["holds"]) == 500


async def test_a_hold_ends_at_a_time_that_the_file_takes_back(host: Host) -> None:
    await host.start()
    for year in (3000, 9999):
        until = datetime(year, 1, 1, tzinfo=UTC)
        with pytest.raises(BusError, match="no such day"):
            await host.bus.call(*MANAGER, "Hold", "sx", ["audit", encode_usec(until)])
    assert (await host.status())["holds"] == []


async def test_credentials_in_a_debt_reach_nobody(host: Host, server: FakeFleetLock) -> None:
    """Whoever wrote that file; the slot is the same without them, and is given back there."""
    url = server.url.replace("://", "://eve:hunter2@")
    host.configure(fleet_lock(server.url, strategy='"off"'))
    host.remember(releases_owed=[{**DEBT, "server": url, "kept": True}])
    await host.start()
    status = await host.until(lambda status: status["slots"] != [])
    _, screen, _ = await host.ctl("status")
    assert "hunter2" not in json.dumps(status) + screen
    assert status["slots"][0]["server"] == server.url
    await host.bus.call(*MANAGER, "Forgive", "s", [""])
    await server.wait_seen(1)
    assert "authorization" not in {name.lower() for name in server.seen[0].headers}
    await host.until(lambda status: status["slots"] == [])
    assert "hunter2" not in host.log.read_text() + host.state_file.read_text()

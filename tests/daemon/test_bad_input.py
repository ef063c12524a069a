"""What goes wrong around the daemon: an end with one clear line, or a blocker, and no loss."""

import os
import signal

import pytest

from rebootmgr.daemon.app import LAST_ORDERS_S, STOP_S
from rebootmgr.hooks.process import TERM_S
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import HANG, NODE_ID, Host, fleet_lock
from tests.fakes.logind import FakeInhibitor


@pytest.fixture
def host(host: Host) -> Host:
    """Started afresh: with its interpreter, up to its exit status."""
    host.afresh = True
    return host


async def test_a_bus_that_vanishes_ends_the_daemon_and_loses_nothing(
    host: Host, server: FakeFleetLock
) -> None:
    deaf = host.root / "deaf"
    host.configure(fleet_lock(server.url))
    host.hook("pre-reboot.d", "10-drain", f"trap '' TERM; touch {deaf}\n{HANG}")
    await host.os.stage("42.2")
    await host.start()
    await host.until(lambda _: deaf.exists())
    host.dbus.kill()
    assert await host.wait_ended() == 1, "nobody waits for a hook that does not end"
    last = host.log.read_text().splitlines()[-1]
    assert last.startswith("<3>the system bus is gone: ")
    assert "Traceback" not in host.log.read_text()
    memory = host.remembered()
    assert memory["drained"]
    assert [debt["id"] for debt in memory["releases_owed"]] == [NODE_ID]


def test_whatever_a_daemon_that_ends_waits_for_takes_less_than_the_five_seconds_it_has() -> None:
    assert max(STOP_S, TERM_S) + LAST_ORDERS_S < 5


async def test_no_bus_at_all_is_one_clear_line(host: Host) -> None:
    host.more_environ["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={host.root}/nowhere"
    await host.start(wait=False)
    assert await host.wait_ended() == 1
    [line] = host.log.read_text().splitlines()
    assert line.startswith(f"<3>cannot connect to the bus at unix:path={host.root}/nowhere: ")


async def test_a_root_without_a_bus_of_its_own_is_a_usage_error(host: Host) -> None:
    host.more_environ["DBUS_SYSTEM_BUS_ADDRESS"] = ""
    await host.start(wait=False)
    assert await host.wait_ended() == 2
    [line] = host.log.read_text().splitlines()
    assert "DBUS_SYSTEM_BUS_ADDRESS" in line


async def test_a_second_daemon_on_the_same_host_is_told_so(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    first = host.daemon
    await host.start(wait=False)
    assert await host.wait_ended() == 1
    assert "is a second rebootmgrd running?" in host.log.read_text().splitlines()[-1]
    assert (await host.metrics())['rebootmgr_state{state="idle"}'] == 1
    host.daemon = first
    assert await host.stop() == 0


async def test_a_name_that_is_taken_is_told_so(host: Host) -> None:
    await host.bus.own("org.rebootmgr1")
    await host.start(wait=False)
    assert await host.wait_ended() == 1
    assert "org.rebootmgr1 is taken already" in host.log.read_text().splitlines()[-1]


async def test_the_socket_of_a_daemon_that_was_killed_is_replaced(host: Host) -> None:
    await host.start()
    await host.kill()
    assert (host.root / "run/rebootmgr/public/metrics.promsock").is_socket()
    await host.start()
    await host.until_state("idle")
    assert (await host.metrics())['rebootmgr_state{state="idle"}'] == 1


async def test_both_copies_of_the_state_lost_hold_for_a_day(host: Host) -> None:
    host.remember()
    host.state_file.write_bytes(b"\0" * 100)
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("held")
    assert "state lost" in status["blockers"][0]["detail"]
    [hold] = status["holds"]
    assert hold["until"] is not None


async def test_a_corrupt_state_falls_back_to_its_copy(host: Host) -> None:
    host.remember_hold()
    host.state_file.rename(host.state_file.with_name("state.json~"))
    host.state_file.write_text('{"version": {"ma')
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("held")
    assert status["blockers"][0]["detail"] == "migration (alice)"


async def test_the_state_of_a_newer_rebootmgr_is_left_alone(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    host.remember(version={"major": 2, "minor": 0}, treasure="gold")
    before = host.state_file.read_bytes()
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("state_unreadable")
    assert "newer rebootmgr" in status["blockers"][0]["detail"]
    assert await host.stop() == 0
    assert host.state_file.read_bytes() == before
    assert (host.reboots(), server.seen) == (0, [])


async def test_what_a_newer_minor_version_wrote_is_kept(host: Host) -> None:
    host.remember(version={"major": 1, "minor": 7}, treasure={"gold": [1, 2.5, None]})
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    await host.until_remembered(lambda memory: memory["treasure"] == {"gold": [1, 2.5, None]})


async def test_a_directory_in_the_place_of_the_state_blocks(host: Host) -> None:
    host.state_file.mkdir(parents=True)
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("state_unreadable")
    assert "not a regular file" in status["blockers"][0]["detail"]
    assert host.reboots() == 0


async def test_a_var_that_cannot_be_written_blocks_until_it_can(
    host: Host, server: FakeFleetLock
) -> None:
    """Nothing is asked and nothing rebooted that could not be put on record first."""
    host.configure(fleet_lock(server.url))
    obstacle = host.state_file.with_name("state.json.new")
    obstacle.mkdir(parents=True)
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("state_unreadable")
    assert "state.json cannot be written" in status["blockers"][0]["detail"]
    assert host.reboots() == 0
    assert "pre-reboot" not in "".join(seen.target for seen in server.seen)
    obstacle.rmdir()
    await host.until_state("rebooting")


async def test_a_sigint_is_a_sigterm(host: Host) -> None:
    host.logind.add_inhibitor(FakeInhibitor())
    await host.os.stage("42.2")
    await host.start()
    assert host.daemon is not None
    os.kill(host.daemon.pid, signal.SIGINT)
    assert await host.wait_ended() == 0

"""Configuration while the daemon runs: invalid, mended, reloaded, strange (SPEC 1, 2, 3)."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.fleet import debt
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import NODE_ID, Host, fleet_lock, reasons
from tests.fakes.logind import FakeInhibitor
from tests.fakes.service_manager import ServiceManager

BAD = '[updates]\nstrategy = "sometimes"\nenabld = true\n'
PLACE = "/etc/rebootmgr/config.d/50-test.toml:2"


async def test_an_invalid_configuration_is_told_everywhere_and_reboots_nothing(
    host: Host, server: FakeFleetLock
) -> None:
    server.seize("default", NODE_ID)
    host.remember(releases_owed=[debt(server)])
    host.configure(BAD)
    await host.os.stage("42.2")
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ["NOTIFY_SOCKET"] = manager.path
        await host.start()
        await manager.until(lambda one: one == "READY=1")
        await manager.until_status(PLACE)
        status = await host.until_blocked("config_invalid")
    assert PLACE in status["blockers"][0]["detail"]
    assert "(and 1 more)" in status["blockers"][0]["detail"]
    assert (status["config_valid"], len(status["config_problems"])) == (False, 2)
    assert status["strategies"] == []
    log = host.log.read_text()
    for problem in status["config_problems"]:
        assert problem in log
    assert "enabld" in log
    assert "did you mean" in log.lower()
    _, shown, _ = await host.ctl("status")
    assert "50-test.toml:2" in shown
    metrics = await host.metrics()
    assert metrics["rebootmgr_config_valid"] == 0
    assert not any(n for name, n in metrics.items() if name.startswith("rebootmgr_strategy_info"))
    assert metrics["rebootmgr_config_reload_successful"] == 0
    await server.wait_seen(1)
    await host.until_remembered(lambda memory: not memory["releases_owed"])
    assert server.holders == {"default": []}
    assert host.reboots() == 0


async def test_a_mended_configuration_is_taken_on_reload(host: Host) -> None:
    host.configure(BAD)
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("config_invalid")
    host.configure("")
    host.hang_up()
    await host.until_state("rebooting")
    metrics = await host.metrics()
    assert metrics["rebootmgr_config_valid"] == 1
    assert metrics["rebootmgr_config_reload_successful"] == 1


async def test_a_bad_reload_keeps_the_old_policy_and_says_what_is_wrong(host: Host) -> None:
    host.configure('[updates.inhibitors]\nrespect = "root"\n')
    host.logind.add_inhibitor(FakeInhibitor(uid=0))
    await host.os.stage("42.2")
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ["NOTIFY_SOCKET"] = manager.path
        await host.start()
        await host.until_blocked("inhibited")
        await manager.until(lambda one: one == "READY=1")
        del manager.heard[:]
        host.configure(BAD)
        assert PLACE in await host.reload()
        await manager.until(lambda one: one.startswith("RELOADING=1\nMONOTONIC_USEC="))
        await manager.until(lambda one: one == "READY=1")
    status = await host.until_blocked("inhibited")
    errors = status["config_problems"]
    assert len(errors) == 2
    assert "enabld" in errors[1]
    said = await reload_by_dbus_send(host)
    assert "org.rebootmgr1.Error.ConfigInvalid" in said
    for error in errors:  # all at once, one per line
        assert error in said.splitlines() or error in said.splitlines()[0]
    metrics = await host.metrics()
    assert metrics["rebootmgr_config_reload_successful"] == 0
    assert metrics["rebootmgr_config_valid"] == 1
    host.configure('[updates.inhibitors]\nrespect = "root"\n')
    assert await host.reload() == ""
    status = await host.until(lambda status: not status["config_problems"])
    assert reasons(status) == ["inhibited"]


async def reload_by_dbus_send(host: Host) -> str:
    """What a client that is not ours sees of a failing Reload."""
    client = await asyncio.create_subprocess_exec(
        *("dbus-send", f"--bus={host.dbus.address}", "--print-reply", "--dest=org.rebootmgr1"),
        *("/org/rebootmgr1", "org.rebootmgr1.Manager.Reload"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await client.communicate()
    return said.decode()


def huge(path: Path) -> None:
    path.write_text("# padding\n" * 220_000)


def not_utf8(path: Path) -> None:
    path.write_bytes(b'[updates]\nstrategy = "\xff"\n')


def directory(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to("nowhere.toml")


def broken(path: Path) -> None:
    path.write_text("[updates\n")


@pytest.mark.parametrize("make", [huge, not_utf8, directory, dangling, broken])
async def test_a_drop_in_that_cannot_be_used_is_named(
    host: Host, make: Callable[[Path], None]
) -> None:
    make(host.configure("").with_name("60-bad.toml"))
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("config_invalid")
    assert "/etc/rebootmgr/config.d/60-bad.toml" in status["blockers"][0]["detail"]
    assert host.reboots() == 0


async def test_empty_and_masked_drop_ins_are_nothing(host: Host) -> None:
    path = host.configure("")
    path.with_name("60-masked.toml").symlink_to("/dev/null")
    path.with_name("README").write_text("not a drop-in")
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    assert "README" in host.log.read_text()


async def test_without_a_machine_id_only_a_fleet_is_out_of_reach(
    host: Host, server: FakeFleetLock
) -> None:
    (host.root / "etc/machine-id").unlink()
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("config_invalid")
    assert "machine-id" in status["blockers"][0]["detail"]
    assert server.seen == []
    host.configure("")
    assert await host.reload() == ""
    await host.until_state("rebooting")


async def test_what_has_no_effect_is_logged_beside_what_is_wrong(host: Host) -> None:
    host.configure("updates.periodic.splay_minutes = 30\n")
    await host.start()
    place = f"<4>{host.root}/etc/rebootmgr/config.d/50-test.toml:1: updates.periodic.splay_minutes"
    log = host.log.read_text()
    assert f"{place}: has no effect without the strategy periodic" in log

"""What systemd is told, and when (sd_notify(3), SPEC 12)."""

import re
import time

import pytest

from tests.fakes.host import HANG, Host, fleet_lock
from tests.fakes.logind import FakeInhibitor
from tests.fakes.service_manager import ServiceManager


@pytest.fixture
def host(host: Host) -> Host:
    """Started afresh: with its interpreter, as systemd does."""
    host.afresh = True
    return host


async def test_a_life_from_ready_to_stopping(host: Host) -> None:
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ |= {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"}
        await host.start()
        await manager.until(lambda one: one == "READY=1")
        await manager.until_status("Idle: nothing pending.")
        host.logind.add_inhibitor(FakeInhibitor(who="backup", why="nightly"))
        await host.os.stage("42.2")
        await manager.until_status("Update 42.2 is staged; inhibited: backup")
        before = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
        host.hang_up()
        said = await manager.until(lambda one: one.startswith("RELOADING=1"))
        found = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=([0-9]+)", said)
        assert found is not None
        assert before <= int(found[1]) <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
        after = manager.heard.index(said)
        await manager.until(lambda _: "READY=1" in manager.heard[after:])
        await manager.until(lambda _: manager.heard.count("WATCHDOG=1") >= 3)
        assert await host.stop() == 0
        await manager.until(lambda one: one == "STOPPING=1")
    assert manager.heard[-1] == "STOPPING=1"
    assert all(re.fullmatch(r"(RELOADING|[A-Z]+=[^\n]*)(\n.*)?", one) for one in manager.heard)


async def test_ready_comes_with_the_first_look(host: Host) -> None:
    host.logind.add_inhibitor(FakeInhibitor())
    await host.os.stage("42.2")
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ["NOTIFY_SOCKET"] = manager.path
        await host.start(wait=False)
        await manager.until(lambda one: one == "READY=1")
        assert (await host.status())["state"] == "waiting"


async def test_ready_waits_for_no_activation(host: Host) -> None:
    await host.install_hung_rpm_ostreed()
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ["NOTIFY_SOCKET"] = manager.path
        await host.start(wait=False)
        await manager.until(lambda one: one == "READY=1")
        assert (await host.status())["state"] == "starting"
        assert await host.stop() == 0


async def test_ready_waits_for_no_lock_server_and_no_hook(host: Host) -> None:
    host.configure(fleet_lock("http://127.0.0.1:9"))
    host.hook("post-boot.d", "10-slow", HANG)
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ["NOTIFY_SOCKET"] = manager.path
        await host.start(wait=False)
        await manager.until(lambda one: one == "READY=1")
        await host.until_state("post_boot")

"""The whole daemon with its hooks behind their socket, as on a real host (SPEC 8)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.daemon.fleet import until_settled
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.hook_socket import FakeHookSocket
from tests.fakes.host import HANG, Host, fleet_lock, reasons
from tests.fakes.logind import FakeInhibitor

NOTE = 'echo "$REBOOTMGR_PHASE"'
SOCKET = "tests.fakes.daemon_with_hook_socket"


@pytest.fixture
async def hooks(host: Host) -> AsyncIterator[FakeHookSocket]:
    host.program = SOCKET
    async with FakeHookSocket(host.root) as hooks:
        yield hooks


def began(host: Host) -> Path:
    return host.root / "began"


def drain(host: Host) -> None:
    """Install a drain that goes on until it is ended."""
    host.hook("pre-reboot.d", "10-drain", f"touch {began(host)}\n{HANG}")


async def until_draining(host: Host) -> None:
    await host.os.stage("42.2")
    await host.until(lambda _: began(host).exists())


async def test_an_update_goes_through_its_phases_to_the_reboot(
    host: Host, server: FakeFleetLock, hooks: FakeHookSocket
) -> None:
    for directory in ("checks.d", "pre-reboot.d", "post-boot.d"):
        host.hook(directory, "10-note", f"{NOTE} >> {host.root}/diary")
    await until_settled(host, server)
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    wanted = ["post-boot", "check", "pre-reboot", "check"]
    assert (host.root / "diary").read_text().split() == wanted
    assert hooks.started == len(wanted)


async def test_a_host_without_hooks_asks_nobody(
    host: Host, server: FakeFleetLock, hooks: FakeHookSocket
) -> None:
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    assert hooks.started == 0


async def test_a_drain_that_is_in_the_way_is_stopped_and_undone_before_the_slot_goes_back(
    host: Host, server: FakeFleetLock, hooks: FakeHookSocket
) -> None:
    await until_settled(host, server)
    drain(host)
    log = host.root / "undone"
    server.log = host.root / "requests"
    host.hook("post-boot.d", "10-undo", f"wc -l < {server.log} > {log}")
    await until_draining(host)
    host.logind.add_inhibitor(FakeInhibitor())
    await server.wait_seen(3)
    await hooks.until_ended(2)
    assert log.read_text() == "1\n"  # the question for the slot, and not its release
    await host.until_remembered(lambda memory: not memory["drained"])


async def test_a_daemon_that_is_killed_stops_its_drain_and_the_next_one_undoes_it(
    host: Host, server: FakeFleetLock, hooks: FakeHookSocket
) -> None:
    await until_settled(host, server)
    drain(host)
    host.hook("post-boot.d", "10-undo", f"{NOTE} > {host.root}/undone")
    await until_draining(host)
    await host.kill()
    await hooks.until_ended(1)
    host.trees.cleanup()
    await host.os.refresh()
    await host.start()
    await server.wait_seen(3)
    assert (host.root / "undone").read_text() == "abandoned\n"
    assert hooks.started == 2
    assert server.holders == {"default": []}


async def test_a_daemon_that_is_stopped_leaves_no_drain_behind(
    host: Host, server: FakeFleetLock, hooks: FakeHookSocket
) -> None:
    host.configure(fleet_lock(server.url))
    drain(host)
    await host.start()
    await until_draining(host)
    assert await host.stop() == 0
    await hooks.until_ended(1)
    await host.until_remembered(lambda memory: memory["drained"])


async def test_a_host_without_a_hook_runner_blocks_for_a_program_and_for_nothing_else(
    host: Host, server: FakeFleetLock
) -> None:
    """As in a container, where the directories of the host are seen and no runner is."""
    host.program = SOCKET
    host.configure(fleet_lock(server.url))
    check = host.hook("checks.d", "10-check", "exit 0")
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("check_failed")
    assert "checks.d: no hook runner on this host" in status["blockers"][0]["detail"]
    assert host.reboots() == 0
    check.unlink()
    assert await host.reload() == ""  # which drops the back-off
    await host.until_state("rebooting")


async def test_a_socket_that_comes_late_is_found(host: Host) -> None:
    host.program = SOCKET
    host.hook("checks.d", "10-check", "exit 0")
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("check_failed")
    async with FakeHookSocket(host.root) as hooks:
        assert await host.reload() == ""
        await host.until_state("rebooting")
        assert hooks.started > 0


async def test_a_runner_that_is_killed_is_a_check_that_failed(
    host: Host, hooks: FakeHookSocket
) -> None:
    host.hook("checks.d", "10-check", "kill -9 $PPID")
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("check_failed")
    assert "ended before its time" in status["blockers"][0]["detail"]


async def test_a_program_without_its_bit_blocks_in_each_directory_before_the_reboot(
    host: Host, hooks: FakeHookSocket
) -> None:
    check = host.hook("checks.d", "10-check", "exit 0")
    check.chmod(0o644)
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("check_failed")
    assert status["blockers"][0]["detail"] == f"10-check: {check} is not executable: chmod +x"
    check.unlink()
    shelf = host.hook("pre-reboot.d", "10-drain", "exit 0")
    shelf.chmod(0o644)
    assert await host.reload() == ""
    status = await host.until(lambda status: reasons(status) == ["hook_failed"])
    assert status["blockers"][0]["detail"] == f"10-drain: {shelf} is not executable: chmod +x"
    assert host.reboots() == 0
    shelf.chmod(0o755)
    assert await host.reload() == ""
    await host.until_state("rebooting")


async def test_the_time_of_a_configuration_that_was_refused_is_not_used(
    host: Host, hooks: FakeHookSocket
) -> None:
    """A hook of an hour is not ended after the second that a broken drop-in speaks of."""
    host.configure("[hooks]\ntimeout_seconds = 3600\n")
    go = host.root / "go"
    host.hook(
        "checks.d", "10-check", f"touch {began(host)}; until test -e {go}; do sleep 0.1; done"
    )
    await host.start()
    await host.until_state("idle")
    host.configure("[hooks]\ntimeout_seconds = 1\nnonsense = 1\n")
    assert "nonsense" in await host.reload()
    await host.os.stage("42.2")
    await host.until(lambda _: began(host).exists())
    [order] = hooks.orders
    assert order["timeout_seconds"] == 3600
    go.touch()
    await host.until_state("rebooting")
    assert {order["timeout_seconds"] for order in hooks.orders} == {3600}


async def test_a_daemon_that_starts_with_a_broken_configuration_gives_hooks_the_usual_time(
    host: Host, hooks: FakeHookSocket
) -> None:
    host.configure("[hooks]\ntimeout_seconds = 1\nnonsense = 1\n")
    host.hook("post-boot.d", "10-x", f"touch {began(host)}")
    await host.start()
    await host.until(lambda _: began(host).exists())
    assert [order["timeout_seconds"] for order in hooks.orders] == [300]
    host.configure("[hooks]\ntimeout_seconds = 7\n")
    assert await host.reload() == ""
    host.hook("checks.d", "10-x", "exit 0")
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    assert hooks.orders[-1]["timeout_seconds"] == 7

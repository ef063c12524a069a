"""The whole daemon with its hooks in units, as on a real host (SPEC 8)."""

from collections.abc import AsyncIterator

import pytest

from rebootmgr.core.model import Phase
from tests.daemon.fleet import until_settled
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.hook_units import GONE, FakeHookUnits
from tests.fakes.host import HANG, Host, fleet_lock
from tests.fakes.logind import FakeInhibitor
from tests.fakes.service import ERROR, Refused

NOTE = 'echo "$REBOOTMGR_PHASE"'


@pytest.fixture
async def units(host: Host) -> AsyncIterator[FakeHookUnits]:
    host.program = "tests.fakes.daemon_with_units"
    async with FakeHookUnits(host.systemd, host.root) as units:
        yield units


async def test_an_update_goes_through_its_units_to_the_reboot(
    host: Host, server: FakeFleetLock, units: FakeHookUnits
) -> None:
    for directory in ("checks.d", "pre-reboot.d", "post-boot.d"):
        host.hook(directory, "10-note", f"{NOTE} >> {host.root}/diary")
    await until_settled(host, server)
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    wanted = [Phase.POST_BOOT, Phase.CHECK, Phase.PRE_REBOOT, Phase.CHECK]
    assert units.started == wanted
    assert (host.root / "diary").read_text().split() == wanted
    assert units.stopped == []


async def test_a_host_without_hooks_starts_no_unit(
    host: Host, server: FakeFleetLock, units: FakeHookUnits
) -> None:
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    assert units.started == []
    assert "ListUnitsByPatterns" not in host.systemd.calls


async def test_a_drain_that_is_in_the_way_is_stopped_and_undone_before_the_slot_goes_back(
    host: Host, server: FakeFleetLock, units: FakeHookUnits
) -> None:
    await until_settled(host, server)
    host.hook("pre-reboot.d", "10-drain", HANG)
    log = host.root / "undone"
    server.log = host.root / "requests"
    host.hook("post-boot.d", "10-undo", f"wc -l < {server.log} > {log}")
    await host.os.stage("42.2")
    await units.until(Phase.PRE_REBOOT, "activating")
    host.logind.add_inhibitor(FakeInhibitor())
    await server.wait_seen(3)
    assert units.started == [Phase.PRE_REBOOT, Phase.ABANDONED]
    assert units.stopped == [Phase.PRE_REBOOT]
    assert log.read_text() == "1\n"  # the question for the slot, and not its release
    await host.until_remembered(lambda memory: not memory["drained"])


async def test_a_drain_that_outlives_a_killed_daemon_is_stopped_and_undone(
    host: Host, server: FakeFleetLock, units: FakeHookUnits
) -> None:
    await until_settled(host, server)
    host.hook("pre-reboot.d", "10-drain", HANG)
    host.hook("post-boot.d", "10-undo", "exit 0")
    await host.os.stage("42.2")
    await units.until(Phase.PRE_REBOOT, "activating")
    await host.kill()
    assert units.stopped == []
    host.trees.cleanup()
    await host.os.refresh()
    await host.start()
    await server.wait_seen(3)
    assert units.started == [Phase.PRE_REBOOT, Phase.ABANDONED]
    assert units.stopped == [Phase.PRE_REBOOT]
    await units.until(Phase.PRE_REBOOT, *GONE)
    assert server.holders == {"default": []}


async def test_a_daemon_that_is_stopped_leaves_no_drain_behind(
    host: Host, server: FakeFleetLock, units: FakeHookUnits
) -> None:
    host.configure(fleet_lock(server.url))
    host.hook("pre-reboot.d", "10-drain", HANG)
    await host.os.stage("42.2")
    await host.start()
    await units.until(Phase.PRE_REBOOT, "activating")
    assert await host.stop() == 0
    assert units.stopped == [Phase.PRE_REBOOT]
    await units.until(Phase.PRE_REBOOT, *GONE)
    await host.until_remembered(lambda memory: memory["drained"])


async def test_a_host_where_polkit_was_not_told_says_so(host: Host, units: FakeHookUnits) -> None:
    units.start_refused = Refused(f"{ERROR}.AccessDenied", "Permission denied")
    host.hook("checks.d", "10-check", "exit 0")
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("check_failed")
    assert "50-rebootmgr.rules" in status["blockers"][0]["detail"]
    assert host.reboots() == 0
    units.start_refused = None
    assert await host.reload() == ""  # which drops the back-off
    await host.until_state("rebooting")


async def test_a_runner_that_is_killed_is_a_check_that_failed(
    host: Host, units: FakeHookUnits
) -> None:
    host.hook("checks.d", "10-check", "kill -9 $PPID")
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("check_failed")
    assert "without a result" in status["blockers"][0]["detail"]

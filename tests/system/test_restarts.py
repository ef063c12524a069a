"""What the daemon depends on comes and goes, and so does the daemon: nothing is missed."""

import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.fakes.ostree_host import OstreeHost
from tests.system.holds import hold, release
from tests.system.machine import Machine
from tests.system.processes import DAEMON, RPM_OSTREED, Process

pytestmark = pytest.mark.systems("every")  # who comes back to a new bus, and who does not


def stage_by_files(machine: Machine, version: str) -> None:
    """Stage an update while rpm-ostreed sleeps, as `ostree admin` does."""
    state = machine.root / "var/lib/stand-in/ostree.json"
    OstreeHost(machine.inside("."), state).stage(version)


async def until_asleep(machine: Machine) -> None:
    """Have rpm-ostreed leave, as it does after a minute without clients."""
    rpm_ostreed = Process.main_of(machine, RPM_OSTREED)
    await machine.leave_rpm_ostreed()
    await rpm_ostreed.wait_ended()


async def booted_into(machine: Machine, version: str) -> None:
    """It really reboots, once, and is at rest then."""
    await machine.until_rebooted()
    status = await machine.until_state("idle")
    assert status["booted"]["version"] == version
    assert status["history"][-1]["outcome"] == "succeeded"


async def test_a_daemon_that_hangs_is_restarted_by_the_watchdog_and_decides_the_same(
    machine: Machine,
) -> None:
    machine.write(f"etc/systemd/system/{DAEMON}.d/short.conf", "[Service]\nWatchdogSec=10s\n")
    await machine.boot()
    await hold(machine)
    await machine.stage("42.2")
    before = await machine.until_blocked("held")
    hung = Process.main_of(machine)
    hung.send(signal.SIGSTOP)
    await hung.wait_ended()
    after = await machine.until_blocked("held")
    assert (after["pending"]["id"], after["holds"]) == (before["pending"]["id"], before["holds"])
    assert Process.main_of(machine) != hung
    journal = await machine.journal()
    assert "Watchdog timeout" in journal
    assert "Fatal Python error: Aborted" in journal, "what it was doing is on record"
    await release(machine)
    await booted_into(machine, "42.2")


async def test_an_update_that_is_staged_while_rpm_ostreed_sleeps_is_seen(machine: Machine) -> None:
    await machine.boot()
    await machine.until_state("idle")
    await until_asleep(machine)
    stage_by_files(machine, "42.2")
    await booted_into(machine, "42.2")


async def test_an_update_waits_whether_or_not_rpm_ostreed_sleeps(machine: Machine) -> None:
    machine.configure('[updates]\nstrategy = "off"\n')
    await machine.boot()
    await machine.stage("42.2")
    await machine.until_blocked("disabled")
    await until_asleep(machine)
    await machine.until_blocked("disabled")
    machine.configure("")
    await machine.do("systemctl", "reload", "--no-block", DAEMON)
    await booted_into(machine, "42.2")


async def test_nothing_is_missed_while_the_bus_is_restarted(machine: Machine, suite: str) -> None:
    await machine.boot()
    await machine.until_state("idle")
    await until_asleep(machine)
    daemon, bus = Process.main_of(machine), Process.main_of(machine, "dbus-broker.service")
    bus.send(signal.SIGKILL)
    await daemon.wait_ended()
    stage_by_files(machine, "42.2")  # nobody is there to see it
    if suite != "bookworm":  # their logind does not come back to a new bus by itself
        await machine.connect()
        status = await machine.until_blocked("logind_unreachable")
        assert "systemctl restart systemd-logind" in status["sentence"]
        await machine.do("systemctl", "restart", "systemd-logind.service")
    await booted_into(machine, "42.2")
    journal = await machine.journal()
    assert "the system bus is gone" in journal
    assert "Main process exited, code=exited, status=1/FAILURE" in journal
    assert "Traceback" not in journal


async def test_an_inhibitor_is_seen_after_logind_was_restarted(machine: Machine) -> None:
    await machine.boot()
    await machine.until_state("idle")
    await machine.do("systemctl", "restart", "systemd-logind.service")
    await machine.do(
        *("systemd-run", "--unit=busy", "systemd-inhibit", "--mode=block", "--what=shutdown"),
        *("--who=backup", "--why=copying", "sleep", "infinity"),
    )
    await machine.stage("42.2")
    status = await machine.until_blocked("inhibited")
    assert "backup" in status["blockers"][0]["detail"]
    await machine.do("systemctl", "restart", "systemd-logind.service")
    status = await machine.until_blocked("inhibited")  # logind keeps them
    await machine.do("systemctl", "stop", "busy.service")
    await booted_into(machine, "42.2")


async def _restart_logind(machine: Machine) -> None:
    await machine.do("systemctl", "restart", "systemd-logind.service")


async def _restart_polkit(machine: Machine) -> None:
    await machine.do("systemctl", "restart", "polkit.service")


async def _reexecute(machine: Machine) -> None:
    await machine.do("systemctl", "daemon-reexec")


@pytest.mark.parametrize("restart", [_restart_logind, _restart_polkit, _reexecute])
async def test_a_daemon_outlives_the_restart_of_others_and_reboots_as_before(
    machine: Machine, restart: Callable[[Machine], Awaitable[None]]
) -> None:
    machine.hook("pre-reboot.d", "drain", "exit 0")
    await machine.boot()
    await machine.until_state("idle")
    daemon = Process.main_of(machine)
    await restart(machine)
    assert Process.main_of(machine) == daemon
    await machine.stage("42.2")
    await booted_into(machine, "42.2")

"""The first start after the package was installed, and what the daemon's user may then do."""

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import fleet_lock
from tests.fakes.spoken import reasons, told
from tests.system.layers import RPM, layers_of, rpm_of
from tests.system.machine import Machine
from tests.system.processes import DAEMON, Process

pytestmark = pytest.mark.systems("every")  # each systemd has a sandbox of its own

LOOSEST: Final = 1.4
MOTD: Final = "run/motd.d/85-rebootmgr.motd"
HOOKS: Final = "rebootmgr-hook.socket"
NOBODY: Final = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
# What a service has to itself with PrivateTmp=yes.
PRIVATE: Final = {"/tmp", "/var/tmp"}  # noqa: S108 - of the machine
OWN: Final = {"/var/lib/rebootmgr", "/run/rebootmgr/public", f"/{MOTD}"}


@pytest.fixture
async def clean(suite: str, tmp_path: Path) -> AsyncIterator[Machine]:
    """A machine that has never heard of us."""
    async with Machine(layers_of(suite, with_product=False), tmp_path) as machine:
        yield machine


async def failed_units(machine: Machine) -> str:
    return await machine.do("systemctl", "list-units", "--failed", "--no-legend", "--plain")


async def test_it_is_installed_enabled_and_running_on_a_clean_machine(
    clean: Machine, suite: str
) -> None:
    await clean.boot()
    rpm = rpm_of()
    shutil.copy(rpm, clean.root / "root")
    await clean.do(*RPM[suite], "--install", f"/root/{rpm.name}")
    assert await clean.property_of(DAEMON, "UnitFileState") == "disabled"
    assert await clean.property_of(DAEMON, "ActiveState") == "inactive"
    await clean.do("systemctl", "enable", "--now", "rebootmgr")
    assert await clean.property_of(DAEMON, "ActiveState") == "active"
    await clean.until_state("idle")
    assert await clean.property_of(DAEMON, "StatusText") == "Idle: nothing pending."
    assert await failed_units(clean) == ""
    assert await clean.property_of(HOOKS, "ActiveState") == "active"
    hooks = (HOOKS, "rebootmgr-hook@0-1-2.service")
    assert await clean.do("systemd-analyze", "verify", "--man=no", DAEMON, *hooks) == ""
    security = await clean.do("systemd-analyze", "--no-pager", "security", DAEMON)
    [exposure] = re.findall(r"Overall exposure level for rebootmgr\.service: ([\d.]+)", security)
    assert float(exposure) <= LOOSEST
    journal = await clean.do(
        "journalctl", "--no-pager", "--boot", "--output=cat", "--grep=rebootmgr"
    )
    wrong = re.compile("unknown|denied|not found|cannot|refus|fail", re.IGNORECASE)
    assert [line for line in journal.splitlines() if wrong.search(line)] == []
    await clean.stage("42.2")
    await clean.until_rebooted()
    status = await clean.until_state("idle")
    assert status["booted"]["version"] == "42.2"


async def test_the_daemon_is_nobody_special_and_writes_nowhere_but_in_its_own_places(
    machine: Machine,
) -> None:
    machine.configure('[updates]\nstrategy = "off"\n')
    machine.write("home/core/notes", "a user's\n", mode=0o666).parent.chmod(0o777)
    machine.write("root/notes", "root's\n", mode=0o666).parent.chmod(0o777)
    await machine.boot()
    await machine.stage("42.2")
    await machine.until_blocked("disabled")
    daemon = Process.main_of(machine).status
    user = (await machine.do("id", "--user", "rebootmgr")).strip()
    group = (await machine.do("id", "--group", "rebootmgr")).strip()
    tty = (await machine.do("getent", "group", "tty")).split(":")[2]
    assert user != "0"
    assert daemon["Uid"].split() == [user] * 4
    assert daemon["Gid"].split() == [group] * 4
    assert set(daemon["Groups"].split()) <= {group, tty}
    assert tty in daemon["Groups"].split()
    capabilities = {name: value for name, value in daemon.items() if name.startswith("Cap")}
    assert set(capabilities.values()) == {"0" * 16}
    assert daemon["NoNewPrivs"] == "1"
    assert daemon["Seccomp"] == "2"
    pid = await machine.property_of(DAEMON, "MainPID")
    reached = await machine.do(
        *("nsenter", f"--target={pid}", "--mount", "--wd=/opt/stand-ins", "--"),
        *("setpriv", f"--reuid={user}", f"--regid={group}", f"--groups={group},{tty}"),
        *("--no-new-privs", "--", "python3", "-B", "-m", "tests.system.guest.reach"),
    )
    assert set(reached.splitlines()) == OWN | PRIVATE


async def test_a_unit_that_never_finishes_starting_keeps_the_daemon_from_nothing_but_rebooting(
    machine: Machine,
) -> None:
    """It is in multi-user.target, and boot-complete.target comes after that."""
    machine.check_health()
    machine.hang_the_boot()
    await machine.boot()
    status = await machine.until_incomplete()
    assert "pull.service" in status["blockers"][0]["detail"]
    assert await machine.property_of("multi-user.target", "ActiveState") == "inactive"
    assert await machine.property_of(DAEMON, "ActiveState") == "active"
    await machine.stage("42.2")
    await machine.until_blocked("boot_not_complete")
    await machine.do("systemctl", "stop", "pull.service")
    await machine.end_health_check(well=True)
    await machine.until_rebooted()


async def test_it_does_not_start_where_there_is_nothing_to_manage_and_that_is_no_failure(
    machine: Machine,
) -> None:
    await machine.boot()
    await machine.until_state("idle")

    async def is_skipped() -> bool:
        await machine.do("systemctl", "restart", DAEMON)
        assert await failed_units(machine) == ""
        return (
            await machine.property_of(DAEMON, "ActiveState") == "inactive"
            and await machine.property_of(DAEMON, "ConditionResult") == "no"
        )

    assert not await is_skipped()
    booted, live = machine.inside("run/ostree-booted"), machine.inside("run/ostree-live")
    live.touch()
    assert await is_skipped()
    live.unlink()
    booted.unlink()
    assert await is_skipped()
    booted.touch()
    assert not await is_skipped()


async def test_people_are_told_at_log_in_as_long_as_an_update_waits(machine: Machine) -> None:
    machine.configure('[updates]\nstrategy = "off"\n')
    await machine.boot()
    await machine.until_state("idle")
    motd = machine.inside(MOTD)
    assert motd.read_text() == ""
    await machine.stage("42.2")
    await machine.until_blocked("disabled")
    await machine.until(lambda _: "42.2" in motd.read_text())
    assert "rebootmgrctl why" in motd.read_text()
    await machine.cleanup()
    await machine.until_state("idle")
    await machine.until(lambda _: motd.read_text() == "")
    await machine.stage("42.3")
    await machine.until(lambda _: "42.3" in motd.read_text())
    await machine.do("systemctl", "stop", DAEMON)
    assert motd.read_text() == "", "nobody would correct it"


async def test_anybody_may_read_the_metrics(machine: Machine) -> None:
    machine.configure('[updates]\nstrategy = "off"\n')
    await machine.boot()
    await machine.stage("42.2")
    await machine.until_blocked("disabled")
    metrics = await machine.do(*NOBODY, "rebootmgrctl", "metrics")
    assert 'rebootmgr_blocked{reason="disabled"} 1.0' in metrics
    assert "rebootmgr_reboot_pending 1.0" in metrics


async def test_a_boot_that_is_not_healthy_keeps_its_slot_and_is_not_rebooted(
    machine: Machine, server: FakeFleetLock
) -> None:
    machine.configure(fleet_lock(server.url))
    await machine.boot()
    await server.wait_seen(1)
    await machine.until(lambda status: status["state"] == "idle" and not status["slots"])
    machine.check_health()
    server.seen.clear()
    await machine.stage("42.2")
    await machine.until_rebooted()
    await machine.end_health_check(well=False)
    status = await machine.until(lambda status: "failed: health.service" in told(status))
    assert (status["state"], reasons(status)) == ("post_boot", ["boot_not_complete"])
    assert await machine.property_of(DAEMON, "ActiveState") == "active"
    assert "health.service" in await machine.property_of(DAEMON, "StatusText")
    await machine.stage("42.3")
    await machine.until_blocked("boot_not_complete")
    await machine.do("systemctl", "restart", DAEMON)
    status = await machine.until_blocked("boot_not_complete")
    assert status["lock_held"]
    assert [request.target for request in server.seen] == ["/v1/pre-reboot"]
    assert machine.is_up
    # Somebody mends it.
    await machine.end_health_check(well=True)
    await machine.begin("systemctl", "start", "boot-complete.target")  # it reboots at once
    await machine.until_rebooted()
    await machine.end_health_check(well=True)
    status = await machine.until(lambda status: status["state"] == "idle" and not status["slots"])
    assert status["booted"]["version"] == "42.3"
    heard = [request.target.removeprefix("/v1/") for request in server.seen]
    assert heard[0] == "pre-reboot"
    assert heard[-2:] == ["pre-reboot", "steady-state"]

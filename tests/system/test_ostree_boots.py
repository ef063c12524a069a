"""A real ostree host: which deployment it boots, whoever chose it, and what we make of that."""

import pytest

from tests.fakes.ostree_host import OSNAME
from tests.fakes.spoken import Json
from tests.system.holds import hold
from tests.system.ostree_machine import OstreeMachine
from tests.system.test_ostree import LOCKED, STAGE, UNDEPLOY
from tests.system.test_updates import newest

UNLOCK = ("ostree", "admin", "lock-finalization", "--unlock")
KILLED = """\
[Service]
TimeoutStopSec=1ms
"""


def notices(status: Json) -> list[str]:
    """What is told and blocks nothing."""
    return [one["notice"] for one in status["notices"]]


async def test_a_locked_update_is_booted_once_it_is_unlocked(host: OstreeMachine) -> None:
    await host.boot()
    await host.do(*LOCKED, "os/42.2")
    await host.until_blocked("finalization_locked")
    await host.begin(*UNLOCK)
    await host.until_rebooted()
    status = await host.until(lambda status: newest(status) == "succeeded")
    assert status["booted"]["version"] == "42.2"


async def test_an_update_locked_inside_of_its_file_is_seen_where_rpm_ostree_shows_no_lock(
    rpm_ostree_host: OstreeMachine,
) -> None:
    host = rpm_ostree_host
    await host.boot()
    await host.stage("42.2", lock="gvariant")
    await host.until_blocked("finalization_locked")
    assert not host.inside("run/ostree/staged-deployment-locked").exists()
    await host.begin(*UNLOCK)
    await host.until_rebooted()
    await host.until(lambda status: newest(status) == "succeeded")


async def test_an_update_that_is_withdrawn_while_it_waits_is_forgotten(host: OstreeMachine) -> None:
    await host.boot()
    held = await hold(host)
    await host.do(*STAGE, "os/42.2")
    await host.until_blocked("held")
    await host.do(*UNDEPLOY)
    await host.until_state("idle")
    await host.do("rebootmgrctl", "release", held)
    await host.until(lambda status: not status["holds"])
    await host.stays_up()


@pytest.mark.parametrize("how", ["full", "killed"])
async def test_an_update_that_ostree_cannot_finalize_is_tried_twice(
    host: OstreeMachine, how: str
) -> None:
    if how == "full":
        host.fill_boot()
    else:
        host.write("etc/systemd/system/ostree-finalize-staged.service.d/50-short.conf", KILLED)
    await host.boot()
    for attempts in (1, 2):
        await host.until_state("idle")
        await host.do(*STAGE, "os/42.2")
        await host.until_rebooted()
        status = await host.until_rebooted_times(attempts)
        assert newest(status) == "not_applied"
        assert status["booted"]["version"] == "42.1"
    await host.do(*STAGE, "os/42.2")
    await host.until_blocked("quarantined")


async def test_a_fallback_in_the_boot_menu_is_a_rollback_and_nothing_reboots_into_the_default(
    host: OstreeMachine,
) -> None:
    await host.boot()
    await host.do(*STAGE, "os/42.2")
    await host.wait_down()
    host.entry = 1
    await host.boot()
    status = await host.until(lambda status: newest(status) == "rolled_back")
    assert status["booted"]["version"] == "42.1"
    assert status["state"] == "idle", "what boots by default is not staged"
    await host.stays_up()


async def test_an_administrators_rollback_is_left_to_the_administrator(host: OstreeMachine) -> None:
    await host.boot()
    await host.do(*STAGE, "os/42.2")
    await host.until_rebooted()
    await host.until(lambda status: newest(status) == "succeeded")
    await host.do("ostree", "admin", "set-default", "1")
    status = await host.until(lambda status: notices(status) == ["not_staged"])
    assert status["state"] == "idle"
    assert status["booted"]["version"] == "42.2"
    await host.stays_up()
    await host.begin("systemctl", "reboot")
    await host.until_rebooted()
    status = await host.until_state("idle")
    assert status["booted"]["version"] == "42.1"
    assert [one["outcome"] for one in status["history"]] == ["succeeded"]


async def test_a_rollback_that_a_staged_update_overtakes_is_told_and_the_update_booted(
    host: OstreeMachine,
) -> None:
    await host.boot()
    await host.do(*STAGE, "os/42.2")
    await host.until_rebooted()
    await host.until(lambda status: newest(status) == "succeeded")
    held = await hold(host)
    await host.do("ostree", "admin", "set-default", "1")
    await host.do(*STAGE, "os/42.3")
    status = await host.until(lambda status: notices(status) == ["rollback_overtaken"])
    assert "42.1 was to boot next" in status["notices"][0]["detail"]
    assert status["pending"]["version"] == "42.3"
    await host.do("rebootmgrctl", "release", held)
    await host.until_rebooted()
    await host.until_rebooted_times(2)
    status = await host.until(lambda status: newest(status) == "succeeded")
    assert status["booted"]["version"] == "42.3"


async def test_what_is_pinned_stays_on_disk_and_counts_for_nothing(host: OstreeMachine) -> None:
    await host.boot()
    await host.do("ostree", "admin", "pin", "0")
    for version in ("42.2", "42.3"):
        await host.until_state("idle")
        await host.do(*STAGE, f"os/{version}")
        await host.until_rebooted()
        status = await host.until(lambda status: status["state"] == "idle" and status["history"])
        assert status["booted"]["version"] == version
        assert newest(status) == "succeeded"
    assert len(host.entries()) == 3, "42.3, 42.2 and the pinned 42.1"


async def test_another_stateroot_is_none_of_our_business(host: OstreeMachine) -> None:
    await host.boot()
    await host.do("ostree", "admin", "os-init", "other")
    await host.do("ostree", "admin", "deploy", "--os=other", "--karg=rw", "os/42.3")
    assert "/other/" in host.entries()[0]
    await host.until_state("idle")
    await host.stays_up()
    await host.do(*STAGE, f"--os={OSNAME}", "os/42.2")
    await host.until_rebooted()
    status = await host.until(lambda status: newest(status) == "succeeded")
    assert status["booted"]["version"] == "42.2"


async def test_a_power_cut_between_staging_and_finalization_loses_the_update_and_no_attempt(
    host: OstreeMachine,
) -> None:
    await host.boot()
    held = await hold(host)
    await host.do(*STAGE, "os/42.2")
    await host.until_blocked("held")
    await host.power_cut()
    await host.boot()
    status = await host.until_state("idle")
    assert status["booted"]["version"] == "42.1"
    assert status["history"] == []
    await host.do(*STAGE, "os/42.2")
    await host.do("rebootmgrctl", "release", held)
    await host.until_rebooted()
    await host.until(lambda status: newest(status) == "succeeded")


async def test_a_newer_update_staged_while_the_host_goes_down_is_what_it_boots(
    host: OstreeMachine,
) -> None:
    await host.boot()
    await host.begin("systemd-inhibit", "--mode=delay", "--what=shutdown", "sleep", "infinity")
    await host.do(*STAGE, "os/42.2")
    await host.until_state("rebooting")
    await host.do(*STAGE, "os/42.3")
    await host.until_rebooted()
    status = await host.until(lambda status: bool(status["history"]) and status["state"] == "idle")
    assert status["booted"]["version"] == "42.3"
    assert newest(status) == "superseded"

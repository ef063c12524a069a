"""A host of bootc on composefs, without ostree: what is in its files, and what we make of that."""

import re

import pytest

from tests.fakes.composefs_host import ImageTree
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import fleet_lock
from tests.fakes.spoken import Json
from tests.system.composefs_machine import ComposefsMachine
from tests.system.holds import hold, release
from tests.system.test_ostree_boots import notices
from tests.system.test_updates import asked, newest

OLD, NEW, NEWER = (ImageTree(version=version).name for version in ("42.1", "42.2", "42.3"))


async def test_an_image_that_was_staged_is_booted_and_its_slot_given_back(
    composefs: ComposefsMachine, server: FakeFleetLock
) -> None:
    host = composefs
    host.configure(fleet_lock(server.url))
    await host.boot()
    await server.wait_seen(1)
    server.seen.clear()
    status = await host.until(lambda status: status["state"] == "idle" and not status["slots"])
    assert (status["source"], status["booted"]["id"]) == ("composefs", OLD)
    await hold(host)
    await host.bootc("stage", "42.2")
    status = await host.until_blocked("held")
    assert status["pending"]["id"] == NEW
    assert asked(server) == []
    await release(host)
    await host.until_rebooted()
    status = await host.until(lambda status: newest(status) == "succeeded" and not status["slots"])
    assert (status["booted"]["id"], status["booted"]["version"]) == (NEW, "42.2")
    assert asked(server) == ["/v1/pre-reboot", "/v1/steady-state"]


async def test_a_locked_image_waits_and_may_be_withdrawn_or_unlocked(
    composefs: ComposefsMachine,
) -> None:
    await composefs.boot()
    await composefs.bootc("stage", "42.2", "--locked")
    status = await composefs.until_blocked("finalization_locked")
    assert "`bootc upgrade --from-downloaded`" in status["blockers"][0]["detail"]
    await composefs.bootc("withdraw")
    await composefs.until_state("idle")
    await composefs.bootc("stage", "42.3", "--locked")
    await composefs.until_blocked("finalization_locked")
    await composefs.begin_bootc("unlock")
    await composefs.until_rebooted()
    status = await composefs.until(lambda status: newest(status) == "succeeded")
    assert (composefs.boots, status["booted"]["id"]) == (2, NEWER)


async def test_a_rollback_is_told_and_an_image_that_overtakes_it_is_booted(
    composefs: ComposefsMachine,
) -> None:
    host = composefs
    await host.boot()
    await host.bootc("stage", "42.2")
    await host.until_rebooted()
    await host.until(lambda status: newest(status) == "succeeded")
    await host.bootc("rollback")
    await host.ctl("reload")  # the boot menu is not watched
    status = await host.until(lambda status: notices(status) == ["not_staged"])
    assert status["state"] == "idle"
    await hold(host)
    await host.bootc("stage", "42.3")
    await host.until(lambda status: notices(status) == ["rollback_overtaken"])
    await release(host)
    await host.until_rebooted()
    status = await host.until_judged(2)
    assert (newest(status), status["booted"]["id"]) == ("succeeded", NEWER)


async def test_an_image_that_is_never_finalized_is_tried_twice_and_quarantined(
    composefs: ComposefsMachine,
) -> None:
    host = composefs
    host.fail_to_finalize()
    await host.boot()
    for attempts in (1, 2):
        await host.until_state("idle")
        await host.bootc("stage", "42.2")
        await host.until_rebooted()
        status = await host.until_judged(attempts)
        assert (newest(status), status["booted"]["id"]) == ("not_applied", OLD)
    await host.bootc("stage", "42.2")
    await host.until_blocked("quarantined")


@pytest.mark.parametrize(
    ("moment", "outcome", "booted"),
    [(1, "not_applied", OLD), (2, "not_applied", OLD), (3, "succeeded", NEW)],
    ids=["a_menu_by_half", "a_menu_beside_the_old", "both_changed_places"],
)
async def test_whoever_is_killed_while_he_finalizes_costs_one_reboot_and_no_slot(
    composefs: ComposefsMachine, server: FakeFleetLock, moment: int, outcome: str, booted: str
) -> None:
    host = composefs
    host.configure(fleet_lock(server.url))
    await host.boot()
    await server.wait_seen(1)
    await host.until(lambda status: status["state"] == "idle" and not status["slots"])
    server.seen.clear()
    host.kill_who_finalizes(moment)
    await host.bootc("stage", "42.2")
    await host.until_rebooted()
    status = await host.until(lambda status: newest(status) == outcome and not status["slots"])
    assert (status["state"], status["booted"]["id"]) == ("idle", booted)
    assert "entries.staged" in await host.do("ls", "/boot/loader"), "nobody was killed"
    assert asked(server) == ["/v1/pre-reboot", "/v1/steady-state"]
    host.kill_who_finalizes(0)
    await host.bootc("stage", "42.3")
    await host.until_rebooted()
    status = await host.until_judged(2)
    assert (newest(status), status["booted"]["id"]) == ("succeeded", NEWER)
    assert host.boots == 3


async def test_a_power_cut_loses_what_was_staged_and_no_attempt(
    composefs: ComposefsMachine,
) -> None:
    host = composefs
    await host.boot()
    await hold(host)
    await host.bootc("stage", "42.2")
    await host.until_blocked("held")
    await host.power_cut()
    await host.boot()
    status = await host.until_state("idle")
    assert (status["booted"]["id"], status["history"]) == (OLD, [])


async def test_bootc_at_work_is_waited_for_until_it_is_done_or_killed(
    composefs: ComposefsMachine,
) -> None:
    host = composefs
    await host.boot()
    await host.begin_bootc("work", "42.2")
    status = await host.until_blocked("transaction_active")
    assert "at work on the sysroot" in status["blockers"][0]["detail"]
    await host.do("systemctl", "kill", "--signal=KILL", "work.service")
    await host.begin_bootc("stage", "42.2")
    await host.until_rebooted()
    status = await host.until(lambda status: newest(status) == "succeeded")
    assert status["booted"]["id"] == NEW


async def test_what_only_root_may_read_is_unknown_until_its_cures_are_followed(
    composefs: ComposefsMachine,
) -> None:
    host = composefs
    await host.boot()
    await hold(host)
    await host.bootc("stage", "42.2", "--umask", "077")
    for what in ("what is staged", "an origin"):
        status = await until_unreadable(host, what)
        assert status["verdict"] == "wait"
        [cure] = re.findall(r"umask 077: `(.*?)`", gate(status))
        await host.do("/bin/sh", "-c", cure)
    status = await host.until_blocked("held")
    assert status["pending"]["id"] == NEW


async def until_unreadable(host: ComposefsMachine, what: str) -> Json:
    return await host.until(lambda status: f"{what} cannot be read" in gate(status))


def gate(status: Json) -> str:
    """What is said where the source cannot be read."""
    return " ".join(one["detail"] for one in status["blockers"] if one["reason"] == "state_unknown")


async def test_what_a_soft_reboot_leaves_behind_is_not_pending(
    composefs: ComposefsMachine,
) -> None:
    await composefs.boot()
    await composefs.bootc("leave")
    assert composefs.inside("run/composefs/staged-deployment").exists()
    await composefs.ctl("reload")
    status = await composefs.until_state("idle")
    assert (status["pending"], status["booted"]["id"]) == (None, OLD)
    assert composefs.boots == 1


@pytest.mark.parametrize(("moment", "pending"), [(1, None), (2, None), (3, NEW)])
async def test_bootc_that_is_killed_while_it_stages_leaves_all_of_an_image_or_none(
    composefs: ComposefsMachine, moment: int, pending: str | None
) -> None:
    await composefs.boot()
    held = await hold(composefs)
    ran = await composefs.bootc_killed("stage", "42.2", f"--die-after={moment}")
    assert ran.status != 0
    if pending is None:
        await composefs.ctl("reload")
        await composefs.until_state("idle")
    else:
        status = await composefs.until_blocked("held")
        assert status["pending"]["id"] == pending
        await composefs.bootc_killed("withdraw", "--die-after=1")
        await composefs.until_state("idle")
    await composefs.do("rebootmgrctl", "release", held)
    await composefs.until(lambda status: status["state"] == "idle" and not status["holds"])
    assert composefs.boots == 1

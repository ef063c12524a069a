"""What counts as a pending update: the decision table of rpm-ostree (SPEC 4), by its rows."""

from typing import Any

import pytest

from tests.fakes.host import Host, Json, reasons
from tests.fakes.logind import FakeInhibitor
from tests.fakes.ostree_host import Lock, OstreeHost

HOLD_ON = FakeInhibitor(who="backup", why="nightly", uid=0)


def is_idle(status: Json) -> bool:
    return (status["state"], status["pending"], status["blockers"]) == ("idle", None, [])


async def test_row_1_without_ostree_there_is_nothing_to_do(host: Host) -> None:
    await host.os.stage("42.2")
    (host.root / "run/ostree-booted").unlink()
    await host.start()
    status = await host.until(lambda status: reasons(status) == ["not_ostree"])
    assert status["verdict"] == "idle"
    assert "/run/ostree-booted" in status["blockers"][0]["detail"]
    assert "Reload" not in host.os.calls
    assert host.reboots() == 0


async def test_row_1_a_sysroot_that_is_not_booted_is_left_alone(host: Host) -> None:
    await host.os.stage("42.2")
    await host.os.override("Sysroot", "Booted", ["o", "/"])
    await host.start()
    await host.until(lambda status: reasons(status) == ["not_ostree"])
    assert host.reboots() == 0


async def test_row_2_a_live_system_is_left_alone(host: Host) -> None:
    await host.os.stage("42.2")
    (host.root / "run/ostree-live").touch()
    await host.start()
    status = await host.until(lambda status: reasons(status) == ["not_ostree"])
    assert "a live system" in status["blockers"][0]["detail"]
    assert host.reboots() == 0


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"id": ["s", ""], "staged": ["b", True]},
        {"id": ["i", 7], "staged": ["b", True]},
        {"staged": ["b", True]},
        {"id": ["s", "fedora-coreos-00.0"], "staged": ["s", "true"]},
    ],
    ids=["empty", "no id", "id is a number", "id is missing", "staged is a word"],
)
async def test_row_3_what_makes_no_sense_is_unknown_and_never_a_reboot(
    host: Host, odd: dict[str, Any]
) -> None:
    inhibitor = host.logind.add_inhibitor(HOLD_ON)
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("inhibited")
    await host.os.override("OS", "DefaultDeployment", ["a{sv}", odd])
    await host.until_blocked("state_unknown", "inhibited")
    host.logind.remove_inhibitor(inhibitor)
    status = await host.until_blocked("state_unknown")
    assert status["pending"]["version"] == "42.2"  # the last that was known
    assert (status["verdict"], status["predicted"]) == ("wait", None)
    assert host.reboots() == 0
    await host.os.override("OS", "DefaultDeployment", None)
    await host.until_state("rebooting")


async def test_row_3_at_the_first_look_nothing_is_known_and_nothing_is_done(host: Host) -> None:
    await host.os.stage("42.2")
    await host.os.override("OS", "BootedDeployment", ["a{sv}", {}])
    await host.start(wait=False)
    await host.until(lambda status: "state_unknown" in reasons(status))
    await host.os.override("OS", "BootedDeployment", None)
    await host.until_state("rebooting")


async def test_rows_4_and_12_a_withdrawn_update_is_forgotten(host: Host) -> None:
    host.logind.add_inhibitor(HOLD_ON)
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("inhibited")
    host.trees.cleanup()
    await host.os.refresh()
    assert is_idle(await host.until_state("idle"))
    assert host.reboots() == 0


@pytest.mark.parametrize("lock", ["key", "file", "gvariant"])
async def test_row_6_a_lock_is_waited_for(host: Host, lock: Lock) -> None:
    await host.os.stage("42.2", lock=lock)
    await host.start()
    status = await host.until_blocked("finalization_locked")
    assert "locked by another agent" in status["blockers"][0]["detail"]
    assert host.reboots() == 0
    host.trees.lock("")  # touches no directory of ostree, and rpm-ostreed says nothing
    await host.until_state("rebooting")


async def test_row_7_another_serial_of_the_same_commit_is_pending(host: Host) -> None:
    tree = await host.os.stage("42.1", serial=1)
    await host.start()
    status = await host.until_state("rebooting")
    assert status["pending"]["id"] == tree.id


async def test_row_8_what_is_not_staged_is_reported_and_never_rebooted_for(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    host.trees.deploy("42.2")
    await host.os.refresh()
    status = await host.until(lambda status: bool(status["notices"]))
    assert status["notices"] == [
        {"notice": "not_staged", "detail": "42.2 boots next, but it is not staged: left alone"}
    ]
    assert is_idle(status)
    assert (await host.metrics())['rebootmgr_notice{notice="not_staged"}'] == 1
    assert "not_staged: 42.2 boots next" in host.log.read_text()


async def test_row_9_a_boot_fallback_is_no_update(host: Host) -> None:
    host.trees.deploy("42.2")
    await host.start()
    status = await host.until_state("idle")
    assert [notice["notice"] for notice in status["notices"]] == ["not_staged"]
    assert host.reboots() == 0


async def test_row_10_a_transaction_is_waited_for(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    await host.os.begin("Upgrade")
    host.trees.stage("42.2")
    await host.os.refresh()
    status = await host.until_blocked("transaction_active")
    assert "Upgrade" in status["blockers"][0]["detail"]
    host.trees.stage("42.3")  # twice in one transaction
    await host.os.refresh()
    await host.os.end()
    status = await host.until_state("rebooting")
    assert status["pending"]["version"] == "42.3"


async def test_row_11_a_newer_update_takes_the_place_of_a_waiting_one(host: Host) -> None:
    inhibitor = host.logind.add_inhibitor(HOLD_ON)
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("inhibited")
    tree = await host.os.stage("42.3")
    await host.until(lambda status: bool(status["pending"]["version"] == "42.3"))
    host.logind.remove_inhibitor(inhibitor)
    await host.until_state("rebooting")
    await host.until_remembered(lambda memory: memory["intent"]["target"] == tree.id)


@pytest.mark.parametrize(
    "side_keys",
    [{"live-replaced": ["s", "34322e32".ljust(64, "0")]}, {"live-inprogress": ["s", "34322e32"]}],
    ids=["row 13", "row 14"],
)
async def test_a_live_applied_update_is_still_pending(
    host: Host, side_keys: dict[str, Any]
) -> None:
    host.trees.trees[0].unlocked = "transient"
    host.trees.trees[0].extra = side_keys
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")


@pytest.mark.parametrize("how", ["development", "hotfix"])
async def test_row_15_an_unlocked_deployment_is_not_thrown_away(host: Host, how: str) -> None:
    host.trees.trees[0].unlocked = how
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("unlocked")
    assert how in status["blockers"][0]["detail"]
    assert host.reboots() == 0


async def test_rows_16_and_17_what_is_only_known_or_downloaded_is_not_pending(host: Host) -> None:
    cached = {"version": ["s", "42.2"], "checksum": ["s", "c" * 64]}
    await host.os.override("OS", "CachedUpdate", ["a{sv}", cached])
    await host.os.override("OS", "HasCachedUpdateRpmDiff", ["b", True])
    host.trees.trees[0].extra = {
        "pending-base-checksum": ["s", "c" * 64],
        "pending-base-version": ["s", "42.2"],
    }
    await host.os.refresh()
    await host.start()
    assert is_idle(await host.until_state("idle"))
    assert host.reboots() == 0


async def test_row_18_an_rpm_ostree_that_applies_by_itself_is_a_conflict(host: Host) -> None:
    host.trees.policy = "apply"
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("driver_conflict")
    assert "AutomaticUpdatePolicy=apply" in status["blockers"][0]["detail"]
    assert host.reboots() == 0


async def test_an_active_driver_is_a_conflict_until_it_stops(host: Host) -> None:
    host.trees.register_driver("Zincati", "zincati.service")
    host.systemd.set_unit("zincati.service", "active")
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("driver_conflict")
    assert "zincati.service (Zincati)" in status["blockers"][0]["detail"]
    assert host.reboots() == 0
    host.systemd.set_unit("zincati.service", "inactive")
    await host.until_state("rebooting")


async def test_a_driver_that_stops_is_noticed_after_a_boot_that_was_completed_late(
    host: Host,
) -> None:
    host.systemd.set_boot_complete(reached=False)
    host.trees.register_driver("Zincati", "zincati.service")
    host.systemd.set_unit("zincati.service", "active")
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("boot_not_complete", "driver_conflict")
    host.systemd.set_boot_complete(reached=True)
    await host.until_blocked("driver_conflict")
    host.systemd.set_unit("zincati.service", "inactive")
    await host.until_state("rebooting")


async def test_an_absent_rpm_ostreed_is_unknown_until_it_comes(host: Host) -> None:
    host.configure('updates.source = "rpm-ostree"\n')  # `auto` finds it gone
    await host.os.leave()
    host.trees.stage("42.2")
    await host.start(wait=False)
    await host.until(lambda status: "state_unknown" in reasons(status))
    await host.os.start()
    await host.until_state("rebooting")


async def test_an_update_staged_while_rpm_ostreed_sleeps_is_found(host: Host) -> None:
    """Only files change; rpm-ostreed is started for one look, and never kept awake."""
    await host.start()
    await host.until_state("idle")
    await host.os.leave()
    host.install_rpm_ostreed()
    OstreeHost(host.root, host.trees.state).stage("42.2")
    status = await host.until_state("rebooting")
    assert status["pending"]["version"] == "42.2"
    assert "RegisterClient" not in host.os.calls


async def test_a_restart_of_rpm_ostreed_with_another_state_is_looked_at(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    await host.os.leave()
    host.trees.stage("42.2")
    await host.os.start()  # tells no change of any property
    await host.until_state("rebooting")


async def test_an_rpm_ostreed_that_leaves_while_it_is_asked_is_asked_again(host: Host) -> None:
    host.install_rpm_ostreed()
    host.trees.stage("42.2")
    host.os.leaves_at_next_call = True  # the bus answers NoReply
    await host.start()
    await host.until_state("rebooting")


async def test_an_idle_exit_is_no_reason_to_look(host: Host) -> None:
    host.install_rpm_ostreed()
    await host.start()
    await host.until_state("idle")
    await host.os.leave()
    assert is_idle(await host.status())
    owned = await host.bus.call(
        *("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"),
        *("NameHasOwner", "s", ["org.projectatomic.rpmostree1"]),
    )
    assert owned == [False]


async def test_another_os_on_the_same_disk_is_not_ours(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    await host.os.stage("9.9", osname="other")
    host.trees.trees.append(host.trees.trees.pop(0))
    await host.os.refresh()
    assert is_idle(await host.until_state("idle"))


async def test_container_images_with_all_their_metadata_are_read(host: Host) -> None:
    digest = "sha256:" + "ab" * 32
    await host.os.stage("42.2", digest=digest)
    await host.start()
    await host.until_state("rebooting")
    assert digest in host.remembered()["intent"]["key"]

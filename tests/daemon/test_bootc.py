"""Hosts without rpm-ostree, from staged to succeeded: the daemon on files of both layouts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.daemon.asleep import timers_at_rest
from tests.fakes.bootc_host import KINDS, BootcHost, OnComposefs
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import fleet_lock, reasons
from tests.fakes.logind import FakeInhibitor

HOLD_ON = FakeInhibitor(who="backup", why="nightly", uid=0)
TIMER, SERVICE = (f"bootc-fetch-apply-updates.{kind}" for kind in ("timer", "service"))
APPLY = ["/usr/bin/bootc", "upgrade", "--apply", "--quiet"]
STAGE = ["/usr/bin/bootc", "upgrade", "--quiet"]


@pytest.fixture(params=KINDS)
async def bare(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BootcHost]:
    """A booted host of each kind, with nothing pending; its daemon is not started yet."""
    async with KINDS[request.param](tmp_path) as host:
        yield host


@pytest.fixture
async def composefs(tmp_path: Path) -> AsyncIterator[OnComposefs]:
    """bootc on composefs."""
    async with OnComposefs(tmp_path) as host:
        yield host


async def outcome_of(host: BootcHost) -> str:
    status = await host.until(
        lambda status: bool(status["history"]) and status["history"][-1]["outcome"] is not None
    )
    return str(status["history"][-1]["outcome"])


async def until_pending(host: BootcHost, target: str) -> None:
    await host.until(lambda status: (status["pending"] or {}).get("id") == target)


async def test_an_idle_host_says_which_source_it_has_and_why(bare: BootcHost) -> None:
    await bare.start()
    status = await bare.until_state("idle")
    assert status["source"] == bare.source
    assert status["booted"]["version"] == "42.1"
    _, screen, _ = await bare.ctl("status")
    assert f"Source: {bare.source}: " in " ".join(screen.split())
    _, why, _ = await bare.ctl("--json", "why")
    assert f'"source": "{bare.source}"' in why


async def test_an_idle_host_sleeps_until_somebody_speaks(bare: BootcHost) -> None:
    await bare.start()
    await bare.until_state("idle")
    assert await timers_at_rest(bare, 0) == {}


async def test_a_staged_update_waits_for_gate_and_slot_is_booted_and_succeeded(
    bare: BootcHost, server: FakeFleetLock
) -> None:
    bare.configure(fleet_lock(server.url))
    inhibitor = bare.logind.add_inhibitor(HOLD_ON)
    await bare.start()
    await bare.until_state("idle")
    target = bare.stage("42.2")
    status = await bare.until_blocked("inhibited")
    assert status["pending"]["id"] == target
    bare.logind.remove_inhibitor(inhibitor)
    await bare.until_state("rebooting")
    await bare.go_down()
    await bare.start()
    assert await outcome_of(bare) == "succeeded"
    status = await bare.until(lambda status: not status["lock_held"] and not status["slots"])
    assert (status["booted"]["id"], status["pending"]) == (target, None)


async def test_a_locked_update_is_waited_for_and_says_how_bootc_unlocks_it(
    bare: BootcHost,
) -> None:
    bare.stage("42.2", locked=True)
    await bare.start()
    status = await bare.until_blocked("finalization_locked")
    assert "`bootc upgrade --from-downloaded`" in status["blockers"][0]["detail"]
    bare.unlock()
    await bare.until_state("rebooting")


@pytest.mark.parametrize("locked", [False, True])
async def test_a_withdrawn_update_is_forgotten_and_never_rebooted_for(
    bare: BootcHost, *, locked: bool
) -> None:
    bare.logind.add_inhibitor(HOLD_ON)
    bare.stage("42.2", locked=locked)
    await bare.start()
    await bare.until(lambda status: "inhibited" in reasons(status))
    bare.withdraw()
    status = await bare.until_state("idle")
    assert (status["pending"], bare.reboots()) == (None, 0)


async def test_a_newer_update_takes_the_place_of_a_waiting_one(bare: BootcHost) -> None:
    bare.logind.add_inhibitor(HOLD_ON)
    bare.stage("42.2")
    await bare.start()
    await bare.until_blocked("inhibited")
    target = bare.stage("42.3")
    await bare.until(lambda status: bool(status["pending"]) and status["pending"]["id"] == target)


async def test_a_rollback_is_told_and_never_rebooted_for(bare: BootcHost) -> None:
    bare.stage("42.2")
    bare.boot()
    bare.rollback()
    await bare.start()
    status = await bare.until_state("idle")
    assert [one["notice"] for one in status["notices"]] == ["not_staged"]
    assert "42.1 boots next" in status["notices"][0]["detail"]
    assert bare.reboots() == 0


async def test_a_rollback_while_the_daemon_runs_is_told_at_a_reload_at_the_latest(
    bare: BootcHost,
) -> None:
    bare.stage("42.2")
    bare.boot()
    await bare.start()
    await bare.until_state("idle")
    bare.rollback()
    assert await bare.reload() == ""
    await bare.until(lambda status: bool(status["notices"]))


async def test_a_rollback_that_a_staged_update_overtakes_is_told(bare: BootcHost) -> None:
    bare.logind.add_inhibitor(HOLD_ON)
    bare.stage("42.2")
    bare.boot()
    bare.rollback()
    bare.stage("42.3")
    await bare.start()
    status = await bare.until_blocked("inhibited")
    assert [one["notice"] for one in status["notices"]] == ["rollback_overtaken"]
    assert "42.1 was to boot next" in status["notices"][0]["detail"]


async def test_an_update_that_could_not_be_finalized_was_not_applied(bare: BootcHost) -> None:
    bare.stage("42.2")
    await bare.start()
    await bare.until_state("rebooting")
    await bare.go_down(finalize=False)
    await bare.start()
    assert await outcome_of(bare) == "not_applied"


async def test_a_power_cut_after_the_call_is_no_failure_of_the_update(bare: BootcHost) -> None:
    bare.stage("42.2")
    await bare.start()
    await bare.logind.rebooted.wait()
    await bare.until_remembered(lambda memory: memory["intent"] is not None)
    seen = bool(bare.remembered()["intent"].get("shutdown_seen"))
    await bare.lose_power()
    await bare.start()
    assert await outcome_of(bare) == ("not_applied" if seen else "interrupted")


async def test_whoever_works_on_the_sysroot_is_waited_for(bare: BootcHost) -> None:
    lock = bare.lock_sysroot()
    bare.stage("42.2")
    await bare.start()
    status = await bare.until_blocked("transaction_active")
    assert "at work on the sysroot" in status["blockers"][0]["detail"]
    assert bare.reboots() == 0
    lock.release()  # of a directory, as on composefs, nothing tells that: a minute at most
    bare.stage("42.2")
    await bare.until_state("rebooting")


async def test_what_cannot_be_read_is_unknown_and_nothing_is_green(bare: BootcHost) -> None:
    staged = bare.root / bare.staged_file
    bare.stage("42.2", locked=True)
    staged.write_bytes(b"\xff junk")
    (bare.root / "run/motd.d").mkdir()
    motd = bare.root / "run/motd.d/85-rebootmgr.motd"
    motd.touch()
    await bare.start(wait=False)
    status = await bare.until(lambda status: "state_unknown" in reasons(status))
    assert status["verdict"] == "wait"
    assert "Cannot tell whether an update is pending" in status["sentence"] or (
        "Starting" in status["sentence"]
    )
    _, screen, _ = await bare.ctl("status")
    assert "nothing is pending" not in screen
    assert "cannot be read" in " ".join(screen.split())
    assert bare.reboots() == 0


@pytest.mark.parametrize("command", [APPLY, STAGE])
async def test_the_timer_of_bootc_is_a_conflict_only_where_it_reboots(
    bare: BootcHost, command: list[str]
) -> None:
    bare.systemd.set_unit(TIMER, "active")
    bare.systemd.set_service(SERVICE, [command], needed=["/run/ostree-booted"])
    bare.logind.add_inhibitor(HOLD_ON)
    bare.stage("42.2")
    await bare.start()
    status = await bare.until(lambda status: "inhibited" in reasons(status))
    conflicts = command is APPLY and bare.source == "ostree"  # its condition: never on composefs
    assert ("driver_conflict" in reasons(status)) is conflicts
    if conflicts:
        assert f"systemctl mask --now {TIMER}" in str(status["blockers"])


async def test_a_timer_whose_condition_was_reset_is_a_conflict_on_composefs(
    composefs: OnComposefs,
) -> None:
    composefs.systemd.set_unit(TIMER, "active")
    composefs.systemd.set_service(SERVICE, [APPLY], needed=[])
    composefs.stage("42.2")
    await composefs.start()
    await composefs.until_blocked("driver_conflict")
    composefs.systemd.set_unit(TIMER, "inactive")
    await composefs.until_state("rebooting")


async def test_the_source_is_chosen_anew_at_reload(bare: BootcHost) -> None:
    bare.configure('updates.source = "rpm-ostree"\n')
    bare.logind.add_inhibitor(HOLD_ON)
    await bare.start(wait=False)
    status = await bare.until(lambda status: "state_unknown" in reasons(status))
    assert (status["source"], status["verdict"]) == ("rpm-ostree", "wait")
    bare.configure("")
    assert await bare.reload() == ""
    status = await bare.until_state("idle")
    assert status["source"] == bare.source
    bare.stage("42.2")
    await bare.until_blocked("inhibited")


async def test_what_a_soft_reboot_left_behind_is_not_pending(composefs: OnComposefs) -> None:
    composefs.stage("42.2")
    composefs.images.soft_reboot()
    await composefs.start()
    status = await composefs.until_state("idle")
    assert (status["booted"]["version"], status["pending"]) == ("42.2", None)


@pytest.mark.parametrize("source", ["composefs:{}", "transient:composefs={}"])
async def test_an_overlay_of_usr_is_waited_for(composefs: OnComposefs, source: str) -> None:
    composefs.images.source = source
    composefs.images.mount(composefs.images.menu[0], overlay=True)
    composefs.stage("42.2")
    await composefs.start()
    await composefs.until_blocked("unlocked")


async def test_systemd_is_asked_for_the_timer_of_bootc_once_however_often_we_look(
    bare: BootcHost,
) -> None:
    bare.logind.add_inhibitor(HOLD_ON)
    await bare.start()
    await bare.until_state("idle")
    asked = bare.systemd.calls.count("GetUnit")
    for version in ("42.2", "42.3", "42.4"):
        await until_pending(bare, bare.stage(version))
    assert bare.systemd.calls.count("GetUnit") == asked


async def test_a_timer_of_bootc_that_is_started_later_is_a_conflict_at_once(
    bare: BootcHost,
) -> None:
    bare.logind.add_inhibitor(HOLD_ON)
    bare.stage("42.2")
    await bare.start()
    await bare.until_blocked("inhibited")
    bare.systemd.set_service(SERVICE, [APPLY], needed=[])
    bare.systemd.set_unit(TIMER, "active")
    await bare.until(lambda status: "driver_conflict" in reasons(status))
    bare.systemd.set_service(SERVICE, [STAGE], needed=[])
    bare.systemd.reload()
    await bare.until_blocked("inhibited")


async def test_while_systemd_is_away_what_it_last_said_of_the_timer_stands(
    bare: BootcHost,
) -> None:
    bare.systemd.set_service(SERVICE, [APPLY], needed=[])
    bare.systemd.set_unit(TIMER, "active")
    bare.logind.add_inhibitor(HOLD_ON)
    bare.stage("42.2")
    await bare.start()
    await bare.until(lambda status: "driver_conflict" in reasons(status))
    await bare.systemd.service.leave()
    target = bare.stage("42.3")
    status = await bare.until(lambda status: status["pending"]["id"] == target)
    assert "state_unknown" not in reasons(status)
    assert "driver_conflict" in reasons(status)
    bare.systemd.set_unit(TIMER, "inactive")
    await bare.systemd.service.enter()
    await bare.until_blocked("inhibited")

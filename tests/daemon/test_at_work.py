"""Somebody works on the deployments, or changes them in another way than by an update."""

from tests.fakes.host import Host, Json, reasons

BAD, GOOD = ("rw", "x=locked", "root=/dev/nowhere"), ("rw", "x=locked", "quiet")


async def test_a_locked_update_that_is_withdrawn_reboots_nothing(host: Host) -> None:
    """Its file, and the lock in it, is gone a second before rpm-ostreed knows."""
    await host.os.stage("42.2", lock="gvariant")
    await host.start()
    await host.until_blocked("finalization_locked")
    host.trees.begin_withdrawal()
    status = await host.until_blocked("state_unknown", "finalization_locked")
    assert "42.2 is being withdrawn" in status["blockers"][0]["detail"]
    host.trees.end_withdrawal()
    status = await host.until_state("idle")
    assert (status["pending"], status["blockers"]) == (None, [])
    assert host.reboots() == 0


async def test_a_sysroot_that_is_at_work_is_waited_for(host: Host) -> None:
    """bootc writes the staged file first, then pulls, and rpm-ostreed knows of no transaction."""
    await host.start()
    await host.until_state("idle")
    lock = host.trees.lock_sysroot()
    host.trees.stage("42.2")
    status = await host.until_blocked("transaction_active")
    assert "bootc, ostree or rpm-ostree is at work" in status["blockers"][0]["detail"]
    assert host.reboots() == 0
    lock.release()
    await host.until_state("rebooting")


async def test_a_lock_taken_before_an_update_is_wanted_wakes_nobody(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    calls = host.os.calls["Reload"]
    lock = host.trees.lock_sysroot()
    lock.release()
    host.trees.lock_sysroot("flock").die()
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    assert host.os.calls["Reload"] > calls
    assert host.reboots() <= 1


async def test_kernel_arguments_that_fail_are_quarantined_and_others_are_not(host: Host) -> None:
    for _ in range(2):
        await host.os.change_arguments(*BAD)
        await host.start()
        await host.logind.rebooted.wait()
        await host.stop()  # as it is before anything is finalized
        host.trees.fail_to_finalize()
        await host.reboot()
    await host.os.change_arguments(*BAD)
    host.systemd.fail_unit("ostree-boot-complete.service", "exit-code")
    await host.start()
    status = await host.until_blocked("quarantined")
    assert [past["outcome"] for past in status["history"]] == ["not_applied", "not_applied"]
    await host.os.change_arguments(*GOOD)
    status = await host.until_state("rebooting")
    assert status["pending"]["change"]["kernel_arguments"]["added"] == ["quiet"]
    await host.reboot()
    await host.start()
    status = await host.until_state("idle")
    assert status["history"][-1]["outcome"] == "succeeded"
    assert len(status["quarantine"]) == 1


async def test_kernel_arguments_that_reboot_by_themselves_are_left_to_do_so(host: Host) -> None:
    """`rpm-ostree kargs --reboot` calls logind with its transaction open, which never ends."""
    await host.start()
    await host.until_state("idle")
    await host.os.change_arguments(*GOOD, reboot=host.logind.begin_shutdown)
    await host.until_blocked("transaction_active", "shutdown_scheduled")
    await host.reboot()
    await host.os.leave()
    await host.os.start()
    assert host.reboots() == 0
    await host.start()
    status = await host.until_state("idle")
    assert (status["history"], status["quarantine"]) == ([], [])


async def test_what_changes_is_said_where_the_version_does_not(host: Host) -> None:
    host.configure('[updates]\nstrategy = "off"\n')
    await host.start()
    await host.os.change_arguments("rw", "quiet")
    await host.until(lambda status: bool(status["pending"]))
    code, out, _ = await host.ctl("status")
    assert code == 0
    said = " ".join(out.split())
    assert "the booted version, changed; kernel arguments +quiet -x=locked" in said


async def test_the_unit_that_did_not_finalize_is_named_in_the_history(host: Host) -> None:
    await host.os.stage("42.2")
    await host.start()
    await host.logind.rebooted.wait()
    await host.stop()  # as it is before anything is finalized
    host.trees.fail_to_finalize()
    host.systemd.fail_unit("ostree-boot-complete.service", "exit-code")
    await host.reboot()
    await host.start()
    status = await host.until_state("idle")
    [past] = status["history"]
    assert past["outcome"] == "not_applied"
    assert past["cause"].startswith("ostree-boot-complete.service failed (exit-code)")
    _, out, _ = await host.ctl("history")
    assert "journalctl -b -u ostree-boot-complete.service" in " ".join(out.split())


async def test_nobody_is_told_that_nothing_is_pending_while_rpm_ostreed_is_masked(
    host: Host,
) -> None:
    host.configure('updates.source = "rpm-ostree"\n')  # `auto` finds it gone
    await host.os.leave()
    host.trees.stage("42.2")
    await host.start(wait=False)

    def is_unknown(status: Json) -> bool:
        return reasons(status) == ["state_unknown"]

    status = await host.until(is_unknown)
    assert status["verdict"] == "wait"
    assert "nothing" not in status["sentence"].lower()
    _, out, _ = await host.ctl("status")
    assert out.splitlines()[0].split(": ", 1)[1] == (
        "wait: cannot tell whether an update is pending"
    )

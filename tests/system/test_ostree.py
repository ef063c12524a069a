"""A real ostree host: what libostree stages, locks, withdraws, finalizes, boots, and our part."""

from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import fleet_lock
from tests.fakes.ostree_host import KARGS, REFSPEC
from tests.fakes.spoken import reasons
from tests.system.holds import hold
from tests.system.ostree_machine import OstreeMachine
from tests.system.test_updates import asked, newest

STAGE = ("ostree", "admin", "deploy", "--stage")
LOCKED = (*STAGE, "--lock-finalization")
UNDEPLOY = ("ostree", "admin", "undeploy", "0")


async def test_an_update_staged_by_ostree_is_booted_and_its_slot_given_back(
    host: OstreeMachine, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    await host.boot()
    await server.wait_seen(1)
    assert asked(server) == ["/v1/steady-state"], "once per boot"
    server.seen.clear()
    await host.until(lambda status: status["state"] == "idle" and not status["slots"])
    await host.do(*STAGE, "os/42.2")
    await host.until_rebooted()
    status = await host.until(lambda status: newest(status) == "succeeded" and not status["slots"])
    assert status["booted"]["version"] == "42.2"
    assert status["source"] == ("rpm-ostree" if host.has_rpm_ostreed else "ostree")
    assert asked(server) == ["/v1/pre-reboot", "/v1/steady-state"]


async def test_a_locked_update_that_is_withdrawn_reboots_nothing_not_even_midway(
    host: OstreeMachine,
) -> None:
    await host.boot()
    for _ in range(3):
        await host.do(*LOCKED, "os/42.2")
        await host.until_blocked("finalization_locked")
        async with host.midway(*UNDEPLOY):
            if host.has_rpm_ostreed:  # which still shows what ostree has forgotten
                status = await host.until(lambda status: "state_unknown" in reasons(status))
                assert "42.2 is being withdrawn" in status["blockers"][0]["detail"]
            else:
                await host.until_state("idle")
        await host.until_state("idle")
    await host.stays_up()


async def test_nothing_is_rebooted_while_ostree_itself_is_still_at_work_on_what_it_staged(
    host: OstreeMachine,
) -> None:
    await host.boot()
    held = await hold(host)
    await host.do(*STAGE, "os/42.3")
    await host.until_blocked("held")
    async with host.midway(*STAGE, "os/42.2"):
        await host.do("rebootmgrctl", "release", held)
        status = await host.until(lambda status: "transaction_active" in reasons(status))
        if host.has_rpm_ostreed:
            assert status["pending"]["version"] == "42.3", "as far as rpm-ostreed has been told"
            await host.leave_rpm_ostreed()
            await host.do("touch", "/ostree/deploy")
        status = await host.until_blocked("transaction_active")
        assert status["pending"]["version"] == "42.2"
        assert "is at work on the sysroot" in status["blockers"][0]["detail"]
    await host.until_rebooted()
    status = await host.until(lambda status: newest(status) == "succeeded")
    assert status["booted"]["version"] == "42.2"


async def test_arguments_that_are_never_finalized_are_quarantined_and_others_go_through(
    host: OstreeMachine,
) -> None:
    await host.boot()
    host.protect_boot()
    for attempts in (1, 2):
        await host.until_state("idle")
        await host.do(*STAGE, "--karg-append=bad", REFSPEC)
        await host.until_rebooted()
        status = await host.until_rebooted_times(attempts)
        assert newest(status) == "not_applied"
        assert host.arguments == KARGS
    await host.do(*STAGE, "--karg-append=bad", REFSPEC)
    await host.until_blocked("quarantined")
    host.free_boot()
    await host.do(*STAGE, "--karg-append=good", REFSPEC)
    await host.until_rebooted()
    assert host.arguments == (*KARGS, "good")
    status = await host.until(lambda status: newest(status) == "succeeded")
    assert status["booted"]["version"] == "42.1"
    await host.do(*STAGE, "--karg-delete=good", "--karg-append=bad", REFSPEC)
    status = await host.until_blocked("quarantined")
    changed = status["pending"]["change"]["kernel_arguments"]
    assert changed == {"added": ["bad"], "removed": ["good"]}

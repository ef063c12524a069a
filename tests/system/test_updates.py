"""An update on a machine that really reboots: what comes of it, and of the slot."""

from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import fleet_lock
from tests.system.machine import Machine

FIRST_LOOK = "looking at the host for the first time"  # told only if it takes its time


def asked(server: FakeFleetLock) -> list[str]:
    """What the lock server was asked, in order."""
    return [request.target for request in server.seen]


def newest(status: dict[str, object]) -> object:
    """The outcome of the last reboot."""
    history = status["history"]
    assert isinstance(history, list)
    return history[-1]["outcome"] if history else None


async def test_a_staged_update_is_booted_and_the_slot_goes_back_when_the_boot_is_complete(
    machine: Machine, server: FakeFleetLock
) -> None:
    machine.configure(fleet_lock(server.url))
    await machine.boot()
    await server.wait_seen(1)
    assert asked(server) == ["/v1/steady-state"], "once per boot"
    server.seen.clear()
    await machine.until_state("idle")
    machine.check_health()
    await machine.stage("42.2")
    await machine.until_rebooted()
    await machine.until_incomplete()
    assert asked(server) == ["/v1/pre-reboot"], "nothing is given back before boot-complete.target"
    await machine.end_health_check(well=True)
    status = await machine.until_state("idle")
    assert status["booted"]["version"] == "42.2"
    assert newest(status) == "succeeded"
    await machine.until(lambda status: not status["slots"])
    assert asked(server) == ["/v1/pre-reboot", "/v1/steady-state"]


async def test_a_machine_that_falls_back_to_the_old_deployment_stays_up_and_keeps_its_slot(
    machine: Machine, server: FakeFleetLock
) -> None:
    machine.configure(fleet_lock(server.url) + "[updates.limits]\nattempts_per_deployment = 1\n")
    machine.write("var/lib/stand-in/fate", "old")
    await machine.boot()
    await server.wait_seen(1)
    await machine.stage("42.2")
    await machine.until_rebooted()
    status = await machine.until(lambda status: bool(status["history"]))
    assert status["booted"]["version"] == "42.1"
    assert newest(status) == "rolled_back"
    await machine.stage("42.2")  # as a timer does, which knows nothing of it
    status = await machine.until_blocked("quarantined")
    [slot] = status["slots"]
    assert slot["kept"]
    assert (machine.root / "var/lib/rebootmgr/state.json").stat().st_mode & 0o077 == 0
    heard = asked(server)
    assert heard == ["/v1/steady-state", "/v1/pre-reboot"]
    forgiven = await machine.ctl("forgive")
    assert forgiven.status == 0, forgiven
    machine.write("var/lib/stand-in/fate", "apply")
    await machine.until_rebooted()
    status = await machine.until(lambda status: newest(status) == "succeeded")
    assert status["booted"]["version"] == "42.2"
    await machine.until(lambda status: not status["slots"])


async def test_an_update_that_is_not_finalized_counts_and_is_tried_once_more(
    machine: Machine, server: FakeFleetLock
) -> None:
    machine.configure(fleet_lock(server.url))
    machine.write("var/lib/stand-in/fate", "fail")
    await machine.boot()
    for attempts in (1, 2):
        await machine.stage("42.2")
        await machine.until_rebooted()
        status = await machine.until_state("idle")
        assert len(status["history"]) == attempts
        assert newest(status) == "not_applied"
    await machine.stage("42.2")
    status = await machine.until_blocked("quarantined")
    assert status["slots"][0]["kept"]


async def test_the_journal_of_a_whole_update_reads_as_a_story(
    machine: Machine, server: FakeFleetLock
) -> None:
    machine.configure(fleet_lock(server.url))
    await machine.boot()
    await machine.until_state("idle")
    await machine.stage("42.2")
    await machine.until_rebooted()
    await machine.until(lambda status: newest(status) == "succeeded" and not status["slots"])
    lines = (await machine.journal()).splitlines()
    story = [line for line in lines if FIRST_LOOK not in line]
    assert len(story) < 20, story
    assert [line for line in story if "Rebooting into 42.2" in line]
    explained = await machine.journal("--unit=rebootmgr.service", "--catalog", "--output=short")
    assert "rebootmgrctl why" in explained

"""An OS rollback brings back an older rebootmgr, but not an older /var: nothing is forgotten."""

from typing import Final

from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import fleet_lock
from tests.system.holds import hold, release
from tests.system.machine import Machine
from tests.system.packages import GREW, GROWN, NOVELTY, OLDER, install

STATE: Final = "var/lib/rebootmgr/state.json"


async def test_a_rollback_to_an_older_rebootmgr_loses_nothing_that_a_newer_one_remembered(
    machine: Machine, suite: str, server: FakeFleetLock
) -> None:
    assert (await install(machine, suite, GROWN)).status == 0
    limits = "[updates.limits]\nattempts_per_deployment = 1\n"
    machine.configure(fleet_lock(server.url) + limits)
    machine.write("var/lib/stand-in/fate", "fail")
    await machine.boot()
    await machine.stage("42.2")
    await machine.until_rebooted()
    status = await machine.until(lambda status: bool(status["quarantine"]))
    assert status["version"] == GROWN
    first = await hold(machine)
    await machine.power_off()
    newer = machine.remembered()
    assert newer["version"] == {"major": 1, "minor": 7}

    assert (await install(machine, suite, OLDER)).status == 0
    await machine.boot()
    await machine.stage("42.2")
    status = await machine.until_blocked("quarantined", "held")
    assert status["version"] == OLDER
    assert [slot["kept"] for slot in status["slots"]] == [True]
    second = await hold(machine)
    older = machine.remembered()
    assert older["version"] == {"major": 1, "minor": 0}
    assert older["novelty"] == NOVELTY
    for key in GREW:
        known = len(newer[key])
        assert known == 1, key
        assert older[key][:known] == newer[key], "with what only the newer one knows"
    assert [one["id"] for one in older["holds"]] == [first, second]
    assert server.holders == {"default": [newer["releases_owed"][0]["id"]]}

    assert (await machine.ctl("forgive")).status == 0
    await machine.until(lambda status: not status["slots"])
    assert server.holders == {"default": []}
    assert (await machine.ctl("release", second)).status == 0
    machine.write("var/lib/stand-in/fate", "apply")
    await release(machine)
    await machine.until_rebooted()
    status = await machine.until(lambda status: not status["slots"] and status["state"] == "idle")
    assert status["booted"]["version"] == "42.2"
    assert status["history"][-1]["outcome"] == "succeeded"
    assert server.holders == {"default": []}
    assert machine.remembered()["novelty"] == NOVELTY


async def test_a_state_of_a_later_kind_is_left_alone_and_nothing_is_rebooted(
    machine: Machine, server: FakeFleetLock
) -> None:
    machine.configure(fleet_lock(server.url))
    await machine.boot()
    await machine.until(lambda status: status["state"] == "idle" and not status["slots"])
    await machine.power_off()
    later = (machine.root / STATE).read_text().replace('"major": 1', '"major": 2')
    (machine.root / STATE).write_text(later)
    asked = len(server.seen)
    await machine.boot()
    await machine.stage("42.2")
    status = await machine.until_blocked("state_unreadable")
    assert "written by a newer rebootmgr (schema 2.0" in status["blockers"][0]["detail"]
    refused = await machine.ctl("hold", "--reason", "the year's end", "--forever")
    assert refused.status == 1
    assert "move the file away" in refused.out
    assert (await machine.ctl("reboot", "--now")).status == 1
    await machine.until_blocked("state_unreadable")
    assert await machine.property_of("rebootmgr.service", "ActiveState") == "active"
    await machine.power_off()
    assert (machine.root / STATE).read_text() == later
    assert machine.boots == 2
    assert len(server.seen) == asked

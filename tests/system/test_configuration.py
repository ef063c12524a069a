"""A configuration that is wrong, at the start and at a reload: said, never guessed, and mended."""

import json
from typing import Final

from tests.fakes.fleetlock import FakeFleetLock, hang
from tests.fakes.host import fleet_lock
from tests.system.holds import hold, release
from tests.system.machine import Machine
from tests.system.processes import DAEMON

FILE: Final = "/etc/rebootmgr/config.d/50-test.toml"
CLOSED: Final = """\
[updates]
strategy = "periodic"
[[updates.blackout]]
name = "the year's end"
start = 2026-01-01
end = 2999-01-01
[[updates.periodic.window]]
days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
start_time = "00:00"
length_minutes = 1440
[updates.clock]
require_synchronized = "never"
"""
WRONG: Final = '[updates]\nstrategy = "immediate"\nenabeld = true\n'
WHERE: Final = f"{FILE}:3"


async def test_a_bad_configuration_at_the_start_gives_back_the_slot_and_reboots_nothing(
    machine: Machine, server: FakeFleetLock
) -> None:
    machine.configure(fleet_lock(server.url))
    await machine.boot()
    await server.wait_seen(1)
    await machine.until(lambda status: status["state"] == "idle" and not status["slots"])
    server.script.append(hang())  # granted, but the answer never comes
    seen = len(server.seen)
    await machine.stage("42.2")
    await server.wait_seen(seen + 1)
    server.seize("default", json.loads(server.seen[-1].body)["client_params"]["id"])
    await machine.power_cut()
    machine.configure(WRONG)
    await machine.boot()
    await server.wait_seen(seen + 2)
    assert server.seen[-1].target == "/v1/steady-state"
    status = await machine.until(lambda _: not server.holders["default"])
    assert [blocker["reason"] for blocker in status["blockers"]] == ["config_invalid"]
    assert await machine.property_of(DAEMON, "ActiveState") == "active"
    assert WHERE in await machine.property_of(DAEMON, "StatusText")
    assert WHERE in await machine.journal()
    await machine.stage("42.2")
    await machine.until_blocked("config_invalid")
    reloaded = await machine.run("systemctl", "reload", DAEMON)
    assert reloaded.status != 0, "it is as wrong as before"
    await machine.until_blocked("config_invalid")
    assert machine.is_up
    machine.configure(fleet_lock(server.url))
    await hold(machine)
    await machine.do("systemctl", "reload", DAEMON)
    await release(machine)
    await machine.until_rebooted()
    status = await machine.until(lambda status: status["state"] == "idle" and status["history"])
    assert status["booted"]["version"] == "42.2"
    await machine.until(lambda _: not server.holders["default"])


async def test_a_bad_configuration_at_a_reload_leaves_the_old_one_in_force(
    machine: Machine,
) -> None:
    machine.configure(CLOSED)
    await machine.boot()
    await machine.stage("42.2")
    await machine.until_blocked("blackout")
    machine.configure(WRONG)  # with its mistake mended, it would reboot at once
    reloaded = await machine.run("systemctl", "reload", DAEMON)
    assert reloaded.status != 0
    journal = await machine.journal()
    assert WHERE in journal
    assert "enabeld" in journal
    assert WHERE in await machine.do("systemctl", "--no-pager", "status", DAEMON)
    assert await machine.property_of(DAEMON, "ActiveState") == "active"
    status = await machine.until_blocked("blackout")
    assert status["strategies"] == ["periodic"]
    assert machine.is_up
    machine.configure(WRONG.replace("enabeld", "enabled"))
    await hold(machine)
    await machine.do("systemctl", "reload", DAEMON)
    await release(machine)
    await machine.until_rebooted()
    status = await machine.until_state("idle")
    assert status["booted"]["version"] == "42.2"

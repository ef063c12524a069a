"""Who may do what, with the real bus and the real polkit (SPEC 12)."""

import asyncio
import json
from typing import Final

import pytest

from tests.fakes.fleetlock import FakeFleetLock
from tests.system.machine import REBOOTED, Machine, Ran
from tests.system.people import add_users, allow, run_as

pytestmark = pytest.mark.systems("every")  # polkit, and who may what on which bus

MANAGE: Final = "org.rebootmgr1.manage"
ORDINARY: Final = "alice"
ALLOWED: Final = "carol"
DAEMON: Final = "rebootmgr"
EVERYBODY: Final = frozenset({"root", ALLOWED, ORDINARY, DAEMON})
MANAGERS: Final = frozenset({"root", ALLOWED})
A_HOLD: Final = "{a hold}"
A_SERVER: Final = "{a server}"

# Each verb of rebootmgrctl, and who may use it.
LOOKS: Final = {
    ("status",): EVERYBODY,
    ("why",): EVERYBODY,
    ("holds",): EVERYBODY,
    ("history",): EVERYBODY,
    ("metrics",): EVERYBODY,
    ("plan",): EVERYBODY,
    ("check-config",): EVERYBODY,
    ("cat-config",): EVERYBODY,
    ("fleet-lock", "unlock", "--id", "dead-host", "--base-url", A_SERVER): EVERYBODY,
}
CHANGES: Final = {
    ("hold", "--reason", "a test", "--for", "1h"): MANAGERS,
    ("release", A_HOLD): MANAGERS,
    ("reboot",): MANAGERS,
    ("cancel",): MANAGERS,
    ("forgive",): MANAGERS,
    ("reload",): MANAGERS,
    ("fleet-lock", "lock"): MANAGERS,
    ("fleet-lock", "unlock"): MANAGERS,
}

LOGIND: Final = (
    *("busctl", "call", "org.freedesktop.login1", "/org/freedesktop/login1"),
    "org.freedesktop.login1.Manager",
)
SYSTEMCTL: Final = ("systemctl", "--no-ask-password")
# What the daemon's user may not ask of systemd; a whole list is the intruder's.
TOO_MUCH: Final = (
    (*SYSTEMCTL, "start", "rebootmgr-hook@check.service"),
    (*SYSTEMCTL, "stop", "rebootmgr-hook.socket"),
    (*SYSTEMCTL, "kill", "rebootmgr.service"),
    (*SYSTEMCTL, "mask", "rebootmgr-hook.socket"),
    (*SYSTEMCTL, "daemon-reload"),
    (*SYSTEMCTL, "stop", "dbus.service"),
    (*SYSTEMCTL, "start", "poweroff.target"),
    (*SYSTEMCTL, "set-environment", "PYTHONPATH=/var/lib/rebootmgr"),
    ("systemd-run", "--no-ask-password", "--unit=rebootmgr-hook@check.service", "/bin/true"),
    ("systemd-run", "--no-ask-password", "--unit=any.service", "/bin/true"),
    ("loginctl", "--no-ask-password", "enable-linger", DAEMON),
)

# What they say to somebody who may not.
REFUSALS: Final = ("Interactive authentication required", "Access denied", "Permission denied")


def is_refused(ran: Ran) -> bool:
    """Whether it was not done because of who asked."""
    return ran.status != 0 and any(words in ran.out for words in REFUSALS)


async def boot_with_users(machine: Machine, text: str = "") -> None:
    """Boot, with one ordinary user, and one whom the administrator's rule lets manage."""
    machine.configure(text)
    allow(machine, ALLOWED, MANAGE)
    await machine.boot()
    await add_users(machine, ORDINARY, ALLOWED)
    await machine.until_state("idle")


async def a_hold(machine: Machine) -> str:
    """Place a hold as root; its id."""
    ran = await machine.do("rebootmgrctl", "--json", "hold", "--reason", "theirs", "--forever")
    return str(json.loads(ran)["id"])


async def test_everybody_may_look(machine: Machine, server: FakeFleetLock) -> None:
    await boot_with_users(machine)

    async def look(verb: tuple[str, ...], user: str) -> None:
        words = (word.replace(A_SERVER, server.url) for word in verb)
        ran = await run_as(machine, user, "rebootmgrctl", *words)
        may = user in LOOKS[verb]
        assert (ran.status == 0) == may, f"{user}: {verb}: {ran}"

    for verb in LOOKS:
        async with asyncio.TaskGroup() as tasks:
            for user in sorted(EVERYBODY):
                tasks.create_task(look(verb, user))


async def test_only_root_and_whom_polkit_lets_may_change_anything(
    machine: Machine, server: FakeFleetLock
) -> None:
    text = '[updates]\nstrategy = "off"\n[updates.fleet_lock]\n'
    await boot_with_users(machine, f'{text}base_url = "{server.url}"\n')
    await a_hold(machine)  # or the verb `reboot` would
    await machine.stage("42.2")
    await machine.until_blocked("disabled", "held")
    server.seen.clear()
    for user in (ORDINARY, DAEMON, ALLOWED, "root"):
        for verb, who in CHANGES.items():
            words = [await a_hold(machine) if word == A_HOLD else word for word in verb]
            ran = await run_as(machine, user, "rebootmgrctl", *words)
            if user in who:
                was_done = ran.status == 0 or "there is nothing to forgive" in ran.out
                assert was_done, f"{user}: {verb}: {ran}"
            else:
                assert ran.status == 1, ran
                assert f"polkit action {MANAGE}" in ran.out, ran
                assert "may not call" in ran.out, ran
                assert not server.seen, "nothing was asked for somebody who may not"
    status = await machine.status()
    assert {hold["owner"] for hold in status["holds"]} == MANAGERS, status["holds"]
    assert machine.boots == 1
    assert machine.is_up
    journal = await machine.journal()
    assert f"polkit lets {ALLOWED} (uid" in journal
    assert f"polkit lets {ORDINARY}" not in journal


async def test_an_ordinary_user_can_neither_be_the_daemon_nor_read_what_it_remembers(
    machine: Machine,
) -> None:
    await boot_with_users(machine)
    driver = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
    own = ("busctl", "call", *driver, "RequestName", "su", "org.rebootmgr1", "2")
    taken = await run_as(machine, ORDINARY, *own)
    assert taken.status != 0, taken
    assert "denied" in taken.out or "not allowed" in taken.out, taken
    await a_hold(machine)
    for forbidden in ("/var/lib/rebootmgr", "/var/lib/rebootmgr/state.json"):
        assert (await machine.run("ls", forbidden)).status == 0
        seen = await run_as(machine, ORDINARY, "ls", "-l", "--directory", f"{forbidden}/.")
        read = await run_as(machine, ORDINARY, "cat", forbidden)
        assert "Permission denied" in seen.out, seen
        assert "Permission denied" in read.out or "Is a directory" in read.out, read
    plant = await run_as(machine, ORDINARY, "touch", "/run/rebootmgr/public/planted")
    assert "Permission denied" in plant.out, plant
    for verb in ("Reboot", "PowerOff"):
        tried = await run_as(machine, ORDINARY, *LOGIND, verb, "b", "false")
        assert is_refused(tried), tried


async def test_the_daemons_user_may_reboot_and_nothing_more(machine: Machine) -> None:
    await boot_with_users(machine)
    for command in TOO_MUCH:
        ran = await run_as(machine, DAEMON, *command)
        assert is_refused(ran), f"{command}: {ran}"
    for verb in ("PowerOff", "Halt"):
        ran = await run_as(machine, DAEMON, *LOGIND, verb, "b", "false")
        assert is_refused(ran), f"{verb}: {ran}"
    for call in (["ScheduleShutdown", "st", "reboot", f"{2**62}"], ["CancelScheduledShutdown"]):
        ran = await run_as(machine, DAEMON, *LOGIND, *call)
        assert is_refused(ran), f"{call}: {ran}"
    can = {
        verb: (await run_as(machine, DAEMON, *LOGIND, verb)).out.strip()
        for verb in ("CanReboot", "CanPowerOff", "CanHalt")
    }
    assert can.pop("CanReboot") == 's "yes"'
    assert 's "yes"' not in can.values(), can
    assert machine.is_up
    await machine.begin(f"--uid={DAEMON}", "--", *LOGIND, "Reboot", "b", "false")
    assert await machine.wait_down() == REBOOTED

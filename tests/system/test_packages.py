"""The package comes, is replaced and goes: no hold and no slot is lost, and no file is left."""

import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.fakes.fleetlock import FakeFleetLock, hang
from tests.fakes.host import NAME, Json, fleet_lock, reasons
from tests.system.holds import hold, release
from tests.system.layers import PROJECT, layers_of
from tests.system.machine import Machine
from tests.system.packages import NEWER, in_image, install, remove

pytestmark = pytest.mark.systems("every")  # each has another rpm

Take: TypeAlias = Callable[[Machine, FakeFleetLock], Awaitable[None]]

UNIT: Final = "rebootmgr.service"
STATE: Final = "var/lib/rebootmgr/state.json"
DRAINED: Final = "var/lib/stand-in/drained"
PHASES: Final = "var/lib/stand-in/phases"
DEFAULTS: Final = "etc/rebootmgr/config.d/10-defaults.toml"
ONE_ATTEMPT: Final = "[updates.limits]\nattempts_per_deployment = 1\n"
HANG: Final = "exec sleep infinity"
# What changes on a machine whoever comes and goes.
NOISE: Final = (
    *("/run/credentials", "/run/lock", "/run/log", "/run/ostree", "/run/systemd", "/run/user"),
    *("/var/cache", "/var/lib/rpm", "/var/lib/stand-in", "/var/lib/systemd", "/var/log"),
    "/var/tmp",  # noqa: S108 - looked at, not written
)
SHARED: Final = {"/run/motd.d", "/usr/share/licenses"}  # of Fedora's setup and filesystem


@pytest.fixture
async def bare(suite: str, tmp_path: Path) -> AsyncIterator[Machine]:
    """A machine that runs, and knows nothing of the product."""
    async with Machine(layers_of(suite, with_product=False), tmp_path) as machine:
        await machine.boot()
        yield machine


async def files(machine: Machine) -> set[str]:
    """Every path on it that a package might have to do with."""
    skip = [word for path in NOISE for word in ("-path", path, "-prune", "-o")]
    find = ("find", "/etc", "/usr", "/run", "/var", "-xdev", *skip, "-print")
    return set((await machine.do(*find)).splitlines())


def closed_window() -> str:
    """Configure a window that opens in three days."""
    day = (datetime.now(UTC) + timedelta(days=3)).strftime("%a")
    return (
        '[updates]\nstrategy = "periodic"\n[[updates.periodic.window]]\n'
        f'days = ["{day}"]\nstart_time = "12:00"\nlength_minutes = 60\n'
    )


def lasting(remembered: Json) -> Json:
    """What state.json holds but the time at which it was written."""
    return {key: value for key, value in remembered.items() if key != "last_seen"}


def phases(machine: Machine) -> list[str]:
    """Which phases the hooks of `draining` saw."""
    noted = machine.root / PHASES
    return noted.read_text().split() if noted.exists() else []


def holders(server: FakeFleetLock) -> list[str]:
    """Who holds the slot."""
    return server.holders.get("default", [])


async def assert_gone(machine: Machine) -> None:
    """Nothing of it runs, is known or failed."""
    assert await machine.property_of(UNIT, "LoadState") == "not-found"
    units = (
        "list-units",
        "--all",
        "--plain",
        "--no-legend",
        "--type=service,socket",
        "*rebootmgr*",
    )
    assert await machine.do("systemctl", *units) == ""
    bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
    assert await machine.bus.call(*bus, "NameHasOwner", "s", (NAME,)) == [False]
    assert "rebootmgr" not in await machine.do("ps", "-eo", "user:32,args")
    assert await machine.do("systemctl", "is-system-running") == "running\n"


# How a slot is held when the package goes


async def draining(machine: Machine, server: FakeFleetLock) -> None:
    """A drain takes its time."""
    machine.hook("pre-reboot.d", "slow", f"touch /{DRAINED}\n{HANG}")
    machine.hook("post-boot.d", "note", f'echo "$REBOOTMGR_PHASE" >>/{PHASES}')
    await machine.stage("42.2")
    is_under_way = (machine.root / DRAINED).exists
    await machine.until(lambda status: status["state"] == "preparing" and is_under_way())


async def asking(machine: Machine, server: FakeFleetLock) -> None:
    """The slot is granted, but the answer never comes."""
    seen = len(server.seen)
    server.script.append(hang())
    await machine.stage("42.2")
    await server.wait_seen(seen + 1)
    server.seize("default", json.loads(server.seen[-1].body)["client_params"]["id"])
    await machine.until_state("asking")


async def kept(machine: Machine, server: FakeFleetLock) -> None:
    """The update failed here."""
    machine.write("var/lib/stand-in/fate", "old")
    await machine.stage("42.2")
    await machine.until_rebooted()
    await machine.until(lambda status: [slot["kept"] for slot in status["slots"]] == [True])


async def holding_a_slot(machine: Machine, suite: str, server: FakeFleetLock, take: Take) -> None:
    """Install and enable it, and have it take a slot."""
    installed = await install(machine, suite)
    assert installed.status == 0, installed
    assert (await machine.run("systemctl", "is-enabled", UNIT)).out == "disabled\n"
    machine.configure(fleet_lock(server.url) + ONE_ATTEMPT)
    await machine.do("systemctl", "enable", "--now", UNIT)
    await server.wait_seen(1)
    await machine.until(lambda status: status["state"] == "idle" and not status["slots"])
    await take(machine, server)
    assert len(holders(server)) == 1


@pytest.mark.parametrize("take", [draining, asking, kept])
async def test_a_removal_gives_the_slot_back_and_leaves_what_is_the_administrators(
    bare: Machine, suite: str, server: FakeFleetLock, take: Take
) -> None:
    before = await files(bare)
    await holding_a_slot(bare, suite, server, take)
    with (bare.root / DEFAULTS).open("a") as defaults:
        defaults.write("# seen\n")
    removed = await remove(bare)
    assert removed.status == 0, removed
    assert "owed" not in removed.out
    assert holders(server) == []
    await assert_gone(bare)
    left = await files(bare) - before - SHARED
    hooks = re.compile("/etc/rebootmgr/(pre-reboot|post-boot)[.]d")
    assert {path for path in left if not hooks.match(path)} == {
        *("/etc/rebootmgr", "/etc/rebootmgr/config.d", f"/{DEFAULTS}.rpmsave"),
        *("/etc/rebootmgr/config.d/50-test.toml",),
        *("/var/lib/rebootmgr", f"/{STATE}", f"/{STATE}~"),
    }


async def test_a_removal_without_the_lock_server_says_what_is_owed_and_a_new_install_pays_it(
    bare: Machine, suite: str, server: FakeFleetLock
) -> None:
    await holding_a_slot(bare, suite, server, draining)
    [node] = holders(server)
    server.script.extend(hang() for _ in range(100))
    removed = await remove(bare)
    assert removed.status == 0, removed
    assert "A slot is still owed: journalctl --unit=rebootmgr says which" in removed.out
    way_out = f"fleet-lock unlock --id {node} --group default --base-url {server.url}`"
    assert way_out in await bare.journal()
    await assert_gone(bare)
    assert holders(server) == [node]
    assert phases(bare) == ["abandoned"], "the host is not left drained"
    server.script.clear()
    (bare.root / "etc/rebootmgr/pre-reboot.d/slow").unlink()
    assert (await install(bare, suite)).status == 0
    await bare.do("systemctl", "enable", "--now", UNIT)
    await bare.until(lambda status: not status["slots"] and reasons(status) == ["held"])
    assert holders(server) == []


@pytest.mark.parametrize("take", [draining, kept])
async def test_what_the_manual_says_before_rpm_ostree_takes_it_off_gives_the_slot_back(
    bare: Machine, suite: str, server: FakeFleetLock, take: Take
) -> None:
    manual = (PROJECT / "docs/fedora-coreos.md").read_text("utf-8")
    [script] = re.findall(
        r"^### Taking it off again$.*?^```sh\n(.*?)^```$", manual, re.MULTILINE | re.DOTALL
    )
    *commands, uninstall = script.splitlines()
    assert uninstall == "sudo rpm-ostree uninstall rebootmgr"
    await holding_a_slot(bare, suite, server, take)
    done = [await bare.run(*command.split()[1:]) for command in commands]
    assert done[-1].status == 0, done
    assert holders(server) == []
    assert bare.remembered()["drained"] is False
    assert phases(bare) == (["abandoned"] if take is draining else [])
    assert await bare.property_of(UNIT, "ActiveState") == "inactive"
    assert (await bare.run("systemctl", "is-enabled", UNIT)).out == "disabled\n"


async def test_an_image_is_made_with_it_and_without_it_where_no_system_runs(
    machine: Machine, suite: str
) -> None:
    def left() -> list[str]:
        walk = os.walk(machine.root)
        paths = [f"{top}/{name}" for top, folders, names in walk for name in (*folders, *names)]
        rpms = machine.root / "root"
        return [
            path
            for path in paths
            if "rebootmgr" in Path(path).name and rpms not in Path(path).parents
        ]

    assert left()
    removed = await remove(machine)
    assert removed.status == 0, removed
    assert left() == []
    installed = await install(machine, suite)
    assert installed.status == 0, installed
    enabled = await in_image(machine, "systemctl", "enable", UNIT)
    assert enabled.status == 0, enabled
    await machine.boot()
    await machine.until_state("idle")
    assert await machine.do("systemctl", "is-system-running") == "running\n"


async def test_an_upgrade_while_an_update_waits_restarts_the_daemon_and_forgets_nothing(
    machine: Machine, suite: str
) -> None:
    machine.configure(closed_window())
    await machine.boot()
    await machine.stage("42.2")
    await hold(machine)
    before = await machine.until_blocked("held", "outside_window")
    remembered = machine.remembered()
    upgraded = await install(machine, suite, NEWER)
    assert upgraded.status == 0, upgraded
    after = await machine.until_blocked("held", "outside_window")
    assert (before["version"], after["version"]) == ("0.1.0", NEWER)
    assert after["holds"] == before["holds"]
    assert after["pending"]["id"] == before["pending"]["id"]
    assert lasting(machine.remembered()) == lasting(remembered)
    machine.configure("")
    await machine.do("systemctl", "reload", UNIT)
    await release(machine)
    await machine.until_rebooted()
    status = await machine.until(lambda status: bool(status["history"]))
    assert status["history"][-1]["outcome"] == "succeeded"
    assert status["version"] == NEWER


async def test_an_upgrade_during_a_drain_ends_in_the_reboot_and_the_slot_goes_back(
    machine: Machine, suite: str, server: FakeFleetLock
) -> None:
    drained = (machine.root / DRAINED).exists
    once = f"[ -e /{DRAINED} ] && exit 0; touch /{DRAINED}"
    machine.configure(fleet_lock(server.url))
    machine.hook("pre-reboot.d", "slow", f"{once}\n{HANG}")
    machine.hook("post-boot.d", "note", f'echo "$REBOOTMGR_PHASE" >>/{PHASES}')
    await machine.boot()
    await server.wait_seen(1)
    await machine.stage("42.2")
    await machine.until(lambda status: status["state"] == "preparing" and drained())
    upgraded = await install(machine, suite, NEWER)
    assert upgraded.status == 0, upgraded
    await machine.until_rebooted()
    status = await machine.until(lambda status: bool(status["history"]) and not status["slots"])
    assert [reboot["outcome"] for reboot in status["history"]] == ["succeeded"]
    assert phases(machine) == ["post-boot", "abandoned", "post-boot"], "the drain was undone"
    assert holders(server) == []

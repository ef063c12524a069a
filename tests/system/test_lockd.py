"""The lock server as it is installed: started by its socket, as its user, in its sandbox."""

import shutil
from collections.abc import AsyncIterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from tests.system.conftest import MakeMachine
from tests.system.layers import RPM, layers_of, lockd_rpm_of
from tests.system.machine import Machine, Ran
from tests.system.packages import in_image

SERVICE: Final = "rebootmgr-lockd.service"
SOCKET: Final = "rebootmgr-lockd.socket"
USER: Final = "rebootmgr-lockd"
STORE: Final = "var/lib/rebootmgr-lockd/lockd.sqlite"
URL: Final = "http://127.0.0.1:3333"
LIBRARIES: Final = "usr/local/lib/python3.11/dist-packages"


def libraries(name: str) -> set[str]:
    """Name a library, and all that it needs."""
    found, wanted = set[str](), {name}
    while wanted:
        one = wanted.pop()
        found.add(one)
        needed = map(Requirement, distribution(one).requires or ())
        wanted |= {
            it.name for it in needed if it.marker is None or it.marker.evaluate({"extra": ""})
        }
        wanted -= found
    return found


def install_newer_aiohttp(root: Path) -> None:
    """Do what an administrator of bookworm has to do: its aiohttp is too old for the server."""
    for name in libraries("aiohttp"):
        its = distribution(name)
        for file in its.files or ():
            if file.parts[0] not in {"..", "__pycache__"} and ".pyc" not in file.suffix:
                target = root / LIBRARIES / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(str(its.locate_file(file))), target)


@pytest.fixture
async def machine(suite: str, tmp_path: Path) -> AsyncIterator[Machine]:
    """A host with the server installed beside it, not booted yet."""
    async with Machine(layers_of(suite), tmp_path, has_own_loopback=True) as machine:
        await install(machine, suite)
        if suite == "bookworm":
            install_newer_aiohttp(machine.root)
        yield machine


async def install(machine: Machine, suite: str) -> None:
    rpm = lockd_rpm_of()
    shutil.copy(rpm, machine.root / "root")
    command = (*RPM[suite], "--upgrade", f"/root/{rpm.name}")
    ran = await (machine.run(*command) if machine.is_up else in_image(machine, *command))
    assert ran.status == 0, ran.out


async def lock(machine: Machine, host: str, operation: str = "lock") -> Ran:
    """Ask as a host would, with the real client."""
    whose = ("--id", host, "--group", "default", "--base-url", URL)
    return await machine.ctl("fleet-lock", operation, *whose)


async def granted(machine: Machine, host: str) -> bool:
    ran = await lock(machine, host)
    assert ran.status == 0 or "1 of 1 slot lent" in ran.out, ran.out
    return ran.status == 0


async def said(machine: Machine) -> str:
    return await machine.journal(f"--unit={SERVICE}")


async def test_a_question_starts_the_server_which_forgets_nothing_by_restarts_and_power_cuts(
    machine: Machine,
) -> None:
    await in_image(machine, "systemctl", "enable", SOCKET)
    await machine.boot()
    assert await machine.property_of(SERVICE, "ActiveState") == "inactive"
    assert await granted(machine, "h1")
    pid = await machine.property_of(SERVICE, "MainPID")
    assert (await machine.do("stat", "--format=%U:%G", f"/proc/{pid}")).split() == [
        f"{USER}:{USER}"
    ]
    kept = await machine.do("stat", "--format=%U %a", f"/{STORE}", f"/{Path(STORE).parent}")
    assert kept.splitlines() == [f"{USER} 600", f"{USER} 700"]
    assert not await granted(machine, "h2")
    await machine.do("systemctl", "restart", SERVICE)
    assert await machine.property_of(SERVICE, "MainPID") != pid
    assert not await granted(machine, "h2")
    assert (await lock(machine, "h1", "unlock")).status == 0
    assert await granted(machine, "h2")
    await machine.power_cut()
    await machine.boot()
    assert not await granted(machine, "h1")
    assert await granted(machine, "h2"), "a slot is yours already"
    assert "Traceback" not in await said(machine)


async def test_a_reload_takes_what_is_right_and_fails_with_the_errors_of_what_is_wrong(
    machine: Machine,
) -> None:
    await in_image(machine, "systemctl", "enable", SERVICE)
    await machine.boot()
    assert await granted(machine, "h1")
    assert not await granted(machine, "h2")
    drop_in = "etc/rebootmgr-lockd/config.d/50-test.toml"
    machine.write(drop_in, "[groups.default]\nslots = many\n")
    assert (await machine.run("systemctl", "reload", SERVICE)).status != 0
    assert f"/{drop_in}:2" in await said(machine)
    assert not await granted(machine, "h2")
    machine.write(drop_in, "[groups.default]\nslots = 2\n")
    await machine.do("systemctl", "reload", SERVICE)
    assert (await lock(machine, "h2")).status == 0, "it is taken when systemctl ends"
    machine.write(drop_in, "[store]\npath = '/var/lib/rebootmgr-lockd/other.sqlite'\n")
    ran = await machine.run("systemctl", "reload", SERVICE)
    assert ran.status != 0, "valid, and not to be taken while it runs"
    assert await machine.property_of(SERVICE, "ActiveState") == "active"


async def test_people_look_and_those_who_may_change_things_do(machine: Machine) -> None:
    await in_image(machine, "systemctl", "enable", SERVICE)
    await machine.boot()
    assert await granted(machine, "h1")
    others = ("setpriv", "--reuid=nobody", "--regid=nogroup")
    looked = await machine.do(*others, "--clear-groups", "rebootmgrctl", "fleet", "status")
    assert looked.startswith("group default: 1 of 1 slot lent, 0 hosts wait\n")
    release = ("rebootmgrctl", "fleet", "release", "h1")
    refused = await machine.run(*others, "--clear-groups", *release)
    assert refused.status == 1
    assert "only root and the group rebootmgr-lockd may do that" in refused.out
    assert not await granted(machine, "h2")
    copy = "/root/lockd.sqlite"
    assert copy in await machine.do("rebootmgrctl", "fleet", "backup", copy)
    done = await machine.do(*others, f"--groups={USER}", *release)
    assert done == "h1 has no slot of group default any more; it may still reboot\n"
    assert f"nobody: {done}" in await said(machine)
    assert await granted(machine, "h2")


async def test_its_removal_leaves_the_store_and_the_agent_and_it_comes_back_to_both(
    machine: Machine, suite: str
) -> None:
    await in_image(machine, "systemctl", "enable", SERVICE)
    await machine.boot()
    assert await granted(machine, "h1")
    await machine.do("rpm", "--erase", "rebootmgr-lockd")
    assert (machine.root / STORE).exists()
    assert await machine.property_of(SERVICE, "LoadState") == "not-found"
    assert await machine.property_of("rebootmgr.service", "ActiveState") == "active"
    await install(machine, suite)
    assert await machine.property_of(SERVICE, "ActiveState") == "inactive"
    await machine.do("systemctl", "start", SERVICE)
    assert not await granted(machine, "h2")


async def test_a_library_that_is_too_old_is_named_and_nothing_is_granted(
    make_machine: MakeMachine, suite: str
) -> None:
    if suite != "bookworm":
        pytest.skip("the library of this system is new enough")
    machine = await make_machine()
    await install(machine, suite)
    await machine.boot()
    ran = await machine.run("rebootmgr-lockd")
    assert ran.status == 1
    assert "is too old for the server: it needs 3.9" in ran.out

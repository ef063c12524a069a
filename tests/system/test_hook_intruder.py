"""Who takes over the daemon's user has the host reboot, and nothing else: no root, no unit."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.system.machine import Machine
from tests.system.people import Program
from tests.system.processes import hook_units
from tests.system.story import Story

MARKER: Final = "root/marker"
SOCKET: Final = "run/rebootmgr/hooks.sock"
LOCK: Final = "run/rebootmgr/hooks.lock"
REFUSED: Final = {
    *("EACCES", "EPERM", "EROFS", "EXDEV", "EAFNOSUPPORT", "EFBIG"),
    *("AccessDenied", "InteractiveAuthorizationRequired"),
}
# What a container does not have, or hides, so that nobody can be asked for it.
ABSENT: Final = {
    "reset by sysrq": "ENOENT",
    "boot into the firmware": "NotSupported",
    "boot with a parameter": "NotSupported",
    "suspend": "SleepVerbNotSupported",
    "move into a unit": "InvalidArgs",  # none is delegated
    "end a user": "NoSuchUser",
    "kill a user": "NoSuchUser",
    **dict.fromkeys(("open its memory", "read its environment", "have its files"), "ENOENT"),
    "hold up the hooks": "ENOENT",  # where none has run yet
}
ASKED: Final = {
    *(f"systemd-{name}d.service" for name in ("hostname", "locale", "timedate")),
    "polkit.service",
}
# What the daemon has of its own. The rest of a host is not for it to write.
ITS_OWN: Final = (
    *("/var/lib/rebootmgr", "/run/rebootmgr/public", "/run/motd.d/85-rebootmgr.motd"),
    *("/tmp", "/var/tmp"),  # noqa: S108 - looked at; its unit has its own
    "/" + SOCKET,
)
# What everybody may connect to, which is to say write to.
SOCKETS: Final = ("/run/dbus/", "/run/systemd/", "/run/udev/control", "/run/user/")
GOOD: Final = ("good", "more keys")
MOST: Final = 8  # connections at once
VARIABLES: Final = {
    *("PATH", "REBOOTMGR_PHASE", "REBOOTMGR_DEPLOYMENT"),
    *("REBOOTMGR_VERSION", "REBOOTMGR_BOOTED_DEPLOYMENT"),
}
TELL: Final = "tr '\\0' '\\n' </proc/$$/environ >>/var/lib/stand-in/told\n"
PYTHON: Final = (
    "env",
    "PYTHONPATH=/opt/stand-ins",
    "PYTHONDONTWRITEBYTECODE=1",
    "/usr/bin/python3",
)
IN_ITS_PLACE: Final = """\
[Service]
Type=oneshot
WatchdogSec=0
Restart=no
Environment=PYTHONPATH=/opt/stand-ins PYTHONDONTWRITEBYTECODE=1
ExecStart=
ExecStart=/usr/bin/python3 -m tests.system.guest.intruder plant 0
StandardOutput=truncate:/var/lib/stand-in/came
"""


async def in_the_sandbox(machine: Machine) -> tuple[str, ...]:
    """Become the daemon's user where the daemon is: in its mounts."""
    daemon = await machine.property_of("rebootmgr.service", "MainPID")
    become = ("--reuid=rebootmgr", "--regid=rebootmgr", "--init-groups", "--bounding-set=-all")
    return ("nsenter", f"--target={daemon}", "--mount", "setpriv", *become, "--no-new-privs")


async def outside(_: Machine) -> tuple[str, ...]:
    """Become the daemon's user with nothing but its rights."""
    return ("setpriv", "--reuid=rebootmgr", "--regid=rebootmgr", "--init-groups")


async def intrude(machine: Machine, become: tuple[str, ...], *verb: str) -> dict[str, Any]:
    """Let the intruder do it; what came of it."""
    said = await machine.do(*become, *PYTHON, "-m", "tests.system.guest.intruder", *verb)
    came: dict[str, Any] = json.loads(said)
    return came


def was_done(came: dict[str, str]) -> dict[str, str]:
    """What was not refused."""
    assert len(came) > 80
    return {
        what: how
        for what, how in came.items()
        if how not in REFUSED and how != ABSENT.get(what, "EPERM")
    }


def is_roots_alone(path: Path) -> bool:
    facts = path.lstat()
    return facts.st_uid == facts.st_gid == 0 and not facts.st_mode & 0o022


async def units_of(machine: Machine) -> set[str]:
    """The services, scopes and sockets that there are, but for what anybody's question starts."""
    kinds = "--type=service,scope,socket,slice"
    listed = await machine.do("systemctl", "list-units", "--all", "--plain", "--no-legend", kinds)
    names = {line.split()[0] for line in listed.splitlines()}
    return {name for name in names if not name.startswith("run-") and name not in ASKED}


@pytest.mark.parametrize("where", [outside, in_the_sandbox])
async def test_the_daemons_user_has_no_root_and_no_unit_and_no_word_with_the_host(
    machine: Machine, where: Any
) -> None:
    story = Story(machine)
    for directory in ("checks.d", "pre-reboot.d", "post-boot.d"):
        story.hook(directory, "10-drain")
    await machine.boot()
    await story.until("post-boot 10-drain")
    await machine.until_state("idle")
    for ours in ("run/rebootmgr", LOCK):
        assert is_roots_alone(machine.inside(ours)), ours
    daemon = await machine.property_of("rebootmgr.service", "MainPID")
    assert machine.inside(f"proc/{daemon}/environ").stat().st_uid == 0, "it can be dumped"
    before = await units_of(machine)
    came = await intrude(machine, await where(machine), "plant", daemon)
    assert was_done(came["came"]) == {}
    assert await units_of(machine) <= before
    assert not machine.inside("var/lib/systemd/linger/rebootmgr").exists()
    assert not (machine.root / MARKER).exists()
    assert await machine.property_of("rebootmgr.service", "MainPID") == daemon
    story.forget()
    await machine.stage("42.2")
    await machine.until_rebooted()
    phases = ("check", "pre-reboot", "check", "post-boot")
    await story.until(*(f"{phase} 10-drain" for phase in phases))
    assert not (machine.root / MARKER).exists()
    await machine.do("/var/lib/rebootmgr/evil")
    assert (machine.root / MARKER).exists(), "it would have told"


async def test_whatever_code_runs_in_the_place_of_the_daemon_it_is_shut_in(
    machine: Machine,
) -> None:
    """The whole unit: its user, its mounts, its filter of system calls, its limits."""
    for directory in ("checks.d", "pre-reboot.d", "post-boot.d"):
        machine.hook(directory, "10-drain", "exit 0")
    machine.write("etc/systemd/system/rebootmgr.service.d/intruder.conf", IN_ITS_PLACE)
    await machine.boot()
    await machine.do("systemctl", "start", "rebootmgr.service")
    came = json.loads((machine.root / "var/lib/stand-in/came").read_text())
    assert was_done(came["came"]) == {}
    other = [path for path in came["writable"] if not path.startswith((*ITS_OWN, *SOCKETS))]
    assert other == []
    assert not machine.inside("var/lib/systemd/linger/rebootmgr").exists()
    assert not (machine.root / MARKER).exists()


async def test_an_order_that_is_none_starts_no_hook_and_a_good_one_carries_words_alone(
    machine: Machine,
) -> None:
    story = Story(machine)
    story.hook("checks.d", "10-check", TELL)
    await machine.boot()
    await machine.until_state("idle")
    came = await intrude(machine, await outside(machine), "steer")
    assert len(came) > len(GOOD) + 10
    for name in GOOD:
        assert came.pop(name) == [{"hook": "10-check", "exit": 0, "last_line": ""}, {"end": True}]
    assert [name for name, answer in came.items() if answer] == []
    assert story.lines == ["check 10-check"] * len(GOOD)
    told = (machine.root / "var/lib/stand-in/told").read_text().splitlines()
    assert {line.partition("=")[0] for line in told} == VARIABLES
    assert not [line for line in told if "evil" in line or "LD_PRELOAD" in line]
    assert not (machine.root / MARKER).exists()


async def test_nobody_but_the_daemons_user_and_root_may_ask_for_hooks(machine: Machine) -> None:
    story = Story(machine)
    story.hook("checks.d", "10-check")
    await machine.boot()
    await machine.do("useradd", "--create-home", "alice")
    mode = machine.inside(SOCKET).stat()
    daemon = (machine.root / "var/lib/rebootmgr").stat().st_uid
    assert (mode.st_uid, mode.st_mode & 0o777) == (daemon, 0o600)
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect('/{SOCKET}')"
    tried = await machine.run("--uid=alice", "--", "/usr/bin/python3", "-c", connect)
    assert "PermissionError" in tried.out
    assert story.lines == []


async def test_a_flood_of_connections_costs_the_hooks_and_they_are_back_when_it_ends(
    machine: Machine,
) -> None:
    """No reboot comes while it lasts, or nobody would be there to end it."""
    may = machine.root / "var/lib/stand-in/may"
    machine.hook("checks.d", "10-check", f"[ -e /{may.relative_to(machine.root)} ]")
    await machine.boot()
    await machine.until_state("idle")
    async with Program(machine, "intruder", "flood", user="rebootmgr") as intruder:
        assert await intruder.hear() == "flooding\n"
        await machine.stage("42.2")
        await machine.until_blocked("check_failed")
        assert len(hook_units(machine)) <= MOST + 2  # some are just being ended
        assert (await machine.status())["pending"]["version"] == "42.2", (
            "it still says what it does"
        )
    may.touch()
    await machine.do("systemctl", "reload", "rebootmgr.service")  # drops the back-off
    await machine.until_rebooted()
    status = await machine.until(lambda status: bool(status["history"]))
    assert status["history"][-1]["outcome"] == "succeeded"

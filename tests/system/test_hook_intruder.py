"""Who takes over the daemon's user has root run nothing: hooks are not planted and not steered."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fakes.host import reasons
from tests.system.machine import Machine
from tests.system.people import Program
from tests.system.story import Story

MARKER: Final = "root/marker"
CHECK: Final = "rebootmgr-hook@check.service"
RESULT: Final = "run/rebootmgr/hooks/check.json"
REFUSED: Final = {"EACCES", "EPERM", "EROFS", "AccessDenied", "InteractiveAuthorizationRequired"}
# What polkit lets happen, because unit and verb are ours; then it is systemd that refuses.
BY_SYSTEMD: Final = {
    "isolate a hook": {"NoIsolation"},
    "be a hook": {"UnitExists"},
    "be a hook after all": {"UnitExists"},
}
GOOD: Final = ("good", "more keys")
BAD: Final = {
    "a variable": "deployment is longer than",
    "a line more": "deployment is longer than",
    "a command": "deployment is longer than",
    "nothing": "is no JSON",
    "a large one": "is larger than 8192 bytes",
    "a link": "Too many levels of symbolic links",
    "a link to a secret": "Too many levels of symbolic links",
    "a link to endless data": "Too many levels of symbolic links",
    "a fifo": "is no regular file",
    "a directory": "Is a directory",
    "a socket": "No such device or address",
}
TELL: Final = "tr '\\0' '\\n' </proc/$$/environ >>/var/lib/stand-in/told\n"
VARIABLES: Final = {
    *("PATH", "REBOOTMGR_PHASE", "REBOOTMGR_DEPLOYMENT"),
    *("REBOOTMGR_VERSION", "REBOOTMGR_BOOTED_DEPLOYMENT"),
}


async def in_the_sandbox(machine: Machine) -> tuple[str, ...]:
    """Become the daemon's user where the daemon is: in its mounts."""
    daemon = await machine.property_of("rebootmgr.service", "MainPID")
    become = ("--reuid=rebootmgr", "--regid=rebootmgr", "--init-groups", "--bounding-set=-all")
    return ("nsenter", f"--target={daemon}", "--mount", "setpriv", *become, "--no-new-privs")


async def outside(_: Machine) -> tuple[str, ...]:
    """Become the daemon's user with nothing but its rights."""
    return ("setpriv", "--reuid=rebootmgr", "--regid=rebootmgr", "--init-groups")


async def intrude(machine: Machine, become: tuple[str, ...], verb: str) -> dict[str, Any]:
    """Let the intruder do it; what came of it."""
    python = ("env", "PYTHONPATH=/opt/stand-ins", "PYTHONDONTWRITEBYTECODE=1", "/usr/bin/python3")
    said = await machine.do(*become, *python, "-m", "tests.system.guest.intruder", verb)
    came: dict[str, Any] = json.loads(said)
    return came


def is_roots_alone(path: Path) -> bool:
    facts = path.lstat()
    return facts.st_uid == facts.st_gid == 0 and not facts.st_mode & 0o022


@pytest.mark.parametrize("where", [outside, in_the_sandbox])
async def test_nothing_of_the_daemons_user_is_run_by_root(machine: Machine, where: Any) -> None:
    story = Story(machine)
    for directory in ("checks.d", "pre-reboot.d", "post-boot.d"):
        story.hook(directory, "10-drain", "[ -p /run/gate ] && read -r _ </run/gate; exit 0")
    await machine.boot()
    await story.until("post-boot 10-drain")
    await machine.do("systemctl", "start", CHECK)
    await machine.do("mkfifo", "/run/gate")
    await machine.do("systemctl", "start", "--no-block", CHECK)
    await story.until(*("post-boot 10-drain", "check 10-drain", "check 10-drain"))
    for ours in ("run/rebootmgr", "run/rebootmgr/hooks", RESULT):
        assert is_roots_alone(machine.inside(ours)), ours
    came = await intrude(machine, await where(machine), "plant")
    done = {
        what: how
        for what, how in came.items()
        if how not in REFUSED and how not in BY_SYSTEMD.get(what, set())
    }
    assert not done
    assert len(came) > 30
    assert not (machine.root / MARKER).exists()
    assert await machine.property_of(CHECK, "ActiveState") == "activating"
    await machine.do("systemctl", "stop", CHECK)
    await machine.do("rm", "/run/gate")
    story.forget()
    await machine.stage("42.2")
    await machine.until_rebooted()
    phases = ("check", "pre-reboot", "check", "post-boot")
    await story.until(*(f"{phase} 10-drain" for phase in phases))
    assert not (machine.root / MARKER).exists()
    await machine.do("/var/lib/rebootmgr/evil")
    assert (machine.root / MARKER).exists(), "it would have told"


async def test_an_order_that_is_none_starts_no_hook_and_a_good_one_carries_words_alone(
    machine: Machine,
) -> None:
    story = Story(machine)
    may = machine.root / "var/lib/stand-in/may"
    story.hook("checks.d", "10-check", f"{TELL}[ -e /{may.relative_to(machine.root)} ] || exit 1")
    await machine.boot()
    may.touch()
    came = await intrude(machine, await outside(machine), "steer")
    assert set(came) == {*GOOD, *BAD}
    for name in GOOD:
        assert came[name]["exit"] == 0, came[name]
    for name, why in BAD.items():
        assert came[name]["exit"] == 126, came[name]
        assert why in came[name]["last_line"], came[name]
    assert story.lines == ["check 10-check"] * len(GOOD)
    may.unlink()
    async with Program(machine, "intruder", "swap", user="rebootmgr") as intruder:
        assert await intruder.hear() == "swapping\n"
        await machine.stage("42.2")
        for _ in range(4):
            await until_checked_again(machine)
    told = (machine.root / "var/lib/stand-in/told").read_text().splitlines()
    assert {line.partition("=")[0] for line in told} == VARIABLES
    assert not [line for line in told if "evil" in line or "LD_PRELOAD" in line]
    assert not (machine.root / MARKER).exists()
    may.touch()
    await machine.run("systemctl", "reload", "rebootmgr.service")
    await machine.until_rebooted()
    assert not (machine.root / MARKER).exists()


async def until_checked_again(machine: Machine) -> None:
    """Have the daemon run its checks, which fail."""
    result = machine.inside(RESULT)
    before = result.stat().st_mtime_ns
    await machine.do("systemctl", "reload", "rebootmgr.service")  # drops the back-off
    await machine.until(
        lambda status: (
            result.stat().st_mtime_ns != before
            and status["state"] == "waiting"
            and reasons(status) == ["check_failed"]
        )
    )

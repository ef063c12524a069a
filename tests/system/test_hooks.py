"""The administrator's hooks on a real host: as root behind a socket, in order, and to an end."""

import asyncio
import os
from typing import Final

from rebootmgr.core.model import Phase
from tests.fakes.fleetlock import FakeFleetLock, reply
from tests.fakes.host import fleet_lock, reasons
from tests.system.machine import Machine
from tests.system.processes import HOOKS, hook_units
from tests.system.story import Story

PRE: Final = "/v1/pre-reboot"
STEADY: Final = "/v1/steady-state"
DAEMON: Final = "rebootmgr.service"
TOLD: Final = "var/lib/stand-in/told"
TELL: Final = f"""
mkdir -p /{TOLD}
tr '\\0' '\\n' </proc/$$/environ >/{TOLD}/$REBOOTMGR_PHASE
echo "uid=$(id -u)" >>/{TOLD}/$REBOOTMGR_PHASE
echo "unit=$(sed -n 's|^0::.*/||p' /proc/self/cgroup)" >>/{TOLD}/$REBOOTMGR_PHASE
"""
MAY: Final = "var/lib/stand-in/may"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


def told(machine: Machine, phase: Phase) -> dict[str, str]:
    """What the hook of a phase was told, and as what it ran."""
    lines = (machine.root / TOLD / phase).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


async def try_again(machine: Machine) -> None:
    """Have the back-off dropped."""
    await machine.do("systemctl", "reload", DAEMON)


async def is_running_well(machine: Machine) -> bool:
    """Whether no unit failed."""
    return (await machine.run("systemctl", "is-system-running")).out.strip() == "running"


async def test_a_whole_update_asks_checks_drains_and_undoes_in_order(
    machine: Machine, server: FakeFleetLock
) -> None:
    story = Story(machine, server)
    story.hook("checks.d", "10-check")
    story.hook("pre-reboot.d", "10-drain")
    story.hook("post-boot.d", "10-undo")
    machine.configure(fleet_lock(server.url))
    await machine.boot()
    await story.until("post-boot 10-undo", STEADY)
    await machine.until_state("idle")
    story.forget()
    machine.check_health()
    grant = asyncio.Event()
    server.script.append(reply(200, gate=grant))
    await machine.stage("42.2")
    await story.until("check 10-check", PRE)
    await machine.until_state("asking")
    assert story.lines == ["check 10-check", PRE], "nothing is drained before the grant"
    grant.set()
    await machine.until_rebooted()
    before = ["check 10-check", PRE, "pre-reboot 10-drain", "check 10-check"]
    assert story.lines == before
    await machine.until_incomplete()
    assert story.lines == before, "nothing is undone before boot-complete.target"
    await machine.end_health_check(well=True)
    await story.until(*before, "post-boot 10-undo", STEADY)
    status = await machine.until(lambda status: bool(status["history"]))
    assert status["history"][-1]["outcome"] == "succeeded"


async def test_each_phase_runs_as_root_in_a_unit_with_this_environment_and_no_more(
    machine: Machine,
) -> None:
    story = Story(machine)
    story.hook("checks.d", "10-tell", TELL)
    story.hook("pre-reboot.d", "10-tell", f"{TELL}\n[ -e /{MAY} ]")
    story.hook("post-boot.d", "10-tell", TELL)
    await machine.boot()
    await machine.until_state("idle")
    await machine.do("systemctl", "set-environment", "LD_PRELOAD=", "PYTHONPATH=/opt", "EXTRA=1")
    old = (await machine.status())["booted"]["id"]
    new = await machine.stage("42.2")
    await machine.until_blocked("hook_failed")
    target = {"REBOOTMGR_DEPLOYMENT": new, "REBOOTMGR_VERSION": "42.2"}
    nothing = dict.fromkeys(target, "")
    about = {
        Phase.POST_BOOT: nothing,
        Phase.CHECK: target,
        Phase.PRE_REBOOT: target,
        Phase.ABANDONED: nothing,
    }
    units = set()
    for phase, words in about.items():
        was_told = told(machine, phase)
        units.add(was_told.pop("unit"))
        assert was_told == {
            "PATH": PATH,
            "REBOOTMGR_PHASE": phase,
            "REBOOTMGR_BOOTED_DEPLOYMENT": old,
            **words,
            "uid": "0",
        }
    assert len(units) == len(about)
    assert all(unit.startswith(HOOKS) for unit in units)
    await story.until(*(f"{phase} 10-tell" for phase in about))
    machine.write(MAY, "")
    await machine.run("systemctl", "reload", DAEMON)
    await machine.until_rebooted()
    await machine.until_state("idle")
    assert told(machine, Phase.POST_BOOT)["REBOOTMGR_BOOTED_DEPLOYMENT"] == new


async def test_hooks_of_all_directories_run_in_byte_order_and_are_heard_line_by_line(
    machine: Machine,
) -> None:
    story = Story(machine)
    vendor = machine.root / "usr/lib/rebootmgr/checks.d"
    vendor.mkdir(parents=True, exist_ok=True)
    for name in ("15-masked", "20-own", "a"):
        (vendor / name).write_text(f"#!/bin/sh\necho vendor {name}\n")
        (vendor / name).chmod(0o755)
    story.hook("checks.d", "20-own", "printf 'one\\ntwo\\033[31m\\n'; echo three >&2")
    story.hook("checks.d", "B", "echo not yet; exit 3")
    story.hook("checks.d", "b", "echo never")
    (machine.root / "etc/rebootmgr/checks.d/15-masked").symlink_to("/dev/null")
    await machine.boot()
    runtime = machine.inside("run/rebootmgr/checks.d")
    runtime.mkdir()
    (runtime / "10-runtime").write_text("#!/bin/sh\necho in /run\n")
    (runtime / "10-runtime").chmod(0o755)
    await machine.stage("42.2")
    status = await machine.until_blocked("check_failed")
    assert status["blockers"][0]["detail"] == "B: not yet"
    said = await machine.journal("-t", "rebootmgr-hook")
    assert said.splitlines()[:6] == [
        *("10-runtime: in /run", "20-own: one", "20-own: two [31m", "20-own: three"),
        *("B: not yet", "B failed: not yet"),
    ]
    warned = await machine.journal("-t", "rebootmgr-hook", "--priority=warning")
    assert set(warned.splitlines()) == {"B failed: not yet"}


async def test_a_check_that_says_no_is_named_and_no_unit_fails_for_it(machine: Machine) -> None:
    check = machine.root / "etc/rebootmgr/checks.d/10-backup"
    machine.hook("checks.d", check.name, "echo looking; echo backup still running; exit 1")
    await machine.boot()
    await machine.stage("42.2")

    async def detail_is(detail: str) -> None:
        await machine.until(
            lambda status: (
                reasons(status) == ["check_failed"] and status["blockers"][0]["detail"] == detail
            )
        )

    await detail_is("10-backup: backup still running")
    shown = (await machine.ctl("why")).out
    assert "10-backup: backup still running" in " ".join(shown.split())
    assert await is_running_well(machine)
    check.chmod(0o777)
    await try_again(machine)
    path = f"/{check.relative_to(machine.root)}"
    await detail_is(f"10-backup: {path} can be written by others (mode 0777): chmod go-w")
    check.chmod(0o755)
    daemon = (machine.root / "var/lib/rebootmgr").stat().st_uid
    os.chown(check, daemon, -1)
    await try_again(machine)
    await detail_is(f"10-backup: {path} belongs to user {daemon}, not 0: chown it")
    check.unlink()
    machine.write("var/lib/rebootmgr/backup", "#!/bin/sh\nexit 0\n", mode=0o755)
    check.symlink_to("/var/lib/rebootmgr/backup")
    await try_again(machine)
    await detail_is(f"10-backup: /var/lib/rebootmgr belongs to user {daemon}, not 0: chown it")
    assert await is_running_well(machine)
    check.unlink()
    await machine.run("systemctl", "reload", DAEMON)
    await machine.until_rebooted()


async def test_a_hook_that_never_ends_is_killed_with_all_that_it_started(
    machine: Machine, server: FakeFleetLock
) -> None:
    story = Story(machine, server)
    machine.configure(fleet_lock(server.url) + "[hooks]\ntimeout_seconds = 3\n")
    await machine.boot()
    await story.until(STEADY)
    await machine.until_state("idle")
    story.forget()
    stubborn = (
        "trap '' TERM\n"
        "sleep infinity & echo $! >>/run/started\n"
        "setsid sleep infinity & echo $! >>/run/started\n"
        "echo $$ >>/run/started\n"
        "echo waiting for godot\n"
        "while :; do wait; done\n"
    )
    story.hook("pre-reboot.d", "10-stubborn", stubborn)
    alive = "while read -r pid; do kill -0 $pid && echo alive >>/run/alive; done </run/started\n"
    story.hook("post-boot.d", "10-stubborn", f"{alive}{stubborn}")
    story.hook("post-boot.d", "20-undo")
    why = "took longer than 3 s; it last said: waiting for godot"
    drained = (PRE, "pre-reboot 10-stubborn", "abandoned 10-stubborn")
    await machine.stage("42.2")
    await story.until(*drained)
    await machine.cleanup()  # or it would be tried again, with the slot that it has
    await story.until(*drained, "abandoned 20-undo", STEADY)
    said = await machine.journal("-t", "rebootmgr-hook", "--priority=warning")
    assert said.splitlines() == [f"10-stubborn failed: {why}"] * 2
    assert hook_units(machine) == []
    started = machine.inside("run/started").read_text().split()
    assert len(started) == 6
    assert not [pid for pid in started if machine.inside(f"proc/{pid}").exists()]
    assert not machine.inside("run/alive").exists()
    assert await is_running_well(machine)
    assert machine.boots == 1


async def test_a_drain_goes_on_while_systemd_reloads_and_executes_itself_anew(
    machine: Machine, server: FakeFleetLock
) -> None:
    story = Story(machine, server)
    machine.configure(fleet_lock(server.url))
    await machine.boot()
    await story.until(STEADY)
    story.forget()
    story.hook("pre-reboot.d", "10-drain", "mkfifo /run/gate; read -r _ </run/gate")
    await machine.stage("42.2")
    await story.until(PRE, "pre-reboot 10-drain")
    await machine.do("systemctl", "daemon-reload")
    await machine.do("systemctl", "daemon-reexec")
    assert len(hook_units(machine)) == 1
    await machine.until_state("preparing")
    machine.inside("run/gate").write_text("\n")
    await machine.until_rebooted()
    await story.until(PRE, "pre-reboot 10-drain", STEADY)

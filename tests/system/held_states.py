"""How a machine is brought to each state and held there, by what could hold it on a real host.

Hooks that hang, a lock server that does not answer, services that are stopped, a delay inhibitor.
What holds does so once: after the fault, the host goes on.
"""

import json
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.fakes.fleetlock import FakeFleetLock, hang
from tests.fakes.host import fleet_lock
from tests.system.holds import hold, release
from tests.system.machine import Machine
from tests.system.processes import RPM_OSTREED, Process

Bring: TypeAlias = Callable[[Machine, FakeFleetLock], Awaitable[None]]
Act: TypeAlias = Callable[[Machine], Awaitable[None]]

PATIENT_LOGIND: Final = "[Login]\nInhibitDelayMaxSec=1h\n"
POLKIT: Final = "polkit.service"
_HELD: Final = "var/lib/stand-in/held"
_ONCE: Final = f"[ -e /{_HELD} ] && exit 0; touch /{_HELD}\n"
_HANG: Final = "exec sleep infinity\n"


async def nothing(machine: Machine) -> None:
    """For a host that goes on by itself."""


def is_held_by_script(machine: Machine) -> bool:
    """Whether what holds once has begun to."""
    return (machine.root / _HELD).exists()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A state. `go_on`: what a host needs whose daemon alone was killed.

    `is_there`: what more there is to wait for. `boots` are those until it is reached; `judged`:
    what the boot after a power cut is found to be, where a reboot was on record.
    """

    name: str
    state: str
    bring: Bring
    go_on: Act = nothing
    is_there: Callable[[Machine], bool] = lambda _: True
    boots: int = 1
    judged: tuple[str, ...] = ()


async def reach(machine: Machine, server: FakeFleetLock, held: Held) -> None:
    """Bring the machine there; from then on a health check holds up each boot."""
    machine.configure(fleet_lock(server.url))
    machine.write("etc/systemd/logind.conf.d/patience.conf", PATIENT_LOGIND)
    await machine.boot()
    await server.wait_seen(1)
    await machine.until(lambda status: status["state"] == "idle" and not status["slots"])
    machine.check_health()
    await held.bring(machine, server)
    await machine.until(lambda status: status["state"] == held.state and held.is_there(machine))


async def _stage(machine: Machine, _: FakeFleetLock | None = None) -> None:
    await machine.stage("42.2")


async def _boot_the_update(machine: Machine) -> None:
    await machine.stage("42.2")
    await machine.until_rebooted()
    await machine.end_health_check(well=True)


async def _start_slowly(machine: Machine, _: FakeFleetLock) -> None:
    machine.write(
        "etc/systemd/system/rpm-ostreed.service.d/slow.conf",
        "[Service]\nTimeoutStartSec=infinity\nExecStartPre=/usr/local/bin/slow\n",
    )
    script = f"#!/bin/sh\n{_ONCE}mkfifo /run/slow\nread -r _ </run/slow\n"
    machine.write("usr/local/bin/slow", script, mode=0o755)
    await _boot_the_update(machine)


async def _end_slow_start(machine: Machine) -> None:
    machine.inside("run/slow").write_text("\n")


async def _judge_slowly(machine: Machine, _: FakeFleetLock) -> None:
    machine.hook("post-boot.d", "slow", _ONCE + _HANG)
    await _boot_the_update(machine)


async def _nothing_staged(machine: Machine, _: FakeFleetLock) -> None:
    pass


async def _hold(machine: Machine, _: FakeFleetLock) -> None:
    await hold(machine)
    await machine.stage("42.2")


async def _check_slowly(machine: Machine, _: FakeFleetLock) -> None:
    machine.hook("checks.d", "slow", _ONCE + _HANG)
    await machine.stage("42.2")


async def _grant_without_an_answer(machine: Machine, server: FakeFleetLock) -> None:
    server.script.append(hang())
    seen = len(server.seen)
    await machine.stage("42.2")
    await server.wait_seen(seen + 1)
    server.seize("default", json.loads(server.seen[-1].body)["client_params"]["id"])


async def _drain_slowly(machine: Machine, _: FakeFleetLock) -> None:
    machine.hook("pre-reboot.d", "slow", _ONCE + _HANG)
    await machine.stage("42.2")


def _stop_while_draining(unit: str) -> Bring:
    async def bring(machine: Machine, _: FakeFleetLock) -> None:
        stop = f"{_ONCE}systemctl kill --signal=STOP {unit}"
        machine.hook("pre-reboot.d", "stop-a-service", stop)
        await machine.stage("42.2")

    return bring


def _continue(unit: str) -> Act:
    async def go_on(machine: Machine) -> None:
        Process.main_of(machine, unit).send(signal.SIGCONT)

    return go_on


async def _undo_slowly(machine: Machine, _: FakeFleetLock) -> None:
    fail_once = _ONCE.replace(_HELD, f"{_HELD}-drain")
    machine.hook("pre-reboot.d", "fail", f"{fail_once}exit 1")
    undo = f'[ "$REBOOTMGR_PHASE" = abandoned ] || exit 0\n{_ONCE}{_HANG}'
    machine.hook("post-boot.d", "slow", undo)
    await machine.stage("42.2")


async def _delay(machine: Machine, _: FakeFleetLock) -> None:
    await machine.do(
        *("systemd-run", "--unit=delay", "systemd-inhibit", "--mode=delay", "--what=shutdown"),
        *("sleep", "infinity"),
    )
    await machine.stage("42.2")


async def _end_delay(machine: Machine) -> None:
    await machine.do("systemctl", "stop", "delay.service")


def _has_intent(machine: Machine) -> bool:
    return bool(machine.remembered()["intent"])


def _knows_of_shutdown(machine: Machine) -> bool:
    return bool(machine.remembered()["intent"]["shutdown_seen"])


STATES: Final = (
    Held(name="starting", state="starting", bring=_start_slowly, go_on=_end_slow_start,
         is_there=is_held_by_script, boots=2),
    Held(name="post_boot", state="post_boot", bring=_judge_slowly,
         is_there=is_held_by_script, boots=2),
    Held(name="idle", state="idle", bring=_nothing_staged, go_on=_stage),
    Held(name="waiting", state="waiting", bring=_hold, go_on=release),
    Held(name="checking", state="checking", bring=_check_slowly, is_there=is_held_by_script),
    Held(name="asking", state="asking", bring=_grant_without_an_answer),
    Held(name="preparing", state="preparing", bring=_drain_slowly, is_there=is_held_by_script),
    Held(name="committing", state="committing", bring=_stop_while_draining(RPM_OSTREED),
         go_on=_continue(RPM_OSTREED), is_there=_has_intent, judged=("interrupted",)),
    Held(name="undoing", state="undoing", bring=_undo_slowly, is_there=is_held_by_script),
    # logind asks polkit whether we may, which does not answer: the call is under way.
    Held(name="calling", state="rebooting", bring=_stop_while_draining(POLKIT),
         go_on=_continue(POLKIT), judged=("interrupted",)),
    Held(name="rebooting", state="rebooting", bring=_delay, go_on=_end_delay,
         is_there=_knows_of_shutdown, judged=("not_applied",)),
)  # fmt: skip

"""Users of a real host who do to it all that its bus allows: the update is rebooted into, and soon.

The instants are those of the machine: from the moment when the update is staged to that when the
last hook before the call writes the time down. The machine shares its cores with whoever attacks
and with other machines, so the bound is generous; what was measured is shown.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from rebootmgr.cli.bus_verbs import METRICS
from tests.fakes import strangers
from tests.fakes.spoken import ASK_AGAIN_S
from tests.system.machine import Machine
from tests.system.processes import Process
from tests.waiting import telling

BOUND_S: Final = 30.0
MOST_GROWN_KB: Final = 20_000
BUS: Final = "/run/dbus/system_bus_socket"
WHEN: Final = "var/lib/when"
SAID: Final = "var/lib/strangers"
PROGRAM: Final = f"/opt/stand-ins/tests/fakes/{Path(strangers.__file__).name}"


async def a_moment() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(ASK_AGAIN_S):
            await asyncio.Event().wait()


@asynccontextmanager
async def attacked(machine: Machine) -> AsyncIterator[None]:
    """Have an unprivileged user do all of it at once."""
    (machine.root / SAID).mkdir(exist_ok=True)
    for kind in strangers.KINDS:
        path = f"/{METRICS}" if kind == "metrics" else BUS
        await machine.do(
            *("systemd-run", "--quiet", "--uid=nobody", f"--unit=stranger-{kind}"),
            *(f"--property=StandardOutput=truncate:/{SAID}/{kind}", "--property=LimitNOFILE=8192"),
            *("/usr/bin/python3", PROGRAM, kind, path),
        )
    missing = set(strangers.KINDS)
    with telling(lambda: f"not begun: {missing}"):
        while missing := {kind for kind in missing if "begun" not in words_of(machine, kind)}:
            failed = [kind for kind in missing if "Traceback" in words_of(machine, kind)]
            assert not failed, words_of(machine, failed[0])
            await a_moment()
    yield


def words_of(machine: Machine, kind: str) -> str:
    file = machine.root / SAID / kind
    return file.read_text() if file.exists() else ""


async def most_memory_kb(daemon: Process) -> int:
    """The most memory that it ever had, once it has ended."""
    most = 0
    with suppress(FileNotFoundError, ProcessLookupError, KeyError):
        while True:
            most = int(daemon.status["VmHWM"].removesuffix(" kB"))
            await a_moment()
    return most


async def called_for(machine: Machine, version: str) -> float:
    """Stage an update; the seconds until everything before the call was done, and it was made."""
    began = time.time()
    await machine.stage(version)
    await machine.until_rebooted()
    return float((machine.root / WHEN).read_text()) - began


async def test_strangers_delay_no_reboot_and_cost_no_memory(
    machine: Machine, bus_kind: str, record_property: Callable[[str, object], None]
) -> None:
    machine.use_bus(bus_kind)
    machine.hook("pre-reboot.d", "10-when", f"date +%s.%N >/{WHEN}")
    await machine.boot()
    await machine.until_state("idle")
    assert bus_kind in await machine.do("ps", "-eo", "comm")
    calm_s = await called_for(machine, "42.2")
    await machine.until_state("idle")
    daemon = Process.main_of(machine)
    before = int(daemon.status["VmHWM"].removesuffix(" kB"))
    async with attacked(machine), asyncio.TaskGroup() as tasks:
        most = tasks.create_task(most_memory_kb(daemon))
        attacked_s = await called_for(machine, "42.3")
    grown = most.result() - before
    said = "; ".join(
        words_of(machine, kind).replace("begun", "").strip() for kind in strangers.KINDS
    )
    figures = f"calm {calm_s:.2f} s, attacked {attacked_s:.2f} s, memory {before} kB + {grown} kB"
    record_property(bus_kind, f"{figures} ({said})")
    assert attacked_s < BOUND_S
    assert grown < MOST_GROWN_KB
    journal = await machine.journal()
    assert len([line for line in journal.splitlines() if "refusing" in line]) < 40

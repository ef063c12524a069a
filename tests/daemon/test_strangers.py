"""Strangers on the host, all that the bus lets them do, while an update is staged.

Here the bus has no policy but to allow everything, so the daemon is on its own.
"""

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from rebootmgr.bus.words import DRIVER
from rebootmgr.cli.bus_verbs import METRICS
from rebootmgr.control.members import NAME, WATCH
from tests.fakes import strangers
from tests.fakes.host import Host
from tests.fakes.service_manager import ServiceManager

MOST_GROWN_KB: Final = 20_000


@asynccontextmanager
async def attacked(host: Host, *kinds: str) -> AsyncIterator[list[str]]:
    """Have strangers of these kinds deal their blows; what they say of it at the end."""
    said: list[str] = []
    attackers = [await attacker(host, kind) for kind in kinds]
    try:
        yield said
    finally:
        for each in attackers:
            if each.returncode is None:
                each.terminate()
            out, _ = await each.communicate()
            said += out.decode().splitlines()


async def attacker(host: Host, kind: str) -> Process:
    path = host.root / METRICS if kind == "metrics" else host.dbus.dir / "bus"
    program = (sys.executable, strangers.__file__, kind, str(path))
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", *program, stdout=PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    return process


def most_memory_kb(host: Host) -> int:
    """The most that the daemon ever had."""
    assert host.daemon is not None
    status = Path(f"/proc/{host.daemon.pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.fixture
def host(host: Host) -> Host:
    """Started afresh: with memory that is only its own."""
    host.afresh = True
    return host


async def called(host: Host) -> float:
    """Stage an update; how long it took until logind was called."""
    began = monotonic()
    await host.os.stage("42.2")
    await host.logind.rebooted.wait()
    return monotonic() - began


@pytest.mark.parametrize("kind", strangers.KINDS)
async def test_a_stranger_neither_stops_nor_bloats_it(
    host: Host, kind: str, record_property: Callable[[str, object], None]
) -> None:
    await host.start()
    await host.until_state("idle")
    before = most_memory_kb(host)
    async with attacked(host, kind) as said:
        took = await called(host)
        grown = most_memory_kb(host) - before
    record_property("strangers", f"{took:.2f} s, {grown} kB: {'; '.join(said)}")
    assert grown < MOST_GROWN_KB
    assert len(said) == 1


async def test_it_asks_by_another_connection_than_it_answers(host: Host) -> None:
    """The first has a name to which the policy lets nobody speak, and calls fill the other."""
    await host.start()
    await host.until_state("idle")
    owners = [await host.bus.call(*DRIVER, "GetNameOwner", "s", [name]) for name in (NAME, WATCH)]
    assert owners[0] != owners[1]


async def test_a_service_manager_that_never_reads_stops_nothing(host: Host) -> None:
    """Its queue holds ten datagrams or so, which others may fill."""
    async with ServiceManager(host.dbus.dir) as manager:
        manager.be_deaf()
        host.more_environ |= {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "2000"}
        await host.start()
        await host.until_state("idle")
        manager.fill_up()
        await host.os.stage("42.2")
        await host.logind.rebooted.wait()
        assert host.daemon is not None
        host.daemon.send_signal(signal.SIGSTOP)  # it says again what finds room
        manager.catch_up()
        assert not any("42.2" in one for one in manager.heard)  # of that, none fitted
        host.daemon.send_signal(signal.SIGCONT)
        manager.hear_again()
        await manager.until_status("42.2")
        await manager.until_beat(manager.beats + 10)
        assert await host.stop() == 0

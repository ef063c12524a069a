"""What it costs where it will run: every file is of 1970, and /usr is read-only."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias

from benchmarks.processes import children_ms, memory
from rebootmgr.updates.file_watch import FileWatch
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.fleetlock_tls import Certificate
from tests.fakes.host import fleet_lock
from tests.system.layers import PROJECT
from tests.system.ostree_machine import OstreeMachine
from tests.system.processes import DAEMON, Process

Record: TypeAlias = Callable[[str, object], None]

MIB: Final = 1.048576
LEAN: Final = "lean.service"
LEAN_SOCKET: Final = "run/lean.sock"
CA: Final = "etc/rebootmgr/ca.pem"
STARTS: Final = 5
# What the module imports that tells Python what to trust.
OWN_IMPORTS: Final = {"__init__", "warnings", "_py_warnings"}
IMPORT: Final = "import rebootmgr.daemon.main, rebootmgr.fleetlock.request"


def rss(machine: OstreeMachine, unit: str = DAEMON) -> float:
    """Resident memory of a unit's process in MiB."""
    return memory(Process.main_of(machine, unit).pid).rss / MIB


def maps(pid: int) -> str:
    """What a process has in its memory."""
    return Path(f"/proc/{pid}/maps").read_text()


async def start_lean(host: OstreeMachine) -> float:
    """Have the lean skeleton run in there; its memory in MiB."""
    lean = host.write("var/lib/lean_skeleton.py", "")
    lean.write_bytes((PROJECT / "benchmarks/lean_skeleton.py").read_bytes())
    ready = asyncio.Event()
    with FileWatch(host.inside(""), (LEAN_SOCKET,), lambda _: ready.set()):
        await host.begin(
            *(f"--unit={LEAN}", "/usr/bin/python3", "/var/lib/lean_skeleton.py"),
            *("/run/dbus/system_bus_socket", f"/{LEAN_SOCKET}"),
        )
        await ready.wait()
    return rss(host, LEAN)


async def microseconds(host: OstreeMachine, name: str) -> int:
    return int(await host.property_of(DAEMON, f"{name}TimestampMonotonic"))


async def test_it_is_as_small_there_as_anywhere_idle_and_once_scraped(
    rpm_ostree_host: OstreeMachine, record_property: Record
) -> None:
    host = rpm_ostree_host
    await host.boot()
    await host.until_state("idle")
    lean, idle = await start_lean(host), rss(host)
    await host.do("rebootmgrctl", "metrics")
    scraped = rss(host)
    record_property("MiB, lean skeleton, idle, scraped", f"{lean:.1f}, {idle:.1f}, {scraped:.1f}")
    assert idle <= 30.5  # 30, and what pages fall differently
    assert scraped <= 31
    assert idle <= 1.75 * lean, (idle, lean)


async def test_no_module_is_compiled_anew_there_at_any_start(
    rpm_ostree_host: OstreeMachine, record_property: Record
) -> None:
    host = rpm_ostree_host
    host.configure('[updates]\nstrategy = "off"\n')
    await host.boot()
    await host.until_state("idle")
    said = await host.do("python3", "-v", "-c", IMPORT)
    anew = re.findall(r"code object from (?:b?['\"])?(/\S+?\.py)['\"]?$", said, re.MULTILINE)
    told = next(at for at, path in enumerate(anew) if path.endswith("rebootmgr/bytecode.py"))
    after = [path for path in anew[told + 1 :] if (host.root / path[1:]).stat().st_size]
    assert {Path(path).stem for path in after} <= OWN_IMPORTS, after
    starts = []
    for _ in range(STARTS):
        await host.do("systemctl", "restart", DAEMON)
        began = await microseconds(host, "ExecMainStart")
        starts.append((await microseconds(host, "ActiveEnter") - began) / 1000)
    record_property("ms, start to READY", f"{median(starts):.0f} ({min(starts):.0f} at least)")


async def test_a_lock_server_is_asked_over_tls_there_which_the_daemon_itself_never_speaks(
    rpm_ostree_host: OstreeMachine, tmp_path: Path, record_property: Record
) -> None:
    host = rpm_ostree_host
    certificate = Certificate.make(tmp_path)
    host.write(CA, certificate.cert.read_text())
    async with FakeFleetLock(tls=certificate.context()) as server:
        host.configure(f'{fleet_lock(server.url)}ca_file = "/{CA}"\n')
        await host.boot()
        await server.wait_seen(1)
        daemon = Process.main_of(host).pid
        await host.until(lambda status: children_ms(daemon) > 0)
        spent = children_ms(daemon) / len(server.seen)
        record_property("ms of processor for a request over TLS", f"{spent:.0f}")
        assert "libssl" not in maps(daemon)

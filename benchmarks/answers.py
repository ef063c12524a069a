"""What answers cost: a scrape, a planned year, a checked configuration, a question of a person.

`python -m benchmarks.answers`. Commands are set against an interpreter that does nothing, the
scrape against the skeleton's, all in turn.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks import subjects
from benchmarks.figures import Figure, Figures, count, milliseconds, table
from rebootmgr.cli.bus_verbs import METRICS, read_metrics
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.host import Host

SCRAPES: Final = 200
ROUNDS: Final = 7
DROP_INS: Final = 200
# Its own memory at the most, said as its last line: what wait4(2) reports counts its parent's, too.
PEAK: Final = (
    "import re; print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1],"
    " file=sys.stderr)"
)
NOTHING: Final = f"import sys; {PEAK}"
CLIENT: Final = f"import sys; from rebootmgr.cli.main import main; main(sys.argv[1:]); {PEAK}"
DROP_IN: Final = """\
[[updates.periodic.window]]
days = ["{day}"]
start_time = "{hour:02}:30"
length_minutes = 30
[[updates.blackout]]
start = 2026-{month:02}-20T00:00:00
end = 2026-{month:02}-21T00:00:00
rrule = "FREQ=YEARLY"
"""


async def scrapes(host: Host) -> Figures:
    """Scrape the daemon and the skeleton in turn."""
    mine, other = [], []
    text = ""
    with DbusDaemon() as bus, tempfile.TemporaryDirectory() as folder:
        socket = Path(folder, "socket")
        async with subjects.skeleton(bus.address, metrics=socket):
            for _ in range(SCRAPES):
                begin = perf_counter()
                text = await asyncio.to_thread(read_metrics, host.root / METRICS)
                mine.append(perf_counter() - begin)
                begin = perf_counter()
                await asyncio.to_thread(read_metrics, socket)
                other.append(perf_counter() - begin)
    series = sum(not line.startswith("#") for line in text.splitlines())
    return {
        "scrape": milliseconds(mine).against(milliseconds(other)),
        "scrape, bytes": count(len(text.encode())),
        "scrape, series": count(series),
    }


async def commands(host: Host) -> Figures:
    """Run each command, and an interpreter that does nothing, in turn."""
    cases = {
        "bare interpreter": (),
        "rebootmgrctl status": ("status",),
        "rebootmgrctl why": ("why",),
        "rebootmgrctl check-config": ("check-config",),
        f"the same, {DROP_INS} drop-ins": ("check-config",),
        f"rebootmgrctl plan, {DROP_INS} drop-ins": ("plan",),
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    peaks: dict[str, list[float]] = {name: [] for name in cases}
    with tempfile.TemporaryDirectory(prefix="rebootmgr-bench-") as folder:
        many = Path(folder)
        write_drop_ins(many)
        for _ in range(ROUNDS):
            for name, arguments in cases.items():
                root = many if str(DROP_INS) in name else host.root
                begin = perf_counter()
                peaks[name].append(await peak_of(root, arguments, host.environ))
                taken[name].append(perf_counter() - begin)
    found: dict[str, Figure] = {}
    for name in cases:
        duration, peak = milliseconds(taken[name]), Figure(tuple(peaks[name]), "MB")
        if name != "bare interpreter":
            duration = duration.against(milliseconds(taken["bare interpreter"]))
            peak = peak.against(Figure(tuple(peaks["bare interpreter"]), "MB"))
        found[name] = duration
        found[f"{name}, most RSS"] = peak
    return found


async def peak_of(root: Path, arguments: tuple[str, ...], environ: dict[str, str]) -> float:
    """Run rebootmgrctl, or nothing without arguments; its memory at the most, in MB."""
    program = (CLIENT, "--root", str(root), *arguments) if arguments else (NOTHING,)
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", *program),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environ,
    )
    _, said = await client.communicate()
    return int(said.splitlines()[-1]) * 1.024e-3


def write_drop_ins(root: Path) -> None:
    """Write many drop-ins of a window and a blackout each."""
    folder = root / "etc/rebootmgr/config.d"
    folder.mkdir(parents=True)
    (folder / "00-strategy.toml").write_text('[updates]\nstrategy = "periodic"\n')
    for number in range(1, DROP_INS):
        (folder / f"{number:03}-window.toml").write_text(
            DROP_IN.format(
                day=("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[number % 7],
                hour=number % 24,
                month=number % 12 + 1,
            )
        )


async def measure() -> Figures:
    async with subjects.daemon(subjects.periodic()) as daemon:
        await daemon.host.os.stage("42.2")
        await daemon.host.until_blocked("outside_window")
        return {**await scrapes(daemon.host), **await commands(daemon.host)}


def run() -> Figures:
    return asyncio.run(measure())


if __name__ == "__main__":
    print(*table(run()), sep="\n")

"""What the kernel says of a process (proc(5)): memory, wake-ups, processor time."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICK_MS: Final = 1000 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """In MB of 1,000,000 bytes: resident, its fair share of what is shared, and its own alone."""

    rss: float
    pss: float
    anonymous: float


def memory(pid: int) -> Memory:
    """Sum over all mappings, /proc/PID/smaps_rollup."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(Rss|Pss|Anonymous): +(\d+) kB$", text, re.MULTILINE))
    rss, pss, anonymous = (int(found[name]) * 1.024e-3 for name in ("Rss", "Pss", "Anonymous"))
    return Memory(rss, pss, anonymous)


def wake_ups(pid: int) -> int:
    """How often any thread gave up the processor to wait: its voluntary context switches."""
    found = (
        re.search(r"^voluntary_ctxt_switches:\t(\d+)$", path.read_text(), re.MULTILINE)
        for path in Path(f"/proc/{pid}/task").glob("*/status")
    )
    return sum(int(each[1]) for each in found if each is not None)


def processor_ms(pid: int) -> float:
    """Give the time on a processor, of all threads, to the nanosecond."""
    paths = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in paths) / 1e6


def children_ms(pid: int) -> float:
    """Give the processor time of the children that ended, to the tick of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) * _TICK_MS


def descriptors(pid: int) -> int:
    """How many files are open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - of a folder that is no path to keep

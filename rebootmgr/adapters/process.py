"""Our own process as /proc shows it, for the metrics."""

import os
import resource
import time
from pathlib import Path
from typing import Final

from rebootmgr.core.counters import Process

STAT: Final = Path("/proc/self/stat")
STATM: Final = Path("/proc/self/statm")
FDS: Final = Path("/proc/self/fd")
STARTTIME: Final = (
    19  # proc(5): field 22, counted from the one behind the command's closing bracket
)


class OwnProcess:
    """Reads what a scrape shows of us; the start is taken once, so that it does not jitter.

    prometheus_client's own collector needs /proc/stat, which ProcSubset=pid hides.
    """

    def __init__(self) -> None:
        fields = STAT.read_bytes().rpartition(b")")[2].split()
        after_boot = int(fields[STARTTIME]) / os.sysconf("SC_CLK_TCK")
        booted = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
        self._start = booted + after_boot

    def read(self) -> Process:
        """Look now; OSError where not even /proc can be opened (EMFILE)."""
        pages = [int(field) for field in STATM.read_bytes().split()[:2]]
        return Process(
            start=self._start,
            cpu_s=time.process_time(),
            virtual=pages[0] * resource.getpagesize(),
            resident=pages[1] * resource.getpagesize(),
            open_fds=sum(1 for _ in FDS.iterdir()) - 1,  # the listing itself is one of them
            max_fds=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )

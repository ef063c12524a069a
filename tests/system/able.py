"""Whether systems can be booted here. `python -m tests.system.able` says why not, or nothing."""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

TOOLS: Final = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "rpmbuild": "rpm (Fedora: rpm-build)",
    "go-md2man": "go-md2man",
}
CGROUPS: Final = Path("/sys/fs/cgroup")
_CAP_SYS_ADMIN: Final = 21


def why_not() -> str:
    """Name what is missing to boot systems here; "" when nothing is."""
    if os.geteuid() != 0:
        return "booting systems needs root"
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    status = Path("/proc/self/status").read_text("ascii")
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if not int(effective.split()[1], 16) >> _CAP_SYS_ADMIN & 1:
        return "root here may not mount (no CAP_SYS_ADMIN)"
    if not cgroup_tops():
        return f"no cgroup tree of version 2 below {CGROUPS}"
    for top in cgroup_tops():
        if not os.access(top, os.W_OK):
            return f"{top} is read-only"
    return ""


def cgroup_tops() -> list[Path]:
    """Where a machine's cgroups are made: the unified tree, and systemd's own beside an old one."""
    if (CGROUPS / "cgroup.procs").exists():
        return [CGROUPS]
    tops = [CGROUPS / "unified", CGROUPS / "systemd"]
    return [top for top in tops if (top / "cgroup.procs").exists()] if tops[0].exists() else []


def remove_cgroup(top: Path) -> None:
    """Remove a tree of cgroups that nothing runs in any more."""
    for directory, _, _ in os.walk(top, topdown=False):
        with suppress(OSError):  # gone already, or its last process is just ending
            Path(directory).rmdir()


if __name__ == "__main__":
    sys.stdout.write(why_not())

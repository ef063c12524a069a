"""rebootmgrctl as a process of its own: started, or forked where its start is not the point."""

import os
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from tests.fakes.client import CLIENT, run


def environ(bus: str) -> dict[str, str]:
    """What it is given, with the address of its bus."""
    found = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    return {**found, "DBUS_SYSTEM_BUS_ADDRESS": bus} if bus else found


async def begin(root: Path, *arguments: str, bus: str = "") -> Process:
    """Start it below `root`."""
    return await create_subprocess_exec(
        *(sys.executable, "-m", CLIENT, "--root", str(root), *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=environ(bus),
    )


async def ctl(root: Path, *arguments: str, bus: str = "") -> tuple[int, str, str]:
    """Run it below `root`; it never fails in a way that it does not know."""
    status, out, err = await run("--root", str(root), *arguments, env=environ(bus))
    assert "Traceback" not in err
    return status, out, err

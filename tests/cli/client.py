"""rebootmgrctl as a process of its own."""

import os
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path


async def begin(root: Path, *arguments: str, bus: str = "") -> Process:
    """Start it below `root`, with the address of its bus."""
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    if bus:
        environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus
    return await create_subprocess_exec(
        *(sys.executable, "-m", "rebootmgr.cli.main", "--root", str(root), *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=environ,
    )


async def ctl(root: Path, *arguments: str, bus: str = "") -> tuple[int | None, str, str]:
    """Run it to its end: exit status, standard output and standard error."""
    client = await begin(root, *arguments, bus=bus)
    out, err = await client.communicate()
    assert b"Traceback" not in err
    return client.returncode, out.decode(), err.decode()

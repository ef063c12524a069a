"""What the tests of hooks share: scripts that are really installed and really run."""

import asyncio
import os
from pathlib import Path

from rebootmgr.core.model import Deployment, DeploymentId, Ticket, UpdateKey
from tests.waiting import telling

T = Ticket(7)
BOOTED = Deployment(id=DeploymentId("fcos-aa.0"), key=UpdateKey("a"), version="41.1")
TARGET = Deployment(id=DeploymentId("fcos-bb.0"), key=UpdateKey("b"), version="42.1")


def hook(root: Path, place: str, text: str, *, mode: int = 0o755) -> Path:
    """Write a shell script as `place`, like "etc/checks.d/name"."""
    top, _, rest = place.rpartition("/")[0].rpartition("/")
    path = root / top / "rebootmgr" / rest / place.rpartition("/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


def pid_in(path: Path) -> int:
    return int(path.read_text())


async def gone(pid: int) -> None:
    """Wait until the process is dead."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    dead = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, dead.set)
    try:
        with telling(lambda: f"process {pid} lives still"):
            await dead.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)

"""RPMs beside that of the working tree: an older one, a newer one, and one of the time to come."""

import asyncio
import shutil
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.system.layers import PROJECT, RPM, build_rpm, rpm_of
from tests.system.machine import Machine, Ran

OLDER: Final = "0.0.9"
NEWER: Final = "8.0.0"
GROWN: Final = "9.0.0"
NOVELTY: Final = {"since": "9.0.0", "more": [1, {"deep": None}]}
GREW: Final = ("holds", "quarantine", "releases_owed", "reboots")
# What a later version does, appended to the module that writes state.json.
_GROWTH: Final = f"""

MINOR = 7
_as_known = _ours


def _ours(memory: Memory) -> dict[str, Json]:
    ours = {{**_as_known(memory), "novelty": {NOVELTY}}}
    for key in {GREW}:
        ours[key] = [{{**one, "novelty": {NOVELTY}}} for one in ours[key]]
    return ours
"""


def make_packages() -> None:
    """Build them all."""
    with ThreadPoolExecutor() as builders:
        made = [builders.submit(_build_grown)]
        made += [builders.submit(build_rpm, version) for version in (OLDER, NEWER)]
        for one in made:
            one.result()


def _build_grown() -> Path:
    """Build from a copy of the tree whose state.json holds more than that of ours."""
    with TemporaryDirectory() as directory:
        tree = Path(directory)
        copy = """
            git ls-files -z --cached --others --exclude-standard |
                tar -c --null --ignore-failed-read -T - | tar -x -C "$0"
            git init --quiet "$0"
            """
        subprocess.run(["/bin/sh", "-c", copy, tree], cwd=PROJECT, check=True)
        with (tree / "rebootmgr/state/words.py").open("a") as module:
            module.write(_GROWTH)
        return build_rpm(GROWN, tree=tree)


async def install(machine: Machine, suite: str, version: str = "") -> Ran:
    """Install a version, or up- or downgrade to it; "" is that of this working tree."""
    rpm = rpm_of(version)
    shutil.copy(rpm, machine.root / "root")
    command = (*RPM[suite], "--upgrade", "--oldpackage", f"/root/{rpm.name}")
    return await (machine.run(*command) if machine.is_up else in_image(machine, *command))


async def remove(machine: Machine) -> Ran:
    """Remove the package."""
    command = ("rpm", "--erase", "rebootmgr")
    if machine.is_up:
        return await machine.run(*command)
    return await in_image(machine, *command)


async def in_image(machine: Machine, *command: str) -> Ran:
    """Run a command in the root of a machine that is off, as whoever makes an image does."""
    process = await asyncio.create_subprocess_exec(
        *("chroot", str(machine.root), *command),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"},
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(errors="replace"))

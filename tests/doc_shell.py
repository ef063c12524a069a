"""The commands of a page, run as its reader would run them: by a shell, with our real programs.

Each machine of a page is a root. Paths in the commands lead below it, `sudo` runs what it is given,
and what changes a booted host notes what it was told, since there is none: the test does the rest.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.doc_text import GUIDES, ROOT, blocks

PROGRAMS: Final = {
    "rebootmgrctl": "rebootmgr.cli.main",
    "rebootmgr-lockd": "rebootmgr.lockd.main",
}
NOTED: Final = ("systemctl", "rpm-ostree")
OF_A_MACHINE: Final = re.compile(r"(?<![^\s>])/(etc|var|root|srv)/")  # a drop-in has them in quotes


def commands(page: str, word: str, *, nth: int = 0) -> str:
    """The shell block of a page that has this word, of several the one that is named."""
    found = [block["body"] for _, block in blocks({page: GUIDES[page]}, "sh")]
    return [body for body in found if word in body][nth]


def screens(page: str) -> list[tuple[str, str]]:
    """Each command that a page shows with what it prints, and that."""
    found = []
    for _, block in blocks({page: GUIDES[page]}, "console"):
        for part in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            found.append((command, printed))
    return found


@dataclass(frozen=True, slots=True)
class Ended:
    """What a shell came to."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Machine:
    """One machine of a page. `spoken` are words of the page, and what stands for them here."""

    root: Path
    spoken: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """What systemctl was told."""
        calls = self.root / "systemctl"
        return calls.read_text().splitlines() if calls.exists() else []

    def _programs(self) -> Path:
        folder = self.root / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        scripts = {
            "sudo": 'if [ "$1" = -u ]; then shift 2; fi\nexec "$@"',
            **{name: f'echo "$@" >>"{self.root}/{name}"' for name in NOTED},
        }
        for name, module in PROGRAMS.items():
            scripts[name] = f'exec "{sys.executable}" -m {module} --root "{self.root}" "$@"'
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return folder

    async def run(self, script: str) -> Ended:
        """Run these commands in the root, as far as the first that fails."""
        for word, here in self.spoken.items():
            script = script.replace(word, here)
        script = OF_A_MACHINE.sub(rf"{self.root}/\1/", script)
        environ = {"PYTHONPATH": str(ROOT), "LC_ALL": "C", **self.environ}
        shell = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-eu", "-c", script),
            cwd=self.root,
            env={**environ, "PATH": f"{self._programs()}:{os.environ['PATH']}"},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await shell.communicate()
        assert shell.returncode is not None
        return Ended(shell.returncode, out.decode(), err.decode())

    async def follow(self, script: str) -> str:
        """Run commands that have to succeed; what they printed."""
        ended = await self.run(script)
        assert ended.status == 0, ended
        return ended.out

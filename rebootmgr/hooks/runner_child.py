"""The hook runner as a child of ours, as it is run with --root (SPEC 8)."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from rebootmgr.child import Child
from rebootmgr.core.model import Phase

RUNNER: Final = "rebootmgr.hooks.runner"
STDERR: Final = 2


class HookChild:
    """Starts the runner directly, as our own user; its log is ours."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def run(self, phase: Phase, *, within_s: float) -> str:
        """Run a phase to its end; "" or why that could not be done."""
        command = [sys.executable, "-P", "-s", "-m", RUNNER, phase.value, "--root", self._root]
        try:
            runner = Child(
                command,
                environment=_environment(),
                stdin=subprocess.DEVNULL,
                stderr=STDERR,
                heard=lambda _: None,
            )
        except OSError as error:
            return f"the hook runner cannot be started: {error.strerror}"
        try:
            async with asyncio.timeout(within_s):
                await runner.exited.wait()
        except TimeoutError:
            return f"the hook runner did not end within {within_s:g} s"
        finally:
            runner.signal(signal.SIGTERM)  # which ends its hook, too; a dead one does not mind
            await runner.finish()
        return ""


def _environment() -> dict[str, str]:
    """Find modules where we find them."""
    return {"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}

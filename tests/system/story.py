"""What hooks and a lock server did, in order: all of them write into one file of the machine."""

import asyncio
import json

from rebootmgr.updates.file_watch import FileWatch
from tests.fakes.fleetlock import FakeFleetLock
from tests.system.machine import Machine
from tests.waiting import telling

FILE = "var/lib/stand-in/story"


class Story:
    """`PHASE NAME` for each hook that began, the request's target for each that was received."""

    def __init__(self, machine: Machine, server: FakeFleetLock | None = None) -> None:
        self._machine = machine
        self._file = machine.write(FILE, "")
        if server is not None:
            server.log = self._file

    def hook(self, directory: str, name: str, then: str = "") -> None:
        """Install a hook that says that it began, and goes on with `then`."""
        self._machine.hook(directory, name, f'echo "$REBOOTMGR_PHASE {name}" >>/{FILE}\n{then}')

    @property
    def lines(self) -> list[str]:
        lines = self._file.read_text().splitlines()
        return [json.loads(line)["target"] if line.startswith("{") else line for line in lines]

    def forget(self) -> None:
        """Begin anew; while nobody writes."""
        self._file.write_text("")

    async def until(self, *begin: str) -> None:
        """Wait until these were the first lines, and nothing came between them."""
        changed = asyncio.Event()

        def told() -> str:
            return f"expected {begin}, told {self.lines}\n{self._machine.last_words()}"

        with FileWatch(self._machine.root, (FILE,), lambda _: changed.set()), telling(told):
            while (lines := self.lines[: len(begin)]) != list(begin):
                assert lines == list(begin[: len(lines)]), told()
                changed.clear()
                await changed.wait()

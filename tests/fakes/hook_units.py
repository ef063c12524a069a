"""The units rebootmgr-hook@PHASE.service of a systemd that really runs the hook runner."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from rebootmgr.core.model import Phase
from tests.fakes.service import Answer, Call, Interface, Refused
from tests.fakes.systemd1 import MANAGER, PATH, UNIT, FakeSystemd, unit_path
from tests.waiting import telling

CHECKOUT: Final = Path(__file__).parents[2]
GONE: Final = ("inactive", "failed")


def unit_of(phase: Phase) -> str:
    return f"rebootmgr-hook@{phase}.service"


@dataclass
class _Unit:
    phase: Phase
    state: str = "inactive"
    job: int = 0
    process: Process | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def properties(self) -> dict[str, tuple[str, Any]]:
        job = [self.job, f"{PATH}/job/{self.job}" if self.job else "/"]
        return {"ActiveState": ("s", self.state), "Job": ("(uo)", job)}


class FakeHookUnits:
    """Adds the units to `systemd`. What is refused, and how it goes wrong, tests may set.

    `started` and `stopped` are phases, in order. `command` is run instead of the runner, and
    with `mute` nobody is told of changes. Jobs wait until `may_run`; `seen_waiting` is set once
    somebody asked for one that does.
    """

    def __init__(self, systemd: FakeSystemd, root: Path) -> None:
        self.started: list[Phase] = []
        self.stopped: list[Phase] = []
        self.start_refused: Refused | None = None
        self.stop_refused: Refused | None = None
        self.command: Sequence[str] | None = None
        self.mute = False
        self.may_run = asyncio.Event()
        self.may_run.set()
        self.seen_waiting = asyncio.Event()
        self._systemd = systemd
        self._root = root
        self._jobs = 0
        self._units = {unit_of(phase): _Unit(phase) for phase in Phase}
        for name, unit in self._units.items():
            properties = partial(self._properties, unit)
            systemd.service.objects[unit_path(name)] = {UNIT: Interface(properties)}
        methods = {
            "StartUnit": self._start,
            "StopUnit": self._stop,
            "ListUnitsByPatterns": self._list,
        }
        manager = systemd.service.objects[PATH][MANAGER]
        manager.methods = {**manager.methods, **methods}

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for unit in self._units.values():
            self._signal(unit, signal.SIGTERM)
        await self._tasks.__aexit__(None, None, None)

    async def until(self, phase: Phase, *states: str) -> None:
        """Wait until the unit of a phase is in one of these states."""
        unit = self._units[unit_of(phase)]
        with telling(lambda: f"{phase} is {unit.state}, never one of {states}"):
            while unit.state not in states:
                unit.changed.clear()
                await unit.changed.wait()

    def start_by_hand(self, phase: Phase) -> None:
        """As `systemctl start --no-block` does."""
        self._enqueue(unit_of(phase))

    def kill(self, phase: Phase) -> None:
        """Kill the runner, as the kernel may when memory is short."""
        self._signal(self._units[unit_of(phase)], signal.SIGKILL)

    def _properties(self, unit: _Unit) -> dict[str, tuple[str, Any]]:
        if unit.job and unit.state in GONE:
            self.seen_waiting.set()
        return unit.properties()

    def _start(self, call: Call) -> Answer:
        self._systemd.calls.append(call.member)
        if self.start_refused is not None:
            raise self.start_refused
        name, mode = call.body
        assert mode == "fail"
        return Answer("o", [self._enqueue(name)])

    def _enqueue(self, name: str) -> str:
        unit = self._units[name]
        if not unit.job:
            self.started.append(unit.phase)
            self._jobs += 1
            unit.job = self._jobs  # and only later does it run
            self._tasks.create_task(self._run(name, unit))
        return f"{PATH}/job/{unit.job}"

    async def _run(self, name: str, unit: _Unit) -> None:
        await self.may_run.wait()
        options = (unit.phase, "--root", str(self._root))
        runner = (sys.executable, "-P", "-s", "-m", "rebootmgr.hooks.runner", *options)
        unit.process = await asyncio.create_subprocess_exec(
            *(self.command or runner),
            stdin=DEVNULL,
            env={"PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])},
            start_new_session=True,
        )
        self._become(name, "activating")
        status = await unit.process.wait()
        unit.process = None
        job, unit.job = unit.job, 0
        failed = status and unit.state != "deactivating"
        self._become(name, "failed" if failed else "inactive")
        if self._systemd.subscribed and not self.mute:
            result = "failed" if failed else "done"
            body = [job, f"{PATH}/job/{job}", name, result]
            self._systemd.service.emit(PATH, MANAGER, "JobRemoved", "uoss", body)

    def _stop(self, call: Call) -> Answer:
        self._systemd.calls.append(call.member)
        if self.stop_refused is not None:
            raise self.stop_refused
        name, mode = call.body
        assert mode == "replace"
        unit = self._units[name]
        self.stopped.append(unit.phase)
        self._jobs += 1
        if unit.process is not None:
            unit.job = self._jobs
            self._become(name, "deactivating")
            self._signal(unit, signal.SIGTERM)
        return Answer("o", [f"{PATH}/job/{self._jobs}"])

    def _signal(self, unit: _Unit, number: signal.Signals) -> None:
        if unit.process is not None and unit.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(unit.process.pid, number)

    def _become(self, name: str, state: str) -> None:
        unit = self._units[name]
        unit.state = state
        unit.changed.set()
        if self._systemd.subscribed and not self.mute:
            self._systemd.service.emit_changed(unit_path(name), UNIT, "ActiveState", "Job")

    def _list(self, call: Call) -> Answer:
        self._systemd.calls.append(call.member)
        states, patterns = call.body
        rows = [
            [name, name, "loaded", unit.state, unit.state, "", unit_path(name), 0, "", "/"]
            for name, unit in self._units.items()
            if unit.state in states and name in patterns
        ]
        return Answer("a(ssssssouso)", [rows])

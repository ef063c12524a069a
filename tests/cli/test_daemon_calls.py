"""How rebootmgrctl asks for leave: passwords are for terminals, and a no has its cure."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rebootmgr.bus.connection import Bus, Reply, Request
from rebootmgr.cli.tty_agent import PROGRAM, tty_agent
from rebootmgr.errors import BusError
from tests.fakes.dbus_daemon import DbusDaemon

ROOT = Path(__file__).parent.parent.parent
ERROR = "org.freedesktop.DBus.Error."
SOMEBODY = 1000


@dataclass
class Daemon:
    """Keeps whether each call allowed to ask for a password, and refuses what it is told to."""

    address: str
    interactive: list[bool] = field(default_factory=list)
    refusal: BusError | None = None

    async def answer(self, request: Request) -> Reply:
        self.interactive.append(request.interactive)
        if self.refusal is not None:
            raise self.refusal
        return Reply()

    async def reload(self, stdin: int) -> tuple[int, str]:
        """Have rebootmgrctl call it; exit status and what was said on standard error."""
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rebootmgr.cli.main", "reload"),
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "DBUS_SYSTEM_BUS_ADDRESS": self.address,
            },
        )
        _, said = await client.communicate()
        assert client.returncode is not None
        return client.returncode, said.decode()


@asynccontextmanager
async def running() -> AsyncIterator[Daemon]:
    with DbusDaemon() as dbus:
        bus = await Bus.connect(dbus.address)
        try:
            daemon = Daemon(dbus.address)
            bus.serve("/org/rebootmgr1", daemon.answer)
            await bus.own("org.rebootmgr1")
            yield daemon
        finally:
            await bus.close()


async def test_a_password_may_be_asked_for_at_a_terminal_and_nowhere_else() -> None:
    ours, terminal = pty.openpty()
    with closing(os.fdopen(ours, "rb")), closing(os.fdopen(terminal, "rb")):
        async with running() as daemon:
            assert await daemon.reload(terminal) == (0, "")
            assert await daemon.reload(subprocess.DEVNULL) == (0, "")
            assert daemon.interactive == [True, False]


@pytest.mark.parametrize("name", ["AccessDenied", "InteractiveAuthorizationRequired"])
async def test_a_refusal_is_one_line_with_the_cure(name: str) -> None:
    async with running() as daemon:
        daemon.refusal = BusError(f"{ERROR}{name}", "uid 1000 may not call Reload: no")
        line = "rebootmgrctl: uid 1000 may not call Reload: no; try again with sudo\n"
        assert await daemon.reload(subprocess.DEVNULL) == (1, line)


async def test_too_many_questions_are_no_reason_to_look_at_the_daemon() -> None:
    async with running() as daemon:
        daemon.refusal = BusError(f"{ERROR}LimitsExceeded", "not now")
        assert await daemon.reload(subprocess.DEVNULL) == (1, "rebootmgrctl: not now\n")


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent that notes how it was called, that it is ready, and that it was told to end."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    notes, program = tmp_path / "notes", tmp_path / PROGRAM
    program.write_text(
        "#!/bin/bash\n"
        f"trap 'kill $!; echo ended >>{notes}; exit' TERM\n"
        f'echo "$1 $3" >>{notes}\n'
        'eval "exec $2>&-"\n'
        "sleep 60 & wait\n"
    )
    program.chmod(0o755)
    return notes


def test_an_agent_is_there_while_it_is_needed_and_not_longer(notes: Path) -> None:
    with tty_agent(SOMEBODY, patience_s=3600.0):
        assert notes.read_text() == "--notify-fd --fallback\n"
    assert notes.read_text() == "--notify-fd --fallback\nended\n"


def test_root_and_a_host_without_polkit_need_no_agent(
    notes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with tty_agent(0):
        pass
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with tty_agent(SOMEBODY):
        pass
    assert not notes.exists()


def test_an_agent_that_ends_at_once_stops_nobody(notes: Path) -> None:
    notes.with_name(PROGRAM).write_text("#!/bin/sh\nexit 1\n")
    with tty_agent(SOMEBODY):
        pass

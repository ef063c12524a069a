"""Warnings on real pseudo-terminals, and on everything that must not hang them."""

import contextlib
import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebootmgr.aside import Aside
from rebootmgr.core.facts import Session
from rebootmgr.logind.terminals import write_warning
from rebootmgr.logind.words import encode_warning
from tests.waiting import PATIENT_S

DEV = Path("/dev")
TEXT = encode_warning("41.20250215.3.0", in_s=600, at=datetime(2025, 3, 1, 2, tzinfo=UTC))
MOST_UNREAD = 4095  # N_TTY_BUF_SIZE less one; then the kernel moves no more


@dataclass
class Terminal:
    name: str
    master: int
    slave: int

    def screen(self) -> bytes:
        """Whatever was written so far."""
        os.set_blocking(self.master, False)
        return os.read(self.master, 65536)

    def unread(self) -> int:
        """How many bytes the kernel has moved to the other end."""
        answer = fcntl.ioctl(self.master, termios.FIONREAD, bytes(4))
        return int.from_bytes(answer, sys.byteorder)


@contextlib.contextmanager
def terminal() -> Iterator[Terminal]:
    master, slave = pty.openpty()
    yield Terminal(os.ttyname(slave).removeprefix("/dev/"), master, slave)
    os.close(slave)
    os.close(master)


def session(tty: str, id_: str = "1") -> Session:
    return Session(id=id_, user="core", tty=tty)


def fill(terminal: Terminal) -> None:
    """Write until nothing more goes in, also after the kernel has moved what it holds."""
    os.set_blocking(terminal.slave, False)
    poll = select.poll()
    poll.register(terminal.slave, select.POLLOUT)
    while terminal.unread() < MOST_UNREAD or poll.poll(0):
        poll.poll(10)  # nobody tells when the kernel has moved something
        with contextlib.suppress(BlockingIOError):
            os.write(terminal.slave, b"x" * 100)


async def warn(*sessions: Session, dev: Path = DEV, text: str = TEXT) -> tuple[str, ...]:
    aside = Aside("terminals")
    return await write_warning(sessions, text, dev=dev, aside=aside, patience_s=PATIENT_S)


async def test_everybody_with_a_terminal_sees_the_warning() -> None:
    with terminal() as one, terminal() as two:
        assert await warn(session(one.name, "1"), session(two.name, "2")) == ()
        for each in (one, two):
            screen = each.screen()
            assert b"\aBroadcast message from rebootmgr" in screen
            assert b"41.20250215.3.0" in screen


async def test_sessions_without_a_terminal_are_named() -> None:
    with terminal() as one:
        sessions = (session("", "c1"), session(one.name, "2"), session("pts/987654", "3"))
        assert await warn(*sessions) == ("c1", "3")


async def test_a_terminal_stopped_with_ctrl_s_holds_nobody_up() -> None:
    with terminal() as stopped, terminal() as other:
        termios.tcflow(stopped.slave, termios.TCOOFF)
        assert await warn(session(stopped.name, "1"), session(other.name, "2")) == ("1",)
        assert b"Broadcast" in other.screen()
        termios.tcflow(stopped.slave, termios.TCOON)


async def test_a_terminal_that_nobody_reads_holds_nobody_up() -> None:
    with terminal() as full:
        fill(full)
        assert await warn(session(full.name)) == ("1",)


async def test_a_pipe_that_poses_as_a_terminal_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tty9")
    assert await warn(session("tty9"), dev=tmp_path) == ("1",)
    reader = os.open(tmp_path / "tty9", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert await warn(session("tty9"), dev=tmp_path) == ("1",)
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)


async def test_a_file_or_another_device_is_no_terminal(tmp_path: Path) -> None:
    file = tmp_path / "tty1"
    file.write_bytes(b"precious")
    (tmp_path / "pts").mkdir()
    (tmp_path / "null").symlink_to("/dev/null")
    sessions = (session("tty1", "1"), session("pts", "2"), session("null", "3"))
    assert await warn(*sessions, dev=tmp_path) == ("1", "2", "3")
    assert file.read_bytes() == b"precious"


async def test_no_name_leads_out_of_dev(tmp_path: Path) -> None:
    with terminal() as outside:
        (tmp_path / "dev/pts").mkdir(parents=True)
        (tmp_path / "tty1").symlink_to(f"/dev/{outside.name}")
        for name in ("../tty1", "pts/../../tty1", f"/dev/{outside.name}"):
            assert await warn(session(name), dev=tmp_path / "dev") == ("1",)
        with pytest.raises(BlockingIOError):
            outside.screen()


@pytest.mark.parametrize("tty", ["../../etc/passwd", "/etc/passwd", "tty\0", "x" * 5000, "."])
async def test_a_strange_name_is_only_a_session_that_cannot_be_warned(tty: str) -> None:
    assert await warn(session(tty)) == ("1",)


async def test_what_is_no_ascii_cannot_speak_to_the_terminal() -> None:
    with terminal() as one:
        assert await warn(session(one.name), text="\x9b2J\u2028ü") == ()
        assert one.screen() == b"?2J??"


def test_warning_somebody_does_not_make_it_our_terminal() -> None:
    program = """
import asyncio, os, sys
from pathlib import Path
from rebootmgr.aside import Aside
from rebootmgr.logind.terminals import write_warning
from rebootmgr.core.facts import Session
session = Session(id="1", user="core", tty=sys.argv[1])
async def warn():
    return await write_warning((session,), "hello", dev=Path("/dev"), aside=Aside("tty"))
assert asyncio.run(warn()) == ()
try:
    os.open("/dev/tty", os.O_RDONLY)
except OSError as error:
    print(error.strerror)
"""
    with terminal() as one:
        done = subprocess.run(
            [sys.executable, "-c", program, one.name],
            env={"PYTHONPATH": ":".join(sys.path)},
            start_new_session=True,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("No such device or address\n", "")
        assert one.screen() == b"hello"

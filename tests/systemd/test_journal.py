"""Where the log goes: real sockets, pipes and terminals, also those that nobody reads."""

import logging
import os
import pty
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rebootmgr.systemd.journal import JournalHandler, LineHandler, is_journal, open_log

PROGRAM = """
import logging, os, sys
from rebootmgr.systemd.journal import open_log
{before}
open_log("info", stream=sys.stderr, environ=os.environ)
log = logging.getLogger("rebootmgr.test")
log.debug("not shown")
log.info("hello %s", "a\\n<0>b", extra={{"rebootmgr": {{"REBOOTMGR_STATE": "idle"}}}})
try:
    raise ValueError("a\\nb")
except ValueError:
    log.exception("it failed")
print("it goes on")
"""
IN_THE_JOURNAL = """
found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
"""


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("rebootmgr.tests.journal")
    made.propagate = False
    made.setLevel(logging.INFO)
    yield made
    made.handlers.clear()


def run(before: str = "", *, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
    )


def test_a_pipe_gets_lines_that_all_carry_a_priority() -> None:
    done = run()
    lines = done.stderr.splitlines()
    assert lines[:2] == ["<6>hello a <0>b", "<3>it failed"]
    assert all(line.startswith("<3>") for line in lines[1:])
    assert lines[-2:] == ["<3>ValueError: a", "<3>b"]
    assert done.stdout == "it goes on\n"


def test_a_terminal_gets_plain_text() -> None:
    master, slave = pty.openpty()
    try:
        done = run(stderr=slave)
        screen = os.read(master, 65536).decode().splitlines()
    finally:
        os.close(slave)
        os.close(master)
    assert screen[:2] == ["hello a <0>b", "it failed"]
    assert done.stdout == "it goes on\n"


def test_under_systemd_the_records_go_to_the_journal_alone() -> None:
    done = run(IN_THE_JOURNAL)
    assert done.stderr == ""
    assert done.stdout == "it goes on\n"


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        listening.bind(str(tmp_path / "journal"))
        yield listening


@contextmanager
def journal_of(logger: logging.Logger, journald: socket.socket) -> Iterator[None]:
    handler = JournalHandler(Path(journald.getsockname()))
    logger.addHandler(handler)
    yield
    handler.close()


def datagrams(journald: socket.socket) -> list[bytes]:
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(journald.recv(65536))
    return found


def test_a_record_is_sent_with_its_fields(logger: logging.Logger, journald: socket.socket) -> None:
    with journal_of(logger, journald):
        logger.info("now %s", "waiting", extra={"rebootmgr": {"REBOOTMGR_STATE": "waiting"}})
    [datagram] = datagrams(journald)
    assert datagram.decode().splitlines() == [
        "MESSAGE=now waiting",
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=rebootmgrd",
        "LOGGER=rebootmgr.tests.journal",
        "REBOOTMGR_STATE=waiting",
    ]


def test_a_text_of_several_lines_is_one_field(
    logger: logging.Logger, journald: socket.socket
) -> None:
    with journal_of(logger, journald):
        try:
            int("a")
        except ValueError:
            logger.exception("it failed")
    [datagram] = datagrams(journald)
    name, _, rest = datagram.partition(b"\n")
    size = int.from_bytes(rest[:8], "little")
    text = rest[8 : 8 + size]
    assert (name, text.splitlines()[0], text.splitlines()[-1]) == (
        b"MESSAGE", b"it failed", b"ValueError: invalid literal for int() with base 10: 'a'",
    )  # fmt: skip
    assert rest[8 + size :].startswith(b"\nPRIORITY=3\n")


def test_a_journal_that_is_gone_stops_nobody(
    logger: logging.Logger, tmp_path: Path, journald: socket.socket
) -> None:
    with journal_of(logger, journald):
        (tmp_path / "journal").unlink()
        logger.error("unheard")


def test_a_journal_that_nobody_reads_stops_nobody_and_hears_how_much_it_missed(
    logger: logging.Logger, journald: socket.socket
) -> None:
    with journal_of(logger, journald):
        for number in range(5000):
            logger.info("number %s", number)
        heard = datagrams(journald)
        logger.info("the last")
        told, last = datagrams(journald)
    assert last.startswith(b"MESSAGE=the last\n")
    assert told.startswith(b"MESSAGE=%d messages were dropped: " % (5000 - len(heard)))
    assert b"PRIORITY=4\n" in told


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_a_log_that_nobody_reads_stops_nobody_and_hears_how_much_it_missed(
    logger: logging.Logger, kind: str
) -> None:
    reader, writer = os.pipe() if kind == "pipe" else pty.openpty()
    try:
        logger.addHandler(LineHandler(writer, prefixed=True))
        for number in range(5000):
            logger.info("number %s", number)
        heard, said = b"", 5000
        # A terminal passes on what it holds when it likes: not all of it may come at once.
        while not heard.rstrip().endswith(b"<6>the last"):
            logger.info("the last")
            said += 1
            readable, _, _ = select.select([reader], [], [], 60)
            assert readable
            heard += os.read(reader, 65536)
    finally:
        os.close(reader)
        os.close(writer)
    told = re.findall(rb"<4>(\d+) messages were dropped: ", heard)
    missed = said - len(re.findall(rb"<6>(?:number \d|the last)", heard))
    assert told
    assert abs(missed - sum(map(int, told))) <= len(told)  # each time, one may be cut


def test_only_the_stream_that_systemd_named_is_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        found = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": "nonsense"})
        assert not is_journal(stream, {})
    assert not is_journal(stream, {"JOURNAL_STREAM": "1:1"})


def test_an_unknown_level_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stream, pytest.raises(ValueError, match="LOUD"):
        open_log("loud", stream=stream, environ={})

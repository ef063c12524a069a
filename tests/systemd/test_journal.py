"""Where the log goes. sd_journal_send(3) has one fixed socket, so its place is taken by a list."""

import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebootmgr.systemd.journal import JournalHandler, is_journal, open_log

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
print("systemd.journal" in sys.modules)
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
    assert done.stdout == "False\n"


def test_a_terminal_gets_plain_text() -> None:
    master, slave = pty.openpty()
    try:
        done = run(stderr=slave)
        screen = os.read(master, 65536).decode().splitlines()
    finally:
        os.close(slave)
        os.close(master)
    assert screen[:2] == ["hello a <0>b", "it failed"]
    assert done.stdout == "False\n"


def test_under_systemd_the_records_go_to_the_journal_alone() -> None:
    done = run(IN_THE_JOURNAL)
    assert done.stderr == ""
    assert done.stdout == "True\n"


def test_a_record_is_sent_with_its_fields(logger: logging.Logger) -> None:
    sent: list[str] = []
    logger.addHandler(JournalHandler(lambda *record: sent.extend(record)))
    logger.info("now %s", "waiting", extra={"rebootmgr": {"REBOOTMGR_STATE": "waiting"}})
    assert sent == [
        "MESSAGE=now waiting",
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=rebootmgrd",
        "LOGGER=rebootmgr.tests.journal",
        "REBOOTMGR_STATE=waiting",
    ]


def test_a_journal_that_is_gone_stops_nobody(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    def send(*_: str) -> None:
        raise ConnectionRefusedError

    logger.addHandler(JournalHandler(send))
    logger.error("unheard")
    assert "unheard" in capsys.readouterr().err


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

"""`make demo`, as people see it: in a pipe, 80 columns, the whole story or Ctrl-C."""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.waiting import BOUND_S

ROOT: Final = Path(__file__).parent.parent
DEMO: Final = (sys.executable, "-m", "tests.demo")
STORY: Final = (
    "Verdict: idle: nothing is pending",
    "outside_window",
    "Broadcast message from rebootmgr",
    "users_logged_in",
    "fleet freeze",
    "HTTP 423 frozen",
    'rebootmgr_blocked{reason="lock_refused"} 1.0',
    "fleet thaw",
    "1 of 1 slot lent, 1 host waits",
    "lock_pending",
    "fleet release worker-2",
    "ListInhibitors",
    "RebootWithFlags",
    "Verdict: reboot",
    "* worker-1",
    "succeeded",
    "HTTP 423 halted",
    "failed: rolled back",
    "fleet resume default --forgive worker-2",
    "worker-1 gave its slot back",
)


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unlike `tmp_path`, whose name is the test's, short enough for the sockets of a demo."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "TMPDIR": str(home)}


def test_the_demo_tells_its_story_in_order_and_in_80_columns(environ: dict[str, str]) -> None:
    done = subprocess.run(DEMO, cwd=ROOT, env=environ, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    at = 0
    for words in STORY:
        at = done.stdout.find(words, at)
        assert at >= 0, f"{words!r} is missing, or too early, in:\n{done.stdout}"
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
    assert "\x1b" not in done.stdout


def _interrupted(environ: dict[str, str], number: signal.Signals) -> tuple[int, str, int]:
    """The process group of a demo that a signal ended in its story, its errors and its status."""
    with subprocess.Popen(
        DEMO,
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        while "Verdict" not in demo.stdout.readline():
            assert demo.poll() is None, demo.stderr.read()
        os.killpg(demo.pid, number)  # as a terminal does: to the demo and all that it started
        demo.stdout.read()
        return demo.pid, demo.stderr.read(), demo.wait()


def _await_the_end(group: int) -> None:
    """The kernel kills with the demo what it started, and whoever inherits them buries them."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            _, _, fields = stat.read_text().rpartition(")")  # proc_pid_stat(5): state, ppid, pgrp
            if fields.split()[2] == str(group):
                pidfd = os.pidfd_open(int(stat.parent.name))
                with open(pidfd, "rb") as process:  # noqa: PTH123 - a path has no descriptor
                    assert select.select([process], [], [], BOUND_S)[0], "it is still there"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ended_demo_leaves_nothing_behind(
    environ: dict[str, str], home: Path, number: signal.Signals
) -> None:
    group, errors, status = _interrupted(environ, number)
    assert (errors, status) == ("", 128 + number)
    _await_the_end(group)
    assert list(home.iterdir()) == []


def test_the_demo_runs_where_temporary_files_lie_too_deep_for_a_socket(
    environ: dict[str, str], home: Path
) -> None:
    deep = home / ("deep" * 20)
    deep.mkdir()
    _, errors, status = _interrupted(environ | {"TMPDIR": str(deep)}, signal.SIGINT)
    assert (errors, status) == ("", 128 + signal.SIGINT)

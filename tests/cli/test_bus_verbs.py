"""status, why and metrics: the screens as golden texts, the verbs on a real bus and socket."""

import asyncio
import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.bus.connection import Bus
from rebootmgr.cli.bus_verbs import METRICS, VERBS
from rebootmgr.cli.page import Page, span
from rebootmgr.cli.render import render_status, render_why
from rebootmgr.cli.verb import Context
from rebootmgr.control.described import Record, decode_status
from rebootmgr.control.object import Control
from rebootmgr.control.words import encode_status, encode_why
from rebootmgr.core.model import Reason
from rebootmgr.core.reasons import WORDS
from rebootmgr.core.status import ShownBlocker, Status
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.show.metrics_socket import MetricsSocket
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.operators import Wishes
from tests.fakes.statuses import ALL, IDLE, NOW, WAITING

GOLDEN = Path(__file__).parent / "golden"
SCREENS: dict[str, Callable[[Record, Page], str]] = {"status": render_status, "why": render_why}
RUN = {verb.name: verb.run for verb in VERBS}
ROOT = Path(__file__).parent.parent.parent


def page(width: int = 80, *, color: bool = False) -> Page:
    return Page(now=NOW, zone=ZoneInfo("Europe/Rome"), width=width, color=color)


def described(status: Status) -> Record:
    return decode_status(json.dumps(encode_status(status)))


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", ALL)
def test_a_screen_looks_as_agreed(name: str, screen: str, width: int) -> None:
    """A missing golden text is written, to be looked at and committed."""
    golden = GOLDEN / f"{name}.{screen}.{width}.txt"
    shown = SCREENS[screen](described(ALL[name]), page(width))
    if not golden.exists():
        golden.write_text(shown)
        pytest.fail(f"{golden.name} was missing: look at what is there now")
    assert shown == golden.read_text()


def test_why_names_each_gate_that_is_clear_or_not_asked_only_if_wanted() -> None:
    some, everything = (
        render_why(described(WAITING), page(), everything=each) for each in (False, True)
    )
    assert "Clear: starting, config_invalid" in everything
    assert "Not asked yet: check_failed, hook_failed, lock_pending" in everything
    assert "Clear:" not in some
    assert not re.search(r"\block_[a-z]+", some)


@pytest.mark.parametrize("reason", Reason)
def test_each_closed_gate_says_what_to_do(reason: Reason) -> None:
    blocker = ShownBlocker(reason, "", since=NOW, until=None)
    shown = render_why(described(replace(WAITING, blockers=(blocker,))), page(200))
    assert f" to do: {WORDS[reason].advice}\n" in shown


@pytest.mark.parametrize("screen", SCREENS)
def test_a_daemon_that_says_nothing_is_unknown_and_no_failure(screen: str) -> None:
    shown = SCREENS[screen](decode_status("{}"), page())
    assert "Verdict: unknown\n" in shown
    assert "Pending: unknown\n" in shown


def test_words_of_a_newer_daemon_are_shown_as_they_are() -> None:
    blocker = {"reason": "sunspots", "detail": "a lot", "since": None, "until": None}
    gate = {"gate": "sunspots", "state": "flickering", "detail": "bright"}
    document = {"state": "pondering", "verdict": "perhaps", "blockers": [blocker], "gates": [gate]}
    record = decode_status(json.dumps(document))
    assert " x sunspots               a lot\n" in render_why(record, page())
    assert "State: pondering\n" in render_status(record, page())
    assert "Verdict: perhaps\n" in render_status(record, page())


def test_colour_only_repeats_what_is_said() -> None:
    plain = render_status(described(WAITING), page())
    coloured = render_status(described(WAITING), page(color=True))
    assert "\x1b[31m" in coloured
    assert "\x1b" not in plain
    bare = coloured
    for code in ("0", "2", "31", "32", "33"):
        bare = bare.replace(f"\x1b[{code}m", "")
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (12000, "3 h 20 min"), (3605, "1 h"),
        (86400 * 7, "7 d"), (86400 + 7200, "1 d 2 h"),
    ],
)  # fmt: skip
def test_a_duration_has_its_two_largest_units(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_times_far_away_are_shown_all_the_same() -> None:
    late = replace(WAITING, predicted=NOW + timedelta(days=365 * 7000))
    assert "(in 2555000 d)" in render_why(described(late), page())


SOME_WORDS = ["wait", "reboot", "held", "outside_window", "clear", "not_evaluated", "waiting"]
TEXT = st.text(max_size=300) | st.none() | st.integers() | st.just("2030-01-05T20:10:00Z")
TEXT |= st.sampled_from(SOME_WORDS)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(
            ["reason", "detail", "since", "until", "gate", "state", "notice", "id", "owner", "at",
             "version", "outcome", "seconds", "server", "error"]
        ),
        TEXT,
    ),
    max_size=3,
)  # fmt: skip
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ["blockers", "gates", "notices", "holds", "slots", "history", "strategies"], ROWS
        ),
        **dict.fromkeys(["verdict", "state", "predicted", "lock_held", "config_valid"], TEXT),
        "pending": st.dictionaries(st.sampled_from(["id", "version", "since"]), TEXT),
        "window": st.dictionaries(st.sampled_from(["start", "end"]), TEXT),
        "config_problems": st.lists(TEXT, max_size=3),
    },
)


@given(document=DOCUMENTS, width=st.integers(1, 200))
def test_no_line_is_too_long_or_speaks_to_the_terminal(
    document: dict[str, object], width: int
) -> None:
    record = decode_status(json.dumps(document))
    for screen in SCREENS.values():
        for line in screen(record, page(width)).splitlines():
            assert len(line) <= max(width, 40)
            assert line.isprintable()


@pytest.fixture
def daemon() -> Iterator[DbusDaemon]:
    with DbusDaemon() as daemon:
        yield daemon


@pytest.fixture
def root() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rebootmgr-") as root:
        yield Path(root)


def context(root: Path, *, is_json: bool = False) -> Context:
    return Context(root=root, json=is_json, out=StringIO(), err=StringIO(), color=False, width=80)


async def shown(verb: str, root: Path, *, is_json: bool = False) -> str:
    """Run a verb as its own program would: in a loop of its own."""
    where = context(root, is_json=is_json)
    assert (
        await asyncio.to_thread(RUN[verb], Namespace(watch=False, quiet=False, all=False), where)
        == 0
    )
    assert isinstance(where.out, StringIO)
    return where.out.getvalue()


@asynccontextmanager
async def served(daemon: DbusDaemon, status: Status) -> AsyncIterator[None]:
    bus = await Bus.connect(daemon.address)
    try:
        control = Control(
            bus,
            status,
            handlers=Wishes().handlers,
            changers=(),
            machine_id=Path("/nonexistent"),
        )
        await control.serve()
        yield
    finally:
        await bus.close()


async def test_status_and_why_show_what_the_daemon_says(
    daemon: DbusDaemon, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", daemon.address)
    async with served(daemon, WAITING):
        assert "Verdict: wait: 3 gates are closed\n" in await shown("status", root)
        assert "asked yet: checks, hooks, the lock server" in await shown("why", root)
        assert json.loads(await shown("status", root, is_json=True)) == encode_status(WAITING)
        assert json.loads(await shown("why", root, is_json=True)) == encode_why(WAITING)


def rebootmgrctl(*arguments: str, bus: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_ALL": "C"}
    if bus:
        environment["DBUS_SYSTEM_BUS_ADDRESS"] = bus
    return subprocess.run(
        [sys.executable, "-m", "rebootmgr.cli.main", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.mark.parametrize("verb", ["status", "why"])
def test_without_the_daemon_there_is_one_line_with_the_cure(
    verb: str, daemon: DbusDaemon, root: Path
) -> None:
    result = rebootmgrctl("--root", str(root), verb, bus=daemon.address)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "rebootmgrctl: rebootmgrd is not running: see `systemctl status rebootmgr`\n"
    )


def test_without_a_bus_there_is_one_line_that_names_it(root: Path) -> None:
    result = rebootmgrctl("--root", str(root), "status", bus=f"unix:path={root}/nothing")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert f"{root}/nothing" in result.stderr


def test_another_root_never_means_the_bus_of_this_host(root: Path) -> None:
    result = rebootmgrctl("--root", str(root), "status")
    assert result.returncode == 2
    assert "DBUS_SYSTEM_BUS_ADDRESS" in result.stderr


def test_another_root_without_a_bus_is_a_usage_error_in_every_verb(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    for verb in ("status", "why"):
        with pytest.raises(UsageError):
            RUN[verb](Namespace(watch=False, quiet=False, all=False), context(root))


async def test_metrics_prints_the_socket(root: Path) -> None:
    text = b"# HELP x Y.\n# TYPE x gauge\nx 1.0\n"
    socket = MetricsSocket.open(root / METRICS, mode=0o600, text=lambda: text)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(socket.serve())
        assert await shown("metrics", root) == text.decode()
        assert json.loads(await shown("metrics", root, is_json=True)) == {"metrics": text.decode()}
        serving.cancel()
    socket.close()


def test_metrics_without_a_socket_says_whom_to_ask(root: Path) -> None:
    with pytest.raises(RebootmgrError, match=r"metrics\.promsock: see `systemctl status"):
        RUN["metrics"](Namespace(), context(root))


def test_nothing_pending_needs_less_than_one_screen() -> None:
    assert len(render_status(described(IDLE), page()).splitlines()) < 24

"""The verbs that change something: what the command line may say, and the lists for people."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from rebootmgr.cli.main import main
from rebootmgr.cli.operator_verbs import VERBS, render_history, render_holds
from rebootmgr.cli.page import Page
from rebootmgr.control.described import decode_status
from tests.fakes.dbus_daemon import DbusDaemon

PAGE = Page(
    now=datetime(2026, 11, 21, 9, tzinfo=UTC), zone=ZoneInfo("Europe/Rome"), width=80, color=False
)
ONE_END = "one of the arguments --until --for --forever is required"
HOLD = ("hold", "--reason", "x")


@pytest.fixture
def _no_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")


@pytest.mark.usefixtures("_no_bus")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hold", "--for", "1h"), "the following arguments are required: --reason"),
        ((*HOLD,), ONE_END),
        ((*HOLD, "--for", "1h", "--forever"), "not allowed with argument --for"),
        ((*HOLD, "--until", "2099-01-01", "--for", "1h"), "not allowed with argument --until"),
        ((*HOLD, "--until", "2020-01-01"), '--until "2020-01-01" is in the past'),
        ((*HOLD, "--until", "soon"), '"soon" cannot be read as a time; write 22:00'),
        ((*HOLD, "--until", "yesterday", "08:00"), '--until "yesterday 08:00" is in the past'),
        ((*HOLD, "--for", "0"), '"0" is too short; write 90s'),
        ((*HOLD, "--for", "2", "q"), '"2 q" is no length of time'),
        ((*HOLD, "--for", "a while\n"), '"a while" is no length of time; write 90s'),
        (("hold", "--reason", " \n", "--forever"), "--reason is empty"),
        (("release",), "the following arguments are required: ID"),
        (("release", "a", "b"), "unrecognized arguments: b"),
        (("reboot", "--for", "0s"), "is too short"),
        (("reboot", "--for", "99y"), "longer than ten years"),
        (("reboot", "now"), "unrecognized arguments: now"),
        (("cancel", "--for", "soon"), "no length of time"),
        (("forgive", ""), "KEY is empty"),
        (("forgive", "\n"), "KEY is empty"),
        (("reload", "x"), "unrecognized arguments: x"),
    ],
)
def test_a_usage_error_is_found_before_the_daemon_is_called(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert said in line


LEGAL = {
    "hold": ("hold", "--reason", "not \udcff UTF-8", "--forever"),
    "release": ("release", "\udcff"),
    "forgive": ("forgive", "\udcffx"),
}


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with DbusDaemon() as daemon:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", daemon.address)
        yield


@pytest.mark.usefixtures("bus")
def test_without_the_daemon_each_verb_has_one_line_with_the_cure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for verb in VERBS:
        assert main(LEGAL.get(verb.name, (verb.name,))) == 1
        printed = capsys.readouterr()
        cure = "rebootmgrctl: rebootmgrd is not running: see `systemctl status rebootmgr`\n"
        assert (printed.out, printed.err) == ("", cure)


def test_holds_are_shown_in_80_columns_with_local_times_and_nothing_of_a_terminal() -> None:
    hold = {
        "id": "5f2a91c0\x1b[2J",
        "owner": "alice",
        "reason": "a long story\n" * 10,
        "since": "2026-11-21T08:00:00Z",
        "until": "2026-11-22T08:00:00Z",
    }
    record = decode_status(json.dumps({"holds": [hold, {"id": 7, "until": None}]}))
    shown = list(render_holds(record.parts("holds"), PAGE))
    assert max(len(line) for line in shown) <= 80
    text = " ".join("\n".join(shown).split())
    assert "alice, since Sat 2026-11-21 09:00 CET (1 h ago)" in text
    assert "until Sun 2026-11-22 09:00 CET (in 23 h)" in text
    assert "until it is released" in text
    assert "\x1b" not in text
    assert list(render_holds((), PAGE)) == ["no holds"]


def test_the_history_fits_in_80_columns_whatever_the_daemon_says() -> None:
    past = {
        "at": "2026-11-21T08:00:00Z",
        "version": "44.20261101.3.0-with-something-long-behind",
        "outcome": "rolled_back",
        "seconds": 86340,
        "phases": dict.fromkeys(("waiting", "lock", "hooks", "shutdown", "boot_complete"), 86340)
        | {"boot": None, "of_tomorrow": 7},
        "cause": "10-health: no route\n to \x1b[2J the database of orders" + " again" * 9,
    }
    odd = {"at": "never", "version": None, "outcome": None, "seconds": "x"}
    record = decode_status(json.dumps({"history": [past, odd]}))
    first, *cause, second = render_history(record.parts("history"), PAGE)
    cause, phases = cause[:2], cause[2:]
    assert max(len(line) for line in (first, *cause, *phases)) <= 80
    assert " ".join(" ".join(cause).split()) == (
        "10-health: no route to [2J the database of orders" + " again" * 9
    )
    assert " ".join(" ".join(phases).split()) == (
        "hooks 23 h 59 min, shutdown 23 h 59 min, to boot-complete 23 h 59 min;"
        " before that waiting 23 h 59 min, lock 23 h 59 min"
    )
    assert first.endswith("rolled_back    23 h 59 min")
    assert second.split() == ["unknown", "unknown", "not", "known", "yet"]
    assert list(render_history((), PAGE)) == ["no reboots by rebootmgr"]

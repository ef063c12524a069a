"""What logind says, as literals."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.events import RebootAccepted, RebootRefused, RebootUnclear
from rebootmgr.core.facts import Inhibitor, Logind, Session
from rebootmgr.logind.words import (
    NotKnown,
    decode_inhibitors,
    decode_logind,
    decode_reboot_error,
    decode_scheduled,
    decode_session,
    decode_session_paths,
    encode_warning,
)

ERROR = "org.freedesktop.DBus.Error."
SSH = {
    "Id": "7",
    "Name": "core",
    "Class": "user",
    "State": "active",
    "Type": "tty",
    "TTY": "",
    "Remote": True,
    "RemoteHost": "10.0.0.9",
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


def test_only_block_inhibitors_of_shutdown_count() -> None:
    rows = [
        ["shutdown", "dnf", "update", "block", 0, 12],
        ["sleep:shutdown:idle", "backup", "nightly", "block", 1000, 13],
        ["shutdown", "NetworkManager", "", "delay", 0, 14],
        ["shutdown", "desktop", "", "block-weak", 1000, 15],
        ["sleep", "upower", "", "block", 0, 16],
        ["shutdown-ish", "x", "", "block", 0, 17],
    ]
    assert decode_inhibitors(rows) == (
        Inhibitor(who="dnf", why="update", uid=0, pid=12),
        Inhibitor(who="backup", why="nightly", uid=1000, pid=13),
        Inhibitor(who="desktop", why="", uid=1000, pid=15),
    )


def test_the_reason_of_an_inhibitor_is_made_harmless() -> None:
    rows = [["shutdown", "a\x1b[2Jb", "x\nWATCHDOG=trigger\u202e", "block", 0, 1]]
    [inhibitor] = decode_inhibitors(rows)
    assert inhibitor.who == "a [2Jb"
    assert inhibitor.why == "x WATCHDOG=trigger"


@pytest.mark.parametrize(
    "rows",
    [
        None,
        "shutdown",
        7,
        [[]],
        [["shutdown", "who", "why", "block", 0]],
        [["shutdown", "who", "why", "block", "0", 1]],
        [["sleep", "fine", "", "delay", 0, 1], "odd"],
    ],
)
def test_inhibitors_of_another_shape_are_no_empty_list(rows: object) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        decode_inhibitors(rows)


@given(anything)
def test_whatever_logind_says_decodes_or_is_refused(value: object) -> None:
    for decode in (decode_inhibitors, decode_session_paths, decode_scheduled):
        with contextlib.suppress(ValueError):
            decode(value)


@given(st.dictionaries(st.sampled_from([*SSH]), anything))
def test_whatever_a_session_has_it_counts_or_is_refused(changes: dict[str, Any]) -> None:
    try:
        session = decode_session({**SSH, **changes})
    except ValueError:
        return
    assert session is None or all(
        text.isprintable() for text in (session.id, session.user, session.tty, session.origin)
    )


def test_an_ssh_session_counts_before_logind_knows_its_terminal() -> None:
    assert decode_session(SSH) == Session(id="7", user="core", tty="", origin="10.0.0.9")


@pytest.mark.parametrize(
    "changes",
    [
        {"Remote": False, "TTY": "tty1"},
        {"Remote": False, "Type": "wayland"},
        {"Remote": False, "Type": "x11"},
        {"Class": "user-early", "TTY": "tty1"},
        {"Class": "user-incomplete"},
        {"Class": "user-light"},
        {"Class": "user-early-light"},
        {"Class": "a-class-of-tomorrow"},
        {"State": "online"},
        {"State": "opening"},
    ],
)
def test_people_with_a_terminal_remote_or_graphical_count(changes: dict[str, Any]) -> None:
    assert decode_session({**SSH, **changes}) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"Remote": False},
        {"State": "closing"},
        {"Class": "greeter"},
        {"Class": "manager"},
        {"Class": "manager-early"},
        {"Class": "background", "TTY": "cron"},
        {"Class": "background-light", "TTY": "cron"},
        {"Class": "none"},
        {"Class": "lock-screen", "TTY": "tty1"},
    ],
)
def test_machinery_and_leaving_sessions_do_not_count(changes: dict[str, Any]) -> None:
    assert decode_session({**SSH, **changes}) is None


@pytest.mark.parametrize("missing", ["Id", "Name", "Class", "State", "Type", "TTY", "Remote"])
def test_a_session_without_what_decides_is_not_ignored(missing: str) -> None:
    properties = {name: value for name, value in SSH.items() if name != missing}
    with pytest.raises(ValueError, match="makes no sense"):
        decode_session(properties)


@pytest.mark.parametrize(
    ("scheduled", "text"),
    [
        (["", 0], ""),
        (["", 2**64 - 1], ""),
        (["reboot", 1_740_794_400_000_000], "reboot scheduled for 2025-03-01 02:00:00 UTC"),
        (["dry-poweroff", 1], "dry-poweroff scheduled for 1970-01-01 00:00:00 UTC"),
        (["reboot", 0], "reboot asked for by somebody else, to begin at once"),
        (["halt", 2**64 - 1], "halt scheduled for an unknown time"),
        (["re\nboot", 0], "re boot asked for by somebody else, to begin at once"),
    ],
)
def test_a_scheduled_shutdown_is_told_by_its_type(scheduled: object, text: str) -> None:
    assert decode_scheduled(scheduled) == text


def test_one_look_holds_everything() -> None:
    properties = {"PreparingForShutdown": True, "ScheduledShutdown": ["", 0]}
    found = decode_logind((), None, properties, [SSH, {**SSH, "State": "closing"}])
    session = Session(id="7", user="core", tty="", origin="10.0.0.9")
    assert found == Logind(sessions=(session,), preparing=True)


def test_a_look_without_what_decides_is_refused() -> None:
    for properties in ({"ScheduledShutdown": ["", 0]}, {"PreparingForShutdown": False}):
        with pytest.raises(ValueError, match="makes no sense"):
            decode_logind((), None, properties, [])


@pytest.mark.parametrize(
    ("answer", "may"),
    [("yes", True), ("challenge", False), ("inhibitor-blocked", False), ("no", False), (1, False)],
)
def test_only_a_plain_yes_lets_us_past_an_inhibitor(answer: object, may: bool) -> None:  # noqa: FBT001
    properties = {"PreparingForShutdown": False, "ScheduledShutdown": ["", 0]}
    held = (Inhibitor(who="backup", why="", uid=0, pid=7),)
    assert decode_logind(held, answer, properties, []).may_override is may
    assert not decode_logind((), answer, properties, []).may_override


def test_a_shutdown_under_way_counts_as_accepted() -> None:
    name = "org.freedesktop.login1.OperationInProgress"
    assert decode_reboot_error(name, "") == RebootAccepted()


@pytest.mark.parametrize("name", ["", f"{ERROR}NoReply", f"{ERROR}Timeout"])
def test_silence_says_nothing_about_the_call(name: str) -> None:
    """logind passes it on, too, from a polkit that went away while it was asked."""
    answer = decode_reboot_error(name, "Remote peer\ndisconnected")
    assert isinstance(answer, RebootUnclear)
    assert "Remote peer disconnected" in answer.detail


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("org.freedesktop.login1.BlockedByInhibitorLock", "systemd-inhibit --list"),
        (f"{ERROR}AccessDenied", "masked reboot.target"),
        (f"{ERROR}InteractiveAuthorizationRequired", "polkit"),
        (f"{ERROR}InteractiveAuthorizationRequired", "systemd-inhibit --list"),
        (f"{ERROR}ServiceUnknown", "not on the bus"),
        (f"{ERROR}NameHasNoOwner", "not on the bus"),
        (f"{ERROR}UnknownObject", f"{ERROR}UnknownObject"),
    ],
)
def test_every_other_error_is_a_refusal_with_a_hint(name: str, hint: str) -> None:
    answer = decode_reboot_error(name, "because\n\x1b[31m")
    assert isinstance(answer, RebootRefused)
    assert hint in answer.detail
    assert "because" in answer.detail
    assert answer.detail.isprintable()


def test_an_old_logind_is_told_from_one_that_refuses() -> None:
    assert decode_reboot_error(f"{ERROR}UnknownMethod", "Unknown method") == NotKnown()
    assert decode_reboot_error(f"{ERROR}InvalidArgs", "Invalid flags parameter") == NotKnown()


AT = datetime(2025, 3, 1, 2, 0, tzinfo=UTC)


def test_a_warning_says_who_what_when_and_how_to_stop_it() -> None:
    text = encode_warning("41.20250215.3.0", in_s=600, at=AT)
    assert "\a" in text
    assert "rebootmgr (Sat 2025-03-01 02:00:00 UTC)" in text
    assert "41.20250215.3.0" in text
    assert "in 10 minutes" in text
    assert "rebootmgrctl cancel" in text
    assert "rebootmgrctl hold" in text


@pytest.mark.parametrize(
    ("in_s", "words"),
    [
        (540, "9 minutes"),
        (90, "2 minutes"),
        (60, "one minute"),
        (30, "less than a minute"),
        (-5, "less than a minute"),
    ],
)
def test_a_warning_says_the_time_in_words(in_s: float, words: str) -> None:
    assert f"in {words}," in encode_warning("1", in_s=in_s, at=AT)


@given(st.text(), st.floats(min_value=0, max_value=86_400))
def test_no_version_can_break_out_of_its_line(version: str, in_s: float) -> None:
    lines = encode_warning(version, in_s=in_s, at=AT).split("\r\n")
    assert len(lines) == len(encode_warning("1", in_s=1, at=AT).split("\r\n"))
    assert all(len(line) < 80 for line in lines)
    assert all(line.replace("\a", "").isprintable() for line in lines)

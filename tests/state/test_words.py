"""state.json keeps everything, and no bytes can hurt its reader."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from operator import attrgetter, neg
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.memory import (
    Anchor,
    Ask,
    Backlog,
    Debt,
    Durations,
    Hold,
    HoldSpan,
    Intent,
    Memory,
    PastReboot,
    Quarantine,
    Unreadable,
)
from rebootmgr.core.model import BootId, Deployment, DeploymentId, Outcome, Slot, UpdateKey
from rebootmgr.state.words import LARGEST, Corrupt, decode_state, encode_state
from rebootmgr.text import harmless

RANGE = tuple(datetime.fromisoformat(year) for year in ("1970-01-01", "2999-12-31"))
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FULL = Memory(
    settled=BootId("b1"),
    booted=Deployment(
        id=DeploymentId("fcos-aa.0"), key=UpdateKey("fcos:aa"), version="41", timestamp=7
    ),
    intent=Intent(
        target=DeploymentId("fcos-bb.0"),
        key=UpdateKey("fcos:bb"),
        version="42",
        booted=DeploymentId("fcos-aa.0"),
        boot=BootId("b1"),
        at=NOON,
        mono=12.5,
        waiting_s=0.5,
        lock_s=0.25,
        shutdown_seen=True,
        down_at=NOON,
        seen_booted=True,
        withdrawn=True,
        on_disk=("fcos-aa.0",),
    ),
    debts=(
        Debt(
            slot=Slot("https://lock/base", "default", "n1"),
            unanswered=True,
            kept=True,
            since=NOON,
        ),
    ),
    confirmed=(Slot("https://lock/base", "default", "n1"),),
    drained=True,
    attempts=((UpdateKey("fcos:bb"), 1),),
    staged_change=Deployment(id=DeploymentId("fcos-bb.0"), key=UpdateKey("fcos:bb"), version="42"),
    quarantine=(Quarantine(key=UpdateKey("fcos:cc"), why="rolled back twice", since=NOON),),
    holds=(
        Hold(
            id="h1",
            owner="root",
            reason="visit",
            since=NOON,
            until=NOON,
            span=HoldSpan(boot=BootId("b1"), ends=90.0, seconds=30.0, is_dated=True),
        ),
    ),
    ask=Ask(
        target=DeploymentId("fcos-bb.0"),
        key=UpdateKey("fcos:bb"),
        boot=BootId("b1"),
        by="root",
        now=True,
        until=NOON,
        ends=60.0,
    ),
    reboots=(
        PastReboot(
            at=NOON,
            target=DeploymentId("fcos-bb.0"),
            version="42",
            outcome=Outcome.SUCCEEDED,
            seconds=61.5,
            phases=Durations(
                waiting_s=1.5,
                lock_s=2.5,
                hooks_s=3.5,
                shutdown_s=4.5,
                boot_s=5.5,
                boot_complete_s=6.5,
            ),
            cause="disk full",
        ),
    ),
    outcomes=((Outcome.SUCCEEDED, 3),),
    reboots_total=4,
    last_seen=NOON,
    backlog=Backlog(
        key=UpdateKey("fcos:bb"),
        since=NOON,
        behind_since=NOON - timedelta(days=9),
        none_since=NOON,
        anchor=Anchor(boot=BootId("b2:b2:1"), born=-4.5, vouched=NOON, gone=3.0),
    ),
    machine="00ff",
    complaint="10-health: no route",
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KNOWN = sorted(json.loads(encode_state(Memory())))
NEWER = {"moon": {"phase": [1, None]}}


def everything(cls: type, **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Every field is drawn, also those with a default, so that a new field cannot be forgotten."""
    return st.builds(cls, **{f.name: known.get(f.name, ...) for f in fields(cls)})


def memories() -> st.SearchStrategy[Memory]:
    prose = st.text(max_size=30).map(harmless)
    instant = st.datetimes(*RANGE, timezones=st.just(UTC))
    end = st.none() | instant
    amount = st.floats(min_value=0.0, max_value=1e10)
    counter = st.integers(min_value=0, max_value=2**53)
    phases = everything(Durations, **{f.name: amount for f in fields(Durations)})
    deployment = everything(
        Deployment,
        id=prose,
        key=prose,
        version=prose,
        timestamp=st.integers(min_value=0, max_value=2**64 - 1),
    )
    intent = everything(
        Intent,
        target=prose,
        key=prose,
        version=prose,
        booted=prose,
        boot=prose,
        at=instant,
        mono=amount,
        waiting_s=amount,
        lock_s=amount,
        hooks_s=amount,
        down_at=end,
        on_disk=st.lists(prose, max_size=3).map(tuple),
    )
    server = st.sampled_from(("https://lock/base", "http://[::1]:8080", "https://lock.example"))
    slot = everything(Slot, server=server, group=prose, id=prose)
    debt = everything(Debt, slot=slot, since=end)
    quarantine = everything(Quarantine, key=prose, why=prose, since=instant)
    span = st.none() | everything(HoldSpan, boot=prose, ends=amount, seconds=amount)
    hold = everything(
        Hold, id=prose, owner=prose, reason=prose, since=instant, until=end, span=span
    )
    past = everything(
        PastReboot,
        at=instant,
        target=prose,
        version=prose,
        seconds=amount,
        phases=phases,
        cause=prose,
    )
    anchor = everything(
        Anchor,
        boot=prose,
        born=st.none() | amount | amount.map(neg),
        vouched=end,
        gone=st.none() | amount,
    )
    backlog = everything(
        Backlog,
        key=prose,
        since=instant,
        behind_since=instant,
        none_since=end,
        anchor=st.none() | anchor,
    )
    drawn: st.SearchStrategy[Memory] = everything(
        Memory,
        settled=st.none() | prose,
        booted=st.none() | deployment,
        intent=st.none() | intent,
        debts=st.lists(debt, max_size=3, unique_by=attrgetter("slot")).map(tuple),
        staged_change=st.none() | deployment,
        confirmed=st.lists(slot, max_size=3, unique=True).map(tuple),
        attempts=st.dictionaries(prose, counter, max_size=3).map(lambda d: tuple(d.items())),
        quarantine=st.lists(quarantine, max_size=3).map(tuple),
        holds=st.lists(hold, max_size=3, unique_by=attrgetter("id")).map(tuple),
        ask=st.none()
        | everything(
            Ask, target=prose, key=prose, boot=prose, by=prose, until=instant, ends=amount
        ),
        reboots=st.lists(past, max_size=3, unique_by=attrgetter("at")).map(tuple),
        outcomes=st.dictionaries(st.sampled_from(Outcome), counter).map(lambda d: tuple(d.items())),
        reboots_total=counter,
        last_seen=end,
        machine=prose,
        backlog=st.none() | backlog,
        complaint=prose,
    )
    return drawn


@given(memories())
def test_what_is_written_is_read_back(memory: Memory) -> None:
    assert decode_state(encode_state(memory)) == memory


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    assert isinstance(decode_state(data), Memory | Unreadable | Corrupt)


@given(st.dictionaries(st.sampled_from(KNOWN) | st.text(), JSON))
def test_any_json_is_read_without_an_exception(top: dict[str, Any]) -> None:
    for version in ({}, {"version": {"major": 1, "minor": 0}}):
        found = decode_state(json.dumps(top | version).encode())
        assert isinstance(found, Memory | Unreadable | Corrupt)


@given(st.data())
def test_any_value_in_any_place_is_read_without_an_exception(data: st.DataObject) -> None:
    top = json.loads(encode_state(FULL))
    place = top
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        inner = place[key][0] if isinstance(place[key], list) else place[key]
        if not isinstance(inner, dict) or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(JSON)
    found = decode_state(json.dumps(top).encode())
    assert isinstance(found, Memory | Unreadable | Corrupt)
    if isinstance(found, Memory):
        assert decode_state(encode_state(found, over=json.dumps(top).encode())) == found


def test_the_file_looks_as_promised() -> None:
    assert json.loads(encode_state(FULL)) == {
        "version": {"major": 1, "minor": 0},
        "machine": "00ff",
        "settled": "b1",
        "booted": {"id": "fcos-aa.0", "key": "fcos:aa", "version": "41", "timestamp": 7},
        "intent": {
            "target": "fcos-bb.0",
            "key": "fcos:bb",
            "version": "42",
            "booted": "fcos-aa.0",
            "boot": "b1",
            "at": "2026-03-01T12:00:00Z",
            "mono": 12.5,
            "waiting_s": 0.5,
            "lock_s": 0.25,
            "hooks_s": 0.0,
            "shutdown_seen": True,
            "down_at": "2026-03-01T12:00:00Z",
            "seen_booted": True,
            "withdrawn": True,
            "on_disk": ["fcos-aa.0"],
        },
        "releases_owed": [
            {
                "server": "https://lock/base",
                "group": "default",
                "id": "n1",
                "granted": False,
                "unanswered": True,
                "kept": True,
                "asked": True,
                "since": "2026-03-01T12:00:00Z",
                "reports": False,
            }
        ],
        "confirmed": [{"server": "https://lock/base", "group": "default", "id": "n1"}],
        "drained": True,
        "attempts": {"fcos:bb": 1},
        "staged_change": {"id": "fcos-bb.0", "key": "fcos:bb", "version": "42", "timestamp": 0},
        "quarantine": [
            {"key": "fcos:cc", "why": "rolled back twice", "since": "2026-03-01T12:00:00Z"}
        ],
        "holds": [
            {
                "id": "h1",
                "owner": "root",
                "reason": "visit",
                "since": "2026-03-01T12:00:00Z",
                "until": "2026-03-01T12:00:00Z",
                "span": {"boot": "b1", "ends": 90.0, "seconds": 30.0, "is_dated": True},
            }
        ],
        "ask": {
            "target": "fcos-bb.0",
            "key": "fcos:bb",
            "boot": "b1",
            "by": "root",
            "now": True,
            "until": "2026-03-01T12:00:00Z",
            "ends": 60.0,
        },
        "reboots": [
            {
                "at": "2026-03-01T12:00:00Z",
                "target": "fcos-bb.0",
                "version": "42",
                "outcome": "succeeded",
                "seconds": 61.5,
                "phases": {
                    "waiting": 1.5,
                    "lock": 2.5,
                    "hooks": 3.5,
                    "shutdown": 4.5,
                    "boot": 5.5,
                    "boot_complete": 6.5,
                },
                "cause": "disk full",
            }
        ],
        "outcomes": {"succeeded": 3},
        "reboots_total": 4,
        "last_seen": "2026-03-01T12:00:00Z",
        "backlog": {
            "key": "fcos:bb",
            "since": "2026-03-01T12:00:00Z",
            "behind_since": "2026-02-20T12:00:00Z",
            "none_since": "2026-03-01T12:00:00Z",
            "anchor": {
                "boot": "b2:b2:1",
                "born": -4.5,
                "vouched": "2026-03-01T12:00:00Z",
                "gone": 3.0,
            },
        },
        "complaint": "10-health: no route",
    }


def test_a_file_of_the_first_schema_needs_nothing_but_its_version() -> None:
    assert decode_state(b'{"version": {"major": 1, "minor": 0}}') == Memory()


def sprinkled(json_: Any) -> Any:
    """The file as a newer minor version might write it: every object has something more in it."""
    match json_:
        case dict():
            return {key: sprinkled(value) for key, value in json_.items()} | NEWER
        case list():
            return [sprinkled(one) for one in json_]
        case _:
            return json_


def newer_file(memory: Memory) -> dict[str, Any]:
    ours: dict[str, Any] = json.loads(encode_state(memory))
    newer: dict[str, Any] = sprinkled(ours) | {"version": {"major": 1, "minor": 9, **NEWER}}
    return newer | {"attempts": ours["attempts"], "outcomes": ours["outcomes"] | {"teleported": 2}}


@given(memories())
def test_what_a_newer_minor_version_wrote_is_kept_at_every_level(memory: Memory) -> None:
    newer = newer_file(memory)
    data = json.dumps(newer).encode()
    assert decode_state(data) == memory
    version = {"version": {"major": 1, "minor": 0, **NEWER}}
    assert json.loads(encode_state(memory, over=data)) == newer | version


def test_what_is_over_takes_what_was_said_of_it_along() -> None:
    hold, other = FULL.holds[0], replace(FULL.holds[0], id="h2")
    data = json.dumps(newer_file(FULL)).encode()
    assert FULL.intent is not None
    later = Memory(
        intent=replace(FULL.intent, at=NOON + timedelta(hours=1)),
        holds=(other, replace(hold, reason="longer")),
        outcomes=FULL.outcomes,
    )
    kept = json.loads(encode_state(later, over=data))
    assert "moon" not in kept["intent"]
    assert [one.get("moon") for one in kept["holds"]] == [None, NEWER["moon"]]
    assert kept["holds"][1]["reason"] == "longer"
    assert (kept["booted"], kept["attempts"], kept["quarantine"]) == (None, {}, [])
    assert kept["moon"] == NEWER["moon"]


def test_a_hold_that_lost_its_end_does_not_get_it_back() -> None:
    hold = replace(FULL.holds[0], until=NOON)
    kept = encode_state(FULL, over=encode_state(replace(FULL, holds=(hold,))))
    assert decode_state(kept) == FULL


def test_a_quarantine_that_is_forgiven_is_not_brought_back_by_the_last_file() -> None:
    forgiven = replace(FULL, attempts=(), quarantine=())
    kept = json.loads(encode_state(forgiven, over=encode_state(FULL)))
    assert (kept["attempts"], kept["quarantine"]) == ({}, [])


def test_a_higher_major_version_is_unreadable_whatever_else_is_in_it() -> None:
    found = decode_state(b'{"version": {"major": 2, "minor": 3}, "holds": "elsewhere"}')
    assert isinstance(found, Unreadable)
    assert "newer rebootmgr (schema 2.3" in found.detail


def test_times_are_read_with_any_offset_and_kept_in_utc() -> None:
    cet = timezone(timedelta(hours=1))
    memory = Memory(last_seen=NOON.astimezone(cet))
    assert b'"last_seen": "2026-03-01T12:00:00Z"' in encode_state(memory)
    text = encode_state(memory).replace(b"12:00:00Z", b"13:00:00+01:00")
    assert decode_state(text) == Memory(last_seen=NOON)


def test_text_for_people_is_made_harmless() -> None:
    hold = Hold(id="h", owner="eve", reason="a\nb\x1b[2J", since=NOON, until=None)
    found = decode_state(encode_state(Memory(holds=(hold,))))
    assert isinstance(found, Memory)
    assert found.holds[0].reason == "a b [2J"


PAST = {"at": "2026-03-01T12:00:00Z", "target": "fcos-bb.0", "version": "42"}
DEBT = {"server": "https://lock/base", "group": "default", "id": "n1"}
HELD = {"id": "h", "owner": "root", "reason": "visit", "since": "2026-03-01T12:00:00Z"}


def version_and(**keys: object) -> bytes:
    return json.dumps({"version": {"major": 1, "minor": 0}, **keys}).encode()


def test_names_are_made_harmless_too_and_carry_no_half_of_a_character() -> None:
    found = decode_state(
        version_and(
            settled="b1\ud800",
            booted={"id": "fcos-\x1b[2J", "key": "k" * 500, "version": "42\nREADY=1"},
            attempts={"a\nb": 1, "a b": 2},
            releases_owed=[{**DEBT, "id": "n1\x07"}],
        )
    )
    assert isinstance(found, Memory)
    assert found.settled == "b1"
    assert found.booted == Deployment(
        id=DeploymentId("fcos- [2J"), key=UpdateKey("k" * 199 + "…"), version="42 READY=1"
    )
    assert found.attempts == (("a b", 2),)
    assert [debt.slot.id for debt in found.debts] == ["n1"]


def test_a_debt_carries_no_credentials_and_is_one_debt() -> None:
    servers = ("https://eve:secret@Lock/base", "https://lock/base", "https://lock/base?q#f")
    owed = [{**DEBT, "server": server} for server in servers]
    found = decode_state(version_and(releases_owed=[{**owed[0], "kept": True}, *owed[1:]]))
    slot = Slot("https://lock/base", "default", "n1")
    assert found == Memory(debts=(Debt(slot=slot, kept=True),))


def test_of_more_debts_than_any_host_has_the_first_are_kept() -> None:
    found = decode_state(version_and(releases_owed=[{**DEBT, "id": f"n{n}"} for n in range(300)]))
    assert isinstance(found, Memory)
    assert [debt.slot.id for debt in found.debts] == [f"n{n}" for n in range(64)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Expecting value"),
        (b"\x00" * 512, ""),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"a":' * 700_000, "nested too deeply"),
        (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", "nested too deeply"),
        (b" " * (LARGEST + 1), "larger than"),
        (b'{"version": {"major": 1, "minor": ' + b"9" * 5000 + b"}}", ""),
        (b'{"version": {"major": 1, "minor": 1e999}}', "not a finite number"),
        (b'{"version": {"major": true, "minor": 0}}', "version.major: expected a whole number"),
        (b'{"version": {"major": 0, "minor": 0}}', "no major version"),
        (b'{"version": 1}', "the file.version: expected an object"),
        (b"{}", "the file.version: expected an object, found nothing"),
        (b'{"version": {"major": 1, "minor": 0}, "sun": NaN}', "not a finite number"),
        (
            b'{"version": {"major": 1, "minor": 0}, "last_seen": "2026-03-01T12:00:00"}',
            "the file.last_seen: expected a time with an offset",
        ),
        (
            b'{"version": {"major": 1, "minor": 0}, "last_seen": "0001-01-01T00:00:00+23:59"}',
            "out of range",
        ),
        (
            b'{"version": {"major": 1, "minor": 0}, "holds": [{"id": "a"}]}',
            "the file.holds[0].owner: expected a string, found nothing",
        ),
        (version_and(reboots=[{**PAST, "at": "9999-12-31T23:59:59Z"}]), "reboots[0].at: no clock"),
        (version_and(last_seen="1969-12-31T23:59:59Z"), "last_seen: no clock shows such a time"),
        (version_and(last_seen="9999-12-31T23:59:59-23:59"), "last_seen: no clock shows"),
        (version_and(reboots=[{**PAST, "seconds": 1e18}]), "reboots[0].seconds: 1e+18 s is out"),
        (version_and(reboots=[{**PAST, "seconds": -1}]), "reboots[0].seconds: -1.0 s is out"),
        (version_and(reboots=[{**PAST, "seconds": 10**400}]), "out of range"),
        (version_and(attempts={"fcos:aa": -1}), "attempts.fcos:aa: -1 is no count"),
        (version_and(reboots_total=2**60), "reboots_total: 1152921504606846976 is no count"),
        (version_and(releases_owed=[{**DEBT, "server": "file:///etc/passwd"}]), "lock server"),
        (version_and(releases_owed=[{**DEBT, "server": "https://[::1"}]), "lock server"),
        (version_and(releases_owed=[{**DEBT, "server": "https://a\x1b[2J/"}]), "lock server"),
        (version_and(holds=[HELD] * 1001), "holds: expected 1000 at most, found 1001"),
    ],
)
def test_junk_is_corrupt_and_says_where(data: bytes, why: str) -> None:
    found = decode_state(data)
    assert isinstance(found, Corrupt)
    assert why in found.detail

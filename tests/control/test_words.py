"""JSON and properties of Status, there and back."""

import json
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.bus.connection import variant
from rebootmgr.control.described import UNKNOWN, WHY, Record, decode_status, decode_why
from rebootmgr.control.introspection import encode_introspection
from rebootmgr.control.members import MANAGER, PROPERTIES, encode_properties
from rebootmgr.control.words import encode_status, encode_why
from rebootmgr.core.status import Status
from rebootmgr.errors import RebootmgrError
from tests.fakes.statuses import ALL, IDLE, NOW, STARTING, STUCK, UPDATE, WAITING

Document = dict[str, Any]  # what json gives


def described(status: Status) -> Record:
    return decode_status(json.dumps(encode_status(status)))


@pytest.mark.parametrize("status", ALL.values(), ids=ALL)
def test_why_has_exactly_the_promised_shape(status: Status) -> None:
    why: Document = json.loads(json.dumps(encode_why(status)))
    assert list(why) == [
        "pending",
        "request",
        "source",
        "verdict",
        "blockers",
        "gates",
        "notices",
        *(["deadlines"] if status.deadlines else []),
        "predicted",
    ]
    assert why["verdict"] in {"reboot", "wait", "idle"}
    assert why["pending"] is None or {"id", "version"} <= set(why["pending"])
    for blocker in why["blockers"]:
        assert list(blocker) == ["reason", "detail", "since", "until"]
    for gate in why["gates"]:
        assert list(gate) == ["gate", "state", "detail"]
        assert gate["state"] in {"clear", "blocking", "not_evaluated"}
    assert decode_why(described(status)) == why


def test_why_of_a_waiting_host_in_full() -> None:
    why: Document = json.loads(json.dumps(encode_why(WAITING)))
    assert why["pending"] == {
        "id": UPDATE.id,
        "version": "42.20300102.3.0",
        "since": "2030-01-05T10:10:00Z",
        "change": {
            "same_base": False,
            "kernel_arguments": {"added": [], "removed": []},
            "packages": {"added": [], "removed": [], "overrides": []},
            "initramfs": False,
            "applied_live": False,
        },
    }
    assert why["blockers"][1] == {
        "reason": "outside_window",
        "detail": "the next maintenance window opens Sat 2030-01-05 23:30 UTC",
        "since": "2030-01-05T10:10:00Z",
        "until": "2030-01-05T23:30:00Z",
    }
    assert why["blockers"][2]["until"] is None
    assert why["predicted"] == "2030-01-05T23:30:00Z"


def test_status_tells_what_why_tells_and_more() -> None:
    status = encode_status(STUCK)
    assert {name: status[name] for name in WHY} == encode_why(STUCK)
    assert status["slots"] == [
        {
            "server": "https://lock.example.org/base",
            "group": "workers",
            "id": "5f2c1e",
            "kept": kept,
            "error": error,
            "since": None,
            "heard": None,
            "again": None,
        }
        for kept, error in ((True, ""), (False, "no answer"))
    ]
    assert status["config_valid"] is False


@pytest.mark.parametrize("status", ALL.values(), ids=ALL)
def test_every_property_has_a_value_of_its_type(status: Status) -> None:
    shown = encode_properties(status)
    assert set(shown) == set(PROPERTIES)
    for name, value in shown.items():
        variant(PROPERTIES[name].type, value)


def test_properties_of_a_waiting_host() -> None:
    shown: Document = encode_properties(WAITING)
    microseconds = int(NOW.timestamp()) * 1_000_000
    assert shown["State"] == "waiting"
    assert shown["Pending"] == [UPDATE.id, "42.20300102.3.0"]
    assert shown["Blockers"][0] == [
        "held",
        "database migration (alice)",
        microseconds - 7200 * 1_000_000,
        microseconds + 3600 * 1_000_000,
    ]
    assert shown["Blockers"][2][3] == 0
    assert shown["Predicted"] == microseconds + 12000 * 1_000_000


def test_nothing_is_empty_and_zero_in_properties() -> None:
    shown = encode_properties(STARTING)
    assert shown["Pending"] == shown["Booted"] == ["", ""]
    assert shown["Predicted"] == 0


def test_introspection_names_every_property_with_its_type() -> None:
    manager = ET.fromstring(encode_introspection()).find(f"interface[@name='{MANAGER}']")  # noqa: S314 - our own
    assert manager is not None
    named = {one.get("name"): one.get("type") for one in manager.iter("property")}
    assert named == {name: each.type for name, each in PROPERTIES.items()}
    assert {one.get("access") for one in manager.iter("property")} == {"read"}


def test_an_older_daemon_leaves_things_unknown() -> None:
    record = decode_status("{}")
    assert record.text("state") == UNKNOWN
    assert record.instant("predicted") is None
    assert record.part("pending") is None
    assert not record.has("pending")
    assert record.parts("blockers") == ()
    assert decode_why(record) == dict.fromkeys(WHY)


def test_a_newer_daemon_says_more_than_is_read() -> None:
    text = json.dumps({**encode_status(IDLE), "novelty": [1], "state": "pondering"})
    assert decode_status(text).text("state") == "pondering"


@pytest.mark.parametrize("text", ["", "null", "[]", "3", "{", "[" * 100_000, "NaN", '"x"'])
def test_what_is_no_object_is_refused_with_a_cure(text: str) -> None:
    with pytest.raises(RebootmgrError, match="--version"):
        decode_status(text)


@pytest.mark.parametrize(
    "value",
    ["yesterday", "2030-01-05", "2030-01-05T10:10:00", "9999-12-31T23:59:59-12:00",
     "0001-01-01T00:00:00+12:00", 3, None, [], {}],
)  # fmt: skip
def test_an_instant_that_makes_no_sense_is_none(value: object) -> None:
    assert decode_status(json.dumps({"at": value})).instant("at") is None


@pytest.mark.parametrize("value", ["1e999", "NaN", "-Infinity", "1" + "0" * 400, "true", '"1"'])
def test_a_number_that_makes_no_sense_is_none(value: str) -> None:
    assert decode_status(f'{{"seconds": {value}}}').number("seconds") is None


def test_an_instant_and_a_number_come_through() -> None:
    record = decode_status('{"at": "2030-01-05T21:10:00+01:00", "seconds": 72.5}')
    assert record.instant("at") == datetime(2030, 1, 5, 20, 10, tzinfo=UTC)
    assert record.number("seconds") == 72.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(value=JSON)
def test_no_value_of_any_type_upsets_a_reader(value: object) -> None:
    record = decode_status(json.dumps({"x": value}))
    assert record.text("x").isprintable()
    assert all(text.isprintable() for text in record.texts("x"))
    assert all(isinstance(part, Record) for part in record.parts("x"))
    record.part("x")
    record.instant("x")
    record.number("x")
    record.is_true("x")

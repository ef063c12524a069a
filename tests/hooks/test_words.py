"""What the daemon writes the runner takes; what anybody else may have written it does not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.model import Phase
from rebootmgr.hooks.words import (
    LARGEST,
    LONGEST_TIMEOUT_S,
    End,
    Order,
    Ran,
    Unusable,
    decode_answer,
    decode_order,
    encode_answer,
    encode_order,
    encode_word,
)
from rebootmgr.text import LONGEST

ORDER = {
    "phase": "check",
    "deployment": "fcos-bb.0",
    "version": "42.1",
    "booted": "fcos-aa.0",
    "timeout_seconds": 300,
}
RAN = {"hook": "x", "exit": 3, "last_line": "no"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


NAMES = st.lists(st.text(min_size=1).map(encode_word), max_size=9).map(tuple)


@given(
    *(st.sampled_from(Phase), st.text(), st.text(), st.text()),
    st.integers(1, LONGEST_TIMEOUT_S),
    NAMES,
)
def test_every_order_of_the_daemon_is_taken_by_the_runner(
    phase: Phase, one: str, two: str, three: str, timeout_s: int, waived: tuple[str, ...]
) -> None:
    words = [encode_word(text) for text in (one, two, three)]
    order = Order(
        phase=phase,
        timeout_s=timeout_s,
        deployment=words[0],
        version=words[1],
        booted=words[2],
        waived=waived,
    )
    line = encode_order(order)
    assert decode_order(line) == order
    assert line.count(b"\n") == 1
    assert len(line) < LARGEST


def test_what_ostree_calls_a_deployment_is_passed_on_as_it_is() -> None:
    for text in (f"fedora-coreos-{'a' * 64}.0", "41.20250105.3.0", "40~rc1+git^5:2", ""):
        assert encode_word(text) == text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("phase", ""),
        ("phase", "reboot"),
        ("phase", "CHECK"),
        ("phase", "check\n"),
        ("phase", "../check"),
        ("phase", 5),
        ("timeout_seconds", 0),
        ("timeout_seconds", -1),
        ("timeout_seconds", LONGEST_TIMEOUT_S + 1),
        ("timeout_seconds", 300.0),
        ("timeout_seconds", "300"),
        ("timeout_seconds", True),
        ("timeout_seconds", float("inf")),
        ("deployment", "a b"),
        ("deployment", "a\nREBOOTMGR_PHASE=check"),
        ("deployment", "$(reboot)"),
        ("deployment", "--all"),
        ("deployment", "../../etc"),
        ("deployment", "a" * (LONGEST + 1)),
        ("deployment", "\N{ARABIC-INDIC DIGIT ONE}"),
        ("deployment", None),
        ("version", ["42"]),
        ("version", 42),
        ("version", "42\0"),
        ("booted", {"id": "a"}),
        ("booted", True),
    ],
)
def test_an_order_with_anything_odd_in_it_is_not_taken(key: str, value: object) -> None:
    assert isinstance(decode_order(json.dumps({**ORDER, key: value}).encode()), Unusable)
    without = {name: it for name, it in ORDER.items() if name != key}
    assert isinstance(decode_order(json.dumps(without).encode()), Unusable)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"[" * LARGEST, b"{", b"null", b'"text"', b"1" * LARGEST, b" " * (LARGEST + 1)],
)
def test_what_is_no_order_at_all_is_not_taken(data: bytes) -> None:
    assert isinstance(decode_order(data), Unusable)
    assert isinstance(decode_answer(data), Unusable)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_that_is_said_can_crash_either_side(data: bytes) -> None:
    assert isinstance(decode_order(data), Unusable)
    assert isinstance(decode_answer(data), Unusable)


def test_a_key_of_a_later_version_does_no_harm() -> None:
    later = decode_order(json.dumps({**ORDER, "new": 1}).encode())
    assert later == decode_order(json.dumps(ORDER).encode())
    assert isinstance(later, Order)
    assert decode_answer(json.dumps({**RAN, "new": 1}).encode()) == Ran("x", 3, "no")
    assert decode_answer(b'{"end":true,"new":1}') == End()


def test_the_end_reads_as_it_was_written() -> None:
    assert decode_answer(encode_answer(End())) == End()


@given(st.text(), st.integers(), st.text())
def test_an_answer_reads_as_it_was_written_but_harmless(hook: str, status: int, line: str) -> None:
    data = encode_answer(Ran(hook, status, line))
    assert data.count(b"\n") == 1
    match decode_answer(data):
        case Ran(read, read_status, last_line):
            assert read_status == status
            assert read.isprintable()
            assert last_line.isprintable()
            assert max(len(read), len(last_line)) <= LONGEST
        case End():
            raise AssertionError
        case Unusable():
            assert len(data) > LARGEST or abs(status) > 10**4000


@pytest.mark.parametrize(
    "change",
    [
        {"exit": True},
        {"exit": "0"},
        {"exit": 0.0},
        {"hook": 1},
        {"last_line": None},
    ],
)
def test_an_answer_of_another_shape_is_not_taken(change: dict[str, Any]) -> None:
    assert isinstance(decode_answer(json.dumps(RAN).encode()), Ran)
    assert isinstance(decode_answer(json.dumps({**RAN, **change}).encode()), Unusable)


@pytest.mark.parametrize("end", [False, 1, "true", None])
def test_no_end_but_the_end_is_one(end: object) -> None:
    assert isinstance(decode_answer(json.dumps({"end": end}).encode()), Unusable)


@pytest.mark.parametrize("value", ["10-a", 7, {"10-a": 1}, [7], ["10-a", ""], ["../a"], ["-a"]])
def test_an_order_that_waives_something_odd_is_not_taken(value: object) -> None:
    assert isinstance(decode_order(json.dumps({**ORDER, "waived": value}).encode()), Unusable)

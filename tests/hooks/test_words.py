"""What the daemon writes the runner takes; what anybody else may have written it does not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.model import Phase
from rebootmgr.hooks.words import (
    LARGEST,
    Order,
    Result,
    Unusable,
    decode_order,
    decode_result,
    encode_order,
    encode_result,
    encode_word,
)
from rebootmgr.text import LONGEST

REQUEST = "0123456789abcdef" * 2
ORDER = {"request": REQUEST, "deployment": "fcos-bb.0", "version": "42.1", "booted": "fcos-aa.0"}
RESULT = {"request": REQUEST, "phase": "check", "hook": "x", "exit": 3, "last_line": "no"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.text(), st.text(), st.text())
def test_every_order_of_the_daemon_is_taken_by_the_runner(one: str, two: str, three: str) -> None:
    words = [encode_word(text) for text in (one, two, three)]
    order = Order(request=REQUEST, deployment=words[0], version=words[1], booted=words[2])
    assert decode_order(encode_order(order)) == order


def test_what_ostree_calls_a_deployment_is_passed_on_as_it_is() -> None:
    for text in (f"fedora-coreos-{'a' * 64}.0", "41.20250105.3.0", "40~rc1+git^5:2", ""):
        assert encode_word(text) == text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("request", ""),
        ("request", REQUEST[1:]),
        ("request", "0123456789ABCDEF" * 2),
        ("request", REQUEST + "\n"),
        ("request", 5),
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
    assert isinstance(decode_result(data, Phase.CHECK), Unusable)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_that_is_written_there_can_crash_either_side(data: bytes) -> None:
    assert isinstance(decode_order(data), Unusable)
    assert isinstance(decode_result(data, Phase.CHECK), Unusable)


def test_a_key_of_a_later_version_does_no_harm() -> None:
    assert decode_order(json.dumps({**ORDER, "new": 1}).encode()) == Order(**ORDER)
    found = decode_result(json.dumps({**RESULT, "new": 1}).encode(), Phase.CHECK)
    assert isinstance(found, Result)


@given(st.text(), st.integers(), st.text())
def test_a_result_reads_as_it_was_written_but_harmless(hook: str, status: int, line: str) -> None:
    result = Result(
        request=REQUEST, phase=Phase.ABANDONED, hook=hook, status=status, last_line=line
    )
    data = encode_result(result)
    match decode_result(data, Phase.ABANDONED):
        case Result() as read:
            assert read.status == status
            assert read.hook.isprintable()
            assert read.last_line.isprintable()
            assert max(len(read.hook), len(read.last_line)) <= LONGEST
        case Unusable():
            assert len(data) > LARGEST or abs(status) > 10**4000
    assert isinstance(decode_result(data, Phase.CHECK), Unusable)


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "pre-reboot"},
        {"phase": None},
        {"exit": True},
        {"exit": "0"},
        {"exit": 0.0},
        {"hook": 1},
        {"last_line": None},
        {"request": 1},
    ],
)
def test_a_result_of_another_shape_is_not_taken(change: dict[str, Any]) -> None:
    assert isinstance(decode_result(json.dumps(RESULT).encode(), Phase.CHECK), Result)
    assert isinstance(
        decode_result(json.dumps({**RESULT, **change}).encode(), Phase.CHECK), Unusable
    )

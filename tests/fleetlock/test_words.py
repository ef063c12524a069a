"""What goes to a lock server, and what its answers mean."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.counters import Api
from rebootmgr.core.events import (
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnclear,
    ReleaseUnclear,
    SlotReleased,
)
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.fleetlock.words import (
    CLIENT_FAILED,
    KIND,
    Answer,
    Reply,
    Server,
    Silence,
    decode_error_kind,
    decode_lock_answer,
    decode_release_answer,
    decode_reply,
    encode_body,
    encode_request,
    join_url,
)

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
T = Ticket(1)
SLOT = Slot("http://lock", "default", "node1")
AIRLOCK = '{"kind": "failed_lock", "value": "all 1 semaphore slots currently locked"}\n'
NOT_FOLLOWED = "redirects are not followed: set base_url to where it leads"
REPLIES = st.builds(Silence, st.text()) | st.builds(
    Answer, st.integers(0, 999), st.text() | st.from_regex(r"\d{1,30}"), st.text()
)


def lock(reply: Reply) -> object:
    return decode_lock_answer(T, SLOT, reply, at=NOON)


def release(reply: Reply) -> object:
    return decode_release_answer(T, SLOT, reply, at=NOON)


def wait(retry_after: str) -> float:
    answer = lock(Answer(503, retry_after))
    assert isinstance(answer, LockUnclear)
    return answer.retry_after_s


def server(url: str) -> Server:
    return Server(base_url=url, timeout_s=9)


@pytest.mark.parametrize(
    ("base", "joined"),
    [
        ("http://h", "http://h/v1/pre-reboot"),
        ("http://h/", "http://h/v1/pre-reboot"),
        ("http://h/base", "http://h/base/v1/pre-reboot"),
        ("http://h/base//", "http://h/base/v1/pre-reboot"),
        ("https://u:p@h:8443/a/b/?q=1#f", "https://u:p@h:8443/a/b/v1/pre-reboot"),
    ],
)
def test_the_path_of_the_base_is_kept_with_exactly_one_slash(base: str, joined: str) -> None:
    assert join_url(base, f"v1/{Api.PRE_REBOOT}") == joined


def test_the_body_has_exactly_two_keys_and_nothing_around() -> None:
    assert encode_body(SLOT) == b'{"client_params":{"id":"node1","group":"default"}}'


@pytest.mark.parametrize(
    ("base", "public"),
    [
        ("https://User:Pa%40ss@Lock.Example:8443/Base/?token=x", "https://lock.example:8443/Base"),
        ("http://[::1]:80/", "http://[::1]:80"),
        ("http://h", "http://h"),
        ("https://user:pa?ss@host", "(not a URL)"),
        ("http://[oops", "(not a URL)"),
        ("nonsense", "(not a URL)"),
    ],
)
def test_the_public_url_has_no_credentials(base: str, public: str) -> None:
    assert server(base).public_url == public


def test_the_url_is_in_no_repr() -> None:
    assert "hunter2" not in repr(server("https://u:hunter2@h"))


@given(st.text())
def test_any_url_has_a_public_form_and_can_be_joined(text: str) -> None:
    assert server(text).public_url
    assert join_url(text, f"v1/{Api.STEADY_STATE}").endswith("/v1/steady-state")


def test_a_request_is_one_line() -> None:
    line = encode_request(Api.STEADY_STATE, SLOT, server("http://h"), timeout_s=3)
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "url": "http://h/v1/steady-state",
        "reads": False,
        "body": encode_body(SLOT).decode(),
        "timeout_s": 3,
        "headers": {},
        "ca_file": "",
        "client_cert_file": "",
        "client_key_file": "",
        "authorization_file": "",
    }


def test_only_200_is_a_grant() -> None:
    assert [s for s in range(1000) if lock(Answer(s)) == LockGranted(T, SLOT)] == [200]


def test_only_409_and_423_leave_nothing_with_us() -> None:
    refused = [s for s in range(1000) if isinstance(lock(Answer(s)), LockRefused)]
    released = [s for s in range(1000) if isinstance(release(Answer(s)), SlotReleased)]
    assert refused == [409, 423]
    assert released == [200, 409, 423]


NAMELESS = {
    "reboot lease lock unavailable, held by ": True,
    "reboot lease lock unavailable, held by": True,
    "reboot lease lock unavailable, held by node1": True,
    "reboot lease unlock unavailable, held by node1 ": True,
    "reboot lease lock unavailable, held by node10": False,
    "reboot lease lock unavailable, held by NODE1": False,
    "held by nobody": False,
    "reboot lease lock unavailable": False,
    "": False,
}


@pytest.mark.parametrize(("value", "may_be_ours"), NAMELESS.items())
@pytest.mark.parametrize("status", [409, 423])
def test_held_by_nobody_or_by_us_is_no_clean_refusal(
    value: str, *, may_be_ours: bool, status: int
) -> None:
    for kind, is_unclear in (("lock_held", may_be_ours), ("failed_lock", False), ("", False)):
        reply = Answer(status, "7", json.dumps({"kind": kind, "value": value}))
        answer = lock(reply)
        assert isinstance(answer, LockUnclear if is_unclear else LockRefused)
        assert answer.retry_after_s == 7.0
        if isinstance(answer, LockUnclear):
            assert answer.answered, "nothing can be granted late"
            assert answer.refused
        assert isinstance(release(reply), ReleaseUnclear if is_unclear else SlotReleased)


@pytest.mark.parametrize(
    ("status", "body", "is_refused"),
    [
        (429, "", True),
        (500, AIRLOCK, True),
        (401, AIRLOCK, True),
        (404, '{"kind": "f1", "value": "pods still evicting"}', True),
        (404, "404 page not found\n", False),
        (403, '{"kind": "outside_maintenance_window", "value": "until 22:00"}', True),
        (403, "outside_maintenance_window\n", True),
        (403, '{"kind": "forbidden", "value": "no"}', False),
        (400, '{"__type": "com.amazon#ConditionalCheckFailedException", "message": "no"}', True),
        (400, '{"kind": "unknown_group", "value": "__type"}', False),
        (400, "[" * 60000, False),
        (503, "too many nodes down, cannot lock yet", True),
        (503, "<html>upstream is down", False),
        (500, '{"kind": "failed_sem_init", "value": "context deadline exceeded"}', False),
        (500, '{"kind": "internal_error", "value": "error getting reboot lease"}', False),
        (500, "", False),
        (401, "", False),
        (301, "", False),
        (204, "", False),
    ],
)
def test_the_words_of_an_answer_tell_not_now_from_trouble(
    status: int, body: str, *, is_refused: bool
) -> None:
    answer = lock(Answer(status, "", body))
    assert isinstance(answer, LockUnclear), "words never say whose the slot is"
    assert answer.refused is is_refused


def test_only_202_is_a_reservation_and_never_a_release() -> None:
    assert [s for s in range(1000) if isinstance(lock(Answer(s)), LockReserved)] == [202]
    assert isinstance(release(Answer(202)), ReleaseUnclear)


def test_silence_is_unclear() -> None:
    assert lock(Silence("why")) == LockUnclear(T, SLOT, "why", answered=False)
    assert release(Silence("why")) == ReleaseUnclear(T, SLOT, "why")


@pytest.mark.parametrize(
    ("status", "body", "detail"),
    [
        (500, AIRLOCK, "HTTP 500 failed_lock: all 1 semaphore slots currently locked"),
        (503, "too many nodes down, cannot lock yet", None),
        (500, "<html><body>Oops", "HTTP 500 Internal Server Error"),
        (500, '{"kind": "cut', "HTTP 500 Internal Server Error"),
        (404, '{"kind": "f1"}', "HTTP 404 f1"),
        (301, "", f"HTTP 301 Moved Permanently: {NOT_FOLLOWED}"),
        (308, "<a href='/v1/'>", f"HTTP 308 Permanent Redirect: {NOT_FOLLOWED}"),
        (302, AIRLOCK, "HTTP 302 failed_lock: all 1 semaphore slots currently locked"),
        (400, '{"__type": "x", "message": "no"}', "HTTP 400 Bad Request"),
        (400, '{"kind": 7, "value": []}', "HTTP 400 Bad Request"),
        (500, "[" * 60000, None),
        (599, "", "HTTP 599"),
        (500, '{"kind": "k", "value": "a\\nb\\u001b[2J"}', "HTTP 500 k: a b [2J"),
    ],
)
def test_the_detail_says_what_the_server_said(status: int, body: str, detail: str | None) -> None:
    answer = lock(Answer(status, "", body))
    assert isinstance(answer, LockUnclear)
    if detail is None:
        assert answer.detail.startswith(f"HTTP {status} ")
        assert body[:30] in answer.detail
    else:
        assert answer.detail == detail


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("0", 0),
        (" 120 ", 120),
        ("999999999", 3600),
        ("9" * 5000, 0),
        ("-5", 0),
        ("1.5", 0),
        ("٣", 0),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Mon, 02 Mar 2026 12:00:00 GMT", 3600),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90),
        ("Sun Mar  1 12:01:30 2026", 90),
        ("Sun, 01 Mar 2026 12:01:30 +0100", 0),
        ("Fri, 31 Feb 2026 12:00:00 GMT", 0),
        ("soon", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most(header: str, seconds: float) -> None:
    assert wait(header) == seconds


def test_the_kind_is_the_servers_word_if_it_is_fit_for_a_label() -> None:
    for api in Api:
        assert decode_error_kind(api, Silence("")) == CLIENT_FAILED
        assert decode_error_kind(api, Answer(200)) is None
        assert decode_error_kind(api, Answer(500, "", AIRLOCK)) == "failed_lock"
        for kind in ("", "Has Blanks", "a" * 65, "a\n", "é"):
            body = json.dumps({"kind": kind, "value": "x"})
            assert decode_error_kind(api, Answer(423, "", body)) == "generic_http_423"
    assert decode_error_kind(Api.PRE_REBOOT, Answer(202)) is None
    assert decode_error_kind(Api.STEADY_STATE, Answer(202)) == "generic_http_202"


@given(REPLIES)
def test_any_reply_has_a_bounded_meaning(reply: Reply) -> None:
    for answer in (lock(reply), release(reply)):
        if isinstance(answer, LockRefused | LockUnclear | ReleaseUnclear):
            assert 0 <= answer.retry_after_s <= 3600
        if isinstance(reply, Answer) and isinstance(answer, LockUnclear | ReleaseUnclear):
            assert answer.detail.isprintable()
            assert len(answer.detail) <= 200
    for api in Api:
        kind = decode_error_kind(api, reply)
        assert kind is None or KIND.fullmatch(kind)


@given(
    st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_any_line_of_the_child_is_a_reply(line: bytes) -> None:
    assert isinstance(decode_reply(line), Answer | Silence)


def test_the_lines_of_the_child() -> None:
    kept = b'{"status": 423, "retry_after": "5", "body": "x", "appoints": true}\n'
    assert decode_reply(kept) == Answer(423, "5", "x", appoints=True)
    whole = b'{"status": 423, "retry_after": "5", "body": "x"}\n'
    assert decode_reply(whole) == Answer(423, "5", "x")
    assert decode_reply(b'{"error": "k", "detail": "no\\nroute"}\n') == Silence("no route")
    assert isinstance(decode_reply(b'{"status": true, "retry_after": "", "body": ""}'), Silence)

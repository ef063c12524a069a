"""How etcd's JSON gateway is spoken to (https://etcd.io/docs, API v3), below a prefix of ours.

Keys and values are in base64, numbers are strings, and what is zero or empty is left out.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

PAGE: Final = 5000
PAST: Final = "past/"
"""Below this nobody watches, and what is read when the store is opened sorts before it."""

Json: TypeAlias = Mapping[str, object]
Orders: TypeAlias = dict[str, str | None]
"""What each key shall hold; None: there shall be no such key."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A key without the prefix, its value and the revision at which it was written."""

    key: str
    value: str
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some pairs as of `revision`; `more` are to come."""

    revision: int
    pairs: tuple[Pair, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Done:
    """A transaction was carried out, at `revision`."""

    revision: int


@dataclass(frozen=True, slots=True)
class Beaten:
    """Nothing was carried out at `revision`: the head is this; None: there is none."""

    revision: int
    head: Pair | None


@dataclass(frozen=True, slots=True)
class Wrote:
    """What one revision did below the prefix; a value of None: the key is gone."""

    revision: int
    values: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of a watch, sent at `revision`; `created`: it is the first.

    `compacted`: what was written before this revision is gone; `ended`: why no other comes.
    """

    revision: int
    created: bool
    wrote: tuple[Wrote, ...]
    compacted: int = 0
    ended: str = ""


def range_request(prefix: str, after: str, revision: int) -> Json:
    """Ask for the pairs behind the key `after`, "" for all, as of a revision, 0 for the latest."""
    begin = f"{prefix}{after}\0" if after else prefix
    end = _encoded(f"{prefix}{PAST}")
    asked: Json = {"key": _encoded(begin), "range_end": end, "limit": str(PAGE)}
    return {**asked, "revision": str(revision)} if revision else asked


def everything_request(prefix: str) -> Json:
    """Ask for all pairs of whose keys this is the beginning, be it ours or not."""
    return {"key": _encoded(prefix), "range_end": _end_of(prefix)}


def mark_request(key: str, value: str, lease: str = "0") -> Json:
    """Ask for a key to be written, under a lease, if it is one."""
    return {"key": _encoded(key), "value": _encoded(value), "lease": lease}


def lease_request(span_s: int) -> Json:
    """Ask for a lease: what is kept under it goes when that is over."""
    return {"TTL": str(span_s)}


def decode_lease(answer: object) -> str:
    """Read its number; ValueError."""
    return str(_member(answer, "ID", str))


def past_request(prefix: str, before: str, most: int) -> Json:
    """Ask for the latest of the past, before a key of it, "" for the very latest."""
    return {
        "key": _encoded(f"{prefix}{PAST}"),
        "range_end": _encoded(f"{prefix}{before}") if before else _end_of(f"{prefix}{PAST}"),
        "limit": str(most),
        "sort_order": "DESCEND",
        "sort_target": "KEY",
    }


def transaction(
    prefix: str, head: Pair | None, orders: Orders, new_head: str | None, forget: str = ""
) -> Json:
    """Ask for these orders and a new head, if there is one, where the head is still this one.

    If it is not, the answer has the head. Of the past what is before `forget` is dropped.
    """
    key = _encoded(f"{prefix}head")
    revision = "0" if head is None else str(head.revision)
    compare: list[Json] = [
        {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision}
    ]
    if head is not None:  # a cluster that was put back may have come to the same revision
        value = _encoded(head.value)
        compare.append({"key": key, "target": "VALUE", "result": "EQUAL", "value": value})
    success = [_order(prefix, *order) for order in orders.items()]
    if new_head is not None:
        success.append(_order(prefix, "head", new_head))
    if forget:
        span = {"key": _encoded(f"{prefix}{PAST}"), "range_end": _encoded(f"{prefix}{forget}")}
        success.append({"request_delete_range": span})
    return {"compare": compare, "success": success, "failure": [{"request_range": {"key": key}}]}


def watch_request(prefix: str, revision: int) -> Json:
    """Ask to hear whatever is written below the prefix, from a revision on."""
    return {
        "create_request": {
            "key": _encoded(prefix),
            "range_end": _encoded(f"{prefix}{PAST}"),
            "start_revision": str(revision),
        }
    }


def credentials(user: str, password: str) -> Json:
    """Ask for a token."""
    return {"name": user, "password": password}


def decode_token(answer: object) -> str:
    """Read a token; ValueError."""
    return str(_member(answer, "token", str))


def decode_page(answer: object, prefix: str) -> Page:
    """Read pairs; ValueError."""
    listed = _optional(answer, "kvs", list, [])
    pairs = tuple(_pair(one, prefix) for one in listed)
    return Page(_revision(answer), pairs, more=_optional(answer, "more", bool, default=False))


def decode_transaction(answer: object, prefix: str) -> Done | Beaten:
    """Read what became of a transaction; ValueError."""
    if _optional(answer, "succeeded", bool, default=False):
        return Done(_revision(answer))
    (response,) = _member(answer, "responses", list)
    found = _member(response, "response_range", dict)
    pairs = [_pair(one, prefix) for one in _optional(found, "kvs", list, [])]
    return Beaten(_revision(answer), pairs[0] if pairs else None)


def decode_heard(message: object, prefix: str) -> Heard:
    """Read one message of a watch; ValueError."""
    told = _optional(message, "error", dict, None)
    if told is not None:
        return Heard(0, created=False, wrote=(), ended=str(told.get("message") or told))
    answer = _member(message, "result", dict)
    values: dict[int, list[tuple[str, str | None]]] = {}
    for event in _optional(answer, "events", list, []):
        pair = _pair(_member(event, "kv", dict), prefix)
        gone = _optional(event, "type", str, "PUT") == "DELETE"
        values.setdefault(pair.revision, []).append((pair.key, None if gone else pair.value))
    wrote = tuple(Wrote(revision, tuple(values[revision])) for revision in sorted(values))
    compacted = int(_optional(answer, "compact_revision", str, "0"))
    ended = ""
    if _optional(answer, "canceled", bool, default=False):
        ended = _optional(answer, "cancel_reason", str, "") or "the watch was ended"
    created = _optional(answer, "created", bool, default=False)
    return Heard(_revision(answer), created, wrote, compacted, ended)


def decode_refusal(answer: object) -> tuple[int, str]:
    """Read the code of gRPC and the text of an answer that is an error; 0 where there is none."""
    if not isinstance(answer, dict):
        return 0, ""
    code, message = answer.get("code"), answer.get("message") or answer.get("error")
    return code if isinstance(code, int) else 0, message if isinstance(message, str) else ""


def _order(prefix: str, key: str, value: str | None) -> Json:
    if value is None:
        return {"request_delete_range": {"key": _encoded(f"{prefix}{key}")}}
    return {"request_put": {"key": _encoded(f"{prefix}{key}"), "value": _encoded(value)}}


def _pair(found: object, prefix: str) -> Pair:
    key = _decoded(_member(found, "key", str)).removeprefix(prefix)
    value = _decoded(_optional(found, "value", str, ""))
    return Pair(key, value, int(_member(found, "mod_revision", str)))


def _revision(answer: object) -> int:
    return int(_member(_member(answer, "header", dict), "revision", str))


def _member(found: object, name: str, kind: type) -> Any:
    value = _optional(found, name, kind, None)
    if value is None:
        raise ValueError(f"etcd's answer has no {name}")
    return value


def _optional(found: object, name: str, kind: type, default: Any) -> Any:
    if not isinstance(found, dict):
        raise ValueError("etcd's answer is no object")  # noqa: TRY004 - as all that is strange
    value = found.get(name, default)
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"etcd's answer has a strange {name}")
    return value


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")


def _decoded(text: str) -> str:
    return b64decode(text).decode()


def _end_of(prefix: str) -> str:
    """Name the first key that begins otherwise; the prefix ends in a character of ASCII."""
    begin = prefix.encode()
    return b64encode(begin[:-1] + bytes([begin[-1] + 1])).decode("ascii")

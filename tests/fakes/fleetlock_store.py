"""What the stand-ins for lock servers share: who holds what, who asks, how Go answers."""

import asyncio
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from tests.fakes.fleetlock_wire import Script, Seen, reply

HEADER: Final = "fleet-lock-protocol"
GROUP: Final = re.compile(r"[a-zA-Z0-9.-]+")
PLAIN: Final = "text/plain; charset=utf-8"
NOT_FOUND: Final = "404 page not found\n"


class Trouble(StrEnum):
    """What may ail a server. A race is lost once; the others last.

    With its store stalled it says nothing, and does later what it was asked by then.
    """

    RACE = "race"
    BACKEND_DOWN = "backend down"
    CORRUPT = "corrupt"
    STALLED = "stalled"


class Flaw(StrEnum):
    """What is odd about a body, and yet taken by some servers."""

    EXTRA = "a key too many"
    DUPLICATE = "a key twice"
    CASE = "a key in another case"
    TRAILING = "something behind it"
    ENCODING = "no UTF-8"


class Store(Protocol):
    """Who holds what. `groups` are those that are configured, None for any."""

    slots: int
    groups: frozenset[str] | None
    trouble: Trouble | None
    holders: dict[str, list[str]]

    def seize(self, group: str, id_: str) -> bool: ...

    def free(self, group: str, id_: str) -> None: ...

    def postpone(self, call: str, group: str, id_: str) -> None: ...


class Dialect(Protocol):
    """One kind of server."""

    def answer(self, store: Store, request: Seen) -> Script: ...


@dataclass(frozen=True, slots=True)
class Params:
    """Who asks, "" for what is missing, and what is odd about how."""

    group: str
    id: str
    flaws: frozenset[Flaw] = frozenset()


def call_of(request: Seen) -> str | None:
    """Which of the two operations is called, if any: their paths are exact."""
    path = request.target.partition("?")[0]
    if "://" in path:  # absolute-form, RFC 9112 section 3.2.2
        path = urlsplit(path).path
    call = path.removeprefix("/v1/")
    return call if path.startswith("/v1/") and call in {"pre-reboot", "steady-state"} else None


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys as they came."""


def params_of(request: Seen) -> Params | None:
    """Read the body as Go's encoding/json does, None if it is no such JSON.

    Keys in any case, the last of several, whatever comes behind.
    """
    flaws = set[Flaw]()
    text = request.body.lstrip(" \t\r\n")
    if not text.isprintable() and any("\udc80" <= mark <= "\udcff" for mark in text):
        flaws.add(Flaw.ENCODING)
    try:
        body, end = json.JSONDecoder(object_pairs_hook=_Pairs).raw_decode(text)
    except ValueError:
        return None
    if text[end:].strip():
        flaws.add(Flaw.TRAILING)
    params = _field(body, "client_params", {"client_params"}, flaws)
    found = [_field(params, name, {"id", "group"}, flaws) or "" for name in ("group", "id")]
    if not isinstance(body, _Pairs) or not all(isinstance(one, str) for one in found):
        return None
    group, id_ = (one.encode("utf-8", "replace").decode() for one in found)
    return Params(group, id_, frozenset(flaws))


def _field(pairs: object, name: str, known: set[str], flaws: set[Flaw]) -> Any:
    if not isinstance(pairs, _Pairs):
        return None
    same = [(key, value) for key, value in pairs if key.lower() == name]
    if len(same) > 1:
        flaws.add(Flaw.DUPLICATE)
    if any(key != name for key, _ in same):
        flaws.add(Flaw.CASE)
    if {key.lower() for key, _ in pairs} - known:
        flaws.add(Flaw.EXTRA)
    return same[-1][1] if same else None


def is_known(store: Store, group: str) -> bool:
    """Whether the group is configured."""
    return store.groups is None or group in store.groups


def others(store: Store, params: Params) -> list[str]:
    """Who else holds a slot of the group."""
    return [one for one in store.holders.get(params.group, []) if one != params.id]


def take_trouble(store: Store) -> Trouble | None:
    """What ails the server now; a race is over with that."""
    trouble = store.trouble
    if trouble is Trouble.RACE:
        store.trouble = None
    return trouble


def say_text(status: int, body: str, *, gate: asyncio.Event | None = None) -> Script:
    """Answer in words."""
    return reply(status, body, content_type=PLAIN, gate=gate)


def go_error(status: int, body: str) -> Script:
    """What http.Error of Go makes of any body: a line."""
    line = body.removesuffix("\n") + "\n"
    return reply(status, line, content_type=PLAIN, x_content_type_options="nosniff")


def compact(kind: str, value: str) -> str:
    """An error as Go's encoding/json writes it."""
    return json.dumps({"kind": kind, "value": value}, separators=(",", ":"), ensure_ascii=False)

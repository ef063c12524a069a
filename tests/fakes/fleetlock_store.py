"""What the stand-ins for lock servers share: who holds what, who asks, how Go answers."""

import asyncio
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from tests.fakes.fleetlock_wire import Script, Seen, reply

HEADER: Final = "fleet-lock-protocol"
GROUP: Final = re.compile(r"[a-zA-Z0-9.-]+")
PLAIN: Final = "text/plain; charset=utf-8"
NOT_FOUND: Final = "404 page not found\n"


class Trouble(StrEnum):
    """What may ail a server. A race is lost once; the others last."""

    RACE = "race"
    BACKEND_DOWN = "backend down"
    CORRUPT = "corrupt"


class Store(Protocol):
    """Who holds what. `groups` are those that are configured, None for any."""

    slots: int
    groups: frozenset[str] | None
    trouble: Trouble | None
    holders: dict[str, list[str]]

    def seize(self, group: str, id_: str) -> bool: ...

    def free(self, group: str, id_: str) -> None: ...


class Dialect(Protocol):
    """One kind of server."""

    def answer(self, store: Store, request: Seen) -> Script: ...


@dataclass(frozen=True, slots=True)
class Params:
    """Who asks, "" for what is missing; `exact` if the body has no key and no byte too many."""

    group: str
    id: str
    exact: bool


def call_of(request: Seen) -> str | None:
    """Which of the two operations is called, if any."""
    call = request.target.partition("?")[0].rpartition("/v1/")[2]
    return call if call in {"pre-reboot", "steady-state"} else None


def params_of(request: Seen) -> Params | None:
    """Read the body, None if it is no such JSON; like Go's decoder blind for what comes after."""
    try:
        body, end = json.JSONDecoder().raw_decode(request.body)
        params = body["client_params"]
        found = (params.get("group", ""), params.get("id", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    if not all(isinstance(one, str) for one in found):
        return None
    exact = end == len(request.body) and len(body) == 1 and set(params) == {"group", "id"}
    return Params(*found, exact=exact)


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
    """What http.Error of Go makes of any body."""
    return reply(status, body, content_type=PLAIN, x_content_type_options="nosniff")

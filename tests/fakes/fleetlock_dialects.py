"""How each FleetLock server answers: its statuses, bodies and headers, in the order of its checks.

From the table of what the real ones do. Where nobody recorded the text of an error, it is made up.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.fakes.fleetlock_kubernetes import Heathcliff, Krm, Poseidon
from tests.fakes.fleetlock_store import (
    GROUP,
    HEADER,
    NOT_FOUND,
    PLAIN,
    Dialect,
    Params,
    Store,
    Trouble,
    call_of,
    compact,
    go_error,
    is_known,
    others,
    params_of,
    say_text,
    take_trouble,
)
from tests.fakes.fleetlock_wire import Script, Seen, hang, reply

PASSWORD: Final = "correct-horse"  # noqa: S105 - of nobody


@dataclass
class Airlock:
    """The reference server on etcd: busy is 500, and a lost compare-and-set is too."""

    def answer(self, store: Store, request: Seen) -> Script:
        if request.target.startswith("//"):
            return reply(301, location=request.target[1:])
        if (call := call_of(request)) is None:
            return go_error(404, NOT_FOUND)
        if request.headers.get(HEADER) != "true":
            return self._error(400, "invalid_client_identity", f"wrong '{HEADER}' header")
        if (params := params_of(request)) is None:
            return self._error(400, "invalid_client_identity", "invalid character")
        if not params.group or not params.id:
            missing = "ID" if params.group else "group"
            return self._error(400, "invalid_client_identity", f"empty client {missing}")
        if not is_known(store, params.group):
            return self._error(400, "unknown_group", f'unknown group "{params.group}"')
        match take_trouble(store):
            case Trouble.BACKEND_DOWN:  # there after 3 s
                dead = "failed to initialize semaphore manager: context deadline exceeded"
                return self._error(500, "failed_sem_init", dead)
            case Trouble.STALLED:
                store.postpone(call, params.group, params.id)
                return hang()
            case Trouble.CORRUPT:
                return self._error(500, "failed_lock", "unexpected end of JSON input")
            case Trouble.RACE:
                conflict = "conflict on semaphore detected, aborting"
                return self._error(500, "failed_lock", conflict)
            case None:
                pass
        if call == "steady-state":
            store.free(params.group, params.id)
        elif not store.seize(params.group, params.id):
            busy = f"all {store.slots} semaphore slots currently locked"
            return self._error(500, "failed_lock", busy)
        return reply(200)

    def _error(self, status: int, kind: str, value: str) -> Script:
        return go_error(status, compact(kind, value))


@dataclass
class Knubbis:
    """On etcd, with HTTP Basic; `passwords` by `group-id` or `group-*`, `rate` in requests per s.

    A section that is missing from its configuration means a `burst` of 0: nobody gets through.
    """

    passwords: Mapping[str, str] = field(default_factory=lambda: {"default-*": PASSWORD})
    rate: float = 100.0
    burst: float = 100.0
    _tokens: float = field(init=False)
    _at: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def answer(self, store: Store, request: Seen) -> Script:
        if self._is_too_fast():
            return self._error(429, "request_ratelimit", "too many requests")
        if request.target.startswith("//") or request.target.endswith("/"):
            return reply(307, location=f"/{request.target.strip('/')}")
        if (call := call_of(request)) is None:
            return go_error(404, NOT_FOUND)
        if request.method != "POST":
            return reply(405, "Method Not Allowed\n", content_type=PLAIN, allow="POST")
        if request.headers.get(HEADER) != "true":
            return self._error(400, "invalid_fleetlock_header", f"{HEADER} is not true")
        if not request.body:
            return self._error(400, "empty_fleetlock_body", "body is empty")
        if (params := params_of(request)) is None:
            return self._error(400, "bad_fleetlock_body", "body is no JSON")
        if GROUP.fullmatch(params.group) is None or len(params.group) > 253:
            return self._error(400, "invalid_group", "group name is not valid")
        if GROUP.fullmatch(params.id) is None or len(params.id) > 253:
            return self._error(400, "invalid_id", "id is not valid")
        if not self._is_allowed(request, params):
            challenge = 'Basic realm="fleetlock", charset="utf-8"'
            value = "not authorized"
            return self._error(401, "unauthorized_request", value, www_authenticate=challenge)
        if not is_known(store, params.group):
            return self._error(500, "failed_lock", "group does not exist in config")
        if take_trouble(store) is not None:
            return self._error(500, "failed_lock", "failed getting lock")
        if call == "steady-state":
            store.free(params.group, params.id)
        elif not store.seize(params.group, params.id):
            holders = ",".join(store.holders[params.group])
            busy = f"all {store.slots} slots are currently taken: [{holders}]"
            return self._error(409, "failed_lock", busy)
        return reply(200, request_id="c0ffee")

    def _is_too_fast(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1.0:
            return True
        self._tokens -= 1.0
        return False

    def _is_allowed(self, request: Seen, params: Params) -> bool:
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        password = base64.b64decode(pair).decode().partition(":")[2]
        return password in {self.passwords.get(f"{params.group}-{who}") for who in ("*", params.id)}

    def _error(self, status: int, kind: str, value: str, **headers: str) -> Script:
        body = compact(kind, value) + "\n"
        content_type = "application/json; charset=utf-8"
        return reply(
            status,
            body,
            gate=None,
            chunked=False,
            content_type=content_type,
            request_id="c0ffee",
            **headers,
        )


@dataclass
class DynamoDb:
    """API Gateway before a table: one slot per group, and 400 with AWS's own words for busy."""

    def answer(self, store: Store, request: Seen) -> Script:
        if (call := call_of(request)) is None or request.method != "POST":
            return self._say(403, message="Missing Authentication Token")
        params = params_of(request)
        if HEADER not in request.headers or params is None or params.flaws:
            return self._say(400, message="Invalid request body")
        if others(store, params):
            failed = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
            return self._say(400, __type=failed, message="The conditional request failed")
        if call == "pre-reboot":
            store.seize(params.group, params.id)
        else:
            store.free(params.group, params.id)
        return self._say(200)

    def _say(self, status: int, **body: str) -> Script:
        return reply(status, json.dumps(body), content_type="application/json")


@dataclass
class Consul:
    """Checks nothing, and counts before it writes."""

    def answer(self, store: Store, request: Seen) -> Script:
        params = params_of(request) or Params("", "")
        if call_of(request) == "steady-state":
            store.free(params.group, params.id)
            return reply(200)
        if params.id in store.holders.get(params.group, []):
            return say_text(200, "already acquired")
        if not store.seize(params.group, params.id):
            return say_text(503, "too many nodes down, cannot lock yet")
        return reply(200)


DIALECTS: Final[Mapping[str, Callable[[], Dialect]]] = MappingProxyType(
    {
        "airlock": Airlock,
        "poseidon": Poseidon,
        "heathcliff": Heathcliff,
        "heathcliff-memory": lambda: Heathcliff(memory=True),
        "heathcliff-draining": lambda: Heathcliff(pods=2),
        "knubbis": Knubbis,
        "krm": Krm,
        "krm-draining": lambda: Krm(pods=2),
        "dynamodb": DynamoDb,
        "consul": Consul,
    }
)

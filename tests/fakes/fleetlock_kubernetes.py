"""The lock servers that live in Kubernetes, and drain the node before they grant."""

import asyncio
import json
import re
from dataclasses import dataclass, field, replace
from typing import Final

from tests.fakes.fleetlock_store import (
    GROUP,
    HEADER,
    NOT_FOUND,
    PLAIN,
    Flaw,
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
from tests.fakes.fleetlock_wire import Script, Seen, hang, reply, silence

ALL_FULL: Final = "Could not reserve a slot as all slots in the group are currently locked already"
BAD_GROUP: Final = 'The value of group is invalid or empty. It must conform to "^[a-zA-Z0-9.-]+$"'
LEASE: Final = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")


@dataclass
class Poseidon:
    """Leases in Kubernetes: one slot per group, and no answer until a node is `drained`.

    `nodes` are the ids that match a Node, None for every one. `api` bounds its calls to Kubernetes.
    """

    nodes: frozenset[str] | None = None
    drained: asyncio.Event | None = None
    api: "CallsBounded | None" = None

    def answer(self, store: Store, request: Seen) -> Script:
        script = self._answer(store, request)
        if self.api is None or not script.parts or call_of(request) is None:
            return script
        loop, come = asyncio.get_running_loop(), asyncio.Event()
        loop.call_later(self.api.wait_s(CALLS_EACH, loop.time()), come.set)
        return replace(script, gate=script.gate or come)

    def _answer(self, store: Store, request: Seen) -> Script:
        if request.target.startswith("//"):
            return reply(307, location=request.target[1:])
        if (call := call_of(request)) is None:
            return go_error(404, NOT_FOUND)
        if request.method != "POST":
            return self._error(405, "method_not_allowed", "required method POST")
        if request.headers.get(HEADER) != "true":
            missing = f"missing required header {HEADER}: true"
            return self._error(400, "missing_header", missing)
        params = params_of(request)
        if params is None or not params.id or not params.group:
            return self._error(400, "decode_error", "error decoding message")
        if LEASE.fullmatch(params.group) is None:
            return self._error(500, "internal_error", "error getting reboot lease")
        trouble = take_trouble(store)
        if trouble is Trouble.BACKEND_DOWN:
            return self._error(500, "internal_error", "error getting reboot lease")
        other = next(iter(others(store, params)), None)
        if trouble is Trouble.RACE or other is not None:
            verb = "lock" if call == "pre-reboot" else "unlock"
            held = f"reboot lease {verb} unavailable, held by {other or ''}"
            return self._error(423, "lock_held", held)
        had = params.id in store.holders.get(params.group, [])
        if call == "pre-reboot":
            store.seize(params.group, params.id)
            said = f"{'retained' if had else 'obtained'} reboot lease"
            return say_text(200, said, gate=self.drained)
        if not had:
            return say_text(200, "reboot lease already unlocked")
        if self.nodes is not None and params.id not in self.nodes:
            return self._error(500, "internal_error", "error uncordoning node")
        store.free(params.group, params.id)
        return say_text(200, f"unlocked reboot lease for {params.id}")

    def _error(self, status: int, kind: str, value: str) -> Script:
        headers = {"content_type": "application/json", "x_content_type_options": "nosniff"}
        return reply(status, compact(kind, value), gate=None, chunked=False, **headers)


CALLS_EACH: Final = 2  # the Lease is read and written


@dataclass
class CallsBounded:
    """client-go's token bucket: `per_s` calls a second, and so many at once as a `burst`."""

    per_s: float = 5.0
    burst: float = 10.0
    _at: float = 0.0
    _tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def wait_s(self, calls: int, now: float) -> float:
        """How long (s) somebody waits who makes that many calls `now` (s)."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_s) - calls
        self._at = now
        return max(0.0, -self._tokens / self.per_s)


@dataclass
class Heathcliff:
    """Any of eight storages; in Kubernetes it drains: 202 until the last of `pods` is gone.

    `memory` is its default storage, where whoever holds nothing frees somebody else's slot. A drain
    goes on after its slot was given back, and then cordons: `cordoned` are those nodes. A request
    that is not whole after `read_s` is cut.
    """

    pods: int = 0
    memory: bool = False
    read_s: float = 10.0
    cordoned: set[str] = field(default_factory=set)
    _left: dict[str, int] = field(default_factory=dict)
    _draining: set[str] = field(default_factory=set)

    def answer(self, store: Store, request: Seen) -> Script:
        if "?" in request.target or not request.target.startswith("/"):
            return silence()
        if request.target.startswith("//"):
            return reply(307, location=request.target[1:])
        if (call := call_of(request)) is None:
            return go_error(404, NOT_FOUND)
        if request.method != "POST":
            return reply(405, "Method Not Allowed\n", content_type=PLAIN, allow="POST")
        if request.headers.get(HEADER, "").lower() != "true":
            return self._say(400, "missing_fleetlock_header", f"{HEADER} must be set to true")
        params = params_of(request)
        if params is None or params.flaws - {Flaw.EXTRA}:
            return self._say(400, "bad_request", "The request json could not be parsed")
        if GROUP.fullmatch(params.group) is None:
            return self._say(400, "bad_request", BAD_GROUP)
        if not params.id:
            return self._say(400, "bad_request", "The value of id is empty")
        trouble = take_trouble(store)
        if trouble is Trouble.STALLED:
            store.postpone(call, params.group, params.id)
            return hang()
        if trouble is not None or not is_known(store, params.group):
            return self._say(500, "error", "An unexpected error occured")
        if call == "steady-state":
            return self._release(store, params)
        if not store.seize(params.group, params.id):
            return self._say(423, "all_slots_full", ALL_FULL)
        if left := self._left.setdefault(params.id, self.pods):
            self._left[params.id] = left - 1
            self.cordoned.add(params.id)
            self._draining.add(params.id)
            return self._say(202, "waiting_for_node_drain", "The slot is reserved")
        self._draining.discard(params.id)
        return self._say(200, "success", "The operation was succesfull")

    def _release(self, store: Store, params: Params) -> Script:
        holders = store.holders.get(params.group, [])
        if self.memory and holders and params.id not in holders:
            holders.pop()
        is_ours = params.id in holders
        store.free(params.group, params.id)
        self._left.pop(params.id, None)
        if is_ours and params.id not in self._draining:  # else the drain cordons it again
            self.cordoned.discard(params.id)
        self._draining.discard(params.id)
        return self._say(200, "success", "The operation was succesfull")

    def _say(self, status: int, kind: str, value: str) -> Script:
        body = json.dumps({"kind": kind, "value": value}, indent=2)
        return reply(status, body, content_type=PLAIN)


@dataclass
class Krm:
    """Annotations of Kubernetes Nodes: one node in the whole cluster, 404 for whoever has to wait.

    `pods` are evicted one per call. A node without its annotation brings a PHP warning, and with
    it a 500 for what was in truth a grant; `nodes` as with Poseidon, those in `unready` too.
    """

    pods: int = 0
    nodes: frozenset[str] | None = None
    unready: frozenset[str] = frozenset()
    unannotated: frozenset[str] = frozenset()
    _left: dict[str, int] = field(default_factory=dict)

    def answer(self, store: Store, request: Seen) -> Script:
        if (call := call_of(request)) is None:
            return say_html(404, "<h1>Not Found</h1>")
        params = params_of(request)
        if params is None or not params.id or store.trouble is Trouble.BACKEND_DOWN:
            return say_html(500, "<b>Fatal error</b>: Uncaught TypeError")
        is_known = self.nodes is None or params.id in self.nodes
        if call == "steady-state":
            if not is_known or params.id in self.unready:
                return say_html(500)
            for group in store.holders:
                store.free(group, params.id)
            self._left.pop(params.id, None)
            return say_html(200)
        if not is_known:
            return say_html(500, "<b>Warning</b>: Undefined property")
        everybody = {one for holders in store.holders.values() for one in holders}
        if take_trouble(store) is Trouble.RACE or everybody - {params.id}:
            return self._wait("other nodes rebooting")
        store.seize(params.group, params.id)
        if params.id in self.unannotated:
            return say_html(500, "<b>Warning</b>: Undefined array key")
        if left := self._left.setdefault(params.id, self.pods):
            self._left[params.id] = left - 1
            return self._wait("pods still evicting")
        return say_html(200)

    def _wait(self, value: str) -> Script:
        return say_html(404, json.dumps({"kind": "f1", "value": value}))


def say_html(status: int, body: str = "") -> Script:
    """Whatever PHP says is text/html."""
    return reply(status, body, chunked=bool(body), content_type="text/html; charset=UTF-8")

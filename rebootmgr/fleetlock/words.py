"""FleetLock on the wire: what we send, and what an answer means (SPEC 6, facts of the servers)."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from rebootmgr.core.counters import Api
from rebootmgr.core.events import (
    LockAnswer,
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnclear,
    ReleaseAnswer,
    ReleaseUnclear,
    SlotReleased,
)
from rebootmgr.core.memory import PastReboot
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.fleetlock.header_names import BOOTED, HOST, LABELS, TARGET
from rebootmgr.fleetlock.labels_words import Labels, encode_labels
from rebootmgr.instants import encode_instant
from rebootmgr.table import FaultError, Json, Table
from rebootmgr.text import harmless

LONGEST_RETRY_AFTER_S: Final = 3600.0
LONGEST_BODY: Final = 64 * 1024
CLIENT_FAILED: Final = "client_failed_request"
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
LONGEST_WAIT_S: Final = 60
FOR_THE_WAY_S: Final = 10
LONGEST_TOLD: Final = 128
KIND: Final = re.compile(r"[a-z0-9_]{1,64}")
HTTP_DATES: Final = (  # RFC 9110 §5.6.7: the last two are obsolete, and yet to be understood
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A lock server and how to reach it. `base_url` may hold a password: never show it.

    `timeout_s` is for one whole request; files are paths to PEM files, "" where there is none;
    the content of `authorization_file` is the value of the Authorization header.
    """

    base_url: str = field(repr=False)
    timeout_s: float
    ca_file: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""
    authorization_file: str = ""

    @property
    def public_url(self) -> str:
        """The base URL without userinfo, query and final slash: the server's name for people."""
        try:
            parts = urlsplit(self.base_url)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            return "(not a URL)"
        if not parts.hostname:
            return "(not a URL)"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return harmless(f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}", longest=2000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What we tell of ourselves, "" where nothing is known: for people, and for who goes first."""

    host: str = ""
    labels: Labels = ()
    booted: str = ""
    target: str = ""


NOTHING_TOLD: Final = Told()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. `retry_after` is the header, "" where there was none.

    `via` is a proxy that may have said it instead. `appoints`: the server is rebootmgr-lockd, which
    has seen to it that not everybody comes back at once, and wants to hear of outcomes.
    """

    status: int
    retry_after: str = ""
    body: str = ""
    via: str = ""
    appoints: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """Why there was no answer, for people; `cause` is the child's word for it."""

    detail: str
    cause: str = field(default="", compare=False)


Reply: TypeAlias = Answer | Silence


def join_url(base: str, path: str) -> str:
    """Append a path: that of `base` kept, exactly one slash, no query."""
    bare = base.partition("#")[0].partition("?")[0]
    return f"{bare.rstrip('/')}/{path}"


def encode_body(slot: Slot) -> bytes:
    """Write exactly the two keys that strict servers accept."""
    return _compact({"client_params": _params(slot)})


def encode_report(slot: Slot, reboot: PastReboot, *, booted: str) -> bytes:
    """Write what became of a reboot, for a server that wants to hear it; `booted` is a version."""
    return _compact(
        {
            "client_params": _params(slot),
            "outcome": None if reboot.outcome is None else str(reboot.outcome),
            "reason": reboot.cause,
            "booted": booted,
            "target": reboot.version,
            "at": encode_instant(reboot.at, timespec="seconds"),
        }
    )


def _params(slot: Slot) -> dict[str, Json]:
    return {"id": slot.id, "group": slot.group}


def _compact(body: dict[str, Json]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def encode_headers(api: Api, told: Told, *, timeout_s: float) -> dict[str, str]:
    """Write what a server may make use of, and others ignore; it is ASCII, and short.

    A slot that comes free within the time that we have is waited for, where the server can do that
    (RFC 7240, section 4.3).
    """
    said = {HOST: told.host, BOOTED: told.booted, TARGET: told.target}
    headers = {name: _plain(text) for name, text in said.items() if text}
    if told.labels:
        headers[LABELS] = encode_labels(told.labels)
    wait_s = min(LONGEST_WAIT_S, int(timeout_s - FOR_THE_WAY_S))
    if api is Api.PRE_REBOOT and wait_s > 0:
        headers["Prefer"] = f"wait={wait_s}"
    return headers


def _plain(text: str) -> str:
    return harmless(text, longest=LONGEST_TOLD).encode("ascii", "replace").decode("ascii")


def encode_request(
    api: Api, slot: Slot, server: Server, *, timeout_s: float, told: Told = NOTHING_TOLD
) -> bytes:
    """Write what the child is to ask."""
    headers = encode_headers(api, told, timeout_s=timeout_s)
    return encode_errand(f"v1/{api}", encode_body(slot), server, headers, timeout_s=timeout_s)


def encode_errand(
    path: str,
    body: bytes,
    server: Server,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    reads: bool = False,
) -> bytes:
    """Write one line of JSON for the child that makes the request; `reads`: by GET, all of it."""
    request = {
        "url": join_url(server.base_url, path),
        "body": body.decode("ascii"),
        "timeout_s": timeout_s,
        "headers": dict(headers),
        "ca_file": server.ca_file,
        "client_cert_file": server.client_cert_file,
        "client_key_file": server.client_key_file,
        "authorization_file": server.authorization_file,
        "reads": reads,
    }
    return json.dumps(request).encode("ascii") + b"\n"


def decode_reply(line: bytes) -> Reply:
    """Read the child's line of JSON; anything else is a silence."""
    try:
        table = Table(json.loads(line), "reply")
        if "error" in table.names():
            return Silence(table.prose("detail"), table.text("error"))
        via = table.maybe("via", table.text) or ""
        return Answer(
            table.whole("status"),
            table.text("retry_after"),
            table.text("body"),
            via=harmless(via),
            appoints=table.flag("appoints"),
        )
    except (ValueError, RecursionError):
        return Silence("the request process gave no usable answer")


def decode_lock_answer(ticket: Ticket, slot: Slot, reply: Reply, *, at: datetime) -> LockAnswer:
    """Decide what a reply to pre-reboot means.

    The body chooses the word that people see; whose the slot is it says in one case alone.
    """
    match reply:
        case Silence(detail):
            return LockUnclear(ticket, slot, detail, answered=False)
        case Answer(status=200):
            return LockGranted(ticket, slot, reports=reply.appoints)
        case Answer(status=202):
            return LockReserved(ticket, slot, _detail(reply))
        case Answer() if is_held_by_another(reply, slot):
            wish_s = _retry_after_s(reply, at)
            return LockRefused(ticket, slot, _detail(reply), wish_s, appointed=reply.appoints)
        case Answer():
            return LockUnclear(
                *(ticket, slot, _detail(reply)),
                answered=True,
                retry_after_s=_retry_after_s(reply, at),
                appointed=reply.appoints,
                refused=is_refusal(reply),
            )


def decode_release_answer(
    ticket: Ticket, slot: Slot, reply: Reply, *, at: datetime
) -> ReleaseAnswer:
    """Decide what a reply to steady-state means; 409 and 423 say that another host holds it."""
    match reply:
        case Silence(detail):
            return ReleaseUnclear(ticket, slot, detail)
        case Answer(status=200):
            return SlotReleased(ticket, slot)
        case Answer() if is_held_by_another(reply, slot):
            return SlotReleased(ticket, slot)
        case Answer():
            wish_s = _retry_after_s(reply, at)
            return ReleaseUnclear(ticket, slot, _detail(reply), wish_s, appointed=reply.appoints)


def is_held_by_another(answer: Answer, slot: Slot) -> bool:
    """Whether this answer surely leaves nothing with us: 409 and 423 do.

    One server says 423 `lock_held` of a write whose own answer was lost, and then names as the
    holder nobody, or us: the slot may well be ours.
    """
    if answer.status not in {409, 423}:
        return False
    kind, value = decode_error(answer.body)
    _, held_by, holder = value.rpartition("held by")
    return not (kind == "lock_held" and held_by and holder.strip() in {"", slot.id})


def is_refusal(answer: Answer) -> bool:
    """Whether an answer is worded as "not now": somebody else has it, or it is not our turn.

    Anything else but a grant is trouble of the server, or with it (SPEC 7).
    """
    kind, value = decode_error(answer.body)
    if kind == "failed_lock" or "too many nodes down" in value:
        return True
    match answer.status:
        case 409 | 423 | 429:
            return True
        case 404:
            return kind == "f1"
        case 403:
            return "outside_maintenance_window" in {kind, value.strip()}
        case 400:
            return "__type" in _names(answer.body)  # DynamoDB's own words for a lost condition
        case _:
            return False


def _names(body: str) -> frozenset[str]:
    try:
        return frozenset(Table(json.loads(body), "body").names())
    except (FaultError, ValueError, RecursionError):
        return frozenset()


def decode_error_kind(api: Api, reply: Reply) -> str | None:
    """Name the metric label for what went wrong: the server's word if it is one, else made up."""
    match reply:
        case Silence():
            return CLIENT_FAILED
        case Answer(status=200):
            return None
        case Answer(status=202) if api is Api.PRE_REBOOT:
            return None
        case Answer(status=status, body=body):
            kind, _ = decode_error(body)
            return kind if KIND.fullmatch(kind) else f"generic_http_{status}"


def decode_error(body: str) -> tuple[str, str]:
    """Read kind and value of an error, as they came; "" for what is not there.

    JSON is tried whatever the content type says: most servers send text/plain.
    """
    try:
        table = Table(json.loads(body), "body")
        kind = table.text("kind")
        value = table.maybe("value", table.text) or ""
    except (FaultError, ValueError, RecursionError):
        return "", "" if body.lstrip()[:1] in {"<", "{"} else body
    return kind, value


def _detail(answer: Answer) -> str:
    kind, value = decode_error(answer.body)
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = ""
    head = f"HTTP {answer.status} {kind or phrase}".rstrip()
    if answer.status in REDIRECTS and not value.strip():
        value = "redirects are not followed: set base_url to where it leads"
    if answer.via and not kind:
        head += f" through {answer.via}"
    return harmless(f"{head}: {value}" if value.strip() else head)


def _retry_after_s(answer: Answer, at: datetime) -> float:
    """RFC 9110 §10.2.3: seconds or a date; 0 for anything else."""
    text = answer.retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), LONGEST_RETRY_AFTER_S)
    until = _date(text)
    if until is None:
        return 0.0
    return min(max((until - at).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


def _date(text: str) -> datetime | None:
    for form in HTTP_DATES:
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC)
    return None

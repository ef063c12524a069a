"""FleetLock as a lock server hears and says it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NoReturn, TypeAlias
from zlib import crc32

from rebootmgr.core.counters import Api
from rebootmgr.core.model import Outcome
from rebootmgr.fleetlock.labels_words import decode_labels, decode_version
from rebootmgr.lending.questions import (
    NOTHING_TOLD,
    About,
    Ambiguous,
    Answer,
    Crowded,
    Done,
    Granted,
    NoSuchHolder,
    PreReboot,
    Question,
    Refused,
    Report,
    Returned,
    SteadyState,
    Unavailable,
    UnknownGroup,
)
from rebootmgr.lending.saying import sentence
from rebootmgr.lockd_config.wanted import HostWanted
from rebootmgr.table import Json
from rebootmgr.text import harmless

LONGEST_WAIT_S: Final = 60
LONGEST_HOST_NAME: Final = 64
SOON_S: Final = 15
"""When a store that could not be asked is asked again, at the earliest; at the latest, twice it."""

LONGEST_REASON: Final = 200
FAILED: Final = frozenset({Outcome.ROLLED_BACK, Outcome.NOT_APPLIED})

_NAME: Final = re.compile(r"[a-zA-Z0-9.-]{1,253}")
_WAIT: Final = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, and of which group."""

    group: str
    id: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a body is no question."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer on the wire. `allow` are the methods of a path that was asked with another."""

    status: int
    kind: str
    value: str
    retry_after_s: int | None = None
    allow: str = ""

    @property
    def body(self) -> bytes:
        """What is in it."""
        if self.status == HTTPStatus.NO_CONTENT:
            return b""
        return json.dumps({"kind": self.kind, "value": self.value}).encode("ascii") + b"\n"


Folded: TypeAlias = "dict[str, Json]"


def decode_client(body: bytes) -> Client | Unfit:
    """Read `{"client_params": {"id", "group"}}` as the decoders of other servers do.

    Keys of any case, of equal ones the last; others are ignored; one value and nothing behind it.
    """
    json_value = _decode_json(body)
    if json_value is None:
        return Unfit('the body is not JSON: send {"client_params": {"id": ..., "group": ...}}')
    params = json_value.get("client_params") if isinstance(json_value, dict) else None
    if not isinstance(params, dict):
        return Unfit('the body has no object "client_params"')
    found = {}
    for key in ("group", "id"):
        value = params.get(key)
        if not isinstance(value, str) or not value:
            return Unfit(f'client_params has no "{key}", or it is no text')
        if not _NAME.fullmatch(value):
            return Unfit(f'"{key}" may have letters, digits, dots and dashes, 253 at most')
        found[key] = value
    return Client(**found)


def decode_report(body: bytes, client: Client) -> Report | Unfit:
    """Read what became of the reboot of a host that is known already."""
    told = _decode_json(body)
    told = told if isinstance(told, dict) else {}
    outcome, reason = told.get("outcome"), told.get("reason", "")
    if not isinstance(outcome, str) or outcome not in list(Outcome):
        return Unfit(f'"outcome" must be one of {", ".join(Outcome)}')
    if not isinstance(reason, str):
        return Unfit('"reason" is no text')
    failed = ""
    if outcome in FAILED:
        said = outcome.replace("_", " ")
        failed = harmless(f"{said}: {reason}" if reason.strip() else said, longest=LONGEST_REASON)
    return Report(client.group, client.id, failed)


def _decode_json(body: bytes) -> Json:
    """Read one value; None also for what is none."""
    try:
        found: Json = json.loads(
            body.decode("utf-8", "replace"), object_pairs_hook=_folded, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        return None
    return found


def _folded(pairs: list[tuple[str, Json]]) -> Folded:
    return {key.casefold(): value for key, value in pairs}


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def decode_wait_s(prefer: str) -> float:
    """Read for how long the client waits for its answer (RFC 7240, section 4.3); 0: it does not."""
    found = _WAIT.search(prefer)
    return float(min(int(found[1]), LONGEST_WAIT_S)) if found else 0.0


def decode_question(
    api: Api, client: Client, headers: Mapping[str, str], hosts: Mapping[str, HostWanted]
) -> Question:
    """Say what is asked; what the inventory says of a host beats what it says of itself.

    `headers` has those that are known here, by name, "" for one that was not sent.
    """
    known = hosts.get(client.id)
    about = _about(headers, known)
    match api:
        case Api.PRE_REBOOT:
            name = known.name if known is not None and known.name else _host_name(headers["host"])
            wait_s = decode_wait_s(headers["prefer"])
            return PreReboot(client.group, client.id, name=name, wait_s=wait_s, about=about)
        case Api.STEADY_STATE:
            return SteadyState(client.group, client.id, about)


def _about(headers: Mapping[str, str], known: HostWanted | None) -> About:
    labels, booted, target = (headers[name] for name in ("labels", "booted", "target"))
    named = known.labels if known is not None else {}
    if not (labels or booted or target or named):
        return NOTHING_TOLD
    both = {**dict(decode_labels(labels)), **named}
    return About(tuple(sorted(both.items())), decode_version(booted), decode_version(target))


def _host_name(text: str) -> str:
    return harmless(text, longest=LONGEST_HOST_NAME) if text else ""


def encode_answer(answer: Answer, client: Client) -> Said:
    """Say an answer in FleetLock's words."""
    match answer:
        case Granted() | Returned():
            return Said(status=200, kind="success", value=sentence(answer))
        case Refused(kind=kind, retry_after_s=wait_s):
            value = sentence(answer)
            return Said(status=423, kind=str(kind), value=value, retry_after_s=wait_s)
        case UnknownGroup():
            return Said(status=400, kind="unknown_group", value=sentence(answer))
        case Crowded(retry_after_s=wait_s):
            value = sentence(answer)
            return Said(status=429, kind="too_many_waiting", value=value, retry_after_s=wait_s)
        case Unavailable():
            wait_s = SOON_S + crc32(client.id.encode()) % (SOON_S + 1)
            value = sentence(answer)
            return Said(status=503, kind="store_unavailable", value=value, retry_after_s=wait_s)
        case Done():
            return Said(status=204, kind="success", value=sentence(answer))
        case NoSuchHolder() | Ambiguous():
            raise AssertionError(answer)  # only administrators get these

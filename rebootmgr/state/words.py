"""state.json: what survives, as JSON (SPEC 9). The schema only grows."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from rebootmgr.core.memory import (
    Ask,
    Debt,
    Durations,
    Hold,
    Intent,
    Memory,
    PastReboot,
    Quarantine,
    Unreadable,
)
from rebootmgr.core.model import BootId, Deployment, DeploymentId, Outcome, Slot, UpdateKey
from rebootmgr.instants import encode_instant
from rebootmgr.table import FaultError, Json, Table, finite
from rebootmgr.text import harmless

# At these keys things come and go. One that has the same values here is the same, seen again.
_IDENTITY: Final = {
    "booted": ("id",),
    "intent": ("target", "boot", "at"),
    "releases_owed": ("server", "group", "id"),
    "quarantine": ("key", "since"),
    "holds": ("id",),
    "ask": ("target", "boot", "until"),
    "reboots": ("at", "target"),
}
# A word that only a newer rebootmgr knows is read as null: it stays what it was.
_WORDS: Final = {"reboots": ("outcome",)}
# The keys in it are data: one that is not ours is one that we dropped.
_ONLY_OURS: Final = frozenset({"attempts"})
DEEPEST: Final = 64


def is_deep(json: Json) -> bool:
    """Whether something is nested in it more than `DEEPEST` levels down."""
    level = [json]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
    return bool(level)


def _inside(json: Json) -> Iterable[Json]:
    match json:
        case dict():
            return json.values()
        case list():
            return json
        case _:
            return ()


def keep_unknown(ours: dict[str, Json], before: Json) -> dict[str, Json]:
    """Add to `ours`, a state file, what the one `before` it has and we do not know."""
    if not isinstance(before, dict):
        return ours
    kept = {key: _keep(key, value, before.get(key)) for key, value in ours.items()}
    return {**kept, **{key: value for key, value in before.items() if key not in ours}}


def _keep(key: str, ours: Json, before: Json) -> Json:
    """Do so for what is at `key`, in both."""
    match ours, before:
        case list(), list():
            found = {name: one for one in before if (name := _name(key, one))}
            return [_same(key, one, found.get(_name(key, one))) for one in ours]
        case dict(), dict() if key in _IDENTITY:
            return _same(key, ours, before) if _name(key, ours) == _name(key, before) else ours
        case dict(), dict() if key not in _ONLY_OURS:
            return keep_unknown(ours, before)
        case _:
            return ours


def _same(key: str, ours: Json, before: Json) -> Json:
    """Do so for one thing that is seen again; `before` is null where it is new."""
    if not (isinstance(ours, dict) and isinstance(before, dict)):
        return ours
    words = {word for word in _WORDS.get(key, ()) if ours[word] is None and word in before}
    return keep_unknown({**ours, **{word: before[word] for word in words}}, before)


def _name(key: str, thing: Json) -> str:
    """Which of the things at `key` it is, "" if none that can be told from others."""
    names = _IDENTITY.get(key, ())
    return repr([thing.get(name) for name in names]) if isinstance(thing, dict) else ""


Value = TypeVar("Value")

MAJOR: Final = 1
MINOR: Final = 0
LARGEST: Final = 4 * 1024 * 1024
"""Bytes; a file beyond this is not ours, and none of ours may grow beyond it."""


@dataclass(frozen=True, slots=True)
class Corrupt:
    """The bytes are no state file; `detail` says why."""

    detail: str


def encode_state(memory: Memory, *, over: bytes = b"") -> bytes:
    """Write `memory` as a JSON object, one top-level key per line, in ASCII.

    What a newer rebootmgr put into `over`, the state file that this one replaces, is kept.
    """
    ours = _ours(memory)
    if over:
        ours = keep_unknown(ours, json.loads(over))
    texts = {key: json.dumps(value, allow_nan=False) for key, value in ours.items()}
    lines = [f" {json.dumps(key)}: {text}" for key, text in texts.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii")


def decode_state(data: bytes) -> Memory | Unreadable | Corrupt:
    """Read what `data` remembers. Total: any bytes give one of these, never an exception."""
    if len(data) > LARGEST:
        return Corrupt(f"larger than {LARGEST} bytes")
    try:
        top = json.loads(data, parse_float=finite, parse_constant=finite)
        if is_deep(top):  # what can be read here must be written somewhere further down the stack
            return Corrupt("nested too deeply")
        return _to_memory(Table(top, "the file"))
    except RecursionError:
        return Corrupt("nested too deeply")
    except OverflowError:
        return Corrupt("a number or time is out of range")
    except ValueError as error:  # also JSONDecodeError and UnicodeDecodeError
        return Corrupt(harmless(str(error)))


def _to_memory(top: Table) -> Memory | Unreadable:
    version = top.table("version")
    major, minor = version.whole("major"), version.whole("minor")
    if major > MAJOR:
        return Unreadable(
            f"written by a newer rebootmgr (schema {major}.{minor}, this one knows {MAJOR}): "
            "update rebootmgr, or move the file away"
        )
    if major < 1:
        raise FaultError(f"version: {major} is no major version")
    return Memory(
        settled=top.maybe("settled", lambda key: BootId(top.text(key))),
        booted=top.maybe("booted", lambda key: _to_deployment(top.table(key))),
        intent=top.maybe("intent", lambda key: _to_intent(top.table(key))),
        debts=top.each("releases_owed", _to_debt),
        drained=top.flag("drained"),
        attempts=tuple((UpdateKey(key), n) for key, n in top.counts("attempts")),
        quarantine=top.each("quarantine", _to_quarantine),
        holds=top.each("holds", _to_hold),
        ask=top.maybe("ask", lambda key: _to_ask(top.table(key))),
        reboots=top.each("reboots", _to_past_reboot),
        outcomes=tuple(
            (_OUTCOMES[key], n) for key, n in top.counts("outcomes") if key in _OUTCOMES
        ),
        reboots_total=top.whole("reboots_total", default=0),
        last_seen=top.maybe("last_seen", top.time),
    )


_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
"""A word that only a newer rebootmgr knows reads as "not known"."""


def _ours(memory: Memory) -> dict[str, Json]:
    return {
        "version": {"major": MAJOR, "minor": MINOR},
        "settled": memory.settled,
        "booted": _maybe(memory.booted, _from_deployment),
        "intent": _maybe(memory.intent, _from_intent),
        "releases_owed": [_from_debt(debt) for debt in memory.debts],
        "drained": memory.drained,
        "attempts": {str(key): count for key, count in memory.attempts},
        "quarantine": [_from_quarantine(entry) for entry in memory.quarantine],
        "holds": [_from_hold(hold) for hold in memory.holds],
        "ask": _maybe(memory.ask, _from_ask),
        "reboots": [_from_past_reboot(past) for past in memory.reboots],
        "outcomes": {outcome.value: count for outcome, count in memory.outcomes},
        "reboots_total": memory.reboots_total,
        "last_seen": encode_instant(memory.last_seen),
    }


def _maybe(value: Value | None, encode: Callable[[Value], Json]) -> Json:
    return None if value is None else encode(value)


def _from_deployment(it: Deployment) -> Json:
    return {"id": it.id, "key": it.key, "version": it.version, "timestamp": it.timestamp}


def _to_deployment(table: Table) -> Deployment:
    return Deployment(
        id=DeploymentId(table.text("id")),
        key=UpdateKey(table.text("key")),
        version=table.prose("version"),
        timestamp=table.whole("timestamp", default=0),
    )


def _from_intent(it: Intent) -> Json:
    return {
        "target": it.target,
        "key": it.key,
        "version": it.version,
        "booted": it.booted,
        "boot": it.boot,
        "at": encode_instant(it.at),
        "mono": it.mono,
        "waiting_s": it.waiting_s,
        "lock_s": it.lock_s,
        "hooks_s": it.hooks_s,
        "shutdown_seen": it.shutdown_seen,
        "down_at": encode_instant(it.down_at),
        "seen_booted": it.seen_booted,
    }


def _to_intent(table: Table) -> Intent:
    return Intent(
        target=DeploymentId(table.text("target")),
        key=UpdateKey(table.text("key")),
        version=table.prose("version"),
        booted=DeploymentId(table.text("booted")),
        boot=BootId(table.text("boot")),
        at=table.time("at"),
        mono=table.number("mono"),
        waiting_s=table.number("waiting_s", default=0.0),
        lock_s=table.number("lock_s", default=0.0),
        hooks_s=table.number("hooks_s", default=0.0),
        shutdown_seen=table.flag("shutdown_seen"),
        down_at=table.maybe("down_at", table.time),
        seen_booted=table.flag("seen_booted"),
    )


def _from_debt(it: Debt) -> Json:
    return {
        "server": it.slot.server,
        "group": it.slot.group,
        "id": it.slot.id,
        "unanswered": it.unanswered,
        "kept": it.kept,
    }


def _to_debt(table: Table) -> Debt:
    return Debt(
        slot=Slot(table.text("server"), table.text("group"), table.text("id")),
        unanswered=table.flag("unanswered"),
        kept=table.flag("kept"),
    )


def _from_quarantine(it: Quarantine) -> Json:
    return {"key": it.key, "why": it.why, "since": encode_instant(it.since)}


def _to_quarantine(table: Table) -> Quarantine:
    return Quarantine(
        key=UpdateKey(table.text("key")), why=table.prose("why"), since=table.time("since")
    )


def _from_hold(it: Hold) -> Json:
    return {
        "id": it.id,
        "owner": it.owner,
        "reason": it.reason,
        "since": encode_instant(it.since),
        "until": encode_instant(it.until),
    }


def _to_hold(table: Table) -> Hold:
    return Hold(
        id=table.text("id"),
        owner=table.prose("owner"),
        reason=table.prose("reason"),
        since=table.time("since"),
        until=table.maybe("until", table.time),
    )


def _from_ask(it: Ask) -> Json:
    return {
        "target": it.target,
        "boot": it.boot,
        "by": it.by,
        "now": it.now,
        "until": encode_instant(it.until),
    }


def _to_ask(table: Table) -> Ask:
    return Ask(
        target=DeploymentId(table.text("target")),
        boot=BootId(table.text("boot")),
        by=table.prose("by"),
        now=table.flag("now"),
        until=table.time("until"),
    )


def _from_past_reboot(it: PastReboot) -> Json:
    return {
        "at": encode_instant(it.at),
        "target": it.target,
        "version": it.version,
        "outcome": it.outcome,
        "seconds": it.seconds,
        "phases": dict(it.phases.by_name()),
    }


def _to_past_reboot(table: Table) -> PastReboot:
    return PastReboot(
        at=table.time("at"),
        target=DeploymentId(table.text("target")),
        version=table.prose("version"),
        outcome=table.maybe("outcome", lambda key: _OUTCOMES.get(table.text(key))),
        seconds=table.number("seconds", default=0.0),
        phases=table.maybe("phases", lambda key: _to_durations(table.table(key))) or Durations(),
    )


def _to_durations(table: Table) -> Durations:
    return Durations(
        waiting_s=table.number("waiting", default=0.0),
        lock_s=table.number("lock", default=0.0),
        hooks_s=table.number("hooks", default=0.0),
        shutdown_s=table.number("shutdown", default=0.0),
        boot_s=table.number("boot", default=0.0),
        boot_complete_s=table.number("boot_complete", default=0.0),
    )

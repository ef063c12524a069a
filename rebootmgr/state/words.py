"""state.json: what survives, as JSON (SPEC 9). The schema only grows."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit, urlunsplit

from rebootmgr.core.memory import (
    Anchor,
    Ask,
    Backlog,
    Debt,
    Durations,
    Hold,
    HoldSpan,
    Intent,
    Memory,
    PastReboot,
    Quarantine,
    Unreadable,
)
from rebootmgr.core.model import (
    LONGEST_NAME,
    LONGEST_SERVER,
    BootId,
    Deployment,
    DeploymentId,
    Outcome,
    Slot,
    UpdateKey,
)
from rebootmgr.instants import encode_instant
from rebootmgr.state.growth_words import keep_unknown
from rebootmgr.table import LONGEST_S, FaultError, Json, Table, finite, is_deep
from rebootmgr.text import harmless

Value = TypeVar("Value")

_URL: Final = re.compile(r"[!-~]*")
MAJOR: Final = 1
MINOR: Final = 0
LARGEST: Final = 4 * 1024 * 1024
"""Bytes; a file beyond this is not ours, and none of ours may grow beyond it."""
MOST: Final = 1000
"""Of each list, the newest that are kept."""
MOST_DEBTS: Final = 64


@dataclass(frozen=True, slots=True)
class Corrupt:
    """The bytes are no state file; `detail` says why."""

    detail: str


def encode_state(memory: Memory, *, over: bytes = b"") -> bytes:
    """Write `memory` as a JSON object, one top-level key per line, in ASCII.

    What a newer rebootmgr put into `over`, the state file that this one replaces, is kept.
    """
    ours = _ours(memory)
    before = json.loads(over) if over else {}
    machines = {before.get("machine"), memory.machine} - {None, ""}
    if len(machines) <= 1:  # nothing of a cloned disk's
        ours = keep_unknown(ours, before)
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
    attempts = {UpdateKey(harmless(key)): n for key, n in top.counts("attempts")}
    return Memory(
        machine=top.maybe("machine", top.prose) or "",
        settled=top.maybe("settled", lambda key: BootId(top.prose(key))),
        booted=top.maybe("booted", lambda key: _to_deployment(top.table(key))),
        intent=top.maybe("intent", lambda key: _to_intent(top.table(key))),
        debts=_to_debts(top),
        confirmed=tuple(dict.fromkeys(top.each("confirmed", _to_slot)))[:MOST_DEBTS],
        drained=top.flag("drained"),
        attempts=tuple(attempts.items())[-MOST:],
        staged_change=top.maybe("staged_change", lambda key: _to_deployment(top.table(key))),
        quarantine=top.each("quarantine", _to_quarantine)[-MOST:],
        holds=_to_holds(top),
        ask=top.maybe("ask", lambda key: _to_ask(top.table(key))),
        reboots=top.each("reboots", _to_past_reboot)[-MOST:],
        outcomes=tuple(
            (_OUTCOMES[key], n) for key, n in top.counts("outcomes") if key in _OUTCOMES
        ),
        reboots_total=top.count("reboots_total", default=0),
        last_seen=top.maybe("last_seen", top.time),
        backlog=top.maybe("backlog", lambda key: _to_backlog(top.table(key))),
        complaint=top.maybe("complaint", top.prose) or "",
    )


_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
"""A word that only a newer rebootmgr knows reads as "not known"."""


def _ours(memory: Memory) -> dict[str, Json]:
    return {
        "version": {"major": MAJOR, "minor": MINOR},
        "machine": memory.machine,
        "settled": memory.settled,
        "booted": _maybe(memory.booted, _from_deployment),
        "intent": _maybe(memory.intent, _from_intent),
        "releases_owed": [_from_debt(debt) for debt in memory.debts],
        "confirmed": [_from_slot(slot) for slot in memory.confirmed],
        "drained": memory.drained,
        "attempts": {str(key): count for key, count in memory.attempts},
        "staged_change": _maybe(memory.staged_change, _from_deployment),
        "quarantine": [_from_quarantine(entry) for entry in memory.quarantine],
        "holds": [_from_hold(hold) for hold in memory.holds],
        "ask": _maybe(memory.ask, _from_ask),
        "reboots": [_from_past_reboot(past) for past in memory.reboots],
        "outcomes": {outcome.value: count for outcome, count in memory.outcomes},
        "reboots_total": memory.reboots_total,
        "last_seen": encode_instant(memory.last_seen),
        "backlog": _maybe(memory.backlog, _from_backlog),
        "complaint": memory.complaint,
    }


def _maybe(value: Value | None, encode: Callable[[Value], Json]) -> Json:
    return None if value is None else encode(value)


def _from_deployment(it: Deployment) -> Json:
    return {"id": it.id, "key": it.key, "version": it.version, "timestamp": it.timestamp}


def _to_deployment(table: Table) -> Deployment:
    return Deployment(
        id=DeploymentId(table.prose("id")),
        key=UpdateKey(table.prose("key")),
        version=table.prose("version"),
        timestamp=_to_timestamp(table),
    )


def _to_timestamp(table: Table) -> int:
    timestamp = table.whole("timestamp", default=0)
    if timestamp < 0:
        raise FaultError(f"{table.where}.timestamp: {timestamp} is before the epoch")
    return timestamp


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
        "withdrawn": it.withdrawn,
        "on_disk": list(it.on_disk),
    }


def _to_intent(table: Table) -> Intent:
    return Intent(
        target=DeploymentId(table.prose("target")),
        key=UpdateKey(table.prose("key")),
        version=table.prose("version"),
        booted=DeploymentId(table.prose("booted")),
        boot=BootId(table.prose("boot")),
        at=table.time("at"),
        mono=table.seconds("mono"),
        waiting_s=table.seconds("waiting_s", default=0.0),
        lock_s=table.seconds("lock_s", default=0.0),
        hooks_s=table.seconds("hooks_s", default=0.0),
        shutdown_seen=table.flag("shutdown_seen"),
        down_at=table.maybe("down_at", table.time),
        seen_booted=table.flag("seen_booted"),
        withdrawn=table.flag("withdrawn"),
        on_disk=table.texts("on_disk")[-MOST:],
    )


def _from_slot(it: Slot) -> dict[str, Json]:
    return {"server": it.server, "group": it.group, "id": it.id}


def _from_debt(it: Debt) -> Json:
    return {
        **_from_slot(it.slot),
        "granted": it.granted,
        "unanswered": it.unanswered,
        "kept": it.kept,
        "asked": it.asked,
        "since": encode_instant(it.since),
        "reports": it.reports,
    }


def _to_debts(top: Table) -> tuple[Debt, ...]:
    """Read what may be ours. One slot is one debt, and more than `MOST_DEBTS` no host has."""
    debts: dict[Slot, Debt] = {}
    for debt in top.each("releases_owed", _to_debt):
        twin = debts.get(debt.slot, debt)
        debts[debt.slot] = Debt(
            slot=debt.slot,
            granted=debt.granted or twin.granted,
            unanswered=debt.unanswered or twin.unanswered,
            kept=debt.kept or twin.kept,
            asked=debt.asked or twin.asked,
            since=min(filter(None, (debt.since, twin.since)), default=None),
            reports=debt.reports or twin.reports,
        )
    return tuple(debts.values())[:MOST_DEBTS]


def _to_debt(table: Table) -> Debt:
    return Debt(
        slot=_to_slot(table),
        granted=table.flag("granted"),
        unanswered=table.flag("unanswered"),
        kept=table.flag("kept"),
        asked="asked" not in table.names() or table.flag("asked"),
        since=table.maybe("since", table.time),
        reports=table.flag("reports"),
    )


def _to_slot(table: Table) -> Slot:
    return Slot(_to_server(table), _to_name(table, "group"), _to_name(table, "id"))


def _to_name(table: Table, key: str) -> str:
    return harmless(table.text(key), longest=LONGEST_NAME)  # cut, it would be another's slot


def _to_server(table: Table) -> str:
    """Read a lock server's base URL. Credentials come from the configuration, and only from it."""
    url = table.text("server")
    if len(url) <= LONGEST_SERVER and _URL.fullmatch(url) and (parts := _split(url)) is not None:
        netloc = parts.netloc.rpartition("@")[2].lower()
        return urlunsplit((parts.scheme, netloc, parts.path, "", ""))
    raise FaultError(f"{table.where}.server: expected the URL of a lock server")


def _split(url: str) -> SplitResult | None:
    """Take the URL of a server apart; None for anything else."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and host else None


def _from_quarantine(it: Quarantine) -> Json:
    return {"key": it.key, "why": it.why, "since": encode_instant(it.since)}


def _to_quarantine(table: Table) -> Quarantine:
    return Quarantine(
        key=UpdateKey(table.prose("key")), why=table.prose("why"), since=table.time("since")
    )


def _from_hold(it: Hold) -> Json:
    return {
        "id": it.id,
        "owner": it.owner,
        "reason": it.reason,
        "since": encode_instant(it.since),
        "until": encode_instant(it.until),
        "span": _maybe(it.span, _from_span),
    }


def _to_holds(top: Table) -> tuple[Hold, ...]:
    """Read the holds: none of them may be forgotten, so too many are no state of ours."""
    holds = top.each("holds", _to_hold)
    if len(holds) > MOST:
        raise FaultError(f"{top.where}.holds: expected {MOST} at most, found {len(holds)}")
    return holds


def _to_hold(table: Table) -> Hold:
    return Hold(
        id=table.prose("id"),
        owner=table.prose("owner"),
        reason=table.prose("reason"),
        since=table.time("since"),
        until=table.maybe("until", table.time),
        span=table.maybe("span", lambda key: _to_span(table.table(key))),
    )


def _from_span(it: HoldSpan) -> Json:
    return {"boot": it.boot, "ends": it.ends, "seconds": it.seconds, "is_dated": it.is_dated}


def _to_span(table: Table) -> HoldSpan:
    return HoldSpan(
        boot=BootId(table.prose("boot")),
        ends=table.seconds("ends"),
        seconds=table.seconds("seconds"),
        is_dated=table.flag("is_dated"),
    )


def _from_ask(it: Ask) -> Json:
    return {
        "target": it.target,
        "key": it.key,
        "boot": it.boot,
        "by": it.by,
        "now": it.now,
        "until": encode_instant(it.until),
        "ends": it.ends,
    }


def _to_ask(table: Table) -> Ask:
    return Ask(
        target=DeploymentId(table.prose("target")),
        key=UpdateKey(table.maybe("key", table.prose) or ""),  # an older rebootmgr wrote none
        boot=BootId(table.prose("boot")),
        by=table.prose("by"),
        now=table.flag("now"),
        until=table.time("until"),
        ends=table.seconds("ends", default=0.0),  # as in what an older one wrote: it is over
    )


def _from_backlog(it: Backlog) -> Json:
    return {
        "key": it.key,
        "since": encode_instant(it.since),
        "behind_since": encode_instant(it.behind_since),
        "none_since": encode_instant(it.none_since),
        "anchor": _maybe(it.anchor, _from_anchor),
    }


def _to_backlog(table: Table) -> Backlog:
    return Backlog(
        key=UpdateKey(table.prose("key")),
        since=table.time("since"),
        behind_since=table.time("behind_since"),
        none_since=table.maybe("none_since", table.time),
        anchor=table.maybe("anchor", lambda key: _to_anchor(table.table(key))),
    )


def _from_anchor(it: Anchor) -> Json:
    return {
        "boot": it.boot,
        "born": it.born,
        "vouched": encode_instant(it.vouched),
        "gone": it.gone,
    }


def _to_anchor(table: Table) -> Anchor:
    return Anchor(
        boot=BootId(table.prose("boot")),
        born=table.maybe("born", lambda key: table.seconds(key, least=-LONGEST_S)),
        vouched=table.maybe("vouched", table.time),
        gone=table.maybe("gone", table.seconds),
    )


def _from_past_reboot(it: PastReboot) -> Json:
    return {
        "at": encode_instant(it.at),
        "target": it.target,
        "version": it.version,
        "outcome": it.outcome,
        "seconds": it.seconds,
        "phases": dict(it.phases.by_name()),
        "cause": it.cause,
    }


def _to_past_reboot(table: Table) -> PastReboot:
    return PastReboot(
        at=table.time("at"),
        target=DeploymentId(table.prose("target")),
        version=table.prose("version"),
        outcome=table.maybe("outcome", lambda key: _OUTCOMES.get(table.text(key))),
        seconds=table.seconds("seconds", default=0.0),
        phases=table.maybe("phases", lambda key: _to_durations(table.table(key))) or Durations(),
        cause=table.maybe("cause", table.prose) or "",
    )


def _to_durations(table: Table) -> Durations:
    return Durations(
        waiting_s=table.seconds("waiting", default=0.0),
        lock_s=table.seconds("lock", default=0.0),
        hooks_s=table.seconds("hooks", default=0.0),
        shutdown_s=table.seconds("shutdown", default=0.0),
        boot_s=table.seconds("boot", default=0.0),
        boot_complete_s=table.seconds("boot_complete", default=0.0),
    )

"""What `Describe` says of Status, as JSON (SPEC 11).

The JSON only grows, because its reader (control/described.py) may be older or newer than we are.
Its first eight members are those of `why`, in exactly the shape that SPEC 11 promises.
"""

from datetime import datetime

from rebootmgr import __version__
from rebootmgr.core.facts import Change
from rebootmgr.core.memory import Hold, PastReboot, Quarantine
from rebootmgr.core.model import Deployment, Slot
from rebootmgr.core.status import PresumedSlot, ShownDeadline, ShownRequest, Status
from rebootmgr.core.window import Opening
from rebootmgr.instants import encode_instant
from rebootmgr.table import Json


def encode_status(status: Status) -> dict[str, Json]:
    """Everything, for `status --json` and `Describe`; times as RFC 3339 in UTC."""
    return {
        **encode_why(status),
        "version": __version__,
        "at": _instant(status.at),
        "state": status.state,
        "sentence": status.sentence,
        "source_why": None if status.source is None else status.source.why,
        "behind_since": _instant(status.behind_since),
        "identity": _identity(status.identity),
        "strategies": list(status.strategies),
        "booted": _deployment(status.booted),
        "window": _opening(status.window),
        "next_window": _opening(status.next_window),
        "lock_held": status.lock_held,
        "lock_presumed": status.lock_presumed,
        "slot_claimed": status.slot_claimed,
        "answers": [
            {"reason": one.reason, "at": _instant(one.heard)}
            for one in status.blockers
            if one.heard is not None
        ],
        "slots": [_owed(owed) for owed in status.owed],
        "holds": [_hold(hold) for hold in status.holds],
        "quarantine": [_quarantine(one) for one in status.quarantine],
        "history": [_past(past) for past in status.history],
        "outcomes": {str(outcome): count for outcome, count in status.outcomes},
        "reboots_total": status.reboots_total,
        "users": status.users,
        "dry_run": status.dry_run,
        "config_valid": status.config_valid,
        "config_problems": list(status.config_problems),
    }


def encode_why(status: Status) -> dict[str, Json]:
    """Why it does not reboot, in the shape of SPEC 11."""
    pending: Json = None
    if status.pending is not None:
        pending = {
            "id": status.pending.id,
            "version": status.pending.version,
            "since": _instant(status.pending_since),
            "change": _change(status.change or Change()),
        }
    return {
        "pending": pending,
        "request": _request(status.request),
        "source": None if status.source is None else status.source.source,
        "verdict": status.verdict,
        "blockers": [
            {
                "reason": blocker.reason,
                "detail": blocker.detail,
                "since": _instant(blocker.since),
                "until": _instant(blocker.until),
            }
            for blocker in status.blockers
        ],
        "gates": [
            {"gate": gate.name, "state": gate.state, "detail": gate.detail} for gate in status.gates
        ],
        "notices": [{"notice": notice.kind, "detail": notice.detail} for notice in status.notices],
        **_deadlines(status.deadlines),
        "predicted": _instant(status.predicted),
    }


def _deadlines(deadlines: tuple[ShownDeadline, ...]) -> dict[str, Json]:
    """Nothing where none is configured, or nothing pending."""
    steps: list[Json] = [
        {
            "step": one.step,
            "at": _instant(one.at),
            "waives": list(one.waives),
            "due": one.is_due,
        }
        for one in deadlines
    ]
    return {"deadlines": steps} if steps else {}


def _request(request: ShownRequest | None) -> Json:
    if request is None:
        return None
    return {
        "owner": request.owner,
        "now": request.now,
        "until": _instant(request.until),
        "skips": list(request.skips),
    }


def _change(change: Change) -> Json:
    return {
        "same_base": change.same_base,
        "kernel_arguments": {
            "added": list(change.arguments_added),
            "removed": list(change.arguments_removed),
        },
        "packages": {
            "added": list(change.packages_added),
            "removed": list(change.packages_removed),
            "overrides": list(change.overrides),
        },
        "initramfs": change.initramfs,
        "applied_live": change.applied_live,
    }


def _instant(at: datetime | None) -> str | None:
    return encode_instant(at, timespec="seconds")


def _deployment(deployment: Deployment | None) -> Json:
    return {"id": deployment.id, "version": deployment.version} if deployment else None


def _opening(opening: Opening | None) -> Json:
    if opening is None:
        return None
    return {"start": _instant(opening.start), "end": _instant(opening.end)}


def _owed(owed: PresumedSlot) -> Json:
    return {
        **_slot(owed.slot),
        "kept": owed.kept,
        "error": owed.error,
        "since": _instant(owed.since),
        "heard": _instant(owed.heard),
        "again": _instant(owed.again),
    }


def _slot(slot: Slot) -> dict[str, Json]:
    return {"server": slot.server, "group": slot.group, "id": slot.id}


def _identity(identity: Slot | None) -> Json:
    if identity is None:
        return None
    return {**_slot(identity), "server": identity.server or None}


def _hold(hold: Hold) -> Json:
    return {
        "id": hold.id,
        "owner": hold.owner,
        "reason": hold.reason,
        "since": _instant(hold.since),
        "until": _instant(hold.until),
    }


def _quarantine(one: Quarantine) -> Json:
    return {"key": one.key, "why": one.why, "since": _instant(one.since)}


def _past(past: PastReboot) -> Json:
    return {
        "at": _instant(past.at),
        "id": past.target,
        "version": past.version,
        "outcome": past.outcome,
        "seconds": past.seconds or None,
        "phases": {phase: seconds or None for phase, seconds in past.phases.by_name().items()},
        "cause": past.cause or None,
    }

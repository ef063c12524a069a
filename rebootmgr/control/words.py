"""What org.rebootmgr1 says of Status: JSON for `Describe`, typed values for properties (SPEC 11).

The JSON only grows, because its reader (control/described.py) may be older or newer than we are.
Its first six members are those of `why`, in exactly the shape that SPEC 11 promises.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from rebootmgr import __version__
from rebootmgr.core.memory import Hold, PastReboot, Quarantine
from rebootmgr.core.model import Deployment, Slot
from rebootmgr.core.status import Owed, Status
from rebootmgr.core.window import Opening

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

EPOCH: Final = datetime.fromtimestamp(0, UTC)

CONFIG_INVALID: Final = "org.rebootmgr1.Error.ConfigInvalid"
NO_SUCH_HOLD: Final = "org.rebootmgr1.Error.NoSuchHold"
NOTHING_PENDING: Final = "org.rebootmgr1.Error.NothingPending"
NOTHING_TO_FORGIVE: Final = "org.rebootmgr1.Error.NothingToForgive"
TOO_LATE: Final = "org.rebootmgr1.Error.TooLate"

PROPERTIES: Final = {
    "State": "s",
    "Verdict": "s",
    "Pending": "(ss)",
    "Booted": "(ss)",
    "Blockers": "a(ssxx)",
    "Notices": "a(ss)",
    "Predicted": "x",
    "LockHeld": "b",
    "Version": "s",
    "ConfigValid": "b",
}


def encode_instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def encode_status(status: Status) -> dict[str, Json]:
    """Everything, for `status --json` and `Describe`; times as RFC 3339 in UTC."""
    return {
        **encode_why(status),
        "version": __version__,
        "at": encode_instant(status.at),
        "state": status.state,
        "sentence": status.sentence,
        "strategies": list(status.strategies),
        "booted": _deployment(status.booted),
        "window": _opening(status.window),
        "next_window": _opening(status.next_window),
        "lock_held": status.lock_held,
        "slots": [_owed(owed) for owed in status.owed],
        "holds": [_hold(hold) for hold in status.holds],
        "quarantine": [_quarantine(one) for one in status.quarantine],
        "history": [_past(past) for past in status.history],
        "outcomes": {str(outcome): count for outcome, count in status.outcomes},
        "reboots_total": status.reboots_total,
        "users": status.users,
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
            "since": encode_instant(status.pending_since),
        }
    return {
        "pending": pending,
        "verdict": status.verdict,
        "blockers": [
            {
                "reason": blocker.reason,
                "detail": blocker.detail,
                "since": encode_instant(blocker.since),
                "until": encode_instant(blocker.until),
            }
            for blocker in status.blockers
        ],
        "gates": [
            {"gate": gate.name, "state": gate.state, "detail": gate.detail} for gate in status.gates
        ],
        "notices": [{"notice": notice.kind, "detail": notice.detail} for notice in status.notices],
        "predicted": encode_instant(status.predicted),
    }


def _deployment(deployment: Deployment | None) -> Json:
    return {"id": deployment.id, "version": deployment.version} if deployment else None


def _opening(opening: Opening | None) -> Json:
    if opening is None:
        return None
    return {"start": encode_instant(opening.start), "end": encode_instant(opening.end)}


def _owed(owed: Owed) -> Json:
    return {**_slot(owed.slot), "kept": owed.kept, "error": owed.since_error}


def _slot(slot: Slot) -> dict[str, Json]:
    return {"server": slot.server, "group": slot.group, "id": slot.id}


def _hold(hold: Hold) -> Json:
    return {
        "id": hold.id,
        "owner": hold.owner,
        "reason": hold.reason,
        "since": encode_instant(hold.since),
        "until": encode_instant(hold.until),
    }


def _quarantine(one: Quarantine) -> Json:
    return {"key": one.key, "why": one.why, "since": encode_instant(one.since)}


def _past(past: PastReboot) -> Json:
    return {
        "at": encode_instant(past.at),
        "id": past.target,
        "version": past.version,
        "outcome": past.outcome,
        "seconds": past.seconds or None,
        "phases": {phase: seconds or None for phase, seconds in past.phases.by_name().items()},
    }


def encode_properties(status: Status) -> dict[str, object]:
    """Encode the values of `PROPERTIES`; instants in µs since the epoch, 0 where there is none."""
    return {
        "State": status.state.value,
        "Verdict": status.verdict.value,
        "Pending": _pair(status.pending),
        "Booted": _pair(status.booted),
        "Blockers": [
            [
                blocker.reason.value,
                blocker.detail,
                _microseconds(blocker.since),
                _microseconds(blocker.until),
            ]
            for blocker in status.blockers
        ],
        "Notices": [[notice.kind.value, notice.detail] for notice in status.notices],
        "Predicted": _microseconds(status.predicted),
        "LockHeld": status.lock_held,
        "Version": __version__,
        "ConfigValid": status.config_valid,
    }


def decode_until(microseconds: int) -> datetime | None:
    """Read an instant of a call, as `encode_properties` writes them; ValueError for no such day."""
    try:
        return EPOCH + timedelta(microseconds=microseconds) if microseconds else None
    except OverflowError:
        raise ValueError("no such day") from None


def _pair(deployment: Deployment | None) -> list[str]:
    return [deployment.id, deployment.version] if deployment else ["", ""]


def _microseconds(at: datetime | None) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond if at else 0

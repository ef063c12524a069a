"""A handful of Status values, for everything that shows one."""

from datetime import UTC, datetime, timedelta
from typing import Final

from rebootmgr.core.memory import Durations, Hold, PastReboot, Quarantine
from rebootmgr.core.model import (
    Choice,
    Deployment,
    DeploymentId,
    Notice,
    NoticeKind,
    Outcome,
    Reason,
    Slot,
    Source,
    UpdateKey,
)
from rebootmgr.core.status import (
    Gate,
    GateState,
    PresumedSlot,
    ShownBlocker,
    ShownDeadline,
    StateName,
    Status,
    Verdict,
)
from rebootmgr.core.window import Opening

NOW: Final = datetime(2030, 1, 5, 20, 10, tzinfo=UTC)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def ahead(**span: float) -> datetime:
    return NOW + timedelta(**span)


def deployment(version: str, letter: str) -> Deployment:
    checksum = letter * 64
    return Deployment(
        id=DeploymentId(f"fedora-coreos-{checksum}.0"), key=UpdateKey(checksum), version=version
    )


BOOTED: Final = deployment("42.20291201.3.0", "a")
UPDATE: Final = deployment("42.20300102.3.0", "b")
SLOT: Final = Slot(server="https://lock.example.org/base", group="workers", id="5f2c1e")

WHO: Final = Slot(server="", group="default", id="0123456789abcdef0123456789abcdef")

SOURCE: Final = Choice(Source.RPM_OSTREE, "rpm-ostreed is on the bus, or can be started")


def gates(*blocking: Reason, unasked: tuple[Reason, ...] = ()) -> tuple[Gate, ...]:
    def state(reason: Reason) -> GateState:
        if reason in blocking:
            return GateState.BLOCKING
        return GateState.NOT_EVALUATED if reason in unasked else GateState.CLEAR

    return tuple(Gate(reason, state(reason)) for reason in Reason if reason is not Reason.REBOOTING)


IDLE: Final = Status(
    at=NOW,
    identity=WHO,
    state=StateName.IDLE,
    verdict=Verdict.IDLE,
    strategies=("immediate",),
    source=SOURCE,
    booted=BOOTED,
    gates=gates(),
    window=Opening(ago(days=1), ahead(days=400)),
    sentence="Idle: nothing pending.",
)

WAITING: Final = Status(
    at=NOW,
    identity=SLOT,
    state=StateName.WAITING,
    verdict=Verdict.WAIT,
    strategies=("periodic", "fleet_lock"),
    source=SOURCE,
    booted=BOOTED,
    pending=UPDATE,
    pending_since=ago(hours=10),
    behind_since=ago(hours=10),
    blockers=(
        ShownBlocker(Reason.HELD, "database migration (alice)", ago(hours=2), ahead(hours=1)),
        ShownBlocker(
            Reason.OUTSIDE_WINDOW,
            "the next maintenance window opens Sat 2030-01-05 23:30 UTC",
            ago(hours=10),
            ahead(hours=3, minutes=20),
        ),
        ShownBlocker(Reason.USERS_LOGGED_IN, "alice on pts/0 (session 3)", ago(minutes=4), None),
    ),
    gates=gates(
        Reason.HELD,
        Reason.OUTSIDE_WINDOW,
        Reason.USERS_LOGGED_IN,
        unasked=(
            Reason.CHECK_FAILED,
            Reason.HOOK_FAILED,
            Reason.LOCK_PENDING,
            Reason.LOCK_REFUSED,
            Reason.LOCK_FAILING,
        ),
    ),
    predicted=ahead(hours=3, minutes=20),
    next_window=Opening(ahead(hours=3, minutes=20), ahead(hours=4, minutes=20)),
    holds=(
        Hold(
            id="h1",
            owner="alice",
            reason="database migration",
            since=ago(hours=2),
            until=ahead(hours=1),
        ),
    ),
    history=(
        PastReboot(
            at=ago(days=7),
            target=BOOTED.id,
            version=BOOTED.version,
            outcome=Outcome.SUCCEEDED,
            seconds=72.0,
            phases=Durations(
                waiting_s=7200.0, hooks_s=10.0, shutdown_s=12.0, boot_s=20.0, boot_complete_s=30.0
            ),
        ),
    ),
    outcomes=((Outcome.SUCCEEDED, 9),),
    reboots_total=9,
    users=1,
)

STUCK: Final = Status(
    at=NOW,
    identity=SLOT,
    state=StateName.WAITING,
    verdict=Verdict.WAIT,
    strategies=("fleet_lock",),
    source=SOURCE,
    booted=BOOTED,
    pending=UPDATE,
    pending_since=ago(days=2),
    behind_since=ago(days=16),
    blockers=(
        ShownBlocker(
            Reason.CONFIG_INVALID,
            "/etc/rebootmgr/config.d/50-fleet.toml:3: updates.fleet_lock.base_url: not a URL",
            ago(days=1),
            None,
        ),
        ShownBlocker(
            Reason.QUARANTINED, "rolled back twice; `rebootmgrctl forgive`", ago(days=2), None
        ),
        ShownBlocker(
            Reason.LOCK_REFUSED,
            "HTTP 423 lock_held: reboot lease lock unavailable, held by 0f3c",
            ago(hours=7),
            ahead(seconds=40),
            heard=ago(seconds=20),
        ),
    ),
    gates=gates(Reason.CONFIG_INVALID, Reason.QUARANTINED, Reason.LOCK_REFUSED),
    notices=(Notice(NoticeKind.SLOT_KEPT, "kept because 42.20300102.3.0 failed here twice"),),
    lock_held=True,
    lock_presumed=True,
    owed=(PresumedSlot(SLOT, kept=True), PresumedSlot(SLOT, kept=False, error="no answer")),
    quarantine=(Quarantine(key=UPDATE.key, why="rolled back twice", since=ago(days=2)),),
    history=(
        PastReboot(
            at=ago(days=2), target=UPDATE.id, version=UPDATE.version, outcome=Outcome.ROLLED_BACK
        ),
    ),
    config_valid=False,
    config_problems=(
        "/etc/rebootmgr/config.d/50-fleet.toml:3: updates.fleet_lock.base_url: not a URL",
    ),
)

REBOOTING: Final = Status(
    at=NOW,
    identity=WHO,
    state=StateName.REBOOTING,
    verdict=Verdict.REBOOT,
    strategies=("immediate",),
    source=SOURCE,
    booted=BOOTED,
    pending=UPDATE,
    pending_since=ago(seconds=9),
    behind_since=ago(seconds=9),
    blockers=(
        ShownBlocker(Reason.REBOOTING, "logind was asked to reboot", NOW, ahead(minutes=10)),
    ),
    gates=gates(),
    predicted=NOW,
)

OVERDUE: Final = Status(
    at=NOW,
    state=StateName.WAITING,
    verdict=Verdict.WAIT,
    strategies=("periodic",),
    source=SOURCE,
    booted=BOOTED,
    pending=UPDATE,
    pending_since=ago(days=2),
    behind_since=ago(days=16),
    deadlines=(
        ShownDeadline(1, ago(days=9), ("sessions",), is_due=True),
        ShownDeadline(2, ago(days=2), ("fit", "windows"), is_due=True),
        ShownDeadline(3, ahead(days=5), ("splay",), is_due=False),
    ),
    waived=("fit", "sessions", "windows"),
    blockers=(
        ShownBlocker(Reason.INHIBITED, "backup (pid 7, uid 0): nightly", ago(hours=3), None),
    ),
    gates=gates(Reason.INHIBITED),
)

STARTING: Final = Status(
    at=NOW,
    state=StateName.STARTING,
    verdict=Verdict.IDLE,
    strategies=("immediate",),
    source=SOURCE,
    blockers=(ShownBlocker(Reason.STARTING, "looking at the host for the first time", NOW, None),),
)

ALL: Final = {
    "idle": IDLE,
    "waiting": WAITING,
    "stuck": STUCK,
    "overdue": OVERDUE,
    "rebooting": REBOOTING,
    "starting": STARTING,
}

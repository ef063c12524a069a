"""The way forward: from clear gates over checks, fleet and hooks to the commit."""

from dataclasses import replace

from rebootmgr.core.backoff import Retry, jitter
from rebootmgr.core.durations import waited
from rebootmgr.core.events import (
    HooksAnswer,
    HooksFailed,
    HooksPassed,
    HooksUnclear,
    LockAnswer,
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnasked,
    LockUnclear,
)
from rebootmgr.core.facts import Deployments, Look
from rebootmgr.core.memory import Intent
from rebootmgr.core.model import Blocker, Deployment, Phase, Reason
from rebootmgr.core.postboot import settle_boot
from rebootmgr.core.states import (
    Asking,
    Checking,
    Committing,
    Idle,
    PostBoot,
    Preparing,
    Rebooting,
    Setback,
    Starting,
    Undoing,
    Waiting,
)
from rebootmgr.core.turn import Turn


def begin(turn: Turn, target: Deployment, *, queued: bool) -> None:
    """Every local gate is clear: run the checks, unless they passed a moment ago."""
    passed = turn.state.passed_checks_at
    if passed is not None and turn.at.mono - passed < turn.policy.patience.check_s:
        _after_checks(turn, target)
    elif turn.has_hooks(Phase.CHECK):
        turn.become(Checking(target, turn.run_hooks(Phase.CHECK, target), queued))
    else:
        _after_checks(turn, target)


def _after_checks(turn: Turn, target: Deployment) -> None:
    if turn.policy.dry_run:
        turn.set_back(Reason.DRY_RUN, f"would reboot into {target.version} now")
        turn.rest()
    elif turn.policy.slot is not None:
        turn.become(Asking(target, None))
    else:
        _prepare(turn, target, just_checked=turn.state.passed_checks_at == turn.at.mono)


def _prepare(turn: Turn, target: Deployment, *, just_checked: bool) -> None:
    if turn.has_hooks(Phase.PRE_REBOOT):
        turn.remember(replace(turn.state.memory, drained=True))
        ticket = turn.run_hooks(Phase.PRE_REBOOT, target)
        turn.become(Preparing(target, ticket, Phase.PRE_REBOOT, turn.at.mono))
    else:
        _check_again(turn, target, just_checked=just_checked)


def _check_again(turn: Turn, target: Deployment, *, just_checked: bool) -> None:
    if turn.has_hooks(Phase.CHECK) and not just_checked:
        ticket = turn.run_hooks(Phase.CHECK, target)
        since = turn.attempt.since if isinstance(turn.attempt, Preparing) else turn.at.mono
        turn.become(Preparing(target, ticket, Phase.CHECK, since))
    else:
        commit(turn, target)


def commit(turn: Turn, target: Deployment) -> None:
    """Put the intent on record, then look at everything for the last time."""
    known = turn.known
    if known is None or not isinstance(known.os, Deployments):
        turn.abandon()
        return
    now, attempt = turn.at.mono, turn.attempt
    granted = attempt.since if isinstance(attempt, Preparing) else now
    lock_s = granted - (granted if turn.state.queued_since is None else turn.state.queued_since)
    intent = Intent(
        target=target.id,
        key=target.key,
        version=target.version,
        booted=known.os.booted.id,
        boot=known.boot,
        at=turn.at.wall,
        mono=turn.at.mono,
        waiting_s=waited(known.os.staged_at, turn.at, but_for=lock_s + now - granted),
        lock_s=lock_s,
        hooks_s=now - granted,
    )
    turn.remember(replace(turn.state.memory, intent=intent))
    turn.become(Committing(target))
    look_at_everything(turn)


def look_at_everything(turn: Turn) -> None:
    """The look that may be answered by a reboot.

    The clock is no part of it: it has been asked before, or its gate would be closed.
    """
    turn.look(Look.HOST)


def after_hooks(turn: Turn, event: HooksAnswer) -> None:
    """Hooks ended; an answer that nobody waits for any longer changes nothing."""
    match turn.attempt:
        case PostBoot(ticket) if ticket == event.ticket:
            _after_post_boot(turn, event)
        case Checking(target, ticket) if ticket == event.ticket:
            _after_check(turn, target, event)
        case Preparing(target, ticket, phase) if ticket == event.ticket:
            _after_preparing(turn, target, phase, event)
        case Undoing(ticket) if ticket == event.ticket:
            _after_undoing(turn, event)
        case PostBoot() | Checking() | Preparing() | Undoing():
            pass
        case Starting() | Idle() | Waiting() | Asking() | Committing() | Rebooting():
            pass


def _after_post_boot(turn: Turn, event: HooksAnswer) -> None:
    match event:
        case HooksUnclear(_, why):  # which says nothing of the update
            turn.set_back(Reason.HOOK_FAILED, why)
            turn.become(PostBoot(None))
        case HooksPassed() | HooksFailed():
            turn.state = replace(turn.state, setback=None)
            settle_boot(turn, failed=event if isinstance(event, HooksFailed) else None)


def _after_undoing(turn: Turn, event: HooksAnswer) -> None:
    match event:
        case HooksPassed() | HooksFailed():
            turn.remember(replace(turn.state.memory, drained=False))
            turn.rest()
        case HooksUnclear(_, why):
            turn.set_back(Reason.HOOK_FAILED, why)
            turn.become(Undoing(None))


def _after_check(turn: Turn, target: Deployment, event: HooksAnswer) -> None:
    match event:
        case HooksPassed():
            turn.state = replace(turn.state, passed_checks_at=turn.at.mono)
            _after_checks(turn, target)
        case HooksFailed(_, hook, line):
            turn.set_back(Reason.CHECK_FAILED, f"{hook}: {line}")
            turn.rest()
        case HooksUnclear(_, why):
            turn.set_back(Reason.CHECK_FAILED, why)
            turn.rest()


def _after_preparing(turn: Turn, target: Deployment, phase: Phase, event: HooksAnswer) -> None:
    match event:
        case HooksPassed() if phase is Phase.PRE_REBOOT:
            _check_again(turn, target, just_checked=False)
        case HooksPassed():
            commit(turn, target)
        case HooksFailed(_, hook, line):
            _give_up(turn, phase, f"{hook}: {line}")
        case HooksUnclear(_, why):
            _give_up(turn, phase, why)


def _give_up(turn: Turn, phase: Phase, detail: str) -> None:
    turn.set_back(Reason.CHECK_FAILED if phase is Phase.CHECK else Reason.HOOK_FAILED, detail)
    turn.state = replace(turn.state, passed_checks_at=None)
    turn.abandon()


def after_lock(turn: Turn, asking: Asking, event: LockAnswer) -> None:
    """The lock server's word on this very question."""
    match event:
        case LockGranted():
            turn.state = replace(turn.state, setback=None)
            _prepare(turn, asking.target, just_checked=False)
            return
        case LockReserved(ticket, _, detail):
            shortest, longest = turn.policy.patience.reserved_s
            wait = shortest + jitter(turn.policy.seed, ticket) * (longest - shortest)
            retry = Retry(0, turn.at.mono + wait)
            setback = Setback(Blocker(Reason.LOCK_DRAINING, detail), retry)
            turn.state = replace(turn.state, setback=setback)
        case LockRefused(detail=detail, retry_after_s=wish):
            turn.set_back(Reason.LOCK_REFUSED, detail, at_least=wish)
        case LockUnclear(detail=detail, answered=answered, retry_after_s=wish):
            reason = Reason.LOCK_REFUSED if answered else Reason.LOCK_UNREACHABLE
            turn.set_back(reason, detail, at_least=wish)
        case LockUnasked():
            turn.set_back(Reason.LOCK_PENDING, "the question could not be put on record")
    turn.become(Waiting(asking.target, queued=True))

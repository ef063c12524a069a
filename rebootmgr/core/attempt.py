"""The attempt, state by state, in the order of docs/design.md.

`advance` goes as far as what is known allows; `after_hooks` and `after_lock` take the answers that
a state waits for. How a boot is judged is in outcome.py, what people are told in people.py.
"""

from dataclasses import replace

from rebootmgr.core import clock, deadlines, people
from rebootmgr.core.backoff import Retry, Wish, jitter
from rebootmgr.core.effects import Reboot
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
from rebootmgr.core.gates import unannounced
from rebootmgr.core.memory import Intent
from rebootmgr.core.model import Blocker, Deployment, Phase, Reason
from rebootmgr.core.outcome import after_post_boot, look_after_boot, start_up, waited
from rebootmgr.core.states import (
    ATTEMPT,
    Asking,
    Cause,
    Checking,
    Committing,
    Idle,
    PostBoot,
    Preparing,
    Queued,
    Rebooting,
    Setback,
    Starting,
    Undoing,
    Waiting,
)
from rebootmgr.core.turn import Turn


def advance(turn: Turn) -> None:
    """Move the attempt until it has to wait for something."""
    _look_again_if_due(turn)
    _drop_what_ended(turn)
    while True:
        before = turn.attempt
        _move(turn)
        if turn.attempt == before:
            return


def _move(turn: Turn) -> None:
    match turn.attempt:
        case Starting():
            start_up(turn)
        case PostBoot(None):
            if _is_due(turn, Cause.POST_BOOT):
                look_after_boot(turn)
        case Idle() | Waiting():
            _consider(turn, Waiting)
        case Queued():
            _consider(turn, Queued)
        case Checking(target=target) | Preparing(target=target):
            _go_on_or_abandon(turn, target)
        case Asking(target, ticket):
            _ask(turn, target, asked=ticket is not None)
        case Committing() as committing:
            _commit(turn, committing)
        case Rebooting() as rebooting:
            _await_shutdown(turn, rebooting)
        case Undoing(None):
            if _is_due(turn, Cause.UNDOING) and not turn.state.stopping:
                turn.undo()
        case PostBoot() | Undoing():
            pass  # hooks are running


def after_hooks(turn: Turn, event: HooksAnswer) -> None:
    """Hooks ended; an answer that nobody waits for any longer changes nothing."""
    match turn.attempt:
        case PostBoot(ticket) if ticket == event.ticket:
            after_post_boot(turn, event)
        case Checking(place, ticket) if ticket == event.ticket:
            _after_checking(turn, place.target, event)
        case Preparing(target, ticket, phase) if ticket == event.ticket:
            _after_preparing(turn, target, phase, event)
        case Undoing(ticket) if ticket == event.ticket:
            _after_undoing(turn, event)
        case PostBoot() | Checking() | Preparing() | Undoing():
            pass
        case Starting() | Idle() | Waiting() | Queued() | Asking() | Committing() | Rebooting():
            pass


def _is_due(turn: Turn, *causes: Cause) -> bool:
    return turn.at.mono >= turn.state.due_at(*causes)


def _look_again_if_due(turn: Turn) -> None:
    again = turn.state.look_again
    if again is not None and turn.state.looking is None and again.is_due(turn.at.mono):
        turn.state = replace(turn.state, look_next=turn.state.look_next | _due_look(turn))


def _due_look(turn: Turn) -> Look:
    if turn.known.os_unknown:
        return Look.OS
    return Look.LOGIND if turn.known.logind_unknown else Look.SYSROOT


def _drop_what_ended(turn: Turn) -> None:
    """Forget holds and requests that are over, but not between the last look and the call."""
    memory, at = turn.state.memory, turn.at
    if turn.known.is_nothing or isinstance(turn.attempt, Committing):
        return
    holds = tuple(
        hold for hold in memory.holds if not clock.has_ended(hold, turn.state, turn.policy, at)
    )
    ask = None if memory.ask is not None and memory.ask.ends <= at.mono else memory.ask
    if (holds, ask) != (memory.holds, memory.ask):
        turn.remember(replace(memory, holds=holds, ask=ask))


# `Idle`, `Waiting` and `Queued`. A target and no closed gate begin an attempt.


def _consider(turn: Turn, place: type[Waiting | Queued]) -> None:
    target = turn.target
    if target is None:
        turn.rest()
        return
    turn.become(place(target))
    turn.note_backlog()  # deadlines go by how old it is
    _forget_waived_checks(turn)
    _show(turn, people.announce(turn.state, turn.policy, turn.at, target))
    _show(turn, people.give_grace(turn.state, turn.policy, turn.at, target, turn.blockers()))
    if blockers := turn.blockers():
        turn.become(Waiting(target))
        _ask_again(turn, blockers)
    elif not turn.state.stopping and turn.state.readable and _is_due(turn, *ATTEMPT):
        _begin(turn, place(target))


def _forget_waived_checks(turn: Turn) -> None:
    """What failed only by a program that counts no more, is tried again at once."""
    names = deadlines.waived_checks(turn.state, turn.policy, turn.at)
    for one in turn.state.setbacks:
        if one.hook in names:
            turn.succeed(one.cause)


def _show(turn: Turn, courtesy: people.Courtesy) -> None:
    turn.effects.extend(courtesy.warnings)
    if courtesy.state != turn.state:
        turn.state = courtesy.state


def _ask_again(turn: Turn, blockers: tuple[Blocker, ...]) -> None:
    """What nobody tells is asked for while nothing else is in the way, and once a minute."""
    again = turn.state.ask_again
    look = unannounced(turn.state, turn.policy, turn.at, blockers)
    if not look or (again is not None and turn.at.mono < again):
        return
    again = turn.at.mono + clock.ASK_EVERY_S
    turn.state = replace(turn.state, ask_again=again, look_next=turn.state.look_next | look)


def _begin(turn: Turn, place: Waiting | Queued) -> None:
    """Every local gate is open: run the checks, unless they passed a moment ago."""
    target, passed = place.target, turn.state.passed_checks_at
    if passed is not None and turn.at.mono - passed < turn.policy.patience.check_s:
        _after_checks(turn, target, just_checked=False)
    elif turn.has_hooks(Phase.CHECK):
        turn.become(Checking(place, turn.run_hooks(Phase.CHECK, target)))
    else:
        _after_checks(turn, target, just_checked=True)


# `Checking`. The hooks of checks.d are running.


def _go_on_or_abandon(turn: Turn, target: Deployment) -> None:
    """Hooks are running for `target`: go on only while nothing is in the way of it."""
    if turn.target != target or turn.blockers():
        _abandon(turn)


def _abandon(turn: Turn) -> None:
    """Call it off; where nothing but the target changed, our place in the queue is kept."""
    turn.abandon(queued=turn.target is not None and not turn.blockers())


def _after_checking(turn: Turn, target: Deployment, event: HooksAnswer) -> None:
    match event:
        case HooksPassed():
            turn.succeed(Cause.CHECKS)
            turn.state = replace(turn.state, passed_checks_at=turn.at.mono)
            _after_checks(turn, target, just_checked=True)
        case HooksFailed(_, hook, line):
            turn.set_back(Cause.CHECKS, Reason.CHECK_FAILED, f"{hook}: {line}", hook=hook)
            turn.rest()
        case HooksUnclear(_, why):
            turn.set_back(Cause.CHECKS, Reason.CHECK_FAILED, why)
            turn.rest()


def _after_checks(turn: Turn, target: Deployment, *, just_checked: bool) -> None:
    if turn.policy.dry_run:
        detail = f"would reboot into {target.version} now"
        turn.set_back(Cause.CALL, Reason.DRY_RUN, detail)
        turn.rest()
    elif turn.policy.slot is not None:
        turn.become(Asking(target, None))
    else:
        _prepare(turn, target, just_checked=just_checked)


# `Asking`. The lock server has the word.


def _ask(turn: Turn, target: Deployment, *, asked: bool) -> None:
    """The fleet is being asked: a newer update takes over the place in the queue."""
    if turn.target is None or turn.blockers():
        turn.abandon()
        return
    if turn.target != target and isinstance(turn.attempt, Asking):
        turn.become(Asking(turn.target, turn.attempt.ticket))
    if not asked:
        turn.ask_fleet(turn.target)


def after_lock(turn: Turn, asking: Asking, event: LockAnswer) -> None:
    """The lock server's word on this very question."""
    match event:
        case LockGranted():
            turn.succeed(Cause.LOCK)
            _prepare(turn, asking.target, just_checked=False)
            return
        case LockReserved(ticket, _, detail):
            shortest, longest = turn.policy.patience.reserved_s
            wait = shortest + jitter(turn.policy.seed, ticket) * (longest - shortest)
            blocker, retry = Blocker(Reason.LOCK_DRAINING, detail), Retry(1, turn.at.mono + wait)
            turn.put_off(Setback(Cause.LOCK, blocker, retry))
        case LockRefused(_, _, detail, wish_s, appointed):
            turn.set_back(Cause.LOCK, Reason.LOCK_REFUSED, detail, Wish(wish_s, appointed))
        case LockUnclear(detail=detail, retry_after_s=wish_s, appointed=appointed):
            turn.set_back(Cause.LOCK, _unclear(event), detail, Wish(wish_s, appointed))
        case LockUnasked():
            detail = "the question could not be put on record"
            turn.set_back(Cause.LOCK, Reason.LOCK_PENDING, detail)
    turn.become(Queued(asking.target))


def _unclear(answer: LockUnclear) -> Reason:
    if answer.refused:
        return Reason.LOCK_REFUSED
    return Reason.LOCK_FAILING if answer.answered else Reason.LOCK_UNREACHABLE


# `Preparing`. The hooks of pre-reboot.d are running, or those of checks.d once more.


def _prepare(turn: Turn, target: Deployment, *, just_checked: bool) -> None:
    if turn.target != target or turn.blockers():  # in time when we asked, perhaps no more
        _abandon(turn)
    elif turn.has_hooks(Phase.PRE_REBOOT):
        turn.remember(replace(turn.state.memory, drained=True))
        ticket = turn.run_hooks(Phase.PRE_REBOOT, target)
        turn.become(Preparing(target, ticket, Phase.PRE_REBOOT, turn.at.mono))
    elif turn.has_hooks(Phase.CHECK) and not just_checked:
        _check_again(turn, target, since=turn.at.mono)
    else:
        _put_on_record(turn, target, since=turn.at.mono)


def _check_again(turn: Turn, target: Deployment, *, since: float) -> None:
    if turn.target != target or turn.blockers():
        _abandon(turn)
        return
    ticket = turn.run_hooks(Phase.CHECK, target)
    turn.become(Preparing(target, ticket, Phase.CHECK, since))


def _after_preparing(turn: Turn, target: Deployment, phase: Phase, event: HooksAnswer) -> None:
    since = turn.attempt.since if isinstance(turn.attempt, Preparing) else turn.at.mono
    match event:
        case HooksPassed() if phase is Phase.PRE_REBOOT and turn.has_hooks(Phase.CHECK):
            _check_again(turn, target, since=since)
        case HooksPassed():
            turn.succeed(Cause.PREPARATION)
            _put_on_record(turn, target, since=since)
        case HooksFailed(_, hook, line):
            _give_up(turn, phase, f"{hook}: {line}", hook=hook)
        case HooksUnclear(_, why):
            _give_up(turn, phase, why)


def _give_up(turn: Turn, phase: Phase, detail: str, *, hook: str = "") -> None:
    is_check = phase is Phase.CHECK
    reason = Reason.CHECK_FAILED if is_check else Reason.HOOK_FAILED
    turn.set_back(Cause.PREPARATION, reason, detail, hook=hook if is_check else "")
    turn.state = replace(turn.state, passed_checks_at=None)
    turn.abandon()


# `Committing`. The intent is on record, and everything is read for the last time.


def _put_on_record(turn: Turn, target: Deployment, *, since: float) -> None:
    """Write down the intent, then look; `since` is when the preparation began."""
    os = turn.known.os
    if not isinstance(os, Deployments):
        turn.abandon()
        return
    now = turn.at.mono
    lock_s = since - (since if turn.state.queued_since is None else turn.state.queued_since)
    intent = Intent(
        target=target.id,
        key=target.key,
        version=target.version,
        booted=os.booted.id,
        boot=turn.known.boot,
        at=turn.at.wall,
        mono=turn.at.mono,
        waiting_s=waited(os.staged_at, turn.at, but_for=lock_s + now - since),
        lock_s=lock_s,
        hooks_s=now - since,
        on_disk=tuple(one for one in os.on_disk if one != target.id),
    )
    turn.remember(replace(turn.state.memory, intent=intent))
    turn.become(Committing(target, now + turn.policy.patience.last_look_s))
    _look_at_everything(turn)


def _look_at_everything(turn: Turn) -> None:
    """The look that may be answered by a reboot.

    The clock is no part of it: it has been asked before, or its gate would be closed.
    """
    turn.look(Look.HOST)


def _commit(turn: Turn, committing: Committing) -> None:
    target, warned_until, patience = (
        committing.target,
        committing.warned_until,
        turn.policy.patience,
    )
    if turn.target != target or turn.blockers():
        _abandon(turn)
        return
    if warned_until is not None and turn.at.mono < warned_until and people.sessions_of(turn.state):
        told = people.tell_latecomers(turn.state, turn.policy, turn.at, target, warned_until)
        _show(turn, told)
        return
    turn.note_backlog()
    if not turn.fresh or turn.state.memory != turn.before.memory:
        _look_once_more(turn, committing)
        return
    turn.succeed(Cause.LAST_LOOK)
    if _missed_hooks(turn):
        turn.abandon(queued=True)
    elif turn.at.mono >= committing.until:  # by the record the reboot would be that much older
        _give_up_looking(turn, "the last look took more than a minute, as when a host is suspended")
    elif people.latecomers(turn.state, turn.policy, turn.at, again=warned_until is not None):
        _show(turn, people.give_last_minute(turn.state, turn.policy, turn.at, target))
        until = turn.at.mono + patience.final_warning_s
        turn.become(Committing(target, until + patience.last_look_s, until))
    else:
        turn.become(Rebooting(target.id, turn.at.mono + patience.shutdown_s))
        turn.effects.append(Reboot(target, overrides=_is_inhibited(turn)))


def _look_once_more(turn: Turn, committing: Committing) -> None:
    """The host changed since the last look began, or there is something to put on record first."""
    if Look.HOST in turn.heard and turn.at.mono >= committing.until:
        _give_up_looking(turn, "the host changed during every last look, for a minute")
    elif turn.state.looking is None:
        _look_at_everything(turn)


def _give_up_looking(turn: Turn, detail: str) -> None:
    turn.set_back(Cause.LAST_LOOK, Reason.STATE_UNKNOWN, detail)
    turn.abandon()


def _missed_hooks(turn: Turn) -> bool:
    """Whether somebody installed hooks after this attempt had passed the place to run them."""
    undrained = turn.has_hooks(Phase.PRE_REBOOT) and not turn.state.memory.drained
    unchecked = turn.has_hooks(Phase.CHECK) and turn.state.passed_checks_at is None
    return undrained or unchecked


def _is_inhibited(turn: Turn) -> bool:
    """Whether inhibitors are held: no gate is closed, so by the configuration none counts."""
    return turn.known.logind is not None and bool(turn.known.logind.inhibitors)


# `Rebooting`. logind was asked.


def _await_shutdown(turn: Turn, rebooting: Rebooting) -> None:
    """While logind says that it prepares a shutdown, however long, nothing times out."""
    known, now = turn.known, turn.at.mono
    if known.logind is not None and known.logind.preparing and not known.logind_unknown:
        turn.become(Rebooting(rebooting.target, None))
        return
    until = rebooting.until
    if until is None:
        until = now + turn.policy.patience.shutdown_s
        turn.become(Rebooting(rebooting.target, until))
    if turn.state.stopping:
        return
    if not rebooting.unclear:
        if now >= until:
            detail = "logind accepted the reboot, but no shutdown came within 10 minutes"
            turn.become(Rebooting(rebooting.target, until, detail))
            turn.look_afresh(Look.LOGIND)
    elif Look.LOGIND in turn.heard and (now >= until or not known.logind_unknown):
        turn.set_back(Cause.CALL, Reason.LOGIND_UNREACHABLE, rebooting.unclear)
        turn.abandon()


# `Undoing`. What pre-reboot.d did is taken back before the slot may go.


def _after_undoing(turn: Turn, event: HooksAnswer) -> None:
    match event:
        case HooksPassed() | HooksFailed():
            turn.succeed(Cause.UNDOING)
            turn.remember(replace(turn.state.memory, drained=False))
            turn.rest()
        case HooksUnclear(_, why):
            turn.set_back(Cause.UNDOING, Reason.HOOK_FAILED, why)
            turn.become(Undoing(None))

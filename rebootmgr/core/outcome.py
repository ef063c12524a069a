"""From the first look to a settled boot (SPEC 9): what was asked for, and what came of it.

First the way there, a function for each step; then the judgement, which is a function of what is
remembered and known.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from rebootmgr.core import backlog, slots
from rebootmgr.core.events import HooksAnswer, HooksFailed, HooksPassed, HooksUnclear
from rebootmgr.core.facts import BootTimes, Deployments
from rebootmgr.core.memory import Durations, Intent, Memory, PastReboot, Quarantine
from rebootmgr.core.model import Moment, Outcome, Phase, Reason, UpdateKey
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import Cause, Known, PostBoot, Rebooting
from rebootmgr.core.turn import Turn

LONGEST_REBOOT_S: Final = 86400.0
LONGEST_WAIT_S: Final = 400 * 86400.0


def waited(staged_at: datetime | None, at: Moment, *, but_for: float) -> float:
    """Since the update was staged, but for the time that has another name; 0.0 if nobody knows."""
    if staged_at is None:
        return 0.0
    seconds = (at.wall - staged_at).total_seconds()
    return max(seconds - but_for, 0.0) if seconds < LONGEST_WAIT_S else 0.0


def whole(intent: Intent, times: BootTimes | None, at: Moment) -> float:
    """From pre-reboot.d to boot-complete, seen from this boot; 0.0 where no clock can tell."""
    took = (_kernel(at) + _complete(times, at) - intent.at).total_seconds()
    return intent.hooks_s + took if 0.0 < took < LONGEST_REBOOT_S else 0.0


def by_phase(intent: Intent, times: BootTimes | None, at: Moment) -> Durations:
    """Tell the phases of a reboot apart. 0.0: there was none, or it cannot be told.

    Without a new kernel, as in a soft reboot or a container, shutdown lasts until the new
    userspace starts, and nothing is left for firmware and kernel.
    """
    before = Durations(waiting_s=intent.waiting_s, lock_s=intent.lock_s, hooks_s=intent.hooks_s)
    if times is None or whole(intent, times, at) == 0.0:
        return before
    down, kernel = intent.down_at or intent.at, _kernel(at)
    userspace = kernel + timedelta(seconds=times.userspace_s)
    complete = kernel + _complete(times, at)
    off = userspace if kernel <= down else max(kernel - timedelta(seconds=times.firmware_s), down)
    marks = (down, off, userspace, complete)
    if list(marks) != sorted(marks):
        return before
    shutdown, boot, to_complete = ((end - begin).total_seconds() for begin, end in pairwise(marks))
    return Durations(
        waiting_s=before.waiting_s,
        lock_s=before.lock_s,
        hooks_s=before.hooks_s,
        shutdown_s=shutdown,
        boot_s=boot,
        boot_complete_s=to_complete,
    )


def _kernel(at: Moment) -> datetime:
    return at.wall - timedelta(seconds=at.mono)


def _complete(times: BootTimes | None, at: Moment) -> timedelta:
    """When the boot was complete, by the uptime: just now, where systemd does not tell."""
    return timedelta(seconds=(times.complete_s if times else 0.0) or at.mono)


REMEMBERED: Final = 50


def start_up(turn: Turn) -> None:
    """Tell a new boot from a mere restart of the daemon, once the host is known."""
    known, memory = turn.known, turn.state.memory
    intent = memory.intent
    if known.os is None:
        return
    if not turn.state.readable:
        turn.rest()
    elif intent is not None and intent.boot == known.boot:
        _resume(turn)
    elif memory.settled == known.boot:
        turn.abandon()
    else:
        booted = known.os.booted.id if isinstance(known.os, Deployments) else None
        if intent is not None and booted == intent.target:
            turn.remember(replace(memory, intent=replace(intent, seen_booted=True)))
        turn.become(PostBoot(None))


def _resume(turn: Turn) -> None:
    """We ended between intent and shutdown: logind knows whether the machine is going down."""
    intent, known = turn.state.memory.intent, turn.known
    if intent is None or known.logind is None:
        return
    if turn.state.looking is not None or turn.state.look_next:
        return  # it may have been called off since that look
    if known.logind.preparing:
        turn.become(Rebooting(intent.target, None))
    else:
        turn.abandon()


def note_withdrawal(turn: Turn) -> None:
    """The update went, or another came, while the machine goes down: it is not to blame then."""
    intent, os = turn.state.memory.intent, turn.known.os
    if not isinstance(turn.attempt, Rebooting) or intent is None:
        return
    if isinstance(os, Deployments) and not turn.known.os_unknown:
        withdrawn = intent.target not in {os.default.id, *os.on_disk}
        turn.remember(replace(turn.state.memory, intent=replace(intent, withdrawn=withdrawn)))


def look_after_boot(turn: Turn) -> None:
    """Run post-boot.d once boot-complete.target is reached."""
    if turn.known.boot_incomplete or turn.known.os_unknown or turn.state.stopping:
        return
    if turn.has_hooks(Phase.POST_BOOT) and not turn.policy.dry_run:
        turn.become(PostBoot(turn.run_hooks(Phase.POST_BOOT, None)))
    else:
        settle(turn, failed=None)


def settle(turn: Turn, *, failed: HooksFailed | None) -> None:
    """Judge this boot for good; give the slot back, or keep it where the update failed."""
    memory = turn.state.memory
    judgement = judge(memory, turn.known, failed=failed, policy=turn.policy, at=turn.at)
    turn.remember(judgement.memory)
    turn.succeed(Cause.POST_BOOT)
    ledger = slots.asked_for(turn.state.ledger)
    if judgement.outcome is not None and not turn.policy.dry_run:
        turn.effects.extend(slots.tell_outcome(ledger, judgement.memory.reboots[-1]))
    if judgement.keeps_slot:
        ledger = slots.keep(ledger)
    elif judgement.outcome is Outcome.SUCCEEDED:
        ledger = slots.keep_none(ledger)
    turn.set_ledger(ledger)
    turn.rest()


def after_post_boot(turn: Turn, event: HooksAnswer) -> None:
    """Take what post-boot.d said of this boot; no word says nothing of the update."""
    match event:
        case HooksUnclear(_, why):
            turn.set_back(Cause.POST_BOOT, Reason.HOOK_FAILED, why)
            turn.become(PostBoot(None))
        case HooksPassed():
            settle(turn, failed=None)
        case HooksFailed():
            settle(turn, failed=event)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome (None: nobody asked for this boot), what to remember, whether to keep slots."""

    outcome: Outcome | None
    memory: Memory
    keeps_slot: bool


def outcome(intent: Intent, os: Deployments, *, healthy: bool) -> Outcome:
    """Compare what booted with what was asked for.

    Ids come first, since a change of kernel arguments deploys the same update again; by its key
    an update is known only where it was not on disk before, which a boot menu could have chosen.
    """
    if os.booted.id == intent.booted:
        finalized = intent.target in os.on_disk and not (
            os.staged and os.default.id == intent.target  # staged anew since
        )
        if finalized or intent.seen_booted:
            return Outcome.ROLLED_BACK
        if intent.withdrawn:
            return Outcome.SUPERSEDED
        return Outcome.NOT_APPLIED if intent.shutdown_seen else Outcome.INTERRUPTED
    same = os.booted.key == intent.key and os.booted.id not in intent.on_disk
    if intent.target == os.booted.id or same:
        return Outcome.SUCCEEDED if healthy else Outcome.ROLLED_BACK
    return Outcome.SUPERSEDED


def judge(
    memory: Memory, known: Known, *, failed: HooksFailed | None, policy: Policy, at: Moment
) -> Judgement:
    """Settle this boot: count, quarantine, keep or free. `failed` is what post-boot.d found."""
    healthy = failed is None
    settled = replace(
        memory,
        settled=known.boot,
        intent=None,
        drained=False,
        ask=None,
        confirmed=(),
        complaint=_complaint(failed) if memory.intent is None else "",
    )
    if not isinstance(known.os, Deployments):
        return Judgement(None, settled, keeps_slot=False)
    os, settled = known.os, replace(settled, booted=known.os.booted)
    if memory.intent is None:
        if healthy:
            settled = _up_and_well(settled, os)
        return Judgement(None, _unasked(settled, memory, os, at), keeps_slot=False)
    intent = memory.intent
    result = outcome(intent, os, healthy=healthy)
    past = _past(intent, result, known, at)
    if result is not Outcome.NOT_APPLIED:
        past = replace(past, cause=_cause(intent, os, failed))
    remembered = max(REMEMBERED, policy.reboots_per_day)  # or the budget would never be spent
    counted = replace(
        settled,
        reboots=(*memory.reboots, past)[-remembered:],
        reboots_total=memory.reboots_total + 1,
        outcomes=_plus_one(memory.outcomes, result),
    )
    match result:
        case Outcome.SUCCEEDED:
            left = backlog.after_boot(memory.backlog, os.booted.key, asked=True)
            absolved = replace(absolve(counted, intent.key), backlog=left)
            return Judgement(result, absolved, keeps_slot=False)
        case Outcome.ROLLED_BACK | Outcome.NOT_APPLIED:
            marked = _fail(counted, intent, result, policy, at)
            bad = result is Outcome.ROLLED_BACK or is_quarantined(marked, intent.key)
            return Judgement(result, marked, keeps_slot=bad and policy.keep_slot_on_failed_update)
        case Outcome.SUPERSEDED | Outcome.INTERRUPTED:
            return Judgement(result, counted, keeps_slot=False)


def is_quarantined(memory: Memory, key: UpdateKey) -> bool:
    """Whether this update is not to be tried again."""
    return any(one.key == key for one in memory.quarantine)


def absolve(memory: Memory, *keys: UpdateKey) -> Memory:
    """Forget what was held against these updates."""
    return replace(
        memory,
        attempts=tuple(one for one in memory.attempts if one[0] not in keys),
        quarantine=tuple(one for one in memory.quarantine if one.key not in keys),
    )


def _up_and_well(memory: Memory, os: Deployments) -> Memory:
    """Forgive what came up without our asking; a change on a base is known by its id alone."""
    change, left = memory.staged_change, memory.backlog
    keys = [os.booted.key]
    if change is not None and change.id == os.booted.id:
        keys.append(change.key)
    for key in keys:
        left = backlog.after_boot(left, key, asked=False)
    return replace(absolve(memory, *keys), backlog=left)


def _unasked(settled: Memory, before: Memory, os: Deployments, at: Moment) -> Memory:
    last = before.booted
    if last is None or last.key == os.booted.key or is_quarantined(settled, last.key):
        return settled
    if not 0 < os.booted.timestamp < last.timestamp:
        return settled
    why = f"{last.version} was rolled back outside rebootmgr"
    mark = Quarantine(key=last.key, why=why, since=at.wall)
    return replace(settled, quarantine=(*settled.quarantine, mark))


def _fail(memory: Memory, intent: Intent, result: Outcome, policy: Policy, at: Moment) -> Memory:
    tried = dict(memory.attempts).get(intent.key, 0) + 1
    attempts = (*((key, n) for key, n in memory.attempts if key != intent.key), (intent.key, tried))
    failed = replace(memory, attempts=attempts)
    if tried < policy.attempts_per_deployment or is_quarantined(memory, intent.key):
        return failed
    why = f"{intent.version} failed {tried} times ({result}); rebootmgrctl forgive lifts this"
    mark = Quarantine(key=intent.key, why=why, since=at.wall)
    return replace(failed, quarantine=(*failed.quarantine, mark))


def _past(intent: Intent, result: Outcome, known: Known, at: Moment) -> PastReboot:
    """Where it failed, boots that nobody saw may lie between: then only the whole is told."""
    times = known.boot_times
    told = times if result is Outcome.SUCCEEDED else None
    return PastReboot(
        at=intent.at,
        target=intent.target,
        version=intent.version,
        outcome=result,
        seconds=whole(intent, times, at),
        phases=by_phase(intent, told, at),
        cause=known.not_finalized if result is Outcome.NOT_APPLIED else "",
    )


def _cause(intent: Intent, os: Deployments, failed: HooksFailed | None) -> str:
    """Say which hook found the update no good, and why; of another boot it says nothing."""
    is_ours = outcome(intent, os, healthy=True) is Outcome.SUCCEEDED
    return _complaint(failed) if is_ours else ""


def _complaint(failed: HooksFailed | None) -> str:
    return "" if failed is None else ": ".join(filter(None, (failed.hook, failed.line)))


def _plus_one(
    counts: tuple[tuple[Outcome, int], ...], result: Outcome
) -> tuple[tuple[Outcome, int], ...]:
    grown = {**dict(counts), result: dict(counts).get(result, 0) + 1}
    return tuple(sorted(grown.items()))

"""What became of the boot that we asked for, and what follows from it (SPEC 9)."""

from dataclasses import dataclass, replace
from typing import Final

from rebootmgr.core import durations
from rebootmgr.core.facts import BootTimes, Deployments
from rebootmgr.core.memory import Intent, Memory, PastReboot, Quarantine
from rebootmgr.core.model import Moment, Outcome, UpdateKey
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import Known

REMEMBERED: Final = 50


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome (None: nobody asked for this boot), what to remember, whether to keep slots."""

    outcome: Outcome | None
    memory: Memory
    keeps_slot: bool


def outcome(intent: Intent, os: Deployments, *, healthy: bool) -> Outcome:
    """Compare what booted with what was asked for.

    Ids come first, since a change of kernel arguments deploys the same update again.
    """
    if os.booted.id == intent.booted:
        finalized = intent.target in os.on_disk and not (
            os.staged and os.default.id == intent.target  # staged anew since
        )
        if finalized or intent.seen_booted:
            return Outcome.ROLLED_BACK
        return Outcome.NOT_APPLIED if intent.shutdown_seen else Outcome.INTERRUPTED
    if intent.target == os.booted.id or os.booted.key == intent.key:
        return Outcome.SUCCEEDED if healthy else Outcome.ROLLED_BACK
    return Outcome.SUPERSEDED


def judge(memory: Memory, known: Known, *, healthy: bool, policy: Policy, at: Moment) -> Judgement:
    """Settle this boot: count, quarantine, keep or free."""
    settled = replace(memory, settled=known.boot, intent=None, drained=False, ask=None)
    if not isinstance(known.os, Deployments):
        return Judgement(None, settled, keeps_slot=False)
    os, settled = known.os, replace(settled, booted=known.os.booted)
    if memory.intent is None:
        absolved = absolve(settled, os.booted.key) if healthy else settled
        return Judgement(None, _unasked(absolved, memory, os, at), keeps_slot=False)
    intent = memory.intent
    result = outcome(intent, os, healthy=healthy)
    remembered = max(REMEMBERED, policy.reboots_per_day)  # or the budget would never be spent
    counted = replace(
        settled,
        reboots=(*memory.reboots, _past(intent, result, known.boot_times, at))[-remembered:],
        reboots_total=memory.reboots_total + 1,
        outcomes=_plus_one(memory.outcomes, result),
    )
    match result:
        case Outcome.SUCCEEDED:
            return Judgement(result, absolve(counted, intent.key), keeps_slot=False)
        case Outcome.ROLLED_BACK | Outcome.NOT_APPLIED:
            failed = _fail(counted, intent, result, policy, at)
            bad = result is Outcome.ROLLED_BACK or is_quarantined(failed, intent.key)
            return Judgement(result, failed, keeps_slot=bad and policy.keep_slot_on_failed_update)
        case Outcome.SUPERSEDED | Outcome.INTERRUPTED:
            return Judgement(result, counted, keeps_slot=False)


def is_quarantined(memory: Memory, key: UpdateKey) -> bool:
    """Whether this update is not to be tried again."""
    return any(one.key == key for one in memory.quarantine)


def absolve(memory: Memory, key: UpdateKey) -> Memory:
    """Forget what was held against an update."""
    return replace(
        memory,
        attempts=tuple(one for one in memory.attempts if one[0] != key),
        quarantine=tuple(one for one in memory.quarantine if one.key != key),
    )


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


def _past(intent: Intent, result: Outcome, times: BootTimes | None, at: Moment) -> PastReboot:
    """Where it failed, boots that nobody saw may lie between: then only the whole is told."""
    told = times if result is Outcome.SUCCEEDED else None
    return PastReboot(
        at=intent.at,
        target=intent.target,
        version=intent.version,
        outcome=result,
        seconds=durations.need(intent, times, at),
        phases=durations.by_phase(intent, told, at),
    )


def _plus_one(
    counts: tuple[tuple[Outcome, int], ...], result: Outcome
) -> tuple[tuple[Outcome, int], ...]:
    grown = {**dict(counts), result: dict(counts).get(result, 0) + 1}
    return tuple(sorted(grown.items()))

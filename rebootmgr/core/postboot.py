"""From the first look to a settled boot: what was asked for, what came of it, what is owed."""

from dataclasses import replace

from rebootmgr.core import slots
from rebootmgr.core.events import HooksFailed
from rebootmgr.core.facts import Deployments
from rebootmgr.core.model import Outcome, Phase
from rebootmgr.core.states import PostBoot, Rebooting
from rebootmgr.core.turn import Turn
from rebootmgr.core.verdict import judge


def start_up(turn: Turn) -> None:
    """Tell a new boot from a mere restart of the daemon, once the host is known."""
    known = turn.known
    if known is None or known.os is None:
        return
    memory = turn.state.memory
    intent = memory.intent
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
    if intent is None or known is None or known.logind is None:
        return
    if turn.state.looking is not None or turn.state.look_next:
        return  # it may have been called off since that look
    if known.logind.preparing:
        turn.become(Rebooting(intent.target, intent.mono + turn.policy.patience.shutdown_s))
    else:
        turn.abandon()


def look_after_boot(turn: Turn) -> None:
    """Run post-boot.d once boot-complete.target is reached."""
    known = turn.known
    if known is None or known.boot_incomplete or known.os_unknown or turn.state.stopping:
        return
    if turn.has_hooks(Phase.POST_BOOT) and not turn.policy.dry_run:
        turn.become(PostBoot(turn.run_hooks(Phase.POST_BOOT, None)))
    else:
        settle_boot(turn, failed=None)


def settle_boot(turn: Turn, *, failed: HooksFailed | None) -> None:
    """Judge this boot for good; give the slot back, or keep it where the update failed."""
    known, memory = turn.known, turn.state.memory
    if known is None:
        return
    judgement = judge(memory, known, healthy=failed is None, policy=turn.policy, at=turn.at)
    turn.remember(judgement.memory)
    ledger = turn.state.ledger
    if judgement.keeps_slot:
        turn.keep_ledger(slots.keep(ledger))
    elif judgement.outcome is Outcome.SUCCEEDED or not any(entry.kept for entry in ledger):
        turn.keep_ledger(slots.free(ledger, turn.policy.slot))
    turn.rest()

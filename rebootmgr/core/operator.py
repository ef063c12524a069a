"""What people ask for (SPEC 11): all of it survives, none of it skips a gate it may not skip."""

from dataclasses import replace
from datetime import timedelta

from rebootmgr.core import slots
from rebootmgr.core.events import Cancelled, Forgiven, HoldAdded, HoldReleased, RebootAsked
from rebootmgr.core.memory import Ask, Hold, Memory
from rebootmgr.core.outcome import absolve
from rebootmgr.core.turn import Turn


def absorb_operator(
    turn: Turn, event: HoldAdded | HoldReleased | RebootAsked | Cancelled | Forgiven
) -> None:
    """Take a wish in; the attempt follows from it as from any other change."""
    memory = turn.state.memory
    match event:
        case HoldAdded(hold):
            turn.remember(_with_hold(memory, hold))
        case HoldReleased(id):
            left = tuple(hold for hold in memory.holds if hold.id != id)
            turn.remember(replace(memory, holds=left))
        case RebootAsked():
            _ask(turn, event)
        case Cancelled(hold):
            turn.remember(replace(_with_hold(memory, hold), ask=None))
        case Forgiven(key):
            for one in memory.quarantine:
                if key in {None, one.key}:
                    memory = absolve(memory, one.key)
            if key is None:
                memory = replace(memory, attempts=())
            turn.remember(memory)
            turn.set_ledger(slots.keep_none(turn.state.ledger))


def _with_hold(memory: Memory, hold: Hold) -> Memory:
    others = tuple(one for one in memory.holds if one.id != hold.id)
    return replace(memory, holds=(*others, hold))


def _ask(turn: Turn, event: RebootAsked) -> None:
    target = turn.target
    if target is None:
        return
    ask = Ask(
        target=target.id,
        boot=turn.known.boot,
        by=event.by,
        now=event.now,
        until=turn.at.wall + timedelta(seconds=event.valid_s),
    )
    turn.remember(replace(turn.state.memory, ask=ask))
    turn.try_anew()

"""What people ask for (SPEC 11): all of it survives, none of it skips a gate it may not skip."""

from dataclasses import replace
from datetime import timedelta

from rebootmgr.core import slots
from rebootmgr.core.clock import hold_for
from rebootmgr.core.events import (
    Cancelled,
    Forgiven,
    HoldAdded,
    HoldReleased,
    RebootAsked,
    Withdrawn,
)
from rebootmgr.core.facts import Look
from rebootmgr.core.memory import Ask, Hold, Memory
from rebootmgr.core.outcome import absolve
from rebootmgr.core.turn import Turn


def absorb_operator(
    turn: Turn, event: HoldAdded | HoldReleased | RebootAsked | Cancelled | Withdrawn | Forgiven
) -> None:
    """Take a wish in; the attempt follows from it as from any other change."""
    memory = turn.state.memory
    match event:
        case HoldAdded(hold, for_s):
            turn.remember(_with_hold(turn, hold, for_s))
        case HoldReleased(id):
            left = tuple(hold for hold in memory.holds if hold.id != id)
            turn.remember(replace(memory, holds=left))
        case RebootAsked():
            _ask(turn, event)
        case Cancelled(hold, for_s):
            turn.remember(replace(_with_hold(turn, hold, for_s), ask=None))
        case Withdrawn():
            turn.remember(replace(memory, ask=None))
        case Forgiven(key):
            for one in memory.quarantine:
                if key in {None, one.key}:
                    memory = absolve(memory, one.key)
            if key is None:
                memory = replace(memory, attempts=())
            turn.remember(memory)
            turn.set_ledger(slots.keep_none(turn.state.ledger))


def _with_hold(turn: Turn, hold: Hold, for_s: float | None) -> Memory:
    memory = turn.state.memory
    if for_s is not None:
        hold = hold_for(hold, for_s, turn.state, turn.at)
        if not turn.known.clock_synchronized:  # what it says of the end is for later boots
            turn.state = replace(turn.state, look_next=turn.state.look_next | Look.CLOCK)
    others = tuple(one for one in memory.holds if one.id != hold.id)
    return replace(memory, holds=(*others, hold))


def _ask(turn: Turn, event: RebootAsked) -> None:
    target = turn.target
    if target is None:
        return
    ask = Ask(
        target=target.id,
        key=target.key,
        boot=turn.known.boot,
        by=event.by,
        now=event.now,
        until=turn.at.wall + timedelta(seconds=event.valid_s),
        ends=turn.at.mono + event.valid_s,
    )
    turn.remember(replace(turn.state.memory, ask=ask))
    turn.try_anew()

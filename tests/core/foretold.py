"""`predicted` in an explored graph of worlds, against when the reboot is then called (SPEC 11).

The world stays as it is and everybody who is asked agrees at once, while a clock goes on in small
steps, whether or not an alarm would ring.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from rebootmgr.core.effects import Acquire, Effect, ReadFacts, Reboot, Release, RunHooks, SaveMemory
from rebootmgr.core.events import (
    Event,
    FactsRead,
    HooksPassed,
    LockGranted,
    Saved,
    SlotReleased,
    Ticked,
)
from rebootmgr.core.facts import Look, OsUnknown
from rebootmgr.core.forecast import predict
from rebootmgr.core.machine import step
from rebootmgr.core.model import Moment
from rebootmgr.core.states import Idle, PostBoot, Rebooting, Starting, Undoing
from tests.core.world import (
    AskingServer,
    Calling,
    GivingBack,
    Looking,
    Question,
    Running,
    World,
)

STEP_S: Final = 0.25
STEPS: Final = 28
"""A grace, a hold, a request and two last minutes are over by then; no window of another day is."""


def judge_forecasts(graph: Iterable[World]) -> int:
    """Compare them; how many could be judged."""
    judged = 0
    for world in graph:
        if not is_clear(world):
            continue
        judged += 1
        at = world.at()
        said = predict(world.state, world.policy, at)
        if isinstance(world.state.attempt, Rebooting):
            assert said == at.wall, world.state
            continue
        is_called = lives_on(world)
        if isinstance(world.state.attempt, Undoing | PostBoot | Starting | Idle):
            assert said is None, world.state
        elif is_called is None:
            assert said is None or said > at.wall + timedelta(seconds=STEP_S * STEPS), world.state
        else:
            assert said is not None, (is_called, world.state)
            late = is_called - (said - at.wall).total_seconds()
            assert 0.0 <= late < STEP_S, (said - at.wall, is_called, world.state)
    return judged


def is_clear(world: World) -> bool:
    """Whether what the machine knows is how the world is, and no doubt is cast on the clock.

    Not so while it has yet to find out that the host can be read, or the disk written, again.
    """
    state, known = world.state, world.state.known
    if world.down or state.stopping or known.is_nothing or world.lies:
        return False
    if world.full or state.unsaved:
        return False
    facts = world.facts(Look.HOST)
    os = OsUnknown(known.os_unknown, known.os_cure) if known.os_unknown else known.os
    same_os = (facts.os, facts.boot_incomplete) == (os, known.boot_incomplete)
    doubts = known.clock_synchronized is not None and known.clock_synchronized != world.vouched
    vouched = known.clock_synchronized is not None or world.vouched
    clock = vouched or not world.nature.clock_lies
    same_os &= facts.hooks == known.hooks and not known.logind_unknown
    return same_os and facts.logind == known.logind and clock and not doubts


def lives_on(world: World) -> float | None:
    """After how many seconds the reboot is called, to the next step; None if not by the end."""
    state, policy = world.state, world.policy
    events = [event for question in world.questions for event in agreed(question, world)]
    for passed in range(STEPS + 1):
        begun = world.at()
        now = passed * STEP_S
        at = Moment(wall=begun.wall + timedelta(seconds=now), mono=begun.mono + now)
        events.append(Ticked())
        while events:
            state, effects = step(state, events.pop(0), at=at, policy=policy)
            if any(isinstance(effect, Reboot) for effect in effects):
                return now
            events += [event for effect in effects for event in obeyed(effect, world)]
    return None


def agreed(question: Question, world: World) -> list[Event]:
    """The answer to what is under way; to a look it is what there is to see now."""
    match question:
        case Looking(ticket, look):
            return [FactsRead(ticket, world.facts(look))]
        case Running(ticket):
            return [HooksPassed(ticket)]
        case AskingServer(ticket, slot):
            return [LockGranted(ticket, slot)]
        case GivingBack(ticket, slot):
            return [SlotReleased(ticket, slot)]
        case Calling():
            return []


def obeyed(effect: Effect, world: World) -> list[Event]:
    """The answer to what is asked then."""
    match effect:
        case ReadFacts(ticket, look):
            return [FactsRead(ticket, world.facts(look))]
        case RunHooks(ticket):
            return [HooksPassed(ticket)]
        case Acquire(ticket, slot):
            return [LockGranted(ticket, slot)]
        case Release(ticket, slot):
            return [SlotReleased(ticket, slot)]
        case SaveMemory():
            return [Saved()]
        case _:
            return []

"""When the reboot comes, if the world stays as it is and all who are asked agree at once (SPEC 11).

Nobody judges the gates a second time: the decision itself is taken in virtual time, from the end of
one obstacle to the next, and the instant at which it calls logind is the forecast.
"""

import math
from collections import deque
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core.alarm import deadline
from rebootmgr.core.effects import (
    Acquire,
    CancelRequest,
    Effect,
    ReadFacts,
    Reboot,
    Release,
    RunHooks,
    SaveMemory,
    StopHooks,
    TellOutcome,
    Warn,
)
from rebootmgr.core.events import (
    Event,
    FactsRead,
    HooksPassed,
    LockGranted,
    Saved,
    SlotReleased,
    Ticked,
)
from rebootmgr.core.facts import Facts, Look
from rebootmgr.core.machine import step
from rebootmgr.core.model import Moment
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import (
    Checking,
    Known,
    Ours,
    Owed,
    PostBoot,
    Preparing,
    Rebooting,
    Starting,
    State,
    Undoing,
)
from rebootmgr.core.window import HORIZON

MOST_WAKE_UPS: Final = 300


def predict(state: State, policy: Policy, at: Moment) -> datetime | None:
    """Say when the reboot is called at the earliest; None where that cannot be known.

    So it is while a boot is judged or an attempt undone, by hooks that take what they take; in a
    dry run; and where the host cannot be read or nothing written.
    """
    known = state.known
    if isinstance(state.attempt, Rebooting):
        return at.wall
    if isinstance(state.attempt, Starting | PostBoot | Undoing) or state.target is None:
        return None
    if policy.dry_run or state.stopping or known.os_unknown or known.logind_unknown:
        return None
    if state.unsaved or not state.readable:
        return None
    return _live_on(state, policy, at)


def _live_on(state: State, policy: Policy, at: Moment) -> datetime | None:
    end = at.wall + HORIZON
    if state.known.clock_synchronized is False:  # nor will anybody vouch for it when asked again
        state = replace(state, ask_again=math.inf)
    events = deque((*_unanswered(state), Ticked()))
    for _ in range(MOST_WAKE_UPS):
        while events:
            state, effects = step(state, events.popleft(), at=at, policy=policy)
            if any(isinstance(effect, Reboot) for effect in effects):
                return at.wall
            events.extend(_answers(state.known, effects))
        left_s = _until_alarm(state, policy, at)
        if not left_s < (end - at.wall).total_seconds():
            return None
        at = Moment(wall=at.wall + timedelta(seconds=left_s), mono=at.mono + left_s)
        events.append(Ticked())
    return None


def _until_alarm(state: State, policy: Policy, at: Moment) -> float:
    """How many seconds pass until the next alarm; infinitely many if there is none."""
    due = deadline(state, at=at, policy=policy)
    by_wall = math.inf if due.wall is None else (due.wall - at.wall).total_seconds()
    return min(by_wall, math.inf if due.mono is None else due.mono - at.mono)


def _unanswered(state: State) -> list[Event]:
    """Answers to what is under way."""
    found: list[Event] = []
    if state.looking is not None:
        found.append(FactsRead(state.looking.ticket, _facts(state.known, state.looking.look)))
    for entry in state.ledger:
        match entry.tenure:
            case Ours(asking=request) if request is not None:
                found.append(LockGranted(request.ticket, entry.slot))
            case Owed(releasing=request) if request is not None:
                found.append(SlotReleased(request.ticket, entry.slot))
            case Ours() | Owed():
                pass
    if isinstance(state.attempt, Checking | Preparing):
        found.append(HooksPassed(state.attempt.ticket))
    return found


def _answers(known: Known, effects: tuple[Effect, ...]) -> list[Event]:
    """What comes of these effects, where everybody agrees at once."""
    found: list[Event] = []
    for effect in effects:
        match effect:
            case ReadFacts(ticket, look):
                found.append(FactsRead(ticket, _facts(known, look)))
            case RunHooks(ticket):
                found.append(HooksPassed(ticket))
            case Acquire(ticket, slot):
                found.append(LockGranted(ticket, slot))
            case Release(ticket, slot):
                found.append(SlotReleased(ticket, slot))
            case SaveMemory():
                found.append(Saved())
            case StopHooks() | CancelRequest() | Reboot() | Warn() | TellOutcome():
                pass
    return found


def _facts(known: Known, look: Look) -> Facts:
    """Another look at the same host; who was never asked for the time vouches for it."""
    vouched = known.clock_synchronized is not False
    return Facts(
        boot=known.boot,
        os=known.os if Look.OS in look else None,
        logind=known.logind if Look.LOGIND in look else None,
        boot_incomplete=known.boot_incomplete if Look.BOOT in look else None,
        hooks=known.hooks if Look.HOOKS in look else None,
        clock_synchronized=vouched if Look.CLOCK in look else None,
    )

"""Clients that are broken on purpose: the simulation is worth what it finds in them."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from rebootmgr.core.effects import Acquire, Reboot, Release, SaveMemory
from rebootmgr.core.events import (
    Event,
    LockAnswer,
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnclear,
)
from rebootmgr.core.machine import start, step
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Moment, Slot, Ticket
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import State
from rebootmgr.core.turn import Step
from rebootmgr.fleetlock.words import Reply, decode_lock_answer
from tests.fleet.hands import Client


def _release_first(state: State, event: Event, *, at: Moment, policy: Policy) -> Step:
    after, effects = step(state, event, at=at, policy=policy)
    if policy.slot is not None and any(isinstance(effect, Reboot) for effect in effects):
        effects = (Release(Ticket(-1), policy.slot), *effects)
    return Step(after, effects)


def _ask_first(state: State, event: Event, *, at: Moment, policy: Policy) -> Step:
    after, effects = step(state, event, at=at, policy=policy)
    if any(isinstance(effect, Acquire) for effect in effects):
        effects = tuple(sorted(effects, key=lambda effect: isinstance(effect, SaveMemory)))
    return Step(after, effects)


def _take_202(ticket: Ticket, slot: Slot, reply: Reply, *, at: datetime) -> LockAnswer:
    answer = decode_lock_answer(ticket, slot, reply, at=at)
    return LockGranted(ticket, slot) if isinstance(answer, LockReserved) else answer


def _take_silence_for_no(ticket: Ticket, slot: Slot, reply: Reply, *, at: datetime) -> LockAnswer:
    answer = decode_lock_answer(ticket, slot, reply, at=at)
    if isinstance(answer, LockUnclear) and not answer.answered:
        return LockRefused(ticket, slot, answer.detail)
    return answer


def _expect_nothing_late(ticket: Ticket, slot: Slot, reply: Reply, *, at: datetime) -> LockAnswer:
    answer = decode_lock_answer(ticket, slot, reply, at=at)
    return replace(answer, answered=True) if isinstance(answer, LockUnclear) else answer


def _forget(memory: Memory, *, at: Moment, policy: Policy) -> Step:
    nothing = Memory(settled=memory.settled, booted=memory.booted)
    return start(nothing, at=at, policy=policy)


BROKEN: Final = {
    "releases before the reboot": Client(step=_release_first),
    "writes the record after the question": Client(step=_ask_first),
    "takes 202 for a grant": Client(decode_lock=_take_202),
    "forgets an unanswered question": Client(decode_lock=_take_silence_for_no),
    "does not reckon with a late grant": Client(decode_lock=_expect_nothing_late),
    "ignores the record at restart": Client(start=_forget),
}

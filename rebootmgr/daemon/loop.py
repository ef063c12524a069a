"""The loop: take an event, step, pass on what follows. It decides nothing."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from rebootmgr.core.alarm import Deadline, deadline, is_at_rest
from rebootmgr.core.effects import Effect
from rebootmgr.core.events import Event, PolicyLoaded
from rebootmgr.core.machine import start, step
from rebootmgr.core.memory import Memory, Unreadable
from rebootmgr.core.model import Moment
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import State

log = logging.getLogger(__name__)


class Clock(Protocol):
    """Whatever can tell the time."""

    def read(self) -> Moment:
        """Read both clocks at once."""
        ...


class Outside(Protocol):
    """Whatever carries out and passes on what a step brought."""

    def follow(self, before: State, after: State, effects: tuple[Effect, ...]) -> None:
        """Obey the effects, in order, and show the new state."""

    def wake_at(self, due: Deadline) -> None:
        """Send a `Ticked` then, if nothing else happens before."""


class Runner:
    """Drives the core with real events and real time."""

    def __init__(self, memory: Memory | Unreadable, policy: Policy, clock: Clock) -> None:
        self.policy = policy
        self.at = clock.read()
        self.state, self._owed = start(memory, at=self.at, policy=policy)
        self._clock = clock
        self._inbox: asyncio.Queue[Event | Policy] = asyncio.Queue()
        self._rested: list[Callable[[], None]] = []

    def tell(self, event: Event) -> None:
        """Something happened."""
        self._inbox.put_nowait(event)

    def load(self, policy: Policy) -> None:
        """Decide by `policy` from the next event on: what was told before still meets the old."""
        self._inbox.put_nowait(policy)

    def when_at_rest(self, call: Callable[[], None]) -> None:
        """Call once the daemon was asked to stop and nothing it sent is unanswered."""
        self._rested.append(call)

    async def caught_up(self) -> None:
        """Wait until everything that was told so far has been taken in."""
        await self._inbox.join()

    async def run(self, outside: Outside) -> None:
        """Run until cancelled. There is no await between taking an event and storing the state."""
        outside.follow(self.state, self.state, self._owed)
        while True:
            outside.wake_at(deadline(self.state, at=self.at, policy=self.policy))
            self._advance(await self._inbox.get(), outside)
            self._inbox.task_done()

    def _advance(self, told: Event | Policy, outside: Outside) -> None:
        before = self.state
        if isinstance(told, Policy):
            self.policy, told = told, PolicyLoaded()
        self.at = self._clock.read()
        self.state, effects = step(before, told, at=self.at, policy=self.policy)
        log.debug("%s + %s -> %s, then %s", before.attempt, told, self.state.attempt, effects)
        outside.follow(before, self.state, effects)
        if is_at_rest(self.state):
            for call in self._rested:
                call()

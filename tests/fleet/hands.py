"""The hands of one run of a simulated daemon: they obey as rebootmgr.daemon.hands does.

A slow disk holds up everything behind it, each question is answered once, any effect may be the
last.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from rebootmgr.core.counters import Api
from rebootmgr.core.effects import (
    Acquire,
    Effect,
    ReadFacts,
    Reboot,
    Release,
    RunHooks,
    TellOutcome,
    Warn,
)
from rebootmgr.core.events import (
    Event,
    FactsRead,
    HooksFailed,
    HooksPassed,
    HooksUnclear,
    LockAnswer,
    LockUnclear,
    ReleaseAnswer,
    Saved,
    SaveFailed,
)
from rebootmgr.core.machine import start, step
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Phase, Ticket
from rebootmgr.core.turn import Step
from rebootmgr.fleetlock.words import Reply, decode_lock_answer, decode_release_answer
from rebootmgr.simulation.executor import Events, carry_out
from tests.fleet.host import Host
from tests.fleet.server import Call, Network
from tests.fleet.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The code under test; a broken client replaces a part of it."""

    start: Callable[..., Step] = start
    step: Callable[..., Step] = step
    decode_lock: Callable[..., LockAnswer] = decode_lock_answer
    decode_release: Callable[..., ReleaseAnswer] = decode_release_answer


class Owner(Protocol):
    """The daemon whose hands these are."""

    host: Host
    client: Client

    def tell(self, *events: Event) -> None:
        """These happened."""

    def write(self, memory: Memory) -> None:
        """Replace state.json."""

    def end(self, *, restart_s: float) -> None:
        """Be gone at once."""

    def be_delicate(self) -> None:
        """A fine moment for a misfortune."""

    def obeys(self, effect: Effect) -> None:
        """The hands are about to do this."""


class Hands:
    """Obeys, until `drop`."""

    def __init__(self, owner: Owner, world: World, network: Network) -> None:
        self._owner = owner
        self._world = world
        self._network = network
        self._orders: deque[Iterator[Events | None]] = deque()  # one for each step
        self._writing: Memory | None = None
        self._working = False
        self._calls: dict[Ticket, Call] = {}
        self._hooks: set[Ticket] = set()
        self._dropped = False

    def obey(self, effects: tuple[Effect, ...]) -> None:
        """Do these after everything that was ordered before."""
        if effects:
            self._orders.append(carry_out(self._noted(effects), self))
            self._work()

    def _noted(self, effects: tuple[Effect, ...]) -> Iterator[Effect]:
        for effect in effects:
            self._owner.obeys(effect)
            yield effect

    def drop(self) -> None:
        """The daemon is gone: a write may have made it, connections and hooks have not."""
        self._dropped = True
        if self._writing is not None and self._world.dice.random() < 0.5:
            self._owner.write(self._writing)
        for call in self._calls.values():
            call.close()

    def _work(self) -> None:
        if self._working:
            return
        self._working = True
        while self._orders and self._writing is None and not self._dropped:
            if self._world.happens(self._world.weather.crash):
                self._owner.end(restart_s=self._world.dice.uniform(0.1, 10))
                break
            try:
                events = next(self._orders[0])
            except StopIteration:
                self._orders.popleft()
            else:
                self._owner.tell(*(events or ()))
        self._working = False

    def save(self, memory: Memory) -> Saved | SaveFailed | None:
        if self._owner.host.disk_full or self._world.happens(self._world.weather.crash):
            return SaveFailed("disk full")
        if self._world.happens(self._world.weather.crash * 3):
            self._writing = memory
            self._later(self._world.dice.uniform(0.1, 5), self._end_save, memory)
            return None
        self._owner.write(memory)
        return Saved()

    def _end_save(self, memory: Memory) -> None:
        if not self._dropped:
            self._writing = None
            self._owner.write(memory)
            self._work()
            self._tell(Saved())

    def look(self, question: ReadFacts) -> Events:
        dice = self._world.dice
        read = FactsRead(question.ticket, self._owner.host.look(question.look))
        if dice.random() < 0.1 and not self._world.weather.is_fine:
            self._later(dice.uniform(0.01, 2), self._tell, read)
            return ()
        return (read,)

    def ask(self, question: Acquire) -> Events:
        return self._send(question)

    def give_back(self, request: Release) -> Events:
        return self._send(request)

    def take_back(self, ticket: Ticket) -> Events:
        call = self._calls.pop(ticket, None)
        if call is None:
            return ()
        call.close()
        return (LockUnclear(ticket, call.slot, "taken back", answered=False),)

    def run_hooks(self, order: RunHooks) -> Events:
        host, ticket, phase = self._owner.host, order.ticket, order.phase
        self._owner.be_delicate()
        if phase is Phase.PRE_REBOOT:
            host.drained = True
        self._hooks.add(ticket)
        self._later(host.hook_takes_s(phase), self._end_hooks, ticket, phase)
        return ()

    def stop_hooks(self, ticket: Ticket) -> Events:
        if ticket not in self._hooks:
            return ()
        self._hooks.remove(ticket)
        return (HooksFailed(ticket, "", "stopped"),)

    def reboot(self, _: Reboot) -> Events:
        self._owner.be_delicate()
        self._owner.host.reboot()
        return ()

    def tell_outcome(self, _: TellOutcome) -> Events:
        return ()

    def warn(self, _: Warn) -> Events:
        return ()

    def _send(self, request: Acquire | Release) -> Events:
        self._owner.be_delicate()
        ticket, slot, client = request.ticket, request.slot, self._owner.client
        asks = isinstance(request, Acquire)
        decode: Callable[..., Event] = client.decode_lock if asks else client.decode_release

        def heard(reply: Reply) -> None:
            del self._calls[ticket]
            self._owner.tell(decode(ticket, slot, reply, at=self._owner.host.at.wall))

        api = Api.PRE_REBOOT if asks else Api.STEADY_STATE
        self._calls[ticket] = self._network.send(api, slot, heard)
        return ()

    def _end_hooks(self, ticket: Ticket, phase: Phase) -> None:
        if self._dropped or ticket not in self._hooks:
            return
        self._hooks.remove(ticket)
        if self._world.happens(self._world.weather.crash):
            self._owner.tell(HooksUnclear(ticket, "the unit was lost"))
            return
        if phase in {Phase.ABANDONED, Phase.POST_BOOT}:
            self._owner.host.drained = False
        fails = self._owner.host.hook_fails(phase)
        self._owner.tell(HooksFailed(ticket, "10-x", "no") if fails else HooksPassed(ticket))

    def _later(self, delay_s: float, call: Callable[..., None], *args: object) -> None:
        self._world.agenda.after(delay_s, self._owner.host.when_awake, call, *args)

    def _tell(self, event: Event) -> None:
        if not self._dropped:
            self._owner.tell(event)

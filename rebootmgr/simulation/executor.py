"""Effects in virtual time: the one place that says how the daemon's hands obey, without a world.

In order, one at a time; a save that fails takes with it what would have to be on record.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias

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
    answer_off_record,
)
from rebootmgr.core.events import Event, Saved, SaveFailed
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Ticket

Events: TypeAlias = tuple[Event, ...]


class Surroundings(Protocol):
    """What effects act on. Each method gives what comes of it at once; the rest comes later."""

    def save(self, memory: Memory) -> Saved | SaveFailed | None:
        """Make `memory` survive; None while that is still going on."""

    def look(self, question: ReadFacts) -> Events:
        """Read these sources."""
        ...

    def run_hooks(self, order: RunHooks) -> Events:
        """Start the hooks of a phase."""
        ...

    def stop_hooks(self, ticket: Ticket) -> Events:
        """End those hooks, if they still run."""
        ...

    def ask(self, question: Acquire) -> Events:
        """Ask the lock server for the slot."""
        ...

    def take_back(self, ticket: Ticket) -> Events:
        """Close the connection of that request, if it is still open."""
        ...

    def give_back(self, request: Release) -> Events:
        """Tell the lock server that the slot is free."""
        ...

    def reboot(self, order: Reboot) -> Events:
        """Call logind."""
        ...

    def warn(self, order: Warn) -> Events:
        """Tell people."""
        ...

    def tell_outcome(self, order: TellOutcome) -> Events:
        """Tell the lock server what became of a reboot."""
        ...


def carry_out(effects: Iterable[Effect], there: Surroundings) -> Iterator[Events | None]:
    """Obey, one effect for each item, and give what came of it at once.

    None: a save is going on. Whoever drives this goes on when it is over, and sends whether it
    succeeded. Nothing behind an effect is done before the next item is taken.
    """
    on_record = True
    for effect in effects:
        match effect:
            case SaveMemory(memory):
                result = there.save(memory)
                if result is None:
                    yield None
                else:
                    on_record = isinstance(result, Saved)
                    yield (result,)
            case _ if not on_record and (answer := answer_off_record(effect)) is not None:
                yield (answer,)
            case ReadFacts():
                yield there.look(effect)
            case RunHooks():
                yield there.run_hooks(effect)
            case StopHooks(ticket):
                yield there.stop_hooks(ticket)
            case Acquire():
                yield there.ask(effect)
            case CancelRequest(ticket):
                yield there.take_back(ticket)
            case Release():
                yield there.give_back(effect)
            case Reboot():
                yield there.reboot(effect)
            case Warn():
                yield there.warn(effect)
            case TellOutcome():
                yield there.tell_outcome(effect)

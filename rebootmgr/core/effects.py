"""Things to do, in the imperative. The core asks; the daemon's hands obey, in order.

Each effect that asks carries a ticket and is answered by exactly one event with that ticket.
A `SaveMemory` that fails takes with it what has to be on record and comes behind it in the same
step: a question to a lock server (`LockUnasked`) and pre-reboot.d (`HooksFailed`).
"""

from dataclasses import dataclass
from typing import TypeAlias

from rebootmgr.core.events import Event, HooksFailed, LockUnasked
from rebootmgr.core.facts import Look, Session
from rebootmgr.core.memory import Memory, PastReboot
from rebootmgr.core.model import Deployment, Phase, Slot, Ticket


@dataclass(frozen=True, slots=True)
class ReadFacts:
    """Look at these sources afresh; answered by `FactsRead`."""

    ticket: Ticket
    look: Look


@dataclass(frozen=True, slots=True)
class RunHooks:
    """Run the hooks of one phase, but for those `waived`; answered by a `HooksAnswer`."""

    ticket: Ticket
    phase: Phase
    target: Deployment | None
    waived: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StopHooks:
    """End the hooks that `RunHooks` with this ticket started; they still answer."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Acquire:
    """POST v1/pre-reboot; answered by one of `LockAnswer`."""

    ticket: Ticket
    slot: Slot


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Close the connection of the request with this ticket; it is then answered as unclear."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Release:
    """POST v1/steady-state, two minutes at most; answered by one of `ReleaseAnswer`."""

    ticket: Ticket
    slot: Slot


@dataclass(frozen=True, slots=True)
class SaveMemory:
    """Make `memory` survive a power cut before doing anything that follows.

    Answered by `Saved` or `SaveFailed`.
    """

    memory: Memory


@dataclass(frozen=True, slots=True)
class Reboot:
    """Ask logind for the reboot; answered by `RebootAccepted`, `-Refused` or `-Unclear`.

    `overrides`: inhibitors are held, and none of them counts by the configuration.
    """

    target: Deployment
    overrides: bool = False


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell these sessions on their terminals that the reboot is `in_s` seconds away.

    With `waives` it is told that a reboot waits for none of these from then on.
    """

    sessions: tuple[Session, ...]
    target: Deployment
    in_s: float
    waives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TellOutcome:
    """Tell a lock server what became of our reboot, before the slot goes back; nothing answers."""

    slot: Slot
    reboot: PastReboot


Effect: TypeAlias = (
    ReadFacts
    | RunHooks
    | StopHooks
    | Acquire
    | CancelRequest
    | Release
    | SaveMemory
    | Reboot
    | Warn
    | TellOutcome
)


def answer_off_record(effect: Effect) -> Event | None:
    """Say what answers an effect that is not done because the save before it failed.

    None: it is done all the same, since nothing of it has to be on record.
    """
    match effect:
        case Acquire(ticket, slot):
            return LockUnasked(ticket, slot)
        case RunHooks(ticket, Phase.PRE_REBOOT):
            return HooksFailed(ticket, "", "state.json cannot be written")
        case RunHooks() | ReadFacts() | StopHooks() | CancelRequest() | Release():
            return None
        case SaveMemory() | Reboot() | Warn() | TellOutcome():
            return None

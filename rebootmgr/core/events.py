"""Things that happened, in the past tense."""

from dataclasses import dataclass, field
from typing import TypeAlias

from rebootmgr.core.facts import Facts, Look
from rebootmgr.core.memory import Hold
from rebootmgr.core.model import Slot, Ticket, UpdateKey


@dataclass(frozen=True, slots=True)
class HostChanged:
    """Something that a gate looks at changed, or may have. `what` is for the log."""

    look: Look
    what: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class FactsRead:
    """The answer to `ReadFacts`; what could not be read says so inside."""

    ticket: Ticket
    facts: Facts


@dataclass(frozen=True, slots=True)
class HooksPassed:
    """Every hook of the phase exited with 0, or there was none."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class HooksFailed:
    """A hook said no, was ended, or could not be run; `line` is the last it said."""

    ticket: Ticket
    hook: str
    line: str


@dataclass(frozen=True, slots=True)
class HooksUnclear:
    """No word from the hooks of the phase: `why` it was not run, or not to its end."""

    ticket: Ticket
    why: str


@dataclass(frozen=True, slots=True)
class LockGranted:
    """200: the slot is ours. `reports`: the server wants to hear what became of the reboot."""

    ticket: Ticket
    slot: Slot
    reports: bool = False


@dataclass(frozen=True, slots=True)
class LockReserved:
    """202: the slot is ours, but the server still drains the node; ask again."""

    ticket: Ticket
    slot: Slot
    detail: str


@dataclass(frozen=True, slots=True)
class LockRefused:
    """409 or 423: somebody else holds it, and nothing is ours.

    `retry_after_s` is when the server wants us back, 0.0 where it does not say; `appointed` where
    it has seen to it that not everybody comes at once (SPEC 6). Likewise below.
    """

    ticket: Ticket
    slot: Slot
    detail: str
    retry_after_s: float = 0.0
    appointed: bool = False


@dataclass(frozen=True, slots=True)
class LockUnclear:
    """Any other answer, or none (`answered` is false then): the slot may be ours.

    `refused`: it is worded as a refusal, which chooses the word for people and nothing else.
    """

    ticket: Ticket
    slot: Slot
    detail: str
    answered: bool
    retry_after_s: float = 0.0
    refused: bool = False
    appointed: bool = False


@dataclass(frozen=True, slots=True)
class LockUnasked:
    """The question was never sent: it could not be put on record first."""

    ticket: Ticket
    slot: Slot


@dataclass(frozen=True, slots=True)
class SlotReleased:
    """The server confirmed that we hold nothing: 200, or 409/423 to a steady-state."""

    ticket: Ticket
    slot: Slot


@dataclass(frozen=True, slots=True)
class ReleaseUnclear:
    """We gave the slot back and heard nothing usable."""

    ticket: Ticket
    slot: Slot
    detail: str
    retry_after_s: float = 0.0
    appointed: bool = False


@dataclass(frozen=True, slots=True)
class Saved:
    """Memory is on disk."""


@dataclass(frozen=True, slots=True)
class SaveFailed:
    """Memory is not on disk: nothing may be done that would have to be remembered."""

    detail: str


@dataclass(frozen=True, slots=True)
class RebootAccepted:
    """logind took the call, or was already shutting down."""


@dataclass(frozen=True, slots=True)
class RebootRefused:
    """logind would not, could not be asked, or called the shutdown off (PrepareForShutdown)."""

    detail: str


@dataclass(frozen=True, slots=True)
class RebootUnclear:
    """No usable answer to the call: whether the machine goes down is for logind to say."""

    detail: str


@dataclass(frozen=True, slots=True)
class ShutdownBegan:
    """PrepareForShutdown(true): the machine is going down, by our wish or somebody else's."""


@dataclass(frozen=True, slots=True)
class PolicyLoaded:
    """The policy that this step is given is a new one."""


@dataclass(frozen=True, slots=True)
class HoldAdded:
    """Somebody asked for no reboot for a while: for `for_s` seconds, or as the hold says."""

    hold: Hold
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class HoldReleased:
    """Somebody took a hold back."""

    id: str


@dataclass(frozen=True, slots=True)
class RebootAsked:
    """Somebody asked for the reboot into what is pending; `now` skips what SPEC 11 lists."""

    by: str
    now: bool
    valid_s: float


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody called the attempt off; `hold` keeps it from starting again at once.

    For `for_s` seconds, or as the hold says.
    """

    hold: Hold
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Somebody took a request for a reboot back; what policy does anyway goes on."""


@dataclass(frozen=True, slots=True)
class Forgiven:
    """Somebody lifted a quarantine (all of them for None) and frees a kept slot."""

    key: UpdateKey | None


@dataclass(frozen=True, slots=True)
class DebtDropped:
    """Somebody gave up on a slot that is owed: its server is not asked again."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed. Means no more than 'look again'."""


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The wall clock was set, or the machine slept."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The daemon has to end: come to rest, without waiting for anybody for long."""


LockAnswer: TypeAlias = LockGranted | LockReserved | LockRefused | LockUnclear | LockUnasked
ReleaseAnswer: TypeAlias = SlotReleased | ReleaseUnclear
HooksAnswer: TypeAlias = HooksPassed | HooksFailed | HooksUnclear
Event: TypeAlias = (
    HostChanged
    | FactsRead
    | HooksAnswer
    | LockAnswer
    | ReleaseAnswer
    | Saved
    | SaveFailed
    | RebootAccepted
    | RebootRefused
    | RebootUnclear
    | ShutdownBegan
    | PolicyLoaded
    | HoldAdded
    | HoldReleased
    | RebootAsked
    | Cancelled
    | Withdrawn
    | Forgiven
    | DebtDropped
    | Ticked
    | ClockJumped
    | StopAsked
)

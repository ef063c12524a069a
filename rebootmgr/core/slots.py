"""The ledger of slots (SPEC 6): level-triggered towards what the attempt wants.

A slot is presumed ours from the moment we ask until a clean refusal or a confirmed release. The
ledger stands beside the attempt: nothing that a lock server does or fails to do holds it up.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from rebootmgr.core.backoff import TRIED_ONCE, UNTRIED, Retry, next_release
from rebootmgr.core.effects import Acquire, CancelRequest, Effect, Release
from rebootmgr.core.events import (
    LockAnswer,
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnasked,
    LockUnclear,
    ReleaseAnswer,
    ReleaseUnclear,
    SlotReleased,
)
from rebootmgr.core.memory import Debt
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import Entry, Ours, Owed

Ledger = tuple[Entry, ...]

WARN_EVERY_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Claim:
    """What the attempt wants of the ledger: one slot, nothing, or that nothing is given back."""

    slot: Slot | None = None
    freeze: bool = False


def load(debts: Iterable[Debt]) -> Ledger:
    """The ledger as the last run left it: everything in it may still be ours."""
    return tuple(
        Entry(slot=debt.slot, tenure=Ours(), unanswered=debt.unanswered, kept=debt.kept)
        for debt in debts
    )


def debts(ledger: Ledger) -> tuple[Debt, ...]:
    """What of the ledger has to survive: a question under way may go unanswered."""
    return tuple(
        Debt(slot=entry.slot, unanswered=entry.unanswered or is_asking(entry), kept=entry.kept)
        for entry in sorted(ledger, key=lambda entry: entry.slot)
    )


def is_asking(entry: Entry) -> bool:
    """Whether a question for this slot is under way."""
    return isinstance(entry.tenure, Ours) and entry.tenure.asking is not None


def ask(ledger: Ledger, slot: Slot, ticket: Callable[[], Ticket]) -> tuple[Ledger, Acquire | None]:
    """Put the question, unless an earlier request for this slot is still unfinished."""
    entry = next((one for one in ledger if one.slot == slot), Entry(slot=slot, tenure=Ours()))
    match entry.tenure:
        case Owed(releasing=int()) | Ours(asking=int()):
            return ledger, None
        case Owed() | Ours():
            question = Acquire(ticket(), slot)
            asked = replace(entry, tenure=Ours(question.ticket))
            return (*(one for one in ledger if one.slot != slot), asked), question


def answered(ledger: Ledger, event: LockAnswer) -> Ledger:
    """What an answer to a question says about the slot."""
    return tuple(_each(ledger, event.slot, lambda entry: _after_answer(entry, event)))


def _after_answer(entry: Entry, event: LockAnswer) -> Entry | None:
    if not (isinstance(entry.tenure, Ours) and entry.tenure.asking == event.ticket):
        return entry
    match event:
        case LockGranted() | LockReserved() | LockUnasked():
            return replace(entry, tenure=Ours())
        case LockUnclear(answered=answered):
            return replace(entry, tenure=Ours(), unanswered=entry.unanswered or not answered)
        case LockRefused() if entry.unanswered or entry.kept:
            return replace(entry, tenure=Ours())
        case LockRefused():
            return None


def released(ledger: Ledger, event: ReleaseAnswer, now: float, policy: Policy) -> Ledger:
    """What an answer to a release says about the slot."""
    return tuple(_each(ledger, event.slot, lambda one: _after_release(one, event, now, policy)))


def _after_release(entry: Entry, event: ReleaseAnswer, now: float, policy: Policy) -> Entry | None:
    if not (isinstance(entry.tenure, Owed) and entry.tenure.releasing == event.ticket):
        return entry
    patience = policy.patience
    match event:
        case SlotReleased() if entry.unanswered and not entry.tenure.repeat:
            again = Retry(UNTRIED, now + patience.release_again_s)  # it may yet be granted late
            return replace(entry, tenure=Owed(None, again, repeat=True))
        case SlotReleased():
            return None
        case ReleaseUnclear(detail=detail, retry_after_s=wish):
            last = entry.tenure.retry
            retry = next_release(last, now, patience, seed=policy.seed, at_least=wish)
            return replace(entry, tenure=Owed(None, retry, detail, repeat=entry.tenure.repeat))


def align(ledger: Ledger, claim: Claim, now: float) -> tuple[Ledger, tuple[Effect, ...]]:
    """Turn every slot that nobody wants into a debt, and take back the questions for it."""
    entries: list[Entry] = []
    effects: list[Effect] = []
    for entry in ledger:
        match entry.tenure:
            case Ours() if claim.freeze or entry.slot == claim.slot:
                entries.append(entry)
            case Ours(asking=int() as ticket, cancelled=False):
                effects.append(CancelRequest(ticket))
                entries.append(replace(entry, tenure=Ours(ticket, cancelled=True)))
            case Ours(asking=None) if not entry.kept:
                entries.append(replace(entry, tenure=Owed(None, Retry(UNTRIED, now))))
            case Ours() | Owed():
                entries.append(entry)
    return tuple(entries), tuple(effects)


def give_back(
    ledger: Ledger, now: float, ticket: Callable[[], Ticket]
) -> tuple[Ledger, tuple[Release, ...]]:
    """Send the release that has been due for longest, unless another is under way.

    One at a time: each is a process of its own, and a ledger may be long.
    """
    debts = {entry.slot: entry.tenure for entry in ledger if isinstance(entry.tenure, Owed)}
    due = {slot: owed.retry.at for slot, owed in debts.items() if owed.retry.is_due(now)}
    if not due or any(owed.releasing is not None for owed in debts.values()):
        return ledger, ()
    slot = min(due, key=lambda one: due[one])
    request = Release(ticket(), slot)
    under_way = replace(debts[slot], releasing=request.ticket)
    entries = (replace(one, tenure=under_way) if one.slot == slot else one for one in ledger)
    return tuple(entries), (request,)


def is_worth_a_warning(entry: Entry, told: float | None, now: float) -> bool:
    """Whether to warn that this slot does not go back: not of one failure, then once an hour.

    `told` is when that was last done, None for never (CLOCK_BOOTTIME, s, as `now`).
    """
    match entry.tenure:
        case Owed(retry=Retry(level=level)):
            return level > TRIED_ONCE and (told is None or now - told >= WARN_EVERY_S)
        case Ours():
            return False


def keep(ledger: Ledger) -> Ledger:
    """The update failed here: what we hold stays ours, so that the roll-out stops (SPEC 9)."""
    return tuple(replace(entry, kept=True) for entry in ledger)


def keep_none(ledger: Ledger) -> Ledger:
    """Nothing is kept any longer; what nobody claims goes back."""
    return tuple(replace(entry, kept=False) for entry in ledger)


def presume(ledger: Ledger, slot: Slot | None) -> Ledger:
    """Take this slot for ours, although nobody asked for it: so it is given back once for sure."""
    if slot is None or any(entry.slot == slot for entry in ledger):
        return ledger
    return (*ledger, Entry(slot=slot, tenure=Ours()))


def _each(ledger: Ledger, slot: Slot, change: Callable[[Entry], Entry | None]) -> Iterator[Entry]:
    for entry in ledger:
        changed = change(entry) if entry.slot == slot else entry
        if changed is not None:
            yield changed

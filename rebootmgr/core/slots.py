"""The ledger of slots (SPEC 6): level-triggered towards what the attempt wants.

A slot is presumed ours from the moment we ask until a clean refusal or a confirmed release. The
ledger stands beside the attempt: nothing that a lock server does or fails to do holds it up.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from rebootmgr.core.backoff import Retry, Wish, next_release, untried
from rebootmgr.core.effects import Acquire, CancelRequest, Effect, Release, TellOutcome
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
from rebootmgr.core.memory import Debt, PastReboot
from rebootmgr.core.model import Moment, Slot, Ticket
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import (
    Disowned,
    Doubt,
    Entry,
    Ours,
    Overdue,
    Owed,
    Recalled,
    UnderWay,
)

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
        Entry(
            slot=debt.slot,
            granted=debt.granted,
            tenure=Ours(),
            doubt=Doubt.UNANSWERED if debt.unanswered else Doubt.NONE,
            kept=debt.kept,
            asked=debt.asked,
            overdue=None if debt.since is None else Overdue(debt.since),
            reports=debt.reports,
        )
        for debt in debts
    )


def debts(ledger: Ledger) -> tuple[Debt, ...]:
    """What of the ledger has to survive: a question under way may go unanswered."""
    return tuple(
        Debt(
            slot=entry.slot,
            granted=entry.granted,
            unanswered=is_doubted(entry) or is_asking(entry),
            kept=entry.kept,
            asked=entry.asked,
            since=None if entry.overdue is None else entry.overdue.since,
            reports=entry.reports,
        )
        for entry in sorted(ledger, key=lambda entry: entry.slot)
        if not is_dropped(entry)
    )


def is_doubted(entry: Entry) -> bool:
    """Whether a question for this slot never got its answer, and may be granted late."""
    return entry.doubt is not Doubt.NONE


def is_asking(entry: Entry) -> bool:
    """Whether a question for this slot is under way."""
    return isinstance(entry.tenure, Ours) and entry.tenure.asking is not None


def is_unfinished(entry: Entry) -> bool:
    """Whether any request for this slot is under way."""
    match entry.tenure:
        case Ours(asking=request) | Owed(releasing=request):
            return request is not None


def is_dropped(entry: Entry) -> bool:
    """Whether somebody gave this debt up, and only the end of its request is waited for."""
    return isinstance(entry.tenure, Owed) and isinstance(entry.tenure.releasing, Disowned)


def is_in_use(entry: Entry) -> bool:
    """Whether a release could take from us what a server lends, or is about to."""
    match entry.tenure:
        case Ours(refused=refused):
            return entry.kept or not refused
        case Owed():
            return False


def is_alike(one: Slot, other: Slot) -> bool:
    """Whether they are one slot, should both names be those of one server."""
    return (one.group, one.id) == (other.group, other.id)


def ask(ledger: Ledger, slot: Slot, ticket: Callable[[], Ticket]) -> tuple[Ledger, Acquire | None]:
    """Put the question, unless an earlier request for this slot is still unfinished."""
    if any(is_unfinished(one) and is_alike(one.slot, slot) for one in ledger):
        return ledger, None
    entry = next((one for one in ledger if one.slot == slot), Entry(slot=slot, tenure=Ours()))
    question = Acquire(ticket(), slot)
    doubt = Doubt.UNANSWERED if is_doubted(entry) else Doubt.NONE
    asked = replace(entry, tenure=Ours(UnderWay(question.ticket)), doubt=doubt, asked=True)
    return (*(one for one in ledger if one.slot != slot), asked), question


def answered(ledger: Ledger, event: LockAnswer) -> Ledger:
    """What an answer to a question says about the slot."""
    return tuple(_each(ledger, event.slot, lambda entry: _after_answer(entry, event)))


def _is_answered(request: UnderWay | Recalled | Disowned | None, ticket: Ticket) -> bool:
    return request is not None and request.ticket == ticket


def _after_answer(entry: Entry, event: LockAnswer) -> Entry | None:
    if not (isinstance(entry.tenure, Ours) and _is_answered(entry.tenure.asking, event.ticket)):
        return entry
    match event:
        case LockGranted(reports=reports):
            return replace(entry, granted=True, tenure=Ours(), overdue=None, reports=reports)
        case LockReserved() | LockUnasked():
            return replace(entry, tenure=Ours())
        case LockUnclear(answered=True):
            return replace(entry, tenure=Ours())
        case LockUnclear():
            return replace(entry, tenure=Ours(), doubt=Doubt.UNANSWERED)
        case LockRefused() if is_doubted(entry) or entry.kept:
            return replace(entry, granted=False, tenure=Ours(refused=True))
        case LockRefused():
            return None


def released(ledger: Ledger, event: ReleaseAnswer, at: Moment, policy: Policy) -> Ledger:
    """What an answer to a release says about the slot."""
    return tuple(_each(ledger, event.slot, lambda one: _after_release(one, event, at, policy)))


def _after_release(entry: Entry, event: ReleaseAnswer, at: Moment, policy: Policy) -> Entry | None:
    if not (isinstance(entry.tenure, Owed) and _is_answered(entry.tenure.releasing, event.ticket)):
        return entry
    if is_dropped(entry):
        return None
    patience = policy.patience
    match event:
        case SlotReleased() if entry.doubt is Doubt.UNANSWERED:
            once_more = Owed(None, untried(at.mono + patience.release_again_s))
            return replace(
                entry, granted=False, tenure=once_more, doubt=Doubt.REPEATED, overdue=None
            )
        case SlotReleased():
            return None
        case ReleaseUnclear(_, _, detail, wish_s, appointed):
            wish = Wish(wish_s, appointed)
            last = entry.tenure.retry
            retry = next_release(last, at.mono, patience, seed=policy.seed, wish=wish)
            since = at.wall if entry.overdue is None else entry.overdue.since
            return replace(entry, tenure=Owed(None, retry), overdue=Overdue(since, detail, at.mono))


def align(ledger: Ledger, claim: Claim, now: float) -> tuple[Ledger, tuple[Effect, ...]]:
    """Turn every slot that nobody wants into a debt, and take back the questions for it."""
    entries: list[Entry] = []
    effects: list[Effect] = []
    for entry in ledger:
        match entry.tenure:
            case Ours() if claim.freeze or entry.slot == claim.slot:
                entries.append(entry)
            case Ours(asking=UnderWay(ticket)):
                effects.append(CancelRequest(ticket))
                entries.append(replace(entry, tenure=Ours(Recalled(ticket))))
            case Ours(asking=None) if not entry.kept:
                entries.append(replace(entry, tenure=Owed(None, untried(now))))
            case Ours() | Owed():
                entries.append(entry)
    return tuple(entries), tuple(effects)


def give_back(
    ledger: Ledger, now: float, ticket: Callable[[], Ticket], *, wanted: Slot | None = None
) -> tuple[Ledger, tuple[Release, ...]]:
    """Send the release that has been due for longest, unless another is under way.

    One at a time: each is a process of its own, and a ledger may be long. And none that could free
    what is `wanted` or in use, should two names be those of one server.
    """
    in_use = [entry.slot for entry in ledger if is_in_use(entry)]
    in_use += [] if wanted is None else [wanted]
    debts = {entry.slot: entry.tenure for entry in ledger if isinstance(entry.tenure, Owed)}
    due = {
        slot: owed.retry.at
        for slot, owed in debts.items()
        if owed.retry.is_due(now) and not any(is_alike(slot, one) for one in in_use)
    }
    if not due or any(owed.releasing is not None for owed in debts.values()):
        return ledger, ()
    slot = min(due, key=lambda one: due[one])
    request = Release(ticket(), slot)
    under_way = replace(debts[slot], releasing=UnderWay(request.ticket))
    entries = (replace(one, tenure=under_way) if one.slot == slot else one for one in ledger)
    return tuple(entries), (request,)


def hush(ledger: Ledger) -> tuple[Ledger, tuple[Effect, ...]]:
    """Take back every release under way: it could free what another agent holds under our id."""
    entries: list[Entry] = []
    effects: list[Effect] = []
    for entry in ledger:
        match entry.tenure:
            case Owed(UnderWay(ticket), retry):
                effects.append(CancelRequest(ticket))
                entries.append(replace(entry, tenure=Owed(Recalled(ticket), retry)))
            case Owed() | Ours():
                entries.append(entry)
    return tuple(entries), tuple(effects)


def drop(ledger: Ledger, slot: Slot) -> tuple[Ledger, tuple[Effect, ...]]:
    """Forget what is owed there, but for the end of a request under way; not what is in use."""
    entries: list[Entry] = []
    effects: list[Effect] = []
    for entry in ledger:
        match entry.tenure:
            case Owed(request, retry) if entry.slot == slot:
                if isinstance(request, UnderWay):
                    effects.append(CancelRequest(request.ticket))
                if request is not None:
                    disowned = Owed(Disowned(request.ticket), retry)
                    entries.append(replace(entry, tenure=disowned))
            case Owed() | Ours():
                entries.append(entry)
    return tuple(entries), tuple(effects)


def is_worth_a_warning(entry: Entry, told: float | None, now: float) -> bool:
    """Whether to warn that this slot does not go back: not of one failure, then once an hour.

    `told` is when that was last done, None for never (CLOCK_BOOTTIME, s, as `now`).
    """
    if not entry.asked or entry.overdue is None or is_dropped(entry):
        return False
    match entry.tenure:
        case Owed(retry=Retry(tries=tries)) if tries <= 1 and told is None:
            return False
        case Owed() | Ours():
            return told is None or now - told >= WARN_EVERY_S


def tell_outcome(ledger: Ledger, reboot: PastReboot) -> tuple[TellOutcome, ...]:
    """Tell what became of it to each server that lent a slot and wants to hear it."""
    return tuple(TellOutcome(one.slot, reboot) for one in ledger if one.reports)


def keep(ledger: Ledger) -> Ledger:
    """The update failed here: what we hold stays ours, so that the roll-out stops (SPEC 9)."""
    return tuple(replace(entry, kept=True) for entry in ledger)


def keep_none(ledger: Ledger) -> Ledger:
    """Nothing is kept any longer; what nobody claims goes back."""
    return tuple(replace(entry, kept=False) for entry in ledger)


def asked_for(ledger: Ledger) -> Ledger:
    """Only what we asked for, in this boot or before: the rest was about another boot."""
    return tuple(entry for entry in ledger if entry.asked)


def confirm(ledger: Ledger, slot: Slot, then: float) -> Ledger | None:
    """Have the server say once, `then`, that nothing is ours, though nobody asked for it.

    None as long as the slot, or one that may be the same under another name, is in use.
    """
    if any(is_in_use(entry) and is_alike(entry.slot, slot) for entry in ledger):
        return None
    if any(entry.slot == slot for entry in ledger):
        return ledger  # it is being given back anyway
    return (*ledger, Entry(slot=slot, tenure=Owed(None, untried(then)), asked=False))


def _each(ledger: Ledger, slot: Slot, change: Callable[[Entry], Entry | None]) -> Iterator[Entry]:
    for entry in ledger:
        changed = change(entry) if entry.slot == slot else entry
        if changed is not None:
            yield changed

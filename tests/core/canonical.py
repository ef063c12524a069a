"""Two states that will behave alike become one: tickets are renumbered, instants and counts fold.

What is folded away never steers a decision, or steers it only by what is left of it: an instant is
due or not due, a ticket is awaited or stale, a boot is this one or another.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rebootmgr.core.backoff import Retry
from rebootmgr.core.memory import Anchor, Ask, Backlog, Durations, Hold, Memory, PastReboot
from rebootmgr.core.model import Blocker, BootId, DeploymentId, Outcome, Reason, Ticket
from rebootmgr.core.states import (
    Asking,
    Cause,
    Checking,
    Committing,
    Entry,
    Ours,
    Owed,
    PostBoot,
    Preparing,
    Promise,
    Rebooting,
    Setback,
    State,
    Undoing,
)

SOON = 1.0
AGED = 3.0 * SOON
"""Every deadline is due by then."""
LONG = 4800.0
"""A drain is done by then, or takes so long that there is no time for the reboot."""
SOMETHING = Blocker(Reason.LOCK_REFUSED, "")
THEN = datetime(2030, 1, 6, tzinfo=UTC)
MEASURED = tuple(
    PastReboot(
        at=THEN - timedelta(days=days),
        target=DeploymentId("old"),
        version="old",
        outcome=Outcome.SUCCEEDED,
        seconds=LONG,
        phases=Durations(hooks_s=3600.0),
    )
    for days in (9, 8, 7)
)
THIS, OTHER = BootId("this"), BootId("other")


def due(mono: float) -> float:
    return 0.0 if mono <= 0.0 else SOON


def retry(value: Retry | None) -> Retry | None:
    return None if value is None else Retry(0, due(value.at))


def boot(value: BootId | None) -> BootId | None:
    return value if value in {None, THIS} else OTHER


def backlog(value: Backlog | None, *, ages: bool) -> Backlog | None:
    if value is None:
        return None
    return Backlog(
        key=value.key,
        since=THEN,
        behind_since=THEN,
        none_since=None if value.none_since is None else THEN,
        anchor=anchor(value.anchor, ages=ages),
    )


def request(value: Ask) -> Ask:
    return replace(value, boot=boot(value.boot) or OTHER, until=THEN, ends=due(value.ends))


def hold(value: Hold) -> Hold:
    if value.span is None:
        return replace(value, since=THEN)
    span = replace(value.span, boot=boot(value.span.boot) or OTHER, ends=due(value.span.ends))
    return replace(value, since=THEN, until=THEN, span=span)


def told(at: float, until: float) -> tuple[float, float]:
    """A warning: its time is not over, or is just over, or was over long ago."""
    if until > 0.0:
        return 0.0, SOON
    return (-1.5 * SOON, 0.0) if at > -2.0 * SOON else (-9.0 * SOON, -8.0 * SOON)


def promise(value: Promise) -> Promise:
    return Promise(value.session, *told(value.at, value.until))


def anchor(value: Anchor | None, *, ages: bool) -> Anchor | None:
    """How old an update is matters only where there are deadlines."""
    if value is None:
        return None
    return Anchor(
        boot=boot(value.boot) or OTHER,
        born=None if value.born is None else max(value.born, -AGED) if ages else 0.0,
        vouched=None if value.vouched is None else THEN,
        gone=None if value.gone is None else 0.0,
    )


def memory(value: Memory, budget: int, *, ages: bool = False) -> Memory:
    intent = value.intent
    if intent is not None:
        intent = replace(
            intent,
            at=THEN,
            waiting_s=0.0,
            lock_s=0.0,
            hooks_s=0.0,
            down_at=None,
            mono=due(intent.mono),
            boot=boot(intent.boot) or OTHER,
        )
    measured = tuple(one for one in value.reboots if one in MEASURED)
    others = tuple(one for one in value.reboots if one not in MEASURED)
    reboots = measured + tuple(
        replace(one, at=THEN, target=DeploymentId(""), version="", seconds=0.0, phases=Durations())
        for one in others[-budget:]
    )
    return replace(
        value,
        settled=boot(value.settled),
        intent=intent,
        reboots=reboots,
        debts=tuple(replace(one, granted=False, since=None) for one in value.debts),
        outcomes=(),
        complaint="",
        reboots_total=0,
        last_seen=None,
        backlog=backlog(value.backlog, ages=ages),
        ask=None if value.ask is None else request(value.ask),
        holds=tuple(map(hold, sorted(value.holds, key=lambda one: one.id))),
        quarantine=tuple(replace(one, why="", since=THEN) for one in value.quarantine),
    )


def state(
    value: State, budget: int, *, levels: bool = False, ages: bool = False
) -> tuple[State, Callable[[Ticket], Ticket]]:
    """The folded state, and how to rename the tickets of the questions under way."""
    names: dict[Ticket, Ticket] = {}

    def name(ticket: Ticket) -> Ticket:
        return names.setdefault(ticket, Ticket(len(names) + 1))

    looking = value.looking
    if looking is not None:
        looking = replace(looking, ticket=name(looking.ticket))
    attempt = value.attempt
    match attempt:
        case PostBoot(int() as ticket):
            attempt = PostBoot(name(ticket))
        case Checking(place, ticket):
            attempt = Checking(place, name(ticket))
        case Asking(target, int() as ticket):
            attempt = Asking(target, name(ticket))
        case Preparing(target, ticket, phase, since):
            begun = 0.0 if since > -LONG else -LONG
            attempt = Preparing(target, name(ticket), phase, begun)
        case Undoing(int() as ticket):
            attempt = Undoing(name(ticket))
        case Committing(target, until, warned_until):
            warned_until = None if warned_until is None else due(warned_until)
            attempt = Committing(target, due(until), warned_until)
        case Rebooting(target_id, float(until), unclear):
            attempt = Rebooting(target_id, due(until), unclear)
        case _:
            pass

    def entry(one: Entry) -> Entry:
        one = replace(one, granted=False)  # it is shown, and decides nothing
        match one.tenure:
            case Ours(request, refused):
                if request is not None:
                    request = replace(request, ticket=name(request.ticket))
                return replace(one, tenure=Ours(request, refused), overdue=None)
            case Owed(sent, failed):
                if sent is not None:
                    sent = replace(sent, ticket=name(sent.ticket))
                return replace(one, tenure=Owed(sent, Retry(0, due(failed.at))), overdue=None)

    ledger = tuple(entry(one) for one in sorted(value.ledger, key=lambda one: one.slot))
    setbacks = tuple(
        Setback(cause, SOMETHING, Retry(failed.retry.tries if levels else 0, due(failed.retry.at)))
        for cause in Cause
        if (failed := value.setback(cause)) is not None and (levels or failed.retry.at > 0.0)
    )
    checks = value.passed_checks_at
    known = replace(
        value.known,
        booted_at=None if value.known.booted_at is None else THEN,
        working_since=None if value.known.working_since is None else 0.0,
        os_unknown_since=None if value.known.os_unknown_since is None else 0.0,
    )
    folded = replace(
        value,
        attempt=attempt,
        known=known,
        ledger=ledger,
        looking=looking,
        look_again=retry(value.look_again),
        ask_again=None if value.ask_again is None else due(value.ask_again),
        setbacks=setbacks,
        graces=tuple(
            replace(one, until=due(one.until))
            for one in sorted(value.graces, key=lambda one: one.key)
        ),
        promises=tuple(map(promise, sorted(value.promises, key=lambda one: one.session))),
        passed_checks_at=None if checks is None or checks < 0.0 else 0.0,
        told=tuple(
            sorted(
                (one for one in value.told if one.due >= -SOON),
                key=lambda one: (one.session, one.due),
            )
        ),
        queued_since=None,
        save_again=retry(value.save_again),
        memory=memory(value.memory, budget, ages=ages),
        tickets=len(names),
    )
    return folded, lambda ticket: names.get(ticket, Ticket(0))

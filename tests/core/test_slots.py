"""The ledger by itself: who is asked, what stays ours, and when it goes back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

from rebootmgr.core.backoff import untried
from rebootmgr.core.effects import Acquire, CancelRequest, Release
from rebootmgr.core.events import (
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnclear,
    ReleaseUnclear,
    SlotReleased,
)
from rebootmgr.core.memory import Debt
from rebootmgr.core.model import Moment, Slot, Ticket
from rebootmgr.core.policy import Policy
from rebootmgr.core.slots import (
    Claim,
    Ledger,
    align,
    ask,
    debts,
    give_back,
    is_worth_a_warning,
    keep,
    keep_none,
    load,
    released,
)
from rebootmgr.core.slots import answered as heard
from rebootmgr.core.states import Entry, Ours, Owed

ONE = Slot("https://one.example", "default", "me")
TWO = Slot("https://two.example", "default", "me")
POLICY = Policy(seed="me")
HELD = (Entry(slot=ONE, tenure=Ours()),)
NOW = 1000.0
START = datetime(2030, 1, 6, tzinfo=UTC)
NOTHING = Claim()


def tickets(first: int = 1) -> Callable[[], Ticket]:
    """A fresh ticket for each call."""
    numbers = count(first)
    return lambda: Ticket(next(numbers))


def moment(mono: float) -> Moment:
    return Moment(wall=START + timedelta(seconds=mono), mono=mono)


def owed(*slots: Slot) -> Ledger:
    return tuple(Entry(slot=slot, tenure=Owed(None, untried(NOW))) for slot in slots)


def fail(ledger: Ledger, now: float, *, wish: float = 0.0) -> tuple[Ledger, float]:
    """Send what is due, and let it fail; the wait until the next try."""
    ledger, (release,) = give_back(ledger, now, tickets())
    assert isinstance(release, Release)
    unclear = ReleaseUnclear(release.ticket, release.slot, "HTTP 500", wish)
    ledger = released(ledger, unclear, moment(now), POLICY)
    (entry,) = [one for one in ledger if one.slot == release.slot]
    assert isinstance(entry.tenure, Owed)
    return ledger, entry.tenure.retry.at - now


def test_an_abandoned_slot_is_given_back_at_once() -> None:
    ledger, effects = align(HELD, NOTHING, NOW)
    assert effects == ()
    _, effects = give_back(ledger, NOW, tickets(5))
    assert effects == (Release(Ticket(5), ONE),)


def test_a_release_that_lost_a_race_comes_again_soon_then_in_the_common_rhythm() -> None:
    ledger, now, waits = owed(ONE), NOW, []
    for _ in range(9):
        ledger, wait = fail(ledger, now)
        waits.append(wait)
        now += wait
    assert 1.0 <= waits[0] <= 3.0
    for wait, middle in zip(waits[1:], (10, 20, 40, 80, 160, 240, 270, 303.75), strict=True):
        assert 0.5 * middle <= wait <= 1.5 * middle


def test_a_server_that_asks_for_patience_gets_it_for_a_release_too() -> None:
    _, wait = fail(owed(ONE), NOW, wish=60.0)
    assert 60.0 <= wait <= 75.0


def test_each_server_has_a_rhythm_of_its_own() -> None:
    ledger = owed(ONE)
    now = NOW
    for _ in range(8):
        ledger, wait = fail(ledger, now)
        now += wait
    before = now - 1.0
    both = (*ledger, *align((Entry(slot=TWO, tenure=Ours()),), NOTHING, before)[0])
    assert give_back(both, before, tickets())[1] == (Release(Ticket(1), TWO),)


def test_debts_are_paid_one_at_a_time_and_who_waits_longest_is_next() -> None:
    """Each request is a process of its own, and a ledger may be as long as a file says."""
    slots = [replace(ONE, id=f"n{n}") for n in range(64)]
    owed_since = {slot: NOW - n for n, slot in enumerate(slots)}
    ledger = tuple(
        entry
        for slot, since in owed_since.items()
        for entry in align((Entry(slot=slot, tenure=Ours()),), NOTHING, since)[0]
    )
    paid = []
    while ledger:
        ledger, (request,) = give_back(ledger, NOW, tickets())
        assert give_back(ledger, NOW, tickets()) == (ledger, ()), "one is under way"
        paid.append(request.slot)
        ledger = released(ledger, SlotReleased(request.ticket, request.slot), moment(NOW), POLICY)
    assert paid == slots[::-1]


def test_a_server_that_does_not_answer_lets_the_next_have_its_turn() -> None:
    ledger, (first,) = give_back((*owed(ONE), *owed(TWO)), NOW, tickets())
    unclear = ReleaseUnclear(first.ticket, first.slot, "timed out")
    ledger = released(ledger, unclear, moment(NOW), POLICY)
    _, (second,) = give_back(ledger, NOW, tickets())
    assert {first.slot, second.slot} == {ONE, TWO}


def test_a_question_takes_a_debt_over_and_starts_its_rhythm_anew() -> None:
    ledger, _ = fail(owed(ONE), NOW)
    ledger, question = ask(ledger, ONE, tickets(9))
    assert question == Acquire(Ticket(9), ONE)
    assert debts(ledger) == (Debt(slot=ONE, unanswered=True, since=moment(NOW).wall),)
    ledger = heard(ledger, LockGranted(Ticket(9), ONE))
    assert debts(ledger) == (Debt(slot=ONE, granted=True),)
    ledger, _ = align(ledger, NOTHING, NOW)
    _, wait = fail(ledger, NOW)
    assert wait <= 3.0


def test_requests_for_one_slot_are_one_at_a_time() -> None:
    releasing, _ = give_back(owed(ONE), NOW, tickets())
    assert ask(releasing, ONE, tickets()) == (releasing, None)
    assert give_back(releasing, NOW, tickets()) == (releasing, ())
    asking, _ = ask((), ONE, tickets())
    assert ask(asking, ONE, tickets(2)) == (asking, None)
    cancelled, effects = align(asking, NOTHING, NOW)
    assert effects == (CancelRequest(Ticket(1)),)
    assert give_back(cancelled, NOW, tickets()) == (cancelled, ())
    assert align(cancelled, NOTHING, NOW) == (cancelled, ())


def test_an_answer_to_another_request_changes_nothing() -> None:
    asking, _ = ask((), ONE, tickets(4))
    assert heard(asking, LockRefused(Ticket(3), ONE, "")) == asking
    assert heard(asking, LockRefused(Ticket(4), TWO, "")) == asking
    releasing, _ = give_back(owed(ONE), NOW, tickets(4))
    assert released(releasing, SlotReleased(Ticket(3), ONE), moment(NOW), POLICY) == releasing


def test_a_grant_is_one_until_it_is_refused_or_given_back() -> None:
    asking, _ = ask((), ONE, tickets())
    granted = heard(asking, LockGranted(Ticket(1), ONE))
    assert load(debts(granted)) == granted, "also after a restart"
    again, _ = ask(granted, ONE, tickets(2))
    assert heard(again, LockUnclear(Ticket(2), ONE, "", answered=False))[0].granted
    assert heard(again, LockReserved(Ticket(2), ONE, ""))[0].granted
    kept = tuple(replace(one, kept=True) for one in again)
    assert not heard(kept, LockRefused(Ticket(2), ONE, ""))[0].granted
    assert align(granted, NOTHING, NOW)[0][0].granted, "owed, and not given back"


def test_only_a_clean_refusal_leaves_the_ledger_empty() -> None:
    asking, _ = ask((), ONE, tickets())
    ours = (Entry(slot=ONE, tenure=Ours()),)
    assert heard(asking, LockRefused(Ticket(1), ONE, "")) == ()
    granted = (Entry(slot=ONE, granted=True, tenure=Ours()),)
    assert heard(asking, LockGranted(Ticket(1), ONE)) == granted
    assert heard(asking, LockReserved(Ticket(1), ONE, "")) == ours
    assert heard(asking, LockUnclear(Ticket(1), ONE, "", answered=True)) == ours
    lost = heard(asking, LockUnclear(Ticket(1), ONE, "", answered=False))
    assert debts(lost) == (Debt(slot=ONE, unanswered=True),)


def test_a_refusal_does_not_answer_an_older_question() -> None:
    """Which may still be granted late: it was never answered."""
    asking, _ = ask((), ONE, tickets())
    lost = heard(asking, LockUnclear(Ticket(1), ONE, "", answered=False))
    again, _ = ask(lost, ONE, tickets(2))
    refused = heard(again, LockRefused(Ticket(2), ONE, ""))
    assert debts(refused) == (Debt(slot=ONE, unanswered=True),)


def test_after_an_unanswered_question_a_release_is_sent_twice_however_it_fails() -> None:
    ledger = load([Debt(slot=ONE, unanswered=True)])
    ledger, _ = align(ledger, NOTHING, NOW)
    ledger, wait = fail(ledger, NOW)
    now = NOW + wait
    ledger, _ = give_back(ledger, now, tickets(7))
    ledger = released(ledger, SlotReleased(Ticket(7), ONE), moment(now), POLICY)
    assert give_back(ledger, now + 299.9, tickets())[1] == ()
    ledger, wait = fail(ledger, now + 300.0)
    assert wait <= 3.0
    now += 300.0 + wait
    ledger, _ = give_back(ledger, now, tickets(8))
    assert released(ledger, SlotReleased(Ticket(8), ONE), moment(now), POLICY) == ()


def test_a_kept_slot_survives_everything_but_being_freed() -> None:
    ledger = keep(HELD)
    assert align(ledger, NOTHING, NOW) == (ledger, ())
    asking, _ = ask(ledger, ONE, tickets())
    assert debts(heard(asking, LockRefused(Ticket(1), ONE, ""))) == (Debt(slot=ONE, kept=True),)
    freed, _ = align(keep_none(ledger), NOTHING, NOW)
    assert give_back(freed, NOW, tickets())[1] == (Release(Ticket(1), ONE),)


def test_one_failure_is_no_warning_and_a_lasting_one_is_a_warning_an_hour() -> None:
    ledger, now, told = owed(ONE), NOW, None
    assert not is_worth_a_warning(HELD[0], None, now)
    assert not is_worth_a_warning(ledger[0], None, now)
    warned: list[float] = []
    for tries in range(20):  # which come more often than that
        ledger, wait = fail(ledger, now)
        if is_worth_a_warning(ledger[0], told, now):
            assert tries > 0
            told = now
            warned.append(now)
        now += wait
    hours = (now - NOW) / 3600
    assert hours - 1 <= len(warned) <= hours + 1
    assert all(later - earlier >= 3600 for earlier, later in pairwise(warned))


def test_a_server_that_asks_for_patience_is_worth_a_warning_at_once() -> None:
    ledger, _ = fail(owed(ONE), NOW, wish=3600.0)
    assert is_worth_a_warning(ledger[0], None, NOW)

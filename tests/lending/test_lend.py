"""What a host is told, case by case."""

import tracemalloc
from dataclasses import replace
from datetime import UTC, time, timedelta
from statistics import median
from typing import Final

from rebootmgr.core.window import Blackout, Calendar, Weekly
from rebootmgr.lending.desk import (
    Asked,
    Desk,
    Event,
    HungUp,
    Read,
    Reply,
    StoreRead,
    WriteFailed,
    Written,
)
from rebootmgr.lending.group import Fleet
from rebootmgr.lending.lend import MOST_GROUPS, decide
from rebootmgr.lending.questions import (
    Ambiguous,
    Crowded,
    Done,
    FreezeGroup,
    Frozen,
    Granted,
    Joined,
    Kind,
    Left,
    Lent,
    NoSuchHolder,
    PreReboot,
    Refused,
    Release,
    Returned,
    SetSlots,
    SlotsSet,
    SteadyState,
    TakenBack,
    Thaw,
    Thawed,
    Unavailable,
    UnknownGroup,
)
from rebootmgr.lending.saved import Saved
from rebootmgr.lending.terms import Moment, Rules, Terms
from tests.lending.counter import BEGIN, Counter, back, refused, wish

TRIES: Final = 51


def test_a_slot_is_lent_once_and_again_to_its_holder() -> None:
    counter = Counter()
    assert counter.ask(wish("a")) == Granted()
    assert counter.ask(wish("a")) == Granted(again=True)
    assert counter.written == [Lent("default", "a", "", BEGIN)]


def test_a_refusal_says_who_holds_and_how_many_wait() -> None:
    counter = Counter()
    counter.ask(wish("a", name="worker-1"))
    counter.ask(wish("b"))
    answer = refused(counter.ask(wish("c")))
    assert answer.kind is Kind.ALL_SLOTS_FULL
    assert (answer.lent, answer.slots, answer.holders) == (1, 1, ("worker-1",))
    assert (answer.place, answer.waiting) == (2, 2)


def test_a_host_joins_the_queue_with_one_write_and_is_refused_again_with_none() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    counter.ask(wish("b"))
    counter.written.clear()
    counter.later(300)
    counter.ask(wish("b"))
    assert counter.written == []


def test_a_held_answer_becomes_a_grant_when_the_slot_comes_back() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    assert counter.ask(wish("b", wait_s=60)) is None
    assert counter.ask(back("a")) == Returned(had=True)
    assert counter.told[2] == Granted()


def test_of_those_held_back_the_first_goes_first() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    counter.ask(wish("b", wait_s=60))
    counter.ask(wish("c", wait_s=60))
    counter.ask(back("a"))
    assert counter.told[2] == Granted()
    assert 3 not in counter.told


def test_of_those_that_meet_the_one_that_came_earlier_goes_first() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    counter.ask(wish("b"))
    counter.later(1)
    told_s = refused(counter.ask(wish("c"))).retry_after_s
    counter.later(told_s)
    counter.on(Asked(10, back("a")))
    counter.on(Asked(11, wish("c")))
    counter.on(Asked(12, wish("b")))
    counter.on(Written())
    counter.on(Written())
    assert counter.told[12] == Granted()
    assert isinstance(counter.told[11], Refused)


def test_an_answer_is_held_for_a_minute_at_most() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    counter.ask(wish("b", wait_s=3600))
    counter.later(60)
    assert refused(counter.told[2]).retry_after_s == 1


def test_only_the_next_ones_are_held() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    assert counter.ask(wish("b", wait_s=60)) is None
    assert counter.ask(wish("c", wait_s=60)) is None
    assert refused(counter.ask(wish("d", wait_s=60))).retry_after_s > 100


def test_a_free_slot_is_kept_for_seconds_for_who_is_expected_and_then_it_is_anybodys() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    told_s = refused(counter.ask(wish("b"))).retry_after_s
    counter.later(told_s - 2)
    counter.ask(back("a"))
    assert refused(counter.ask(wish("c"))).kind is Kind.QUEUED
    counter.later(10)
    assert counter.ask(wish("c")) == Granted()


def test_who_comes_as_told_finds_its_slot() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    told_s = refused(counter.ask(wish("b"))).retry_after_s
    counter.later(told_s - 2)
    counter.ask(back("a"))
    counter.ask(wish("c"))
    counter.later(2)
    assert counter.ask(wish("b")) == Granted()


def test_a_return_of_nothing_is_confirmed() -> None:
    assert Counter().ask(back("a")) == Returned(had=False)


def test_a_return_to_a_group_that_is_not_configured_any_more_is_taken() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    counter.rules = Rules(groups={})
    assert counter.ask(wish("a")) == Granted(again=True)
    assert counter.ask(back("a")) == Returned(had=True)
    assert counter.ask(wish("a")) == UnknownGroup()


def test_two_hosts_are_not_told_to_come_back_in_the_same_second() -> None:
    counter = Counter(max=99)
    counter.ask(wish("a"))
    for number in range(40):
        counter.ask(wish(f"h{number}"))
    told = [refused(counter.ask(wish(f"h{number}"))).retry_after_s for number in range(20, 40)]
    assert max(told) <= 3600
    assert len(set(told)) > 10


def test_who_has_not_asked_for_three_of_its_intervals_has_left() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    told_s = refused(counter.ask(wish("b"))).retry_after_s
    counter.later(max(3 * told_s, 900) - 61)
    assert Left("default", "b") not in counter.written
    counter.later(122)
    assert Left("default", "b") in counter.written


def test_a_crowded_queue_writes_nothing_down_but_takes_every_return() -> None:
    counter = Counter(max=1)
    counter.ask(wish("a"))
    counter.ask(wish("b"))
    counter.written.clear()
    assert isinstance(counter.ask(wish("c")), Crowded)
    assert counter.written == []
    assert counter.ask(wish("a")) == Granted(again=True)
    assert counter.ask(back("a")) == Returned(had=True)


def test_groups_that_nobody_configured_are_bounded() -> None:
    rules, fleet, at = Rules(any_group=True), Fleet(), Moment(BEGIN, 0.0)
    for number in range(MOST_GROUPS):
        fleet = decide(fleet, number, PreReboot(f"g{number}", "a"), rules, at).fleet
    answers = decide(fleet, 0, PreReboot("one more", "a"), rules, at).answers
    assert answers == ((0, UnknownGroup()),)
    fleet = decide(fleet, 0, SteadyState("g7", "a"), rules, at).fleet
    answers = decide(fleet, 0, PreReboot("one more", "a"), rules, at).answers
    assert answers == ((0, Granted()),)


def test_a_slot_is_released_by_id_or_by_a_name_that_is_one_hosts() -> None:
    counter = Counter(slots=3)
    counter.ask(wish("a", name="worker"))
    counter.ask(wish("b", name="worker"))
    counter.ask(wish("c", name="other"))
    assert counter.ask(Release("default", "worker")) == Ambiguous(("a", "b"))
    assert counter.ask(Release("default", "nobody")) == NoSuchHolder()
    assert counter.ask(Release("default", "other")) == Done()
    assert counter.ask(Release("default", "a")) == Done()
    assert TakenBack("default", "c") in counter.written


def test_fewer_slots_take_none_back_and_more_are_lent_at_once() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    assert counter.ask(SetSlots("default", 0)) == Done()
    assert counter.ask(wish("a")) == Granted(again=True)
    assert counter.ask(wish("b", wait_s=60)) is not None
    counter.later(3600)
    counter.ask(wish("b", wait_s=60))
    assert counter.ask(SetSlots("default", 2)) == Done()
    assert counter.ask(wish("b")) in {Granted(), Granted(again=True)}


def test_a_frozen_group_grants_nothing_takes_returns_and_says_why() -> None:
    counter = Counter(slots=2)
    counter.ask(wish("a"))
    until = BEGIN + timedelta(minutes=30)
    assert counter.ask(FreezeGroup("default", "the new kernel panics", until, "root")) == Done()
    answer = refused(counter.ask(wish("b", wait_s=60)))
    assert (answer.kind, answer.detail, answer.until) == (
        Kind.FROZEN,
        "the new kernel panics",
        until,
    )
    assert 1800 <= answer.retry_after_s <= 1860
    assert counter.ask(wish("a")) == Granted(again=True)
    assert counter.ask(back("a")) == Returned(had=True)
    counter.later(answer.retry_after_s)
    assert counter.written[-1] == Thawed("default")
    assert counter.ask(wish("b")) == Granted()


def test_a_freeze_of_all_holds_in_every_group_and_thaw_ends_it_at_once() -> None:
    counter = Counter()
    counter.ask(wish("a"))
    assert counter.ask(wish("b", wait_s=60)) is None
    counter.ask(FreezeGroup("", "audit"))
    counter.ask(back("a"))
    assert 2 not in counter.told
    assert refused(counter.ask(wish("c"))).kind is Kind.FROZEN
    assert counter.ask(Thaw("")) == Done()
    assert counter.told[2] == Granted()


def test_a_freeze_outlives_a_restart() -> None:
    counter = Counter()
    counter.desk = Desk()
    counter.on(StoreRead(Saved(freezes=(Frozen("default", "why", None, "root", BEGIN),))))
    assert refused(counter.ask(wish("a"))).detail == "why"
    counter.on(StoreRead(Saved(freezes=(Frozen("", "of all", None, "root", BEGIN),))))
    assert refused(counter.ask(wish("a"))).detail == "of all"


def test_a_group_that_there_is_not_is_neither_frozen_nor_thawed() -> None:
    counter = Counter()
    assert counter.ask(FreezeGroup("none", "why")) == UnknownGroup()
    assert counter.ask(Thaw("none")) == UnknownGroup()
    assert counter.ask(Thaw("default")) == Done()
    assert counter.written == []


def test_nothing_is_granted_outside_the_windows_and_who_asks_comes_back_when_one_opens() -> None:
    """Sunday begins; the window opens on Sunday at two, and is cut by a blackout at three."""
    window = Weekly(days=frozenset({6}), start=time(2), length=timedelta(hours=2), zone=UTC)
    blackout = Blackout(
        name="sale", start=BEGIN.replace(hour=3), end=BEGIN.replace(hour=9), zone=UTC
    )
    calendar = Calendar(periodic=True, windows=(window,), blackouts=(blackout,))
    counter = Counter()
    counter.rules = Rules(groups={"default": Terms(calendar=calendar)})
    early = refused(counter.ask(wish("a")))
    assert (early.kind, early.until) == (Kind.OUTSIDE_WINDOW, BEGIN.replace(hour=2))
    assert early.retry_after_s <= 3600
    counter.later(5400)
    soon = refused(counter.ask(wish("a")))
    assert 1800 <= soon.retry_after_s <= 1860
    counter.later(soon.retry_after_s)
    assert counter.ask(wish("a")) == Granted()
    counter.later(3600)
    late = refused(counter.ask(wish("b")))
    assert (late.kind, late.detail) == (Kind.BLACKOUT, "sale")
    assert counter.ask(back("a")) == Returned(had=True)


def test_a_number_of_slots_for_a_span_ends_by_itself() -> None:
    counter = Counter()
    counter.ask(SetSlots("default", 2, BEGIN + timedelta(hours=1)))
    assert counter.ask(wish("a")) == Granted()
    assert counter.ask(wish("b")) == Granted()
    counter.ask(back("b"))
    counter.later(3600)
    assert counter.written[-1] == SlotsSet("default", None, None)
    assert refused(counter.ask(wish("b"))).slots == 1


def test_while_the_store_fails_nobody_is_granted_and_nobody_refused() -> None:
    counter = Counter()
    counter.on(Asked(1, wish("a")))
    effects = counter.on(WriteFailed())
    assert effects == (Reply(1, Unavailable()), Read())
    assert counter.on(Asked(2, wish("b"))) == (Reply(2, Unavailable()),)
    counter.on(StoreRead(Saved(holders=(Lent("default", "a", "", BEGIN),))))
    counter.number = 2
    assert counter.ask(wish("a")) == Granted(again=True)


def test_a_question_whose_client_hung_up_before_its_write_began_is_dropped() -> None:
    counter = Counter()
    counter.on(Asked(1, wish("a")))
    counter.on(Asked(2, back("a")))
    counter.on(HungUp(2, back("a")))
    counter.on(Asked(3, wish("b")))
    counter.on(HungUp(3, wish("b")))
    assert counter.on(Written()) == (Reply(1, Granted()),)


def test_after_a_restart_the_queue_is_as_it_was() -> None:
    rows = tuple(Joined("default", host, "", n, BEGIN) for n, host in enumerate("bcd", 1))
    counter = Counter()
    counter.desk = replace(Desk(), fleet=Fleet())
    counter.on(StoreRead(Saved((Lent("default", "a", "", BEGIN),), rows)))
    answer = refused(counter.ask(wish("c")))
    assert (answer.place, answer.waiting) == (2, 3)
    assert refused(counter.ask(wish("e"))).place == 4
    counter.later(3 * 3600 - 120)
    assert Left("default", "b") not in counter.written
    counter.later(240)
    assert Left("default", "b") in counter.written


def test_a_thousand_and_more_that_wait_keep_their_order_whoever_leaves() -> None:
    fleet, at = Fleet(), Moment(BEGIN, 0.0)
    rules = Rules(groups={"default": Terms(slots=1)})
    for number in range(1001):
        fleet = decide(fleet, number, wish(f"h{number}"), rules, at).fleet
    for number in range(2, 1001, 3):
        fleet = decide(fleet, number, back(f"h{number}"), rules, at).fleet
    queue = fleet.group("default").queue
    expected = [f"h{number}" for number in range(1, 1001) if number % 3 != 2]
    assert [entry.id for entry in queue] == expected
    assert [queue.ahead_of(entry.ticket) for entry in queue] == list(range(len(expected)))
    assert queue.find("h2") is None
    assert all(queue.find(host) is not None for host in expected)


def bytes_each(hosts: int) -> tuple[float, float]:
    """What a question takes at its most where so many wait for one write, and what a hang-up does.

    The middle of many: now and then a table of all grows.
    """
    counter = Counter(max=hosts + TRIES)
    counter.on(Asked(0, wish("first")))
    for number in range(1, hosts):
        counter.on(Asked(number, wish(f"h{number}")))
    more = range(hosts, hosts + TRIES)
    tracemalloc.start()
    try:
        asked = [taken(counter, Asked(number, wish(f"h{number}"))) for number in more]
        left = [taken(counter, HungUp(number, wish(f"h{number}"))) for number in more]
    finally:
        tracemalloc.stop()
    counter.on(Written())
    counter.on(Written())
    assert len(counter.told) == hosts
    return median(asked), median(left)


def taken(counter: Counter, event: Event) -> int:
    """How much more memory there was than before, at the most, in bytes."""
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    counter.on(event)
    _, peak = tracemalloc.get_traced_memory()
    return peak - before


def test_a_crowd_costs_each_question_no_more_than_a_few_do() -> None:
    """There are forty times as many: whoever copies them all takes so much more."""
    few, many = bytes_each(500), bytes_each(20_000)
    assert many[0] < 8 * few[0]
    assert many[1] < 8 * few[1]

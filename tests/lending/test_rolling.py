"""A roll-out goes in order, and stops when it goes wrong: each rule by itself."""

from datetime import timedelta

from rebootmgr.lending.group import MOST_VERSIONS
from rebootmgr.lending.questions import (
    About,
    Ambiguous,
    Answer,
    Came,
    Done,
    Failed,
    Granted,
    Halted,
    Kind,
    Lent,
    NoSuchHolder,
    PreReboot,
    Report,
    Resume,
    Resumed,
    Returned,
    SetSlots,
    SteadyState,
    TakenBack,
    UnknownGroup,
)
from rebootmgr.lending.saved import Saved
from rebootmgr.lending.terms import Rules, Terms
from tests.lending.counter import BEGIN, Counter, back, refused, wish

HOUR_S = 3600.0


def counter_of(**groups: Terms) -> Counter:
    counter = Counter()
    counter.rules = Rules(groups=groups)
    return counter


def failed(host: str, why: str = "rolled back") -> Report:
    return Report("default", host, why)


# Settle time


def test_a_slot_that_came_back_rests_and_the_other_is_lent() -> None:
    counter = counter_of(default=Terms(slots=2, settle_s=600))
    counter.ask(wish("a"))
    assert counter.ask(back("a")) == Returned(had=True)
    assert counter.ask(wish("b")) == Granted()
    answer = refused(counter.ask(wish("c")))
    assert answer.kind is Kind.SETTLING
    assert 600 <= answer.retry_after_s <= 660
    counter.later(599)
    assert refused(counter.ask(wish("c"))).kind is Kind.SETTLING
    counter.later(1)
    assert counter.ask(wish("c")) == Granted()


def test_who_waits_on_the_line_gets_the_slot_when_it_has_rested() -> None:
    counter = counter_of(default=Terms(settle_s=30))
    counter.ask(wish("a"))
    counter.ask(back("a"))
    assert counter.ask(wish("b", wait_s=60)) is None
    counter.later(30)
    assert counter.told[counter.number] == Granted()


def test_a_slot_rests_through_a_restart() -> None:
    counter = counter_of(default=Terms(slots=2, settle_s=600))
    counter.later(100)
    rows = Saved((Lent("default", "a", "", BEGIN),), came=(Came("default", "v2", BEGIN),))
    counter.restart(rows)
    assert refused(counter.ask(wish("b"))).kind is Kind.SETTLING
    counter.later(500)
    assert counter.ask(wish("b")) == Granted()


def test_a_slot_taken_back_from_a_dead_host_does_not_rest() -> None:
    counter = counter_of(default=Terms(settle_s=600))
    counter.ask(wish("a"))
    counter.ask(Resume("default", forgive="a"))
    assert counter.ask(wish("b")) == Granted()


# Halts


def test_a_failed_holder_halts_its_group_until_people_resume_it() -> None:
    counter = counter_of(default=Terms(slots=3))
    counter.ask(wish("a", name="worker-1"))
    assert counter.ask(failed("a")) == Done()
    assert counter.written[-2:] == [
        Failed("default", "a", "rolled back"),
        Halted("default", "the reboot of worker-1 failed: rolled back", BEGIN),
    ]
    answer = refused(counter.ask(wish("b")))
    assert (answer.kind, answer.retry_after_s <= 600) == (Kind.HALTED, True)
    assert counter.ask(back("a")) == Returned(had=True)
    assert refused(counter.ask(wish("b"))).kind is Kind.HALTED
    assert counter.ask(Resume("default")) == Done()
    assert counter.written[-1] == Resumed("default")
    assert counter.ask(wish("b")) == Granted()


def test_so_many_failed_holders_at_once_as_are_wanted_halt_a_group() -> None:
    counter = counter_of(default=Terms(slots=4, halt_after=2))
    for host in "abc":
        counter.ask(wish(host))
    counter.ask(failed("a"))
    counter.ask(failed("a"))
    assert counter.ask(wish("d")) == Granted()
    counter.ask(failed("a", ""))
    counter.ask(failed("b"))
    assert not any(isinstance(one, Halted) for one in counter.written)
    counter.ask(failed("c"))
    assert isinstance(counter.written[-1], Halted)


def test_a_host_without_a_slot_halts_nothing_and_nothing_halts_where_it_is_not_wanted() -> None:
    counter = counter_of(default=Terms(slots=2, halt_after=0))
    counter.ask(failed("a"))
    counter.ask(wish("b"))
    counter.ask(failed("b"))
    assert counter.ask(wish("c")) == Granted()


def test_resuming_does_not_forget_who_failed_and_the_next_to_fail_halts_again() -> None:
    counter = counter_of(default=Terms(slots=3))
    counter.ask(wish("a"))
    counter.ask(failed("a"))
    counter.ask(Resume("default"))
    assert counter.ask(wish("b")) == Granted()
    counter.ask(failed("a", "still"))
    assert counter.ask(wish("c")) == Granted()
    counter.ask(failed("b"))
    assert refused(counter.ask(wish("d"))).kind is Kind.HALTED


def test_to_forgive_takes_the_slot_back_and_lends_it_at_once() -> None:
    counter = counter_of(default=Terms())
    counter.ask(wish("a", name="worker-1"))
    counter.ask(failed("a"))
    counter.ask(wish("b"))
    assert counter.ask(Resume("default", forgive="nobody")) == NoSuchHolder()
    assert counter.ask(Resume("none")) == UnknownGroup()
    assert refused(counter.ask(wish("b"))).kind is Kind.HALTED
    assert counter.ask(Resume("default", forgive="worker-1")) == Done()
    assert TakenBack("default", "a") in counter.written
    assert counter.ask(wish("b")) == Granted()


def test_of_two_holders_of_one_name_neither_is_forgiven() -> None:
    counter = counter_of(default=Terms(slots=2))
    counter.ask(wish("a", name="worker"))
    counter.ask(wish("b", name="worker"))
    assert counter.ask(Resume("default", forgive="worker")) == Ambiguous(("a", "b"))


def test_all_slots_overdue_are_a_halt_that_ends_when_one_comes_back() -> None:
    counter = counter_of(default=Terms(slots=2, max_hold_s=HOUR_S))
    counter.ask(wish("a"))
    counter.later(10)
    counter.ask(wish("b"))
    counter.later(HOUR_S)
    assert refused(counter.ask(wish("c"))).kind is Kind.ALL_SLOTS_FULL
    counter.later(1)
    answer = refused(counter.ask(wish("c")))
    assert answer.kind is Kind.HALTED
    assert answer.detail == "all slots are held for longer than 60 minutes"
    counter.ask(back("a"))
    assert counter.ask(wish("c")) == Granted()


def test_a_halt_outlives_a_restart() -> None:
    counter = counter_of(default=Terms(slots=2))
    holder = Lent("default", "a", "", BEGIN, failed="rolled back")
    counter.restart(Saved((holder,), halts=(Halted("default", "why", BEGIN),)))
    assert refused(counter.ask(wish("b"))).detail == "why"
    assert counter.desk.fleet.group("default").holders["a"].failed == "rolled back"


# Canaries


def canaries(**more: Terms) -> Counter:
    terms = Terms(slots=2, after=("canary",), soak_s=HOUR_S)
    return counter_of(canary=Terms(), default=terms, **more)


def to(version: str) -> About:
    return About(target=version)


def canary_gets(counter: Counter, version: str) -> Answer | None:
    counter.ask(PreReboot("canary", "c", about=to(version)))
    counter.later(60)
    return counter.ask(SteadyState("canary", "c", About(booted=version)))


def test_a_host_waits_until_a_canary_came_back_with_its_target_and_all_were_quiet() -> None:
    counter = canaries()
    early = refused(counter.ask(wish("a", wait_s=60, about=to("v2"))))
    assert early.kind is Kind.WAITING_FOR_GROUP
    assert early.detail == "no host of group canary has come back with v2"
    assert 3500 <= early.retry_after_s <= 3600
    canary_gets(counter, "v2")
    soaking = refused(counter.ask(wish("a", about=to("v2"))))
    assert soaking.detail == "group canary has not been quiet for long enough"
    counter.later(HOUR_S - 1)
    assert refused(counter.ask(wish("a", about=to("v2")))).kind is Kind.WAITING_FOR_GROUP
    counter.later(1)
    assert counter.ask(wish("a", about=to("v2"))) == Granted()
    assert refused(counter.ask(wish("b", about=to("v3")))).kind is Kind.WAITING_FOR_GROUP


def test_a_canary_that_fell_back_lets_nobody_through() -> None:
    counter = canaries()
    counter.ask(PreReboot("canary", "c", about=to("v2")))
    counter.ask(SteadyState("canary", "c", About(booted="v1")))
    counter.later(2 * HOUR_S)
    assert refused(counter.ask(wish("a", about=to("v2")))).kind is Kind.WAITING_FOR_GROUP


def test_a_canary_that_waits_or_failed_lets_nobody_through() -> None:
    counter = canaries()
    canary_gets(counter, "v2")
    counter.later(2 * HOUR_S)
    counter.ask(PreReboot("canary", "d", about=to("v2")))
    answer = refused(counter.ask(wish("a", about=to("v2"))))
    assert answer.detail == "hosts of group canary hold or wait for slots"
    counter.ask(SteadyState("canary", "d", About(booted="v2")))
    counter.later(HOUR_S)
    counter.ask(Report("canary", "d", "rolled back"))
    assert refused(counter.ask(wish("a", about=to("v2")))).kind is Kind.WAITING_FOR_GROUP
    counter.later(HOUR_S)
    assert counter.ask(wish("a", about=to("v2"))) == Granted()


def test_clients_that_tell_no_version_wait_for_any_return_of_the_week() -> None:
    counter = canaries()
    assert refused(counter.ask(wish("a"))).detail == (
        "no host of group canary has come back within 7 days"
    )
    canary_gets(counter, "")
    counter.later(HOUR_S)
    assert counter.ask(wish("a")) == Granted()
    counter.ask(back("a"))
    counter.later(7 * 24 * HOUR_S)
    assert refused(counter.ask(wish("a"))).kind is Kind.WAITING_FOR_GROUP


def test_who_may_not_go_yet_holds_up_nobody_who_may() -> None:
    counter = canaries()
    canary_gets(counter, "v2")
    counter.later(HOUR_S)
    counter.ask(wish("a", about=to("v3")))
    assert counter.ask(wish("b", about=to("v2"))) == Granted()


def test_after_a_restart_canaries_are_known_and_soak_anew() -> None:
    counter = canaries()
    counter.restart(Saved(came=(Came("canary", "v2", BEGIN - timedelta(days=30)),)))
    counter.later(HOUR_S - 1)
    assert refused(counter.ask(wish("a", about=to("v2")))).kind is Kind.WAITING_FOR_GROUP
    counter.later(1)
    assert counter.ask(wish("a", about=to("v2"))) == Granted()


def test_a_canary_that_holds_through_a_restart_soaks_from_its_return() -> None:
    counter = canaries()
    counter.restart(Saved((Lent("canary", "c", "", BEGIN),)))
    counter.later(2 * HOUR_S)
    counter.ask(SteadyState("canary", "c", About(booted="v2")))
    assert refused(counter.ask(wish("a", about=to("v2")))).kind is Kind.WAITING_FOR_GROUP


def test_of_the_versions_that_came_back_the_latest_are_known() -> None:
    counter = counter_of(default=Terms())
    for number in range(2 * MOST_VERSIONS):
        counter.ask(wish("a"))
        counter.ask(back("a", f"v{number}"))
    came = counter.desk.fleet.group("default").came
    assert list(came) == [f"v{number}" for number in range(MOST_VERSIONS, 2 * MOST_VERSIONS)]


# Spread


def rack(value: str) -> About:
    return About(labels=(("rack", value),))


def test_of_one_rack_so_many_are_down_at_once_and_others_go_on() -> None:
    counter = counter_of(default=Terms(slots=4, spread="rack", spread_slots=2))
    assert counter.ask(wish("a1", about=rack("a"))) == Granted()
    assert counter.ask(wish("a2", about=rack("a"))) == Granted()
    answer = refused(counter.ask(wish("a3", about=rack("a"))))
    assert (answer.kind, answer.detail) == (Kind.SPREAD, "2 with rack=a")
    assert answer.retry_after_s > 60
    assert counter.ask(wish("b1", about=rack("b"))) == Granted()
    assert counter.ask(wish("c1")) == Granted()
    assert refused(counter.ask(wish("a3", about=rack("a")))).kind is Kind.ALL_SLOTS_FULL
    counter.ask(back("a1"))
    assert counter.ask(wish("a3", about=rack("a"))) == Granted()


def test_of_those_that_are_held_no_more_of_a_rack_are_let_go_at_once() -> None:
    counter = counter_of(default=Terms(slots=1, spread="rack"))
    counter.ask(wish("x"))
    assert counter.ask(wish("a1", 60, about=rack("a"))) is None
    assert counter.ask(wish("a2", 60, about=rack("a"))) is None
    counter.ask(SetSlots("default", 3))
    assert counter.told[2] == Granted()
    assert 3 not in counter.told


def test_a_rack_is_down_through_a_restart() -> None:
    counter = counter_of(default=Terms(slots=4, spread="rack"))
    counter.restart(Saved((Lent("default", "a1", "", BEGIN, rack("a")),)))
    assert refused(counter.ask(wish("a2", about=rack("a")))).kind is Kind.SPREAD


def test_who_is_behind_many_of_another_rack_is_told_of_its_own_turn() -> None:
    counter = counter_of(default=Terms(slots=2, max_waiting=99, spread="rack"))
    for number in range(40):
        counter.ask(wish(f"a{number}", about=rack("a")))
    counter.ask(wish("b0", about=rack("b")))
    behind = refused(counter.ask(wish("b1", about=rack("b"))))
    last = refused(counter.ask(wish("a39", about=rack("a"))))
    assert behind.retry_after_s < 600 < last.retry_after_s

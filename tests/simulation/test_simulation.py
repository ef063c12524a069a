"""What a simulated fleet does: the figures that people plan with, and the promise about timing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, time, timedelta

import pytest

from rebootmgr.core.policy import DeadlineStep, Policy, Waivable
from rebootmgr.core.window import Blackout, Calendar
from rebootmgr.simulation.report import Rollout
from rebootmgr.simulation.scenario import Terms
from tests.simulation.fleets import BEGIN, daily, in_windows, random_scenario, scenario, simulate

AROUND_S, SETTLING_S = 900, 300
BUSY = 2  # requests a second


def worst_peak(found: Rollout, *, bin_s: int) -> float:
    """After five minutes, the fullest bin against the mean of the half an hour around it.

    Where less than `BUSY` requests a second come on average, bins are so empty that one has twice
    its share by chance, and nobody minds.
    """
    bins = [0] * ((max(found.requests) - SETTLING_S) // bin_s)
    for second, count in found.requests.items():
        if SETTLING_S <= second < SETTLING_S + len(bins) * bin_s:
            bins[(second - SETTLING_S) // bin_s] += count
    near = AROUND_S // bin_s
    around = [bins[max(place - near, 0) : place + near] for place in range(len(bins))]
    means = [sum(those) / len(those) for those in around]
    return max(here / mean for here, mean in zip(bins, means, strict=True) if mean >= BUSY * bin_s)


def test_a_slot_is_handed_on_from_host_to_host() -> None:
    found = simulate(replace(scenario(3, 1), spread=0.0))
    assert found.updated == 3
    assert (found.never, found.unfinished) == ((), ())
    assert sorted(found.done.values()) == [1, 2, 3]
    assert max(found.down.values()) == 1
    assert timedelta(minutes=15) < found.duration < timedelta(minutes=15 + 2 * 6)
    assert 15 / 27 < found.utilisation < 1


def test_enough_slots_for_everybody_make_one_round_of_two_requests_each() -> None:
    found = simulate(replace(scenario(50, 50), spread=0.0))
    assert (found.updated, found.all_requests, found.peak) == (50, 100, 50)
    assert found.duration == timedelta(minutes=5)
    assert found.utilisation == pytest.approx(1.0)


def test_a_fleet_that_begins_together_spreads_and_keeps_its_slots_busy(
    record_property: Callable[[str, object], None],
) -> None:
    """`make bench` has 10,000 of them."""
    found = simulate(scenario(2000, 20))
    peak = worst_peak(found, bin_s=10)
    record_property("peak", peak)
    assert found.updated == 2000
    assert found.utilisation >= 0.97
    assert found.all_requests / found.hosts < 70
    assert peak <= 2.0


def test_what_does_not_fit_into_the_window_is_left_and_says_so() -> None:
    window = Calendar(periodic=True, windows=(daily(time(22), timedelta(hours=1)),), fit=True)
    found = simulate(scenario(100, 2, in_windows(window), length_s=6 * 3600.0))
    (left,) = found.unfinished
    assert found.never == ()
    assert found.updated == 100 - left.hosts
    assert 18 <= found.updated <= 24
    assert left.why[0][0] == "outside_window"


def test_nothing_begins_that_would_not_end_in_its_window() -> None:
    window = Calendar(periodic=True, windows=(daily(time(22), timedelta(minutes=8)),))
    found = simulate(scenario(20, 1, in_windows(window), length_s=4 * 3600.0))
    assert found.updated == 1
    assert found.last_update is not None
    assert found.last_update.time() <= time(22, 8)


def test_failed_updates_keep_their_slots_and_stop_the_roll_out() -> None:
    found = simulate(replace(scenario(40, 2), failures=1.0))
    reasons = {left.why[0][0]: left.hosts for left in found.never}
    assert (found.updated, reasons) == (0, {"lock_refused": 38, "slot_kept": 2})
    assert found.unfinished == ()
    assert found.ended - found.begun < timedelta(hours=1)


def test_failed_updates_may_give_their_slots_back() -> None:
    policy = replace(in_windows(Calendar()), keep_slot_on_failed_update=False)
    found = simulate(replace(scenario(40, 2, policy), failures=0.5))
    assert [left.why[0][0] for left in found.never] == ["rolled_back"]
    assert found.updated + found.never[0].hosts == 40


def test_while_the_server_is_gone_nobody_goes_on_and_afterwards_everybody_does() -> None:
    calm = scenario(60, 3)
    outage = Terms(slots=3, outages=((600.0, 1800.0),))
    found, undisturbed = simulate(replace(calm, terms=outage)), simulate(calm)
    assert found.updated == 60
    lost = found.duration - undisturbed.duration
    assert timedelta(minutes=10) < lost < timedelta(minutes=40)


def test_a_slow_server_answers_no_faster_than_it_can() -> None:
    quick = scenario(200, 100)
    slow = replace(quick, terms=Terms(slots=100, rate=2.0))
    assert most_down(simulate(quick), before=30) == 100
    assert 40 <= most_down(simulate(slow), before=30) <= 60
    assert simulate(slow).updated == 200


def most_down(found: Rollout, *, before: int) -> int:
    return max(level for second, level in found.down.items() if second < before)


def test_groups_have_slots_of_their_own_and_zones_windows_of_their_own() -> None:
    grouped = replace(scenario(40, 1), terms=Terms(slots=1, groups=2))
    assert max(simulate(grouped).down.values()) == 2
    found = simulate(random_scenario(11))
    left = sum(left.hosts for left in (*found.never, *found.unfinished))
    assert found.updated + left == found.hosts


def test_who_waits_for_a_slot_or_is_down_when_the_time_is_over_is_unfinished() -> None:
    found = simulate(scenario(10, 1, length_s=400.0))
    assert {left.why[0][0]: left.hosts for left in found.unfinished} == {
        "lock_refused": 8,
        "rebooting": 1,
    }
    assert (found.updated, found.never) == (1, ())


def test_who_is_not_staged_when_the_time_is_over_is_unfinished() -> None:
    found = simulate(replace(scenario(10, 10, length_s=3600.0), staging_s=7200.0))
    assert "idle" in {left.why[0][0] for left in found.unfinished}
    assert found.never == ()


def test_a_calendar_that_does_not_open_any_more_is_never() -> None:
    freeze = Blackout(name="x", start=BEGIN, end=BEGIN + timedelta(days=900), zone=UTC)
    shut = in_windows(Calendar(periodic=False, blackouts=(freeze,)))
    found = simulate(scenario(10, 10, shut, length_s=86400.0))
    assert [left.why[0][0] for left in found.never] == ["blackout"]
    assert found.unfinished == ()


def test_a_group_whose_slots_are_all_kept_is_lost_and_another_is_not() -> None:
    """Of 40 in two groups of one slot, whoever fails first stops its own group alone."""
    grouped = replace(
        scenario(40, 1, length_s=3600.0), terms=Terms(slots=1, groups=2), failures=0.02
    )
    found = next(
        found
        for seed in range(50)
        if (found := simulate(replace(grouped, seed=str(seed)))).never and found.unfinished
    )
    reasons = {left.why[0][0]: left.hosts for left in found.never}
    assert reasons["slot_kept"] == 1
    assert "kept by a host whose update failed" in found.never[0].why[0][1]
    assert found.updated + sum(reasons.values()) + sum(e.hosts for e in found.unfinished) == 40


def test_a_seed_is_a_fleet_and_another_seed_another() -> None:
    first, second = scenario(30, 2), replace(scenario(30, 2), seed="1")
    assert simulate(first) == simulate(first)
    assert simulate(first).requests != simulate(second).requests


HOUR = timedelta(hours=1)


def by_deadline(after: timedelta, *names: Waivable, calendar: Calendar) -> Policy:
    step = DeadlineStep(after=after, waive=frozenset(names))
    return replace(in_windows(calendar), deadlines=(step,))


def test_who_finds_no_slot_in_its_window_goes_by_the_deadline_and_is_counted() -> None:
    """Of twelve with a slot and an hour each night, some find none before their deadline."""
    nights = Calendar(periodic=True, windows=(daily(time(22), HOUR),))
    policy = by_deadline(12 * HOUR, Waivable.WINDOWS, calendar=nights)
    found = simulate(replace(scenario(30, 1, policy), spread=0.0))
    ends = [BEGIN + timedelta(seconds=second) for second, _ in rises(found)]
    nightly = [end for end in ends if end <= BEGIN + 3 * HOUR]
    assert (found.updated, len(ends)) == (30, 30)
    assert 8 <= len(nightly) <= 12
    assert found.by_deadline == 30 - len(nightly)
    assert min(set(ends) - set(nightly)) >= BEGIN + 12 * HOUR
    assert max(ends) < BEGIN + 24 * HOUR


def rises(found: Rollout) -> list[tuple[int, int]]:
    """When hosts were done, one entry for each."""
    before, each = 0, []
    for second, level in sorted(found.done.items()):
        each += [(second, level)] * (level - before)
        before = level
    return each


def test_who_needs_no_deadline_is_not_counted_though_it_is_past_it() -> None:
    """At the same instant the window is open without it."""
    nights = Calendar(periodic=True, windows=(daily(time(22), 2 * HOUR),))
    policy = by_deadline(2 * HOUR, Waivable.WINDOWS, calendar=nights)
    found = simulate(replace(scenario(9, 3, policy), spread=0.0))
    assert (found.updated, found.by_deadline) == (9, 0)
    late = simulate(replace(scenario(9, 3, by_deadline(HOUR, Waivable.WINDOWS, calendar=nights))))
    assert (late.updated, late.by_deadline) == (9, 9)


def test_a_deadline_that_lets_hosts_go_in_too_short_a_window_is_counted() -> None:
    short = Calendar(
        periodic=True,
        windows=(daily(time(21), timedelta(minutes=4)), daily(time(3), HOUR)),
    )
    assert simulate(scenario(3, 3, in_windows(short), length_s=3600.0 * 4)).updated == 0
    policy = by_deadline(timedelta(minutes=30), Waivable.FIT, calendar=short)
    found = simulate(scenario(3, 3, policy, length_s=3600.0 * 4))
    assert (found.updated, found.by_deadline) == (3, 3)


def test_no_deadline_lets_anybody_go_in_a_blackout_and_never_is_not_said_too_soon() -> None:
    freeze = Blackout(name="x", start=BEGIN, end=BEGIN + timedelta(days=900), zone=UTC)
    ever = Calendar(periodic=True, windows=(), blackouts=(freeze,))
    policy = by_deadline(HOUR, *Waivable, calendar=ever)
    found = simulate(scenario(10, 10, policy, length_s=86400.0))
    assert ([left.why[0][0] for left in found.never], found.updated) == (["blackout"], 0)
    shut = Calendar(periodic=True, windows=())
    soon = simulate(
        scenario(5, 5, by_deadline(9 * HOUR, *Waivable, calendar=shut), length_s=3600.0)
    )
    assert ([left.hosts for left in soon.unfinished], soon.never) == ([5], ())
    assert "by deadline" in soon.unfinished[0].why[0][1]
    assert simulate(scenario(5, 5, in_windows(shut), length_s=3600.0)).never[0].hosts == 5

"""Fleets through rebootmgr-lockd: what it does better, and what stops it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.needed import slots_needed
from rebootmgr.simulation.report import Rollout, outcome
from rebootmgr.simulation.scenario import Scenario
from tests.simulation.fleets import scenario, simulate


def lent(hosts: int, slots: int, **more: object) -> Scenario:
    made = scenario(hosts, slots)
    return replace(made, terms=replace(made.terms, lends=True), **more)  # type: ignore[arg-type]


def reasons(found: Rollout) -> set[str]:
    return {word for left in found.never for word, _ in left.why}


def test_appointments_leave_fewer_slots_idle_and_take_fewer_requests() -> None:
    plain, ours = simulate(scenario(80, 4)), simulate(lent(80, 4))
    assert plain.updated == ours.updated == 80
    assert ours.utilisation > max(plain.utilisation, 0.97)
    assert ours.all_requests < plain.all_requests / 2
    assert max(ours.down.values()) == 4


def test_who_polls_as_zincati_does_is_served_among_the_others() -> None:
    found = simulate(lent(80, 4, polling=0.5))
    assert found.updated == 80
    assert found.utilisation > 0.88
    assert simulate(lent(40, 2, polling=1.0)).updated == 40
    assert simulate(replace(scenario(40, 2), polling=1.0)).updated == 40


def test_the_others_wait_for_the_canaries_and_soak() -> None:
    found = simulate(lent(20, 2, canaries=2, soak_s=7200.0))
    assert found.updated == 20
    begin = min(found.done)
    done_at = [second - begin for second, done in found.done.items() if done > 2]
    assert min(done_at) >= 7200
    assert found.duration < timedelta(hours=4), "and then they go"


def test_a_failed_update_halts_the_group_and_what_is_under_way_ends() -> None:
    found = simulate(lent(60, 3, failures=0.05))
    assert 0 < found.updated < 60
    assert reasons(found) == {"slot_kept", "lock_refused"}
    halted = max(found.never, key=lambda left: left.hosts)
    assert "fleet resume" in halted.why[0][1]
    assert found.unfinished == ()
    assert found.duration < timedelta(days=1)


@pytest.mark.parametrize("lends", [False, True])
def test_hosts_that_never_come_back_take_their_slots_with_them(*, lends: bool) -> None:
    made = lent(60, 3, deaths=0.1)
    found = simulate(replace(made, terms=replace(made.terms, lends=lends)))
    assert found.updated < 60
    assert "died" in reasons(found)
    dead = [left.hosts for left in found.never if left.why[0][0] == "died"]
    assert dead == [3]


def test_the_shortcuts_change_nothing() -> None:
    made = lent(24, 2, polling=0.3, failures=0.05, canaries=3, soak_s=600.0, staging_s=900.0)
    whole = Fleet(made, shortcuts=False)
    for _ in whole.run():
        pass
    assert outcome(whole) == simulate(made)


def test_as_many_slots_are_needed_as_are_named() -> None:
    within_s = 3 * 3600.0
    for made in (lent(60, 1), replace(lent(60, 1), polling=0.5), scenario(60, 1)):
        needed = slots_needed(made, within_s)
        assert needed is not None
        found, rollout = needed
        assert rollout.updated == 60
        assert rollout.ended - rollout.begun <= timedelta(seconds=within_s)
        fewer = replace(found, terms=replace(found.terms, slots=found.terms.slots - 1))
        assert simulate(replace(fewer, length_s=within_s)).updated < 60


def test_no_number_of_slots_is_named_where_none_will_do() -> None:
    assert slots_needed(lent(60, 1), 200.0) is None
    assert slots_needed(lent(60, 1, failures=0.1), 86400.0) is None

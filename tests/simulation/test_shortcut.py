"""The shortcut of the simulation decides nothing: the whole machine does exactly the same."""

from collections.abc import Callable

import pytest

from rebootmgr.core.states import Asking, State
from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.report import Rollout, outcome
from rebootmgr.simulation.scenario import Scenario
from tests.simulation.fleets import ListeningServer, random_scenario

SEEDS = range(1, 25)


def live_through(
    scenario: Scenario, *, shortcuts: bool
) -> tuple[list[object], list[State | None], Rollout]:
    fleet = Fleet(scenario, shortcuts=shortcuts)
    fleet.world.server = server = ListeningServer(fleet)
    for _ in fleet.run():
        pass
    return [*server.told], [host.state for host in fleet.hosts], outcome(fleet)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fleet_asks_and_is_answered_as_if_every_event_went_through_the_machine(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    scenario = random_scenario(seed)
    short, whole = (live_through(scenario, shortcuts=shortcuts) for shortcuts in (True, False))
    assert short[0] == whole[0]
    assert short[2] == whole[2]
    for foreseen, decided in zip(short[1], whole[1], strict=True):
        if decided is None or not isinstance(decided.attempt, Asking):  # an answer is under way
            assert foreseen == decided
    record_property("requests", len(whole[0]))

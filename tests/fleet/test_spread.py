"""A thousand agents that begin in the same second must not stay together."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from rebootmgr.core.policy import ClockRule, Patience, Policy
from rebootmgr.core.window import Calendar, Weekly
from tests.core.script import EPOCH
from tests.fleet.simulation import Fleet, policy_of

AGENTS = 1000
SEEDS = range(1, 6)
MINUTE_S = 60.0
LONG_S = 3 * MINUTE_S  # back-off only grows: what comes later is thinner
FEW = 0.05 * AGENTS
OPENS_S = 600.0


@pytest.mark.parametrize("seed", SEEDS)
def test_agents_whose_update_is_staged_in_the_same_second_spread_their_requests(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    fleet = crowd(seed, by_the_book)
    fleet.world.agenda.run_until(LONG_S)
    record_property("spread", check_spread(fleet.network.sent))


def test_agents_whose_window_opens_in_the_same_second_spread_their_requests() -> None:
    fleet = crowd(SEEDS[0], in_a_window)
    fleet.world.agenda.run_until(OPENS_S - 1)
    assert fleet.network.sent == []
    fleet.world.agenda.run_until(OPENS_S + LONG_S)
    check_spread([at - OPENS_S for at in fleet.network.sent])


def test_agents_that_find_the_server_gone_spread_their_requests() -> None:
    fleet = crowd(SEEDS[0], by_the_book)
    fleet.network.up = False
    fleet.world.agenda.run_until(LONG_S)
    check_spread(fleet.network.sent)


def check_spread(sent: list[float]) -> tuple[int, int]:
    """The most requests in any one second: of the first minute, and after it."""
    assert len([at for at in sent if at < 1]) >= AGENTS  # they did begin together
    first = busiest_second([at for at in sent if at < MINUTE_S])
    later = busiest_second([at for at in sent if at >= MINUTE_S])
    assert 0 < later <= FEW
    return first, later


def busiest_second(sent: list[float]) -> int:
    """How many of `sent` (ascending) lie in one second, wherever that begins."""
    start = most = 0
    for end, at in enumerate(sent):
        while at - sent[start] >= 1.0:
            start += 1
        most = max(most, end - start + 1)
    return most


def crowd(seed: int, policy: Callable[[str], Policy]) -> Fleet:
    """Agents in fine weather, all of which see their update in the same instant."""
    fleet = Fleet(seed, agents=AGENTS, policy_of=policy, fine=True)
    for agent in fleet.agents.values():
        agent.wake()
    for agent in fleet.agents.values():
        agent.host.publish()
    return fleet


def by_the_book(name: str) -> Policy:
    """Waiting as long as a daemon really does."""
    return replace(policy_of(name), patience=Patience())


def in_a_window(name: str) -> Policy:
    """Open from `OPENS_S` on, by the wall clock."""
    opens = EPOCH + timedelta(seconds=OPENS_S)
    window = Weekly(
        days=frozenset(range(7)), start=opens.time(), length=timedelta(hours=2), zone=UTC
    )
    calendar = Calendar(periodic=True, windows=(window,))
    return replace(by_the_book(name), calendar=calendar, clock=ClockRule.NEVER)

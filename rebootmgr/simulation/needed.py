"""How many slots a roll-out takes that is to be over by some time."""

from collections.abc import Iterator
from dataclasses import replace

from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.report import Rollout, outcome
from rebootmgr.simulation.scenario import UP_S, Scenario


def slots_needed(scenario: Scenario, by_s: float) -> tuple[Scenario, Rollout] | None:
    """Find the fewest slots of each group with which every host is updated `by_s` after the begin.

    Of a configured server, in each group after which no other goes. None: no number will do.
    """
    ends = replace(scenario, length_s=min(scenario.length_s, by_s))

    def run(slots: int) -> tuple[Scenario, Rollout] | None:
        with_slots = ends.with_slots(slots)
        fleet = Fleet(with_slots)
        for _ in fleet.run():
            pass
        found = outcome(fleet)
        last = fleet.world.tally.last_update
        is_done = found.updated == scenario.hosts and last is not None and last - UP_S <= by_s
        return (with_slots, found) if is_done else None

    best = run(scenario.largest)
    if best is None:
        return None
    low = 0
    for slots in _guesses(scenario, by_s):
        found = run(slots)
        if found is not None:
            best = found
            break
        low = slots
    high = best[0].terms.slots
    while high - low > 1:
        middle = (low + high) // 2
        found = run(middle)
        if found is None:
            low = middle
        else:
            best, high = found, middle
    return best


def _guesses(scenario: Scenario, by_s: float) -> Iterator[int]:
    """Give numbers to try, from what would do if no second were lost, below one for each host."""
    most = scenario.largest
    mean_s = sum(scenario.reboots_s) / len(scenario.reboots_s)
    guess = min(max(int(most * mean_s / by_s), 1), most)
    while guess < most:
        yield guess
        guess += max(guess // 8, 1)

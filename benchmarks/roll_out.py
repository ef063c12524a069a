"""10,000 hosts whose window opens in the same second, and 100 slots: how busy, how even."""

from dataclasses import replace
from typing import Final

from benchmarks.figures import Figure, Figures, count
from tests.simulation.fleets import scenario, simulate
from tests.simulation.test_simulation import worst_peak

HOSTS: Final = 10_000
SLOTS: Final = 100
SEEDS: Final = range(1, 4)


def run() -> Figures:
    """Give the worst of some seeds, set against what is 1 by definition."""
    found = [simulate(replace(scenario(HOSTS, SLOTS), seed=str(seed))) for seed in SEEDS]
    requests = [each.all_requests / each.hosts for each in found]
    return {
        "slots": count(1.0),
        "slots in use": count(min(each.utilisation for each in found)),
        "mean of half an hour": count(1.0),
        "fullest 10 s of it": count(max(worst_peak(each, bin_s=10) for each in found)),
        "requests for each host": Figure(tuple(requests), "", (2.0,) * len(found)),
    }

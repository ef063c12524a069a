"""Roll-outs in virtual time: how busy the slots are, how much is asked, how long anybody waits.

10,000 hosts whose window opens in the same second, and 100 slots of a server that only refuses;
then the same through what rebootmgr-lockd decides by, also with hosts that poll as they please and
with noise, and small fleets, of which the tail is a larger part.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import mean
from typing import Final

from benchmarks.figures import Figure, Figures, count
from tests.lending.roll_out import RollOut, fleet_of, strict_waits
from tests.simulation.fleets import scenario, simulate
from tests.simulation.test_simulation import worst_peak

HOSTS: Final = 10_000
SLOTS: Final = 100
SEEDS: Final = range(1, 4)
EACH: Final = 100  # hosts for each slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """A fleet that asks rebootmgr-lockd; `deaf` is the share that polls."""

    name: str
    slots: int = SLOTS
    deaf: float = 0.0
    noisy: bool = False


LENT: Final = (
    Lent(name="lent"),
    Lent(name="lent, noise", noisy=True),
    Lent(name="lent, half polls", deaf=0.5),
    Lent(name="lent, half polls, noise", deaf=0.5, noisy=True),
    Lent(name="lent, 30 slots, half polls", slots=30, deaf=0.5),
    Lent(name="lent, 10 slots", slots=10),
    Lent(name="lent, 10 slots, half polls", slots=10, deaf=0.5),
    Lent(name="lent, 3 slots", slots=3),
    Lent(name="lent, 3 slots, half polls", slots=3, deaf=0.5),
    Lent(name="lent, 1 slot", slots=1),
    Lent(name="lent, 1 slot, half polls", slots=1, deaf=0.5),
)


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
        "a request": count(1.0),
        "a strict queue": count(1.0),
        **{name: figure for each in LENT for name, figure in _lent(each)},
    }


def _lent(fleet: Lent) -> Iterator[tuple[str, Figure]]:
    """Give what came of one; the return of the slot is a request, too."""
    hosts = fleet_of(fleet.slots * EACH, deaf=fleet.deaf, plain=0.0, noisy=fleet.noisy, seed=1)
    strict = max(strict_waits(hosts, fleet.slots))
    report = RollOut(hosts, fleet.slots, 1).run()
    patient = [requests + 1 for requests in report.requests["patient"]]
    yield f"{fleet.name}: slots in use", count(report.use)
    yield f"{fleet.name}: longest wait", count(max(report.waits_s) / strict)
    yield f"{fleet.name}: requests, mean", count(mean(patient))
    yield f"{fleet.name}: requests, most", count(max(patient))

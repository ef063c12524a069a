"""The phase is stable for ever and spreads a fleet evenly."""

from collections import Counter
from itertools import pairwise

import pytest

from rebootmgr.core.window import phase_of


def test_the_phase_of_a_node_never_changes() -> None:
    assert phase_of("de35106b6ec24688b63afddaa156679b") == 0.6155076880916355


@pytest.mark.parametrize("node_id", ["", "\x00", "ü", "\udcff", "a" * 10_000])
def test_every_node_id_has_a_phase(node_id: str) -> None:
    assert 0 <= phase_of(node_id) < 1


@pytest.mark.parametrize("name", ["{:032x}", "node-{}", "{}"])
def test_a_fleet_is_spread_evenly(name: str) -> None:
    """Chi-square over 64 bins: 63 degrees of freedom stay under 103.4 in 999 cases of 1000."""
    hosts, bins = 20_000, 64
    found = Counter(int(phase_of(name.format(n)) * bins) for n in range(hosts))
    expected = hosts / bins
    assert sum((found[n] - expected) ** 2 / expected for n in range(bins)) < 103.4


def test_neighbours_are_not_neighbours_in_time() -> None:
    phases = [phase_of(f"node-{n}") for n in range(5_000)]
    near = sum(abs(a - b) < 0.01 for a, b in pairwise(phases))
    assert near / len(phases) < 0.03  # 2 % by chance

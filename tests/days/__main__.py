"""`python -m tests.days [--overdue] SEED...` lives through these months again: what broke?

`--overdue`: those of hosts that have deadlines.
"""

import sys
from collections.abc import Callable

from tests.days import overdue, simulation
from tests.days.simulation import ViolationError


def main(seeds: list[str]) -> int:
    """Try each; 1 if any promise was broken."""
    live_through: Callable[[int], object] = simulation.live_through
    if seeds[:1] == ["--overdue"]:
        live_through, seeds = overdue.live_through, seeds[1:]
    broken = 0
    for seed in map(int, seeds):
        try:
            print(f"seed {seed}: {live_through(seed)}")
        except ViolationError as error:
            print(error)
            broken += 1
    return 1 if broken or not seeds else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

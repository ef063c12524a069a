"""Let simulated fleets live through one storm after the other, and say which broke a promise.

`python -m tests.soak [--seeds N] [--from SEED] [--agents N]`: a fresh first seed each time unless
`--from` repeats one. The exit status is 1 when any promise was broken; each seed is a whole fleet.
"""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Final

from tests.fleet.simulation import AGENTS, Fleet, Tally, ViolationError

SEEDS: Final = 2000
EVERY_S: Final = 10.0
SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Broken:
    """What a seed found."""

    seed: int
    story: str


def live_through(seed: int, *, agents: int) -> Tally | Broken:
    """One fleet, from the first update to the last."""
    try:
        return Fleet(seed, agents=agents).run()
    except ViolationError as error:
        return Broken(seed, str(error))


def results(first: int, seeds: int, agents: int) -> Iterator[Tally | Broken]:
    """What each seed came to, in order, worked out on every processor."""
    with get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=200) as pool:
        yield from pool.imap(partial(live_through, agents=agents), range(first, first + seeds))


def main(arguments: list[str]) -> int:
    """Run, and report every few seconds."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N")
    parser.add_argument("--from", type=int, dest="first", metavar="SEED")
    parser.add_argument("--agents", type=int, default=AGENTS, metavar="N")
    options = parser.parse_args(arguments)
    first = secrets.randbelow(10**9) if options.first is None else options.first
    print(f"{options.seeds} seeds from {first}, {options.agents} agents each", flush=True)
    began = told = time.monotonic()
    grants = faults = 0
    broken: list[Broken] = []
    for done, result in enumerate(results(first, options.seeds, options.agents), 1):
        match result:
            case Broken(seed, story):
                broken.append(result)
                if len(broken) <= SHOWN:
                    print(story)
                print(f"seed {seed} is BROKEN: --from {seed} --seeds 1", flush=True)
            case Tally():
                grants += result.grants
                faults += result.faults
        if time.monotonic() - told > EVERY_S or done == options.seeds:
            told = time.monotonic()
            print(
                f"{told - began:6.0f} s: {done} seeds from {first}, {grants} grants, "
                f"{faults} faults, {len(broken)} broken",
                flush=True,
            )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

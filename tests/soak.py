"""Let simulated fleets and months go by, one after the other, and say which broke a promise.

`python -m tests.soak [--fleets N] [--months N] [--overdue N] [--kills N] [--storms N] [--rounds N]
[--from SEED] [--agents N] [--no-walk]`:
a fresh first seed each time unless `--from` repeats one. A fleet lives through one storm
(tests/fleet), a month belongs to a host or two (tests/days), an overdue one to a host that has
deadlines, and a lock server is killed fifty times (tests/lockd). Two lock servers live through a
storm on a model of etcd, and through a round of failures on a real one (tests/fleet_etcd). Before
that the world model is walked where most happens at once, and the daemon starts on ten thousand
damaged files. The exit status is 1 when any promise was broken.
"""

import argparse
import asyncio
import logging
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from tests.days import overdue
from tests.days import simulation as days
from tests.fleet import simulation as fleet
from tests.fleet_etcd import rounds
from tests.lockd import etcd_storms, kills

FLEETS: Final = 2000
MONTHS: Final = 5000
OVERDUE: Final = 200
EVERY_S: Final = 10.0
KILLS: Final = 10_000
LIVES: Final = 50  # of a seed
STORMS: Final = 5000
ROUNDS: Final = 20
ROUND_HOSTS: Final = 200
MINUTE_S: Final = 60.0
SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Broken:
    """What a seed found."""

    seed: int
    story: str


Seen = Counter[str] | Broken


def live_as_a_fleet(seed: int, *, agents: int) -> Seen:
    """One fleet, from the first update to the last, at our server if odd; what it saw."""
    try:
        tally = fleet.Fleet(seed, agents=agents, own=seed % 2 == 1).run()
    except fleet.ViolationError as error:
        return Broken(seed, str(error))
    return Counter(grants=tally.grants, faults=tally.faults)


def live_for_a_month(seed: int) -> Seen:
    """One month; what it saw."""
    try:
        tally = days.live_through(seed)
    except days.ViolationError as error:
        return Broken(seed, str(error))
    outcomes = {str(outcome): number for outcome, number in tally.outcomes.items()}
    seen = Counter(days=round(tally.days), faults=tally.faults, reboots=tally.calls)
    return seen + Counter(outcomes)


def live_with_deadlines(seed: int) -> Seen:
    """One month of a host that has deadlines; what it saw."""
    try:
        return Counter(asdict(overdue.live_through(seed)))
    except days.ViolationError as error:
        return Broken(seed, str(error))


def kill_a_server(seed: int) -> Seen:
    """Kill one fifty times; what its clients were told."""
    with tempfile.TemporaryDirectory(prefix="rebootmgr-kills-") as folder:
        try:
            return asyncio.run(kills.Kills(Path(folder), seed).run(LIVES))
        except BaseExceptionGroup as errors:
            broken, rest = errors.split(kills.BrokenPromiseError)
            if rest is not None or broken is None:
                raise
            return Broken(seed, str(broken.exceptions[0]))
        except kills.BrokenPromiseError as error:
            return Broken(seed, str(error))


def live_through_a_storm(seed: int) -> Seen:
    """Two servers on a model of etcd; what their hosts were told."""
    logging.disable(logging.CRITICAL)
    try:
        return etcd_storms.live_through(seed)
    except BaseExceptionGroup as errors:
        return _broken(seed, errors, etcd_storms.BrokenPromiseError)


def live_through_a_round(seed: int) -> Seen:
    """Two servers on a real etcd, of which everything fails once; what their hosts were told."""
    with tempfile.TemporaryDirectory(prefix="rebootmgr-rounds-") as folder:
        try:
            pause_s = MINUTE_S if seed % 5 == 0 else 0.0
            one = rounds.Round(Path(folder), seed, ROUND_HOSTS, pause_s)
            return asyncio.run(one.run(rounds.FAILURES))
        except BaseExceptionGroup as errors:
            return _broken(seed, errors, rounds.BrokenPromiseError)
        except rounds.BrokenPromiseError as error:
            return Broken(seed, str(error))


def _broken(
    seed: int, errors: BaseExceptionGroup[BaseException], promise: type[AssertionError]
) -> Broken:
    """Give the first promise that was broken; whatever else went wrong is raised."""
    broken, rest = errors.split(promise)
    if rest is not None or broken is None:
        raise errors
    error: BaseException = broken
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return Broken(seed, str(error))


def soak(what: str, live: Callable[[int], Seen], seeds: range, again: str) -> bool:
    """Live through all of them on every processor, and report; whether every promise was kept."""
    if not seeds:
        return True
    print(f"{len(seeds)} {what} from {seeds[0]}", flush=True)
    began = told = time.monotonic()
    totals: Counter[str] = Counter()
    broken = 0
    with get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=200) as pool:
        for done, result in enumerate(pool.imap(live, seeds), 1):
            match result:
                case Broken(seed, story):
                    broken += 1
                    if broken <= SHOWN:
                        print(story)
                    print(f"seed {seed} is BROKEN: {again.format(seed=seed)}", flush=True)
                case seen:
                    totals += seen
            if time.monotonic() - told > EVERY_S or done == len(seeds):
                told = time.monotonic()
                shown = ", ".join(f"{number} {name}" for name, number in totals.items())
                head = f"{told - began:6.0f} s: {done} {what} from {seeds[0]}"
                print(f"{head}, {shown}, {broken} broken", flush=True)
    return not broken


DEEP: Final = (
    "tests/core/test_world.py",
    "tests/lending/test_world.py",
    "tests/core/test_deadline_properties.py",
    "tests/state/test_damage.py",
)


def walk_deep() -> bool:
    """Walk the world models, those of their natures too that take minutes; whether all held."""
    print("the world models, deep", flush=True)
    walk = (sys.executable, "-m", "pytest", "-q", "-n", "2", *DEEP)
    return (
        subprocess.run(walk, env=os.environ | {"REBOOTMGR_WALK": "deep"}, check=False).returncode
        == 0
    )


def main(arguments: list[str]) -> int:
    """Run, and report every few seconds."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--fleets", type=int, default=FLEETS, metavar="N")
    parser.add_argument("--months", type=int, default=MONTHS, metavar="N")
    parser.add_argument("--overdue", type=int, default=OVERDUE, metavar="N")
    parser.add_argument("--kills", type=int, default=KILLS, metavar="N")
    parser.add_argument("--storms", type=int, default=STORMS, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--from", type=int, dest="first", metavar="SEED")
    parser.add_argument("--agents", type=int, default=fleet.AGENTS, metavar="N")
    parser.add_argument("--no-walk", action="store_true", help="leave the world model out")
    options = parser.parse_args(arguments)
    walked = options.no_walk or walk_deep()
    first = secrets.randbelow(10**9) if options.first is None else options.first
    few = "python -m tests.soak --no-walk --months 0 --overdue 0"
    alone = f"{few} --fleets 0"
    months = soak(
        "months",
        live_for_a_month,
        range(first, first + options.months),
        "python -m tests.days {seed}",
    )
    waited = soak(
        "overdue months",
        live_with_deadlines,
        range(first, first + options.overdue),
        "python -m tests.days --overdue {seed}",
    )
    fleets = soak(
        f"fleets of {options.agents} agents",
        partial(live_as_a_fleet, agents=options.agents),
        range(first, first + options.fleets),
        f"{few} --fleets 1 --kills 0 --storms 0 --rounds 0 --from {{seed}}",
    )
    killed = soak(
        f"servers killed {LIVES} times",
        kill_a_server,
        range(first, first + options.kills // LIVES),
        f"{alone} --kills 50 --storms 0 --rounds 0 --from {{seed}}",
    )
    stormed = soak(
        "storms over etcd",
        live_through_a_storm,
        range(first, first + options.storms),
        f"{alone} --kills 0 --rounds 0 --storms 1 --from {{seed}}",
    )
    went_round = soak(
        f"rounds of {ROUND_HOSTS} hosts on a real etcd",
        live_through_a_round,
        range(first, first + options.rounds),
        f"{alone} --kills 0 --storms 0 --rounds 1 --from {{seed}}",
    )
    kept = (walked, months, waited, fleets, killed, stormed, went_round)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

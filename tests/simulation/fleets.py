"""Fleets for the tests of the simulation."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from random import Random
from zoneinfo import ZoneInfo

from rebootmgr.core.counters import Api
from rebootmgr.core.policy import DeadlineStep, Policy, Strategy, Waivable
from rebootmgr.core.window import Blackout, Calendar, Weekly
from rebootmgr.fleetlock.words import Reply
from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.report import Rollout, outcome
from rebootmgr.simulation.scenario import Scenario, Terms
from rebootmgr.simulation.server import LockServer

BEGIN = datetime(2026, 3, 7, 20, tzinfo=UTC)
WEEK_S = 7 * 86400.0
ALWAYS = Policy(strategies=frozenset({Strategy.FLEET_LOCK}))
ZONES = (UTC, ZoneInfo("Europe/Rome"), ZoneInfo("America/New_York"))


def scenario(
    hosts: int, slots: int, *policies: Policy, reboot_s: float = 300.0, length_s: float = WEEK_S
) -> Scenario:
    """A fleet in fine weather, by default without windows."""
    return Scenario(
        hosts=hosts,
        terms=Terms(slots=slots),
        policies=policies or (ALWAYS,),
        start=BEGIN,
        length_s=length_s,
        reboots_s=(reboot_s,),
        spread=0.1,
    )


def in_windows(calendar: Calendar) -> Policy:
    both = frozenset({Strategy.FLEET_LOCK, Strategy.PERIODIC})
    return replace(ALWAYS, strategies=both, calendar=calendar)


def daily(start: time, length: timedelta, zone: tzinfo = UTC) -> Weekly:
    return Weekly(days=frozenset(range(7)), start=start, length=length, zone=zone)


def random_scenario(seed: int) -> Scenario:
    """Anything that `simulate` can be asked for, in small."""
    dice = Random(seed)  # noqa: S311 - it must be repeatable
    policy = replace(ALWAYS, keep_slot_on_failed_update=dice.random() < 0.5)
    policies = [policy]
    if dice.random() < 0.7:
        policies = [
            replace(policy, calendar=_calendar(dice, zone))
            for zone in ZONES[: dice.choice((1, 1, 3))]
        ]
    deadlines = _deadlines(Random(f"{seed}/deadlines"))  # noqa: S311 - it must be repeatable
    policies = [replace(each, deadlines=deadlines) for each in policies]
    terms = Terms(
        slots=dice.randint(1, 4),
        groups=dice.choice((1, 1, 2)),
        rate=dice.choice((float("inf"), float("inf"), 0.2, 3.0)),
        answer_s=dice.choice((0.0, 0.0, 0.3, 40.0)),
        outages=_outages(dice) if dice.random() < 0.5 else (),
    )
    return Scenario(
        hosts=dice.randint(2, 24),
        terms=terms,
        policies=tuple(policies),
        start=BEGIN,
        length_s=dice.uniform(0.3, 2.5) * 86400.0,
        reboots_s=tuple(dice.choice((5.0, 120.0, 300.0, 2000.0)) for _ in range(2)),
        spread=dice.choice((0.0, 0.1)),
        failures=dice.choice((0.0, 0.0, 0.1, 0.5)),
        staging_s=dice.choice((0.0, 3600.0)),
        seed=str(seed),
    )


def _calendar(dice: Random, zone: tzinfo) -> Calendar:
    windows = tuple(
        daily(time(dice.randrange(24), dice.randrange(60)), timedelta(minutes=length), zone)
        for length in dice.sample((7, 40, 90, 240), 2)
    )
    freeze = BEGIN + timedelta(hours=dice.uniform(0, 24))
    blackout = Blackout(name="x", start=freeze, end=freeze + timedelta(hours=3), zone=UTC)
    return Calendar(
        periodic=dice.random() < 0.8,
        windows=windows,
        blackouts=(blackout,) if dice.random() < 0.4 else (),
        splay=timedelta(minutes=dice.choice((0, 0, 20))),
        fit=dice.random() < 0.7,
    )


def _deadlines(dice: Random) -> tuple[DeadlineStep, ...]:
    """Up to two steps within a day, of anything that there is to waive; often none."""
    afters = sorted(dice.sample(range(10, 24 * 60), dice.choice((0, 0, 1, 2))))
    return tuple(
        DeadlineStep(
            after=timedelta(minutes=minutes),
            waive=frozenset(dice.sample(list(Waivable), dice.randint(1, 3))),
        )
        for minutes in afters
    )


def _outages(dice: Random) -> tuple[tuple[float, float], ...]:
    starts = [dice.uniform(0, 86400.0) for _ in range(2)]
    return tuple((start, start + dice.choice((30.0, 600.0, 9000.0))) for start in starts)


class ListeningServer(LockServer):
    """A lock server that writes down what it was asked."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet.scenario.terms, fleet.world.tally)
        self.told: list[tuple[float, int, Api, Reply, float]] = []

    def handle(self, api: Api, group: int, number: int, now: float) -> tuple[Reply, float]:
        reply, heard_at = super().handle(api, group, number, now)
        self.told.append((now, number, api, reply, heard_at))
        return reply, heard_at


def simulate(scenario: Scenario) -> Rollout:
    fleet = Fleet(scenario)
    for _ in fleet.run():
        pass
    return outcome(fleet)

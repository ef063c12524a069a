"""What `rebootmgrctl simulate` is asked for: from words and drop-ins to a scenario."""

import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from math import isfinite
from typing import Final

from rebootmgr.cli.instant import read_instant
from rebootmgr.cli.verb import Context
from rebootmgr.config.checked import Config, decode_config
from rebootmgr.config.drop_ins import DIRECTORIES, read_drop_ins
from rebootmgr.config.identity import read_localtime
from rebootmgr.config.resolve import encode_policy
from rebootmgr.config.zones import LOCALTIME, decode_zone
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Outcome
from rebootmgr.core.policy import Policy, Strategy
from rebootmgr.core.window import Calendar
from rebootmgr.errors import ConfigError, UsageError
from rebootmgr.simulation.scenario import Scenario, Terms
from rebootmgr.spans import decode_span
from rebootmgr.state.store import StateStore
from rebootmgr.text import harmless

MOST_HOSTS: Final = 1_000_000
LONGEST: Final = timedelta(days=400)
HISTORY: Final = "history"
PLACES: Final = {"basearch": "x86_64", "stream": "stable", "platform": "metal"}  # asked nowhere
NOTHING: Final = "0"
_PERCENT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%", re.ASCII)


def read_scenario(arguments: Namespace, context: Context) -> tuple[Scenario, tzinfo]:
    """Read what to simulate, and the zone to speak in; UsageError or ConfigError with the cure."""
    config, zone = _read_config(arguments, context)
    return _scenario(arguments, context, config, zone), zone


def _read_config(arguments: Namespace, context: Context) -> tuple[Config, tzinfo]:
    directories: Sequence[str] = DIRECTORIES
    if arguments.config is not None:
        if not arguments.config.is_dir():
            raise UsageError(f"--config {harmless(str(arguments.config))}: no such directory")
        directories = (str(arguments.config.absolute()),)
    localtime = read_localtime(context.root)
    config = decode_config(read_drop_ins(context.root, directories), localtime=localtime)
    if config.errors:
        raise ConfigError(config.errors)
    return config, localtime or UTC


def _scenario(arguments: Namespace, context: Context, config: Config, zone: tzinfo) -> Scenario:
    now = datetime.now(UTC).replace(microsecond=0)
    start = read_instant(arguments.start, zone) if arguments.start else now
    length = _span(arguments.length, "--for")
    if length > LONGEST:
        raise UsageError("--for: a simulation covers 400 days at most")
    hosts = _count(arguments.hosts, "--hosts", most=MOST_HOSTS)
    terms = Terms(
        slots=_count(arguments.slots, "--slots", most=MOST_HOSTS),
        groups=_count(arguments.groups, "--groups", most=hosts),
        rate=_rate(arguments.server_rate),
        answer_s=_seconds(arguments.answer, "--answer"),
        outages=tuple(_outage(written, start, zone) for written in arguments.outage),
    )
    history = arguments.reboot == HISTORY
    return Scenario(
        hosts=hosts,
        terms=terms,
        policies=_policies(config, arguments.time_zone, context),
        start=start,
        length_s=length.total_seconds(),
        reboots_s=_history(context, now) if history else (_seconds(arguments.reboot, "--reboot"),),
        spread=0.0 if history else _share(arguments.spread, "--spread"),
        failures=_share(arguments.failures, "--failures"),
        staging_s=_seconds(arguments.staging, "--staging"),
        seed=harmless(arguments.seed),
    )


def _policies(config: Config, zones: list[str], context: Context) -> tuple[Policy, ...]:
    policy = encode_policy(config, node_id="", variables=PLACES, dry_run=False)
    policy = replace(policy, strategies=policy.strategies | {Strategy.FLEET_LOCK})
    if not zones:
        return (policy,)
    places = [_zone(name, context) for name in zones]
    return tuple(replace(policy, calendar=_moved(policy.calendar, zone)) for zone in places)


def _zone(name: str, context: Context) -> tzinfo:
    if name == LOCALTIME:
        return read_localtime(context.root) or UTC
    try:
        return decode_zone(name)
    except LookupError as error:
        cure = f"did you mean {error}?" if str(error) else "see timedatectl list-timezones"
        raise UsageError(f'--time-zone "{harmless(name)}" is not known; {cure}') from error


def _moved(calendar: Calendar, zone: tzinfo) -> Calendar:
    return replace(
        calendar,
        windows=tuple(replace(window, zone=zone) for window in calendar.windows),
        blackouts=tuple(replace(blackout, zone=zone) for blackout in calendar.blackouts),
    )


def _history(context: Context, now: datetime) -> tuple[float, ...]:
    memory = StateStore(context.root).read(at=now)
    reboots = memory.reboots if isinstance(memory, Memory) else ()
    taken = [one.seconds for one in reboots if one.outcome is Outcome.SUCCEEDED and one.seconds]
    if not taken:
        cure = "say how long one takes, as in --reboot 5min"
        raise UsageError(f"--reboot history: no reboot of this host is on record; {cure}")
    return tuple(taken)


def _count(written: str, option: str, *, most: int) -> int:
    if written.isascii() and written.isdecimal() and 1 <= int(written[:9]) <= most:
        return int(written[:9])
    raise UsageError(f'{option} "{harmless(written)}": write a whole number from 1 to {most}')


def _share(written: str, option: str) -> float:
    found = _PERCENT.fullmatch(written)
    if found is None or float(found[1]) > 100:
        raise UsageError(f'{option} "{harmless(written)}": write 0% to 100%, as in 2.5%')
    return float(found[1]) / 100


def _rate(written: str | None) -> float:
    if written is None:
        return float("inf")
    try:
        rate = float(written)
    except ValueError:
        rate = 0.0
    if isfinite(rate) and rate >= 0.001:
        return rate
    raise UsageError(f'--server-rate "{harmless(written)}": write requests a second, as in 200')


def _span(written: str, option: str) -> timedelta:
    try:
        return decode_span(written)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error


def _seconds(written: str, option: str) -> float:
    return 0.0 if written == NOTHING else _span(written, option).total_seconds()


def _outage(written: str, start: datetime, zone: tzinfo) -> tuple[float, float]:
    begin, slash, length = written.partition("/")
    if not slash:
        cure = "write START/SPAN, as in 30min/10min or 2026-12-06T02:30:00Z/10min"
        raise UsageError(f'--outage "{harmless(written)}" does not say how long; {cure}')
    try:
        after = decode_span(begin)
    except UsageError:
        after = timedelta(0) if begin == NOTHING else read_instant(begin, zone) - start
    begin_s = after.total_seconds()
    return begin_s, begin_s + _span(length, "--outage").total_seconds()

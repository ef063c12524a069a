"""rebootmgrctl simulate: how a roll-out would go, before anybody tries (SPEC 11)."""

import gc
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import chain
from math import isfinite
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Self, TextIO

from rebootmgr.cli.page import Page
from rebootmgr.cli.simulate_fleet import (
    LOCKD,
    MOST_HOSTS,
    PLAIN,
    read_configured,
    read_sizes,
    whole_number,
)
from rebootmgr.cli.simulate_page import render_needed, render_outcome
from rebootmgr.cli.simulate_plot import encode_plot
from rebootmgr.cli.times import JoinedWords, zone_of
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.config.checked import Config
from rebootmgr.config.drop_ins import DIRECTORIES
from rebootmgr.config.identity import read_localtime
from rebootmgr.config.load import load
from rebootmgr.config.resolve import resolve_policy
from rebootmgr.config.values import LOCALTIME, decode_zone
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Outcome
from rebootmgr.core.policy import Policy, Strategy
from rebootmgr.core.window import Calendar
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.instants import decode_typed_instant, encode_instant
from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.needed import slots_needed
from rebootmgr.simulation.report import Left, Rollout, outcome
from rebootmgr.simulation.scenario import Scenario, Terms
from rebootmgr.spans import decode_span
from rebootmgr.state.store import StateStore
from rebootmgr.text import harmless

LONGEST: Final = timedelta(days=400)
HISTORY: Final = "history"
PLACES: Final = {"basearch": "x86_64", "stream": "stable", "platform": "metal"}  # asked nowhere
NOTHING: Final = "0"
SOAK: Final = "1h"
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
    loaded = load(context.root, directories=directories)
    loaded.check_config()
    return loaded.config, zone_of(context.root)


def _scenario(arguments: Namespace, context: Context, config: Config, zone: tzinfo) -> Scenario:
    now = datetime.now(UTC).replace(microsecond=0)
    start = decode_typed_instant(arguments.start, zone, now=now) if arguments.start else now
    length = _span(arguments.length, "--for")
    if length > LONGEST:
        raise UsageError("--for: a simulation covers 400 days at most")
    sizes = read_sizes(arguments.hosts, usual=config.settings.identity.group)
    configured = read_configured(arguments, context.root, sizes)
    hosts = sum(sizes.values())
    canaries = _canaries(arguments, hosts)
    if configured is None and arguments.slots is None and arguments.finish_by is None:
        raise UsageError("say how many --slots there are, or --finish-by when all is to be over")
    terms = Terms(
        slots=whole_number(arguments.slots or "1", "--slots", most=MOST_HOSTS),
        groups=whole_number(arguments.groups or "1", "--groups", most=hosts - canaries),
        lends=configured is not None or arguments.server == LOCKD,
        rate=_rate(arguments.server_rate),
        answer_s=_seconds(arguments.answer, "--answer"),
        outages=tuple(_outage(written, start, zone, now) for written in arguments.outage),
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
        deaths=_share(arguments.deaths, "--deaths"),
        polling=_share(arguments.zincati, "--zincati"),
        canaries=canaries,
        soak_s=_seconds(arguments.soak or SOAK, "--soak"),
        configured=configured,
        staging_s=_seconds(arguments.staging, "--staging"),
        seed=harmless(arguments.seed),
    )


def _canaries(arguments: Namespace, hosts: int) -> int:
    if arguments.canaries in {None, NOTHING}:
        return 0
    if arguments.server != LOCKD:
        raise UsageError(f"--canaries go first at --server {LOCKD} alone")
    return whole_number(arguments.canaries, "--canaries", most=hosts - 1)


def _policies(config: Config, zones: list[str], context: Context) -> tuple[Policy, ...]:
    policy = resolve_policy(config, node_id="", variables=PLACES, dry_run=False)
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


def _outage(written: str, start: datetime, zone: tzinfo, now: datetime) -> tuple[float, float]:
    begin, slash, length = written.partition("/")
    if not slash:
        cure = "write START/SPAN, as in 30min/10min or 2026-12-06T02:30:00Z/10min"
        raise UsageError(f'--outage "{harmless(written)}" does not say how long; {cure}')
    try:
        after = decode_span(begin)
    except UsageError:
        at = start if begin == NOTHING else decode_typed_instant(begin, zone, now=now)
        after = at - start
    begin_s = after.total_seconds()
    return begin_s, begin_s + _span(length, "--outage").total_seconds()


def _simulate(arguments: Namespace, context: Context) -> int:
    scenario, zone = read_scenario(arguments, context)
    if arguments.plot is not None:
        _write(arguments.plot, "")  # better now than after a long run
    if arguments.finish_by is not None:
        scenario, found = _with_slots_needed(arguments, context, scenario, zone)
    else:
        found = _simulated(scenario, context)
    if arguments.plot is not None:
        _write(arguments.plot, encode_plot(found, scenario, zone))
    document, lines = _encode(found), render_outcome(found, scenario, zone, width=context.width)
    if arguments.finish_by is not None:
        document["slots_needed"] = scenario.terms.slots
        lines = chain(Page.of(context).field("needed", render_needed(scenario)), lines)
    context.emit(document, lines)
    return 0


def _simulated(scenario: Scenario, context: Context) -> Rollout:
    with _without_collector(), ProgressBar(context.err) as bar:
        fleet = Fleet(scenario)
        for _ in fleet.run():
            bar.show(fleet.world.tally.updated, scenario.hosts)
    return outcome(fleet)


def _with_slots_needed(
    arguments: Namespace, context: Context, scenario: Scenario, zone: tzinfo
) -> tuple[Scenario, Rollout]:
    """Find the fewest slots with which all is over in time."""
    if arguments.slots is not None:
        raise UsageError("--finish-by says how many slots it takes: leave --slots out")
    typed, now = arguments.finish_by, datetime.now(UTC)
    by = decode_typed_instant(typed, zone, now=now, coming=True)
    by_s = (by - scenario.start).total_seconds()
    if by_s <= 0:
        raise UsageError(f'--finish-by "{harmless(typed)}" is before the begin; write a later one')
    with _without_collector():
        needed = slots_needed(scenario, by_s)
    if needed is None:
        when = encode_instant(by, timespec="seconds")
        cure = "allow more time, or simulate it with --slots to see what is in the way"
        raise RebootmgrError(f"no number of slots has every host updated by {when}; {cure}")
    return needed


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing here is cyclic, and there is a lot of it to look through."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"--plot {harmless(str(path))} cannot be written: {why}") from error


def _encode_left(those: tuple[Left, ...]) -> list[dict[str, object]]:
    return [
        {
            "hosts": left.hosts,
            "example": left.example,
            "blockers": [{"reason": word, "detail": detail} for word, detail in left.why],
        }
        for left in those
    ]


def _encode(found: Rollout) -> dict[str, object]:
    return {
        "hosts": found.hosts,
        "updated": found.updated,
        "by_deadline": found.by_deadline,
        "never": _encode_left(found.never),
        "unfinished": _encode_left(found.unfinished),
        "from": encode_instant(found.begun),
        "to": encode_instant(found.ended),
        "first_request": encode_instant(found.first_request),
        "last_update": encode_instant(found.last_update),
        "duration_seconds": found.duration.total_seconds(),
        "utilisation": round(found.utilisation, 6),
        "requests": found.all_requests,
        "requests_per_host": round(found.all_requests / found.hosts, 3),
        "peak_requests_per_second": found.peak,
        "mean_requests_per_second": round(found.mean, 3),
        "most_hosts_down": max(found.down.values(), default=0),
    }


def _arguments(parser: ArgumentParser) -> None:
    def add(option: str, metavar: str, default: str | None, about: str, name: str = "") -> None:
        dest = name or option.removeprefix("--").replace("-", "_")
        if metavar in {"SPAN", "T"}:
            words = parser.add_argument(
                option, nargs="+", action=JoinedWords, dest=dest, help=about
            )
            words.metavar, words.default = metavar, default
        else:
            parser.add_argument(option, dest=dest, metavar=metavar, default=default, help=about)

    hosts = "how many hosts the fleet has; with --lockd-config also GROUP=N,GROUP=N"
    parser.add_argument("--hosts", metavar="N", required=True, help=hosts)
    slots = "how many of a group may reboot at the same time"
    parser.add_argument("--slots", metavar="K", help=slots)
    parser.add_argument(
        "--finish-by",
        metavar="T",
        nargs="+",
        action=JoinedWords,
        help="instead: find the fewest slots with which every host is updated by then",
    )
    parser.add_argument(
        "--server",
        choices=(PLAIN, LOCKD),
        help=f"{LOCKD}: rebootmgr-lockd; {PLAIN}: one that only grants or refuses ({PLAIN})",
    )
    parser.add_argument(
        "--lockd-config",
        metavar="DIR",
        type=Path,
        help=f"{LOCKD} lends as the drop-ins of DIR say: groups, slots, windows, who goes first",
    )
    add("--groups", "G", None, "in how many equal groups the hosts are (1)")
    add("--reboot", "SPAN", "5min", f"what a reboot takes, or `{HISTORY}`: as here so far (5min)")
    add("--spread", "PERCENT", "10%", "each takes up to so much more or less (10%%)")
    add("--failures", "PERCENT", "0%", "hosts whose update fails; they keep their slot (0%%)")
    add("--deaths", "PERCENT", "0%", "hosts that never come back, and their slot neither (0%%)")
    add("--zincati", "PERCENT", "0%", "hosts that ask every five minutes, as Zincati does (0%%)")
    add("--canaries", "N", None, f"hosts in a group that goes first, at --server {LOCKD} (0)")
    add("--soak", "SPAN", None, "how long the others wait after the canaries (1h)")
    add("--staging", "SPAN", "0", "updates are staged over this long (0: all at once)")
    add("--server-rate", "R", None, "requests a second that the lock server manages (any)")
    add("--answer", "SPAN", "0", "how long an answer of it takes (0)")
    add("--from", "T", None, "begin, when the updates are staged (now)", "start")
    add("--for", "SPAN", "1week", "how long to look at the fleet (1week)", "length")
    add("--seed", "TEXT", "0", "another one is another fleet of the same kind (0)")
    parser.add_argument(
        "--outage",
        metavar="START/SPAN",
        action="append",
        default=[],
        help="nobody reaches the lock server: 30min/10min, from the begin; may be repeated",
    )
    parser.add_argument(
        "--time-zone",
        metavar="ZONE",
        action="append",
        default=[],
        help="of windows and blackouts; several times: each for an equal share of the hosts",
    )
    parser.add_argument(
        "--config",
        metavar="DIR",
        type=Path,
        help="take the drop-ins of DIR (those of this host, or of --root)",
    )
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw it, as SVG")


VERBS: Final = (
    Verb(
        name="simulate",
        summary="how the roll-out of an update to a whole fleet would go",
        examples=(
            "rebootmgrctl simulate --hosts 500 --slots 5",
            "rebootmgrctl simulate --hosts 5000 --slots 20 --config ./config.d --from 2026-12-06",
            "rebootmgrctl simulate --hosts 500 --server lockd --finish-by tomorrow 06:00",
            "rebootmgrctl simulate --hosts canary=3,workers=200 --lockd-config ./lockd.d",
            "rebootmgrctl --json simulate --hosts 200 --slots 4 --failures 1% --outage 1h/10min",
        ),
        arguments=_arguments,
        run=_simulate,
    ),
)


SHORT_S: Final = 1.0  # what takes less needs no bar
EVERY_S: Final = 0.2
WIDTH: Final = 40


class ProgressBar:
    """Draws on `err` while it is entered, and leaves nothing behind."""

    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._is_wanted = err.isatty()
        self._due = monotonic() + SHORT_S
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            self._write("\r\x1b[K")

    def show(self, done: int, whole: int) -> None:
        """Say how far it is."""
        if not self._is_wanted or monotonic() < self._due:
            return
        self._due = monotonic() + EVERY_S
        self._drawn = True
        filled = WIDTH * done // whole
        bar = "#" * filled + "." * (WIDTH - filled)
        self._write(f"\r[{bar}] {done} of {whole} hosts are updated")

    def _write(self, text: str) -> None:
        self._err.write(text)
        self._err.flush()

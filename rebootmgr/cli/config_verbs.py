"""The verbs that need no daemon: cat-config, id, plan; check-config is beside (SPEC 11)."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from rebootmgr.cli.page import span
from rebootmgr.cli.times import JoinedWords, zone_of
from rebootmgr.cli.verb import Context, Verb, no_arguments
from rebootmgr.config.drop_ins import read_named
from rebootmgr.config.effective import effective_values, encode_config
from rebootmgr.config.identity import HostIdentity, MissingIdentity
from rebootmgr.config.load import Loaded, judge, load
from rebootmgr.config.resolve import resolve_calendar
from rebootmgr.config.settings import Updates
from rebootmgr.config.values import LOCALTIME, decode_zone
from rebootmgr.core.deadlines import due_by_wall, plan_from
from rebootmgr.core.memory import Unreadable
from rebootmgr.core.policy import DeadlineStep, Policy, Strategy
from rebootmgr.core.window import Calendar, Plan, plan
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.fleetlock.labels_words import encode_labels
from rebootmgr.instants import decode_typed_instant, encode_instant
from rebootmgr.state.store import StateStore

TO: Final = "its end (14 days later)"
_AHEAD: Final = timedelta(days=14)


def _load(context: Context, folder: Path | None = None) -> Loaded:
    """Load what the host has, or the drop-ins of a folder as its own; ConfigError."""
    named = None if folder is None else judge(read_named((folder,)), context.root)
    loaded = named or load(context.root)
    loaded.check_config()
    return loaded


# cat-config


def _cat_config(_: Namespace, context: Context) -> int:
    values = effective_values(_load(context).config)
    listed = [
        {
            "key": f"{each.table}.{each.name}",
            "value": each.value,
            "file": each.place.file if each.place else None,
            "line": each.place.line if each.place else None,
            "overrides": asdict(each.instead_of) if each.instead_of else None,
        }
        for each in values
    ]
    context.emit({"settings": listed}, encode_config(values))
    return 0


# id


def _id(_: Namespace, context: Context) -> int:
    loaded = _load(context)
    if isinstance(loaded.host, MissingIdentity):
        raise RebootmgrError(f"this host has no FleetLock id: {loaded.host.detail}")
    if loaded.policy.invalid:
        raise RebootmgrError(loaded.policy.invalid)
    who = loaded.policy.identity
    server = who.server or None
    labels = encode_labels(loaded.labels)
    lines = [f"id: {who.id}", f"group: {who.group}", f"server: {server or 'none is asked'}"]
    lines += [f"labels: {labels}"] * bool(labels)
    told = {"id": who.id, "group": who.group, "server": server, "labels": dict(loaded.labels)}
    context.emit(told, lines)
    return 0


# plan


def _plan(arguments: Namespace, context: Context) -> int:
    loaded = _load(context, arguments.config)
    zone = zone_of(context.root)
    now = datetime.now(UTC).replace(microsecond=0)
    start, end = now, None
    if arguments.start:
        start = decode_typed_instant(arguments.start, zone, now=now)
    if arguments.end:
        end = decode_typed_instant(arguments.end, zone, now=now, coming=True)
    updates = loaded.config.settings.updates
    policy = replace(loaded.policy, calendar=_calendar(updates, loaded.host))
    behind = None if arguments.config is not None else _behind_since(policy, context, now)
    try:
        result = _planned(policy, behind, start, end or start + _AHEAD)
    except ValueError as error:
        raise UsageError(f"{error}; correct --from or --to") from error
    if Strategy.OFF in updates.strategy or not updates.enabled:
        result, behind = replace(result, openings=()), None
    steps = () if not isinstance(behind, datetime) else tuple(due_by_wall(policy, behind))
    told = [*_describe_plan(result, zone), *_other_zones(updates, zone)]
    told += _describe_steps(steps, behind, zone)
    context.emit(_encode_plan(result) | _encode_steps(steps), told)
    return 0


def _behind_since(policy: Policy, context: Context, now: datetime) -> datetime | str | None:
    """Since when this host waits for a reboot, by which deadlines count; or why nobody can say."""
    if not policy.deadlines:
        return None
    memory = StateStore(context.root).read(at=now)
    if isinstance(memory, Unreadable):
        return memory.detail
    noted = memory.backlog
    return noted.behind_since if noted is not None and noted.none_since is None else None


def _planned(policy: Policy, behind: datetime | str | None, start: datetime, end: datetime) -> Plan:
    if isinstance(behind, datetime):
        return plan_from(policy, behind, start, end)
    return plan(policy.calendar, start, end)


def _encode_steps(steps: tuple[tuple[DeadlineStep, datetime], ...]) -> dict[str, object]:
    """Say when each step is due, where this host waits for a reboot and has any."""
    if not steps:
        return {}
    listed = [
        {"step": number, "at": encode_instant(at), "waives": sorted(step.names)}
        for number, (step, at) in enumerate(steps, 1)
    ]
    return {"deadlines": listed}


def _describe_steps(
    steps: tuple[tuple[DeadlineStep, datetime], ...], behind: datetime | str | None, zone: tzinfo
) -> Iterator[str]:
    if isinstance(behind, str):
        yield f"deadlines are left out: {behind}"
    for step, at in steps:
        yield f"from {_local(at, zone)} on these no longer count: {', '.join(sorted(step.names))}"


def _other_zones(updates: Updates, shown: tzinfo) -> Iterator[str]:
    """Yield the zone of the windows, where it is another one than that of this screen."""
    named = updates.periodic.time_zone
    used = updates.periodic.window or updates.blackout
    if used and named != LOCALTIME and decode_zone(named) != shown:
        yield f"the policy's own time zone is {named}"


def _calendar(updates: Updates, host: HostIdentity | MissingIdentity) -> Calendar:
    if isinstance(host, MissingIdentity) and updates.periodic.splay_minutes:
        raise RebootmgrError(f"the splay of this host is not known: {host.detail}")
    return resolve_calendar(updates, node_id=host.node_id)


def _encode_plan(result: Plan) -> dict[str, object]:
    return {
        "from": encode_instant(result.start),
        "to": encode_instant(result.end),
        "openings": [
            {"start": encode_instant(each.start), "end": encode_instant(each.end)}
            for each in result.openings
        ],
    }


def _describe_plan(result: Plan, zone: tzinfo) -> Sequence[str]:
    """Give each opening a line, and say last of which time this is the whole; 80 columns do."""
    lines = [
        f"{_local(each.start, zone)} - {_local(each.end, zone)}  {_span(each.end - each.start)}"
        for each in result.openings
    ]
    between = f"from {_local(result.start, zone)} to {_local(result.end, zone)}"
    if not lines:
        return ["no reboot is allowed", between]
    total = sum((each.end - each.start for each in result.openings), timedelta())
    count = "1 opening" if len(lines) == 1 else f"{len(lines)} openings"
    return [*lines, f"{count}, {_span(total)} in all,", between]


def _local(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z}"


def _span(length: timedelta) -> str:
    return span(length.total_seconds())


def _plan_arguments(parser: ArgumentParser) -> None:
    options = {"--from": ("start", "begin of the range (now)"), "--to": ("end", TO)}
    for option, (name, about) in options.items():
        parser.add_argument(
            option, dest=name, metavar="T", nargs="+", action=JoinedWords, help=about
        )
    parser.add_argument("--config", metavar="DIR", type=Path, help="take the drop-ins there")


VERBS: Final = (
    Verb(
        name="plan",
        summary="every interval in which the policy would allow a reboot",
        examples=(
            "rebootmgrctl plan",
            "rebootmgrctl plan --from yesterday --to +1week",
            'rebootmgrctl plan --from 2026-12-01 --to "2027-01-15 12:00"',
            "rebootmgrctl --json plan --to 2027-01-15T12:00:00Z",
            "rebootmgrctl plan --config hosts/web/config.d",
        ),
        arguments=_plan_arguments,
        run=_plan,
    ),
    Verb(
        name="cat-config",
        summary="the effective configuration, each value with the file it came from",
        examples=("rebootmgrctl cat-config", "rebootmgrctl --json cat-config"),
        arguments=no_arguments,
        run=_cat_config,
    ),
    Verb(
        name="id",
        summary="who this host is to a lock server: id, group, server, labels",
        examples=("rebootmgrctl id", "rebootmgrctl --json id | jq -r .id"),
        arguments=no_arguments,
        run=_id,
    ),
)

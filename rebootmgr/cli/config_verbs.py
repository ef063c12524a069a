"""The verbs that need no daemon: cat-config, plan; check-config is beside (SPEC 11)."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from rebootmgr.cli.check_config import CHECK_CONFIG
from rebootmgr.cli.instant import read_instant
from rebootmgr.cli.page import span
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.config.checked import Config, decode_config
from rebootmgr.config.drop_ins import read_drop_ins
from rebootmgr.config.effective import effective_values, encode_config
from rebootmgr.config.identity import Identity, MissingIdentity, read_identity, read_localtime
from rebootmgr.config.resolve import encode_calendar
from rebootmgr.core.policy import Strategy
from rebootmgr.core.window import Calendar, Plan, plan
from rebootmgr.errors import ConfigError, RebootmgrError, UsageError

_AHEAD: Final = timedelta(days=14)


def _read_config(context: Context) -> tuple[Config, tzinfo | None]:
    localtime = read_localtime(context.root)
    return decode_config(read_drop_ins(context.root), localtime=localtime), localtime


def _read_valid(context: Context) -> tuple[Config, tzinfo]:
    config, localtime = _read_config(context)
    if config.errors:
        raise ConfigError(config.errors)
    return config, localtime or UTC


# cat-config


def _cat_config(_: Namespace, context: Context) -> int:
    values = effective_values(_read_valid(context)[0])
    if not context.json:
        context.out.write(encode_config(values))
        return 0
    listed = [
        {
            "key": f"{each.table}.{each.name}",
            "value": each.value,
            "file": each.place.file if each.place else None,
            "line": each.place.line if each.place else None,
        }
        for each in values
    ]
    print(json.dumps({"settings": listed}, indent=2, default=str), file=context.out)
    return 0


# plan


def _plan(arguments: Namespace, context: Context) -> int:
    config, zone = _read_valid(context)
    now = datetime.now(UTC).replace(microsecond=0)
    start = read_instant(arguments.start, zone) if arguments.start else now
    end = read_instant(arguments.end, zone) if arguments.end else start + _AHEAD
    updates = config.settings.updates
    try:
        result = plan(_calendar(config, context), start, end)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if Strategy.OFF in updates.strategy or not updates.enabled:
        result = replace(result, openings=())
    if context.json:
        print(json.dumps(_encode_plan(result), indent=2), file=context.out)
    else:
        for line in _describe_plan(result, zone):
            print(line, file=context.out)
    return 0


def _calendar(config: Config, context: Context) -> Calendar:
    settings = config.settings
    host = read_identity(context.root, node_uuid=settings.identity.node_uuid)
    match host:
        case Identity(node_id=node_id):
            return encode_calendar(settings.updates, node_id=node_id)
        case MissingIdentity() if not settings.updates.periodic.splay_minutes:
            return encode_calendar(settings.updates, node_id="")
        case MissingIdentity(detail=detail):
            raise RebootmgrError(f"the splay of this host is not known: {detail}")


def _encode_plan(result: Plan) -> dict[str, object]:
    return {
        "from": _utc(result.start),
        "to": _utc(result.end),
        "openings": [
            {"start": _utc(each.start), "end": _utc(each.end)} for each in result.openings
        ],
    }


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
    parser.add_argument("--from", dest="start", metavar="T", help="begin of the range (now)")
    parser.add_argument("--to", dest="end", metavar="T", help="its end (14 days later)")


def _no_arguments(_: ArgumentParser) -> None:
    return


VERBS: Final = (
    Verb(
        name="plan",
        summary="every interval in which the policy would allow a reboot",
        examples=(
            "rebootmgrctl plan",
            'rebootmgrctl plan --from 2026-12-01 --to "2027-01-15 12:00"',
            "rebootmgrctl --json plan --to 2027-01-15T12:00:00Z",
        ),
        arguments=_plan_arguments,
        run=_plan,
    ),
    CHECK_CONFIG,
    Verb(
        name="cat-config",
        summary="the effective configuration, each value with the file it came from",
        examples=("rebootmgrctl cat-config", "rebootmgrctl --json cat-config"),
        arguments=_no_arguments,
        run=_cat_config,
    ),
)

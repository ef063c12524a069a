"""The verbs that need no daemon: check-config, cat-config, plan (SPEC 11)."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from rebootmgr.adapters.drop_ins import read_drop_ins
from rebootmgr.adapters.identity import Identity, MissingIdentity, read_identity, read_localtime
from rebootmgr.cli.instant import read_instant
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.codec.config import Config, decode_config
from rebootmgr.codec.config_review import Review, review_config
from rebootmgr.codec.config_text import effective_values, encode_config
from rebootmgr.codec.policy import encode_calendar, unknown_variables
from rebootmgr.core.plan import Plan, plan
from rebootmgr.core.policy import Strategy
from rebootmgr.core.window import Calendar
from rebootmgr.errors import ConfigError, Problem, RebootmgrError, UsageError

_INVALID: Final = 78
_AHEAD: Final = timedelta(days=14)


def _read_config(context: Context) -> tuple[Config, tzinfo | None]:
    localtime = read_localtime(context.root)
    return decode_config(read_drop_ins(context.root), localtime=localtime), localtime


def _read_valid(context: Context) -> tuple[Config, tzinfo]:
    config, localtime = _read_config(context)
    if config.errors:
        raise ConfigError(config.errors)
    return config, localtime or UTC


# check-config


def _check_config(arguments: Namespace, context: Context) -> int:
    config, _ = _read_config(context)
    review = Review() if config.errors else _review(config, context)
    errors = (*config.errors, *review.errors)
    warnings = (*config.warnings, *review.warnings)
    valid = not errors and not (arguments.strict and warnings)
    if context.json:
        lists = {"errors": [*map(asdict, errors)], "warnings": [*map(asdict, warnings)]}
        print(json.dumps({"valid": valid, **lists}, indent=2), file=context.out)
    else:
        for line in _report(errors, warnings, valid=valid):
            print(line, file=context.out)
    return 0 if valid else _INVALID


def _review(config: Config, context: Context) -> Review:
    match read_identity(context.root, node_uuid=config.settings.identity.node_uuid):
        case Identity(node_id=node_id) as host:
            review = review_config(config, at=datetime.now(UTC), node_id=node_id)
            return replace(
                review, errors=(*review.errors, *unknown_variables(config, host.variables))
            )
        case MissingIdentity(detail=detail):
            review = review_config(config, at=datetime.now(UTC), node_id="")
            return replace(review, warnings=(*review.warnings, *_anonymous(config, detail)))


def _anonymous(config: Config, detail: str) -> tuple[Problem, ...]:
    """Say what an image without a machine id cannot know yet."""
    updates = config.settings.updates
    if Strategy.FLEET_LOCK not in updates.strategy and not updates.periodic.splay_minutes:
        return ()
    problem, _, hint = detail.partition("; ")
    has_splay = bool(updates.periodic.splay_minutes)
    key = "updates.periodic.splay_minutes" if has_splay else "updates.strategy"
    place = config.provenance[key]
    return (Problem(file=place.file, line=place.line, key=key, message=problem, hint=hint),)


def _report(
    errors: Sequence[Problem], warnings: Sequence[Problem], *, valid: bool
) -> Sequence[str]:
    marked = [
        replace(each, key=f"warning: {each.key}" if each.key else "warning") for each in warnings
    ]
    counts = f"{_count(len(errors), 'error')}, {_count(len(warnings), 'warning')}"
    summary = f"configuration {'valid' if valid else 'invalid'}: {counts}"
    return [*map(str, errors), *map(str, marked), summary]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="a warning counts as an error")


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
    spans = [
        f"{_local(each.start, zone)} - {_local(each.end, zone)}  {_span(each.end - each.start)}"
        for each in result.openings
    ]
    total = sum((each.end - each.start for each in result.openings), timedelta())
    between = f"from {_local(result.start, zone)} to {_local(result.end, zone)}"
    if not spans:
        return [f"no reboot is allowed {between}"]
    return [*spans, f"{_count(len(spans), 'opening')}, {_span(total)} in all, {between}"]


def _local(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z}"


def _span(length: timedelta) -> str:
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{count} {unit}" for count, unit in units if count)


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
    Verb(
        name="check-config",
        summary="validate the drop-ins",
        examples=(
            "rebootmgrctl check-config --strict",
            "rebootmgrctl --root /mnt/image check-config",
        ),
        arguments=_check_arguments,
        run=_check_config,
    ),
    Verb(
        name="cat-config",
        summary="the effective configuration, each value with the file it came from",
        examples=("rebootmgrctl cat-config", "rebootmgrctl --json cat-config"),
        arguments=_no_arguments,
        run=_cat_config,
    ),
)

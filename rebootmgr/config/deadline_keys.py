"""Deadlines: the rules for their keys, and their way into the core (SPEC 3, 5a)."""

import re
from collections.abc import Iterator
from datetime import timedelta, tzinfo
from typing import Final

from rebootmgr.config.rules import Either, Several, Text, Words, wanted
from rebootmgr.config.values import UnfitError, quoted, shown
from rebootmgr.config.windows import Fault, Item
from rebootmgr.core.policy import DeadlineStep, Waivable
from rebootmgr.errors import UsageError
from rebootmgr.spans import decode_span
from rebootmgr.text import nearest

NEVER: Final = {
    "inhibitors": "set updates.inhibitors.respect",
    "lock": "a lock server is always asked",
    "fleet_lock": "a lock server is always asked",
    "holds": "holds end by themselves, or by rebootmgrctl release",
    "blackouts": "shorten the blackout",
    "blackout": "shorten the blackout",
    "quarantine": "use rebootmgrctl forgive",
    "limits": "raise updates.limits",
    "clock": "set updates.clock.require_synchronized",
    "checks": 'name the program in checks.d, as in "checks:10-backup"',
}
"""What no deadline waives, and what to do instead."""
SPAN: Final = Text("a length of time", r"\s*[0-9][\s\S]*")
SPANS: Final = Several(SPAN, least=0)
CHECKS: Final = "checks:"
CHECK: Final = Text(
    'a program of checks.d, as in "checks:10-backup"', rf"{CHECKS}[A-Za-z0-9._~+:^@=-]{{1,200}}"
)
WAIVE: Final = Several(Either((Words(tuple(Waivable)), CHECK)))
NEEDS: Final = {"after": '"14d"', "waive": '["windows"]'}
"""What a deadline must say, with an example of each."""
_SPAN: Final = 'write it in quotes, like "14d" or "2h 30min"'


def span(value: object) -> timedelta:
    """Take a span of time, as systemd.time(7) has it."""
    if not isinstance(value, str):
        raise UnfitError(f"must be {wanted(SPAN)}, not {shown(value)}", _SPAN)
    try:
        return decode_span(value)
    except UsageError as error:
        message, _, cure = str(error).partition("; ")
        raise UnfitError(f"is wrong: {message}", cure) from error


def spans(value: object) -> tuple[timedelta, ...]:
    """Take spans of time, longest first; none means that nobody is told."""
    if not isinstance(value, list):
        message = f"must be an array, not {shown(value)}"
        raise UnfitError(message, 'write warn = ["1d", "1h", "10m"]')
    return tuple(sorted({span(each) for each in value}, reverse=True))


def waive(value: object) -> frozenset[str]:
    """Take the names of what counts no more: `Waivable` ones, and programs of checks.d."""
    if not isinstance(value, list):
        message = f"must be an array, not {shown(value)}"
        raise UnfitError(message, 'write waive = ["windows"]')
    if not value:
        raise UnfitError("is empty: this deadline would do nothing", _known())
    return frozenset(map(_waivable, value))


def _waivable(value: object) -> str:
    names = [one.value for one in Waivable]
    if isinstance(value, str) and value in names:
        return Waivable(value)
    if isinstance(value, str) and value.startswith(CHECKS) and value != CHECKS:
        return _check(value)
    word = value.partition(":")[0] if isinstance(value, str) else ""
    if word in NEVER:
        raise UnfitError(f"{shown(value)} is never waived", NEVER[word])
    close = nearest(word, names)
    hint = f"did you mean {quoted(close)}?" if close else _known()
    raise UnfitError(f"{shown(value)} is nothing that a deadline can waive", hint)


def _check(value: str) -> str:
    name = value.removeprefix(CHECKS)
    if not re.fullmatch(CHECK.pattern, value):
        message = f"{shown(name)} is no name of a program in checks.d"
        raise UnfitError(message, 'write the name of its file alone, as in "checks:10-backup"')
    return value


def _known() -> str:
    names = ", ".join(quoted(one.value) for one in Waivable)
    return f'name some of {names}, or a program of checks.d, as in "checks:10-backup"'


def decode_deadline(item: Item, _: tzinfo) -> DeadlineStep | tuple[Fault, ...]:
    """Make a step, or say what is missing."""
    faults = tuple(_missing(item))
    if faults or item.written - item.found.keys():
        return faults
    given = {key: found.value for key, found in item.found.items()}
    names = given.pop("waive")
    gates = frozenset(name for name in names if isinstance(name, Waivable))
    checks = frozenset(name.removeprefix(CHECKS) for name in names - gates)
    return DeadlineStep(waive=gates, checks=checks, **given)


def _missing(item: Item) -> Iterator[Fault]:
    for key, example in NEEDS.items():
        if key not in item.written:
            yield Fault("", f"has no {key}", f"add {key} = {example}")

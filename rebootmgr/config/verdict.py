"""What `check-config` says of a configuration, line by line."""

from collections.abc import Sequence
from dataclasses import replace

from rebootmgr.errors import Problem


def report(errors: Sequence[Problem], warnings: Sequence[Problem], *, valid: bool) -> list[str]:
    """Write every problem, and a summary."""
    marked = [
        replace(each, key=f"warning: {each.key}" if each.key else "warning") for each in warnings
    ]
    counts = f"{_count(len(errors), 'error')}, {_count(len(warnings), 'warning')}"
    summary = f"configuration {'valid' if valid else 'invalid'}: {counts}"
    return [*map(str, errors), *map(str, marked), summary]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

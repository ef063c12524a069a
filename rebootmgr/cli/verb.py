"""What a verb of rebootmgrctl is made of."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where a verb works: all paths are under `root`; `width` is in columns."""

    root: Path
    json: bool
    out: TextIO
    err: TextIO
    color: bool
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb. `run` returns the exit status, or raises RebootmgrError (SPEC 1)."""

    name: str
    summary: str
    examples: tuple[str, ...]
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Context], int]

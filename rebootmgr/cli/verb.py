"""What a verb of rebootmgrctl is made of, and where each is.

The module of a verb is imported when it is used, which saves most of a start.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, TextIO

MODULES: Final = {
    "status": "bus_verbs",
    "why": "bus_verbs",
    "metrics": "bus_verbs",
    "explain": "explain_verb",
    "wait": "waiting_verbs",
    "is-active": "waiting_verbs",
    "hold": "operator_verbs",
    "holds": "operator_verbs",
    "release": "operator_verbs",
    "reboot": "operator_verbs",
    "cancel": "operator_verbs",
    "forgive": "operator_verbs",
    "history": "operator_verbs",
    "reload": "operator_verbs",
    "plan": "config_verbs",
    "check-config": "check_config",
    "cat-config": "config_verbs",
    "config": "new_config",
    "id": "config_verbs",
    "fleet-lock": "fleet_verbs",
    "fleet": "lock_server_verbs",
    "simulate": "simulate_verb",
    "help": "about_verbs",
    "version": "about_verbs",
}
"""In the `VERBS` of which module each verb is, in the order of --help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where a verb works: all paths are under `root`; `width` is in columns."""

    root: Path
    json: bool
    out: TextIO
    err: TextIO
    color: bool
    width: int

    def emit(self, document: Mapping[str, object], text: str | Iterable[str]) -> None:
        """Print the result: `document` with --json, else `text`, as it is or line by line."""
        if self.json:
            text = [json.dumps(document, indent=2, default=str)]  # str: the dates of TOML
        self.out.write(text if isinstance(text, str) else "".join(f"{line}\n" for line in text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb. `run` returns the exit status, or raises RebootmgrError (SPEC 1)."""

    name: str
    summary: str
    examples: tuple[str, ...]
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Context], int]


def no_arguments(_: ArgumentParser) -> None:
    """Take nothing, for a verb that says all by its name."""


class Verbs(Mapping[str, Verb]):
    """Knows the names at once, and each verb when it is asked for."""

    def __getitem__(self, name: str) -> Verb:
        module = import_module(f"rebootmgr.cli.{MODULES[name]}")
        verbs: tuple[Verb, ...] = module.VERBS
        return next(verb for verb in verbs if verb.name == name)

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)

"""All verbs by name; the module of one is imported when it is used, which saves most of a start."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from rebootmgr.cli.verb import Verb

MODULES: Final = {
    "bus_verbs": ("status", "why", "metrics"),
    "operator_verbs": (
        "hold", "holds", "release", "reboot", "cancel", "forgive", "history", "reload",
    ),
    "config_verbs": ("plan", "check-config", "cat-config"),
    "fleet_verbs": ("fleet-lock",),
    "simulate_verb": ("simulate",),
}  # fmt: skip
"""The `VERBS` of each module, by name, in the order of --help."""


class Verbs(Mapping[str, Verb]):
    """Knows the names at once, and each verb when it is asked for."""

    def __init__(self) -> None:
        self._places = {name: module for module, names in MODULES.items() for name in names}

    def __getitem__(self, name: str) -> Verb:
        module = import_module(f"rebootmgr.cli.{self._places[name]}")
        verbs: tuple[Verb, ...] = module.VERBS
        return next(verb for verb in verbs if verb.name == name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

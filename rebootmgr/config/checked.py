"""The configuration: drop-ins in, settings out, with every error at once (SPEC 2, 3).

Three layers: fragments (config_fragment), merged values with their places, settings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from rebootmgr.config.deadline_keys import decode_deadline
from rebootmgr.config.fragment import DropIn, Fragment, Ignored, Unread
from rebootmgr.config.merged import (
    Merged,
    Zones,
    decode_items,
    in_reading_order,
    no_localtime,
    problem_at,
    read_fragments,
    with_values,
)
from rebootmgr.config.schema import AGENT, BLACKOUT, DEADLINE, WINDOW
from rebootmgr.config.settings import Settings
from rebootmgr.config.values import LOCALTIME
from rebootmgr.config.windows import Place, decode_blackout, decode_window
from rebootmgr.core.policy import Strategy
from rebootmgr.errors import Problem
from rebootmgr.fleetlock.labels_words import fault_of_labels

__all__ = ["Config", "DropIn", "Fragment", "Ignored", "Merged", "Unread", "decode_config"]

_ZONE: Final = "updates.periodic.time_zone"
_LABELS: Final = "identity.labels"
_STRATEGY: Final = "updates.strategy"
_BASE_URL: Final = "updates.fleet_lock.base_url"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration in force. With any error `settings` are not fit for use."""

    settings: Settings
    merged: Merged = field(repr=False)
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def provenance(self) -> Mapping[str, Place]:
        """Where each key that is set was written; items as `updates.blackout[0].start`."""
        places = {key: found.place for key, found in self.merged.values.items()}
        for table, items in self.merged.items.items():
            for index, item in enumerate(items):
                for name, found in item.found.items():
                    places[f"{table}[{index}].{name}"] = found.place
        return places


def decode_config(fragments: Sequence[Fragment], *, localtime: tzinfo | None) -> Config:
    """Make settings of drop-ins, in order; `localtime` is this host's zone, None if unknown."""
    read = read_fragments(fragments, AGENT)
    merged, errors = read.merged, list(read.errors)
    typed = {key: found.value for key, found in merged.values.items()}
    chosen = merged.values.get(_ZONE)
    zones = Zones(localtime, chosen.value if chosen else "UTC")
    windows, window_errors = decode_items(merged, WINDOW, decode_window, zones)
    blackouts, blackout_errors = decode_items(merged, BLACKOUT, decode_blackout, zones)
    steps, step_errors = decode_items(merged, DEADLINE, decode_deadline, zones)
    items = {WINDOW: windows, BLACKOUT: blackouts, DEADLINE: steps}
    settings = with_values(Settings(), "", typed | items)
    errors += [*window_errors, *blackout_errors, *step_errors]
    errors += [*_same_age(merged), *_conflicts(merged, settings, localtime)]
    return Config(
        settings=settings,
        merged=merged,
        errors=in_reading_order(errors, fragments),
        warnings=in_reading_order(read.warnings, fragments),
    )


def _conflicts(merged: Merged, settings: Settings, localtime: tzinfo | None) -> Iterator[Problem]:
    """Yield what is wrong between keys."""
    updates, values = settings.updates, merged.values
    if updates.periodic.time_zone == LOCALTIME and localtime is None:
        yield no_localtime(_ZONE, values[_ZONE].place)
    if Strategy.PERIODIC in updates.strategy and not merged.items[WINDOW]:
        message, hint = "periodic has no window, so it would never reboot", f"add a [[{WINDOW}]]"
        yield problem_at(values[_STRATEGY].place, _STRATEGY, message, hint)
    if fault := fault_of_labels(settings.identity.labels.items()):
        message, hint = f"{fault}, as no server takes them", "remove some, or write shorter ones"
        yield problem_at(values[_LABELS].place, _LABELS, message, hint)
    lock, told = updates.fleet_lock, merged.written - values.keys()
    if Strategy.FLEET_LOCK in updates.strategy and not lock.base_url and _BASE_URL not in told:
        message, hint = "fleet_lock has no server to ask", f"set {_BASE_URL}"
        yield problem_at(values[_STRATEGY].place, _STRATEGY, message, hint)
    if lock.client_key_file and not lock.client_cert_file:
        key = "updates.fleet_lock.client_key_file"
        message, hint = "is a key without its certificate", "set client_cert_file, too"
        yield problem_at(values[key].place, key, message, hint)


def _same_age(merged: Merged) -> Iterator[Problem]:
    """Yield steps of which nobody can tell which comes first."""
    seen = set()
    for item in merged.items[DEADLINE]:
        after = item.found.get("after")
        if after is not None and after.value in seen:
            message = "is the same as that of another deadline"
            hint = "write one step with all that it waives, or another length of time"
            yield problem_at(after.place, f"{DEADLINE}.after", message, hint)
        elif after is not None:
            seen.add(after.value)

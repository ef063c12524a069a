"""Every key there is, its rule, and what to say about a key that there is not (SPEC 3)."""

import re
from collections.abc import Mapping
from typing import Final

from rebootmgr.config import values, windows
from rebootmgr.config.values import Rule
from rebootmgr.text import harmless, nearest

SECONDS_OF_A_DAY: Final = 86_400
MINUTES_OF_A_WEEK: Final = 10_080

KEYS: Final[Mapping[str, Rule]] = {
    "identity.group": values.group,
    "identity.node_uuid": values.node_uuid,
    "updates.source": values.source,
    "updates.enabled": values.boolean,
    "updates.strategy": values.strategy,
    "updates.periodic.time_zone": values.zone_name,
    "updates.periodic.splay_minutes": values.whole(0, MINUTES_OF_A_WEEK),
    "updates.periodic.fit": values.boolean,
    "updates.fleet_lock.base_url": values.base_url,
    "updates.fleet_lock.timeout_seconds": values.whole(1, SECONDS_OF_A_DAY),
    "updates.fleet_lock.ca_file": values.secret_file,
    "updates.fleet_lock.client_cert_file": values.secret_file,
    "updates.fleet_lock.client_key_file": values.secret_file,
    "updates.fleet_lock.authorization_file": values.secret_file,
    "updates.fleet_lock.keep_slot_on_failed_update": values.boolean,
    "updates.sessions.wait": values.boolean,
    "updates.sessions.grace_minutes": values.whole(0, MINUTES_OF_A_WEEK),
    "updates.inhibitors.respect": values.respect,
    "updates.limits.reboots_per_day": values.whole(
        1, 1000, hint="to reboot never, write updates.enabled = false"
    ),
    "updates.limits.attempts_per_deployment": values.whole(1, 1000),
    "updates.clock.require_synchronized": values.clock_rule,
    "hooks.timeout_seconds": values.whole(1, SECONDS_OF_A_DAY),
    "metrics.socket_mode": values.socket_mode,
}

WINDOW: Final = "updates.periodic.window"
BLACKOUT: Final = "updates.blackout"
ITEMS: Final[Mapping[str, Mapping[str, Rule]]] = {
    WINDOW: {
        "days": windows.days,
        "rrule": values.text,
        "start_date": windows.day_of_year,
        "start_time": windows.clock_time,
        "length_minutes": values.whole(1, MINUTES_OF_A_WEEK),
        "time_zone": values.zone_name,
    },
    BLACKOUT: {
        "name": windows.label,
        "start": windows.moment,
        "end": windows.moment,
        "rrule": values.text,
    },
}

TABLES: Final = frozenset(
    key.rsplit(".", depth)[0]
    for key in (*KEYS, *ITEMS)
    for depth in (1, 2)
    if key.count(".") >= depth
)

# Keys of Zincati that are about other things than rebooting.
ZINCATI: Final = frozenset(
    {"agent", "cincinnati", "identity.rollout_wariness", "updates.allow_downgrade"}
)

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def dotted(table: str, name: str) -> str:
    """Name a key in full. What TOML must quote is quoted, and so never a known key."""
    key = name if _BARE.fullmatch(name) else f'"{harmless(name, longest=60)}"'
    return f"{table}.{key}" if table else key


def cure_for_unknown(table: str, name: str) -> str:
    """Say what to do about a key that there is not, in a table that there is ("": the top)."""
    depth = table.count(".") + 1 if table else 0
    inside = f"{table}." if table else ""
    known = [*KEYS, *ITEMS, *(f"{item}.{part}" for item in ITEMS for part in ITEMS[item])]
    beside = sorted({key.split(".")[depth] for key in known if key.startswith(inside)})
    close = nearest(name, beside)
    if close:
        return f"did you mean {inside}{close}?"
    elsewhere = [key for key in known if key.rpartition(".")[2] == name]
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    return f"remove it; known here: {', '.join(beside)}"

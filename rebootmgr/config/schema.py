"""Every key there is of the agent, and its rule (SPEC 3)."""

from collections.abc import Mapping
from typing import Final

from rebootmgr.config import values, windows
from rebootmgr.config.grammar import Grammar, tables_of
from rebootmgr.config.values import Rule

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

TABLES: Final = tables_of((*KEYS, *ITEMS))

# Keys of Zincati that are about other things than rebooting.
ZINCATI: Final = frozenset(
    {"agent", "cincinnati", "identity.rollout_wariness", "updates.allow_downgrade"}
)

AGENT: Final = Grammar(
    keys=KEYS,
    items=ITEMS,
    tables=TABLES,
    foreign=dict.fromkeys(ZINCATI, "Zincati's own; rebootmgr does not fetch updates"),
)

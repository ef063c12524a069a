"""Every key there is of the agent, and its rule (SPEC 3)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from rebootmgr.config import deadline_keys, values, windows
from rebootmgr.config.grammar import Grammar, tables_of
from rebootmgr.config.rules import Rule
from rebootmgr.config.windows import Way
from rebootmgr.core.model import Source
from rebootmgr.core.policy import ClockRule

SECONDS_OF_A_DAY: Final = 86_400
MINUTES_OF_A_WEEK: Final = 10_080

KEYS: Final[Mapping[str, Rule]] = {
    "identity.group": Rule(
        values.group,
        values.GROUP,
        'The host\'s group at the lock server: letters, digits, dots, dashes; "" is default.',
    ),
    "identity.node_uuid": Rule(
        values.node_uuid,
        values.UUID,
        'The host\'s id at the lock server, a UUID. "": derived from /etc/machine-id, as Zincati '
        "does.",
    ),
    "identity.labels": Rule(
        values.labels,
        values.LABELS,
        "What the host tells of itself to lock servers, such as rack or zone: 32 labels, 1,024 "
        "characters in all.",
    ),
    "updates.source": values.one_of(
        Source,
        'Where updates come from: "rpm-ostree", "ostree" or "composefs"; "auto" finds out. '
        "rebootmgrctl status says which and why.",
    ),
    "updates.enabled": Rule(
        values.boolean,
        values.FLAG,
        "false: watch and report, never reboot; a slot left from before is still given back.",
    ),
    "updates.strategy": Rule(
        values.strategy,
        values.STRATEGY,
        '"immediate", "periodic", "fleet_lock" or "off"; or an array, all of which must agree.',
    ),
    "updates.periodic.time_zone": Rule(
        values.zone_name,
        values.ZONE,
        'Zone of windows and blackouts: an IANA name or "localtime".',
    ),
    "updates.periodic.splay_minutes": values.whole(
        0,
        MINUTES_OF_A_WEEK,
        "Hosts start at different times: up to this much, at most half, is cut off the start of "
        "each opening. How much differs from host to host and stays the same.",
        unit="minutes",
    ),
    "updates.periodic.fit": Rule(
        values.boolean,
        values.FLAG,
        "Do not start when the rest of the opening is shorter than this host's own reboots were.",
    ),
    "updates.fleet_lock.base_url": Rule(
        values.base_url,
        values.URL,
        "The lock server; ${group}, ${basearch}, ${stream} and ${platform} are replaced. Required "
        "by the strategy.",
    ),
    "updates.fleet_lock.timeout_seconds": values.whole(
        1,
        SECONDS_OF_A_DAY,
        "For a whole request; connecting may take 10 s of it.",
        unit="seconds",
    ),
    "updates.fleet_lock.ca_file": Rule(
        values.secret_file,
        values.FILE,
        'PEM certificates to trust; "": those that the system trusts.',
    ),
    "updates.fleet_lock.client_cert_file": Rule(
        values.secret_file, values.FILE, "PEM certificate to show the server."
    ),
    "updates.fleet_lock.client_key_file": Rule(
        values.secret_file, values.FILE, "Its key, if it is in a file of its own."
    ),
    "updates.fleet_lock.authorization_file": Rule(
        values.secret_file,
        values.FILE,
        "Its content is the value of the Authorization header; read for each request.",
    ),
    "updates.fleet_lock.keep_slot_on_failed_update": Rule(
        values.boolean,
        values.FLAG,
        "Keep the slot when the update failed here, so that a roll-out stops at the first bad "
        "hosts.",
    ),
    "updates.sessions.wait": Rule(
        values.boolean,
        values.FLAG,
        "Warn people who are logged in, and wait for them until the grace is over.",
    ),
    "updates.sessions.grace_minutes": values.whole(
        0,
        MINUTES_OF_A_WEEK,
        "How long they have, once per update; then the host reboots all the same.",
        unit="minutes",
    ),
    "updates.inhibitors.respect": Rule(
        values.respect,
        values.RESPECT,
        "logind's block inhibitors for shutdown: true, \"root\" (only root's count) or false. "
        "Without true, polkit must let rebootmgr past those that do not count: see "
        "examples/49-rebootmgr-override.rules.",
    ),
    "updates.limits.reboots_per_day": values.whole(
        1,
        1000,
        "Reboots by rebootmgr in any 24 hours.",
        hint="to reboot never, write updates.enabled = false",
    ),
    "updates.limits.attempts_per_deployment": values.whole(
        1, 1000, "Failed reboots into one update before it is quarantined."
    ),
    "updates.clock.require_synchronized": values.one_of(
        ClockRule,
        'When the clock must be synchronized: "windows" (a window, a blackout or the end of a hold '
        'decides), "always" or "never".',
    ),
    "hooks.timeout_seconds": values.whole(
        1,
        SECONDS_OF_A_DAY,
        "For each program in checks.d, pre-reboot.d and post-boot.d.",
        unit="seconds",
    ),
    "metrics.socket_mode": Rule(
        values.socket_mode, values.MODE, "Who may read the metrics socket, as for chmod."
    ),
}

WINDOW: Final = "updates.periodic.window"
BLACKOUT: Final = "updates.blackout"
DEADLINE: Final = "updates.deadline"
ITEMS: Final[Mapping[str, Mapping[str, Rule]]] = {
    WINDOW: {
        "days": Rule(
            windows.days,
            windows.DAYS,
            'Days of the week on which it opens, in English, or ranges such as "Mon-Fri".',
        ),
        "rrule": Rule(
            values.text,
            windows.RECURRENCE,
            "Instead of days: a rule of RFC 5545 about days, such as FREQ=MONTHLY;BYDAY=2SU.",
        ),
        "on_calendar": Rule(
            windows.on_calendar,
            windows.ON_CALENDAR,
            "Instead of days and start_time: an event of systemd.time(7), such as "
            '"Sat,Sun *-*-* 01:30".',
        ),
        "start_date": Rule(
            windows.day_of_year,
            windows.DATE,
            "From when the rule counts, written without quotes: 2026-01-31.",
        ),
        "start_time": Rule(windows.clock_time, windows.CLOCK_TIME, "When it opens, hh:mm."),
        "length_minutes": values.whole(
            1, MINUTES_OF_A_WEEK, "How long it stays open.", unit="minutes"
        ),
        "time_zone": Rule(
            values.zone_name, values.ZONE, "Its own zone, instead of updates.periodic.time_zone."
        ),
    },
    BLACKOUT: {
        "name": Rule(windows.label, values.TEXT, "What rebootmgrctl why calls it."),
        "start": Rule(
            windows.moment,
            windows.MOMENT,
            "The first instant that is forbidden, written without quotes: 2026-12-18T00:00:00.",
        ),
        "end": Rule(
            windows.moment,
            windows.MOMENT,
            "The first instant that is allowed again, written without quotes.",
        ),
        "rrule": Rule(
            values.text, windows.RECURRENCE, "Repeats it, such as FREQ=YEARLY, from its start on."
        ),
    },
    DEADLINE: {
        "after": Rule(
            deadline_keys.span,
            deadline_keys.SPAN,
            "How long the host has been behind when this step is due.",
        ),
        "waive": Rule(
            deadline_keys.waive,
            deadline_keys.WAIVE,
            "What counts no more from then on, besides what earlier steps waive.",
        ),
        "grace": Rule(deadline_keys.span, deadline_keys.SPAN, "Not before this boot is so old."),
        "warn": Rule(
            deadline_keys.spans,
            deadline_keys.SPANS,
            "How long before people who are logged in are told; empty: nobody is.",
        ),
    },
}

NEEDS: Final[Mapping[str, Collection[str]]] = {
    WINDOW: windows.WINDOW_NEEDS.keys(),
    BLACKOUT: windows.BLACKOUT_NEEDS.keys(),
    DEADLINE: deadline_keys.NEEDS.keys(),
}
WAYS: Final[Mapping[str, Sequence[Way]]] = {WINDOW: windows.WINDOW_WAYS}
"""What an item must say, and where it must say one of several things."""

TABLES: Final = tables_of((*KEYS, *ITEMS))

# Keys of Zincati that are about other things than rebooting.
ZINCATI: Final = ("agent", "cincinnati", "identity.rollout_wariness", "updates.allow_downgrade")

AGENT: Final = Grammar(
    keys=KEYS,
    items=ITEMS,
    tables=TABLES,
    foreign=dict.fromkeys(ZINCATI, "Zincati's own; rebootmgr does not fetch updates"),
)

"""From the configuration to what the core decides by."""

from dataclasses import replace
from datetime import timedelta

from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.resolve import request_url, resolve_policy
from rebootmgr.core.memory import Debt, Memory
from rebootmgr.core.model import LONGEST_NAME, LONGEST_SERVER, Slot
from rebootmgr.core.policy import ClockRule, Policy, Respect, Strategy
from rebootmgr.core.window import Calendar, phase_of
from rebootmgr.state.words import decode_state, encode_state

NODE = "eee0097b460c4b2dbf94510d0330626c"
VARIABLES = {"basearch": "x86_64", "stream": "stable", "platform": ""}


def encode(text: str, *, dry_run: bool = False) -> Policy:
    config = decode_config((DropIn("a.toml", text),), localtime=None)
    return resolve_policy(config, node_id=NODE, variables=VARIABLES, dry_run=dry_run)


def test_the_default_configuration_is_the_default_policy() -> None:
    expected = Policy(seed=NODE, calendar=Calendar(phase=phase_of(NODE)))
    assert encode("") == expected
    assert encode("", dry_run=True) == replace(expected, dry_run=True)


def test_a_release_is_repeated_when_a_late_grant_would_have_come() -> None:
    assert encode("").patience.release_again_s == 300.0
    quick = encode("[updates.fleet_lock]\ntimeout_seconds = 7\n")
    assert quick.patience.release_again_s == 7.0


def test_every_setting_that_decides_arrives() -> None:
    policy = encode(
        """
        [updates]
        enabled = false
        strategy = ["periodic", "immediate"]
        [updates.periodic]
        splay_minutes = 7
        fit = false
        [[updates.periodic.window]]
        days = ["Mon"]
        start_time = "1:00"
        length_minutes = 3
        [[updates.blackout]]
        start = 2026-01-01
        end = 2026-01-02
        [updates.fleet_lock]
        keep_slot_on_failed_update = false
        [updates.sessions]
        wait = false
        grace_minutes = 3
        [updates.inhibitors]
        respect = false
        [updates.limits]
        reboots_per_day = 7
        attempts_per_deployment = 8
        [updates.clock]
        require_synchronized = "always"
        """
    )
    calendar = policy.calendar
    assert policy == Policy(
        enabled=False,
        strategies=frozenset({Strategy.PERIODIC, Strategy.IMMEDIATE}),
        calendar=calendar,
        slot=None,
        keep_slot_on_failed_update=False,
        sessions_wait=False,
        sessions_grace=timedelta(minutes=3),
        respect=Respect.NOBODY,
        reboots_per_day=7,
        attempts_per_deployment=8,
        clock=ClockRule.ALWAYS,
        seed=NODE,
    )
    assert (calendar.periodic, calendar.splay, calendar.fit) == (True, timedelta(minutes=7), False)
    assert (len(calendar.windows), len(calendar.blackouts)) == (1, 1)


LOCK = """
updates.strategy = "fleet_lock"
identity.group = "workers"
updates.fleet_lock.base_url = "https://me:hunter2@Lock.example.com/${stream}/${group}/"
"""


def test_a_slot_has_the_servers_address_without_credentials() -> None:
    server = "https://lock.example.com/stable/workers"
    assert encode(LOCK).slot == Slot(server=server, group="workers", id=NODE)
    assert "hunter2" not in repr(encode(LOCK))


def test_only_the_request_sees_the_credentials() -> None:
    config = decode_config((DropIn("a.toml", LOCK),), localtime=None)
    assert request_url(config, VARIABLES) == "https://me:hunter2@Lock.example.com/stable/workers"


def test_an_invalid_configuration_says_the_first_error_and_how_many_more() -> None:
    policy = encode("updates.enabled = 1\nupdates.x = 1\nupdates.y = 1", dry_run=True)
    assert policy.invalid.startswith("a.toml:1: updates.enabled: must be true or false, not 1")
    assert policy.invalid.endswith(" (and 2 more)")
    assert policy.dry_run
    assert encode("updates.enabled = 1").invalid.endswith("(write it without quotes)")


def test_a_variable_without_a_value_on_this_host_is_an_error() -> None:
    policy = encode(LOCK.replace("${stream}", "${platform}"))
    assert "this host has no value for ${platform}" in policy.invalid
    assert policy.slot is None


def test_a_group_and_a_server_are_as_long_as_state_json_remembers_them_and_no_longer() -> None:
    longest = LOCK.replace("workers", "w" * LONGEST_NAME)
    policy = encode(longest)
    assert policy.slot is not None
    debt = Debt(slot=policy.slot)
    told = decode_state(encode_state(Memory(debts=(debt,))))
    assert isinstance(told, Memory)
    assert told.debts == (debt,)
    group = encode(LOCK.replace("workers", "w" * (LONGEST_NAME + 1)))
    assert group.invalid == (
        "a.toml:3: identity.group: has 1025 characters, more than 1024 (write 1024 or fewer)"
    )
    server = encode(LOCK.replace("/${stream}", "/" + "x" * LONGEST_SERVER))
    assert server.invalid == (
        "a.toml:4: updates.fleet_lock.base_url: has 8238 characters, more than 8192"
        " (write 8192 or fewer)"
    )
    expanded = encode(longest.replace("/${stream}", "/${group}" * 8))
    assert expanded.invalid == (
        "a.toml:4: updates.fleet_lock.base_url: has 9260 characters with its variables,"
        " more than 8192 (use a shorter URL, or a shorter identity.group)"
    )

"""What cat-config shows is the configuration, and nothing secret."""

from datetime import UTC, datetime

from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.effective import effective_values, encode_config
from rebootmgr.config.review import review_config

AT = datetime(2026, 6, 1, tzinfo=UTC)
TEXT = r"""
[identity]
group = "workers"
[updates]
strategy = ["fleet_lock", "periodic"]
inhibitors.respect = "root"
[updates.periodic]
time_zone = "Europe/Rome"
[[updates.periodic.window]]
days = ["Sat"]
start_time = "23:30"
length_minutes = 60
[[updates.periodic.window]]
rrule = "FREQ=DAILY"
start_date = 2026-01-01
start_time = "3:00"
length_minutes = 5
[[updates.blackout]]
name = 'a "quoted" \ name'
start = 2026-12-18T00:00:00+01:00
end = 2027-01-04T00:00:00Z
[updates.fleet_lock]
base_url = "https://h/${group}"
[metrics]
socket_mode = "0660"
"""


def test_the_text_reads_back_as_the_same_configuration() -> None:
    config = decode_config((DropIn("/etc/a.toml", TEXT),), localtime=None)
    assert config.errors == ()
    written = encode_config(effective_values(config))
    again = decode_config((DropIn("again.toml", written),), localtime=None)
    assert (again.errors, again.warnings) == ((), ())
    assert again.settings == config.settings


def test_each_value_says_where_it_is_from() -> None:
    config = decode_config((DropIn("/etc/a.toml", TEXT),), localtime=None)
    lines = encode_config(effective_values(config)).splitlines()
    assert 'group = "workers"  # from /etc/a.toml:3' in lines
    assert 'strategy = ["periodic", "fleet_lock"]  # from /etc/a.toml:5' in lines
    assert 'socket_mode = "0660"  # from /etc/a.toml:25' in lines
    assert "enabled = true  # default" in lines


def review(text: str) -> tuple[list[str], list[str]]:
    config = decode_config((DropIn("a.toml", text),), localtime=None)
    assert config.errors == ()
    found = review_config(config, at=AT, node_id="n")
    return [each.key for each in found.errors], [each.key for each in found.warnings]


def test_a_good_configuration_gets_no_advice() -> None:
    assert review("") == ([], [])
    assert review(TEXT) == ([], [])
    assert review("[updates.fleet_lock]\ntimeout_seconds = 1800") == ([], [])


def test_what_is_set_for_a_strategy_that_is_not_used_is_a_warning() -> None:
    text = TEXT.replace('["fleet_lock", "periodic"]', '"immediate"')
    assert review(text) == ([], ["updates.periodic.window", "updates.fleet_lock.base_url"])
    unused = "[updates.periodic]\ntime_zone = 'Europe/Rome'\nsplay_minutes = 3"
    assert review(unused) == ([], ["updates.periodic.time_zone", "updates.periodic.splay_minutes"])


def test_a_policy_that_never_opens_is_an_error_unless_it_is_off() -> None:
    never = "[[updates.blackout]]\nstart = 2026-01-01\nend = 2030-01-01"
    assert review(never) == (["updates.blackout"], [])
    assert review(f"updates.strategy = 'off'\n{never}") == ([], [])
    assert review(f"updates.enabled = false\n{never}") == ([], [])
    past = "FREQ=DAILY;UNTIL=20260101"
    window = (
        f"[[updates.periodic.window]]\nrrule = '{past}'\nstart_time = '1:0'\nlength_minutes = 1"
    )
    assert review(f"updates.strategy = 'periodic'\n{window}") == (["updates.periodic.window"], [])


def test_a_splay_longer_than_a_window_is_a_warning() -> None:
    text = TEXT.replace("[updates.periodic]", "[updates.periodic]\nsplay_minutes = 6")
    assert review(text) == ([], ["updates.periodic.splay_minutes"])


def test_a_blackout_that_ended_long_ago_is_a_warning() -> None:
    assert review("[[updates.blackout]]\nstart = 2025-01-01\nend = 2025-02-01") == (
        [],
        ["updates.blackout"],
    )
    assert review("[[updates.blackout]]\nstart = 2026-05-01\nend = 2026-05-20") == ([], [])

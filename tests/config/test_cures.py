"""What to write instead, and that no secret is quoted on the way."""

import pytest

from rebootmgr.config.cures import cure_for_syntax, cure_for_zone
from rebootmgr.config.values import decode_zone


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("CEST", '"Europe/Berlin"'),
        ("pdt", '"America/Los_Angeles"'),
        ("UTC+1", '"Etc/GMT-1"'),
        ("GMT-05:00", '"Etc/GMT+5"'),
        ("+02", '"Etc/GMT-2"'),
        ("UTC+0", '"UTC"'),
    ],
)
def test_a_zone_that_clocks_show_leads_to_one_that_there_is(name: str, cure: str) -> None:
    assert cure in cure_for_zone(name, "")
    assert str(decode_zone(cure.strip(chr(34)))) == cure.strip(chr(34))


@pytest.mark.parametrize("name", ["UTC+15", "UTC-13", "UTC+5:30"])
def test_an_offset_that_has_no_zone_leads_to_a_city(name: str) -> None:
    assert "Etc/" not in cure_for_zone(name, "")
    assert "the zone of a city" in cure_for_zone(name, "")


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("strategy = periodic", 'write strategy = "periodic"'),
        ("strategy = [periodic, fleet_lock]", 'write strategy = ["periodic", "fleet_lock"]'),
        ("enabled = False # for now", "write enabled = false"),
        ("enabled = on", "write enabled = true"),
        ("length_minutes: 60", "write length_minutes = 60"),
        ("[[updates.blackout]", "write [[updates.blackout]]"),
        ("start_time = 23:30", 'write start_time = "23:30"'),
        ("base_url = hunter2", 'write base_url = "...", with the quotes'),
        ("authorization_file = Basic hunter2", 'write authorization_file = "...", with the quotes'),
        ("x = https://me:hunter2@h", 'write x = "...", with the quotes'),
        ("???", "see https://toml.io for the grammar"),
    ],
)
def test_a_line_that_is_not_toml_is_shown_as_it_should_be(line: str, cure: str) -> None:
    assert cure_for_syntax(f"# first\n{line}\n", 2, "Invalid value") == (
        "is not TOML: Invalid value",
        cure,
    )

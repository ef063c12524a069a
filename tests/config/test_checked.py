"""What a configuration means, and what is said about one that means nothing."""

import dataclasses
from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from rebootmgr.config.checked import Config, DropIn, Ignored, Unread, decode_config
from rebootmgr.config.effective import effective_values, encode_config
from rebootmgr.config.schema import ITEMS, KEYS
from rebootmgr.config.settings import Settings
from rebootmgr.config.windows import Place
from rebootmgr.core.policy import ClockRule, Respect, Strategy
from rebootmgr.core.window import Weekly
from rebootmgr.errors import Problem

ROME = ZoneInfo("Europe/Rome")
SHIPPED = Path(__file__).parents[2] / "etc/rebootmgr/config.d/10-defaults.toml"
WINDOW = """
[[updates.periodic.window]]
days = ["Sat"]
start_time = "23:30"
length_minutes = 60
"""


def decode(*texts: str) -> Config:
    fragments = [DropIn(f"{number}.toml", text) for number, text in enumerate(texts)]
    return decode_config(fragments, localtime=ROME)


def valid(*texts: str) -> Settings:
    config = decode(*texts)
    assert config.errors == ()
    return config.settings


def only_error(*texts: str) -> Problem:
    (error,) = decode(*texts).errors
    return error


def test_nothing_written_means_the_defaults() -> None:
    assert decode() == decode("") == decode("# nothing")
    assert decode().settings == Settings()


def test_every_key_of_the_settings_has_a_rule_and_every_rule_a_key() -> None:
    def names(kind: object, table: str) -> set[str]:
        found = set()
        for each in dataclasses.fields(kind):  # type: ignore[arg-type]  # a dataclass, by design
            value, key = getattr(kind, each.name), f"{table}{each.name}"
            found |= names(value, f"{key}.") if dataclasses.is_dataclass(value) else {key}
        return found

    assert names(Settings(), "") == {*KEYS, *ITEMS}


def test_the_shipped_file_is_a_comment_of_exactly_the_defaults() -> None:
    text = SHIPPED.read_text()
    assert all(line.startswith("#") or not line for line in text.splitlines())
    assert decode(text) == decode()
    # Settings follow "#" at once, prose follows "# ", examples follow "#   ".
    bare = [line[1:] if line[:1] == "#" and line[1:2] != " " else "" for line in text.splitlines()]
    config = decode("\n".join(bare))
    assert (config.errors, config.warnings, config.settings) == ((), (), Settings())
    assert set(config.provenance) == set(KEYS)
    examples = [line[4:] for line in text.splitlines() if line.startswith("#   ")]
    settings = valid("\n".join(examples))
    assert len(settings.updates.periodic.window) == 2
    assert len(settings.updates.blackout) == 1


def test_a_zincati_drop_in_works_unchanged() -> None:
    config = decode(
        """
        # /etc/zincati/config.d/55-updates-strategy.toml
        [identity]
        group = "workers"
        node_uuid = "DE35106B-6EC2-4688-B63A-FDDAA156679B"
        rollout_wariness = 0.5

        [agent.timing]
        steady_interval_secs = 300

        [cincinnati]
        base_url = "https://updates.coreos.fedoraproject.org"

        [updates]
        allow_downgrade = false
        enabled = true
        strategy = "periodic"
        fleet_lock.base_url = "http://fleet-lock.example.com/${group}/"

        [updates.periodic]
        time_zone = "localtime"

        [[updates.periodic.window]]
        days = [ "Sat", "sunday" ]
        start_time = "7:5"
        length_minutes = 60
        """
    )
    assert config.errors == ()
    assert [(each.key, each.line, each.message) for each in config.warnings] == [
        ("identity.rollout_wariness", 6, "has no effect here"),
        ("agent", 8, "has no effect here"),
        ("cincinnati", 11, "has no effect here"),
        ("updates.allow_downgrade", 15, "has no effect here"),
    ]
    settings = config.settings
    assert settings.identity.node_uuid == "de35106b6ec24688b63afddaa156679b"
    assert settings.updates.periodic.window == (
        Weekly(days=frozenset({5, 6}), start=time(7, 5), length=timedelta(hours=1), zone=ROME),
    )


def test_the_last_file_that_sets_a_key_wins_and_windows_add_up() -> None:
    first = f"[updates]\nstrategy = 'off'\nlimits.reboots_per_day = 9\n{WINDOW}"
    second = f"[updates]\nstrategy = 'periodic'\n{WINDOW}"
    config = decode(first, second)
    assert config.errors == ()
    assert config.settings.updates.strategy == {Strategy.PERIODIC}
    assert config.settings.updates.limits.reboots_per_day == 9
    assert len(config.settings.updates.periodic.window) == 2
    assert config.provenance["updates.strategy"] == Place("1.toml", 2)
    assert config.provenance["updates.limits.reboots_per_day"] == Place("0.toml", 3)
    assert config.provenance["updates.periodic.window[1].days"] == Place("1.toml", 5)


def test_an_overridden_value_still_has_to_make_sense() -> None:
    error = only_error("[hooks]\ntimeout_seconds = 0", "[hooks]\ntimeout_seconds = 5")
    assert (error.file, error.line, error.key) == ("0.toml", 2, "hooks.timeout_seconds")


def test_all_errors_come_at_once_in_reading_order() -> None:
    config = decode(
        "[updates]\nenabled = 1\nstrategy = ''\n\n[metrics]\nsocket_mode = 666",
        "= 3",
        "[hooks]\ntimeout = 3",
    )
    assert [(each.file, each.line, each.key) for each in config.errors] == [
        ("0.toml", 2, "updates.enabled"),
        ("0.toml", 6, "metrics.socket_mode"),
        ("1.toml", 1, ""),
        ("2.toml", 2, "hooks.timeout"),
    ]
    assert all(each.message and each.hint for each in config.errors)


def test_what_could_not_be_read_is_an_error_and_what_is_ignored_a_warning() -> None:
    unread = Problem(file="a.toml", line=None, key="", message="no", hint="mend")
    ignored = Problem(file="b.conf", line=None, key="", message="no", hint="rename")
    config = decode_config((Unread(unread), Ignored(ignored)), localtime=None)
    assert (config.errors, config.warnings) == ((unread,), (ignored,))


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb = ", 2), ("a = 1\na = 2", 2), ("[x\n", 1), ("a = 1\nb = [1,\n", 2), ("\x00", 1)],
)
def test_a_syntax_error_names_its_line(text: str, line: int) -> None:
    error = only_error(text)
    assert error.line == line
    assert error.message.startswith(("is not TOML: ", "the key a stands here for the second"))


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 3000, "a = " + "9" * 5000, ".".join("a" * 5000) + " = 1"]
)
def test_monstrous_toml_is_an_error_and_no_crash(text: str) -> None:
    assert "nested too deeply" in only_error(text).message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[updates]\nstrategi = 'off'", "did you mean updates.strategy?"),
        ("[[updates.fleet_lock.window]]\ndays = []", "did you mean updates.periodic.window?"),
        ("[updates]\nbase_url = 'x'", "did you mean updates.fleet_lock.base_url?"),
        ("[hoooks]\ntimeout_seconds = 1", "did you mean hooks?"),
        (f"{WINDOW}start_tim = '1:1'", "did you mean updates.periodic.window.start_time?"),
        ("[metrics]\nx = 1", "remove it; known here: socket_mode"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_known_one(text: str, hint: str) -> None:
    error = only_error(text)
    assert error.message == "is no known key"
    assert error.hint == hint


def test_a_quoted_key_with_dots_is_not_taken_for_the_known_one() -> None:
    assert only_error("'updates.strategy' = 'off'").message == "is no known key"


@pytest.mark.parametrize(
    "text",
    [
        "updates = 3",
        "[[updates]]\nenabled = true",
        "[updates]\nperiodic = 'x'",
        "[updates.strategy]\nx = 1",
        "[updates]\nperiodic.window = 3",
        "[updates]\nperiodic.window = [3]",
        "[updates.periodic.window]\ndays = ['Sat']",
        "[identity]\ngroup = 3",
        "[identity]\ngroup = ' '",
        "[identity]\ngroup = 'a\u00e4'",
        '[identity]\ngroup = "a\\n"',
        "[identity]\nnode_uuid = 'abc'",
        '[identity]\nnode_uuid = "de35106b6ec24688b63afddaa156679b\\n"',
        "[updates]\nenabled = 'true'",
        "[updates]\nenabled = 1",
        "[updates]\nstrategy = []",
        "[updates]\nstrategy = ['immediate', 'immediate']",
        "[updates]\nstrategy = ['off', 'immediate']",
        "[updates]\nstrategy = ['']",
        "[updates]\nstrategy = 'Immediate'",
        "[updates]\nstrategy = true",
        "[updates]\nstrategy = [['off']]",
        "[updates]\nstrategy = 'periodic'",
        "[updates]\nstrategy = ['immediate', 'fleet_lock']",
        "[updates.periodic]\nsplay_minutes = true",
        "[updates.periodic]\nsplay_minutes = -1",
        "[updates.periodic]\nsplay_minutes = 1.0",
        "[updates.periodic]\nsplay_minutes = 0x" + "f" * 20000,
        "[updates.fleet_lock]\nca_file = 'ca.pem'",
        "[updates.fleet_lock]\nclient_key_file = '/key.pem'",
        "[updates.inhibitors]\nrespect = 'all'",
        "[updates.inhibitors]\nrespect = 1",
        "[updates.limits]\nreboots_per_day = 0",
        "[updates.clock]\nrequire_synchronized = true",
        "[metrics]\nsocket_mode = '0888'",
        '[metrics]\nsocket_mode = "0666\\n"',
        "[metrics]\nsocket_mode = '1777'",
    ],
)
def test_what_makes_no_sense_is_one_error_with_a_line_and_a_cure(text: str) -> None:
    error = only_error(text)
    assert error.line in {1, 2}
    assert error.key
    assert error.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("strategy = ''", {Strategy.IMMEDIATE}),
        ("strategy = ['off']", {Strategy.OFF}),
        ("strategy = ['immediate', 'fleet_lock']", {Strategy.IMMEDIATE, Strategy.FLEET_LOCK}),
    ],
)
def test_strategies_are_a_word_or_an_array(text: str, expected: set[Strategy]) -> None:
    assert (
        valid(f"[updates]\nfleet_lock.base_url = 'http://h'\n{text}").updates.strategy == expected
    )


def test_values_become_what_they_mean() -> None:
    settings = valid(
        "[updates]\ninhibitors.respect = 'root'\nclock.require_synchronized = 'never'\n"
        "[metrics]\nsocket_mode = '660'"
    )
    assert settings.updates.inhibitors.respect is Respect.ROOT
    assert settings.updates.clock.require_synchronized is ClockRule.NEVER
    assert settings.metrics.socket_mode == 0o660


def test_labels_of_all_drop_ins_are_put_together_and_the_last_word_counts() -> None:
    config = decode(
        '[identity.labels]\nrack = "a1"\nzone = "b"',
        'identity.labels = { rack = "a2", "x.y" = "1" }',
    )
    assert config.errors == ()
    assert config.settings.identity.labels == {"rack": "a2", "zone": "b", "x.y": "1"}
    assert config.merged.overridden.keys() == {"identity.labels"}
    text = encode_config(effective_values(config))
    assert 'labels = { rack = "a2", "x.y" = "1", zone = "b" }  # from' in text
    assert decode(text).settings == config.settings
    apart = decode('identity.labels.rack = "a1"', 'identity.labels.zone = "b"')
    assert apart.merged.overridden == {}, "one adds to the other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('labels = "rack=a2"', "must be a table of labels, each with its value in quotes, not"),
        ("[identity.labels]\nrack = 3", "has 3 for rack"),
        ('[identity.labels]\nrack = "a 2"', 'has "a 2" for rack, which is no value'),
        ('[identity.labels]\n"ra,ck" = "a"', 'has the label "ra,ck", which is no name'),
        ("\n".join(f'labels.l{n} = "x"' for n in range(33)), "has 33 labels, more than 32"),
        ("\n".join(f'labels.l{n} = "{"x" * 200}"' for n in range(6)), "has 1223 characters"),
    ],
)
def test_labels_that_no_server_would_take_are_named(text: str, message: str) -> None:
    error = only_error(text if text.startswith("[") else f"[identity]\n{text}")
    assert (error.key, error.line is None) == ("identity.labels", False)
    assert message in error.message

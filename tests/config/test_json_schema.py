"""The schema says what the program says: of templates, examples and documents, and of noise."""

import json
import re
import subprocess
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Final

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rebootmgr.cli.new_config import TEMPLATES, template
from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.json_schema import FILE, encode_schema
from rebootmgr.config.rules import Accepts, Either, Flag, Rule, Whole, Words
from rebootmgr.config.schema import ITEMS, KEYS
from rebootmgr.config.values import UnfitError
from tests.config.test_properties import VALUES
from tests.doc_text import GUIDES, MAN_PAGES, ROOT, Example, rows, toml_examples
from tests.test_examples import commented

SCHEMA: Final = encode_schema()
SHIPPED: Final = ROOT / "schema/rebootmgr.toml.schema.json"
FILES: Final = {path.name: path.read_text() for path in ROOT.glob("etc/rebootmgr/**/*.toml")}
RULES: Final = {
    **KEYS,
    **{f"{table}.{name}": rule for table in ITEMS for name, rule in ITEMS[table].items()},
}


def plain(value: object) -> object:
    """Write TOML as JSON: dates as the text that RFC 3339 makes of them."""
    match value:
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case date() | datetime() | time():
            return value.isoformat()
        case _:
            return value


def complaints(text: str) -> list[str]:
    """What a validator says of a drop-in."""
    found = Draft202012Validator(SCHEMA).iter_errors(plain(tomli.loads(text)))
    return [f"{each.json_path}: {each.message}" for each in found]


def faults(text: str) -> list[str]:
    """What the program says of the keys and values of a drop-in, and of nothing between them."""
    config = decode_config((DropIn("a.toml", text),), localtime=UTC)
    return [str(problem) for problem in config.errors]


def test_it_is_a_schema_of_the_draft_that_it_names() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$schema"]


def test_the_shipped_file_is_what_the_program_prints() -> None:
    cure = "rebootmgrctl config schema > schema/rebootmgr.toml.schema.json"
    assert SHIPPED.read_text() == json.dumps(SCHEMA, indent=2) + "\n", cure


def test_it_is_installed_where_the_header_of_a_template_says(tmp_path: Path) -> None:
    command = ["make", "install", "pages=", f"DESTDIR={tmp_path}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / FILE.lstrip("/")).read_bytes() == SHIPPED.read_bytes()
    for name in TEMPLATES:
        assert template(name).startswith(f"#:schema file://{FILE}\n")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_valid_for_the_schema_and_for_the_program(name: str) -> None:
    text = template(name)
    assert (complaints(text), faults(text)) == ([], [])


def test_every_key_of_the_template_that_has_every_key_may_be_taken_as_it_is() -> None:
    bare = [line[1:] for line in template("every-key").splitlines()[1:] if line[1:2].strip()]
    text = "\n".join(bare)
    assert (complaints(text), faults(text)) == ([], [])
    values = decode_config((DropIn("a.toml", text),), localtime=None).merged.values
    assert values.keys() == KEYS.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_drop_in_is_valid_with_all_that_it_has_commented_out(name: str) -> None:
    text, blocks = FILES[name], list(commented(FILES[name]))
    assert complaints(text) == []
    for block in ["\n".join(blocks)] if name == "10-defaults.toml" else blocks:
        assert complaints(f"{text}\n{block}") == [], block


@pytest.mark.parametrize("name", [one for one in TEMPLATES if one != "every-key"])
def test_what_a_template_has_commented_out_is_valid_as_well(name: str) -> None:
    text = template(name)
    for block in commented(text.partition("\n")[2]):
        assert (complaints(f"{text}\n{block}"), faults(f"{text}\n{block}")) == ([], []), block


@pytest.mark.parametrize(
    "example", [*toml_examples(GUIDES), *toml_examples(MAN_PAGES)], ids=lambda each: str(each[0])
)
def test_an_example_of_a_document_is_valid_unless_the_program_refuses_it_as_well(
    example: tuple[str, Example],
) -> None:
    text = example[1].text
    assert faults(text) or complaints(text) == []


def test_a_validator_names_a_wrong_key_and_its_table() -> None:
    assert complaints("[updates.periodic]\nsplay_minute = 5") == [
        "$.updates.periodic: Additional properties are not allowed ('splay_minute' was unexpected)"
    ]
    assert complaints("[update]\nstrategy = 'off'") == [
        "$: Additional properties are not allowed ('update' was unexpected)"
    ]


@pytest.mark.parametrize(
    ("window", "complaint"),
    [
        ("start_time='1:0'", "'length_minutes' is a required property"),
        ("days=['Sat']\nrrule='FREQ=DAILY'\nstart_time='1:0'", "is valid under each of"),
        ("days=['Sat']\nstart_date=2026-01-01", "is not valid under any of"),
        ("on_calendar='Sat 1:00'\nstart_time='1:0'", "is not valid under any of"),
        ("days=['Someday']", "'Someday' does not match"),
        ("start_time='24:00'", "'24:00' does not match"),
        ("length_minutes=0", "0 is less than the minimum of 1"),
    ],
)
def test_a_validator_knows_what_a_window_needs(window: str, complaint: str) -> None:
    text = f"[[updates.periodic.window]]\n{window}"
    assert any(complaint in each for each in complaints(text)), complaints(text)
    assert faults(text)


def is_taken(rule: Rule, value: object) -> bool:
    try:
        rule(value)
    except UnfitError:
        return False
    return True


def shape_of(key: str) -> Draft202012Validator:
    schema: object = SCHEMA
    for name in key.split("."):
        assert isinstance(schema, dict)
        below = schema.get("items", schema)["properties"]
        schema = below[name]
    return Draft202012Validator(schema)


SHAPES: Final = {key: shape_of(key) for key in RULES}
LIKELY: Final = st.sampled_from(
    [
        *("default", "a b", "x" * 1025, "0123456789abcdef0123456789ABCDEF", "URN:uuid:" + "a" * 32),
        *("auto", "ostree", "periodic", "off", "root", "always", "https://h/${group}", "/etc/x"),
        *("0666", "644", "77777", "Mon-Fri", "sat .. sun", "Mon - Tue", "mon..tue", "monday-SUN"),
        *("5:5", "23:59", "24:00", "1:60", "UTC", "Europe/Berlin", "FREQ=DAILY"),
        *(0, 1, 1000, 1001, 10080, 10081, 86400, 86401, -1),
    ]
)


def is_closed(accepts: Accepts) -> bool:
    """Whether the schema can say all that there is to say."""
    match accepts:
        case Flag() | Whole() | Words():
            return True
        case Either(ways=ways):
            return all(map(is_closed, ways))
        case _:
            return False


@settings(deadline=None, max_examples=300)
@given(LIKELY | VALUES | st.lists(LIKELY, max_size=3))
def test_the_schema_refuses_nothing_that_the_program_takes(value: object) -> None:
    for key, rule in RULES.items():
        if is_taken(rule, value):
            assert SHAPES[key].is_valid(plain(value)), (key, value)
        elif is_closed(rule.accepts):
            # A float with nothing behind its point is an integer to JSON, and none to TOML.
            assert isinstance(value, float) or not SHAPES[key].is_valid(plain(value)), (key, value)


def test_most_rules_say_all_or_have_a_pattern() -> None:
    loose = {key for key, shape in SHAPES.items() if shape.is_valid("\n no such thing ")}
    assert loose == {
        "updates.periodic.time_zone",
        "updates.fleet_lock.base_url",
        "updates.periodic.window.rrule",
        "updates.periodic.window.on_calendar",
        "updates.periodic.window.time_zone",
        "updates.blackout.name",
        "updates.blackout.rrule",
    }


def test_what_a_key_means_is_a_sentence_and_that_of_the_guide() -> None:
    assert [key for key, rule in RULES.items() if not rule.meaning.endswith(".")] == []
    table = {row[0].strip("`"): row[2] for row in rows(GUIDES["docs/configuration.md"], 3)}
    for key, rule in KEYS.items():
        told = re.sub(r"`|\[([^]]+)\]\([^)]+\)", r"\1", table[key])
        assert told.startswith(rule.meaning), key

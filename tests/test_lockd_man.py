"""The lock server's man pages say what it does, all of it and nothing else."""

import re
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

from rebootmgr.config.effective import encode_value
from rebootmgr.config.values import UnfitError
from rebootmgr.fleetlock import admin_names
from rebootmgr.lending.questions import Kind
from rebootmgr.lockd import check
from rebootmgr.lockd.command_line import CHECK, LEVELS, parser
from rebootmgr.lockd.main import OLDEST
from rebootmgr.lockd_config.configuration import DIRECTORIES
from rebootmgr.lockd_config.keys import ITEMS, KEYS, Tcp, Unix, unsupported
from rebootmgr.lockd_config.wanted import GroupWanted, HostWanted, ServerWanted, StoreWanted, Wanted
from tests.doc_text import MAN_PAGES, toml_examples
from tests.lockd.program import serving
from tests.test_man import bold, definitions, option_strings, section, terms

SERVER: Final = MAN_PAGES["docs/man/rebootmgr-lockd.8.md"]
CONFIG: Final = MAN_PAGES["docs/man/rebootmgr-lockd.toml.5.md"]
TABLES: Final = {
    "server": ("[server]", ServerWanted),
    "store": ("[store]", StoreWanted),
    "groups.*": ("[groups.NAME]", GroupWanted),
    "hosts.*": ("[hosts.ID]", HostWanted),
}
SUPPORTED: Final = [key for key, rule in KEYS.items() if rule is not unsupported]
KINDS: Final = {bool: "Boolean", int: "Integer", str: "String", tuple: "Array", dict: "Table"}


# The configuration


def defaults() -> Iterator[tuple[str, object]]:
    """Give each supported key and its default."""
    yield "any_group", Wanted().any_group
    for table, (_, wanted) in TABLES.items():
        made = wanted()
        named = {f"{table}.{field.name}": getattr(made, field.name) for field in fields(made)}
        yield from ((key, value) for key, value in named.items() if key not in ITEMS)


def written(value: object) -> str:
    match value:
        case tuple():
            return f"[{', '.join(map(written, value))}]"
        case Tcp() | Unix():
            return f'"{value}"'
        case dict():
            return "{}"
        case None:  # by whether it speaks TLS
            return str(ServerWanted().most_connections)
        case _:
            return encode_value(value)


def described() -> dict[str, str]:
    """Give the term of each key of the page, and what is said of it."""
    found = {}
    titles = {"": "At the top"} | {name: head for name, (head, _) in TABLES.items()}
    for table, title in titles.items():
        for term, text in definitions(section(CONFIG, title)).items():
            found[f"{table}.{bold(term)[0]}".lstrip(".")] = f"{term} {text}"
    return found


def test_every_key_is_described_with_its_default_and_its_type() -> None:
    told, known = described(), dict(defaults())
    assert list(told) == list(known)
    assert set(known) == {key.removesuffix(".*") if "labels" in key else key for key in SUPPORTED}
    for key, default in known.items():
        kind = KINDS[int if default is None else type(default)]
        assert told[key].startswith(f"**{key.rpartition('.')[2]}** = {written(default)} {kind}")


def test_every_bound_of_a_key_is_told() -> None:
    told = described()
    for key in SUPPORTED:
        try:
            KEYS[key](object())
        except UnfitError as error:
            for low, high in re.findall(r"whole number from (\d+) to (\d+)", str(error)):
                assert f"{low} to {high}" in told[key]


def test_every_key_of_a_window_or_blackout_is_described() -> None:
    for table, keys in ITEMS.items():
        told = definitions(section(CONFIG, f"[[{table.replace('*', 'NAME')}]]"))
        assert [bold(term)[0] for term in told] == list(keys)


def test_every_key_of_a_later_version_is_named_as_such() -> None:
    later = {key for key in KEYS if key not in SUPPORTED}
    assert set(bold(section(CONFIG, "NOT IN THIS VERSION"))) == later


def test_each_example_is_taken_by_the_server() -> None:
    examples = [each for _, each in toml_examples(MAN_PAGES) if each.of_lockd]
    assert examples
    for each in examples:
        each.check()


# The program


def test_every_option_and_verb_is_described() -> None:
    assert sorted(terms(section(SERVER, "OPTIONS"))) == option_strings(parser())
    positional = [each for each in parser()._actions if not each.option_strings]
    [verbs] = (each.choices for each in positional)
    assert isinstance(verbs, dict)
    told = definitions(section(SERVER, "COMMANDS"))
    assert {bold(term)[0]: sorted(bold(term)[1:]) for term in told} == {
        name: sorted(set(option_strings(of)) - {"-h", "--help"})
        for name, of in verbs.items()
        if isinstance(of, ArgumentParser)
    }
    assert CHECK in verbs
    levels = definitions(section(SERVER, "OPTIONS"))["**--log-level** *LEVEL*"]
    assert bold(levels) == list(LEVELS)


def test_every_kind_of_refusal_is_named() -> None:
    refused = definitions(section(SERVER, "WHAT A HOST IS TOLD"))["**423**"]
    assert set(bold(refused)) == {"kind", *Kind}


def test_the_exit_statuses_and_the_oldest_library_are_those_of_the_program() -> None:
    told = definitions(section(SERVER, "EXIT STATUS"))
    assert list(told) == ["**0**", "**1**", "**2**", f"**{check.INVALID}**"]
    assert f"aiohttp is older than {'.'.join(map(str, OLDEST['aiohttp']))}" in told["**1**"]
    assert set(OLDEST) == {"aiohttp", "jinja2"}
    assert "jinja2" in told["**1**"]


def test_the_paths_are_those_of_the_server() -> None:
    files = section(SERVER, "FILES")
    for directory in DIRECTORIES:
        assert f"**/{directory}/\\*.toml**" in files
        assert f"/{directory}/\\*.toml" in section(CONFIG, "SYNOPSIS")
    assert {f"**/{admin_names.SOCKET}**", f"**{StoreWanted().path}**"} <= set(definitions(files))
    assert f"group **{admin_names.GROUP}**" in files


async def test_every_metric_is_listed_with_its_labels_kind_and_help(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        for status, answer in (
            (200, await server.ask("h1")),
            (423, await server.ask("h2")),
            (200, await server.give_back("h1")),
        ):
            assert answer.status == status
        text = (await server.get("/metrics")).body.decode()
    known = {}
    for name, about, kind, series in re.findall(
        r"(?m)^# HELP (\S+) (.+)\n# TYPE \S+ (\w+)\n([^# ]+)", text
    ):
        labels = ",".join(label for label in re.findall(r'(\w+)="', series) if label != "le")
        known[f"**{name}{f'{{{labels}}}' if labels else ''}** ({kind})"] = about
    assert definitions(section(SERVER, "METRICS")) == known

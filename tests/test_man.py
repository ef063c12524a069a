"""The man pages say what the program does, all of it and nothing else, and render cleanly."""

import re
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ET
from argparse import Action, ArgumentParser
from collections.abc import Iterator, Mapping
from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.cli import main as client
from rebootmgr.cli.bus_verbs import CALLED, METRICS, PENDING
from rebootmgr.cli.waiting_verbs import TIMED_OUT
from rebootmgr.config.checked import decode_config
from rebootmgr.config.drop_ins import DIRECTORIES
from rebootmgr.config.effective import effective_values, encode_value
from rebootmgr.config.schema import ITEMS, KEYS, TABLES, ZINCATI
from rebootmgr.config.values import UnfitError
from rebootmgr.control import members
from rebootmgr.control.introspection import encode_introspection
from rebootmgr.control.members import ACTION, MANAGER
from rebootmgr.control.words import encode_status
from rebootmgr.core.counters import Counters, Process
from rebootmgr.core.model import NoticeKind, Outcome, Phase, Reason
from rebootmgr.core.status import StateName
from rebootmgr.daemon.arguments import parser
from rebootmgr.show.metrics import encode_metrics
from tests.doc_text import (
    GUIDES,
    MAN_PAGES,
    ROOT,
    blocks,
    check_call,
    parser_of,
    rows,
    toml_examples,
    words,
)
from tests.fakes import statuses

PAGES: Final = {Path(name).stem: text for name, text in MAN_PAGES.items()}
DAEMON: Final = PAGES["rebootmgrd.8"]
CLIENT: Final = PAGES["rebootmgrctl.1"]
CONFIG: Final = PAGES["rebootmgr.toml.5"]
BUS: Final = PAGES["org.rebootmgr1.5"]
SCREEN: Final = 80
SOURCES: Final = "".join(path.read_text("utf-8") for path in ROOT.glob("rebootmgr/**/*.py"))
EXAMPLES: Final = [
    (where, each.text) for where, each in toml_examples(MAN_PAGES) if not each.of_lockd
]


def section(page: str, title: str) -> str:
    """Give what stands below a heading, its own sub-headings included."""
    for depth in ("#", "###"):
        end = rf"^#{{1,{len(depth)}}} |\Z"
        if found := re.search(rf"(?ms)^{depth} {re.escape(title)}\n(.*?)(?={end})", page):
            return found[1]
    raise LookupError(title)


def definitions(text: str) -> dict[str, str]:
    """Read the terms of a text, and what is said of each, on one line."""
    found = re.findall(r"(?m)^(\S.*)\n((?:: .*\n(?:  .*\n)*)+)", text)
    return {term: " ".join(re.sub(r"(?m)^: ", "", body).split()) for term, body in found}


def bold(text: str) -> list[str]:
    return re.findall(r"\*\*([^*]+)\*\*", text)


def terms(text: str) -> list[str]:
    """Give the bold words of the terms of a text."""
    return [word for term in definitions(text) for word in bold(term)]


# As pages


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_nothing_that_go_md2man_renders_badly(name: str) -> None:
    """As of go-md2man 2.0: tables, HTML and what looks like a request in code break."""
    in_code, wrong = False, []
    for number, line in enumerate(PAGES[name].splitlines(), 1):
        fence = line.startswith("```")
        in_code ^= fence
        is_request = in_code and line.startswith((".", "'"))
        is_markup = not in_code and not fence and re.search(r"`|<|^\||^##(?!#)|^ {4}", line)
        if is_request or is_markup or not line.isascii():
            wrong.append(f"{number}: {line}")
    assert wrong == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_as_whatis_wants_it(name: str) -> None:
    title, number = name.rsplit(".", 1)
    assert re.match(rf'% {title.upper()} {number} "\d{{4}}-\d\d-\d\d" ', PAGES[name])
    assert re.fullmatch(rf"\n{re.escape(title)} - \S.+\n\n", section(PAGES[name], "NAME"))


def tool(name: str) -> str:
    """Find a program, or say loudly what was not tried."""
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here: the man pages were not rendered by it (apt-get install it)")
    return name


@pytest.fixture(params=PAGES)
def roff(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Convert a page as the package does."""
    name: str = request.param
    page, source = tmp_path / name, str(ROOT / "docs/man" / f"{name}.md")
    done = run(tool("go-md2man"), "-in", source, "-out", str(page))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return page


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": str(SCREEN)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_a_page_fits_on_a_screen_of_man(roff: Path) -> None:
    done = run(tool("man"), "--warnings=w", "-l", str(roff))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if len(line) > SCREEN] == []
    for heading in re.findall(r"(?m)^# (.+)$", PAGES[roff.name]):
        assert f"\n{heading}\n" in done.stdout


def test_groff_warns_of_nothing_in_a_page(roff: Path) -> None:
    done = run(tool("groff"), "-t", "-mandoc", "-ww", "-Tutf8", str(roff))
    assert (done.returncode, done.stderr) == (0, "")


def test_mandoc_warns_of_nothing_in_a_page_that_is_ours(roff: Path) -> None:
    told = run(tool("mandoc"), "-T", "lint", "-W", "warning", str(roff)).stdout.splitlines()
    # go-md2man begins each section with a paragraph.
    assert [line for line in told if not re.search(r"PP after S[HS]$", line)] == []


def test_a_reference_to_a_page_or_a_guide_leads_somewhere() -> None:
    ours = {tuple(name.rsplit(".", 1)) for name in PAGES}
    for text in PAGES.values():
        for name, number in re.findall(r"\*\*([\w.-]*rebootmgr[\w.-]*)\*\*\((\d)\)", text):
            assert (name, number) in ours
        for guides in re.findall(r"(?m)^In /usr/share/doc/rebootmgr/docs: (.+)$", text):
            assert all((ROOT / "docs" / guide).is_file() for guide in guides.split(", "))
    assert "\t$(put) -t $(doc)/docs" in (ROOT / "Makefile").read_text("utf-8")


# Examples


@pytest.mark.parametrize("text", [each[1] for each in EXAMPLES], ids=[each[0] for each in EXAMPLES])
def test_a_drop_in_of_an_example_passes_check_config(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drop_in = tmp_path / "etc/rebootmgr/config.d/50-example.toml"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(text)
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    status = client.main(["--root", str(tmp_path), "check-config"])
    verdict, source = capsys.readouterr().out.splitlines()
    assert (status, verdict) == (0, "configuration valid: 0 errors, 0 warnings")
    assert source.startswith("Source of updates: ")


def calls() -> Iterator[tuple[str, list[str]]]:
    """Every call of our programs: in a shell block, or bold with italic arguments behind."""
    for where, block in blocks(MAN_PAGES, "sh"):
        for line in block["body"].replace("\\\n", "").splitlines():
            for part in re.split(r"&&|[;{}|]", line):
                if part.strip().startswith(("rebootmgrctl", "rebootmgrd")):
                    yield where, words(part)
    for name, text in MAN_PAGES.items():
        one_line = " ".join(text.split())
        for found in re.findall(r"\*\*(rebootmgr(?:ctl|d) [^*]+\*\*(?: \*\w+\*)*)", one_line):
            yield name, words(found.replace("*", ""))


@pytest.mark.parametrize(("where", "line"), list(calls()), ids=str)
def test_a_command_line_is_one_that_our_programs_take(where: str, line: list[str]) -> None:
    check_call(line)


# Command lines


def option_strings(parser: ArgumentParser) -> list[str]:
    return sorted(name for action in parser._actions for name in action.option_strings)


def test_every_option_of_both_programs_is_described() -> None:
    assert sorted(terms(section(DAEMON, "OPTIONS"))) == option_strings(parser())
    assert sorted(terms(section(CLIENT, "OPTIONS"))) == option_strings(client._program())


def usage(parser: ArgumentParser) -> set[str]:
    """Give the parts of a call, in brackets where they may be left out."""
    groups = parser._mutually_exclusive_groups
    needed = {id(each) for group in groups if group.required for each in group._group_actions}
    known = (each for each in parser._actions if each.dest not in {"help", "json"})
    return {_part(each, needed=each.required or id(each) in needed) for each in known}


def _part(action: Action, *, needed: bool) -> str:
    value = action.metavar if isinstance(action.metavar, str) else ""
    if action.choices is not None:
        value = "|".join(map(str, action.choices))
    text = " ".join(filter(None, (*action.option_strings[-1:], value)))
    return text if needed else f"[{text}]"


def test_every_verb_is_described_with_its_usage() -> None:
    told = {}
    for term in definitions(section(CLIENT, "COMMANDS")):
        verb, _, rest = term.replace("*", "").partition(" ")
        told[verb] = set(
            re.findall(r"\[[^]]+\]|--\S+ [A-Z]+|--[a-z-]+|[a-z-]+(?:\|[a-z-]+)+|[A-Z]+", rest)
        )
    assert told == {verb: usage(parser_of(verb)) for verb in client.VERBS}


def test_every_exit_status_is_described() -> None:
    known = [client.DONE, client.FAILED, client.USAGE, PENDING, CALLED, TIMED_OUT]
    known += [client.CONFIG_INVALID, client.INTERRUPTED, 128 + signal.SIGPIPE]
    assert terms(section(CLIENT, "EXIT STATUS")) == [str(status) for status in known]


# The configuration


def tables() -> Mapping[str, dict[str, str]]:
    """Read what is said of each key, by table."""
    heads = re.findall(r"(?m)^### \[+([a-z_.]+)\]+$", CONFIG)
    return {
        head: definitions(section(CONFIG, f"[[{head}]]" if head in ITEMS else f"[{head}]"))
        for head in heads
    }


def test_every_key_is_described_with_its_default() -> None:
    defaults = effective_values(decode_config([], localtime=UTC))
    told = [
        (table, term) for table, keys in tables().items() for term in keys if table not in ITEMS
    ]
    known = [(each.table, f"**{each.name}** = {encode_value(each.value)}") for each in defaults]
    assert sorted(told) == sorted(known)


def test_every_key_of_a_window_or_blackout_is_described() -> None:
    told = {table: [bold(term)[0] for term in keys] for table, keys in tables().items()}
    assert {table: told[table] for table in ITEMS} == {
        table: list(keys) for table, keys in ITEMS.items()
    }


def test_every_key_is_described_with_its_type_and_what_it_takes() -> None:
    kinds = {bool: "Boolean", int: "Integer", str: "String", dict: "Table"}  # a flag is an int, too
    rules = dict(KEYS) | {
        f"{table}.{key}": ITEMS[table][key] for table in ITEMS for key in ITEMS[table]
    }
    told = {
        f"{table}.{bold(term)[0]}": f"{term} {text}"
        for table, keys in tables().items()
        for term, text in keys.items()
    }
    for each in effective_values(decode_config([], localtime=UTC)):
        key = f"{each.table}.{each.name}"
        if key != "updates.inhibitors.respect":  # of two types
            kind = next(
                kinds[each_type] for each_type in kinds if isinstance(each.value, each_type)
            )
            assert f"= {encode_value(each.value)} {kind}" in told[key]
    for key, rule in rules.items():
        try:
            rule(object())
        except UnfitError as error:
            for low, high in re.findall(r"whole number from (\d+) to (\d+)", str(error)):
                assert f"{low} to {high}" in told[key]
            for word in re.findall(r'"\w+"', str(error)):
                assert word in told[key]


def test_no_key_is_named_that_does_not_exist() -> None:
    items = {f"{table}.{key}" for table, keys in ITEMS.items() for key in keys}
    known = {*KEYS, *ITEMS, *items, *TABLES, *ZINCATI}
    for name, text in PAGES.items():
        named = re.findall(r"\*\*\[*((?:identity|updates|hooks|metrics)\.[a-z_.]+)", text)
        assert (name, set(named) - known) == (name, set())


# The daemon


def marked(cell: str) -> str:
    """Write a cell of a table as a man page does."""
    return re.sub(r"`([^`]+)`", r"**\1**", cell)


def sentence(cell: str) -> str:
    text = marked(cell)
    is_name = text.startswith(("rpm-ostree", "logind"))
    return f"{text if is_name else text[:1].upper() + text[1:]}."


def test_gates_notices_and_states_are_explained_as_in_the_guides() -> None:
    why = GUIDES["docs/why.md"]
    assert definitions(section(DAEMON, "GATES")) == {
        **{
            f"**{reason}**": f"{sentence(row[1])} What to do: {marked(row[2])}."
            for reason, row in zip(Reason, rows(why, 3), strict=True)
        },
        **{
            f"**{kind}**": sentence(row[1])
            for kind, row in zip(NoticeKind, rows(why, 2), strict=True)
        },
    }
    states = {marked(row[0]): sentence(row[1]) for row in rows(GUIDES["docs/design.md"], 2)}
    assert definitions(section(DAEMON, "STATES")) == states
    assert states.keys() == {f"**{name}**" for name in StateName}


def test_every_outcome_and_phase_is_explained() -> None:
    assert set(terms(section(DAEMON, "After the boot"))) == set(Outcome)
    assert set(Phase) <= set(bold(section(DAEMON, "HOOKS")))


def test_every_metric_is_listed_with_its_labels_kind_and_help() -> None:
    process = Process(start=0, cpu_s=0, resident=0, virtual=0, open_fds=0, max_fds=0)
    text = encode_metrics(statuses.IDLE, Counters(), process).decode()
    families = re.findall(r"(?m)^# HELP (\S+) (.+)\n# TYPE \S+ (\w+)\n([^# ]+)", text)
    known = {}
    for name, about, kind, series in families:
        labels = ",".join(re.findall(r'(\w+)="', series))
        known[f"**{name}{f'{{{labels}}}' if labels else ''}** ({kind})"] = about
    assert definitions(section(DAEMON, "METRICS")) == known


def test_every_variable_and_field_of_ours_is_described() -> None:
    named = set(re.findall(r'"(REBOOTMGR_[A-Z_]+)(?:=|")', SOURCES))
    assert set(re.findall(r"\*\*(REBOOTMGR_[A-Z_]+)\*\*", DAEMON)) == named


def test_the_paths_are_those_of_the_program() -> None:
    for page in (DAEMON, CLIENT):
        assert f"**/{METRICS}**" in section(page, "FILES")
        for directory in DIRECTORIES:
            assert f"**/{directory}/\\*.toml**" in section(page, "FILES")


# The bus


def interface() -> Iterator[str]:
    """Write the introspection data as the page does."""
    tree = ET.fromstring(encode_introspection())  # noqa: S314 - our own
    found = tree.find(f"./interface[@name='{MANAGER}']")
    assert found is not None
    yield from ("node /org/rebootmgr1 {", f"  interface {MANAGER} {{", "    methods:")
    for method in found.findall("method"):
        arguments = (each.attrib for each in method.findall("arg"))
        listed = ", ".join(f"{a['direction']} {a['type']} {a['name']}" for a in arguments)
        yield f"      {method.attrib['name']}({listed});"
    yield "    properties:"
    for each in found.findall("property"):
        yield f"      readonly {each.attrib['type']} {each.attrib['name']};"
    yield from ("  };", "};", "")


def test_the_interface_is_that_of_the_object() -> None:
    (block,) = (block["body"] for _, block in blocks({"": BUS}, "") if "node /" in block["body"])
    assert block == "\n".join(interface())
    assert terms(section(BUS, "Methods")) == re.findall(r"(?m)^ +([A-Z]\w+)\(", block)
    assert terms(section(BUS, "Properties")) == list(members.PROPERTIES)


def test_every_error_is_listed() -> None:
    ours = {value for value in vars(members).values() if str(value).startswith("org.rebootmgr1.E")}
    served = (ROOT / "rebootmgr/control" / name for name in ("object.py", "polkit.py"))
    standard = {
        f"org.freedesktop.DBus.Error.{name}"
        for file in served
        for name in re.findall(r"\{_ERROR\}(\w+)", file.read_text("utf-8"))
    }
    assert standard
    assert set(terms(section(BUS, "ERRORS"))) == ours | standard


def test_the_polkit_action_and_its_verbs_are_named() -> None:
    asked = section(BUS, "POLKIT")
    assert terms(asked) == [ACTION]
    assert set(bold(definitions(asked)[f"**{ACTION}**"])) >= {
        name for name in terms(section(BUS, "Methods")) if name != "Describe"
    }


def test_every_member_of_the_json_is_described() -> None:
    told = definitions(section(BUS, "THE JSON OF DESCRIBE"))
    documents = [encode_status(status) for status in statuses.ALL.values()]
    assert sorted(word for term in told for word in bold(term)) == sorted(documents[0])
    for term, text in told.items():
        for name in bold(term):
            for document in documents:
                value = document[name]
                parts = value if isinstance(value, list) else [value]
                if name != "outcomes":  # which are words
                    members = {key for part in parts if isinstance(part, dict) for key in part}
                    assert members <= {*bold(text)}, name


def test_no_word_of_a_closed_set_is_written_that_does_not_exist() -> None:
    kinds: tuple[type[StrEnum], ...] = (Reason, NoticeKind, StateName, Outcome)
    known = {word.value for kind in kinds for word in kind}
    reasons = re.findall(
        r"(?:gate|notice is|reports|notice) \*\*([a-z_]+)\*\*", "".join(PAGES.values())
    )
    assert reasons
    assert set(reasons) <= known

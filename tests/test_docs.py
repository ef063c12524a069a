"""What the documents say is so: examples, command lines, tables and links.

A TOML example with an intended fault has `<!-- error: TEXT -->` or `<!-- warning: TEXT -->` above.
"""

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.cli.main import VERBS, _program
from rebootmgr.codec.config import DropIn, decode_config
from rebootmgr.codec.config_schema import ITEMS
from rebootmgr.codec.config_text import effective_values, encode_value
from rebootmgr.core.model import NoticeKind, Reason
from rebootmgr.core.status import StateName
from rebootmgr.daemon.main import _parser

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TEXTS: Final = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in PAGES}
BLOCK: Final = re.compile(
    r"(?:<!-- (?P<fault>error|warning): (?P<what>.+) -->\n *)?"
    r"```(?P<kind>\w*)\n(?P<body>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
HEREDOC: Final = re.compile(r"^cat >(\S+\.toml) <<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL)


def blocks(*kinds: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Where it stands, and the block, of each fenced block of these kinds."""
    for name, text in TEXTS.items():
        for block in BLOCK.finditer(text):
            if block["kind"] in kinds:
                yield f"{name}:{text.count(chr(10), 0, block.start()) + 1}", block


EXAMPLES: Final = [
    *((where, block["body"], block["fault"], block["what"]) for where, block in blocks("toml")),
    *(
        (where, found[2], None, None)
        for where, block in blocks("sh")
        for found in HEREDOC.finditer(block["body"])
    ),
]


@pytest.mark.parametrize(
    ("text", "fault", "what"), [each[1:] for each in EXAMPLES], ids=[each[0] for each in EXAMPLES]
)
def test_a_toml_example_is_what_it_says(text: str, fault: str | None, what: str | None) -> None:
    config = decode_config([DropIn("example.toml", text)], localtime=UTC)
    found = {"error": config.errors, "warning": config.warnings}
    for kind, problems in found.items():
        if kind == fault:
            assert [what] == [what for problem in problems if str(what) in str(problem)]
        else:
            assert [str(problem) for problem in problems] == []


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every call of our programs in a shell block or as `inline code`."""
    call = re.compile(r"(?:^|[ /])(rebootmgr(?:ctl|d) [^`|>]+)")
    for where, block in blocks("sh", "console"):
        for line in block["body"].splitlines():
            if (found := call.search(line)) and (line.lstrip()[:1] in "$." or "sudo" in line):
                yield where, shlex.split(found[1], comments=True)
    for name, text in TEXTS.items():
        for found in re.finditer(r"(?<!`)`(rebootmgr(?:ctl|d) [^`]+)`", text):
            yield name, shlex.split(found[1].partition("|")[0])


def parser_of(verb: str) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    VERBS[verb].arguments(parser)
    return parser


@pytest.mark.parametrize(
    ("where", "line"), list(command_lines()), ids=lambda value: str(value).replace(" ", "")
)
def test_a_command_line_is_one_that_our_programs_take(where: str, line: list[str]) -> None:
    program, *arguments = line
    if program == "rebootmgrd":
        _parser().parse_args(arguments)
        return
    chosen = _program().parse_args(arguments)
    assert chosen.verb in VERBS, f"{where}: there is no verb {chosen.verb}"
    parser_of(chosen.verb).parse_args(chosen.rest)


def rows(page: str, columns: int) -> list[list[str]]:
    """The rows of the tables of a page that have so many columns, heads and rules left out."""
    lines = [line for line in TEXTS[page].splitlines() if line.startswith("| `")]
    cells = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]
    return [row for row in cells if len(row) == columns]


def test_every_key_is_described_with_its_default() -> None:
    defaults = effective_values(decode_config([], localtime=UTC))
    assert [row[:2] for row in rows("docs/configuration.md", 3)] == [
        [f"`{each.table}.{each.name}`", f"`{encode_value(each.value)}`"] for each in defaults
    ]


def test_every_key_of_windows_and_blackouts_is_named() -> None:
    for table, keys in ITEMS.items():
        unnamed = [
            key for key in keys if not re.search(rf"\b{key}\b", TEXTS["docs/configuration.md"])
        ]
        assert (table, unnamed) == (table, [])


def test_every_gate_and_notice_is_explained_in_reading_order() -> None:
    assert [row[0] for row in rows("docs/why.md", 3)] == [f"`{reason}`" for reason in Reason]
    assert [row[0] for row in rows("docs/why.md", 2)] == [f"`{kind}`" for kind in NoticeKind]


def test_every_state_is_explained() -> None:
    assert {row[0] for row in rows("docs/design.md", 2)} == {f"`{name}`" for name in StateName}


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def links() -> Iterator[tuple[str, str]]:
    for name, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:", target):
                yield name, target


@pytest.mark.parametrize(("page", "target"), list(links()))
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    assert file.exists()
    assert not anchor or anchor in anchors(file.read_text("utf-8"))


def test_the_example_screen_is_one_that_fits() -> None:
    for where, block in blocks("console"):
        wide = [line for line in block["body"].splitlines() if len(line) > 80]
        assert (where, wide) == (where, [])


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {str(Path(name).parent / target) for name, target in links()}
    assert set(TEXTS) - {"README.md"} <= {str(Path(each)) for each in linked}

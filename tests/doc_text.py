"""The documents as data, and what is true of an example or a command line in any of them."""

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Final

from rebootmgr.cli.main import VERBS, _program
from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.daemon.arguments import parser
from rebootmgr.lockd_config.configuration import decode_configuration

ROOT: Final = Path(__file__).parent.parent
BLOCK: Final = re.compile(
    r"(?:<!-- (?P<fault>error|warning): (?P<what>.+) -->\n *)?"
    r"```(?P<kind>\w*)\n(?P<body>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
HEREDOC: Final = re.compile(
    r"^(?:cat >|sudo tee )(\S+\.toml) <<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL
)
LOCKD: Final = "rebootmgr-lockd"
CALL: Final = re.compile(r"(?:^|[ /])(rebootmgr(?:ctl|d) [^`|>]+)")


def texts(paths: Iterable[Path]) -> Mapping[str, str]:
    """Read documents, by their paths in the checkout."""
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in sorted(paths)}


MAN_PAGES: Final = texts(ROOT.glob("docs/man/*.md"))
GUIDES: Final = {
    name: text
    for name, text in texts([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]).items()
    if name not in MAN_PAGES
}


def blocks(pages: Mapping[str, str], *kinds: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Where it stands, and the block, of each fenced block of these kinds."""
    for name, text in pages.items():
        for block in BLOCK.finditer(text):
            if block["kind"] in kinds:
                yield f"{name}:{text.count(chr(10), 0, block.start()) + 1}", block


@dataclass(frozen=True, slots=True)
class Example:
    """A drop-in that a document shows, and the fault that it shows on purpose, if any.

    `of_lockd`: it is one of the lock server, not of a host.
    """

    text: str
    fault: str | None
    what: str | None
    of_lockd: bool = False

    def check(self) -> None:
        """See that the program says of it what the document says."""
        drop_in = DropIn("example.toml", self.text)
        if self.of_lockd:
            lent = decode_configuration([drop_in], localtime=UTC)
            found = {"error": lent.errors, "warning": lent.warnings}
        else:
            config = decode_config([drop_in], localtime=UTC)
            found = {"error": config.errors, "warning": config.warnings}
        for kind, problems in found.items():
            if kind == self.fault:
                told = [self.what for problem in problems if str(self.what) in str(problem)]
                assert told == [self.what]
            else:
                assert [str(problem) for problem in problems] == []


def toml_examples(pages: Mapping[str, str]) -> Iterator[tuple[str, Example]]:
    """Where it stands, and the drop-in: blocks of TOML, and files that a shell block writes.

    It is the lock server's in its own man pages, and where its path says so.
    """
    for where, block in blocks(pages, "toml"):
        first, _, _ = block["body"].partition("\n")
        of_lockd = LOCKD in where or LOCKD in first
        yield where, Example(block["body"], block["fault"], block["what"], of_lockd)
    for where, block in blocks(pages, "sh"):
        for found in HEREDOC.finditer(block["body"]):
            yield where, Example(found[2], None, None, LOCKD in found[1])


def parser_of(verb: str) -> ArgumentParser:
    """Make the parser of one verb, as the program does, options for every verb included."""
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--json", action="store_true")
    VERBS[verb].arguments(parser)
    return parser


def check_call(line: list[str]) -> None:
    """See that our programs take this command line."""
    program, *arguments = line
    if program == "rebootmgrd":
        parser().parse_args(arguments)
        return
    chosen = _program().parse_args(arguments)
    assert chosen.verb in VERBS, f"there is no verb {chosen.verb}"
    parser_of(chosen.verb).parse_args(chosen.rest)


def rows(text: str, columns: int) -> list[list[str]]:
    """Read the rows of the tables that have so many columns, heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]
    return [row for row in cells if len(row) == columns]


def words(line: str) -> list[str]:
    """Split a command line as a shell would."""
    return shlex.split(line, comments=True)

"""What the guides say is so: examples, command lines, tables and links.

A TOML example with an intended fault has `<!-- error: TEXT -->` or `<!-- warning: TEXT -->` above.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.cli import main as client
from rebootmgr.config.checked import decode_config
from rebootmgr.config.effective import effective_values, encode_value
from rebootmgr.config.schema import ITEMS
from rebootmgr.core.model import NoticeKind, Reason
from rebootmgr.core.status import StateName
from tests.doc_text import (
    BLOCK,
    CALL,
    GUIDES,
    MAN_PAGES,
    ROOT,
    Example,
    blocks,
    check_call,
    rows,
    toml_examples,
    words,
)

EXAMPLES: Final = list(toml_examples(GUIDES))


@pytest.mark.parametrize(
    "example", [each[1] for each in EXAMPLES], ids=[each[0] for each in EXAMPLES]
)
def test_a_toml_example_is_what_it_says(example: Example) -> None:
    example.check()


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every call of our programs in a shell block or as `inline code`."""
    for where, block in blocks(GUIDES, "sh", "console"):
        for line in block["body"].splitlines():
            if (found := CALL.search(line)) and (line.lstrip()[:1] in "$." or "sudo" in line):
                yield where, words(found[1])
    for name, text in GUIDES.items():
        for found in re.finditer(r"(?<!`)`(rebootmgr(?:ctl|d) [^`]+)`", text):
            yield name, words(found[1].partition("|")[0])


@pytest.mark.parametrize(
    ("where", "line"), list(command_lines()), ids=lambda value: str(value).replace(" ", "")
)
def test_a_command_line_is_one_that_our_programs_take(where: str, line: list[str]) -> None:
    check_call(line)


def test_every_key_is_described_with_its_default() -> None:
    defaults = effective_values(decode_config([], localtime=UTC))
    assert [row[:2] for row in rows(GUIDES["docs/configuration.md"], 3)] == [
        [f"`{each.table}.{each.name}`", f"`{encode_value(each.value)}`"] for each in defaults
    ]


def test_every_key_of_windows_and_blackouts_is_named() -> None:
    for table, keys in ITEMS.items():
        unnamed = [
            key for key in keys if not re.search(rf"\b{key}\b", GUIDES["docs/configuration.md"])
        ]
        assert (table, unnamed) == (table, [])


def test_every_gate_and_notice_is_explained_in_reading_order() -> None:
    why = GUIDES["docs/why.md"]
    assert [row[0] for row in rows(why, 3)] == [f"`{reason}`" for reason in Reason]
    assert [row[0] for row in rows(why, 2)] == [f"`{kind}`" for kind in NoticeKind]


def test_every_state_is_explained() -> None:
    named = {row[0] for row in rows(GUIDES["docs/design.md"], 2)}
    assert named == {f"`{name}`" for name in StateName}


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def links() -> Iterator[tuple[str, str]]:
    for name, text in GUIDES.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:", target):
                yield name, target


@pytest.mark.parametrize(("page", "target"), list(links()))
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    assert file.exists()
    assert not anchor or anchor in anchors(file.read_text("utf-8"))


RUN: Final = re.compile(r"^ *<!-- (run|not run): (.+) -->\n *```(?:sh|console)$", re.MULTILINE)
SHELL: Final = re.compile(r"^ *```(?:sh|console)$", re.MULTILINE)


@pytest.mark.parametrize("page", GUIDES)
def test_every_command_of_a_page_is_run_by_a_test_or_it_says_why_not(page: str) -> None:
    marks = RUN.findall(GUIDES[page])
    assert len(marks) == len(SHELL.findall(GUIDES[page])), (
        "above each block: run: TEST, not run: WHY"
    )
    for kind, what in marks:
        if kind == "run":
            assert page in (ROOT / what).read_text("utf-8"), f"{what} does not name {page}"


def test_the_example_screen_is_one_that_fits() -> None:
    for where, block in blocks(GUIDES, "console"):
        wide = [line for line in block["body"].splitlines() if len(line) > 80]
        assert (where, wide) == (where, [])


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {str(Path(name).parent / target) for name, target in links()}
    assert {*GUIDES, *MAN_PAGES} - {"README.md"} <= {str(Path(each)) for each in linked}


def test_the_first_steps_of_the_readme_are_as_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (
        block["body"].replace("/tmp/host", str(tmp_path))  # noqa: S108 - the reader's, not ours
        for _, block in blocks({"README.md": GUIDES["README.md"]}, "sh")
        if "/tmp/host" in block["body"]  # noqa: S108
    )
    subprocess.run(["/bin/sh", "-eu", "-c", first], check=True)
    check, plan, simulate = (shlex.split(line)[1:] for line in second.splitlines())
    assert client.main(check) == 0
    assert "machine-id" in capsys.readouterr().out
    assert client.main(plan) == 0
    assert " openings, " in capsys.readouterr().out
    assert client.main(["--json", *simulate]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["updated"], told["never"], told["duration_seconds"] < 2 * 3600) == (100, [], True)


# Words

SPELLED: Final = (
    *("README.md", "NEWS.md", "HACKING.md", "docs", "rebootmgr", "completion", "dashboards"),
    *("packaging", "systemd", "etc", "schema"),
)
# What is not said in prose, and what is said instead.
BANNED: Final = {
    r"wish(es|ed)?": "reboot request",
    r"blockers?": "closed gate",
    r"ow(ed|es)|debts?": "not given back yet",
    r"simply|easily|obviously|of course|basically|needless to say": "nothing",
    r"seamless(ly)?|powerful|robust(ly)?|blazing(ly)?|cutting-edge|state-of-the-art": "a number",
    r"utili[sz]e|leverage|facilitate": "use",
    r"in order to": "to",
    r"note that|it should be noted|as mentioned": "nothing",
    r"e\.g\.|i\.e\.|etc\.": "such as, that is, and so on",
    r"whitelist|blacklist|sanity check": "what it is",
    r"whom polkit lets": "whoever polkit allows",
}


def test_every_word_is_spelled_as_a_dictionary_has_it() -> None:
    if find_spec("codespell_lib") is None:
        pytest.skip("NOT TESTED: there is no codespell here; make check brings it")
    command = (sys.executable, "-m", "codespell_lib", *SPELLED)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def prose(text: str) -> str:
    """Leave out what is code: blocks, `words`, **words** of manual pages, targets of links."""
    without = BLOCK.sub("", text)
    return re.sub(r"`[^`]*`|\*\*[^*\n]+\*\*(?:\(\))?|\]\([^)]*\)|<!--.*?-->", "", without)


@pytest.mark.parametrize("page", [*GUIDES, *MAN_PAGES])
def test_a_page_says_things_in_the_words_that_the_others_use(page: str) -> None:
    said = prose({**GUIDES, **MAN_PAGES}[page])
    found = [
        f"{word[0]!r}: say {instead}"
        for banned, instead in BANNED.items()
        for word in re.finditer(rf"\b(?:{banned})(?!\w)", said, re.IGNORECASE)
    ]
    assert found == []

"""The examples that are shipped: each is what it says, alone in a host's config.d."""

import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.cli.main import main
from rebootmgr.config.checked import Config, decode_config
from rebootmgr.config.drop_ins import read_drop_ins
from rebootmgr.config.values import decode_zone
from rebootmgr.core.policy import Strategy

EXAMPLES: Final = sorted((Path(__file__).parents[1] / "etc/rebootmgr/examples").glob("*.toml"))
STRATEGIES: Final = {
    "blackouts": {Strategy.IMMEDIATE},
    "fleet-lock": {Strategy.FLEET_LOCK},
    "fleet-lock-credentials": {Strategy.FLEET_LOCK},
    "immediate": {Strategy.IMMEDIATE},
    "monthly": {Strategy.PERIODIC},
    "off": {Strategy.OFF},
    "periodic": {Strategy.PERIODIC},
    "periodic-fleet-lock": {Strategy.PERIODIC, Strategy.FLEET_LOCK},
}
COREOS: Final = "VARIANT_ID=coreos\nOSTREE_VERSION=44.20261101.3.0\n"
LONGEST_LINE: Final = 96


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host that knows its name and its stream."""
    (tmp_path / "etc/rebootmgr/config.d").mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "etc/os-release").write_text(COREOS)
    return tmp_path


def ctl(root: Path, *words: str) -> tuple[int, str]:
    with redirect_stdout(StringIO()) as out:
        status = main(["--root", str(root), *words])
    return status, out.getvalue()


def copy(example: Path, root: Path) -> Path:
    """Do what its comment says; where it went."""
    [target] = [word for word in example.read_text().split() if word.startswith("/etc/rebootmgr/c")]
    name = root / target.rstrip(",.").removeprefix("/")
    shutil.copy(example, name)
    return name


def decoded(root: Path) -> Config:
    return decode_config(read_drop_ins(root), localtime=decode_zone("Europe/Rome"))


def named(example: Path) -> str:
    return example.stem


def commented(text: str) -> Iterator[str]:
    """Each block of settings that is commented out: "#" without a space, as in the defaults."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line[:1] == "#" and line[1:2].strip():
            block.append(line[1:])
        elif block:
            yield "\n".join(block)
            block = []


def test_there_is_an_example_for_each_strategy() -> None:
    assert {named(example) for example in EXAMPLES} == set(STRATEGIES)
    assert set().union(*STRATEGIES.values()) == set(Strategy)


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_an_example_alone_is_valid_and_means_what_its_name_says(example: Path, root: Path) -> None:
    copy(example, root)
    status, said = ctl(root, "check-config", "--strict")
    assert (status, said.splitlines()[0]) == (0, "configuration valid: 0 errors, 0 warnings")
    assert decoded(root).settings.updates.strategy == STRATEGIES[named(example)]


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_what_an_example_has_commented_out_is_valid_as_well(example: Path, root: Path) -> None:
    copied = copy(example, root)
    for block in commented(example.read_text()):
        copied.write_text(f"{example.read_text()}\n{block}\n")
        assert ctl(root, "check-config", "--strict")[0] == 0, block


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_an_example_can_be_read_in_a_terminal(example: Path) -> None:
    assert [line for line in example.read_text().splitlines() if len(line) > LONGEST_LINE] == []


def test_examples_that_answer_different_questions_go_together(root: Path) -> None:
    examples = {named(example): example for example in EXAMPLES}
    copy(examples["periodic-fleet-lock"], root)
    copy(examples["blackouts"], root)
    assert ctl(root, "check-config", "--strict")[0] == 0
    settings = decoded(root).settings.updates
    assert (len(settings.periodic.window), len(settings.blackout)) == (1, 3)


def test_the_monthly_example_opens_after_the_second_tuesday_and_on_the_last_sunday(
    root: Path,
) -> None:
    [monthly] = [example for example in EXAMPLES if named(example) == "monthly"]
    copy(monthly, root)
    status, out = ctl(root, "plan", "--from", "2026-12-01T00:00Z", "--to", "2027-01-01T00:00Z")
    assert status == 0
    assert [line.split("  ")[0] for line in out.splitlines()[:-2]] == [
        "Tue 2026-12-08 23:00:00 UTC - Wed 2026-12-09 04:00:00 UTC",
        "Sun 2026-12-27 06:00:00 UTC - Sun 2026-12-27 08:00:00 UTC",
    ]

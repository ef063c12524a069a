"""explain knows every word that the screens and the drop-ins have, from the one table of each."""

import json
from pathlib import Path

import pytest

from rebootmgr.cli.explain_verb import METRICS, RULES
from rebootmgr.cli.main import main
from rebootmgr.config.rules import wanted
from rebootmgr.config.schema import ITEMS, KEYS
from rebootmgr.core.model import Reason
from rebootmgr.core.reasons import WORDS
from rebootmgr.core.status import StateName


def told(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["--root", str(tmp_path), "explain", word]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    return " ".join(shown.split())


@pytest.mark.parametrize("reason", Reason)
def test_a_gate_is_explained_by_its_row_with_the_cure(
    reason: Reason, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = told(reason, tmp_path, capsys)
    assert WORDS[reason].meaning in shown
    assert f"To do: {WORDS[reason].advice}" in shown


@pytest.mark.parametrize("state", StateName)
def test_a_state_is_explained(
    state: StateName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"State: {state}: " in told(state, tmp_path, capsys)


@pytest.mark.parametrize("key", RULES)
def test_a_key_is_explained_in_full_and_by_its_last_word(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in (key, key.rpartition(".")[2]):
        means = f"Key: {key} Means: {RULES[key].meaning} Takes: {wanted(RULES[key].accepts)}"
        assert means in told(word, tmp_path, capsys)


def test_what_a_key_takes_and_its_default_are_those_of_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = told("updates.fleet_lock.timeout_seconds", tmp_path, capsys)
    assert "Takes: a whole number from 1 to 86400 (seconds)" in shown
    assert "Default: 1800" in shown


def test_no_key_is_left_out() -> None:
    assert {*RULES} == {*KEYS, *(f"{table}.{name}" for table in ITEMS for name in ITEMS[table])}


def test_a_word_that_nobody_knows_has_a_likely_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), "explain", "quarantine"]) == 2
    assert 'rebootmgrctl: "quarantine" is not known; did you mean quarantined?' in (
        capsys.readouterr().err
    )


def test_json_has_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "--json", "explain", "held"]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert [part["label"] for part in parts] == ["Gate", "Closed when", "To do"]


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_explained_by_its_help(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in (name, name.removeprefix("rebootmgr_"), f'{name}{{label="x"}}'):
        assert f"Metric: {name} Shows: {METRICS[name]}" in told(word, tmp_path, capsys)

"""The frame around the verbs: options, failures, exit statuses."""

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from rebootmgr import __version__
from rebootmgr.cli.main import VERBS, main
from rebootmgr.cli.verb import MODULES

COMMAND = [sys.executable, "-m", "rebootmgr.cli.main"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_version_and_help_succeed() -> None:
    assert run("--version").stdout == f"rebootmgrctl {__version__}\n"
    done = run("--help")
    assert done.returncode == 0
    for verb in VERBS.values():
        assert f"  {verb.name} " in done.stdout
        assert verb.summary in done.stdout


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_each_verb_has_help_with_its_examples(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main([verb, "--help"])
    assert done.value.code == 0
    shown = capsys.readouterr().out
    assert VERBS[verb].examples
    for example in VERBS[verb].examples:
        assert example.startswith("rebootmgrctl ")
        assert example in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "arguments are required: VERB"),
        (("cat-cofig",), 'unknown verb "cat-cofig"; did you mean cat-config?'),
        (("frobnicate",), 'unknown verb "frobnicate"; see rebootmgrctl --help'),
        (("x\x1b[2J\ny",), 'unknown verb "x [2J y"'),
        (("--frobnicate", "plan"), "unrecognized arguments: --frobnicate"),
        (("check-config", "--stric"), "unrecognized arguments: --stric"),
        (("plan", "extra"), "unrecognized arguments: extra"),
        (("--root", "/nonexistent", "plan"), "--root /nonexistent: no such directory"),
    ],
)
def test_a_usage_error_is_one_line_and_status_2(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("rebootmgrctl: ")
    assert said in line


def test_json_may_also_stand_behind_the_verb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), "--json", "cat-config"]) == 0
    before = capsys.readouterr().out
    assert main(["--root", str(tmp_path), "cat-config", "--json"]) == 0
    assert before.startswith("{")
    assert before == capsys.readouterr().out


def test_the_program_ends_with_the_status_of_the_verb() -> None:
    done = run("frobnicate")
    assert done.returncode == 2
    assert done.stderr == 'rebootmgrctl: unknown verb "frobnicate"; see rebootmgrctl --help\n'


def test_it_ends_with_its_reader_by_the_signal_that_ends_a_pipeline(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        command = [*COMMAND, "--root", str(tmp_path), "cat-config"]
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, "--root", str(tmp_path), "cat-config"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line


INTERRUPTED = """
import os, signal, sys
from rebootmgr.cli import main
from rebootmgr.cli.verb import Verb

def wait(arguments, context):
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()

verb = Verb(name="wait", summary="", examples=(), arguments=lambda parser: None, run=wait)
main.VERBS = {"wait": verb}
sys.exit(main.main(["wait"]))
"""


def test_an_interrupt_ends_quietly() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


def test_the_table_says_where_every_verb_is() -> None:
    for module in set(MODULES.values()):
        found = import_module(f"rebootmgr.cli.{module}").VERBS
        assert [verb.name for verb in found] == [
            name for name in MODULES if MODULES[name] == module
        ]
    assert list(VERBS) == list(MODULES)


def test_a_verb_loads_no_other_one() -> None:
    """Half of a start was imports; a verb that needs no daemon needs no bus."""
    code = "import sys; from rebootmgr.cli.main import main; main(['plan']); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "rebootmgr.cli.config_verbs" in loaded
    assert not {"asyncio", "dbus_next", "rebootmgr.cli.fleet_verbs"} & set(loaded)

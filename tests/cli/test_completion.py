"""Completion in real shells, compared with the parsers; and with a daemon that is dead or odd."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from rebootmgr.cli.main import VERBS, _program
from rebootmgr.control.words import encode_status
from rebootmgr.core.memory import Hold, Quarantine
from rebootmgr.core.model import UpdateKey
from rebootmgr.core.status import StateName, Status, Verdict
from rebootmgr.lockd.command_line import AIRLOCK, CHECK, IMPORT, LEVELS
from rebootmgr.lockd.command_line import parser as server_parser
from rebootmgr.spans import decode_span
from tests.doc_text import ROOT, parser_of
from tests.fakes.host import Host

Complete: TypeAlias = Callable[[str, Mapping[str, str]], set[str]]

FILES: Final = ROOT / "completion"
NOW: Final = datetime(2026, 11, 21, 9, tzinfo=UTC)

BASH: Final = r"""
source "$1"
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
COMP_LINE=$2 COMP_POINT=${#2}
COMP_WORDS=("${@:3}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_${3//-/_}
[[ ${#COMPREPLY[@]} = 0 ]] || printf '%s\n' "${COMPREPLY[@]}"
"""
# A shell in a terminal of its own, in which whatever would be offered is printed instead.
ZSH: Final = r"""
zmodload zsh/zpty
setting=(
    "PROMPT= fpath=($1 \$fpath)"
    'stty -echo'
    'autoload -Uz compinit && compinit -D -u'
    'bindkey "^I" complete-word'
    'offer() { print -r -- BEGIN; }; offered() { print -r -- END; exit }'
    'compprefuncs=(offer) comppostfuncs=(offered)'
    'compadd() {
        if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
        local -a hits
        builtin compadd -A hits "$@"
        (($#hits)) && print -rl -- "offer:"$^hits
        builtin compadd "$@"
    }'
    'print READY'
)
zpty shell zsh -f -i
zpty -w shell ${(F)setting}
zpty -r shell text $'*\nREADY*' || exit 1
zpty -n -w shell "$2"$'\t'
while zpty -r shell line; do
    line=${line%%[[:cntrl:]]#}
    print -r -- $line
    [[ $line = *END* ]] && break
done
zpty -d shell
"""
FISH: Final = 'source $argv[1]; complete -C "$argv[2]"'


def run(environ: Mapping[str, str], *words: str) -> str:
    """Run a shell; it has nothing to say on standard error, whatever the daemon does."""
    done = subprocess.run(
        words,
        env={**environ, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def bash(line: str, environ: Mapping[str, str]) -> set[str]:
    """Call the function as readline does, which makes words of "=" and ":"."""
    words = re.findall(r"[=:]+|[^\s=:]+", line)
    if line[-1:].isspace():
        words.append("")
    file = str(FILES / f"{words[0]}.bash")
    told = run(environ, "bash", "--norc", "-c", BASH, "bash", file, line, *words)
    return set(told.splitlines())


def zsh(line: str, environ: Mapping[str, str]) -> set[str]:
    told = run(environ, "zsh", "-f", "-c", ZSH, "zsh", str(FILES), line)
    assert "END" in told
    assert f"{line.split(maxsplit=1)[0]}: " not in told  # as an error begins
    return {found.removesuffix("=") for found in re.findall(r"offer:(\S+)", told)}


def fish(line: str, environ: Mapping[str, str]) -> set[str]:
    file = str(FILES / f"{line.split(maxsplit=1)[0]}.fish")
    told = run(environ, "fish", "--no-config", "-c", FISH, file, line)
    return {offer.partition("\t")[0] for offer in told.splitlines()}


SHELLS: Final[Mapping[str, Complete]] = {"bash": bash, "zsh": zsh, "fish": fish}


@pytest.fixture(params=SHELLS)
def complete(request: pytest.FixtureRequest) -> Complete:
    """What a shell offers at the end of a line."""
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here: its completion was not tried (apt-get install {name})")
    return SHELLS[name]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Of a shell that finds our client, which finds no daemon."""
    programs = tmp_path / "programs"
    program(programs, f'PYTHONPATH={ROOT} exec {sys.executable} -m rebootmgr.cli.main "$@"')
    # Two seconds are enough for a user to wait, and not enough for every machine that runs tests.
    program(programs, 'shift; exec "$@"', name="timeout")
    (tmp_path / "home").mkdir()
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/nobody",
        "TERM": "dumb",
    }


def program(folder: Path, script: str, *, name: str = "rebootmgrctl") -> None:
    """Put a program there, a client unless it has another name."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def long_options(verb: str) -> set[str]:
    """Name the options of a verb, or, for "", those before it."""
    parser = parser_of(verb) if verb else _program()
    names = (name for action in parser._actions for name in action.option_strings)
    return {name for name in names if name.startswith("--")}


def test_every_verb_is_offered(complete: Complete, environ: dict[str, str]) -> None:
    assert complete("rebootmgrctl ", environ) == set(VERBS)
    assert complete("rebootmgrctl --root / --json ho", environ) == {"hold", "holds"}


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_every_option_is_offered_and_no_other(
    complete: Complete, environ: dict[str, str], verb: str
) -> None:
    line = " ".join(filter(None, ("rebootmgrctl", verb, "--")))
    assert complete(line, environ) == long_options(verb)


def test_an_option_is_that_of_the_verb_whatever_stands_around_it(
    complete: Complete, environ: dict[str, str]
) -> None:
    line = "rebootmgrctl --root / --json hold --reason reboot --fo"
    assert complete(line, environ) == {"--for", "--forever"}


@pytest.mark.parametrize("verb", ["hold --reason x", "reboot --now", "cancel"])
def test_spans_are_offered_as_examples(
    complete: Complete, environ: dict[str, str], verb: str
) -> None:
    spans = complete(f"rebootmgrctl {verb} --for ", environ)
    assert len(spans) > 3
    assert all(decode_span(span) for span in spans)
    assert complete(f"rebootmgrctl {verb} --for 30", environ) == {"30min"}


def test_what_a_script_may_do_with_a_slot_is_offered(
    complete: Complete, environ: dict[str, str]
) -> None:
    assert complete("rebootmgrctl fleet-lock ", environ) == {"lock", "unlock", "drop-debt"}


def test_a_root_is_a_directory(complete: Complete, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image.tar").touch()
    offered = complete(f"rebootmgrctl --root {tmp_path}/im", environ)
    assert {Path(each).name for each in offered} == {"image"}


def test_nothing_is_offered_where_only_the_user_can_know(
    complete: Complete, environ: dict[str, str]
) -> None:
    for line in ("hold --reason ", "hold --until ", "plan --from ", "fleet-lock lock --group "):
        assert complete(f"rebootmgrctl {line}", environ) == set()


@pytest.mark.parametrize("verb", ["release", "forgive"])
def test_a_dead_daemon_makes_no_noise(
    complete: Complete, environ: dict[str, str], verb: str
) -> None:
    assert complete(f"rebootmgrctl {verb} ", environ) == set()


def test_a_mute_daemon_is_not_waited_for(
    complete: Complete, environ: dict[str, str], tmp_path: Path
) -> None:
    noted = tmp_path / "noted"
    program(tmp_path / "programs", "exec tail -f /dev/null")
    real = shutil.which("timeout")
    program(tmp_path / "programs", f'echo $1 >{noted}; exec {real} "$@"', name="timeout")
    assert complete("rebootmgrctl release ", environ) == set()
    assert noted.read_text() == "2\n"


def odd_status(tmp_path: Path) -> Status:
    """What a daemon may say at worst: what a shell would run, and what looks like JSON."""
    evil = f'$(touch {tmp_path}/run) `touch {tmp_path}/run` "id": "planted"'
    return Status(
        at=NOW,
        state=StateName.WAITING,
        verdict=Verdict.WAIT,
        strategies=("immediate",),
        holds=(
            Hold(id="5f2a91c0", owner="alice", reason=evil, since=NOW, until=None),
            Hold(id="5f2a0000", owner='\n"id": "planted"', reason="x", since=NOW, until=NOW),
            Hold(id=f"$(touch {tmp_path}/run)", owner="x", reason="x", since=NOW, until=None),
        ),
        quarantine=(
            Quarantine(key=UpdateKey("coreos:sha256:0a1b"), why=evil, since=NOW),
            Quarantine(key=UpdateKey(f"`touch {tmp_path}/run`"), why="x", since=NOW),
        ),
    )


def test_what_the_daemon_knows_is_offered_and_never_run(
    complete: Complete, environ: dict[str, str], tmp_path: Path
) -> None:
    status = encode_status(odd_status(tmp_path))
    (tmp_path / "status").write_text(json.dumps(status, indent=2))
    (tmp_path / "holds").write_text(json.dumps({"holds": status["holds"]}, indent=2))
    program(tmp_path / "programs", '[ "$1 $3" = "--root --json" ] && exec cat "$2/$4"')
    call = f"rebootmgrctl --root {tmp_path}"
    assert complete(f"{call} release ", environ) == {"5f2a91c0", "5f2a0000"}
    assert complete(f"{call} release 5f2a9", environ) == {"5f2a91c0"}
    assert complete(f"{call} forgive ", environ) == {"coreos:sha256:0a1b"}
    assert not (tmp_path / "run").exists()


def test_readline_replaces_only_what_stands_after_the_last_colon(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "status").write_text('{\n    "key": "coreos:sha256:0a1b"\n}\n')
    program(tmp_path / "programs", f"exec cat {tmp_path}/status")
    for typed in ("coreos:", "coreos:sh", "coreos:sha256:", "coreos:sha256:0a"):
        rest = "coreos:sha256:0a1b".removeprefix(typed[: typed.rindex(":") + 1])
        assert bash(f"rebootmgrctl forgive {typed}", environ) == {rest}


def test_an_option_and_its_value_may_be_one_word(environ: dict[str, str]) -> None:
    assert bash("rebootmgrctl cancel --for=1", environ) == {"1h", "1d", "1week"}
    assert "30min" in bash("rebootmgrctl cancel --for=", environ)
    assert bash("rebootmgrctl --root=/ hold --forev", environ) == {"--forever"}


async def test_the_holds_of_the_daemon_below_that_root_are_offered(
    complete: Complete, environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "host").mkdir()
    async with Host(tmp_path / "host") as host:
        await host.start()
        owner = ("org.rebootmgr1", "/org/rebootmgr1", "org.rebootmgr1.Manager")
        [hold] = await host.bus.call(*owner, "Hold", "sx", ("rack moves", 0), autostart=False)
        found = {**environ, "DBUS_SYSTEM_BUS_ADDRESS": host.dbus.address}
        assert complete(f"rebootmgrctl --root {host.root} release ", found) == {hold}


def options_of_server(verb: str) -> set[str]:
    """Name the options of the lock server, or of one of its verbs."""
    found = server_parser()
    if verb:
        [verbs] = (each.choices for each in found._actions if not each.option_strings)
        found = dict(verbs or {})[verb]
    names = (name for action in found._actions for name in action.option_strings)
    return {name for name in names if name.startswith("--")}


@pytest.mark.parametrize("verb", ["", CHECK, IMPORT])
def test_every_option_of_the_lock_server_is_offered_and_no_other(
    complete: Complete, environ: dict[str, str], verb: str
) -> None:
    line = " ".join(filter(None, ("rebootmgr-lockd", verb, "--")))
    assert complete(line, environ) == options_of_server(verb)


def test_every_verb_of_the_lock_server_is_offered_and_what_it_takes(
    complete: Complete, environ: dict[str, str]
) -> None:
    assert complete("rebootmgr-lockd ", environ) == {CHECK, IMPORT}
    assert complete("rebootmgr-lockd --root / ch", environ) == {CHECK}
    assert complete("rebootmgr-lockd import ", environ) == {AIRLOCK}
    assert complete("rebootmgr-lockd --log-level ", environ) == set(LEVELS)


def text_of(name: str) -> str:
    return (FILES / name).read_text("utf-8")


def joined(verbs: Iterable[str]) -> set[str]:
    return set().union(*(long_options(verb) for verb in verbs))


def test_bash_knows_every_verb_and_option() -> None:
    text = text_of("rebootmgrctl.bash")
    found = re.search(r"known='(status [^']*)'", text)
    assert found is not None
    assert found[1].split() == list(VERBS)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) == joined(["", *VERBS])


def test_zsh_knows_every_verb_and_option() -> None:
    text = text_of("_rebootmgrctl")
    verbs = re.findall(r"^ {8}'([a-z-]+):(.+)'$", text, re.MULTILINE)
    told = [(name, about.replace("\\:", ":")) for name, about in verbs]
    assert told == [(verb.name, verb.summary) for verb in VERBS.values()]
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) == joined(["", *VERBS])


def test_fish_knows_every_verb_and_option() -> None:
    text = text_of("rebootmgrctl.fish").replace("\\\n", "")
    verbs = re.findall(r"-n __rebootmgrctl_at -a ([a-z-]+) +-d '(.+)'$", text, re.MULTILINE)
    assert verbs == [(verb.name, verb.summary) for verb in VERBS.values()]
    options = re.findall(r"^complete .* -l ([a-z-]+)", text, re.MULTILINE)
    assert {f"--{name}" for name in options} == joined(["", *VERBS])

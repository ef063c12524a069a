"""What people get wrong, and what they are told: each mistake with its cure, as one golden text.

A missing golden text is written, to be looked at and committed.
"""

import os
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.fakes.client import run

GOLDEN: Final = Path(__file__).parent / "golden" / "mistakes.txt"
FOLDER: Final = "etc/rebootmgr/config.d"
ONE: Final = f"{FOLDER}/50-mine.toml"

Files: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Files below the root, and the command that meets them; `NAME=VALUE` first as in a shell."""

    files: Files
    words: Sequence[str] = ("check-config", "--strict")


def config(text: str) -> Mistake:
    """Write this drop-in, and check it."""
    return Mistake({ONE: text})


def periodic(rest: str) -> Mistake:
    """Write a window, of which these keys are the mistake."""
    keys = dict(line.split(" = ", 1) for line in WINDOW.splitlines())
    keys |= dict(line.split(" = ", 1) for line in rest.splitlines())
    zone = keys.pop("zone", '"UTC"')
    window = "\n".join(f"{key} = {value}" for key, value in keys.items() if value != "none")
    head = f'[updates]\nstrategy = "periodic"\n[updates.periodic]\ntime_zone = {zone}\n'
    return config(f"{head}[[updates.periodic.window]]\n{window}\n")


def typed(*words: str) -> Mistake:
    """Type this after rebootmgrctl, where there is neither a bus nor a drop-in of ours."""
    return Mistake({ONE: '[updates]\nstrategy = "immediate"\n'}, words)


WINDOW: Final = 'days = ["Sat"]\nstart_time = "23:30"\nlength_minutes = 60'
FLEET: Final = '[updates]\nstrategy = "fleet_lock"\n[updates.fleet_lock]\n'
NO_BUS: Final = "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere/bus"

MISTAKES: Final = (
    # time zones
    periodic('zone = "CEST"'),
    periodic('zone = "UTC+1"'),
    periodic('zone = "GMT-5"'),
    periodic('zone = "Berlin"'),
    periodic('zone = "Europe/Berln"'),
    periodic('zone = ""'),
    # windows
    periodic('days = ["Sta", "Sun", "Funday"]'),
    periodic('days = "Sat"'),
    periodic('days = ["Sat,Sun"]'),
    periodic("days = []"),
    periodic('days = ["Samstag"]'),
    periodic("days = none"),
    periodic('rrule = "FREQ=WEEKLY;BYDAY=SA"'),
    periodic('days = none\nrrule = "FREQ=WEEKLY;BYHOUR=3"'),
    periodic('start_time = "24:00"'),
    periodic('start_time = "11pm"'),
    periodic("start_time = 23:30:00"),
    periodic("start_time = none"),
    periodic("length_minutes = 0"),
    periodic('length_minutes = "1h"'),
    periodic("length_minutes = 20000"),
    periodic("length_minutes = none"),
    config('[updates]\nstrategy = "periodic"\n'),
    config('[[updates.periodic.windows]]\ndays = ["Sat"]\n'),
    config("[updates.periodic.window]\nlength_minutes = 60\n"),
    config("[[updates.blackout]]\nstart = 2026-12-18\n"),
    config("[[updates.blackout]]\nstart = 2026-12-18\nend = 2026-12-17\n"),
    config('[[updates.blackout]]\nstart = "2026-12-18"\nend = 2026-12-19\n'),
    # TOML
    config("[updates]\nstrategy = periodic\n"),
    config("[updates]\nenabled = False\n"),
    config('[updates]\nenabled = "yes"\n'),
    config("[updates]\nenabled = yes\n"),
    config("[updates]\nenabled = true\n[updates]\nstrategy = 'off'\n"),
    config("[updates]\nenabled = true\nenabled = false\n"),
    config("[updates]\nenabled: true\n"),
    config("[updates\nenabled = true\n"),
    config('updates.strategy = "off\n'),
    config("[updates]\nenabled = \n"),
    # keys
    config('[update]\nstrategy = "off"\n'),
    config('[updates]\nstategy = "off"\n'),
    config('strategy = "off"\n'),
    config('[updates]\nstrategy = "perodic"\n'),
    config('[updates]\nstrategy = ["off", "periodic"]\n'),
    config('[updates]\nstrategy = "fleet_lock"\n'),
    config(f'{FLEET}base_url = "lock.example.com"\n'),
    config(f'{FLEET}base_url = "https://lock.example.com/${{grp}}"\n'),
    config(f'{FLEET}base_url = "https://lock.example.com"\ntimeout_seconds = 0\n'),
    config(f'{FLEET}base_url = "https://lock.example.com"\nca_file = "ca.pem"\n'),
    config('[updates.inhibitors]\nrespect = "yes"\n'),
    config("[metrics]\nsocket_mode = 0o666\n"),
    config("[updates.limits]\nreboots_per_day = 0\n"),
    config('[identity]\ngroup = "my group"\n'),
    # files
    Mistake({}),
    Mistake({ONE: "", "run/rebootmgr/.keep": ""}),
    Mistake({"etc/rebootmgr/rebootmgr.toml": '[updates]\nstrategy = "off"\n'}),
    Mistake({"etc/rebootmgr/conf.d/50-mine.toml": '[updates]\nstrategy = "off"\n'}),
    Mistake({"etc/zincati/config.d/50-mine.toml": '[updates]\nstrategy = "periodic"\n'}),
    Mistake({f"{FOLDER}/50-mine.conf": '[updates]\nstrategy = "off"\n'}),
    Mistake(
        {
            ONE: '[updates]\nstrategy = "off"\n',
            f"{FOLDER}/90-site.toml": '[updates]\nstrategy = "immediate"\n',
        }
    ),
    # the command line
    typed("unhold"),
    typed("lock"),
    typed("staus"),
    typed("--jsno", "status"),
    typed("status", "--wait"),
    typed("hold", "--for", "2h"),
    typed("hold", "--reason", "x"),
    typed("hold", "--reason", "", "--for", "2h"),
    typed("hold", "--reason", "x", "--for", "2 fortnights"),
    typed("hold", "--reason", "x", "--until", "soon"),
    typed("hold", "--reason", "x", "--until", "2020-01-01"),
    typed("hold", "--reason", "x", "--until", "2026-02-30"),
    typed("hold", "--reason", "x", "--until", "Mon 2026-12-01"),
    typed("hold", "--reason", "x", "--for", "0"),
    typed("hold", "--reason", "x", "--for", "20y"),
    typed("set-strategy", "best-effort"),
    typed("dump-config"),
    typed("release"),
    typed("reboot", "--force"),
    typed("plan", "--from", "2026-13-01"),
    typed("plan", "--from", "2026-02-01", "--to", "2026-01-01"),
    typed("simulate"),
    # the host
    typed("status"),
    typed(NO_BUS, "status"),
    typed(NO_BUS, "hold", "--reason", "x", "--for", "2h"),
    typed("metrics"),
)


async def tell(root: Path, mistake: Mistake) -> AsyncIterator[str]:
    """Say what is there, what is typed and what is printed."""
    for name, text in mistake.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name != ONE or "check-config" in mistake.words:
            yield f"# /{name}"
            for line in text.splitlines():
                yield f"    {line}"
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "COLUMNS": "80"}
    words = list(mistake.words)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    status, out, err = await run("--root", str(root), *words, env=environ)
    yield f"$ rebootmgrctl {' '.join(word or repr(word) for word in mistake.words)}"
    for line in (out + err).replace(f"{root}/", "/").replace(str(root), "/image").splitlines():
        yield line
    yield f"[{status}]"
    yield ""


CURE: Final = re.compile(r"\(\S.+\)$|; .*\w|: (?:see|set) `?\w")


def test_every_mistake_has_a_cure_in_plain_words() -> None:
    told = GOLDEN.read_text()
    assert len(MISTAKES) > 60
    for block in told.split("\n\n"):
        lines = [line for line in block.splitlines() if line[:1] not in {"#", " ", "$", "["}]
        said = [line for line in lines if not line.startswith(("configuration ", "Source of "))]
        assert said, block
        for line in said:
            assert CURE.search(line) or "note: " in line, line
            assert not re.search(r"\bmend|is no time(?! zone)|nobody serves|Traceback", line), line


async def test_every_mistake_is_told_as_agreed(tmp_path: Path) -> None:
    told: list[str] = []
    for number, mistake in enumerate(MISTAKES):
        root = tmp_path / str(number)
        root.mkdir()
        told += [line async for line in tell(root, mistake)]
    text = "\n".join(told)
    if not GOLDEN.exists():
        GOLDEN.write_text(text)
        pytest.fail(f"{GOLDEN.name} was missing: look at what is there now")
    assert text == GOLDEN.read_text()

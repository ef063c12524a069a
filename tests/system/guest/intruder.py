"""Somebody who took over the daemon's user, and wants root to run a program of theirs.

`python3 -m tests.system.guest.intruder plant|steer|swap`: puts things where they do not belong,
has checks run with orders that are none, or swaps the order for as long as standard input is
open. `plant` and `steer` answer with JSON: what came of each attempt, "" where it was done.
"""

import asyncio
import errno
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType
from dbus_next.message import Message
from dbus_next.signature import Variant

SYSTEMD: Final = "org.freedesktop.systemd1"
RUN: Final = Path("/run/rebootmgr")
ETC: Final = Path("/etc/rebootmgr")
ORDER: Final = RUN / "public/deployment.json"
RESULT: Final = RUN / "hooks/check.json"
HOME: Final = Path("/var/lib/rebootmgr")
EVIL: Final = HOME / "evil"
MARKER: Final = "/root/marker"
CHECK: Final = "rebootmgr-hook@check.service"
EXEC: Final = ("ExecStart", Variant("a(sasb)", [[str(EVIL), [str(EVIL)], False]]))
ENVIRON: Final = [f"PYTHONPATH={HOME}", f"LD_PRELOAD={EVIL}.so", f"BASH_ENV={EVIL}"]


def arm() -> None:
    """Make what root is to run: a program, a module that Python imports by itself."""
    EVIL.write_text(f"#!/bin/sh\ntouch {MARKER}\n")
    EVIL.chmod(0o755)
    (HOME / "sitecustomize.py").write_text(f"open({MARKER!r}, 'a')\n")


# Putting things where they do not belong


def on_files() -> dict[str, Callable[[], Any]]:
    """Attempts on the files that the hooks, their results and their runner live by."""
    drain = ETC / "pre-reboot.d/10-drain"
    forged = '{"request":"","phase":"check","hook":"","exit":0,"last_line":""}'
    return {
        "move /run/rebootmgr": lambda: RUN.rename("/run/mine"),
        "move the results": lambda: (RUN / "hooks").rename(RUN / "mine"),
        "move our own directory": lambda: (RUN / "public").rename(RUN / "hooks"),
        "move the configuration": lambda: ETC.rename("/etc/mine"),
        "move the hooks": lambda: (ETC / "pre-reboot.d").rename(ETC / "mine"),
        "remove a hook": drain.unlink,
        "write into a hook": lambda: drain.write_text(EVIL.read_text()),
        "own a hook": lambda: os.chown(drain, os.getuid(), -1),
        "open a hook to others": lambda: drain.chmod(0o777),
        "add a hook": lambda: (ETC / "pre-reboot.d/00-evil").symlink_to(EVIL),
        "add hooks in /run": lambda: (RUN / "pre-reboot.d").symlink_to(HOME),
        "add hooks in /usr": lambda: Path("/usr/lib/rebootmgr/evil").symlink_to(HOME),
        "add a drop-in": lambda: (RUN / "config.d").symlink_to(HOME),
        "forge a result": lambda: RESULT.write_text(forged),
        "remove a result": RESULT.unlink,
        "have a unit": lambda: Path("/etc/systemd/system/evil.service").write_text(""),
        "change the hooks' unit": lambda: Path(f"/run/systemd/system/{CHECK}.d").mkdir(),
        "change the runner": lambda: Path("/usr/bin/python3").rename("/usr/bin/python"),
        "leave our cgroup": lambda: Path("/sys/fs/cgroup/cgroup.procs").write_text("0"),
    }


def on_systemd() -> dict[str, tuple[str, str, list[Any]]]:
    """Attempts on systemd: a method of its manager, with signature and arguments."""
    transient = [list(EXEC)]
    return {
        "plant an environment": ("SetEnvironment", "as", [ENVIRON]),
        "start another instance": ("StartUnit", "ss", ["rebootmgr-hook@evil.service", "fail"]),
        "start it as if it were one": ("StartUnit", "ss", ["rebootmgr-hook@check.target", "fail"]),
        "isolate a hook": ("StartUnit", "ss", [CHECK, "isolate"]),
        "be a hook": ("StartTransientUnit", "ssa(sv)a(sa(sv))", [CHECK, "fail", transient, []]),
        "be a hook after all": (
            *("StartTransientUnit", "ssa(sv)a(sa(sv))"),
            [CHECK, "replace", [], [["evil.service", transient]]],
        ),
        "be another instance": (
            *("StartTransientUnit", "ssa(sv)a(sa(sv))"),
            ["rebootmgr-hook@evil.service", "fail", transient, []],
        ),
        "be any unit": (
            *("StartTransientUnit", "ssa(sv)a(sa(sv))"),
            ["evil.service", "fail", transient, []],
        ),
        "change a hook's unit": (
            *("SetUnitProperties", "sba(sv)"),
            [CHECK, True, [["Description", Variant("s", "evil")]]],
        ),
        "restart a hook": ("RestartUnit", "ss", [CHECK, "fail"]),
        "kill a hook": ("KillUnit", "ssi", [CHECK, "all", 9]),
        "stop another unit": ("StopUnit", "ss", ["systemd-logind.service", "fail"]),
        "restart another unit": ("RestartUnit", "ss", ["systemd-logind.service", "fail"]),
        "kill another unit": ("KillUnit", "ssi", ["systemd-logind.service", "all", 9]),
        "restart ourselves": ("RestartUnit", "ss", ["rebootmgr.service", "fail"]),
        "enable a unit": ("EnableUnitFiles", "asbb", [[str(HOME / "evil.service")], True, True]),
        "mask a hook's unit": ("MaskUnitFiles", "asbb", [[CHECK], True, True]),
        "reload systemd": ("Reload", "", []),
    }


async def plant() -> dict[str, str]:
    """Try it all."""
    came: dict[str, str] = {}
    for what, attempt in on_files().items():
        try:
            attempt()
            came[what] = ""
        except OSError as error:
            came[what] = errno.errorcode[error.errno or 0]
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    for what, (member, signature, body) in on_systemd().items():
        call = Message(
            SYSTEMD, "/org/freedesktop/systemd1", f"{SYSTEMD}.Manager", member,
            signature=signature, body=body,
        )  # fmt: skip
        reply = await bus.call(call)
        assert reply is not None
        came[what] = (reply.error_name or "").rpartition(".")[2]
    bus.disconnect()  # type: ignore[no-untyped-call]
    return came


# Having hooks run with an order of ours


def order(name: str, **words: object) -> str:
    """Write an order; each name has a request of its own."""
    request = hashlib.sha256(name.encode()).hexdigest()[:32]
    return json.dumps(
        {"request": request, "deployment": "fcos-ab.0", "version": "6.6", "booted": "", **words}
    )


def texts() -> dict[str, str]:
    """Orders by content."""
    loud = {"LD_PRELOAD": f"{EVIL}.so", "PATH": str(HOME), "env": ENVIRON}
    words = {
        "a variable": f"LD_PRELOAD={EVIL}.so",
        "a line more": f"fcos-ab.0\nLD_PRELOAD={EVIL}.so",
        "a command": f"$({EVIL})",
    }
    return {
        "good": order("good"),
        "more keys": order("more keys", **loud),
        "nothing": "",
        "a large one": order("a large one", padding="a" * 1_000_000),
        **{name: order(name, deployment=word) for name, word in words.items()},
    }


def kinds() -> dict[str, Callable[[Path], Any]]:
    """Orders that are no regular files."""
    elsewhere = HOME / "order.json"
    elsewhere.write_text(order("a link"))
    return {
        "a link": lambda path: path.symlink_to(elsewhere),
        "a link to a secret": lambda path: path.symlink_to("/etc/shadow"),
        "a link to endless data": lambda path: path.symlink_to("/dev/zero"),
        "a fifo": os.mkfifo,
        "a directory": lambda path: path.mkdir(),
        "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    }


def makers() -> dict[str, Callable[[Path], Any]]:
    """All of them, by name."""
    written = {
        name: (lambda path, text=text: path.write_text(text)) for name, text in texts().items()
    }
    return {**written, **kinds()}


def steer() -> dict[str, Any]:
    """Have a check run with each of them; the results that root wrote."""
    came: dict[str, Any] = {}
    for name, make in makers().items():
        with suppress(FileNotFoundError):
            ORDER.unlink()
        make(ORDER)
        before = RESULT.stat().st_ino if RESULT.exists() else 0
        subprocess.run(("systemctl", "start", CHECK), check=True)
        now = RESULT.stat().st_ino
        came[name] = json.loads(RESULT.read_text()) if now != before else None
        if ORDER.is_dir() and not ORDER.is_symlink():
            ORDER.rmdir()
    return came


def swap() -> None:
    """Put each of them in the place of whatever is there, as fast as we can."""
    made = [make for name, make in makers().items() if name != "a directory"]  # the daemon's to see
    mine = ORDER.with_name("mine")
    sys.stdout.write("swapping\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0)[0]:
        for make in made:
            make(mine)
            mine.rename(ORDER)


if __name__ == "__main__":
    arm()
    match sys.argv[1]:
        case "plant":
            sys.stdout.write(json.dumps(asyncio.run(plant())))
        case "steer":
            sys.stdout.write(json.dumps(steer()))
        case _:
            swap()

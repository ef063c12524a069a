"""Somebody who took over the daemon's user, and wants root, or at least the host.

`python3 -m tests.system.guest.intruder plant|steer|flood`: tries everything that must not be had,
has hooks run with orders that are none, or takes connections to their socket for as long as
standard input is open. `plant` and `steer` answer with JSON: what came of each attempt, "" where
it was done.
"""

import asyncio
import ctypes
import errno
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType
from dbus_next.message import Message
from dbus_next.signature import Variant

SYSTEMD: Final = "org.freedesktop.systemd1"
LOGIND: Final = "org.freedesktop.login1"
RUN: Final = Path("/run/rebootmgr")
ETC: Final = Path("/etc/rebootmgr")
SOCKET: Final = RUN / "hooks.sock"
HOME: Final = Path("/var/lib/rebootmgr")
EVIL: Final = HOME / "evil"
MARKER: Final = "/root/marker"
CHECK: Final = "rebootmgr-hook@check.service"
INSTANCE: Final = "rebootmgr-hook@0-0-0.service"
ENVIRON: Final = [f"PYTHONPATH={HOME}", f"LD_PRELOAD={EVIL}.so", f"BASH_ENV={EVIL}"]
LIBC: Final = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
LIBC.ptrace.restype = ctypes.c_long
PTRACE_SEIZE: Final = 0x4206
RB_AUTOBOOT: Final = 0x01234567


def arm() -> None:
    """Make what root is to run: a program, a module that Python imports by itself."""
    EVIL.write_text(f"#!/bin/sh\ntouch {MARKER}\n")
    EVIL.chmod(0o755)
    (HOME / "sitecustomize.py").write_text(f"open({MARKER!r}, 'a')\n")


# Putting things where they do not belong


def on_files() -> dict[str, Callable[[], Any]]:
    """Attempts on the files that the hooks, their runner and the host live by."""
    drain = ETC / "pre-reboot.d/10-drain"
    unit = f"[Service]\nExecStart={EVIL}\n"
    return {
        "move /run/rebootmgr": lambda: RUN.rename("/run/mine"),
        "move our own directory": lambda: (RUN / "public").rename(RUN / "hooks"),
        "be the hooks' socket": SOCKET.unlink,
        "move the hooks' socket": lambda: SOCKET.rename(RUN / "public/hooks.sock"),
        "open the hooks' socket to others": lambda: SOCKET.with_name("x").symlink_to(SOCKET),
        "hold up the hooks": (RUN / "hooks.lock").open,
        "be the lock of the hooks": (RUN / "hooks.lock").unlink,
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
        "have a unit": lambda: Path("/etc/systemd/system/evil.service").write_text(unit),
        "have a transient unit": lambda: Path("/run/systemd/transient/x.service").write_text(unit),
        "change the hooks' unit": lambda: Path(f"/run/systemd/system/{CHECK}.d").mkdir(),
        "change the runner": lambda: Path("/usr/bin/python3").rename("/usr/bin/python"),
        "linger": lambda: Path("/var/lib/systemd/linger/rebootmgr").touch(),
        "have a rule of polkit": lambda: Path("/etc/polkit-1/rules.d/00.rules").write_text(""),
        "have a policy of the bus": lambda: Path("/etc/dbus-1/system.d/x.conf").write_text(""),
        "have a rule of udev": lambda: Path("/run/udev/rules.d").mkdir(parents=True),
        "have files made": lambda: Path("/etc/tmpfiles.d/x.conf").write_text(""),
        "have cores piped": lambda: Path("/proc/sys/kernel/core_pattern").write_text(f"|{EVIL}"),
        "reset by sysrq": lambda: Path("/proc/sysrq-trigger").write_text("b"),
        "leave our cgroup": lambda: Path("/sys/fs/cgroup/cgroup.procs").write_text("0"),
        "be somebody": lambda: Path("/etc/passwd").open("a"),
        "read what is root's": lambda: Path("/etc/shadow").read_text(),
    }


def _done(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def _as(uid: int) -> None:
    os.setuid(uid)


def on_the_kernel() -> dict[str, Callable[[], Any]]:
    """Attempts on the kernel, and on other processes."""
    return {
        "reboot": lambda: _done(LIBC.reboot(RB_AUTOBOOT)),
        "mount": lambda: _done(LIBC.mount(b"none", b"/mnt", b"tmpfs", 0, None)),
        "be root": lambda: _as(0),
        "be somebody else": lambda: _as(1),
        "have groups": lambda: os.setgroups([0]),
        "have another host name": lambda: socket.sethostname("evil"),
        "end the first process": lambda: os.kill(1, signal.SIGKILL),
    }


def on_the_daemon(pid: int) -> dict[str, Callable[[], Any]]:
    """Attempts on the memory of somebody with our own user."""
    return {
        "trace the daemon": lambda: _done(LIBC.ptrace(PTRACE_SEIZE, pid, None, None)),
        "read its memory": lambda: _read_memory(pid),
        "open its memory": lambda: Path(f"/proc/{pid}/mem").open("rb"),
        "read its environment": Path(f"/proc/{pid}/environ").read_bytes,
        "have its files": lambda: os.listdir(f"/proc/{pid}/fd"),  # noqa: PTH208
    }


def in_the_unit() -> dict[str, Callable[[], Any]]:
    """What ordinary users may, and the daemon's unit does not let it."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def on_a_child() -> None:
        with subprocess.Popen(["/bin/sleep", "9"]) as child:
            try:
                _read_memory(child.pid)
            finally:
                child.kill()

    return {
        "read a child's memory": on_a_child,
        "trace ourselves": lambda: _done(LIBC.ptrace(0, 0, None, None)),
        "have a namespace": lambda: _done(LIBC.unshare(0x10000000)),
        "dump core": lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited),
        "fill the disk": _fill,
        "speak to the kernel": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    }


def _fill() -> None:
    with (HOME / "large").open("wb") as file:
        try:
            file.truncate(1 << 30)
            file.seek(1 << 29)
            file.write(b"x")
        finally:
            (HOME / "large").unlink()


class _Iovec(ctypes.Structure):
    _fields_: ClassVar[Any] = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _read_memory(pid: int) -> None:
    mine = ctypes.create_string_buffer(8)
    here = _Iovec(ctypes.addressof(mine), 8)
    there = _Iovec(id(None), 8)
    one = ctypes.c_ulong(1)
    done = LIBC.process_vm_readv(
        pid, ctypes.byref(here), one, ctypes.byref(there), one, ctypes.c_ulong(0)
    )
    if done < 0 and ctypes.get_errno() != errno.EFAULT:
        raise OSError(ctypes.get_errno(), "")


def try_out(attempts: dict[str, Callable[[], Any]]) -> dict[str, str]:
    """Try each; by what it was refused."""
    came: dict[str, str] = {}
    for what, attempt in attempts.items():
        try:
            attempt()
            came[what] = ""
        except OSError as error:
            came[what] = errno.errorcode[error.errno or 0]
        except ValueError:  # setrlimit of more than there may be
            came[what] = "EPERM"
    return came


def _transient(name: str, mode: str = "fail") -> tuple[str, str, list[Any]]:
    start = ("ExecStart", Variant("a(sasb)", [[str(EVIL), [str(EVIL)], False]]))
    return ("StartTransientUnit", "ssa(sv)a(sa(sv))", [name, mode, [list(start)], []])


def on_systemd() -> dict[str, tuple[str, str, list[Any]]]:
    """Attempts on systemd: a method of its manager, with signature and arguments."""
    described = [["Description", Variant("s", "evil")]]
    verbs = ("StartUnit", "StopUnit", "RestartUnit", "ReloadUnit", "TryRestartUnit")
    units = ("rebootmgr-hook.socket", INSTANCE, CHECK, "rebootmgr.service", "reboot.target")
    return {
        "plant an environment": ("SetEnvironment", "as", [ENVIRON]),
        **{f"{verb} {unit}": (verb, "ss", [unit, "replace"]) for verb in verbs for unit in units},
        "isolate a target": ("StartUnit", "ss", ["rescue.target", "isolate"]),
        "be a hook": _transient(CHECK),
        "be a hook of a connection": _transient(INSTANCE),
        "be another one": _transient("rebootmgr-hook@evil.service", "replace"),
        "be the daemon": _transient("rebootmgr.service", "replace"),
        "be any unit": _transient("evil.service"),
        "be a hook by the way": (
            *("StartTransientUnit", "ssa(sv)a(sa(sv))"),
            ["x.scope", "fail", [["PIDs", Variant("au", [os.getpid()])]], []],
        ),
        "change a unit": ("SetUnitProperties", "sba(sv)", ["rebootmgr.service", True, described]),
        "kill the socket": ("KillUnit", "ssi", ["rebootmgr-hook.socket", "all", 9]),
        "kill another unit": ("KillUnit", "ssi", ["systemd-logind.service", "all", 9]),
        "enable a unit": ("EnableUnitFiles", "asbb", [[str(HOME / "evil.service")], True, True]),
        "link a unit": ("LinkUnitFiles", "asbb", [[str(HOME / "evil.service")], True, True]),
        "mask the socket": ("MaskUnitFiles", "asbb", [["rebootmgr-hook.socket"], True, True]),
        "bind mount": (
            *("BindMountUnit", "sssbb"),
            ["systemd-logind.service", str(HOME), "/run", False, True],
        ),
        "move into a unit": (
            *("AttachProcessesToUnit", "ssau"),
            ["systemd-logind.service", "", [os.getpid()]],
        ),
        "reload systemd": ("Reload", "", []),
        "execute systemd anew": ("Reexecute", "", []),
        "reboot by systemd": ("Reboot", "", []),
        "power off by systemd": ("PowerOff", "", []),
        "exit systemd": ("Exit", "", []),
        "switch the root": ("SwitchRoot", "ss", ["/mnt", ""]),
    }


def on_logind() -> dict[str, tuple[str, str, list[Any]]]:
    """Attempts on logind, which reboots for us and does nothing else."""
    soon = 2**62
    return {
        "linger by logind": ("SetUserLinger", "ubb", [os.getuid(), True, False]),
        "have root linger": ("SetUserLinger", "ubb", [0, True, False]),
        "power off": ("PowerOff", "b", [False]),
        "halt": ("Halt", "b", [False]),
        "suspend": ("Suspend", "b", [False]),
        "power off with flags": ("PowerOffWithFlags", "t", [1]),
        "schedule a power off": ("ScheduleShutdown", "st", ["poweroff", soon]),
        "schedule a reboot": ("ScheduleShutdown", "st", ["reboot", soon]),
        "schedule a dry one": ("ScheduleShutdown", "st", ["dry-reboot", soon]),
        "cancel what others scheduled": ("CancelScheduledShutdown", "", []),
        "boot into the firmware": ("SetRebootToFirmwareSetup", "b", [True]),
        "boot with a parameter": ("SetRebootParameter", "s", ["evil"]),
        "stop the shutdowns of others": ("Inhibit", "ssss", ["shutdown", "x", "x", "block"]),
        "delay the shutdowns of others": ("Inhibit", "ssss", ["shutdown", "x", "x", "delay"]),
        "end a user": ("TerminateUser", "u", [0]),
        "kill a user": ("KillUser", "ui", [0, 9]),
        "lock sessions": ("LockSessions", "", []),
        "flush devices": ("FlushDevices", "b", [False]),
        "make a session": (
            *("CreateSession", "uusssssussbssa(sv)"),
            [0, 0, "x", "tty", "user", "", "", 0, "", "", False, "", "", []],
        ),
    }


def on_others() -> dict[str, tuple[str, str, str, str, str, list[Any]]]:
    """Attempts on whoever else serves the bus as root."""
    host, time = "org.freedesktop.hostname1", "org.freedesktop.timedate1"
    locale = "org.freedesktop.locale1"
    return {
        "name the host": (
            *(host, "/org/freedesktop/hostname1", host, "SetStaticHostname", "sb"),
            ["evil", False],
        ),
        "set the clock": (
            *(time, "/org/freedesktop/timedate1", time, "SetTime", "xbb"),
            [1, True, False],
        ),
        "set the zone": (
            *(time, "/org/freedesktop/timedate1", time, "SetTimezone", "sb"),
            ["Europe/Rome", False],
        ),
        "set the language": (
            *(locale, "/org/freedesktop/locale1", locale, "SetLocale", "asb"),
            [["LANG=C"], False],
        ),
    }


async def on_the_bus() -> dict[str, str]:
    """Try the bus's services; the names of their refusals."""
    calls = {
        what: (SYSTEMD, "/org/freedesktop/systemd1", f"{SYSTEMD}.Manager", *call)
        for what, call in on_systemd().items()
    }
    calls |= {
        what: (LOGIND, "/org/freedesktop/login1", f"{LOGIND}.Manager", *call)
        for what, call in on_logind().items()
    }
    calls |= on_others()
    came: dict[str, str] = {}
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    for what, (name, path, interface, member, signature, body) in calls.items():
        call = Message(name, path, interface, member, signature=signature, body=body)
        reply = await bus.call(call)
        assert reply is not None
        came[what] = (reply.error_name or "").rpartition(".")[2]
    bus.disconnect()  # type: ignore[no-untyped-call]
    return came


def by_programs() -> dict[str, str]:
    """Try what is set-uid for everybody."""
    tried = {
        "pkexec": ["pkexec", "--disable-internal-agent", str(EVIL)],
        "su": ["su", "--command", str(EVIL)],
        "run0": ["systemd-run", "--no-ask-password", "--wait", str(EVIL)],
    }
    came: dict[str, str] = {}
    for what, command in tried.items():
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        came[what] = "EPERM" if done.returncode else ""
    return came


def find_writable() -> list[str]:
    """Where we may write: files and directories, but those of the kernel."""
    found = []
    for top, directories, files in os.walk("/"):
        if top == "/":
            directories[:] = [name for name in directories if name not in {"proc", "sys", "dev"}]
        names = [top, *(os.path.join(top, name) for name in files)]  # noqa: PTH118 - many
        found += [name for name in names if os.access(name, os.W_OK) and not os.path.islink(name)]  # noqa: PTH114
    return found


def plant(pid: int) -> dict[str, Any]:
    """Try it all. Without a daemon, whose `pid` it is, we are in its place."""
    came = try_out(on_files() | on_the_kernel())
    came |= try_out(on_the_daemon(pid) if pid else in_the_unit())
    came |= asyncio.run(on_the_bus()) | by_programs()
    return {"came": came, "writable": [] if pid else find_writable()}


# Having hooks run with an order of ours


def order(**words: object) -> bytes:
    """Make an order for a check."""
    known = {"phase": "check", "deployment": "fcos-ab.0", "version": "6.6", "booted": ""}
    return json.dumps({**known, "timeout_seconds": 60, **words}).encode() + b"\n"


def orders() -> dict[str, bytes]:
    """What is sent, by name."""
    return {
        "good": order(),
        "more keys": order(LD_PRELOAD=f"{EVIL}.so", PATH=str(HOME), env=ENVIRON, root=str(HOME)),
        "a variable": order(deployment=f"LD_PRELOAD={EVIL}.so"),
        "a line more": order(deployment=f"fcos-ab.0\nLD_PRELOAD={EVIL}.so"),
        "a command": order(version=f"$({EVIL})"),
        "an option": order(version="--evil"),
        "another phase": order(phase="evil"),
        "a path": order(phase="../../var/lib/rebootmgr"),
        "no time": order(timeout_seconds=0),
        "all the time": order(timeout_seconds=10**9),
        "nothing": b"\n",
        "no end": order().rstrip(b"\n"),
        "a large one": order(padding="a" * 1_000_000),
        "half a one": order()[:20] + b"\n",
        "no text": b"\xff\xfe\x00\n",
    }


def steer() -> dict[str, list[Any]]:
    """Have a check run with each of them; what the runner answers."""
    came: dict[str, list[Any]] = {}
    for name, data in orders().items():
        with socket.socket(socket.AF_UNIX) as runner:
            runner.connect(str(SOCKET))
            heard = b""
            with suppress(ConnectionError):  # it did not read to the end
                runner.sendall(data)
                if not data.endswith(b"\n"):
                    runner.shutdown(socket.SHUT_WR)
                while more := runner.recv(65536):
                    heard += more
        came[name] = [json.loads(line) for line in heard.splitlines()]
    return came


def flood() -> None:
    """Take as many connections as there are, let them go, and begin anew."""
    sys.stdout.write("flooding\n")
    sys.stdout.flush()
    mine: list[socket.socket] = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        runner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mine.append(runner)
        with suppress(OSError):
            runner.connect(str(SOCKET))
        if len(mine) > 200:
            for one in mine:
                one.close()
            mine.clear()


if __name__ == "__main__":
    arm()
    match sys.argv[1]:
        case "plant":
            sys.stdout.write(json.dumps(plant(int(sys.argv[2]))))
        case "steer":
            sys.stdout.write(json.dumps(steer()))
        case _:
            flood()

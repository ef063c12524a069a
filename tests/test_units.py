"""What systemd, D-Bus and polkit are given, judged by their own tools.

What only a booted system can show (the sandbox at work, polkitd, a reboot) is in tests/system.
"""

import asyncio
import json
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from rebootmgr import child
from rebootmgr.bus.connection import Bus, Reply, Request
from rebootmgr.bus.words import PROPERTIES
from rebootmgr.cli.main import VERBS
from rebootmgr.control.introspection import INTROSPECTABLE, PEER
from rebootmgr.control.members import ACTION, MANAGER, NAME, PATH, WATCH
from rebootmgr.core.status import StateName
from rebootmgr.daemon import app
from rebootmgr.fleetlock import admin_names
from rebootmgr.hooks import launch as hook_launch
from rebootmgr.hooks import process as hook_process
from rebootmgr.hooks import turn_taking
from rebootmgr.lockd.http import listeners
from rebootmgr.lockd_config.wanted import Wanted
from rebootmgr.show import motd
from rebootmgr.state import store as state_store
from rebootmgr.systemd.journal_words import MESSAGE_IDS, encode_fields
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.statuses import ALL

SYSTEMD: Final = Path(__file__).parents[1] / "systemd"
SERVICE: Final = SYSTEMD / "rebootmgr.service"
SOCKET: Final = SYSTEMD / "rebootmgr-hook.socket"
HOOK: Final = SYSTEMD / "rebootmgr-hook@.service"
LOCKD: Final = SYSTEMD / "rebootmgr-lockd.service"
LOCKD_SOCKET: Final = SYSTEMD / "rebootmgr-lockd.socket"
UNITS: Final = (SERVICE, SOCKET, HOOK, LOCKD, LOCKD_SOCKET)
SANDBOXED: Final = (SERVICE, LOCKD)
MOST_EXPOSED: Final = 14  # tenths: 1.4
SECURITY: Final = (
    *("systemd-analyze", "security", "--no-pager"),
    *("--offline=yes", f"--threshold={MOST_EXPOSED}"),
)

# A boot with a health check of the awkward kind, systemd-boot-check-no-failures.service.
BOOT: Final = {
    "sysinit.target": "",
    "basic.target": "After=sysinit.target",
    "shutdown.target": "",
    "multi-user.target": "Requires=basic.target\nAfter=basic.target",
    "boot-complete.target": "Requires=health.service",
    "health.service": "After=multi-user.target\nBefore=boot-complete.target\n"
    "[Service]\nType=oneshot\nExecStart=/usr/bin/python3",
}
LIKE_THE_SYSTEM_BUS: Final = """
<policy context="default">
  <allow user="*"/>
  <deny own="*"/>
  <deny send_type="method_call"/>
  <allow send_type="signal"/>
  <allow send_requested_reply="true" send_type="method_return"/>
  <allow send_requested_reply="true" send_type="error"/>
  <allow receive_type="method_call"/>
  <allow receive_type="method_return"/>
  <allow receive_type="error"/>
  <allow receive_type="signal"/>
  <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
</policy>
"""
# What polkitd gives a rules file, and every question at once.
POLKIT: Final = """
const rules = [];
globalThis.polkit = {
    addRule: (rule) => rules.push(rule),
    Result: {YES: "yes", NO: "no", NOT_HANDLED: "not handled"},
};
(0, eval)(require("fs").readFileSync(process.argv[1], "utf-8"));
const answers = JSON.parse(process.argv[2]).map(([user, id, details]) =>
    rules[0]({id: id, lookup: (name) => details[name]}, {user: user}));
console.log(JSON.stringify(answers));
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the rules")


def run(*command: str | Path) -> str:
    """Run a tool that has to succeed; all that it says."""
    done = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "LANG": "C.UTF-8", "SYSTEMD_LOG_LEVEL": "info"},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def settings(unit: Path, name: str) -> list[str]:
    """Each value of a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def setting(unit: Path, name: str) -> str:
    [value] = settings(unit, name)
    return value


def seconds(unit: Path, name: str) -> float:
    [(number, scale)] = re.findall(r"^(\d+)(s|min)$", setting(unit, name))
    return float(number) * {"s": 1, "min": 60}[scale]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system with our units, what they run, and not much else."""
    units = tmp_path / "usr/lib/systemd/system"
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / SERVICE.name).symlink_to(f"../{SERVICE.name}")
    for unit in UNITS:
        shutil.copy(unit, units)
    for name, text in BOOT.items():
        (units / name).write_text(f"[Unit]\nDescription={name}\n{text}\n")
    for program in ("rebootmgrd", "rebootmgrctl", "rebootmgr-lockd", "python3", "kill"):
        stub = tmp_path / "usr/bin" / program
        stub.parent.mkdir(exist_ok=True)
        stub.write_text("#!/bin/sh\n")
        stub.chmod(0o755)
    (tmp_path / "bin").symlink_to("usr/bin")
    return tmp_path


def verify(root: Path, *units: str) -> str:
    return run("systemd-analyze", "verify", "--man=no", f"--root={root}", *units)


# The units


def test_systemd_has_nothing_to_say_about_the_units(root: Path) -> None:
    hook = "rebootmgr-hook@0-1-2.service"
    units = (SERVICE.name, SOCKET.name, hook, LOCKD.name, LOCKD_SOCKET.name)
    assert verify(root, *units) == ""


def test_a_health_check_that_comes_after_the_boot_does_not_wait_for_us(root: Path) -> None:
    assert verify(root, "multi-user.target") == ""
    unit = root / "usr/lib/systemd/system" / SERVICE.name
    unit.write_text(unit.read_text().replace("[Unit]", "[Unit]\nAfter=boot-complete.target"))
    assert "ordering cycle" in verify(root, "multi-user.target")


def test_nothing_that_hangs_in_the_boot_keeps_the_daemon_from_starting() -> None:
    """Neither here nor in a container: bus and logind are all that it waits for."""
    quadlet = SYSTEMD.parent / "packaging/coreos/rebootmgr.container"
    for unit in (SERVICE, quadlet):
        lines = unit.read_text().splitlines()
        after = {name for line in lines if line.startswith("After=") for name in line[6:].split()}
        assert "Wants=boot-complete.target" in lines
        assert after & {"boot-complete.target", "multi-user.target", "default.target"} == set()
        assert {"dbus.service", "systemd-logind.service"} <= after


def exposures(unit: Path) -> Iterator[str]:
    """What systemd still finds, by the name that a reader would look for."""
    rows = json.loads(run(*SECURITY, "--json=short", unit))
    for row in rows:
        if float(row["exposure"] or 0):
            setting, _, value = row["name"].partition("=")
            yield value.lstrip("~").replace("(INET|INET6)", "INET") or f"{setting}="


@pytest.mark.parametrize("unit", SANDBOXED, ids=lambda unit: unit.name)
def test_the_sandbox_is_as_tight_as_promised(unit: Path) -> None:
    assert "Overall exposure level" in run(*SECURITY, unit)  # and the threshold is kept


@pytest.mark.parametrize(
    ("name", "value", "otherwise"),
    [
        ("MemoryMax", "512M", "one answer that grows without end takes the host's memory"),
        ("TasksMax", "128", "whoever has the daemon's user forks until nobody else can"),
        ("OOMPolicy", "continue", "a request that grew too large ends the daemon with it"),
        ("CPUQuota", "100%", "a flood of messages takes every core"),
        ("LimitFSIZE", "64M", "a state.json that grows fills /var"),
        ("LimitCORE", "0", "a crash leaves the lock server's secrets on disk"),
        ("UMask", "0077", "others read what it writes"),
        ("StateDirectoryMode", "0700", "others read state.json"),
        ("NotifyAccess", "main", "a child speaks in its name"),
        ("WatchdogSec", "3min", "a loop that hangs is never ended"),
    ],
)
def test_each_limit_of_the_unit_holds_something(name: str, value: str, otherwise: str) -> None:
    assert settings(SERVICE, name) == [value], otherwise


@pytest.mark.parametrize("unit", SANDBOXED, ids=lambda unit: unit.name)
def test_each_exposure_that_remains_is_explained_in_the_unit(unit: Path) -> None:
    comments = "".join(re.findall(r"^#   .*\n", unit.read_text(), re.MULTILINE))
    found = {name.partition("/")[0] for name in exposures(unit)}
    assert {"PrivateNetwork=", "AF_INET", "DeviceAllow="} <= found
    assert [name for name in sorted(found) if name not in comments] == []


def test_the_units_keep_their_promises_to_the_programs_in_time() -> None:
    assert seconds(SERVICE, "TimeoutStopSec") > app.STOP_S + child.KILL_S + child.LAST_WORDS_S
    stopping = hook_process.TERM_S + child.KILL_S + child.LAST_WORDS_S
    assert seconds(HOOK, "TimeoutStopSec") > stopping
    assert seconds(SERVICE, "TimeoutAbortSec") < seconds(SERVICE, "WatchdogSec")


def test_the_units_speak_of_the_places_that_the_programs_use() -> None:
    public = PurePosixPath(app.METRICS).parent
    assert f"run/{setting(SERVICE, 'RuntimeDirectory')}" == str(public)
    assert setting(SOCKET, "ListenStream") == str(hook_launch.SOCKET)
    assert setting(SOCKET, "SocketUser") == setting(SERVICE, "User")
    assert f"/{turn_taking.LOCK}".rpartition("/")[0] == str(hook_launch.SOCKET.parent)
    assert f"var/lib/{setting(SERVICE, 'StateDirectory')}" == state_store.DIRECTORY
    assert setting(SERVICE, "ReadWritePaths") == f"-/{motd.PATH}"
    assert "REBOOTMGR_BOOT_ID=%b" in settings(SERVICE, "Environment")
    module = setting(HOOK, "ExecStart").split()[-1]
    assert find_spec(module) is not None


def test_the_units_of_the_lock_server_speak_of_its_places_and_keep_its_times() -> None:
    wanted = Wanted()
    assert str(PurePosixPath(wanted.store.path).parent) == (
        f"/var/lib/{setting(LOCKD, 'StateDirectory')}"
    )
    assert f"run/{setting(LOCKD, 'RuntimeDirectory')}" == str(
        PurePosixPath(admin_names.SOCKET).parent
    )
    assert setting(LOCKD, "User") == admin_names.GROUP, "sysusers makes a group of the same name"
    assert settings(LOCKD_SOCKET, "ListenStream") == [str(one) for one in wanted.server.listen]
    assert int(setting(LOCKD_SOCKET, "Backlog")) == listeners.BACKLOG
    assert seconds(LOCKD, "TimeoutAbortSec") < seconds(LOCKD, "WatchdogSec")


# Users and files


def created(root: Path) -> Mapping[str, list[str]]:
    """Make the users and what is theirs, as at boot; their entries in passwd by name."""
    (root / "etc").mkdir(exist_ok=True)
    run("systemd-sysusers", f"--root={root}", *SYSTEMD.glob("*.sysusers"))
    lines = (root / "etc/passwd").read_text().splitlines()
    return {line.split(":")[0]: line.split(":") for line in lines}


@pytest.mark.parametrize("unit", SANDBOXED, ids=lambda unit: unit.name)
def test_each_daemon_has_a_user_of_its_own_that_cannot_log_in(unit: Path, tmp_path: Path) -> None:
    user = setting(unit, "User")
    _, password, uid, gid, _, home, shell = created(tmp_path)[user]
    assert 0 < int(uid) < 1000
    assert f"{user}:x:{gid}:\n" in (tmp_path / "etc/group").read_text()
    assert (password, home) == ("x", "/")
    assert shell.endswith("/nologin")


@needs_root
def test_the_way_to_the_hooks_is_in_a_directory_of_root(tmp_path: Path) -> None:
    uid = int(created(tmp_path)["rebootmgr"][2])
    conf = SYSTEMD / "rebootmgr.tmpfiles"
    said = run("systemd-tmpfiles", f"--root={tmp_path}", "--create", conf)
    assert said == ""
    made = {
        str(path.relative_to(tmp_path)): (path.stat().st_uid, oct(path.stat().st_mode))
        for path in (tmp_path / "run").rglob("*")
    }
    assert made == {
        str(hook_launch.SOCKET.parent).lstrip("/"): (0, "0o40755"),
        "run/motd.d": (0, "0o40755"),
        motd.PATH: (uid, "0o100644"),
    }


# The catalog


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Every entry of the catalog, by its id, as journalctl finds it."""
    root = tmp_path_factory.mktemp("catalog")
    source = root / "usr/lib/systemd/catalog"
    source.mkdir(parents=True)
    (root / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(SYSTEMD / "rebootmgr.catalog", source)
    assert run("journalctl", f"--root={root}", "--update-catalog") == ""
    dumped = run("journalctl", f"--root={root}", "--no-pager", "--dump-catalog")
    _, *parts = re.split(r"^-- ([0-9a-f]{32})\n", dumped, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_catalog_explains_each_record(catalog: Mapping[str, str]) -> None:
    assert set(catalog) == set(MESSAGE_IDS.values())


@pytest.mark.parametrize("state", StateName)
def test_an_entry_says_what_happened_and_which_command_tells_more(
    catalog: Mapping[str, str], state: StateName
) -> None:
    entry = catalog[MESSAGE_IDS[state]]
    assert re.search(r"^Subject: \S.{10,75}$", entry, re.MULTILINE)
    assert "\nDefined-By: rebootmgr\n" in entry
    assert "\nLook:  " in entry
    assert [line for line in entry.splitlines() if len(line) > 80] == []
    assert set(re.findall(r"rebootmgrctl ([a-z-]+)", entry)) <= set(VERBS)


def test_the_catalog_names_only_fields_that_each_record_has(catalog: Mapping[str, str]) -> None:
    named = {name for entry in catalog.values() for name in re.findall(r"@(\w+)@", entry)}
    assert named
    for status in ALL.values():
        assert named <= set(encode_fields(status, None))


# The bus


def as_user(user: str, *command: str) -> tuple[bool, str]:
    """Run a command as somebody else; whether it succeeded, and what it said."""
    entry = pwd.getpwnam(user)
    ids = (f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
    done = subprocess.run(
        ["setpriv", *ids, *command],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode == 0, done.stdout


# The user rebootmgr is not on every machine that runs the tests; these two are.
DAEMON: Final = "daemon"
SOMEBODY: Final = "nobody"


LOGIN1: Final = "org.freedesktop.login1"
NOW: Final = ("RebootWithFlags", "Reboot", "ListInhibitors", "SetWallMessage")
LATER: Final = ("ScheduleShutdown", "CancelScheduledShutdown")


def our_policy() -> str:
    """Our policy of the bus, for DAEMON."""
    ours = (SYSTEMD / "org.rebootmgr1.conf").read_text()
    policies = "".join(re.findall(r"  <policy .*?</policy>\n", ours, re.DOTALL))
    return policies.replace('"rebootmgr"', f'"{DAEMON}"')


@pytest.fixture
def bus() -> Iterator[DbusDaemon]:
    with DbusDaemon(policy=LIKE_THE_SYSTEM_BUS + our_policy()) as bus:
        yield bus


def may_own(bus: DbusDaemon, user: str, name: str) -> bool:
    driver = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
    request = ("call", *driver, "RequestName", "su", name, "4")
    done, said = as_user(user, "busctl", f"--address={bus.address}", *request)
    assert done or "Access denied" in said or "not allowed to own" in said, said
    return done


@needs_root
@pytest.mark.parametrize("name", [NAME, WATCH])
def test_only_root_and_the_daemon_may_be_the_daemon(bus: DbusDaemon, name: str) -> None:
    asked = [may_own(bus, user, name) for user in ("root", DAEMON, SOMEBODY)]
    assert asked == [True, True, False]


@asynccontextmanager
async def named(bus: DbusDaemon, name: str) -> AsyncIterator[Bus]:
    """A connection with one of the daemon's names, which answers whatever it is asked."""

    async def answer(request: Request) -> Reply:
        return Reply("s", [request.member])

    daemon = await Bus.connect(bus.address)
    try:
        daemon.serve(PATH, answer)
        await daemon.own(name)
        yield daemon
    finally:
        await daemon.close()


def call(bus: DbusDaemon, user: str, name: str, interface: str) -> tuple[bool, str]:
    asking = ("call", name, PATH, interface, "Member")
    return as_user(user, "busctl", f"--address={bus.address}", *asking)


@needs_root
async def test_anybody_may_call_our_interfaces_and_no_other(bus: DbusDaemon) -> None:
    ours = (MANAGER, PROPERTIES, INTROSPECTABLE, PEER)
    async with named(bus, NAME) as daemon:
        for to in (NAME, daemon.unique_name):
            for interface in ours:
                asked = await asyncio.to_thread(call, bus, SOMEBODY, to, interface)
                assert asked == (True, 's "Member"\n')
            done, said = await asyncio.to_thread(call, bus, SOMEBODY, to, "org.example.Any")
            assert not done
            assert "Access denied" in said


@needs_root
async def test_nobody_may_call_the_connection_by_which_we_ask(bus: DbusDaemon) -> None:
    async with named(bus, WATCH) as daemon:
        for to in (WATCH, daemon.unique_name):
            done, said = await asyncio.to_thread(call, bus, SOMEBODY, to, MANAGER)
            assert not done
            assert "Access denied" in said


@needs_root
@pytest.mark.parametrize("name", [NAME, WATCH])
async def test_signals_to_us_alone_are_for_root_and_broadcast_ones_for_all(
    bus: DbusDaemon, name: str
) -> None:
    async with named(bus, name) as daemon:
        heard: asyncio.Queue[str] = asyncio.Queue()
        await daemon.subscribe("type='signal'", lambda signal: heard.put_nowait(signal.member))
        emit = ("busctl", f"--address={bus.address}", "emit")
        for user, destination, member in (
            (SOMEBODY, name, "Unicast"),
            (SOMEBODY, daemon.unique_name, "Unicast"),
            (SOMEBODY, "", "Broadcast"),
            ("root", name, "FromRoot"),
        ):
            to = (f"--destination={destination}",) if destination else ()
            signal = (PATH, "org.example.Any", member)
            await asyncio.to_thread(as_user, user, *emit, *to, *signal)
        members = []
        while "FromRoot" not in members:
            members.append(await heard.get())
        assert [each for each in members if not each.startswith("Name")] == [
            "Broadcast", "FromRoot",
        ]  # fmt: skip


LIKE_LOGIND: Final = """
<policy user="root"><allow own="org.freedesktop.login1"/></policy>
<policy context="default"><allow send_destination="org.freedesktop.login1"/></policy>
"""


@needs_root
async def test_of_logind_the_daemon_may_ask_for_a_reboot_now_and_for_none_later() -> None:
    async def answer(request: Request) -> Reply:
        return Reply("s", [request.member])

    policy = LIKE_THE_SYSTEM_BUS + our_policy() + LIKE_LOGIND
    with DbusDaemon(policy=policy) as bus:
        logind = await Bus.connect(bus.address)
        try:
            logind.serve("/org/freedesktop/login1", answer)
            await logind.own(LOGIN1)
            call = ("call", LOGIN1, "/org/freedesktop/login1", f"{LOGIN1}.Manager")
            reached = {
                (user, member): (
                    await asyncio.to_thread(
                        as_user, user, "busctl", f"--address={bus.address}", *call, member
                    )
                )[0]
                for user in (DAEMON, SOMEBODY)
                for member in (*NOW, *LATER)
            }
        finally:
            await logind.close()
    assert [member for member in LATER if reached[DAEMON, member]] == []
    assert [member for member in NOW if not reached[DAEMON, member]] == []
    assert all(reached[SOMEBODY, member] for member in (*NOW, *LATER))


# polkit


def test_the_daemon_may_ask_polkit_about_others_and_people_need_a_password() -> None:
    policy = ET.parse(SYSTEMD / "org.rebootmgr1.policy")  # noqa: S314 - our own file
    [action] = policy.getroot().iter("action")
    assert action.get("id") == ACTION
    [defaults] = action.iter("defaults")
    assert [(each.tag, each.text) for each in defaults] == [
        ("allow_any", "auth_admin_keep"),
        ("allow_inactive", "auth_admin_keep"),
        ("allow_active", "auth_admin_keep"),
    ]
    [owner] = action.iter("annotate")
    assert owner.get("key") == "org.freedesktop.policykit.owner"
    assert owner.text == f"unix-user:{setting(SERVICE, 'User')}"


SYSTEMD1: Final = "org.freedesktop.systemd1"
ALLOWED: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    *((f"{LOGIN1}.reboot", {}), (f"{LOGIN1}.reboot-multiple-sessions", {})),
    (f"{LOGIN1}.set-wall-message", {}),
)
REFUSED: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    *((f"{LOGIN1}.reboot-ignore-inhibit", {}), (f"{LOGIN1}.power-off", {})),
    *((f"{LOGIN1}.set-self-linger", {}), (f"{LOGIN1}.set-user-linger", {})),
    *((f"{LOGIN1}.inhibit-block-shutdown", {}), (f"{LOGIN1}.reboot ", {}), ("", {})),
    *((ACTION, {}), (f"{SYSTEMD1}.reload-daemon", {}), (f"{SYSTEMD1}.manage-unit-files", {})),
    *((f"{SYSTEMD1}.set-environment", {}), ("org.example.of.tomorrow", {})),
    *((f"{SYSTEMD1}.manage-units", {}), ("org.freedesktop.policykit.exec", {})),
    *(
        (f"{SYSTEMD1}.manage-units", {"unit": unit, "verb": verb})
        for unit in ("sshd.service", "rebootmgr-hook@check.service", "rebootmgr-hook.socket")
        for verb in ("start", "stop", "restart", "kill", "set-property")
    ),
)


def answers(user: str, questions: tuple[tuple[str, Mapping[str, str]], ...]) -> list[str]:
    asked = json.dumps([[user, *question] for question in questions])
    said = run("node", "-e", POLKIT, SYSTEMD / "rebootmgr.rules", asked)
    found: list[str] = json.loads(said)
    return found


@needs_node
def test_the_daemon_may_reboot_and_nothing_else_whatever_others_may() -> None:
    assert answers("rebootmgr", ALLOWED) == ["yes"] * len(ALLOWED)
    assert answers("rebootmgr", REFUSED) == ["no"] * len(REFUSED)


@needs_node
def test_the_rule_is_for_nobody_else() -> None:
    for user in ("root", "rebootmgr2", "core", ""):
        assert answers(user, ALLOWED) == ["not handled"] * len(ALLOWED)
        assert answers(user, REFUSED) == ["not handled"] * len(REFUSED)


def test_the_rules_are_written_for_the_oldest_engine_of_polkit() -> None:
    text = (SYSTEMD / "rebootmgr.rules").read_text()
    assert re.findall(r"=>|\b(?:let|const|class|async)\b|`|\?\?|\?\.", text) == []

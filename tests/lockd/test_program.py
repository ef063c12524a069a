"""The lock server as a program: start, reload, stop, and what systemd hears of it."""

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from rebootmgr import __version__
from rebootmgr.lockd.check import SOCKET
from tests.fakes.service_manager import ServiceManager
from tests.lockd.program import (
    HAND_OVER,
    PRE_REBOOT,
    PROTOCOL,
    ROOT,
    configure,
    question,
    request,
    serving,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rebootmgr.lockd.main", *words],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


def test_it_says_its_version_and_how_it_is_used() -> None:
    assert run("--version").stdout == f"rebootmgr-lockd {__version__}\n"
    said = run("--help").stdout
    assert "check-config" in said
    assert "examples:" in said
    assert run("--nonsense").returncode == 2


def test_a_library_that_is_not_installed_is_named_with_the_cure(root: Path) -> None:
    """As after `pip install rebootmgr`, without what only the server needs."""
    libraries = root / "libraries"
    libraries.mkdir()
    for one in Path(sysconfig.get_path("purelib")).iterdir():
        if not one.name.lower().startswith("jinja2"):
            (libraries / one.name).symlink_to(one)
    ended = _run_without_libraries(libraries, "--root", str(root))
    assert ended.returncode == 1
    cure = "install python3-jinja2, or with pip rebootmgr[lockd]"
    assert ended.stderr.endswith(f"the server needs jinja2, which is not here: {cure}\n")
    assert len(ended.stderr.splitlines()) == 1
    checked = _run_without_libraries(libraries, "--root", str(root), "check-config")
    assert (checked.returncode, checked.stderr) == (0, "")


def _run_without_libraries(but: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-S", "-m", "rebootmgr.lockd.main", *words),
        cwd=ROOT,
        env={"PYTHONPATH": str(but)},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_verb_ends_with_its_reader_by_the_signal_that_ends_a_pipeline(root: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        program = (sys.executable, "-m", "rebootmgr.lockd.main", "--root", str(root))
        done = subprocess.run(
            [*program, "check-config"], cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_addresses_beside_those_of_systemds_socket_are_named_as_of_no_use(root: Path) -> None:
    file = configure(root, "[server]\nlisten = ['127.0.0.1:4444']\n")
    assert run("--root", str(root), "check-config", "--strict").returncode == 0
    units = root / "usr/lib/systemd/system"
    wants = root / "etc/systemd/system/sockets.target.wants"
    for folder in (units, wants):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "systemd" / SOCKET, units)
    (wants / SOCKET).symlink_to(units / SOCKET)
    said = run("--root", str(root), "check-config")
    why = f"is not used: {SOCKET} is enabled by {wants / SOCKET}"
    cure = "remove it; systemd's are ListenStream= of the socket unit"
    assert (said.returncode, said.stdout.splitlines()[0]) == (
        *(0, f"{file}:2: warning: server.listen: {why} ({cure})"),
    )
    file.unlink()
    assert run("--root", str(root), "check-config", "--strict").returncode == 0


async def test_sockets_of_systemd_beside_addresses_are_told_in_the_journal(root: Path) -> None:
    text = "server.listen: is not used: the sockets are those of systemd"
    async with serving(root, "[server]\nlisten = ['127.0.0.1:4444']\n") as server:
        assert server.log.count(text) == 1
        await server.reload()
        assert server.log.count(text) == 2
    configure(root, "")
    async with serving(root) as server:
        assert text not in server.log


def test_sockets_that_are_promised_and_not_there_are_an_error_with_its_cure(root: Path) -> None:
    promise = (
        "import os, sys\n"
        'os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}\n'
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    program = ("-m", "rebootmgr.lockd.main", "--root", str(root))
    ended = subprocess.run(
        [sys.executable, "-c", promise, *program],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "LISTEN_FDS promises sockets that are not there" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_systemd_hears_that_it_is_up_how_it_is_and_that_it_stops(root: Path) -> None:
    async with serving(root) as server:
        await server.manager.until_status("0 slots lent, 0 hosts waiting")
        await server.manager.until_beat(2)
        assert (await server.ask()).status == 200
        assert (await server.ask("h2")).status == 423
        await server.manager.until_status("1 slot lent, 1 host waiting")
        assert await server.stop() == 0
        server.manager.catch_up()
        assert "STOPPING=1" in server.manager.heard
        assert "stopped" in server.log


async def test_what_it_granted_outlives_it(root: Path) -> None:
    async with serving(root) as server:
        assert (await server.ask("h1")).status == 200
        assert await server.stop() == 0
    async with serving(root) as server:
        assert (await server.ask("h1")).status == 200
        assert (await server.ask("h2")).status == 423
        assert (await server.give_back("h1")).status == 200
        assert (await server.ask("h2")).status == 200


async def test_with_nothing_written_it_lends_one_slot_of_the_group_default(root: Path) -> None:
    async with serving(root) as server:
        assert (await server.ask("h1")).status == 200
        refused = await server.ask("h2")
        assert (refused.status, refused.kind) == (423, "all_slots_full")
        assert "1 of 1 slot lent" in refused.value
        unknown = await server.ask("h3", "others")
        assert (unknown.status, unknown.kind) == (400, "unknown_group")


async def test_a_reload_takes_new_rules_and_a_bad_one_changes_nothing(root: Path) -> None:
    async with serving(root) as server:
        assert (await server.ask("h1")).status == 200
        assert (await server.ask("h2")).status == 423
        configure(root, "[groups.default]\nslots = 2\n")
        await server.reload()
        assert (await server.ask("h2")).status == 200
        configure(root, "[groups.default]\nslots = 3\nslotz = 4\n")
        await server.reload()
        assert (await server.ask("h3")).status == 423
        assert "groups.default.slotz: is no known key (did you mean groups.default.slots?)" in (
            server.log
        )
        assert "the configuration stays as it was" in server.log
        configure(root, "[store]\npath = '/var/lib/rebootmgr-lockd/other.sqlite'\n")
        await server.reload()
        assert "store.path: is another store than the one in use (restart the server)" in server.log


def test_an_invalid_configuration_is_refused_with_every_error_and_78(root: Path) -> None:
    file = configure(
        root,
        "[server]\nlisten = ['0.0.0.0:3333']\nauthorization_file = '/etc/tokens'\n"
        "[groups.a]\nslots = -1\nafter = ['b']\n[store]\nkind = 'etcd'\n",
    )
    said = run("--root", str(root), "check-config")
    assert said.returncode == 78
    loopback = "0.0.0.0:3333 is beyond this host, and plain http is read on the way"
    proxy = "behind a proxy that speaks TLS, server.plain_http = true"
    number = "must be a whole number from 0 to 100000, not -1 (write digits, without quotes)"
    where = "is etcd, and nothing says where that is (set store.etcd_endpoints, too)"
    assert said.stdout.splitlines() == [
        f"{file}:2: server.listen: {loopback} (set server.tls_cert_file; {proxy})",
        f"{file}:5: groups.a.slots: {number}",
        f'{file}:6: groups.a.after: names "b", of which there is no table (add one, or remove it)',
        f"{file}:8: store.kind: {where}",
        "configuration invalid: 4 errors, 0 warnings",
    ]
    started = run("--root", str(root))
    assert started.returncode == 78
    assert started.stderr.count(str(file)) == 4


def test_a_missing_file_of_tokens_is_an_error_of_the_configuration(root: Path) -> None:
    file = configure(root, "[server]\nauthorization_file = '/etc/tokens'\n")
    said = run("--root", str(root), "check-config")
    assert said.returncode == 78
    path = root / "etc/tokens"
    assert said.stdout.splitlines()[0] == (
        f"{file}:2: server.authorization_file: {path}: No such file or directory"
        " (mend the file, or correct its path)"
    )
    (root / "etc/tokens").write_text("Bearer abc\n")
    assert run("--root", str(root), "check-config").returncode == 0


async def test_a_socket_of_systemd_beyond_loopback_wants_tls_or_a_word(root: Path) -> None:
    exposed = socket.socket()
    exposed.bind(("0.0.0.0", 0))  # noqa: S104 - that is the point
    exposed.listen()
    configure(root, "")
    with exposed:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", HAND_OVER, str(exposed.fileno()), "--root", str(root)),
            cwd=ROOT,
            pass_fds=(exposed.fileno(),),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
    assert process.returncode == 78
    assert "is beyond this host, and plain http is read on the way" in said.decode()


async def test_it_listens_where_it_is_told_and_stops_where_it_is_told_no_more(
    root: Path,
) -> None:
    """Without sockets from systemd; a path stands for an address that is free in any case."""
    sockets = ("run/a.sock", "run/b.sock")
    (root / "run").mkdir()
    configure(root, f'[server]\nlisten = ["unix:/{sockets[0]}"]\n')
    log = (root / "log").open("wb")
    async with ServiceManager(root) as manager:
        with log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rebootmgr.lockd.main", "--root", str(root)),
                cwd=ROOT,
                env={**os.environ, "NOTIFY_SOCKET": manager.path},
                stderr=log,
            )
        try:
            await manager.until(lambda one: one == "READY=1")
            assert await asked_at(root / sockets[0]) == b"HTTP/1.1 200 OK"
            configure(root, f'[server]\nlisten = ["unix:/{sockets[1]}"]\n')
            process.send_signal(signal.SIGHUP)
            await manager.until(lambda _: manager.heard.count("READY=1") > 1)
            assert await asked_at(root / sockets[1]) == b"HTTP/1.1 200 OK"
            assert not (root / sockets[0]).exists()
        finally:
            process.terminate()
            await process.wait()
    assert not (root / sockets[1]).exists()


async def asked_at(path: Path) -> bytes:
    os.chdir(path.parent)  # the whole path may be longer than a socket's may be
    reader, writer = await asyncio.open_unix_connection(path.name)
    writer.write(request(PRE_REBOOT, question()))
    answer = await reader.read(-1)
    writer.close()
    return answer.partition(b"\r\n")[0]


async def test_a_second_server_on_the_same_store_lends_nothing(root: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    async with serving(root) as server:
        assert (await server.ask("h1")).status == 200
        (second / "var/lib").mkdir(parents=True)
        (second / "var/lib/rebootmgr-lockd").symlink_to(root / "var/lib/rebootmgr-lockd")
        async with serving(second) as another:
            refused = await another.ask("h2")
            assert (refused.status, refused.kind) == (503, "store_unavailable")
            assert 15 <= int(refused.headers["Retry-After"]) <= 30
            told = await another.get("/readyz")
            assert (told.status, told.kind) == (503, "not_ready")
            assert "another process has it open" in told.value
            assert (await another.get("/healthz")).status == 200
        assert (await server.ask("h1")).status == 200


async def test_a_second_server_at_the_same_place_is_refused(root: Path) -> None:
    async with serving(root) as server:
        said = await asyncio.to_thread(run, "--root", str(root))
        assert said.returncode == 1
        assert "no other rebootmgr-lockd may run" in said.stderr
        assert (await server.ask("h1")).status == 200


async def test_what_is_asked_while_it_stops_is_answered(root: Path) -> None:
    """An answer that was held back, too: whoever waits hears that the server stops."""
    async with serving(root) as server:
        assert (await server.ask("h1")).status == 200
        waiting = await server.connect()
        held = {**PROTOCOL, "Prefer": "wait=60"}
        waiting.writer.write(request(PRE_REBOOT, question("h2"), headers=held))
        line = await server.connect()
        line.writer.write(request("/metrics", method="GET", headers=PROTOCOL))
        while b'hosts_waiting{group="default"} 1.0' not in (await line.answer()).body:
            line = await server.connect()
            line.writer.write(request("/metrics", method="GET", headers=PROTOCOL))
        assert await server.stop() == 0
        answered = await waiting.answer()
        assert (answered.status, answered.kind) == (503, "store_unavailable")


async def test_the_store_is_a_whole_database_after_the_stop(root: Path) -> None:
    async with serving(root) as server:
        assert (await server.ask("h1")).status == 200
        assert await server.stop() == 0
    with sqlite3.connect(root / "var/lib/rebootmgr-lockd/lockd.sqlite") as database:
        assert database.execute("SELECT id FROM holders").fetchall() == [("h1",)]
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

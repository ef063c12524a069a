"""The FleetLock client against a real server, through its real child process."""

import asyncio
import json
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from rebootmgr.core.counters import Api
from rebootmgr.core.events import (
    LockAnswer,
    LockGranted,
    LockRefused,
    LockUnclear,
    ReleaseUnclear,
    SlotReleased,
)
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.request import BODY_S, LIMITS
from rebootmgr.fleetlock.words import Server, Told
from tests.fakes.fleetlock import FakeFleetLock, Script, drip, hang, reply, silence
from tests.fleetlock.lock_requests import children, unclear
from tests.waiting import PATIENT_S

T = Ticket(7)
SLOT = Slot("http://lock", "default", "node1")
BODY = '{"client_params":{"id":"node1","group":"default"}}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


class Observer:
    def __init__(self) -> None:
        self.told: list[tuple[Api, str | None]] = []
        self._began = monotonic()

    def __call__(self, api: Api, kind: str | None, seconds: float) -> None:
        assert 0 <= seconds <= monotonic() - self._began
        self.told.append((api, kind))


@pytest.fixture(autouse=True)
def no_child_is_left() -> None:
    assert children() == set()


def at(fake: FakeFleetLock) -> Server:
    return Server(base_url=fake.url, timeout_s=PATIENT_S)


async def ask(server: Server, observer: Observer | None = None) -> LockAnswer:
    answer = await LockClient(observed=observer or Observer()).acquire(T, SLOT, server)
    assert children() == set()
    return answer


async def test_a_slot_is_granted_and_given_back(fake: FakeFleetLock) -> None:
    observer = Observer()
    client = LockClient(observed=observer)
    assert await client.acquire(T, SLOT, at(fake)) == LockGranted(T, SLOT)
    assert fake.holders == {"default": ["node1"]}
    assert await client.release(T, SLOT, at(fake)) == SlotReleased(T, SLOT)
    assert fake.holders == {"default": []}
    assert [seen.target for seen in fake.seen] == ["/v1/pre-reboot", "/v1/steady-state"]
    assert observer.told == [(Api.PRE_REBOOT, None), (Api.STEADY_STATE, None)]


async def test_the_request_is_exactly_what_strict_servers_accept(fake: FakeFleetLock) -> None:
    fake.base = "/base"
    await ask(replace(at(fake), base_url=f"{fake.url}//"))
    (seen,) = fake.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/base/v1/pre-reboot", BODY)
    headers = dict(seen.headers)
    assert headers.pop("host") == f"localhost:{fake.port}"
    assert headers.pop("user-agent").startswith("rebootmgr/")
    assert headers == {
        "fleet-lock-protocol": "true",
        "accept": "application/json",
        "content-length": str(len(BODY)),
        "prefer": "wait=60",
    }


async def test_a_server_is_told_who_asks_and_what_for_in_plain_characters(
    fake: FakeFleetLock,
) -> None:
    labels = (("rack", "a2"), ("zone", "b"))
    told = Told(host="wörker\r\nX: 1", labels=labels, booted="41.1", target="41.2" * 99)
    client = LockClient(observed=Observer())
    await client.acquire(T, SLOT, at(fake), told)
    await client.release(T, SLOT, at(fake), Told(booted="41.2"))
    asked, returned = (dict(seen.headers) for seen in fake.seen)
    assert (asked["rebootmgr-host"], asked["rebootmgr-booted"]) == ("w?rker X: 1", "41.1")
    assert len(asked["rebootmgr-target"]) == 128
    assert asked["rebootmgr-labels"] == "rack=a2,zone=b"
    assert returned["rebootmgr-booted"] == "41.2"
    assert (
        not {"prefer", "rebootmgr-host", "rebootmgr-target", "rebootmgr-labels"} & returned.keys()
    )


@pytest.mark.parametrize("last", [200, 423, 415])
async def test_a_content_type_is_sent_only_to_who_asks_for_one(
    fake: FakeFleetLock, last: int
) -> None:
    fake.script += [reply(415), reply(last)]
    answer = await ask(at(fake))
    assert [seen.headers.get("content-type") for seen in fake.seen] == [None, "application/json"]
    assert [seen.body for seen in fake.seen] == [BODY, BODY]
    assert isinstance(answer, {200: LockGranted, 423: LockRefused, 415: LockUnclear}[last])


async def test_interim_answers_are_passed_over_but_not_for_ever(fake: FakeFleetLock) -> None:
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    grant = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    fake.script += [Script((interim * 20, grant)), Script((interim * 9999, grant)), drip(interim)]
    assert await ask(at(fake)) == LockGranted(T, SLOT)
    for _ in range(2):
        unclear(await ask(at(fake)), "never comes to an answer", answered=False)


async def test_the_child_is_bounded_and_knows_of_no_bus(
    fake: FakeFleetLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/dbus/system_bus_socket")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/0/bus")
    looked = asyncio.Event()
    fake.script.append(reply(200, gate=looked))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(LockClient(observed=Observer()).acquire(T, SLOT, at(fake)))
        await fake.wait_seen(1)
        (child,) = children()
        folder = Path(f"/proc/{child}")
        environ = (folder / "environ").read_text()
        limits = {
            line[:25].strip(): line[25:].split()[:2]
            for line in (folder / "limits").read_text().splitlines()
        }
        needed = {
            line.split()[0]: int(line.split()[1]) * 1024
            for line in (folder / "status").read_text().splitlines()
            if line.startswith(("VmPeak", "VmData"))
        }
        looked.set()
    assert task.result() == LockGranted(T, SLOT)
    assert "DBUS" not in environ
    for name, (limit, most) in {
        "Max cpu time": LIMITS[2],
        "Max address space": LIMITS[1],
        "Max data size": LIMITS[0],
        "Max core file size": LIMITS[4],
    }.items():
        assert limits[name] == [str(most), str(most)], (name, limit)
    assert needed["VmPeak:"] < LIMITS[1][1] / 2, "there is room for other Pythons"
    assert needed["VmData:"] < LIMITS[0][1] / 2


async def test_nobody_of_the_same_user_looks_into_the_child(
    fake: FakeFleetLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is when it begins to work (PR_GET_DUMPABLE is 3); root sees no difference outside."""
    (tmp_path / "telling_child.py").write_text(
        "import asyncio, ctypes, pathlib\n"
        "run = asyncio.run\n"
        "def tell(work):\n"
        "    dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)\n"
        f"    pathlib.Path({str(tmp_path / 'dumpable')!r}).write_text(str(dumpable))\n"
        "    return run(work)\n"
        "asyncio.run = tell\n"
        "from rebootmgr.fleetlock.request import main\n"
        "main()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    client = LockClient(observed=Observer(), child="telling_child")
    assert await client.acquire(T, SLOT, at(fake)) == LockGranted(T, SLOT)
    assert (tmp_path / "dumpable").read_text() == "0"


async def test_a_release_tells_confirmed_from_unclear(fake: FakeFleetLock) -> None:
    client = LockClient(observed=Observer())
    fake.script += [reply(423), reply(500), silence()]
    assert await client.release(T, SLOT, at(fake)) == SlotReleased(T, SLOT)
    assert isinstance(await client.release(T, SLOT, at(fake)), ReleaseUnclear)
    assert isinstance(await client.release(T, SLOT, at(fake)), ReleaseUnclear)


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (silence(), "closed the connection"),
        (Script((b"HTTP/1.1 200 OK\r\nContent-Le",)), "closed the connection"),
        (Script((b"SSH-2.0-OpenSSH_9.9\r\n",)), "no usable HTTP answer"),
        (Script((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",)), "no usable HTTP"),
        (drip(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 8000 + b"\r\n"), ""),
    ],
    ids=["close", "cut head", "not http", "long header", "endless headers"],
)
async def test_what_is_no_http_answer_is_unclear(
    fake: FakeFleetLock, script: Script, detail: str
) -> None:
    observer = Observer()
    fake.script.append(script)
    unclear(await ask(at(fake), observer), detail, answered=False)
    assert observer.told == [(Api.PRE_REBOOT, "client_failed_request")]


@pytest.mark.parametrize(
    "script",
    [
        Script((HEAD, b"cut")),
        reply(200, b"\0" * 10_000_000),
        drip(HEAD.replace(b"100", b"100000000"), b"x" * 65536),
        reply(200, b"not gzip", content_encoding="gzip"),
    ],
    ids=["cut body", "10 MB body", "endless body", "false gzip"],
)
async def test_a_body_never_spoils_a_grant(fake: FakeFleetLock, script: Script) -> None:
    fake.script.append(script)
    assert await ask(at(fake)) == LockGranted(T, SLOT)


async def test_a_body_that_never_ends_costs_two_seconds_at_most(fake: FakeFleetLock) -> None:
    assert BODY_S == 2.0
    fake.script += [hang(HEAD, b"slow"), drip(HEAD, b" ", every_s=0.2)]
    clients = [LockClient(observed=Observer()) for _ in range(2)]
    answers = [client.acquire(T, SLOT, at(fake)) for client in clients]
    assert await asyncio.gather(*answers) == [LockGranted(T, SLOT)] * 2


async def test_a_server_that_hangs_is_given_up_after_the_timeout(fake: FakeFleetLock) -> None:
    fake.script += [hang(), hang(b"HTTP/1.1 200 OK\r\n")]
    for _ in range(2):
        server = replace(at(fake), timeout_s=0.5)
        unclear(await ask(server), "no answer in time", answered=False)


async def test_cancelling_closes_the_connection_and_reaps_the_child(fake: FakeFleetLock) -> None:
    observer = Observer()
    fake.script.append(hang())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(LockClient(observed=observer).acquire(T, SLOT, at(fake)))
        await fake.wait_seen(1)
        assert len(children()) == 1
        task.cancel()
    assert task.cancelled()
    assert children() == set()
    await fake.wait_closed()
    assert observer.told == [(Api.PRE_REBOOT, "client_cancelled_request")]


async def test_cancelling_at_once_leaves_nothing_behind(fake: FakeFleetLock) -> None:
    for turns in range(6):
        async with asyncio.TaskGroup() as group:
            client = LockClient(observed=Observer())
            task = group.create_task(client.acquire(T, SLOT, at(fake)))
            for _ in range(turns):
                await one_turn()
            task.cancel()
        assert children() == set()


async def one_turn() -> None:
    """Let everything that is ready run once."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


async def test_the_child_dies_with_its_parent(fake: FakeFleetLock) -> None:
    fake.script.append(hang())
    code = (
        "import asyncio, sys\n"
        "from rebootmgr.fleetlock.client import LockClient\n"
        "from rebootmgr.fleetlock.words import Server\n"
        "from rebootmgr.core.model import Slot\n"
        "client = LockClient(observed=print)\n"
        "server = Server(base_url=sys.argv[1], timeout_s=3600)\n"
        "asyncio.run(client.acquire(1, Slot('s', 'g', 'i'), server))\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, fake.url)
    await fake.wait_seen(1)
    parent.kill()
    await parent.wait()
    await fake.wait_closed()


async def test_nothing_listens(fake: FakeFleetLock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    answer = await ask(Server(base_url=f"http://127.0.0.1:{port}", timeout_s=PATIENT_S))
    unclear(answer, f"cannot connect to 127.0.0.1:{port}: ", answered=False)
    assert fake.seen == []


async def test_a_host_without_an_address_is_named() -> None:
    answer = await ask(Server(base_url="http://lock.invalid", timeout_s=PATIENT_S))
    unclear(answer, "cannot connect to lock.invalid:80: ", answered=False)


@pytest.mark.parametrize("url", ["", "ftp://lock/", "http://", "http://lock:99999", "http://[x"])
async def test_a_url_that_is_none_is_unclear_and_names_the_setting(url: str) -> None:
    unclear(await ask(Server(base_url=url, timeout_s=PATIENT_S)), "base_url", answered=False)


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("raise SystemExit(3)", "gave no answer (status 3)"),
        ("import os; os.abort()", "gave no answer (status -6)"),
        ("print('junk')", "gave no usable answer"),
        ("print('[' * 9000)", "gave no usable answer"),
        ("while True: print('x' * 9999, end='')", "gave no answer (status -9)"),
    ],
)
async def test_a_child_that_fails_is_unclear(tmp_path: Path, code: str, detail: str) -> None:
    (tmp_path / "broken_child.py").write_text(code)
    sys.path.insert(0, str(tmp_path))
    try:
        client = LockClient(observed=Observer(), child="broken_child")
        answer = await client.acquire(T, SLOT, Server(base_url="http://lock", timeout_s=PATIENT_S))
    finally:
        sys.path.remove(str(tmp_path))
    unclear(answer, f"the request process {detail}", answered=False)
    assert children() == set()


async def test_a_request_that_no_pipe_can_hold_is_unclear() -> None:
    answer = await ask(Server(base_url="http://h/" + "x" * 99_999, timeout_s=PATIENT_S))
    unclear(answer, "the request is too long", answered=False)


async def test_a_child_that_hangs_is_killed(tmp_path: Path) -> None:
    (tmp_path / "stuck_child.py").write_text("import signal\nsignal.pause()\n")
    sys.path.insert(0, str(tmp_path))
    try:
        client = LockClient(observed=Observer(), child="stuck_child", grace_s=0.2)
        answer = await client.acquire(T, SLOT, Server(base_url="http://lock", timeout_s=0.1))
    finally:
        sys.path.remove(str(tmp_path))
    unclear(answer, "no answer in time", answered=False)
    assert children() == set()


async def test_the_child_sees_of_our_environment_only_what_leads_to_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = tmp_path / "dump"
    (tmp_path / "env_child.py").write_text(
        f"import os\nopen({str(dump)!r}, 'w').write('\\n'.join(sorted(os.environ)))\n"
    )
    for name in (
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "HTTPS_PROXY",
        "CREDENTIALS_DIRECTORY",
        "all_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.syspath_prepend(tmp_path)
    client = LockClient(observed=Observer(), child="env_child")
    await client.acquire(T, SLOT, Server(base_url="http://lock", timeout_s=PATIENT_S))
    seen = set(dump.read_text().split()) - {"LC_CTYPE"}  # Python itself sets this one
    assert seen == {"HTTPS_PROXY", "PYTHONPATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "all_proxy"}


def test_the_parent_never_imports_aiohttp_nor_ssl() -> None:
    code = "import sys, rebootmgr.fleetlock.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "rebootmgr.fleetlock.client" in done.stdout.split()
    assert "aiohttp" not in done.stdout.split()


async def test_the_fake_server_is_a_program_too(tmp_path: Path) -> None:
    port, log = tmp_path / "port", tmp_path / "log"
    command = ["-m", "tests.fakes.fleetlock", "--port-file", str(port), "--log", str(log)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE)
    try:
        assert process.stdout is not None
        said = await process.stdout.readline()
        number = int(said.split()[-1])
        assert port.read_text() == f"{number}\n"
        server = Server(base_url=f"http://localhost:{number}", timeout_s=PATIENT_S)
        body = json.dumps({"group": "default", "id": "other-host"}).encode()
        await control(number, "seize", body)
        answer = await LockClient(observed=Observer()).acquire(T, SLOT, server)
        unclear(answer, "all 1 semaphore slots", answered=True)
        await control(number, "free", body)
        answer = await LockClient(observed=Observer()).acquire(T, SLOT, server)
        assert answer == LockGranted(T, SLOT)
        assert [json.loads(line)["body"] for line in log.read_text().splitlines()] == [BODY] * 2
    finally:
        process.terminate()
        await process.communicate()


async def control(port: int, verb: str, body: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /control/{verb} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    assert b" 200 " in await reader.read()
    writer.close()
    await writer.wait_closed()

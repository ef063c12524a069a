"""Credentials, certificates and proxies: used, and never shown."""

import asyncio
import base64
import json
import logging
import os
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from rebootmgr.core.counters import Api
from rebootmgr.core.events import LockAnswer, LockGranted, LockUnclear
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.request import Errand
from rebootmgr.fleetlock.secret_files import LONGEST
from rebootmgr.fleetlock.words import Server, encode_request
from tests.fakes.fleetlock import FakeFleetLock, error, hang, reply
from tests.fakes.fleetlock_tls import Certificate, HomeMade, openssl
from tests.fleetlock.lock_requests import children, unclear
from tests.waiting import PATIENT_S

T = Ticket(7)
SLOT = Slot("https://lock", "default", "node1")
SECRET = "hunter2-correct-horse"  # noqa: S105 - of nobody


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


async def ask(server: Server) -> LockAnswer:
    def ignore(api: Api, kind: str | None, seconds: float) -> None:
        pass

    return await LockClient(observed=ignore).acquire(T, SLOT, server)


async def test_a_server_of_our_own_ca_is_trusted(
    certificate: Certificate,
) -> None:
    async with FakeFleetLock(tls=certificate.context()) as fake:
        server = Server(base_url=fake.url, timeout_s=PATIENT_S, ca_file=str(certificate.cert))
        assert await ask(server) == LockGranted(T, SLOT)


async def test_an_unknown_ca_and_a_wrong_name_are_refused(certificate: Certificate) -> None:
    async with FakeFleetLock(tls=certificate.context()) as fake:
        server = Server(base_url=fake.url, timeout_s=PATIENT_S)
        unclear(await ask(server), "certificate of localhost refused: self")
        by_address = fake.url.replace("localhost", "127.0.0.1")
        server = replace(server, base_url=by_address, ca_file=str(certificate.cert))
        unclear(await ask(server), "certificate of 127.0.0.1 refused: IP address mismatch")
        assert fake.seen == []


async def test_a_client_certificate_is_shown_when_there_is_one(certificate: Certificate) -> None:
    cert, key = str(certificate.cert), str(certificate.key)
    async with FakeFleetLock(tls=certificate.context(asks_clients=True)) as fake:
        server = Server(base_url=fake.url, timeout_s=PATIENT_S, ca_file=cert)
        assert isinstance(await ask(server), LockUnclear)
        server = replace(server, client_cert_file=cert, client_key_file=key)
        assert await ask(server) == LockGranted(T, SLOT)


async def test_tls_and_plain_do_not_mix(certificate: Certificate) -> None:
    async with FakeFleetLock(tls=certificate.context()) as fake:
        plain = Server(base_url=fake.url.replace("https:", "http:"), timeout_s=PATIENT_S)
        assert isinstance(await ask(plain), LockUnclear)


async def test_a_file_that_cannot_be_used_is_named(
    fake: FakeFleetLock, tmp_path: Path, certificate: Certificate
) -> None:
    missing = str(tmp_path / "missing")
    junk = tmp_path / "junk"
    junk.write_text(f"{SECRET}\nsecond line\n")
    locked = tmp_path / "locked.pem"
    openssl(
        *("pkey", "-in", certificate.key, "-aes256", "-passout", f"pass:{SECRET}", "-out", locked)
    )
    plain = Server(base_url=fake.url, timeout_s=PATIENT_S)
    https = replace(plain, base_url=fake.url.replace("http:", "https:"))
    for server, detail in [
        (replace(plain, authorization_file=missing), f"{missing}: No such file"),
        (replace(plain, authorization_file=str(junk)), "must hold exactly one line"),
        (replace(https, ca_file=missing), f"ca_file {missing}: No such file"),
        (replace(https, ca_file=str(junk)), f"ca_file {junk}: "),
        (replace(https, client_cert_file=missing), f"client_cert_file {missing}"),
        (
            replace(https, client_cert_file=str(certificate.cert), client_key_file=str(locked)),
            f"client_key_file {locked}: ",
        ),
    ]:
        answer = await ask(server)
        unclear(answer, detail)
        assert SECRET not in repr(answer)
    assert fake.seen == []


@pytest.mark.parametrize("key", [key for key in LONGEST if "." not in key])
@pytest.mark.parametrize("kind", ["a FIFO", "a socket", "a directory", "a device", "longer"])
async def test_what_is_no_file_of_secrets_is_named_and_never_waited_for(
    fake: FakeFleetLock, tmp_path: Path, certificate: Certificate, key: str, kind: str
) -> None:
    file = tmp_path / "odd"
    linked = tmp_path / "linked"
    linked.symlink_to(file)
    with ExitStack() as stack:
        match kind:
            case "a FIFO":
                os.mkfifo(file)
            case "a socket":
                stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(file))
            case "a directory":
                file.mkdir()
            case "a device":
                file.symlink_to("/dev/zero")
            case _:
                file.write_text("x" * (LONGEST[key] + 1))
        url = fake.url if key == "authorization_file" else fake.url.replace("http:", "https:")
        files = {"client_cert_file": str(certificate.cert), key: str(linked)}
        answer = await ask(Server(base_url=url, timeout_s=PATIENT_S, **files))
    assert isinstance(answer, LockUnclear)
    assert answer.detail.startswith(f"{key} {linked}: is {kind}")
    assert "write " in answer.detail or "has to hold" in answer.detail
    assert fake.seen == []


async def test_the_longest_secret_is_sent_whole(fake: FakeFleetLock, tmp_path: Path) -> None:
    file = tmp_path / "authorization"
    longest = "Bearer " + "x" * (7 * 1024)
    file.write_text(longest + "\n")
    server = Server(base_url=fake.url, timeout_s=PATIENT_S, authorization_file=str(file))
    assert await ask(server) == LockGranted(T, SLOT)
    assert fake.seen[0].headers["authorization"] == longest


async def test_a_secret_of_kubernetes_is_a_link_to_a_link(
    fake: FakeFleetLock, tmp_path: Path
) -> None:
    data = tmp_path / "..2026_03_01"
    data.mkdir()
    (data / "token").write_text("Bearer of-the-pod")
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "token").symlink_to("..data/token")
    file = str(tmp_path / "token")
    server = Server(base_url=fake.url, timeout_s=PATIENT_S, authorization_file=file)
    assert await ask(server) == LockGranted(T, SLOT)
    assert fake.seen[0].headers["authorization"] == "Bearer of-the-pod"


async def test_a_home_made_ca_is_trusted_where_python_would_be_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 3.13 on ssl.create_default_context() is strict; here it is made so on any Python."""
    (tmp_path / "strict_child.py").write_text(
        "import ssl\n"
        "made = ssl.create_default_context\n"
        "def strict(*given, **more):\n"
        "    context = made(*given, **more)\n"
        "    context.verify_flags |= ssl.VERIFY_X509_STRICT\n"
        "    return context\n"
        "ssl.create_default_context = strict\n"
        "from rebootmgr.fleetlock.request import main\n"
        "main()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    home_made = HomeMade.make(tmp_path)
    async with FakeFleetLock(tls=home_made.server.context()) as fake:
        server = Server(base_url=fake.url, timeout_s=PATIENT_S, ca_file=str(home_made.ca))
        client = LockClient(observed=lambda *_: None, child="strict_child")
        assert await client.acquire(T, SLOT, server) == LockGranted(T, SLOT)


async def test_the_authorization_file_is_read_for_each_request(
    fake: FakeFleetLock, tmp_path: Path
) -> None:
    file = tmp_path / "authorization"
    server = Server(base_url=fake.url, timeout_s=PATIENT_S, authorization_file=str(file))
    for word in ("one", "two"):
        file.write_text(f"Bearer {word}\n")
        await ask(server)
    assert [s.headers["authorization"] for s in fake.seen] == ["Bearer one", "Bearer two"]


async def test_a_systemd_credential_is_a_file_like_any_other(
    fake: FakeFleetLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As systemd.exec(5) makes it: read-only, in a directory that only the service may enter."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    credential = folder / "fleetlock"
    credential.write_text("Bearer from-systemd")
    credential.chmod(0o400)
    folder.chmod(0o500)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    try:
        server = Server(base_url=fake.url, timeout_s=PATIENT_S, authorization_file=str(credential))
        assert await ask(server) == LockGranted(T, SLOT)
    finally:
        folder.chmod(0o700)
    assert fake.seen[0].headers["authorization"] == "Bearer from-systemd"


async def test_the_authorization_file_beats_the_userinfo(
    fake: FakeFleetLock, tmp_path: Path
) -> None:
    file = tmp_path / "authorization"
    file.write_text("Bearer one")
    url = fake.url.replace("//", f"//user:{SECRET}@")
    await ask(Server(base_url=url, timeout_s=PATIENT_S, authorization_file=str(file)))
    assert fake.seen[0].headers["authorization"] == "Bearer one"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Bearer ab/cd+ef==", ["ab/cd+ef=="]),
        ("token-without-a-scheme", ["token-without-a-scheme"]),
        ('Digest username="n", response="c0ffee"', ['username="n", response="c0ffee"']),
        (basic('node:a"b\\c/d'), ['a"b\\c/d', 'node:a"b\\c/d']),
        (basic("ghp_token:"), ["ghp_token"]),
        ("Basic !!!", ["!!!"]),
    ],
)
async def test_what_a_server_echoes_of_a_secret_is_struck_out(
    fake: FakeFleetLock, tmp_path: Path, header: str, words: list[str]
) -> None:
    file = tmp_path / "authorization"
    file.write_text(header)
    server = Server(base_url=fake.url, timeout_s=PATIENT_S, authorization_file=str(file))
    value = " ".join(["you said", header, *words])
    php = json.dumps({"kind": "no", "value": value}).replace("/", r"\/")
    for script in (error(403, "no", value), reply(403, php), reply(403, value)):
        fake.script.append(script)
        answer = await ask(server)
        assert isinstance(answer, LockUnclear)
        assert "you said ***" in answer.detail
        assert not [word for word in (header, *words) if word in answer.detail]


async def test_userinfo_becomes_basic_authorization(fake: FakeFleetLock) -> None:
    url = fake.url.replace("//", f"//user%40corp:{SECRET}%3A@")
    assert await ask(Server(base_url=url, timeout_s=PATIENT_S)) == LockGranted(T, SLOT)
    scheme, _, pair = fake.seen[0].headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", f"user@corp:{SECRET}:".encode())
    assert fake.seen[0].headers["host"] == f"localhost:{fake.port}"


def order(server: Server) -> Errand:
    """What the child is told of the server."""
    line = encode_request(Api.PRE_REBOOT, SLOT, server, timeout_s=1)
    return Errand(**json.loads(line))


async def test_a_secret_is_in_no_log_answer_argument_or_environment(
    fake: FakeFleetLock, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    token = tmp_path / "token"
    token.write_text(f"Bearer {SECRET}")
    by_url = Server(base_url=fake.url.replace("//", f"//user:{SECRET}@"), timeout_s=PATIENT_S)
    by_file = Server(base_url=fake.url, timeout_s=PATIENT_S, authorization_file=str(token))
    shown = [repr(by_url), by_url.public_url, str(by_file), repr(order(by_url))]
    basic = base64.b64encode(f"user:{SECRET}".encode()).decode()
    for server, value in ((by_url, f"Basic {basic}"), (by_file, f"Bearer {SECRET}")):
        for script in (
            reply(401, f"you sent {value}, that is {value.split()[1]} of {SECRET}"),
            reply(302, location=f"http://{SECRET}@elsewhere/"),
        ):
            fake.script.append(script)
            shown.append(repr(await ask(server)))
        looked = asyncio.Event()
        fake.script += [reply(503, gate=looked), hang()]
        number = len(fake.seen)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ask(server))
            await fake.wait_seen(number + 1)
            (child,) = children()
            shown.append(_process(child))
            looked.set()
        shown.append(repr(task.result()))
        shown.append(repr(await ask(replace(server, timeout_s=1))))
        gone = replace(server, base_url=server.base_url.replace("localhost", "lock.invalid"))
        shown.append(repr(await ask(gone)))
        gone = replace(server, base_url=server.base_url.replace("http:", "nonsense:"))
        shown.append(repr(await ask(gone)))
    for text in (*shown, caplog.text):
        assert SECRET not in text
        assert basic not in text
    assert caplog.text.count("check group, node_uuid and credentials") == 2


async def test_a_configuration_problem_is_logged_once_until_it_is_cured(
    fake: FakeFleetLock, caplog: pytest.LogCaptureFixture
) -> None:
    def ignore(api: Api, kind: str | None, seconds: float) -> None:
        pass

    client = LockClient(observed=ignore)
    server = Server(base_url=fake.url, timeout_s=PATIENT_S)
    for status in (401, 403, 200, 400):
        fake.script.append(reply(status))
        await client.acquire(T, SLOT, server)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def _process(pid: int) -> str:
    folder = Path(f"/proc/{pid}")
    return (folder / "cmdline").read_text() + (folder / "environ").read_text()

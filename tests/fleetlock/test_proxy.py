"""HTTPS_PROXY and NO_PROXY, as every other program of the host understands them."""

import asyncio
import base64
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from rebootmgr.core.events import LockAnswer, LockGranted, LockUnclear
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.fleetlock.client import FleetLock
from rebootmgr.fleetlock.words import Server
from tests.adapters.patience import PATIENT_S
from tests.fakes.fleetlock import FakeFleetLock, reply
from tests.fakes.fleetlock_tls import Certificate
from tests.fakes.fleetlock_wire import Seen, read_request

T = Ticket(7)
SLOT = Slot("https://lock", "default", "node1")
SECRET = "hunter2-correct-horse"  # noqa: S105 - of nobody


class Tunnel:
    """A proxy that knows CONNECT and leads everybody to `port`, whatever name they ask for."""

    def __init__(self, port: int, *, answer: bytes = b"200 Connection established") -> None:
        self.seen: list[Seen] = []
        self._port = port
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.authority = f"localhost:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, what: BaseException | None, _: TracebackType | None
    ) -> None:
        self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 " + self._answer + b"\r\nContent-Length: 0\r\n\r\n")
        if self._answer.startswith(b"200"):
            back, forth = await asyncio.open_connection("127.0.0.1", self._port)
            async with asyncio.TaskGroup() as group:
                group.create_task(pour(reader, forth))
                group.create_task(pour(back, writer))
        writer.close()


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on bytes until either end goes."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def ask(server: Server) -> LockAnswer:
    return await FleetLock(observed=lambda *_: None).acquire(T, SLOT, server)


@pytest.fixture(autouse=True)
def no_proxies_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_https_goes_through_the_tunnel_and_the_certificate_is_the_servers(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    async with (
        FakeFleetLock(tls=certificate.context()) as fake,
        Tunnel(fake.port) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.authority}")
        server = Server(base_url=fake.url, timeout_s=PATIENT_S, ca_file=str(certificate.cert))
        assert await ask(server) == LockGranted(T, SLOT)
        (connect,) = proxy.seen
        assert (connect.method, connect.target) == ("CONNECT", f"localhost:{fake.port}")
        assert fake.seen[0].target == "/v1/pre-reboot"
        elsewhere = Server(
            base_url="https://lock.invalid", timeout_s=PATIENT_S, ca_file=str(certificate.cert)
        )
        answer = await ask(elsewhere)
        assert isinstance(answer, LockUnclear)
        assert answer.detail.startswith("certificate of lock.invalid refused: Hostname mismatch")
        assert len(fake.seen) == 1


async def test_our_credentials_are_not_for_the_proxy_nor_the_proxys_for_the_server(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    async with (
        FakeFleetLock(tls=certificate.context()) as fake,
        Tunnel(fake.port) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"http://squid:proxy-pass@{proxy.authority}")
        url = fake.url.replace("//", f"//node:{SECRET}@")
        server = Server(base_url=url, timeout_s=PATIENT_S, ca_file=str(certificate.cert))
        assert await ask(server) == LockGranted(T, SLOT)
    pair = base64.b64encode(b"squid:proxy-pass").decode()
    assert proxy.seen[0].headers["proxy-authorization"] == f"Basic {pair}"
    assert "authorization" not in proxy.seen[0].headers
    assert "proxy-authorization" not in fake.seen[0].headers
    pair = base64.b64encode(f"node:{SECRET}".encode()).decode()
    assert fake.seen[0].headers["authorization"] == f"Basic {pair}"


async def test_a_proxy_that_refuses_or_is_gone_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(base_url=f"https://node:{SECRET}@lock.invalid", timeout_s=PATIENT_S)
    async with Tunnel(0, answer=b"407 Proxy Authentication Required") as proxy:
        monkeypatch.setenv("https_proxy", f"http://squid:proxy-pass@{proxy.authority}")
        refused = await ask(server)
    gone = await ask(server)
    assert isinstance(refused, LockUnclear)
    assert "the proxy refused (407)" in refused.detail
    assert isinstance(gone, LockUnclear)
    assert f"cannot connect to {proxy.authority}" in gone.detail
    for answer in (refused, gone):
        assert not answer.answered
        assert SECRET not in answer.detail
        assert "proxy-pass" not in answer.detail


async def test_plain_http_goes_through_its_proxy_in_absolute_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeFleetLock() as fake:
        monkeypatch.setenv("http_proxy", fake.url)
        server = Server(base_url="http://lock.invalid/b", timeout_s=PATIENT_S)
        assert await ask(server) == LockGranted(T, SLOT)
        assert fake.seen[0].target == "http://lock.invalid/b/v1/pre-reboot"
        fake.script.append(reply(502))
        bad_gateway = await ask(server)
        assert isinstance(bad_gateway, LockUnclear)
        assert bad_gateway.answered


@pytest.mark.parametrize("exempt", ["lock.invalid", ".invalid", "other.example, lock.invalid", "*"])
async def test_no_proxy_exempts_hosts(monkeypatch: pytest.MonkeyPatch, exempt: str) -> None:
    async with FakeFleetLock() as fake:
        monkeypatch.setenv("http_proxy", fake.url)
        monkeypatch.setenv("NO_PROXY", exempt)
        answer = await ask(Server(base_url="http://lock.invalid/b", timeout_s=PATIENT_S))
        assert isinstance(answer, LockUnclear)
        assert "cannot connect to lock.invalid:80" in answer.detail
        assert fake.seen == []


async def test_an_https_proxy_is_not_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeFleetLock() as fake:
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        assert await ask(Server(base_url=fake.url, timeout_s=PATIENT_S)) == LockGranted(T, SLOT)


async def test_no_netrc_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"machine localhost login node password {SECRET}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with FakeFleetLock() as fake:
        await ask(Server(base_url=fake.url, timeout_s=PATIENT_S))
    assert "authorization" not in fake.seen[0].headers

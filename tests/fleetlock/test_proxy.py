"""HTTPS_PROXY and NO_PROXY, as every other program of the host understands them."""

import base64
from pathlib import Path

import pytest

from rebootmgr.core.events import LockAnswer, LockGranted, LockUnclear
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.words import Server
from tests.fakes.fleetlock import FakeFleetLock, error
from tests.fakes.fleetlock_tls import Certificate, openssl
from tests.fakes.forward_proxy import ForwardProxy
from tests.waiting import PATIENT_S

T = Ticket(7)
SLOT = Slot("https://lock", "default", "node1")
SECRET = "hunter2-correct-horse"  # noqa: S105 - of nobody


async def ask(server: Server) -> LockAnswer:
    return await LockClient(observed=lambda *_: None).acquire(T, SLOT, server)


@pytest.fixture(autouse=True)
def no_proxies_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_https_goes_through_the_tunnel_and_the_certificate_is_the_servers(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    async with (
        FakeFleetLock(tls=certificate.context()) as fake,
        ForwardProxy({"localhost": fake.port, "lock.invalid": fake.port}) as proxy,
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
        ForwardProxy({"localhost": fake.port, "lock.invalid": fake.port}) as proxy,
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
    async with ForwardProxy(pair="squid:another") as proxy:
        monkeypatch.setenv("https_proxy", f"http://squid:proxy-pass@{proxy.authority}")
        refused = await ask(server)
    gone = await ask(server)
    assert isinstance(refused, LockUnclear)
    name = f"the proxy {proxy.authority} (https_proxy)"
    assert refused.detail == f"{name} refused to connect us (HTTP 407)"
    assert isinstance(gone, LockUnclear)
    assert gone.detail.startswith(f"cannot connect to {name}: ")
    for answer in (refused, gone):
        assert not answer.answered
        assert SECRET not in answer.detail
        assert "proxy-pass" not in answer.detail


async def test_plain_http_goes_through_its_proxy_in_absolute_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        FakeFleetLock() as fake,
        ForwardProxy({"lock.invalid": fake.port}, pair="squid:proxy-pass") as proxy,
    ):
        monkeypatch.setenv("ALL_PROXY", f"squid:proxy-pass@{proxy.authority}")
        fake.base = "/b"
        server = Server(base_url="http://lock.invalid/b", timeout_s=PATIENT_S)
        assert await ask(server) == LockGranted(T, SLOT)
        assert proxy.seen[0].target == "http://lock.invalid/b/v1/pre-reboot"
        assert "proxy-authorization" not in fake.seen[0].headers
        fake.script.append(error(500, "failed_lock", "full"))
        refused = await ask(server)
        assert isinstance(refused, LockUnclear)
        assert refused.detail == "HTTP 500 failed_lock: full", "the server's own word"


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_what_a_proxy_answers_in_the_servers_place_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    refusal = f"HTTP/1.1 {status} No\r\nContent-Length: 6\r\n\r\n<html>".encode()
    async with ForwardProxy(refusal=refusal) as proxy:
        monkeypatch.setenv("http_proxy", f"http://squid:proxy-pass@{proxy.authority}")
        answer = await ask(Server(base_url="http://lock.invalid", timeout_s=PATIENT_S))
    assert isinstance(answer, LockUnclear)
    assert answer.detail.endswith(f" through the proxy {proxy.authority} (http_proxy)")
    assert not answer.refused


@pytest.mark.parametrize("kind", ["socks5", "socks5h", "socks4", "https"])
async def test_a_proxy_of_a_kind_that_we_cannot_speak_to_is_not_passed_by(
    fake: FakeFleetLock, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("all_proxy", f"{kind}://squid:proxy-pass@127.0.0.1:9")
    answer = await ask(Server(base_url=fake.url, timeout_s=PATIENT_S))
    assert isinstance(answer, LockUnclear)
    assert answer.detail.startswith(f"all_proxy names a proxy of the kind {kind}, which cannot")
    assert "proxy-pass" not in answer.detail
    assert fake.seen == []
    monkeypatch.setenv("no_proxy", "localhost")
    assert await ask(Server(base_url=fake.url, timeout_s=PATIENT_S)) == LockGranted(T, SLOT)


async def test_a_proxy_for_http_in_capitals_is_not_used_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    answer = await ask(Server(base_url="http://lock.invalid", timeout_s=PATIENT_S))
    assert isinstance(answer, LockUnclear)
    assert "HTTP_PROXY is not used, as by curl: set http_proxy" in answer.detail


async def test_the_environment_may_name_the_trusted_certificates(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate, tmp_path: Path
) -> None:
    async with FakeFleetLock(tls=certificate.context()) as fake:
        server = Server(base_url=fake.url, timeout_s=PATIENT_S)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert))
        assert await ask(server) == LockGranted(T, SLOT)
        monkeypatch.delenv("SSL_CERT_FILE")
        openssl("rehash", _folder_of(certificate, tmp_path))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certs"))
        assert await ask(server) == LockGranted(T, SLOT)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
        answer = await ask(server)
        assert isinstance(answer, LockUnclear)
        assert answer.detail.startswith(f"SSL_CERT_FILE {tmp_path}/missing: No such file")


def _folder_of(certificate: Certificate, tmp_path: Path) -> Path:
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "ours.pem").write_bytes(certificate.cert.read_bytes())
    return folder


@pytest.mark.parametrize(
    "exempt", ["lock.invalid", ".invalid", "other.example, lock.invalid", "*", "*.invalid"]
)
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

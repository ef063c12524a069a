"""`fleet … --url`: what people see of a real lock server elsewhere, and what may stand there."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rebootmgr.cli.lock_server_verbs import MOST_AFAR as ASKED_FOR
from rebootmgr.config.base_url import is_in_clear
from rebootmgr.lockd.http.pages import MOST_ROWS
from tests.cli.client import ctl
from tests.fakes.fleetlock_tls import Certificate
from tests.lockd.program import PRE_REBOOT, kept_alive, question, serving

TOKEN = "Bearer hunter2-of-the-fleet"  # noqa: S105
GUARDED = """
[server]
authorization_file = "/tokens"
tls_cert_file = "/cert.pem"
tls_key_file = "/key.pem"
"""
LOCKD = b"Rebootmgr-Lockd: 1\r\nConnection: close\r\n"


async def refused(root: Path, *line: str, status: int = 1) -> str:
    """What a call that does not succeed has to say: one line."""
    done, out, err = await ctl(root, "fleet", *line)
    assert (done, out) == (status, ""), err
    assert err.count("\n") == 1
    assert "hunter" not in err
    return err.removeprefix("rebootmgrctl: ").rstrip()


def file_of(root: Path, text: str, name: str = "token") -> str:
    (root / name).write_text(text)
    return str(root / name)


def here(root: Path) -> Path:
    """Another host than the server's: nothing of it is below this root."""
    (root / "elsewhere").mkdir()
    return root / "elsewhere"


def configure(root: Path, text: str) -> None:
    folder = root / "etc/rebootmgr/config.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "50-test.toml").write_text(f"[updates.fleet_lock]\n{text}\n")


async def test_over_tcp_people_see_what_they_see_on_the_servers_host(tmp_path: Path) -> None:
    root = here(tmp_path)
    async with serving(tmp_path) as server:
        at = ("--url", f"http://127.0.0.1:{server.port}/")
        assert (await server.ask("h1", headers={"Rebootmgr-Host": "worker-1"})).status == 200
        assert (await server.ask("h2")).status == 423
        for line, words in (
            (("status",), ("group default: 1 of 1 slot lent, 1 host waits\n", "worker-1", "h2")),
            (("holders", "default"), ("* worker-1", "h1")),
            (("waiting",), ("- h2", "number 1, since")),
            (("history", "-n", "9"), ("default: worker-1 got a slot\n",)),
        ):
            for status, out, err in (
                await ctl(tmp_path, "fleet", *line),
                await ctl(root, "fleet", *line, *at),
            ):
                assert (status, err) == (0, "")
                assert [word for word in words if word not in out] == []
        status, out, err = await ctl(root, "fleet", "history", "-n", "1", "--json", *at)
        assert (status, err) == (0, "")
        assert [one["id"] for one in json.loads(out)["history"]] == ["h1"]
        why = await refused(root, "status", "db", *at)
        assert why.endswith(": there is no such group, the configuration has default")


async def test_with_tls_and_tokens_who_has_one_may_look_and_nobody_is_shown_it(
    tmp_path: Path, certificate: Certificate
) -> None:
    root = here(tmp_path)
    file_of(tmp_path, f"another\n{TOKEN}\n", "tokens")
    file_of(tmp_path, certificate.cert.read_text(), "cert.pem")
    file_of(tmp_path, certificate.key.read_text(), "key.pem")
    ours = file_of(tmp_path, f"{TOKEN}\n")
    wrong = file_of(tmp_path, "Bearer hunter3\n", "wrong")
    async with serving(tmp_path, GUARDED) as server:
        url = f"https://localhost:{server.port}"
        at = ("status", "--url", url)
        why = await refused(root, *at, "--authorization-file", ours)
        assert why.startswith(f"{url}: certificate of localhost refused: self")
        assert "let SSL_CERT_FILE or updates.fleet_lock.ca_file name the CA" in why
        configure(root, f'ca_file = "{certificate.cert}"')
        status, out, err = await ctl(root, "fleet", *at, "--authorization-file", ours)
        assert (status, err) == (0, "")
        assert out.startswith("group default: 0 of 1 slot lent")
        why = await refused(root, *at)
        denied = f"{url}: the Authorization header is missing or not accepted: "
        assert why.startswith(f"{denied}give --authorization-file FILE, in which is a line of")
        why = await refused(root, *at, "--authorization-file", wrong)
        assert why.startswith(f"{denied}{wrong} has to hold a line of")
        why = await refused(root, *at, "--authorization-file", f"{wrong}er")
        assert why.startswith(f"{url}: authorization_file {wrong}er: No such file or directory; ")
        assert "another file with --authorization-file" in why
        other_name = f"https://127.0.0.1:{server.port}"
        why = await refused(root, "status", "--url", other_name, "--authorization-file", ours)
        assert "write the name that the certificate has" in why
        configure(
            root,
            f'base_url = "{url}"\nca_file = "{certificate.cert}"\nauthorization_file = "{ours}"',
        )
        assert (await ctl(root, "fleet", *at))[0] == 0, "with what the agent has for this server"
        assert "hunter" not in server.log


async def test_a_token_goes_over_plain_http_beyond_this_host_only_if_that_is_asked_for(
    tmp_path: Path,
) -> None:
    """192.0.2.1 is nobody's (RFC 5737)."""
    root = here(tmp_path)
    ours = file_of(tmp_path, f"{TOKEN}\n")
    file_of(tmp_path, f"{TOKEN}\n", "tokens")
    url = "http://192.0.2.1:9"
    at = ("status", "--url", url)
    why = (
        f"{url}: everybody on the way would read the credentials, which plain http does not hide;"
        " write https, or give --plain-http"
    )
    assert await refused(root, *at, "--authorization-file", ours, status=2) == why
    with_password = ("status", "--url", "http://me:hunter2@192.0.2.1:9")
    assert await refused(root, *with_password, status=2) == why
    configure(root, f'base_url = "{url}"\nauthorization_file = "{ours}"')
    assert await refused(root, *at, status=2) == why, "with what the agent has for this server"
    configure(root, "")
    async with serving(tmp_path, '[server]\nauthorization_file = "/tokens"\n') as server:
        here_too = ("--url", f"http://localhost:{server.port}", "--authorization-file", ours)
        status, _, err = await ctl(root, "fleet", "status", *here_too)
        assert (status, err) == (0, "")
        for line in (("status", *here_too, "--plain-http"), ("status", "--plain-http")):
            status, _, err = await ctl(root, "fleet", *line)
            assert (status, "--plain-http goes with --url" in err) in {(0, False), (2, True)}


def test_what_goes_in_clear_is_what_leaves_this_host_over_http() -> None:
    for url in ("http://a", "http://192.0.2.1:1", "http://[2001:db8::1]/x", "http://localhost.x"):
        assert is_in_clear(url), url
    for url in ("https://a", "http://127.8.9.1:1", "http://[::1]/x", "http://me:x@localhost:1/y"):
        assert not is_in_clear(url), url


async def test_over_tcp_nothing_is_changed_and_people_hear_where_it_is(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        at = ("--url", f"http://127.0.0.1:{server.port}")
        for line in (
            ("release", "h1"),
            ("slots", "default", "2"),
            ("freeze", "--reason", "x", "--forever"),
            ("thaw",),
            ("resume", "default"),
            ("backup", str(tmp_path / "copy")),
        ):
            why = await refused(tmp_path, *line, *at, status=2)
            assert why.startswith(f"{line[0]} takes no --url: over TCP nothing can be changed")
            assert "on the server's host, where it goes over the server's socket" in why
        assert await ctl(tmp_path, "fleet", "history") == (0, "nothing happened yet\n", "")


async def test_a_list_that_is_cut_off_over_tcp_says_so(tmp_path: Path) -> None:
    assert ASKED_FOR == MOST_ROWS
    async with serving(tmp_path) as server:
        at = ("--url", f"http://127.0.0.1:{server.port}")
        line = await server.connect()
        for number in range(MOST_ROWS + 3):
            line.writer.write(kept_alive(PRE_REBOOT, question(f"h{number}")))
            assert (await line.next_answer()).status in {200, 423}
        line.writer.close()
        status, out, err = await ctl(tmp_path, "fleet", "waiting", "--json", *at)
        assert (status, len(json.loads(out)["waiting"])) == (0, MOST_ROWS)
        assert "group default: 1000 are listed, 2 hosts more: over TCP no more are told" in err
        why = await refused(tmp_path, "history", "-n", "1001", *at, status=2)
        assert "over TCP 1000 are told at most; ask for more on the server's host" in why


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (("--url", "lock.example"), "--url is no http or https URL with a host; write https://"),
        (("--url", "https://user:hunter2@h:x"), "--url is no URL; write https://"),
        (("--url", "https://${group}.example"), "--url has a variable; write the value itself"),
        (("--authorization-file", "token"), "--authorization-file goes with --url: the socket"),
    ],
)
async def test_what_is_no_way_to_a_server_is_usage(
    tmp_path: Path, line: tuple[str, ...], why: str
) -> None:
    assert (await refused(tmp_path, "status", *line, status=2)).startswith(why)


@dataclass
class Something:
    """What may stand at a URL, and what it was asked."""

    url: str
    heads: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Something]:
    """Say the same to everybody."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.heads.append(await reader.readuntil(b"\r\n\r\n"))
        try:
            writer.write(answer)
            await writer.drain()
        except ConnectionError:
            pass  # it has heard enough
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    found = Something(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        yield found


OK = b"HTTP/1.1 200 OK\r\n"
DEEP = b'{"groups":[' + b"[" * 5000 + b"]" * 5000 + b"]}"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "the server closed the connection without an answer; check the URL"),
        (b"SSH-2.0-OpenSSH\r\n", "no usable HTTP answer"),
        (OK + b"Connection: close\r\n\r\n{}", "HTTP 200 is no answer of a rebootmgr-lockd; check"),
        (b"HTTP/1.1 502 Bad\r\n\r\n", "HTTP 502 is no answer of a rebootmgr-lockd; check the URL"),
        (b"HTTP/1.1 301 M\r\nLocation: https://x/\r\n\r\n", "HTTP 301: redirects are not followed"),
        (OK + LOCKD + b"\r\n<html>", "no usable answer (no JSON)"),
        (OK + LOCKD + b"\r\n[]", "no usable answer (no groups in it)"),
        (OK + LOCKD + b'\r\n{"groups": 1}', "no usable answer (no groups in it)"),
        (OK + LOCKD + b"\r\n" + DEEP, "no usable answer (no "),
        (OK + LOCKD + b'\r\n{"groups": [], "x": 1e999}', "no usable answer (no JSON)"),
        (OK + LOCKD + b"Content-Length: 900\r\n\r\n{}", "the server broke its answer off"),
        (OK + LOCKD + b"\r\n" + b"\xff" * (2**23 + 1), "the answer is longer than 8 MiB"),
        (OK + LOCKD + b"\r\n" + b"\xff" * 2**23, "no usable answer (no JSON)"),
        (b"HTTP/1.1 503 No\r\n" + LOCKD + b'\r\n{"kind":"x","value":"a\x1b[2Jb"}', "HTTP 503"),
    ],
)
async def test_whatever_stands_at_the_url_breaks_nothing_and_is_told_apart(
    tmp_path: Path, answer: bytes, why: str
) -> None:
    async with answering(answer) as found:
        told = await refused(tmp_path, "status", "--url", found.url)
    assert told.startswith(f"{found.url}: {why}")
    assert "\x1b" not in told


async def test_a_server_that_gives_the_token_back_does_not_have_it_shown(tmp_path: Path) -> None:
    said = b'{"kind":"x","value":"you are ' + TOKEN.encode() + b'"}'
    root = here(tmp_path)
    token = file_of(tmp_path, TOKEN)
    async with answering(b"HTTP/1.1 403 No\r\n" + LOCKD + b"\r\n" + said) as found:
        why = await refused(root, "status", "--url", found.url, "--authorization-file", token)
        assert why == f"{found.url}: you are ***"
        by_url = found.url.replace("//", f"//me:{TOKEN.replace(' ', '%20')}@")
        assert await refused(root, "status", "--url", by_url) == f"{found.url}: you are ***"
    assert found.heads[0].startswith(b"GET /api/v1/status HTTP/1.1\r\n")
    assert f"Authorization: {TOKEN}\r\n".encode() in found.heads[0]


async def test_what_is_configured_for_one_server_is_not_sent_to_another(tmp_path: Path) -> None:
    root = here(tmp_path)
    token = file_of(tmp_path, TOKEN)
    async with answering(OK + LOCKD + b'\r\n{"groups": []}') as found:
        configure(root, f'base_url = "https://lock.example"\nauthorization_file = "{token}"')
        assert await ctl(root, "fleet", "status", "--url", found.url) == (0, "", "")
    assert b"uthorization" not in found.heads[0]


async def test_where_nothing_listens_people_hear_what_to_check(tmp_path: Path) -> None:
    async with answering(b"") as found:
        pass
    why = await refused(tmp_path, "status", "--url", found.url)
    port = found.url.rpartition(":")[2]
    assert why.startswith(f"{found.url}: cannot connect to 127.0.0.1:{port}: Connect")
    assert why.endswith("check the URL, and that rebootmgr-lockd listens there (server.listen)")

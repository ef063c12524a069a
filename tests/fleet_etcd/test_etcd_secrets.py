"""A real etcd that speaks TLS only, wants a certificate, and has users; and one without room."""

import asyncio
import json
import os
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from rebootmgr.lockd.stores.etcd_secrets import watch_login, watch_trust
from rebootmgr.lockd.stores.gateway import EtcdGateway
from rebootmgr.lockd.stores.keeper import StoreError
from rebootmgr.lockd_config.wanted import StoreWanted
from tests.fakes.etcd import find_etcd
from tests.fakes.fleetlock_tls import Certificate
from tests.lockd.program import Server, free_socket, serving

PASSWORD = "pass:word"  # noqa: S105 - of a test
ROOM = 4 * 1024 * 1024

pytestmark = pytest.mark.skipif(
    not find_etcd(), reason="THERE IS NO ETCD, SO ITS SECRETS WERE NOT TESTED (packaging/prepare)"
)


@dataclass
class Alone:
    """One member of a cluster of one."""

    url: str
    gateway: EtcdGateway

    async def call(self, what: str, **asked: object) -> object:
        return await self.gateway.call(what, asked, repeatable=True)


@asynccontextmanager
async def one_member(
    home: Path, store: StoreWanted, *options: str, scheme: str = "http"
) -> AsyncIterator[Alone]:
    with free_socket() as first, free_socket() as second:
        client, peer = (one.getsockname()[1] for one in (first, second))
    url, peer_url = f"{scheme}://localhost:{client}", f"http://127.0.0.1:{peer}"
    with (home / "etcd.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - it does not wait
            [
                *("setpriv", "--pdeathsig", "KILL", find_etcd()),
                *("--name", "m", "--data-dir", str(home / "etcd")),
                *("--listen-client-urls", f"{scheme}://127.0.0.1:{client}"),
                *("--advertise-client-urls", url, "--listen-peer-urls", peer_url),
                *("--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"m={peer_url}"),
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"]},
        )
    wanted = StoreWanted(
        etcd_endpoints=(url,),
        etcd_ca_file=store.etcd_ca_file,
        etcd_client_cert_file=store.etcd_client_cert_file,
        etcd_client_key_file=store.etcd_client_key_file,
    )
    member = Alone(url, EtcdGateway((url,), watch_trust(wanted), watch_login(wanted)))
    try:
        while True:
            with suppress(StoreError):
                await member.call("maintenance/status")
                break
            await asyncio.to_thread(int)
        yield member
    finally:
        await member.gateway.close()
        process.kill()
        process.wait()


async def until_ready(server: Server) -> None:
    while (await server.get("/readyz")).status != 200:
        pass


async def until_said(server: Server, holds: bytes) -> bytes:
    while holds not in (body := (await server.get("/readyz")).body):
        pass
    return body


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def in_base64(text: str) -> str:
    return b64encode(text.encode()).decode()


async def fill(etcd: Alone) -> None:
    for number in count():
        key, value = in_base64(f"junk{number}"), in_base64("x" * 512 * 1024)
        await etcd.call("kv/put", key=key, value=value)


async def test_it_is_reached_by_tls_with_a_certificate_and_a_password(tmp_path: Path) -> None:
    made, ours = Certificate.make(tmp_path), Certificate.make(_made(tmp_path / "ours"), "/O=lockd")
    named = Certificate.make(_made(tmp_path / "named"))
    trusted = tmp_path / "trusted.pem"
    trusted.write_text("".join(one.cert.read_text() for one in (made, ours, named)))
    store = StoreWanted(
        etcd_ca_file=str(made.cert),
        etcd_client_cert_file=str(ours.cert),
        etcd_client_key_file=str(ours.key),
    )
    tls = ("--cert-file", str(made.cert), "--key-file", str(made.key))
    clients = ("--client-cert-auth", "--trusted-ca-file", str(trusted))
    async with one_member(tmp_path, store, *tls, *clients, scheme="https") as etcd:
        await etcd.call("auth/user/add", name="root", password=PASSWORD)
        await etcd.call("auth/role/add", name="root")
        await etcd.call("auth/user/grant", user="root", role="root")
        await etcd.call("auth/user/add", name="lockd", password=PASSWORD)
        await etcd.call("auth/role/add", name="lockd")
        await etcd.call("auth/user/grant", user="lockd", role="lockd")
        prefix, end = in_base64("/rebootmgr-lockd/"), in_base64("/rebootmgr-lockd0")
        permission = {"permType": "READWRITE", "key": prefix, "range_end": end}
        await etcd.call("auth/role/grant", name="lockd", perm=permission)
        await etcd.call("auth/enable")
        root = tmp_path / "root"
        etc = _made(root / "etc")
        (etc / "ca.pem").write_bytes(made.cert.read_bytes())
        (etc / "cert.pem").write_bytes(named.cert.read_bytes() + named.key.read_bytes())
        (etc / "login").write_text("lockd:wrong\n")
        text = (
            f'[store]\nkind = "etcd"\netcd_endpoints = {json.dumps([etcd.url])}\n'
            'etcd_ca_file = "/etc/ca.pem"\netcd_client_cert_file = "/etc/cert.pem"\n'
            'etcd_credentials_file = "/etc/login"\n'
        )
        async with serving(root, text) as server:
            await until_said(server, b"to have no CommonName in its subject")
            (etc / "cert.pem").write_bytes(ours.cert.read_bytes() + ours.key.read_bytes())
            body = await until_said(server, b"correct the file of store.etcd_credentials_file")
            assert b"wrong" not in body
            (etc / "login").write_text(f"lockd:{PASSWORD}\n")  # is read again
            await until_ready(server)
            assert (await server.ask("h1")).status == 200
            assert (await server.ask("h2")).status == 423
            assert (await server.give_back("h1")).status == 200
        async with serving(root, text + 'etcd_prefix = "/other/"\n') as server:
            await until_said(server, b"give its user the permission readwrite below")


async def test_a_certificate_of_another_ca_is_not_trusted(tmp_path: Path) -> None:
    made = Certificate.make(tmp_path)
    (tmp_path / "other").mkdir()
    other = Certificate.make(tmp_path / "other")
    store = StoreWanted(etcd_ca_file=str(made.cert))
    options = ("--cert-file", str(made.cert), "--key-file", str(made.key))
    async with one_member(tmp_path, store, *options, scheme="https") as etcd:
        wanted = StoreWanted(etcd_endpoints=(etcd.url,), etcd_ca_file=str(other.cert))
        gateway = EtcdGateway((etcd.url,), watch_trust(wanted), None)
        with pytest.raises(StoreError, match="look at store"):
            await gateway.call("maintenance/status", {}, repeatable=True)
        await gateway.close()


async def test_without_room_it_says_how_to_make_some_and_goes_on(tmp_path: Path) -> None:
    room = ("--quota-backend-bytes", str(ROOM))
    async with one_member(tmp_path, StoreWanted(), *room) as etcd:
        text = f'[store]\nkind = "etcd"\netcd_endpoints = {json.dumps([etcd.url])}\n'
        async with serving(tmp_path / "root", text) as server:
            assert (await server.ask("h1")).status == 200
            with pytest.raises(StoreError, match="its space is used up"):
                await fill(etcd)
            assert (await server.give_back("h1")).status == 503
            said = await until_said(server, b"its space is used up")
            assert b"compact, defragment, then `etcdctl alarm disarm`" in said
            await etcd.call("kv/deleterange", key=in_base64("junk"), range_end=in_base64("junl"))
            status = await etcd.call("maintenance/status")
            assert isinstance(status, dict)
            await etcd.call("kv/compaction", revision=status["header"]["revision"], physical=True)
            await etcd.call("maintenance/defragment")
            alarm = {"alarm": "NOSPACE", "memberID": status["header"]["member_id"]}
            await etcd.call("maintenance/alarm", action="DEACTIVATE", **alarm)
            await until_ready(server)
            while (await server.give_back("h1")).status != 200:
                pass
            assert (await server.ask("h2")).status == 200

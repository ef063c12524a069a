"""docs/lockd.md is gone through: the commands of each of its sections, with the real server."""

import os
import re
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.doc_shell import Machine, commands
from tests.fakes.dbus_daemon import DbusDaemon
from tests.lockd.program import ROOT, free_socket, serving

PAGE: Final = "docs/lockd.md"
NAME: Final = "locks.example.com"
STATUS: Final = "rebootmgrctl fleet status"
MACHINE_ID: Final = "00112233445566778899aabbccddeeff\n"


def machine(root: Path, port: int, bus: str = "", name: str = "localhost") -> Machine:
    """A machine of the page: who owns a file is who runs this, and the server is on loopback."""
    ours = f"-o {os.getuid()} -g {os.getgid()}"
    spoken = {
        "-o root -g rebootmgr-lockd": ours,
        "-o root -g rebootmgr ": f"{ours} ",
        "-o rebootmgr-lockd -g rebootmgr-lockd": ours,
        f"{NAME}:3333": f"{name}:{port}",
        "127.0.0.1:3333": f"127.0.0.1:{port}",
        NAME: name,
        "https://lock.example.com": f"http://127.0.0.1:{port}",
        '"/etc/rebootmgr/': f'"{root}/etc/rebootmgr/',  # the agent takes these as they are
    }
    for folder in (
        *("etc/rebootmgr-lockd/config.d", "etc/rebootmgr/config.d"),
        *("var/lib", "root", "srv"),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc/machine-id").write_text(MACHINE_ID)
    return Machine(root, spoken, {"DBUS_SYSTEM_BUS_ADDRESS": bus} if bus else {})


@pytest.fixture
def bus() -> Iterator[str]:
    """A bus on which nobody is: no daemon runs on the host."""
    with DbusDaemon() as daemon:
        yield daemon.address


async def test_a_private_ca_is_made_as_the_page_says(tmp_path: Path, bus: str) -> None:
    listener = free_socket()
    locks = machine(tmp_path / "locks", listener.getsockname()[1])
    node = machine(tmp_path / "node", listener.getsockname()[1], bus)
    for step in ("-out ca.pem", "-out locks.csr"):
        await locks.follow(commands(PAGE, step))
    said = await locks.follow(commands(PAGE, "50-tls.toml"))
    assert "configuration valid: 0 errors, 0 warnings" in said
    assert locks.told == ["restart rebootmgr-lockd"]
    shutil.copy(locks.root / "ca.pem", node.root)
    async with serving(locks.root, listener=listener):
        valid = await node.follow(
            commands(PAGE, "50-fleet.toml").replace("sudo rebootmgrctl reload", "")
        )
        assert "configuration valid: 0 errors, 0 warnings" in valid
        asking = commands(PAGE, "fleet-lock lock")
        said = await node.follow(asking)
        assert [line.partition(":")[0] for line in said.splitlines()] == ["granted", "released"]
    authority = ssl.create_default_context(cafile=str(node.root / "ca.pem"))
    assert authority.cert_store_stats()["x509_ca"] == 1


async def test_only_who_has_a_token_is_let_in_as_the_page_says(tmp_path: Path, bus: str) -> None:
    listener = free_socket()
    port = listener.getsockname()[1]
    locks, node = machine(tmp_path / "locks", port), machine(tmp_path / "node", port, bus)
    for step in ("60-tokens.toml", "ops:PASSWORD"):
        await locks.follow(commands(PAGE, step))
    tokens = (locks.root / "etc/rebootmgr-lockd/tokens").read_text().splitlines()
    assert [line.split()[0] for line in tokens] == ["Bearer", "Basic"]
    drop_in = node.root / "etc/rebootmgr/config.d/50-fleet.toml"
    asked = f'[updates.fleet_lock]\nbase_url = "http://127.0.0.1:{port}"\n'
    async with serving(locks.root, listener=listener) as server:
        drop_in.write_text(asked)
        assert "HTTP 401" in (await node.run(commands(PAGE, "fleet-lock lock"))).err
        (node.root / "fleet-token").write_text(tokens[0])
        from_afar = commands(PAGE, "--authorization-file").replace("~", str(node.root))
        assert "0 of 1 slot lent" in await node.follow(from_afar)
        (node.root / "token").write_text(tokens[0])
        await node.follow(commands(PAGE, "60-token.toml").replace("sudo rebootmgrctl reload", ""))
        assert "granted" in await node.follow(commands(PAGE, "fleet-lock lock"))
        assert (
            await server.get("/", {"Authorization": tokens[1], "Connection": "close"})
        ).status == 200


async def test_a_server_moves_with_what_it_lent(tmp_path: Path) -> None:
    old, new = machine(tmp_path / "old", 0), machine(tmp_path / "new", 0)
    async with serving(old.root) as server:
        assert (await server.ask("worker-3")).status == 200
        assert "worker-3" in await old.follow(commands(PAGE, "rebootmgrctl fleet status"))
        await old.follow(commands(PAGE, "the lock server moves"))
        assert old.told[-1] == "disable --now rebootmgr-lockd"
    shutil.copy(old.root / "root/lockd.sqlite", new.root)
    await new.follow(commands(PAGE, "install -d"))
    assert new.told == ["enable --now rebootmgr-lockd"]
    async with serving(new.root) as server:
        assert "frozen" in await new.follow(STATUS)
        assert "frozen" not in await new.follow(commands(PAGE, "fleet thaw"))
        assert (await server.ask("worker-4")).kind == "all_slots_full"
        await new.follow(commands(PAGE, "fleet release"))
        assert (await server.ask("worker-4")).status == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="NOT TESTED: there is no curl here")
async def test_programs_look_and_report_as_the_page_says(tmp_path: Path) -> None:
    listener = free_socket()
    locks = machine(tmp_path / "locks", listener.getsockname()[1])
    async with serving(locks.root, listener=listener) as server:
        assert '"groups"' in await locks.follow(commands(PAGE, "api/v1/status"))
        assert (await server.ask("worker-3")).status == 200
        report = commands(PAGE, "api/v1/reports").replace('"ID"', '"worker-3"')
        assert await locks.follow(report) == ""
        assert "halted" in await locks.follow(STATUS)


def test_every_section_that_is_promised_at_the_top_is_there() -> None:
    page = (ROOT / PAGE).read_text("utf-8")
    listed = re.findall(r"\]\(#([a-z-]+)\)", page.partition("\n## ")[0])
    heads = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert {head.lower().replace(" ", "-") for head in heads} == set(listed)

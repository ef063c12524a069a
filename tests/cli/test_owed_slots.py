"""`fleet-lock unlock --owed`: what is presumed ours goes back, whether or not the daemon runs."""

import json
import os
import sys
from asyncio import subprocess
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rebootmgr.cli.main import main
from rebootmgr.core.memory import Debt, Hold, Memory
from rebootmgr.core.model import Slot
from rebootmgr.state.words import encode_state
from tests.cli.client import ctl
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.fleetlock import FakeFleetLock, error, hang, silence
from tests.fakes.host import Host, fleet_lock

STATE = "var/lib/rebootmgr/state.json"
OWED = ("fleet-lock", "unlock", "--owed")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def server() -> AsyncIterator[FakeFleetLock]:
    async with FakeFleetLock(retry_after=60) as server:
        yield server


@pytest.fixture
async def other() -> AsyncIterator[FakeFleetLock]:
    async with FakeFleetLock() as server:
        yield server


def slot_of(server: FakeFleetLock, *, group: str = "default") -> Slot:
    """A slot that this host really has there."""
    server.holders.setdefault(group, []).append("me")
    return Slot(server.url, group, "me")


def remember(root: Path, memory: Memory) -> None:
    (root / STATE).parent.mkdir(parents=True)
    (root / STATE).write_bytes(encode_state(memory))


def owed(root: Path) -> list[str]:
    remembered = json.loads((root / STATE).read_bytes())
    return [debt["server"] for debt in remembered["releases_owed"]]


def configure(root: Path, text: str) -> None:
    drop_in = root / "etc/rebootmgr/config.d/50-test.toml"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(text)


async def test_owed_and_kept_slots_go_back_and_nothing_else_is_forgotten(
    tmp_path: Path, bus: DbusDaemon, server: FakeFleetLock, other: FakeFleetLock
) -> None:
    debts = (Debt(slot=slot_of(server)), Debt(slot=slot_of(other, group="db"), kept=True))
    hold = Hold(id="h1", owner="me", reason="exams", since=NOON, until=None)
    remember(tmp_path, Memory(debts=debts, holds=(hold,), reboots_total=7))
    status, out, err = await ctl(tmp_path, *OWED, bus=bus.address)
    assert (status, out) == (0, "no slot is owed\n")
    assert sorted(err.splitlines()) == sorted(
        f"rebootmgrctl: released: group {group} at {url}, id me"
        for group, url in (("default", server.url), ("db", other.url))
    )
    assert (server.holders, other.holders) == ({"default": []}, {"db": []})
    assert owed(tmp_path) == []
    remembered = json.loads((tmp_path / STATE).read_bytes())
    assert (remembered["holds"][0]["id"], remembered["reboots_total"]) == ("h1", 7)
    assert await ctl(tmp_path, *OWED, bus=bus.address) == (0, "no slot is owed\n", "")


async def test_credentials_go_to_the_server_they_are_for_and_to_no_other(
    tmp_path: Path, bus: DbusDaemon, server: FakeFleetLock, other: FakeFleetLock
) -> None:
    secret = tmp_path / "token"
    secret.write_text("Bearer hunter2\n")
    configure(
        tmp_path,
        f'[updates.fleet_lock]\nbase_url = "{server.url}/${{group}}/"\n'
        f'authorization_file = "{secret}"\n',
    )
    server.base = "/db"
    here = Slot(server.url, "db", "me")
    remember(tmp_path, Memory(debts=(Debt(slot=here), Debt(slot=slot_of(other)))))
    assert (await ctl(tmp_path, *OWED, bus=bus.address))[0] == 0
    assert server.seen[0].target == "/db/v1/steady-state"
    assert server.seen[0].headers["authorization"] == "Bearer hunter2"
    assert "authorization" not in other.seen[0].headers


async def test_what_is_not_confirmed_stays_owed_and_is_said_with_the_way_out(
    tmp_path: Path, bus: DbusDaemon, server: FakeFleetLock, other: FakeFleetLock
) -> None:
    server.script.append(error(500, "internal", "race"))
    debts = (Debt(slot=slot_of(server)), Debt(slot=slot_of(other), unanswered=True))
    remember(tmp_path, Memory(debts=debts))
    status, out, err = await ctl(tmp_path, *OWED, bus=bus.address)
    assert (status, out) == (1, "")
    *done, failed = err.splitlines()
    assert f"released: group default at {other.url}, id me" in done[0]
    assert "granted late" in done[1]
    assert f"not released: group default at {server.url}, id me: " in failed
    assert "race" in failed
    assert f"unlock --id me --group default --base-url {server.url}`" in failed
    assert owed(tmp_path) == [server.url]
    server.script.append(silence())
    status, out, _ = await ctl(tmp_path, "--json", *OWED, bus=bus.address)
    [said] = json.loads(out)["owed"]
    assert (status, said["server"], said["group"], said["id"]) == (1, server.url, "default", "me")
    assert "closed the connection" in said["error"]


async def test_an_invalid_configuration_does_not_keep_the_slot(
    tmp_path: Path, bus: DbusDaemon, server: FakeFleetLock
) -> None:
    configure(tmp_path, "[updates]\nstrategie = 1\n")
    remember(tmp_path, Memory(debts=(Debt(slot=slot_of(server)),)))
    status, _, err = await ctl(tmp_path, *OWED, bus=bus.address)
    assert (status, server.holders, owed(tmp_path)) == (0, {"default": []}, [])
    assert "the configuration is invalid" in err


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ('{"version": {"major": 9, "minor": 0}}', "written by a newer rebootmgr"),
        ("not json", "the state was lost, and with it which slots are owed"),
    ],
)
async def test_a_state_that_cannot_be_read_is_no_proof_that_nothing_is_owed(
    tmp_path: Path, bus: DbusDaemon, state: str, said: str
) -> None:
    remember(tmp_path, Memory())
    (tmp_path / STATE).write_text(state)
    status, out, err = await ctl(tmp_path, *OWED, bus=bus.address)
    assert (status, out, said in err) == (1, "", True)
    assert (tmp_path / STATE).read_text() == state


async def test_a_host_that_never_ran_owes_nothing(tmp_path: Path, bus: DbusDaemon) -> None:
    assert await ctl(tmp_path, *OWED, bus=bus.address) == (0, "no slot is owed\n", "")


def in_state(state: str) -> Any:
    return lambda status: status["state"] == state


async def test_a_running_daemon_undoes_and_gives_back_by_itself(
    tmp_path: Path, server: FakeFleetLock
) -> None:
    async with Host(tmp_path) as host:
        host.configure(fleet_lock(server.url))
        drained = host.root / "drained"
        host.hook("pre-reboot.d", "drain", f"touch {drained}; exec cat {host.root}/never")
        host.hook("post-boot.d", "undrain", f"rm -f {drained}")
        os.mkfifo(host.root / "never")
        await host.start()
        await host.until(in_state("idle"))
        await host.os.stage("42.2")
        await host.until(in_state("preparing"))
        assert server.holders["default"]
        status, out, err = await host.ctl(*OWED)
        while status == 1 and "repeat the command" in err:  # a busy host may take longer than 30 s
            status, out, err = await host.ctl(*OWED)
        assert (status, out) == (0, "no slot is owed\n")
        assert "held off for ten minutes" in err
        assert server.holders == {"default": []}
        assert not drained.exists()
        await host.until_blocked("held")


async def test_a_running_daemon_keeps_what_it_keeps(tmp_path: Path, server: FakeFleetLock) -> None:
    async with Host(tmp_path) as host:
        slot = slot_of(server)
        where = {"server": slot.server, "group": slot.group, "id": slot.id}
        host.remember(releases_owed=[{**where, "unanswered": False, "kept": True}])
        await host.start()
        await host.until(in_state("idle"))
        status, _, err = await host.ctl(*OWED)
        assert (status, server.holders) == (1, {"default": ["me"]})
        assert "`rebootmgrctl forgive` frees it" in err


@pytest.mark.parametrize("more", [("--id", "a"), ("--group", "g"), ("--base-url", "http://x")])
def test_it_takes_no_slot_of_its_own(
    tmp_path: Path, more: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), *OWED, *more]) == 2
    assert main(["--root", str(tmp_path), "fleet-lock", "lock", "--owed"]) == 2
    assert capsys.readouterr().err.count("--owed goes with unlock alone") == 2


async def test_while_a_running_daemon_waits_the_user_is_told_for_what(
    tmp_path: Path, server: FakeFleetLock
) -> None:
    async with Host(tmp_path) as host:
        host.configure(fleet_lock(server.url))
        server.script.append(hang())
        where = {"server": server.url, "group": "default", "id": "me"}
        host.remember(releases_owed=[{**where, "unanswered": False, "kept": False}])
        await host.start()
        await server.wait_seen(1)
        client = await subprocess.create_subprocess_exec(
            *(sys.executable, "-m", "rebootmgr.cli.main", "--root", str(host.root), *OWED),
            stdout=DEVNULL,
            stderr=PIPE,
            env=host.environ,
        )
        assert client.stderr is not None
        line = (await client.stderr.readline()).decode()
        client.kill()
        await client.communicate()
    told = f"waiting, 30 s at most: {server.url} is to confirm the release"
    assert line == f"rebootmgrctl: {told}\n"

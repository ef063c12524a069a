"""Credentials are used, and seen by nobody but the lock server (SPEC 6)."""

import asyncio
import base64
import json
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.cli.bus_verbs import METRICS, read_metrics
from rebootmgr.config.load import load
from rebootmgr.core.counters import Api
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.request import Errand
from rebootmgr.fleetlock.words import Server, encode_request
from tests.fakes.fleetlock import FakeFleetLock, error, hang, reply, silence
from tests.fakes.fleetlock_tls import Certificate
from tests.fakes.host import Host
from tests.fakes.service_manager import ServiceManager

PASSWORD: Final = "hunter2-correct"  # noqa: S105 - of nobody
TOKEN: Final = "horse-battery-staple"  # noqa: S105
PAIR: Final = base64.b64encode(f"node:{PASSWORD}".encode()).decode()
VERBS: Final = (
    ["status"],
    ["why"],
    ["--json", "why"],
    ["check-config"],
    ["--json", "check-config", "--strict"],
    ["cat-config"],
    ["--json", "cat-config"],
)


@pytest.fixture
def host(host: Host) -> Host:
    """Started afresh: ps(1) shows its real command line and environment."""
    host.afresh = True
    return host


class Everything:
    """All that anybody could read, gathered while the story goes on."""

    def __init__(self, host: Host, manager: ServiceManager, key: Path) -> None:
        lines = key.read_text().splitlines()
        self.secrets = (PASSWORD, TOKEN, PAIR, *(one for one in lines if "-" not in one))
        self.texts: list[tuple[str, str]] = []
        self._host = host
        self._manager = manager

    def note(self, name: str, text: str) -> None:
        """Keep a text to search it."""
        self.texts.append((name, text))

    def note_files(self, when: str) -> None:
        """Look at everything that the daemon leaves on disk."""
        for folder in ("var/lib/rebootmgr", "run"):
            for file in (self._host.root / folder).rglob("*"):
                if file.is_file():
                    self.note(f"{when}, {file.name}", file.read_text(errors="replace"))

    async def look(self, when: str) -> None:
        """Ask everything that may be asked while the daemon runs."""
        self.note_files(when)
        self.note(f"{when}, Describe", json.dumps(await self._host.status()))
        exposition = await asyncio.to_thread(read_metrics, self._host.root / METRICS)
        self.note(f"{when}, metrics", exposition)

    async def run_verbs(self, when: str) -> None:
        """Ask rebootmgrctl."""
        for verb, (_, out, err) in zip(
            VERBS, await asyncio.gather(*(self._host.ctl(*verb) for verb in VERBS)), strict=True
        ):
            self.note(f"{when}, {' '.join(verb)}", out + err)

    def note_processes(self, when: str) -> None:
        """Look at the daemon and at the child that makes the request, as ps(1) does."""
        daemon = self._host.daemon
        assert daemon is not None
        tasks = Path(f"/proc/{daemon.pid}/task").iterdir()
        children = [pid for task in tasks for pid in (task / "children").read_text().split()]
        assert children
        for pid in (*children, str(daemon.pid)):
            for name in ("cmdline", "environ"):
                self.note(f"{when}, {name}", Path(f"/proc/{pid}/{name}").read_text())

    def found(self) -> list[str]:
        """Where a secret shows, and the words around it."""
        self.note("log", self._host.log.read_text())
        self.note("notify socket", "\n".join(self._manager.heard))
        return [
            f"{name}: …{text[max(0, at - 80) : at + 40]}…"
            for name, text in self.texts
            for secret in self.secrets
            if (at := text.find(secret)) >= 0
        ]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("tls"))


def drop_in(url: str, certificate: Certificate, *more: str) -> str:
    lines = (
        '[updates]\nstrategy = "fleet_lock"\n[updates.fleet_lock]',
        f'base_url = "{url}"',
        f'ca_file = "{certificate.cert}"',
        f'client_cert_file = "{certificate.cert}"',
        f'client_key_file = "{certificate.key}"',
        *more,
    )
    return "\n".join(lines) + "\n"


def mistakes(url: str) -> Iterable[str]:
    """Configurations that no daemon can take, each with the secret in the wrong place."""
    fleet = '[updates]\nstrategy = "fleet_lock"\n[updates.fleet_lock]\n'
    yield f'{fleet}base_url = "{url}/${{nonsense}}"\n'
    yield f'{fleet}base_url = "{url}\n'
    yield f'{fleet}base_url = ["{url}"]\n'
    yield f'{fleet}base_ulr = "{url}"\n'
    yield f'{fleet}base_url = "{url}" "{url}"\n'
    yield f'{fleet}base_url = "{url.replace("https:", "ftp:")}"\n'
    yield f'{fleet}base_url = "{url}/?token={TOKEN}"\n'
    yield f'{fleet}base_url = "{url.replace(PASSWORD, f"a/{PASSWORD}")}"\n'
    yield f'{fleet}base_url = "{url}"\nbase_url = "{url}"\n'
    yield f'{fleet}base_url = "{url}"\ntimeout_seconds = 0\n'
    yield f'{fleet}base_url = "{url}"\nauthorization_file = "Bearer {TOKEN}"\n'


@pytest.fixture
async def fleet(certificate: Certificate) -> AsyncIterator[FakeFleetLock]:
    """A lock server that asks for a client certificate."""
    async with FakeFleetLock(tls=certificate.context(asks_clients=True)) as server:
        yield server


@pytest.fixture
async def everything(host: Host, certificate: Certificate) -> AsyncIterator[Everything]:
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ["NOTIFY_SOCKET"] = manager.path
        yield Everything(host, manager, certificate.key)


def with_password(server: FakeFleetLock) -> str:
    return server.url.replace("//", f"//node:{PASSWORD}@")


async def test_no_credential_shows_from_the_refusal_to_the_reboot(
    host: Host, fleet: FakeFleetLock, everything: Everything, certificate: Certificate
) -> None:
    host.configure(drop_in(with_password(fleet), certificate))
    await host.start("--log-level", "debug")
    await fleet.wait_seen(1)
    await host.until(lambda status: status["state"] == "idle" and not status["slots"])
    assert fleet.seen[-1].headers["authorization"] == f"Basic {PAIR}"
    echo = f"you are Basic {PAIR}, that is node:{PASSWORD}"
    away = f"https://node:{PASSWORD}@elsewhere.invalid/"
    fleet.script += [error(401, "no", echo), *[reply(302, location=away)] * 99]
    await host.os.stage("42.2")
    await host.until_blocked("lock_failing")
    await everything.look("401")
    await everything.run_verbs("401")

    credential = host.root / "credential"
    credential.write_text(f"Bearer {TOKEN}\n")
    host.configure(drop_in(fleet.url, certificate, f'authorization_file = "{credential}"'))
    fleet.script.clear()
    fleet.script += [error(403, "no", f"not {TOKEN}"), *[silence()] * 99]
    assert await host.reload() == ""
    await host.until(lambda _: TOKEN in fleet.seen[-1].headers["authorization"])
    await host.until(lambda status: "HTTP 403" in json.dumps(status["blockers"]))
    await everything.look("403")
    await host.kill()
    await host.start("--log-level", "debug")
    await host.until_blocked("lock_unreachable")
    await everything.look("after a crash")

    fleet.script.clear()
    fleet.script.append(hang())
    number = len(fleet.seen)
    assert await host.reload() == ""
    await fleet.wait_seen(number + 1)
    everything.note_processes("asking")
    host.configure(drop_in(f"https://node:{PASSWORD}@lock.invalid", certificate))
    assert await host.reload() == ""
    await host.until_blocked("lock_unreachable")
    await everything.look("no such host")

    host.configure(drop_in(with_password(fleet), certificate))
    assert await host.reload() == ""
    await host.until_state("rebooting")
    await everything.look("rebooting")
    await everything.run_verbs("rebooting")
    assert await host.stop() == 0
    everything.note_files("stopped")
    assert everything.found() == []
    said = "\n".join(text for _, text in everything.texts)
    assert "check group, node_uuid and credentials" in said
    assert "HTTP 401 no: you are ***, that is ***" in said
    assert "cannot connect to lock.invalid:443" in said


async def test_no_credential_shows_in_what_is_said_of_a_mistake(
    host: Host, fleet: FakeFleetLock, everything: Everything, certificate: Certificate
) -> None:
    host.configure(drop_in(with_password(fleet), certificate))
    await host.start("--log-level", "debug")
    for number, mistake in enumerate(mistakes(with_password(fleet))):
        host.configure(mistake, "70-mistake.toml")
        complaint = await host.reload()
        assert complaint, mistake
        everything.note(f"reload with mistake {number}", complaint)
        host.configure(mistake, f"60-mistake-{number}.toml")
    await everything.look("kept the old configuration")
    await everything.run_verbs("with all mistakes")
    await host.kill()
    await host.start("--log-level", "debug", wait=False)
    await host.until(lambda status: not status["config_valid"])
    await everything.look("started with all mistakes")
    await everything.run_verbs("started with all mistakes")
    assert everything.found() == []


async def test_a_traceback_shows_no_credential(host: Host, certificate: Certificate) -> None:
    """Even one that prints everything the daemon knows of its server."""
    host.configure(drop_in(f"https://node:{PASSWORD}@lock.example", certificate))
    code = (
        "import logging, os, sys\n"
        "from pathlib import Path\n"
        "from rebootmgr.systemd.journal import open_log\n"
        "from rebootmgr.config.load import load\n"
        "open_log('debug', stream=sys.stderr, environ={})\n"
        "def fail(loaded):\n"
        "    (server,) = loaded.servers.values()\n"
        "    assert 'hunter2' in server.base_url\n"
        "    raise RuntimeError(f'{loaded} {server} {server.public_url}')\n"
        "loaded = load(Path(sys.argv[1]), dry_run=False)\n"
        "try:\n"
        "    fail(loaded)\n"
        "except RuntimeError:\n"
        "    logging.exception('of %s', loaded)\n"
        "fail(loaded)\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, str(host.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("RuntimeError: Loaded(") == 2
    assert "https://lock.example" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def fail_with(order: Errand, server: Server) -> None:
    """Fail where a traceback that prints the locals would print these two."""
    raise RuntimeError(order, server)


async def test_a_traceback_of_the_child_shows_no_credential(
    host: Host, certificate: Certificate
) -> None:
    host.configure(drop_in(f"https://node:{PASSWORD}@lock.example", certificate))
    loaded = load(host.root, dry_run=False)
    ((slot, server),) = loaded.servers.items()
    line = encode_request(Api.PRE_REBOOT, slot, server, timeout_s=1)
    assert PASSWORD.encode() in line
    order = Errand(**json.loads(line))
    with pytest.raises(RuntimeError) as raised:
        fail_with(order, server)
    inner = raised.tb.tb_next  # without this frame, where the line is
    said = traceback.TracebackException(RuntimeError, raised.value, inner, capture_locals=True)
    assert "order = Errand(" in "".join(said.format())
    assert PASSWORD not in "".join(said.format())
    for broken in (
        line[:-9] + b"\n",
        line.replace(b'"url"', b'"urn"'),
        line.replace(b"1.0", b"{}"),
    ):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "rebootmgr.fleetlock.request"],
            input=broken,
            capture_output=True,
            check=False,
        )
        assert PASSWORD.encode() not in done.stdout + done.stderr


async def test_what_the_child_writes_on_standard_error_is_seen_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "talkative_child.py").write_text(
        "import sys\n"
        "line = sys.stdin.readline()\n"
        "print(line, file=sys.stderr)\n"
        "raise OSError(line)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    client = LockClient(observed=lambda *_: None, child="talkative_child")
    server = Server(base_url=f"https://node:{PASSWORD}@lock.example", timeout_s=5)
    slot = Slot(server.public_url, "default", "node1")
    answer = await client.acquire(Ticket(1), slot, server)
    said = capfd.readouterr()
    assert PASSWORD not in repr(answer) + said.out + said.err

"""fleet-lock without a daemon: what is asked, what the answer means to a script, what is usage."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rebootmgr.cli.main import main
from tests.cli.client import begin, ctl
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.fleetlock import FakeFleetLock, Script, error, hang, reply, silence

ROOT = Path(__file__).parent.parent.parent
OTHER = ("--id", "dead0123")
NODE_ID = "eee0097b460c4b2dbf94510d0330626c"
SILENCE = "the server closed the connection without an answer"


@pytest.fixture
async def server() -> AsyncIterator[FakeFleetLock]:
    async with FakeFleetLock() as server:
        yield server


def configure(root: Path, text: str) -> None:
    drop_in = root / "etc/rebootmgr/config.d/50-test.toml"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(text)
    (root / "etc/machine-id").write_text("00112233445566778899aabbccddeeff\n")


def fleet(url: str, more: str = "") -> str:
    return f'[updates.fleet_lock]\nbase_url = "{url}"\n{more}'


async def test_a_slot_is_taken_and_returned_for_another_host(
    tmp_path: Path, server: FakeFleetLock
) -> None:
    configure(tmp_path, '[identity]\ngroup = "web"\n' + fleet(server.url))
    where = f"group web at {server.url}, id dead0123\n"
    assert await ctl(tmp_path, "fleet-lock", "lock", *OTHER) == (0, f"granted: {where}", "")
    assert server.holders == {"web": ["dead0123"]}
    assert await ctl(tmp_path, "fleet-lock", "unlock", *OTHER) == (0, f"released: {where}", "")
    assert server.holders == {"web": []}
    assert {seen.headers["fleet-lock-protocol"] for seen in server.seen} == {"true"}


@pytest.mark.parametrize(
    ("operation", "answer", "status", "said"),
    [
        ("lock", reply(200), 0, (200, None, None)),
        ("lock", reply(200, "obtained lease"), 0, (200, None, "obtained lease")),
        ("lock", error(202, "wait_drain", "evicting"), 1, (202, "wait_drain", "evicting")),
        ("lock", error(409, "failed_lock", "taken: [a]"), 1, (409, "failed_lock", "taken: [a]")),
        ("lock", error(500, "failed_lock", "a\nb\x1b[2J"), 1, (500, "failed_lock", "a b [2J")),
        ("lock", reply(503, "<html>"), 1, (503, "generic_http_503", None)),
        ("lock", silence(), 1, (None, "client_failed_request", SILENCE)),
        ("unlock", error(500, "internal_error", "race"), 1, (500, "internal_error", "race")),
        ("unlock", error(423, "lock_held", "held by b"), 0, (423, "lock_held", "held by b")),
        ("unlock", error(202, "odd", "later"), 1, (202, "odd", "later")),
    ],
)  # fmt: skip
async def test_an_answer_is_a_status_and_json(
    tmp_path: Path,
    server: FakeFleetLock,
    operation: str,
    answer: Script,
    status: int,
    said: tuple[int | None, str | None, str | None],
) -> None:
    code, kind, value = said
    configure(tmp_path, fleet(server.url))
    server.script.append(answer)
    done, out, err = await ctl(tmp_path, "--json", "fleet-lock", operation, *OTHER)
    assert done == status
    assert json.loads(out) == {
        "operation": operation,
        "server": server.url,
        "group": "default",
        "id": "dead0123",
        {"lock": "granted", "unlock": "released"}[operation]: status == 0,
        "status": code,
        "kind": kind,
        "value": value,
    }
    assert len(err.splitlines()) == status
    if status:
        assert err.startswith("rebootmgrctl: ")
        assert (value or str(code)) in err
    assert len(server.seen) == 1


async def test_what_is_given_beats_the_configuration(tmp_path: Path, server: FakeFleetLock) -> None:
    configure(tmp_path, fleet("http://127.0.0.1:9/"))
    url = f"{server.url}/${{group}}/"
    server.base = "/db.1"
    more = ("--group", "db.1", "--base-url", url)
    assert (await ctl(tmp_path, "fleet-lock", "lock", *OTHER, *more))[0] == 0
    assert server.seen[0].target == "/db.1/v1/pre-reboot"
    assert server.holders == {"db.1": ["dead0123"]}


async def test_credentials_are_sent_and_never_shown(tmp_path: Path, server: FakeFleetLock) -> None:
    secret = tmp_path / "token"
    secret.write_text("Bearer hunter2\n")
    configure(tmp_path, fleet(server.url, f'authorization_file = "{secret}"\n'))
    server.script.extend([error(401, "no", "Bearer hunter2 is wrong"), error(403, "no", "hunter3")])
    shown = await ctl(tmp_path, "--json", "fleet-lock", "lock", *OTHER)
    assert server.seen[0].headers["authorization"] == "Bearer hunter2"
    configure(tmp_path, fleet(server.url.replace("//", "//me:hunter3@")))
    more = await ctl(tmp_path, "--json", "fleet-lock", "unlock", *OTHER)
    assert server.seen[1].headers["authorization"].startswith("Basic ")
    assert "hunter" not in "".join([*shown[1:], *more[1:]])


@pytest.mark.parametrize("operation", ["lock", "unlock"])
async def test_credentials_go_to_the_configured_server_and_to_no_other(
    tmp_path: Path, server: FakeFleetLock, operation: str
) -> None:
    secret = tmp_path / "token"
    secret.write_text("Bearer hunter2\n")
    by_file = f'authorization_file = "{secret}"\n'
    async with FakeFleetLock() as other, FakeFleetLock() as home:
        for configured, more in (
            (home.url, by_file),
            (home.url.replace("//", "//me:hunter3@"), ""),
            (home.url.replace("//", "//me:hunter3@"), by_file),
        ):
            configure(tmp_path, fleet(configured, more))
            elsewhere = ("--base-url", f"{other.url}/b")
            _, out, err = await ctl(tmp_path, "fleet-lock", operation, *OTHER, *elsewhere)
            assert "authorization" not in other.seen[-1].headers
            assert f"{other.url}/b is not the configured server: no credentials are sent" in err
            assert "hunter" not in out + err
        in_clear = ("--base-url", f"{home.url}/b")
        configure(tmp_path, fleet(home.url.replace("http:", "https:"), by_file))
        await ctl(tmp_path, "fleet-lock", operation, *OTHER, *in_clear)
        assert "authorization" not in home.seen[-1].headers
        configure(tmp_path, fleet(f"{home.url}/a", by_file))
        here = ("--base-url", f"{home.url.upper().replace('HTTP', 'http')}/b/")
        _, _, err = await ctl(tmp_path, "fleet-lock", operation, *OTHER, *here)
        assert home.seen[-1].headers["authorization"] == "Bearer hunter2"
        assert "credentials" not in err
        own = ("--base-url", other.url.replace("//", "//you:mine@"))
        await ctl(tmp_path, "fleet-lock", operation, *OTHER, *own)
        assert other.seen[-1].headers["authorization"].startswith("Basic ")


async def test_without_configured_credentials_there_is_nothing_to_say(
    tmp_path: Path, server: FakeFleetLock
) -> None:
    configure(tmp_path, fleet("http://127.0.0.1:9/"))
    elsewhere = ("--base-url", server.url)
    assert (await ctl(tmp_path, "fleet-lock", "lock", *OTHER, *elsewhere))[2] == ""


async def test_this_host_needs_no_daemon_but_is_told_what_that_means(
    tmp_path: Path, server: FakeFleetLock, bus: DbusDaemon
) -> None:
    configure(tmp_path, fleet(server.url))
    server.script.extend([reply(200), error(409, "failed_lock", "taken")])
    status, out, err = await ctl(tmp_path, "fleet-lock", "lock", bus=bus.address)
    assert (status, out) == (0, f"granted: group default at {server.url}, id {NODE_ID}\n")
    assert "rebootmgrd is not running, so no hold" in err
    status, _, err = await ctl(tmp_path, "fleet-lock", "lock", bus="unix:path=/nonexistent")
    assert (status, len(err.splitlines())) == (1, 2)


async def test_ctrl_c_closes_the_connection_at_once(tmp_path: Path, server: FakeFleetLock) -> None:
    configure(tmp_path, fleet(server.url))
    server.script.append(hang())
    client = await begin(tmp_path, "fleet-lock", "lock", *OTHER)
    await server.wait_seen(1)
    client.send_signal(signal.SIGINT)
    _, err = await client.communicate()
    await server.wait_closed()
    assert (client.returncode, err) == (130, b"")


async def test_an_invalid_configuration_is_needed_unless_everything_is_given(
    tmp_path: Path, server: FakeFleetLock
) -> None:
    configure(tmp_path, "[updates]\nstrategie = 1\n")
    status, _, err = await ctl(tmp_path, "fleet-lock", "lock", *OTHER)
    assert (status, "50-test.toml:2" in err) == (78, True)
    everything = (*OTHER, "--group", "g", "--base-url", server.url)
    status, _, err = await ctl(tmp_path, "fleet-lock", "lock", *everything)
    assert (status, "the configuration is invalid" in err) == (0, True)


async def test_the_script_of_the_manual_asks_until_it_may_and_gives_back_at_its_end(
    tmp_path: Path, server: FakeFleetLock
) -> None:
    configure(tmp_path, fleet(server.url))
    server.script.append(error(409, "failed_lock", "taken"))
    manual = (ROOT / "docs/fleet-lock.md").read_text("utf-8")
    script = manual.partition("```sh\n")[2].partition("```")[0]
    ctl = f"exec {sys.executable} -m rebootmgr.cli.main --root {tmp_path}"
    stand_ins = {"rebootmgrctl": f'{ctl} "$@"', "sleep": "echo slept $1", "the-work": "exit 3"}
    for name, doing in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{doing}\n")
        (tmp_path / name).chmod(0o755)
    environ = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent",
    }
    shell = await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdout=PIPE, stderr=DEVNULL, env=environ
    )
    out, _ = await shell.communicate()
    assert (shell.returncode, out.split()[0]) == (3, b"slept")
    asked = [seen.target.rpartition("/")[2] for seen in server.seen]
    assert asked == ["pre-reboot", "pre-reboot", "steady-state"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: operation"),
        (["seize"], "invalid choice: 'seize'"),
        (["lock", "--idd", "a"], "unrecognized arguments"),
        (["lock", *OTHER], "no lock server is known; give --base-url, or set"),
        (["lock", "--group", "a_b"], '--group "a_b" is illegal'),
        (["lock", "--group", "default\n"], '--group "default" is illegal'),
        (["lock", "--group", ""], '--group "" is illegal'),
        (["unlock", "--id", "a b"], '--id "a b" is illegal'),
        (["unlock", "--id", "a" * 254], "is illegal"),
        (["unlock", "--id", ""], '--id "" is illegal'),
        (["lock", *OTHER, "--base-url", "ftp://x"], "is no http or https URL"),
        (["lock", *OTHER, "--base-url", "http://x/?a=b"], "has a query or a fragment"),
        (["lock", *OTHER, "--base-url", "http://x/${moon}"], "has a variable that does not exist"),
        (["lock", *OTHER, "--base-url", "http://x/${stream}"], "no value for ${stream}"),
        (["lock", "--base-url", "http://x"], "needs a bus of its own"),
    ],
)
def test_a_call_that_makes_no_sense_is_usage(
    tmp_path: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    configure(tmp_path, "")
    assert main(["--root", str(tmp_path), "fleet-lock", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, said in err, len(err.splitlines())) == ("", True, 1)


def test_a_host_without_a_name_has_to_be_given_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path), "fleet-lock", "lock", "--base-url", "http://x"]) == 1
    assert "or give --id" in capsys.readouterr().err

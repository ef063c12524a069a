"""Text from outside never speaks through the daemon, wherever it comes out (SPEC 7)."""

import asyncio
import json
import re

import pytest

from rebootmgr.cli.bus_verbs import METRICS
from rebootmgr.unix_sockets import unix_address
from tests.fakes.fleetlock import FakeFleetLock, reply
from tests.fakes.host import Host, Json, fleet_lock
from tests.fakes.logind import FakeInhibitor
from tests.fakes.logind_sessions import FakeSession
from tests.fakes.service_manager import ServiceManager

NASTY = (
    "x\nWATCHDOG=trigger\nREADY=1\r\n<0>kernel: panic\x1b[2J\x1b]0;owned\x07\x9b31m\u2028y\u202ez"
)
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def texts(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for each in value.values() for text in texts(each)]
        case list():
            return [text for each in value for text in texts(each)]
        case _:
            return []


async def everything_shown(host: Host, manager: ServiceManager) -> None:
    """Look wherever text comes out."""
    status: Json = await host.status()
    for text in texts(status):
        assert not CONTROL.search(text), text
        assert "\n" not in text
        assert len(text) <= 300, text
    for verb in ("status", "why", "metrics"):
        code, plain, _ = await host.ctl(verb)
        assert code == 0
        assert not CONTROL.search(plain), plain
        code, encoded, _ = await host.ctl("--json", verb)
        assert code == 0
        if verb != "metrics":
            assert not [text for text in texts(json.loads(encoded)) if CONTROL.search(text)]
    log = host.log.read_text()
    assert not CONTROL.search(log)
    assert all(re.match("<[1-7]>", line) for line in log.splitlines()), log
    assert not [line for line in log.splitlines() if line.startswith("<0>")]
    assert max(map(len, log.splitlines())) < 2100
    assert [one for one in manager.heard if "\n" in one] == []
    kinds = {one.partition("=")[0] for one in manager.heard}
    assert kinds <= {"READY", "STATUS", "STOPPING"}
    assert manager.heard.count("READY=1") == 1
    assert all(len(one) < 600 for one in manager.heard)


async def shown_everywhere(host: Host, reason: str, told: str) -> None:
    """Start, and look once that is in the way and systemd was told so."""
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ["NOTIFY_SOCKET"] = manager.path
        await host.start()
        await host.until_blocked(reason)
        await manager.until_status(told)
        await everything_shown(host, manager)


async def test_an_inhibitor_speaks_only_as_a_reason(host: Host) -> None:
    host.logind.add_inhibitor(FakeInhibitor(who=NASTY, why=NASTY * 50))
    await host.os.stage("42.2")
    await shown_everywhere(host, "inhibited", "inhibited")


async def test_a_session_speaks_only_as_a_name(host: Host) -> None:
    host.logind.add_session(FakeSession("1", name=NASTY, tty="../../etc/passwd", remote_host=NASTY))
    await host.os.stage("42.2")
    await shown_everywhere(host, "users_logged_in", "logged in")


async def test_a_version_speaks_only_as_a_version(host: Host) -> None:
    host.hook("checks.d", "10-no", r"printf 'no\033[2J\nlast \033]0;x\007words\n'; exit 1")
    await host.os.stage("42.2", extra={"version": ["s", NASTY], "osname": ["s", NASTY]})
    await shown_everywhere(host, "check_failed", "a check says no")


@pytest.mark.parametrize(
    "body", [json.dumps({"kind": NASTY, "value": "A" * 1_000_000}), NASTY * 10_000, "[" * 100_000]
)
async def test_a_lock_server_speaks_only_as_a_refusal(
    host: Host, server: FakeFleetLock, body: str
) -> None:
    host.configure(fleet_lock(server.url))
    server.script.extend([reply(409, body)] * 20)
    await host.os.stage("42.2")
    await shown_everywhere(host, "lock_refused", "the lock server refused")


async def test_a_hold_that_was_recorded_speaks_only_as_a_reason(host: Host) -> None:
    host.remember_hold(owner=NASTY, reason=NASTY)
    await host.os.stage("42.2")
    await shown_everywhere(host, "held", "held")


async def test_clients_of_the_socket_that_talk_or_hang_hold_nothing_up(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    with unix_address(host.root / METRICS) as path:
        hanging = [await asyncio.open_unix_connection(path) for _ in range(20)]
    for _, writer in hanging[:10]:
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n" * 1000)
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    for _, writer in hanging:
        writer.close()
    assert (await host.metrics())["rebootmgr_reboot_pending"] == 1

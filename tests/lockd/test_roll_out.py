"""The real server rolls out in order, and stops when hosts report that it goes wrong."""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebootmgr.fleetlock.admin_names import RESUME
from tests.lockd.program import PROTOCOL, Answered, Server, configure, question, request, serving
from tests.lockd.test_admin import ask_as
from tests.lockd.test_program import run

REPORTS = "/api/v1/reports"


async def report(server: Server, host: str, **told: object) -> Answered:
    body = json.dumps({**json.loads(question(host)), **told}).encode()
    return await server.send(request(REPORTS, body))


async def give_back(server: Server, host: str, group: str, booted: str) -> Answered:
    headers = {**PROTOCOL, "Rebootmgr-Booted": booted}
    return await server.send(request("/v1/steady-state", question(host, group), headers=headers))


def order(**body: object) -> bytes:
    return request(RESUME, json.dumps(body).encode(), headers={})


async def test_a_reported_failure_halts_the_group_until_an_administrator_forgives(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, "[groups.default]\nslots = 2\n") as server:
        name = {"Rebootmgr-Host": "worker-1"}
        assert (await server.ask("h1", headers=name)).status == 200
        told = await report(server, "h1", outcome="rolled_back", reason="post-boot.d failed")
        assert (told.status, told.body) == (204, b"")
        refused = await server.ask("h2")
        assert (refused.status, refused.kind) == (423, "halted")
        assert refused.value.startswith(
            "halted until people resume it:"
            " the reboot of worker-1 failed: rolled back: post-boot.d failed; you are 1st of 1"
        )
        assert int(refused.headers["Retry-After"]) <= 600
        metrics = (await server.get("/metrics")).body.decode()
        assert 'rebootmgr_lockd_halted{group="default"} 1.0' in metrics
        assert 'rebootmgr_lockd_failed{group="default"} 1.0' in metrics
        assert 'rebootmgr_lockd_refusals_total{group="default",kind="halted"} 1.0' in metrics
    async with serving(tmp_path) as server:
        assert (await server.ask("h2")).kind == "halted"
        mine = os.geteuid()
        unknown = await ask_as(mine, tmp_path, order(group="default", forgive="nobody"))
        assert (unknown.status, unknown.kind) == (404, "no_such_holder")
        done = await ask_as(mine, tmp_path, order(group="default", forgive="worker-1"))
        assert done.status == 200
        assert done.value.startswith("group default is resumed; worker-1 has no slot of it any")
        assert (await server.ask("h2")).status == 200
        assert (await server.ask("h1")).kind == "all_slots_full"


async def test_a_report_that_makes_no_sense_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert (await server.ask("h1")).status == 200
        bad = await report(server, "h1", outcome="exploded")
        assert (bad.status, bad.kind) == (400, "bad_request")
        assert bad.value.startswith('"outcome" must be one of succeeded, rolled_back,')
        assert (await report(server, "h1", outcome="rolled_back", reason=7)).status == 400
        assert (await report(server, "h1", outcome="succeeded")).status == 204
        bare = await server.send(request(REPORTS, question("h1"), headers={}))
        assert bare.kind == "missing_fleetlock_header"
        assert (await server.ask("h2")).kind == "all_slots_full"


async def test_a_group_waits_for_its_canary_by_what_hosts_tell(tmp_path: Path) -> None:
    text = "[groups.canary]\n[groups.default]\nafter = ['canary']\nsoak_minutes = 0\n"
    async with serving(tmp_path, text) as server:
        target = {"Rebootmgr-Target": "41.2"}
        early = await server.ask("h1", headers=target)
        assert early.kind == "waiting_for_group"
        assert "no host of group canary has come back with 41.2" in early.value
        assert (await server.ask("c", "canary", headers=target)).status == 200
        assert (await give_back(server, "c", "canary", "41.2")).status == 200
    async with serving(tmp_path, text) as server:
        assert (await server.ask("h1", headers=target)).status == 200


async def test_of_one_rack_one_host_is_down_at_a_time_and_the_inventory_beats_the_host(
    tmp_path: Path,
) -> None:
    text = "[groups.default]\nslots = 9\nspread = 'rack'\n[hosts.h3]\nlabels = { rack = 'b' }\n"
    rack = {"Rebootmgr-Labels": "rack=a,zone=z"}
    async with serving(tmp_path, text) as server:
        assert (await server.ask("h1", headers=rack)).status == 200
        refused = await server.ask("h2", headers=rack)
        assert refused.kind == "spread"
        assert refused.value.startswith("1 with rack=a are down, and no more may be")
        assert (await server.ask("h3", headers=rack)).status == 200


async def test_a_group_lends_in_its_windows_and_after_slots_have_rested(tmp_path: Path) -> None:
    away = datetime.now(UTC) + timedelta(days=3)
    text = (
        "[groups.default]\nsettle_minutes = 10\n"
        "[groups.dark]\n[[groups.dark.blackout]]\nname = 'for ever'\n"
        "start = 2000-01-01T00:00:00\nend = 2999-01-01T00:00:00\n"
        f"[groups.late]\n[[groups.late.window]]\ndays = ['{away:%a}']\n"
        "start_time = '12:00'\nlength_minutes = 60\n"
    )
    async with serving(tmp_path, text) as server:
        assert (await server.ask("h1", "dark")).kind == "blackout"
        assert (await server.ask("h1", "late")).kind == "outside_window"
        assert (await server.ask("h1")).status == 200
        assert (await server.give_back("h1")).status == 200
        settling = await server.ask("h2")
        assert settling.kind == "settling"
        assert 590 <= int(settling.headers["Retry-After"]) <= 660


async def test_prometheus_hears_how_many_slots_may_be_lent_now(tmp_path: Path) -> None:
    text = (
        "[groups.default]\nslots = 3\nsettle_minutes = 10\n[groups.failed]\nslots = 2\n"
        "[groups.dark]\n[[groups.dark.blackout]]\nname = 'for ever'\n"
        "start = 2000-01-01T00:00:00\nend = 2999-01-01T00:00:00\n"
    )
    async with serving(tmp_path, text) as server:
        assert await free_slots(server) == {"default": 3, "failed": 2, "dark": 0}
        assert (await server.ask("h1")).status == 200
        assert (await server.ask("h2")).status == 200
        assert (await server.give_back("h1")).status == 200  # and settles
        assert (await server.ask("h3", "failed")).status == 200
        assert await free_slots(server) == {"default": 1, "failed": 1, "dark": 0}
        told = json.dumps({**json.loads(question("h3", "failed")), "outcome": "not_applied"})
        assert (await server.send(request(REPORTS, told.encode()))).status == 204
        assert await free_slots(server) == {"default": 1, "failed": 0, "dark": 0}


async def test_prometheus_hears_of_no_grant_before_the_first(tmp_path: Path) -> None:
    async with serving(tmp_path, "[groups.default]\n[groups.db]\n") as server:
        assert (await server.ask("h1", "db")).status == 200
        metrics = (await server.get("/metrics")).body.decode()
        assert 'rebootmgr_lockd_grants_total{group="default"} 0.0' in metrics
        assert 'rebootmgr_lockd_grants_total{group="db"} 1.0' in metrics
        assert 'rebootmgr_lockd_returns_total{group="db"} 0.0' in metrics


async def free_slots(server: Server) -> dict[str, float]:
    """What it says of each group."""
    metrics = (await server.get("/metrics")).body.decode()
    said = re.findall(r'(?m)^rebootmgr_lockd_slots_free\{group="(\w+)"\} (\S+)$', metrics)
    return {group: float(value) for group, value in said}


def test_groups_that_would_wait_for_themselves_are_refused(tmp_path: Path) -> None:
    file = configure(
        tmp_path,
        "[groups.a]\nafter = ['b']\n[groups.b]\nafter = ['a']\n"
        "[[groups.b.window]]\ndays = ['Sat']\nstart_time = '23:30'\n",
    )
    said = run("--root", str(tmp_path), "check-config")
    assert said.returncode == 78
    circle = "would have this group wait for itself (remove the circle)"
    assert said.stdout.splitlines() == [
        f"{file}:2: groups.a.after: {circle}",
        f"{file}:4: groups.b.after: {circle}",
        f"{file}:5: groups.b.window: has no length_minutes (add length_minutes = 60)",
        "configuration invalid: 3 errors, 0 warnings",
    ]

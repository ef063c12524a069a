"""--dry-run decides everything and does nothing (SPEC 1)."""

from datetime import UTC, datetime, timedelta
from typing import Final

from rebootmgr.cli.page import Page
from rebootmgr.cli.render import render_status, render_why
from rebootmgr.cli.waiting_verbs import why_not_active
from rebootmgr.control.described import Record
from tests.daemon.fleet import debt
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import NODE_ID, Host, fleet_lock
from tests.fakes.logind import FakeInhibitor
from tests.fakes.logind_sessions import FakeSession
from tests.fakes.terminal import terminal

FAR: Final = f"""
[[updates.periodic.window]]
days = ["{datetime.now(UTC) + timedelta(days=3):%a}"]
start_time = "12:00"
length_minutes = 5
"""


def has_acted(host: Host) -> bool:
    members = {member for member, _ in host.logind.calls}
    return bool(members - {"ListInhibitors", "ListSessions"})


async def test_it_says_what_it_would_do_and_does_nothing(host: Host, server: FakeFleetLock) -> None:
    ran = host.root / "ran"
    for directory in ("checks.d", "pre-reboot.d", "post-boot.d"):
        host.hook(directory, "10-note", f"echo $REBOOTMGR_PHASE >> {ran}")
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start("--dry-run")
    status = await host.until_blocked("dry_run")
    assert status["blockers"][0]["detail"] == "would reboot into 42.2 now"
    assert status["verdict"] == "wait"
    assert ran.read_text().split() == ["check"]
    assert await host.stop() == 0
    assert not host.state_file.parent.exists()
    assert (server.seen, host.reboots(), has_acted(host)) == ([], 0, False)
    assert "would reboot into 42.2 now" in host.log.read_text()


async def test_it_names_what_is_in_the_way(host: Host) -> None:
    inhibitor = host.logind.add_inhibitor(FakeInhibitor())
    await host.os.stage("42.2")
    await host.start("--dry-run")
    await host.until_blocked("inhibited")
    host.logind.remove_inhibitor(inhibitor)
    await host.until_blocked("dry_run")


async def test_it_warns_nobody(host: Host) -> None:
    with terminal(host.root) as mine:
        host.configure("[updates.sessions]\ngrace_minutes = 0\n")
        host.logind.add_session(FakeSession("1", name="alice", tty=mine.tty))
        await host.os.stage("42.2")
        await host.start("--dry-run")
        await host.until_blocked("dry_run")
        assert await host.stop() == 0
        assert mine.screen() == ""
    assert "told alice" not in host.log.read_text()


async def test_it_gives_back_no_slot_and_touches_no_state(
    host: Host, server: FakeFleetLock
) -> None:
    server.seize("default", NODE_ID)
    host.remember(releases_owed=[debt(server)])
    before = host.state_file.read_bytes()
    host.configure(fleet_lock(server.url))
    await host.start("--dry-run")
    await host.until_state("idle")
    assert await host.stop() == 0
    assert server.seen == []
    assert host.state_file.read_bytes() == before


async def test_every_line_for_people_says_so_and_nothing_is_predicted(host: Host) -> None:
    host.configure("[updates]\nstrategy = 'periodic'\n" + FAR)
    await host.os.stage("42.2")
    await host.start("--dry-run")
    status = await host.until_blocked("outside_window")
    assert (status["dry_run"], status["predicted"]) == (True, None)
    assert str(status["sentence"]).startswith("Dry run: Update 42.2 is staged; ")
    page = Page(now=datetime.now(UTC), zone=UTC, width=80, color=False)
    record = Record(status)
    for text in (render_status(record, page), render_why(record, page)):
        told = " ".join(text.split())
        assert "this is a dry run, nothing will be done" in told
        assert "Next reboot: none: this is a dry run" in told
    assert why_not_active(record) == "this is a dry run"

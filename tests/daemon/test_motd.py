"""What people who log in to a real host with a pending update read, and when no longer."""

from pathlib import Path

import pytest

from rebootmgr.show.motd import PATH
from tests.fakes.host import Host
from tests.fakes.logind import FakeInhibitor


@pytest.fixture
def motd(host: Host) -> Path:
    path = host.root / PATH
    path.parent.mkdir(parents=True)
    path.write_text("Update 42.0 is staged, says one who was killed.\n")
    return path


def read(motd: Path) -> str:
    return motd.read_text()


async def test_people_read_why_the_host_has_not_rebooted_as_long_as_that_is_so(
    host: Host, motd: Path
) -> None:
    await host.start()
    await host.until(lambda _: read(motd) == "")
    backup = host.logind.add_inhibitor(FakeInhibitor(who="backup", why="nightly\nrun"))
    await host.os.stage("42.2")
    said = "Update 42.2 is staged; inhibited: backup (pid 4711, uid 1000): nightly run."
    await host.until(lambda _: read(motd).startswith(said))
    host.logind.remove_inhibitor(backup)
    await host.until(lambda _: read(motd).startswith("Rebooting into 42.2.\n"))


async def test_nobody_is_told_what_a_stopped_daemon_would_not_correct(
    host: Host, motd: Path
) -> None:
    host.logind.add_inhibitor(FakeInhibitor())
    await host.os.stage("42.2")
    await host.start()
    await host.until(lambda _: "42.2 is staged" in read(motd))
    assert await host.stop() == 0
    assert read(motd) == ""


async def test_a_dry_run_tells_nobody(host: Host, motd: Path) -> None:
    await host.os.stage("42.2")
    await host.start("--dry-run")
    await host.until_blocked("dry_run")
    assert read(motd) == ""


async def test_without_the_file_nobody_is_told_and_nothing_is_made(host: Host) -> None:
    host.logind.add_inhibitor(FakeInhibitor())
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("inhibited")
    assert not (host.root / PATH).parent.exists()
    assert "log-in" not in host.log.read_text()

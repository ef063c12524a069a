"""The file that people read at log-in, as it is on disk."""

import os
from pathlib import Path

import pytest

from rebootmgr.show.motd import PATH, Motd
from tests.fakes.statuses import IDLE, REBOOTING, WAITING

TOKYO = "/usr/share/zoneinfo/Asia/Tokyo"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The empty file that tmpfiles makes."""
    path = tmp_path / PATH
    path.parent.mkdir(parents=True)
    path.write_text("")
    return path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_file_is_rewritten_in_place_and_emptied(tmp_path: Path, path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").symlink_to(TOKYO)
    motd, inode = Motd(tmp_path), path.stat().st_ino
    motd.show(WAITING)
    assert "The next reboot is Sun 2030-01-06 08:30 JST" in path.read_text()
    motd.show(REBOOTING)
    assert path.read_text() == ("Rebooting into 42.20300102.3.0.\n`rebootmgrctl why` tells more.\n")
    motd.show(IDLE)
    assert path.read_text() == ""
    motd.show(WAITING)
    motd.clear()
    assert path.read_text() == ""
    assert path.stat().st_ino == inode
    assert list(path.parent.iterdir()) == [path]


def test_it_is_written_only_when_the_text_changed(tmp_path: Path, path: Path) -> None:
    motd = Motd(tmp_path)
    motd.show(WAITING)
    path.write_text("somebody else's")
    motd.show(WAITING)
    assert path.read_text() == "somebody else's"


def test_what_a_predecessor_left_is_emptied(tmp_path: Path, path: Path) -> None:
    path.write_text("Update 42.1 is staged\n")
    Motd(tmp_path).clear()
    assert path.read_text() == ""


def test_without_the_file_nothing_is_said_nor_made_until_it_is_there(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.unlink()
    motd = Motd(tmp_path)
    motd.show(WAITING)
    motd.clear()
    assert list(path.parent.iterdir()) == []
    path.parent.rmdir()
    motd.show(WAITING)
    assert not path.parent.exists()
    path.parent.mkdir()
    path.write_text("")
    motd.show(WAITING)
    assert "is staged" in path.read_text()
    assert warnings(caplog) == []


@pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
def test_what_is_no_file_is_left_alone_with_one_warning(
    tmp_path: Path, path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    match kind:
        case "link":
            path.symlink_to(elsewhere)
        case "directory":
            path.mkdir()
        case _:
            os.mkfifo(path)
    motd = Motd(tmp_path)
    for status in (WAITING, REBOOTING, WAITING):
        motd.show(status)
    assert elsewhere.read_text() == "precious"
    [said] = warnings(caplog)
    assert said.startswith(f"people are not told at log-in: {path}: ")


def test_a_pipe_that_somebody_reads_is_not_written_to(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.unlink()
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        Motd(tmp_path).show(WAITING)
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)
    assert warnings(caplog) == [f"people are not told at log-in: {path}: not a regular file"]


def test_a_failure_is_warned_of_once_and_again_after_it_went_well(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    motd = Motd(tmp_path)
    for warned in (1, 2):
        path.unlink()
        path.mkdir()
        motd.show(WAITING)
        motd.show(REBOOTING)
        assert len(warnings(caplog)) == warned
        path.rmdir()
        path.write_text("")
        motd.show(REBOOTING)
        assert "Rebooting" in path.read_text()

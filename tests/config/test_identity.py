"""Who a host is, from files as installers, images and accidents leave them."""

import platform
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebootmgr.config.identity import (
    HostIdentity,
    MissingIdentity,
    app_specific,
    read_identity,
    read_localtime,
)

MACHINE = "00112233445566778899aabbccddeeff"
NODE = "eee0097b460c4b2dbf94510d0330626c"
ZONES = Path("/usr/share/zoneinfo")


def put(root: Path, name: str, content: str | bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_node_id_is_the_one_of_zincati(tmp_path: Path) -> None:
    put(tmp_path, "etc/machine-id", f"{MACHINE}\n")
    assert read_identity(tmp_path, node_uuid="") == HostIdentity(
        node_id=NODE, basearch=platform.machine(), stream="", platform=""
    )


def test_it_is_what_systemd_derives_for_this_very_host() -> None:
    tool, path = shutil.which("systemd-id128"), Path("/etc/machine-id")
    if tool is None or not path.exists():
        pytest.skip("no systemd-id128 or no machine id here")
    application = "de35106b6ec24688b63afddaa156679b"
    command = [tool, "machine-id", "--app-specific", application]
    derived = subprocess.run(command, capture_output=True, text=True, check=False)
    if derived.returncode:
        pytest.skip(derived.stderr)
    assert app_specific(bytes.fromhex(path.read_text().strip())) == derived.stdout.strip()


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (None, "No such file or directory"),
        ("", "is not initialized yet"),
        ("uninitialized\n", "is not initialized yet"),
        (MACHINE[:-1], "holds no machine id"),
        (MACHINE + "0", "holds no machine id"),
        ("0" * 32, "holds no machine id"),
        ("g" * 32, "holds no machine id"),
        (b"\xff\x00" * 99, "holds no machine id"),
    ],
)
def test_a_host_without_machine_id_says_what_to_do(
    tmp_path: Path, content: str | bytes | None, detail: str
) -> None:
    if content is not None:
        put(tmp_path, "etc/machine-id", content)
    missing = read_identity(tmp_path, node_uuid="")
    assert isinstance(missing, MissingIdentity)
    assert detail in missing.detail
    assert missing.detail.endswith("run systemd-machine-id-setup, or set identity.node_uuid")
    known = read_identity(tmp_path, node_uuid=NODE)
    assert isinstance(known, HostIdentity)
    assert known.node_id == NODE


def test_a_machine_id_that_is_a_directory_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "etc/machine-id").mkdir(parents=True)
    assert isinstance(read_identity(tmp_path, node_uuid=""), MissingIdentity)


def test_a_fedora_coreos_host_knows_its_stream_and_platform(tmp_path: Path) -> None:
    release = "NAME=\"Fedora Linux\"\nVARIANT_ID=coreos\nOSTREE_VERSION='41.20250302.3.2'\n"
    put(tmp_path, "usr/lib/os-release", release)
    put(tmp_path, "proc/cmdline", "quiet ignition.platform.id=qemu rw\n")
    host = read_identity(tmp_path, node_uuid=NODE)
    assert isinstance(host, HostIdentity)
    assert host.variables == {
        "basearch": platform.machine(),
        "stream": "stable",
        "platform": "qemu",
    }


@pytest.mark.parametrize("value", ["", "a/../b", "${x}", "@", "a?b", "é", "x" * 65])
def test_a_platform_that_could_bend_a_url_is_not_taken(tmp_path: Path, value: str) -> None:
    put(tmp_path, "proc/cmdline", f"ignition.platform.id={value}")
    host = read_identity(tmp_path, node_uuid=NODE)
    assert isinstance(host, HostIdentity)
    assert host.platform == ""


def test_no_localtime_means_utc(tmp_path: Path) -> None:
    assert read_localtime(tmp_path) is UTC


@pytest.mark.parametrize("target", ["../usr/share/zoneinfo/Europe/Rome", f"{ZONES}/Europe/Rome"])
def test_localtime_is_a_link_into_the_zones(tmp_path: Path, target: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").symlink_to(target)
    assert read_localtime(tmp_path) is ZoneInfo("Europe/Rome")


def test_localtime_may_be_a_plain_file(tmp_path: Path) -> None:
    put(tmp_path, "etc/localtime", (ZONES / "Asia/Tokyo").read_bytes())
    zone = read_localtime(tmp_path)
    assert zone is not None
    assert str(zone) == "localtime"
    assert datetime(2026, 1, 1, tzinfo=zone).utcoffset() == timedelta(hours=9)


@pytest.mark.parametrize("target", ["nowhere", "../zoneinfo/../../passwd", "../zoneinfo/Nope"])
def test_a_localtime_link_to_no_zone_is_none(tmp_path: Path, target: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").symlink_to(target)
    assert read_localtime(tmp_path) is None


def test_a_directory_as_localtime_is_none(tmp_path: Path) -> None:
    (tmp_path / "etc/localtime").mkdir(parents=True)
    assert read_localtime(tmp_path) is None


ROME = (ZONES / "Europe/Rome").read_bytes()
DAMAGE = st.binary(max_size=200) | st.tuples(
    st.integers(0, 120), st.binary(min_size=1, max_size=8), st.integers(0, len(ROME))
).map(lambda cut: (ROME[: cut[0]] + cut[1] + ROME[cut[0] + len(cut[1]) :])[: cut[2]])


def test_a_zone_file_that_was_cut_at_its_end_does_not_hang_us(tmp_path: Path) -> None:
    put(tmp_path, "etc/localtime", ROME[:-1])
    assert read_localtime(tmp_path) is None
    for length in range(len(ROME) - 60, len(ROME)):
        put(tmp_path, "etc/localtime", ROME[:length])
        assert read_localtime(tmp_path) is None


@settings(deadline=None)
@given(content=DAMAGE)
def test_a_broken_zone_file_is_none_or_a_zone(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    root = tmp_path_factory.mktemp("root")
    put(root, "etc/localtime", content)
    zone = read_localtime(root)
    if zone is not None:
        datetime(2026, 1, 1, tzinfo=zone).utcoffset()

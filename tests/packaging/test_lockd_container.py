"""The lock server in a container: its unit fits the image, the server and its service."""

import re
from pathlib import Path, PurePosixPath
from typing import Final

from rebootmgr.cli.lock_server_verbs import OPERATIONS
from rebootmgr.fleetlock.admin_names import SOCKET
from rebootmgr.lockd_config.configuration import DIRECTORIES
from rebootmgr.lockd_config.wanted import StoreWanted
from tests.quadlets import Quadlet

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = Quadlet(ROOT / "packaging/coreos/rebootmgr-lockd.container")
IMAGE: Final = (ROOT / "packaging/kubernetes/Containerfile").read_text("utf-8")
SERVICE: Final = (ROOT / "systemd/rebootmgr-lockd.service").read_text("utf-8")


def test_it_has_only_keys_that_podman_knows() -> None:
    assert UNIT.unknown_keys() == set()
    assert set(UNIT.sections) == {"Unit", "Container", "Service", "Install"}


def test_podman_itself_makes_a_service_of_it(tmp_path: Path) -> None:
    service = UNIT.generated(tmp_path)
    assert "--cap-drop all --read-only --user 65532:65532" in service
    assert "Type=notify" in service


def test_it_has_no_privileges() -> None:
    for key, value in (
        ("DropCapability", "all"),
        ("NoNewPrivileges", "true"),
        ("ReadOnly", "true"),
        ("ReadOnlyTmpfs", "false"),
    ):
        assert UNIT.of("Container", key) == [value]
    assert UNIT.of("Container", "SecurityLabelDisable") == []
    assert UNIT.of("Container", "PodmanArgs") == []


def test_it_runs_as_the_user_of_the_image() -> None:
    [user] = re.findall(r"^USER (\S+)$", IMAGE, re.MULTILINE)
    assert [*UNIT.of("Container", "User"), *UNIT.of("Container", "Group")] == user.split(":")


def test_the_server_finds_its_configuration_and_may_write_its_store_and_its_socket() -> None:
    volumes = {
        PurePosixPath(target): options
        for _, target, options in (one.split(":") for one in UNIT.of("Container", "Volume"))
    }
    store = PurePosixPath(StoreWanted().path).parent
    configuration = PurePosixPath("/", DIRECTORIES[0]).parent
    assert volumes == {configuration: "ro,Z", store: "U"}
    [tmpfs] = UNIT.of("Container", "Tmpfs")
    assert tmpfs.partition(":")[0] == str(PurePosixPath("/", SOCKET).parent)


def test_it_is_watched_bounded_and_reloaded_as_the_service_is() -> None:
    for key in ("WatchdogSec", "Restart", "RestartSec", "MemoryMax", "LimitNOFILE"):
        assert UNIT.of("Service", key) == re.findall(rf"^{key}=(.*)$", SERVICE, re.MULTILINE), key
    [minutes] = re.findall(r"^WatchdogSec=(\d+)min$", SERVICE, re.MULTILINE)
    assert f"WATCHDOG_USEC={int(minutes) * 60_000_000}" in UNIT.of("Container", "Environment")
    [reloading] = UNIT.of("Service", "ExecReload")
    verb = re.findall(r"^ExecReload=/usr/bin/(.*)$", SERVICE, re.MULTILINE)
    assert verb == ["rebootmgrctl fleet reload"]
    assert reloading.endswith(f" {UNIT.of('Container', 'ContainerName')[0]} {verb[0]}")
    assert verb[0].rpartition(" ")[2] in OPERATIONS

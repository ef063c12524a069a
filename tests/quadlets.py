"""Units of podman (podman-systemd.unit(5)), as we read them and as its own generator does."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

GENERATORS: Final = ("/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet")

# What we use of podman-systemd.unit(5), and of systemd's own sections.
KEYS: Final[Mapping[str, set[str]]] = {
    "Unit": {"Description", "ConditionPathExists", "Wants", "After", "StartLimitIntervalSec"},
    "Container": {"Image", "ContainerName", "User", "Group", "GroupAdd", "DropCapability"}
    | {"NoNewPrivileges", "ReadOnly", "ReadOnlyTmpfs", "SecurityLabelDisable", "Network", "Volume"}
    | {"LogDriver", "PodmanArgs", "Notify", "Environment", "Tmpfs"},
    "Service": {"WatchdogSec", "TimeoutStartSec", "Restart", "RestartSec", "ExecReload"}
    | {"MemoryMax", "TasksMax", "LimitNOFILE"},
    "Install": {"WantedBy"},
}


class Quadlet:
    """A unit; `sections` has the keys and values of each, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections: dict[str, list[tuple[str, str]]] = {}
        keys: list[tuple[str, str]] = []
        for line in path.read_text("utf-8").splitlines():
            if found := re.fullmatch(r"\[(\w+)\]", line):
                self.sections[found[1]] = keys = []
            elif line and not line.startswith("#"):
                name, _, value = line.partition("=")
                keys.append((name, value))

    def of(self, section: str, key: str) -> list[str]:
        return [value for name, value in self.sections[section] if name == key]

    def unknown_keys(self) -> set[str]:
        """What podman or systemd would not know, as far as we know them."""
        return {
            f"{section}.{key}"
            for section, keys in self.sections.items()
            for key, _ in keys
            if key not in KEYS.get(section, set())
        }

    def generated(self, scratch: Path) -> str:
        """The service that podman makes of it; the test is skipped where there is no podman."""
        found = [path for path in GENERATORS if Path(path).exists()]
        if not found:
            pytest.skip("there is no podman here: only our own reading of its manual judged")
        shutil.copy(self.path, scratch)
        command = ("env", f"QUADLET_UNIT_DIRS={scratch}", found[0], "-dryrun")
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

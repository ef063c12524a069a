"""An Ethernet of a test's own, whose cables are cut and mended."""

import os
import subprocess
from types import TracebackType
from typing import Final, Self

from tests.system.machine import Machine

_ADDRESS: Final = """\
[Unit]
Description=Stand-in: an address
DefaultDependencies=no
Before=network-pre.target network.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip address add {address} dev host0
ExecStart=ip link set host0 up
"""


class Bridge:
    """`with Bridge() as bridge:`, then `Machine(..., bridge=bridge.name)` and `connect` it.

    `address` is ours on it. Tests that run side by side have one each, and each its own names.
    """

    def __init__(self) -> None:
        self.number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        self.name = f"fleet{self.number}"
        self._net = f"10.42.{self.number}"
        self.address = f"{self._net}.1"

    def __enter__(self) -> Self:
        _ip("link", "add", self.name, "type", "bridge")
        _ip("address", "add", f"{self.address}/24", "dev", self.name)
        self.mend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, what: BaseException | None, _: TracebackType | None
    ) -> None:
        _ip("link", "delete", self.name)

    def connect(self, machine: Machine, number: int) -> None:
        """Give a machine that is off an address on it, 2 to 254."""
        unit = machine.write(
            "etc/systemd/system/address.service",
            _ADDRESS.format(address=f"{self._net}.{number}/24"),
        )
        wanted = unit.with_name("sysinit.target.wants")
        wanted.mkdir(exist_ok=True)
        (wanted / unit.name).symlink_to(f"../{unit.name}")

    def cut(self, machine: Machine | None = None) -> None:
        """Cut the cable of a machine that runs, until it is mended or boots; or cut everybody's."""
        _ip("link", "set", self._cable(machine), "down")

    def mend(self, machine: Machine | None = None) -> None:
        """Mend what was cut."""
        _ip("link", "set", self._cable(machine), "up")

    def _cable(self, machine: Machine | None) -> str:
        return self.name if machine is None else f"vb-{machine.name}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)

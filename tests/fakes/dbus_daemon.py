"""A private, real dbus-daemon: it can be killed, stopped, restarted, and never outlives a test.

It is started through `setpriv --pdeathsig KILL` (util-linux), so the kernel ends it with the
thread that started it, even when the test process itself is killed; services that it activates
see their connection end.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from tests.fakes.short import short_directory
from tests.waiting import BOUND_S

ALLOW_EVERYTHING: Final = """
<policy context="default">
  <allow own="*"/><allow user="*"/><allow send_destination="*" eavesdrop="true"/>
  <allow send_type="signal"/><allow receive_sender="*"/>
</policy>
"""

_CONFIG: Final = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{services}</servicedir>
  <limit name="service_start_timeout">{start_ms:.0f}</limit>
  {policy}
</busconfig>
"""


class DbusDaemon:
    """A running bus; `with` and `async with` end it. `policy` replaces allow-everything."""

    def __init__(self, *, policy: str = ALLOW_EVERYTHING) -> None:
        self.dir = short_directory("rebootmgr-bus-", inside=len("/bus"))
        self.dir.chmod(0o755)
        self._services = self.dir / "services"
        self._services.mkdir()
        self._socket = self.dir / "bus"
        self._config = self.dir / "bus.conf"
        self._config.write_text(
            _CONFIG.format(
                socket=self._socket,
                services=self._services,
                start_ms=BOUND_S * 1000,
                policy=policy,
            ).lstrip()
        )
        self._log = (self.dir / "log").open("ab")
        self._process = self._start()

    @property
    def address(self) -> str:
        """What DBUS_SYSTEM_BUS_ADDRESS should be; the same after a restart."""
        return f"unix:path={self._socket}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def install_service(self, name: str, argv: Sequence[str]) -> None:
        """Make `name` activatable: the bus starts `argv`, which must own it."""
        program = shutil.which(argv[0])  # the bus does not look along PATH
        assert program is not None
        command = shlex.join((program, *argv[1:]))
        (self._services / f"{name}.service").write_text(
            f"[D-BUS Service]\nName={name}\nExec={command}\n"
        )
        subprocess.run(
            [
                "dbus-send",
                f"--bus={self.address}",
                "--print-reply",
                "--dest=org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus.ReloadConfig",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """SIGKILL, and wait for it: no goodbye to anybody."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it and remove its directory; it can be called again."""
        with contextlib.suppress(ProcessLookupError):
            self.resume()
            self._process.terminate()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def restart(self) -> None:
        """A new bus at the same address."""
        self.kill()
        self._process = self._start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay, nobody answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> subprocess.Popen[bytes]:
        read_end, write_end = os.pipe()
        with os.fdopen(read_end, "rb") as announced:
            with os.fdopen(write_end, "wb"):
                process = subprocess.Popen(
                    [
                        *("setpriv", "--pdeathsig", "KILL"),
                        *("dbus-daemon", "--nofork", "--nopidfile", "--nosyslog"),
                        f"--config-file={self._config}",
                        f"--print-address={write_end}",
                    ],
                    pass_fds=[write_end],
                    stdin=subprocess.DEVNULL,
                    stderr=self._log,
                )
            if not announced.readline():
                process.wait()
                raise RuntimeError(f"no dbus-daemon: {(self.dir / 'log').read_text()}")
        return process

"""Prometheus, node_exporter and promtool: of the system, or where packaging/prepare has put them.

`async with Server(argv, url) as server:` runs a server of the kind and waits until it answers.
"""

import asyncio
import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import pytest

from tests.waiting import telling

ROOT: Final = Path(__file__).parents[2]
DASHBOARDS: Final = ROOT / "dashboards"
FETCHED: Final = ROOT / ".venv/prometheus/usr/bin"
ASK_AGAIN_S: Final = 0.1
Json = dict[str, Any]


def need(*names: str) -> str:
    """Find a program by any of its names, or skip the test and say so."""
    for name in names:
        if found := shutil.which(name) or shutil.which(FETCHED / name):
            return found
    pytest.skip(
        f"THERE IS NO {names[0]}, SO DASHBOARDS AND ALERTS WERE NOT TESTED: packaging/prepare says"
        " why; Debian: apt-get install prometheus prometheus-node-exporter"
    )


def promtool(*arguments: str | Path, text: str | None = None) -> str:
    """Have promtool agree; what it said."""
    done = subprocess.run(
        [need("promtool"), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    """A port of loopback that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


class Server:
    """One process that serves HTTP at `url`, which ends with the test; its log is in `home`."""

    def __init__(self, argv: list[str], url: str, home: Path) -> None:
        self._argv = argv
        self._url = url
        self._log = home / f"{Path(argv[0]).name}.log"

    async def __aenter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", *self._argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text()

    async def text(self, path: str) -> str:
        """GET a text, as soon as it serves one."""
        with telling(lambda: f"{path} is not served: {self.log}"):
            while True:
                with suppress(aiohttp.ClientConnectorError):
                    async with self._http.get(f"{self._url}{path}") as response:
                        if response.status == 200:
                            return await response.text()
                assert self._process.returncode is None, self.log
                await pause()

    async def data(self, api: str, **query: str) -> Any:
        """Ask the API of Prometheus (https://prometheus.io/docs/prometheus/latest/querying/api/)."""
        async with self._http.get(f"{self._url}/api/v1/{api}", params=query) as response:
            answer: Json = await response.json()
            assert answer["status"] == "success", answer
            return answer["data"]


async def pause() -> None:
    """Nobody tells us when a server has got further, so we ask again a little later."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ASK_AGAIN_S):
            await asyncio.Event().wait()

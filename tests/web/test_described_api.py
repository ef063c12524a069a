"""The API under schemathesis: thousands of requests made from docs/openapi.yaml.

No answer is a failure of the server, each is described, and what is not as described is refused.
"""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.fleetlock.admin_names import EVENTS, SOCKET
from tests.lockd.program import serving

ROOT: Final = Path(__file__).parents[2]
API: Final = ROOT / "docs/openapi.yaml"
PROGRAM: Final = shutil.which("schemathesis", path=Path(sys.executable).parent)
HOW: Final = ("--max-examples=40", "--seed=1", "--generation-database=none", "--no-color")

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no schemathesis: `packaging/prepare web` installs it"
)


async def run(folder: Path, url: str, *more: str) -> None:
    config = Path(__file__).parent / "schemathesis.toml"
    process = await asyncio.create_subprocess_exec(
        *(str(PROGRAM), "--config-file", str(config), "run", str(API), "--url", url, *HOW, *more),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert re.search(rb"(\d{3,}) generated, \1 passed", said), said.decode()


@asynccontextmanager
async def relayed(path: Path) -> AsyncIterator[str]:
    """Bring TCP to a socket: its URL."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(str(path))
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async with await asyncio.start_server(relay, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("text", ["", "any_group = true\n"], ids=["one group", "any group"])
async def test_over_tcp_every_answer_is_described_and_none_is_a_failure(
    tmp_path: Path, text: str
) -> None:
    """Who watches would wait for ever: tests/lockd/test_watching.py does that."""
    async with serving(tmp_path, text) as server:
        await run(tmp_path, f"http://127.0.0.1:{server.port}", "--exclude-path", EVENTS)
        assert "mistake of ours" not in server.log


async def test_at_the_socket_every_answer_is_described_and_none_is_a_failure(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, relayed(tmp_path / SOCKET) as url:
        await run(tmp_path, url, "--include-tag", "administrators")
        assert "mistake of ours" not in server.log


def test_the_description_is_one_of_openapi() -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    reader = pytest.importorskip("openapi_spec_validator.readers")
    validator.validate(reader.read_from_filename(str(API))[0])

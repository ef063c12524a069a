"""Servers to be killed: `python -m tests.lockd.nursery SLOTS` forks one for each line it reads.

A line is the path of a store and that of a socket; the answer is the server's process id. A server
lends over the socket: one line of JSON asks, one answers, and whoever closes has hung up.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from rebootmgr.lending.questions import PreReboot, Question, SteadyState
from rebootmgr.lending.terms import Rules, Terms
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.sqlite import SqliteStore

GROUP = "default"


def main() -> None:
    """Fork until nobody wants more; the last one ends with us."""
    slots, pid = int(sys.argv[1]), 0
    for line in sys.stdin:
        store, path = line.split()
        if pid:
            os.waitpid(pid, 0)
        listener = socket.socket(socket.AF_UNIX)
        Path(path).unlink(missing_ok=True)
        listener.bind(path)
        listener.listen(128)
        pid = os.fork()
        if pid == 0:
            asyncio.run(lend(Path(store), listener, slots))
            os._exit(0)
        listener.close()
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def lend(store: Path, listener: socket.socket, slots: int) -> None:
    """Serve until killed."""
    lender = Lender(SqliteStore(store), Rules(groups={GROUP: Terms(slots=slots)}))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await _line(reader)
        while line:
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(lender.ask(_question(line)))
                closing = tasks.create_task(_line(reader))
                await asyncio.wait([asking, closing], return_when=asyncio.FIRST_COMPLETED)
                if not asking.done():  # it hung up
                    asking.cancel()
                    writer.close()
                    return
                writer.write(f"{type(asking.result()).__name__}\n".encode())
                line = await closing

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(lender.run())
        async with await asyncio.start_unix_server(serve, sock=listener) as server:
            await server.serve_forever()


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ConnectionError:
        return b""


def _question(line: bytes) -> Question:
    asked = json.loads(line)
    if asked["wants"]:
        return PreReboot(GROUP, asked["id"], wait_s=asked["wait_s"])
    return SteadyState(GROUP, asked["id"])


if __name__ == "__main__":
    main()

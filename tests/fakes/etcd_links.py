"""What lies between the members of an etcd, in a process of its own, until it is cut.

`python -m tests.fakes.etcd_links FROM:TO …` relays each port to another. On standard input it hears
`cut MEMBER PORT`, the number of a member in hexadecimal and the port by which the others reach it:
nothing goes to it or comes from it any more, and nobody is told; and `mend`. It answers each line.
"""

import asyncio
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

_SAYS_WHO = re.compile(rb"\r\nX-Server-From: *([0-9a-f]+)\r\n", re.IGNORECASE)
PIECE = 65536


@dataclass
class Links:
    """All connections that are relayed, and what is cut."""

    sender: str = ""
    port: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    mended: asyncio.Event = field(default_factory=asyncio.Event)

    async def relay(
        self, port: int, to: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Relay one connection: etcd says in its first request who it is."""
        self.writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            found = _SAYS_WHO.search(head)
            sender = found[1].decode() if found else ""
            inward, outward = await asyncio.open_connection("127.0.0.1", to)
            self.writers.add(outward)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self.pump(sender, port, reader, outward, head))
                    tasks.create_task(self.pump(sender, port, inward, writer))
            finally:
                self.drop(outward)
        except* (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.drop(writer)

    async def pump(
        self,
        sender: str,
        port: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        piece: bytes = b"",
    ) -> None:
        while piece or (piece := await reader.read(PIECE)):
            if sender == self.sender or port == self.port:
                await self.mended.wait()
                break
            writer.write(piece)
            await writer.drain()
            piece = b""
        raise ConnectionResetError

    def drop(self, writer: asyncio.StreamWriter) -> None:
        self.writers.discard(writer)
        writer.transport.abort()

    def is_told(self, line: str) -> None:
        """Cut or mend; who waited for what was cut has to connect anew."""
        match line.split():
            case ["cut", sender, port]:
                self.sender, self.port = sender, int(port)
            case _:
                self.sender, self.port = "", 0
                self.mended.set()
                self.mended = asyncio.Event()
                for writer in list(self.writers):
                    self.drop(writer)


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main(pairs: list[str]) -> None:
    """Relay until the end of the input."""
    links, serving = Links(), []
    for pair in pairs:
        port, to = map(int, pair.split(":"))
        take = partial(links.relay, port, to)
        serving.append(await asyncio.start_server(take, "127.0.0.1", port))
    loop = asyncio.get_running_loop()
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    _say("ready")
    while line := await told.readline():
        links.is_told(line.decode())
        _say("done")


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        asyncio.run(main(sys.argv[1:]))

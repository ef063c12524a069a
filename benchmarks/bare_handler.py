"""The least that aiohttp can do: `python -m benchmarks.bare_handler FD` refuses whoever asks.

It reads the body, and says the same to everybody, with the headers that a lock server sends.
"""

import asyncio
import socket
import sys
from typing import Final

from aiohttp import web

VALUE: Final = "1 of 1 slot lent (worker-0.example.com); you are 4999th of 9999, about 17 days"
BODY: Final = f'{{"kind": "all_slots_full", "value": "{VALUE}"}}\n'.encode()
HEADERS: Final = {
    "Rebootmgr-Lockd": "1",
    "Server": "bare",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Type": "application/json; charset=utf-8",
    "Retry-After": "3550",
}


async def refuse(request: web.BaseRequest) -> web.Response:
    """Read the question, and refuse."""
    await request.read()
    return web.Response(status=423, body=BODY, headers=HEADERS)


async def main() -> None:
    """Serve until killed."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = web.Server(refuse, access_log=None)
    await (await asyncio.get_running_loop().create_server(server, sock=listener)).serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

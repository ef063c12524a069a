"""HTTP by hand: what a stand-in server heard, and what it says, however bad."""

import asyncio
import json
from dataclasses import dataclass, replace

DRIP_S = 0.002


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Script:
    """How to answer one request: wait for `gate`, send `parts`, then close, hang or drip.

    `every_s` is the pause between the parts that drip.
    """

    parts: tuple[bytes, ...] = ()
    then: str = "close"
    gate: asyncio.Event | None = None
    every_s: float = DRIP_S


def reply(
    status: int, body: str | bytes = "", *, gate: asyncio.Event | None = None, **headers: str
) -> Script:
    """A whole answer; `retry_after="5"` becomes the header Retry-After."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(data)}", "Connection: close"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return Script(("\r\n".join(lines).encode() + b"\r\n\r\n", data), gate=gate)


def error(status: int, kind: str, value: str) -> Script:
    """An answer with the protocol's error body, as text/plain as most servers send it."""
    body = json.dumps({"kind": kind, "value": value})
    return reply(status, body, content_type="text/plain; charset=utf-8")


def slow_down(script: Script, seconds: int) -> Script:
    """The same answer, asking for patience unless it grants or does so already."""
    if not script.parts or not script.parts[0].startswith(b"HTTP/1.1 "):
        return script
    head, *rest = script.parts
    if head.startswith(b"HTTP/1.1 200 ") or b"\r\nRetry-After: " in head:
        return script
    status, _, lines = head.partition(b"\r\n")
    wish = b"\r\nRetry-After: %d\r\n" % seconds
    return replace(script, parts=(status + wish + lines, *rest))


def silence() -> Script:
    """Close without an answer."""
    return Script()


def hang(*parts: bytes) -> Script:
    """Send `parts` and then nothing, for ever."""
    return Script(parts, then="hang")


def drip(*parts: bytes, every_s: float = DRIP_S) -> Script:
    """Send `parts`, the last of them again and again."""
    return Script(parts, then="drip", every_s=every_s)


async def read_request(reader: asyncio.StreamReader) -> Seen:
    """Read one request; IncompleteReadError when the client goes before it is whole."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body.decode())

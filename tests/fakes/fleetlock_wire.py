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
    status: int,
    body: str | bytes = "",
    *,
    gate: asyncio.Event | None = None,
    chunked: bool = False,
    **headers: str,
) -> Script:
    """A whole answer; `retry_after="5"` becomes the header Retry-After."""
    data = body.encode() if isinstance(body, str) else body
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(data)}"
    data = _in_chunks(data) if chunked else data
    lines = [f"HTTP/1.1 {status} Scripted", length, "Connection: close"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return Script(("\r\n".join(lines).encode() + b"\r\n\r\n", data), gate=gate)


def _in_chunks(data: bytes) -> bytes:
    """As PHP and Go send what they do not know the length of; at least two, if it can be."""
    half = max(1, len(data) // 2)
    parts = [data[at : at + half] for at in range(0, len(data), half)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


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
    """Read one request, as Go's server does: of several equal headers the first counts.

    IncompleteReadError when the client goes before it is whole, LimitOverrunError for a long head.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        headers.setdefault(name.lower(), value.strip())
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body.decode(errors="surrogateescape"))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # a trailer
    return body

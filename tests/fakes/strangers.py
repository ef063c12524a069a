"""Users of the host who send the daemon whatever the bus carries, as fast as it goes.

Nothing but the standard library, so that it runs as anybody in a machine, too:
`python3 strangers.py KIND ADDRESS`, where ADDRESS is the path of the bus or of the metrics socket.
It says "begun" once its first blow was dealt, in the end what it did, and reads no answer.
"""

import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, TypeAlias

NAMES: Final = ("org.rebootmgr1", "org.rebootmgr1.Watch")
_BUS: Final = "org.freedesktop.DBus"
_PATH: Final = "/org/rebootmgr1"
_MANAGER: Final = "org.rebootmgr1.Manager"
_CALL, _SIGNAL = 1, 4
_NO_REPLY: Final = 1
_FIELDS: Final = {"path": (1, "o"), "interface": (2, "s"), "member": (3, "s"), "to": (6, "s")}
LARGEST: Final = (128 * 2**20 - 4096, 100 * 2**20, 32 * 2**20 - 4096)
SMALL_CALLS: Final = 100_000
MANY_CONNECTIONS: Final = 5000
METRICS_CLIENTS: Final = 1000
_HELLO_S: Final = 2.0
_LAST: Final = 4711

Where: TypeAlias = dict[str, str]


def encode(
    kind: int,
    where: Where,
    *,
    signature: str = "",
    body: bytes = b"",
    flags: int = 0,
    serial: int = 7,
) -> bytes:
    """Write a message; the body is of a text or of an array of bytes."""
    fields = b""
    for name, value in where.items():
        code, type_ = _FIELDS[name]
        fields += bytes(-len(fields) % 8)
        fields += struct.pack("<BB2sI", code, 1, type_.encode() + b"\0", len(value))
        fields += value.encode() + b"\0"
    if signature:
        fields += bytes(-len(fields) % 8) + struct.pack("<BB2sB", 8, 1, b"g\0", len(signature))
        fields += signature.encode() + b"\0"
        body = struct.pack("<I", len(body)) + body + (b"\0" if signature == "s" else b"")
    head = struct.pack("<sBBBIII", b"l", kind, flags, 1, len(body), serial, len(fields))
    return head + fields + bytes(-len(fields) % 8) + body


def _describe(*, flags: int = 0) -> bytes:
    return encode(_CALL, _to_daemon(NAMES[0], "Describe"), flags=flags)


def _to_daemon(name: str, member: str) -> Where:
    return {"path": _PATH, "interface": _MANAGER, "member": member, "to": name}


class Stranger:
    """One connection to the bus, which may be cut at any time."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        uid = str(os.geteuid()).encode().hex()
        hello = {"path": "/org/freedesktop/DBus", "interface": _BUS, "member": "Hello", "to": _BUS}
        self.socket.sendall(f"\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n".encode())
        self.socket.sendall(encode(_CALL, hello))
        self.socket.settimeout(_HELLO_S)  # one too many is not refused but forgotten
        heard = b""
        while b":1." not in heard:
            if not (more := self.socket.recv(4096)):
                raise ConnectionError("no Hello")
            heard += more
        self.socket.settimeout(None)

    def owner(self, name: str) -> str:
        """Ask who has a name; "" where nobody does, or nobody tells."""
        where = {"path": "/org/freedesktop/DBus", "interface": _BUS, "to": _BUS}
        ask = {**where, "member": "GetNameOwner"}
        self.socket.sendall(encode(_CALL, ask, signature="s", body=name.encode()))
        heard = self.socket.recv(65536)
        start = heard.rfind(b"\0:1.") + 1
        return heard[start:].split(b"\0")[0].decode() if start else ""

    def until_behind(self) -> None:
        """Wait until the bus has dealt with all that we sent: it answers in order."""
        bus = {"path": "/org/freedesktop/DBus", "interface": _BUS, "to": _BUS}
        self.socket.sendall(encode(_CALL, {**bus, "member": "GetId"}, serial=_LAST))
        heard = b""
        while struct.pack("<BB2sI", 5, 1, b"u\0", _LAST) not in heard:
            if not (more := self.socket.recv(65536)):
                raise ConnectionError("the bus hung up")
            heard = heard[-100:] + more

    def drain(self) -> None:
        """Throw away what was said to us so far."""
        with suppress(BlockingIOError):
            while self.socket.recv(65536, socket.MSG_DONTWAIT):
                pass
            raise ConnectionError("the bus hung up")


def _largest(path: str, kind: int, member: str) -> Iterator[str]:
    """Send the largest message that the bus carries to each of the daemon's connections.

    Once, for what is sent without end keeps the bus itself from whatever else it is asked to do. A
    bus that does not carry one says nothing; it cuts us off.
    """
    targets = [one for name in NAMES if (one := Stranger(path).owner(name))]
    for size in LARGEST:
        try:
            for target in targets:
                stranger = Stranger(path)
                where = _to_daemon(target, member)
                stranger.socket.sendall(encode(kind, where, signature="ay", body=bytes(size)))
                stranger.until_behind()
        except OSError:
            continue
        yield f"{size} bytes to {len(targets)} connections"
        return


def largest_signal(path: str) -> Iterator[str]:
    """Unicast, past every match rule."""
    return _largest(path, _SIGNAL, "Storm")


def largest_call(path: str) -> Iterator[str]:
    """To a method that there is."""
    return _largest(path, _CALL, "Hold")


def small_calls(path: str) -> Iterator[str]:
    """100,000 calls, whose answers are not read."""
    stranger, sent = Stranger(path), 0
    some = _describe() * 100
    try:
        for _ in range(SMALL_CALLS // 100):
            stranger.socket.sendall(some)
            sent += 100
            yield f"{sent} calls"
    except OSError as error:
        yield f"{sent} calls, then: {error}"


def flood(path: str) -> Iterator[str]:
    """Calls that want no answer, and signals, for ever."""
    stranger = Stranger(path)
    targets = [one for name in NAMES if (one := stranger.owner(name))]
    signals = b"".join(encode(_SIGNAL, _to_daemon(to, "Storm")) for to in targets)
    some = (_describe(flags=_NO_REPLY) + signals) * 50
    sent = 0
    while True:
        try:
            stranger.socket.sendall(some)
            stranger.drain()
        except OSError:
            stranger = Stranger(path)
        sent += 50
        yield f"{sent} calls and {len(targets) * sent} signals"


def many(path: str) -> Iterator[str]:
    """As many connections as the bus gives us, each of which asks once a second."""
    strangers: list[Stranger] = []
    why = "enough"
    while len(strangers) < MANY_CONNECTIONS:
        try:
            strangers.append(Stranger(path))
        except OSError as error:
            why = str(error)
            break
    ask, rounds = _describe(), 0
    while True:
        for stranger in list(strangers):
            try:
                stranger.socket.send(ask, socket.MSG_DONTWAIT)
                stranger.drain()
            except BlockingIOError:
                pass
            except OSError:
                strangers.remove(stranger)
        rounds += 1
        select.select([], [], [], 1.0)
        yield f"{len(strangers)} connections ({why}), {rounds} rounds"


def metrics(path: str) -> Iterator[str]:
    """1,000 clients of the metrics socket at once that read nothing, and ever more after them."""
    directory, name = os.path.split(path)
    os.chdir(directory)  # the whole path may be longer than an address can be
    clients: list[socket.socket] = []
    made = 0
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(0)
        try:
            client.connect(name)
            clients.append(client)
            made += 1
        except BlockingIOError:  # its backlog is full
            client.close()
        if len(clients) > METRICS_CLIENTS:
            clients.pop(0).close()
        if made and not made % 100:
            yield f"{made} clients"


KINDS: Final[dict[str, Callable[[str], Iterator[str]]]] = {
    "largest-signal": largest_signal,
    "largest-call": largest_call,
    "small-calls": small_calls,
    "flood": flood,
    "many": many,
    "metrics": metrics,
}


def main(kind: str, path: str) -> None:
    """Deal blow after blow; SIGTERM ends those that have no end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    blows, last = KINDS[kind](path), ""
    with suppress(KeyboardInterrupt):
        last = next(blows)
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        for blow in blows:
            last = blow
    sys.stdout.write(f"{kind}: {last}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

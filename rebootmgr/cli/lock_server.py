"""The lock server of this host, asked by its socket for administrators."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from rebootmgr.cli.verb import Context
from rebootmgr.control.described import Record
from rebootmgr.errors import RebootmgrError
from rebootmgr.fleetlock.admin_names import BACKUP, GROUP, SOCKET
from rebootmgr.text import harmless
from rebootmgr.unix_sockets import unix_address

PATIENCE_S: Final = 60.0  # the server itself answers within 30 s, whatever its store does
LONGEST_ANSWER: Final = 64 * 1024 * 1024
_CHUNK: Final = 256 * 1024
_MAGIC: Final = b"SQLite format 3\0"
_START: Final = "start it with `systemctl start rebootmgr-lockd`, or ask on the host where it runs"


class _Connection(HTTPConnection):
    """Reaches a path instead of a host."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        with unix_address(self._path) as name:
            self.sock.connect(name)


def look(context: Context, path: str) -> Record:
    """Read what it shows; RebootmgrError with the cure."""
    with _asked(context, "GET", path, None) as response:
        return _decoded(response)


def change(context: Context, path: str, wish: dict[str, object]) -> str:
    """Have something changed; what it says. RebootmgrError where it was not."""
    with _asked(context, "POST", path, json.dumps(wish).encode("ascii")) as response:
        return _decoded(response).text("value")


def fetch_backup(context: Context, file: Path) -> int:
    """Put a copy of the store into `file`, whole or not at all; its size."""
    with _asked(context, "POST", BACKUP, b"") as response:
        try:
            with ExitStack() as undone:
                descriptor, draft = mkstemp(prefix=f".{file.name}-", dir=file.parent)
                undone.callback(os.unlink, draft)
                with os.fdopen(descriptor, "wb") as made:
                    size = _copy(response, made.fileno())
                Path(draft).replace(file)
                undone.pop_all()
        except FileNotFoundError as error:
            raise RebootmgrError(f"{file.parent} is no directory: create it") from error
        return size


def _copy(response: HTTPResponse, to: int) -> int:
    size = 0
    while chunk := response.read(_CHUNK):
        if not size and not chunk.startswith(_MAGIC):
            raise RebootmgrError("what the server sent is no store: nothing was written")
        size += os.write(to, chunk)
    if response.length:
        raise RebootmgrError("the server broke off: nothing was written; repeat the command")
    os.fsync(to)
    return size


@contextmanager
def _asked(context: Context, method: str, path: str, body: bytes | None) -> Iterator[HTTPResponse]:
    """Ask; what is no success is raised in the server's words."""
    connection = _Connection(context.root / SOCKET)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            raise RebootmgrError(_refusal(response))
        yield response
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise RebootmgrError(f"no rebootmgr-lockd runs on this host: {_START}") from error
    except PermissionError as error:
        what = f"{error.filename or SOCKET}: {error.strerror}"
        raise RebootmgrError(f"{what}; repeat the command as root") from error
    except (BrokenPipeError, ConnectionResetError) as error:
        cure = "see `journalctl -u rebootmgr-lockd`, then repeat the command"
        raise RebootmgrError(
            f"rebootmgr-lockd gave no usable answer (it hung up); {cure}"
        ) from error
    except TimeoutError as error:
        cure = "see `journalctl -u rebootmgr-lockd`, then repeat the command"
        raise RebootmgrError(f"rebootmgr-lockd gave no answer in time; {cure}") from error
    except HTTPException as error:
        name = type(error).__name__
        raise RebootmgrError(f"rebootmgr-lockd gave no usable answer ({name})") from error
    finally:
        with suppress(OSError):
            connection.close()


def _refusal(response: HTTPResponse) -> str:
    said = _decoded(response)
    value = said.text("value")
    if response.status == HTTPStatus.FORBIDDEN:
        return f"{value}: repeat the command with sudo, or join it (`usermod -aG {GROUP} USER`)"
    match said.members.get("value"):
        case str(lines) if response.status == HTTPStatus.CONFLICT:
            return "\n".join(harmless(line, longest=2000) for line in lines.splitlines())
        case _:
            return value


def _decoded(response: HTTPResponse) -> Record:
    try:
        body = response.read(LONGEST_ANSWER)
        if response.length:  # more of it was announced
            raise IncompleteRead(body, response.length)
        members = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RebootmgrError("rebootmgr-lockd gave no usable answer (no JSON)") from error
    if not isinstance(members, dict):
        raise RebootmgrError("rebootmgr-lockd gave no usable answer (no object)")
    return Record(members)

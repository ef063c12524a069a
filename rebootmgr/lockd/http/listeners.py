"""The sockets that hosts connect to: those that the service manager hands over, else our own."""

import errno
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from systemd.daemon import listen_fds

from rebootmgr.errors import RebootmgrError
from rebootmgr.lockd_config.keys import Address, Tcp, Unix
from rebootmgr.unix_sockets import listen_at_path

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
"""Who finds no room waits in the kernel; net.core.somaxconn may be lower."""


class ListenError(RebootmgrError):
    """Nobody could connect: the text says where, and what to do."""


def inherited() -> tuple[socket.socket, ...]:
    """Take the sockets that the service manager hands over (sd_listen_fds(3)).

    The variables are gone from os.environ then, so that no child takes them, too. ListenError where
    what they promise is not there.
    """
    try:
        return tuple(map(_taken, listen_fds(unset_environment=True)))
    except OSError as error:
        what = f"LISTEN_FDS promises sockets that are not there: {error.strerror or error}"
        cure = "start it by systemd, or without LISTEN_PID and LISTEN_FDS"
        raise ListenError(f"{what} ({cure})") from error


def _taken(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - positional only
    taken = socket.socket(fileno=descriptor)
    taken.settimeout(0)
    return taken


def listen_at(addresses: Sequence[Address]) -> dict[Address, socket.socket]:
    """Listen at each of these; of a family that this host lacks, at none.

    ListenError, and nothing is open, where one is taken or may not be had.
    """
    found: dict[Address, socket.socket] = {}
    for address in addresses:
        try:
            found[address] = _listening(address)
        except OSError as error:
            if not _is_of_no_family(address, error):
                close_all(found)
                raise ListenError(_why(address, error)) from error
            log.info("not listening at %s: this host has no such address family", address)
    return found


def _is_of_no_family(address: Address, error: OSError) -> bool:
    match address:
        case Tcp(host=host) if error.errno == errno.EADDRNOTAVAIL:
            return host.is_loopback or host.is_unspecified
        case Tcp():
            return error.errno == errno.EAFNOSUPPORT
        case Unix():
            return False


def close_all(listeners: Mapping[Address, socket.socket]) -> None:
    """Take no more, and leave no socket file behind."""
    for address, listener in listeners.items():
        if isinstance(address, Unix):
            with suppress(OSError):
                Path(address.path).unlink()
        listener.close()


def exposed(listeners: Sequence[socket.socket]) -> Iterator[str]:
    """Name those of these sockets that can be reached from other hosts."""
    for listener in listeners:
        if listener.family in {socket.AF_INET, socket.AF_INET6}:
            host, port, *_ = listener.getsockname()
            address = ip_address(host.partition("%")[0])
            if not address.is_loopback:
                yield str(Tcp(address, port))


def _listening(address: Address) -> socket.socket:
    match address:
        case Tcp(host=host, port=port):
            family = socket.AF_INET6 if host.version == 6 else socket.AF_INET
            made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                made.bind((str(host), port))
                made.listen(BACKLOG)
            except OSError:
                made.close()
                raise
            return made
        case Unix(path=path):
            return listen_at_path(Path(path), mode=0o666, backlog=BACKLOG)


def _why(address: Address, error: OSError) -> str:
    what = f"cannot listen at {address}: {error.strerror or error}"
    match error.errno:
        case errno.EADDRINUSE:
            return f"{what}: is a second rebootmgr-lockd running?"
        case errno.EACCES | errno.EPERM:
            return f"{what}: a port below 1024 and most folders are root's"
        case _:
            return what

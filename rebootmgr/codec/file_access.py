"""Who may read a file, by its owner, group and mode (path_resolution(7), credentials(7))."""

from collections.abc import Iterator
from dataclasses import dataclass

READ = 0o4
ENTER = 0o1


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user without capabilities, and every group of theirs."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What stat(2) says of a file: its owner, group and permission bits."""

    uid: int
    gid: int
    mode: int


def may(user: User, rights: Rights, wanted: int) -> bool:
    """Whether `user` has all of `wanted` (`READ`, `ENTER`): the first class that fits decides."""
    if user.uid == 0:
        return True
    shift = 0
    if user.uid == rights.uid:
        shift = 6
    elif rights.gid in user.gids:
        shift = 3
    return (rights.mode >> shift) & wanted == wanted


def decode_user(name: str, passwd: str, group: str) -> User | None:
    """Find a user in the text of passwd(5) and group(5); None where there is none."""
    for fields in _rows(passwd, 7):
        if fields[0] == name and fields[2].isdecimal() and fields[3].isdecimal():
            more = {int(row[2]) for row in _rows(group, 4) if name in row[3].split(",")}
            return User(name=name, uid=int(fields[2]), gids=frozenset({int(fields[3])} | more))
    return None


def _rows(text: str, count: int) -> Iterator[list[str]]:
    """Yield the rows with `count` fields and a number as their third."""
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == count and fields[2].isascii() and fields[2].isdecimal():
            yield fields

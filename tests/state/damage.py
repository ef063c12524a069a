"""State files of real hosts, damaged: the same ones each time, whoever asks.

A disk flips bytes, an editor loses a brace, an attacker who got the daemon's user writes what he
likes: bytes, types and structure are each damaged in their own way.
"""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any, Final

from rebootmgr.state.words import encode_state
from tests.state.test_words import FULL

TIMES: Final = (
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59Z", "3000-01-01T00:00:00Z", "2999-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z", "2026-03-01T12:00:00", "2026-02-30T12:00:00Z", "24:00", "",
)  # fmt: skip
NUMBERS: Final = (
    1e18, -1e18, 1e308, -1, 2**53 + 1, 2**63, 2**64, -(2**63), 10**400, 1e10, 1e-300, True,
)  # fmt: skip
TEXTS: Final = (
    "\ud800", "\udfff x", "\x00", "\x1b[2J\x1b]0;owned\x07", "a\nREADY=1", "\u202eevil", "x" * 9000,
    "https://eve:hunter2@lock.example/", "https://:hunter2@[::1]/b", "https://[", "//", "file:///x",
    "https://lock.example:99999/", "https://lock.example/\x1b[2J", "\u2028", "%s{0}", "rolled_back",
)  # fmt: skip
THINGS: Final[tuple[object, ...]] = (
    None,
    [],
    {},
    [[]],
    {"": None},
    [None] * 3,
    *TIMES,
    *NUMBERS,
    *TEXTS,
)
LITERALS: Final = (
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"1E18", b"\\ud800", b"\\u001b", b"\xff", b"\0",
    b"[" * 3000, b'{"a":' * 3000, b'"version"', b"null", b"-", b"\xef\xbb\xbf", b"", b"}",
)  # fmt: skip
MANY: Final = 100


def damaged(count: int, *, seed: int = 7) -> Iterator[bytes]:
    """Give `count` state files, each damaged once or a few times."""
    random = Random(seed)  # noqa: S311 - to be the same each time
    sound = encode_state(FULL)
    for _ in range(count):
        if random.random() < 0.3:
            yield _in_bytes(sound, random)
            continue
        top = json.loads(sound)
        for _ in range(random.choice((1, 1, 2, 5))):
            random.choice(WAYS)(top, random)
        yield json.dumps(top).encode()


def _in_bytes(data: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 3, 20))):
        begin = random.randrange(len(data) + 1)
        end = begin + random.choice((0, 1, 1, 8, 64))
        put = random.choice((bytes((random.randrange(256),)), random.choice(LITERALS)))
        data = data[:begin] if random.random() < 0.1 else data[:begin] + put + data[end:]
    return data


def _places(top: Any) -> list[tuple[Any, Any]]:
    """Give every container in it, with each of its keys."""
    found: list[tuple[Any, Any]] = []
    todo = [top]
    while todo:
        here = todo.pop()
        for key in here if isinstance(here, dict) else range(len(here)):
            found.append((here, key))
            if isinstance(here[key], dict | list):
                todo.append(here[key])
    return found


def _replace(top: Any, random: Random) -> None:
    here, key = random.choice(_places(top))
    here[key] = deepcopy(random.choice(THINGS))


def _replace_in_kind(top: Any, random: Random) -> None:
    """A time by another time, a number by another: what only a range can tell."""
    here, key = random.choice(_places(top))
    match here[key]:
        case bool():
            here[key] = not here[key]
        case int() | float():
            here[key] = random.choice(NUMBERS)
        case str() as text if text.endswith("Z"):
            here[key] = random.choice(TIMES)
        case str():
            here[key] = random.choice(TEXTS)
        case _:
            here[key] = deepcopy(random.choice(THINGS))


def _drop(top: Any, random: Random) -> None:
    here, key = random.choice(_places(top))
    if isinstance(here, dict):
        del here[key]


def _add(top: Any, random: Random) -> None:
    here, _ = random.choice(_places(top))
    if isinstance(here, dict):
        here[random.choice(TEXTS)] = deepcopy(random.choice(THINGS))
    else:
        here.append(deepcopy(random.choice(THINGS)))


def _repeat(top: Any, random: Random) -> None:
    """A hundred of what there was one of, each a little different."""
    lists = [here[key] for here, key in _places(top) if isinstance(here[key], list) and here[key]]
    if lists:
        some = random.choice(lists)
        some.extend(
            {**one, "id": f"n{n}"} if isinstance(one := some[0], dict) else one for n in range(MANY)
        )


def _move(top: Any, random: Random) -> None:
    """What is right, where it is wrong."""
    here, key = random.choice(_places(top))
    there, other = random.choice(_places(top))
    here[key] = json.loads(json.dumps(there[other]))


WAYS: Final[tuple[Callable[[Any, Random], None], ...]] = (
    _replace, _replace_in_kind, _replace_in_kind, _replace_in_kind, _drop, _add, _repeat, _move,
)  # fmt: skip

"""Everything that can go wrong between a host and its lock server, on real sockets."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import cycle

import pytest

from rebootmgr.core.events import (
    LockAnswer,
    LockGranted,
    LockRefused,
    LockUnclear,
    ReleaseUnclear,
    SlotReleased,
)
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.words import Server
from tests.fakes.fleetlock import FakeFleetLock, Script, drip, hang, reply, silence
from tests.fleetlock.lock_requests import unclear
from tests.waiting import PATIENT_S

T = Ticket(7)
SLOT = Slot("http://lock", "default", "node1")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"


def client() -> LockClient:
    return LockClient(observed=lambda *_: None)


def at(fake: FakeFleetLock, *, timeout_s: float = PATIENT_S) -> Server:
    return Server(base_url=fake.url, timeout_s=timeout_s)


async def ask(fake: FakeFleetLock, *scripts: Script) -> list[LockAnswer]:
    """Ask once for each script, all at the same time; the answers in the order of the scripts."""
    fake.script.extend(scripts)
    first = len(fake.seen)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number, _ in enumerate(scripts, first + 1):
            tasks.append(group.create_task(client().acquire(T, SLOT, at(fake))))
            await fake.wait_seen(number)
    assert len(fake.seen) == first + len(scripts), "no question is ever put twice"
    return [task.result() for task in tasks]


async def test_whatever_status_servers_and_proxies_say_it_arrives_as_it_is(
    fake: FakeFleetLock,
) -> None:
    statuses = (200, 201, 204, 304, 404, 405, 409, 502, 503, 599)
    answers = await ask(fake, *(reply(status) for status in statuses))
    for status, answer in zip(statuses, answers, strict=True):
        match status:
            case 200:
                assert answer == LockGranted(T, SLOT)
            case 409:
                assert isinstance(answer, LockRefused)
            case _:
                unclear(answer, f"HTTP {status}", answered=True)


async def test_no_redirect_is_followed_wherever_it_leads(fake: FakeFleetLock) -> None:
    statuses = (301, 302, 303, 307, 308)
    async with FakeFleetLock() as target:
        places = (f"{target.url}/v1/pre-reboot", f"//localhost:{target.port}/", "/v1/pre-reboot")
        pairs = zip(statuses, cycle(places), strict=False)
        answers = await ask(fake, *(reply(status, location=place) for status, place in pairs))
        assert target.seen == []
    for answer in answers:
        unclear(answer, "HTTP 30", answered=True)
    fake.script.append(reply(307, location="/v1/steady-state"))
    assert isinstance(await client().release(T, SLOT, at(fake)), ReleaseUnclear)
    assert fake.holders == {}


async def test_an_answer_that_is_slow_but_comes_is_an_answer(fake: FakeFleetLock) -> None:
    head = HEAD.replace(b"2000", b"0")
    late = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ask(fake, Script((head,), gate=late), Script((b"", *cut(head)))))
        await fake.wait_seen(2)
        late.set()
    assert task.result() == [LockGranted(T, SLOT)] * 2


def cut(data: bytes) -> list[bytes]:
    """One byte at a time."""
    return [data[at : at + 1] for at in range(len(data))]


async def test_headers_that_drip_are_given_up_after_the_timeout(fake: FakeFleetLock) -> None:
    fake.script.append(drip(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n", every_s=0.2))
    answer = await client().acquire(T, SLOT, at(fake, timeout_s=1.0))
    unclear(answer, "no answer in time", answered=False)


async def test_whatever_is_wrong_with_the_body_of_a_refusal_it_is_a_refusal(
    fake: FakeFleetLock,
) -> None:
    bodies = (
        b'{"kind": "lock_held", "val',
        b"\xff\xfe\0\0",
        b'{"kind": "' + b"x" * 10_000_000 + b'"}',
        b"[" * 60_000,
        b'{"kind": "a", "value": "b\\n\\u001b[31m\\u202e"}',
        b"",
    )
    answers = await ask(fake, *(reply(423, body) for body in bodies))
    cut_short = Script((b"HTTP/1.1 423 L\r\nContent-Length: 90\r\n\r\n", b'{"kind": "l'))
    answers += await ask(fake, cut_short)
    for answer in answers:
        assert isinstance(answer, LockRefused)
        assert answer.detail.startswith("HTTP 423")
        assert answer.detail.isprintable()
        assert len(answer.detail) <= 200


async def test_the_connection_is_closed_in_every_wrong_place(fake: FakeFleetLock) -> None:
    scripts = (
        silence(),
        Script((b"HTTP/1.1",)),
        Script((b"HTTP/1.1 200 OK\r\n",)),
        Script((b"HTTP/1.1 100 Continue\r\n\r\n",)),
        Script((b"HTTP/1.1 two hundred\r\n\r\n",)),
        Script((b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n",)),
        Script((b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",)),
        Script((b"\x15\x03\x01\x00\x02\x02\x50",)),  # a TLS alert
    )
    for answer in await ask(fake, *scripts):
        assert isinstance(answer, LockUnclear)
        assert not answer.answered
        assert answer.detail.isprintable()


async def test_an_interim_answer_is_not_the_answer(fake: FakeFleetLock) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    after = b"HTTP/1.1 423 Locked\r\nContent-Length: 0\r\n\r\n"
    (answer,) = await ask(fake, Script((early, after)))
    assert isinstance(answer, LockRefused)


@pytest.mark.parametrize("what", ["reset", "silent"])
async def test_whoever_is_no_server_at_all_is_unreachable(what: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        timeout_s = 1.0 if what == "silent" else PATIENT_S
        server = Server(base_url=f"http://127.0.0.1:{port}", timeout_s=timeout_s)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(client().acquire(T, SLOT, server))
            if what == "reset":
                listener.setblocking(False)  # noqa: FBT003 - its only argument
                taken, _ = await asyncio.get_running_loop().sock_accept(listener)
                linger = b"\1\0\0\0\0\0\0\0"  # close with a reset
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                taken.close()
        unclear(task.result(), "", answered=False)


async def test_tls_that_fails_is_unreachable_and_says_why() -> None:
    """The other end speaks plain HTTP, hangs up or hangs in the middle of the handshake."""
    parts = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03", b"\x15\x03\x01\0\x02\x02\x50"]

    async def shake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(parts.pop())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(shake, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        https = Server(base_url=f"https://127.0.0.1:{port}", timeout_s=PATIENT_S)
        for _ in range(len(parts)):
            answer = await client().acquire(T, SLOT, https)
            unclear(answer, f"cannot connect to 127.0.0.1:{port}: ", answered=False)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        https = Server(base_url=f"https://127.0.0.1:{port}", timeout_s=1.0)
        unclear(await client().acquire(T, SLOT, https), "no answer in time", answered=False)


def from_now(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


async def test_only_a_server_that_spreads_its_clients_makes_appointments(
    fake: FakeFleetLock,
) -> None:
    plain = reply(423, retry_after="40")
    ours = reply(423, retry_after="40", rebootmgr_lockd="1")
    for answer, appointed in zip(await ask(fake, plain, ours), (False, True), strict=True):
        assert isinstance(answer, LockRefused)
        assert (answer.retry_after_s, answer.appointed) == (40.0, appointed)


async def test_retry_after_is_honoured_within_reason(fake: FakeFleetLock) -> None:
    wishes = {
        "17": (17, 17),
        "86400": (3600, 3600),
        "9" * 400: (0, 0),
        "-3": (0, 0),
        from_now(600): (500, 600),
        "Fri, 31 Dec 9999 23:59:59 GMT": (3600, 3600),
    }
    answers = await ask(fake, *(reply(503, retry_after=wish) for wish in wishes))
    for (wish, (least, most)), answer in zip(wishes.items(), answers, strict=True):
        assert isinstance(answer, LockUnclear)
        assert least <= answer.retry_after_s <= most, wish
    fake.script += [reply(429, retry_after="40"), reply(200, retry_after="99")]
    release = await client().release(T, SLOT, at(fake))
    assert release == ReleaseUnclear(T, SLOT, "HTTP 429 Too Many Requests", 40)
    assert await client().release(T, SLOT, at(fake)) == SlotReleased(T, SLOT)


async def test_a_question_that_is_taken_back_costs_no_time(fake: FakeFleetLock) -> None:
    """Wherever it is: before the connection, in the headers, in the body."""
    for script in (hang(), hang(b"HTTP/1.1 200 OK\r\n"), hang(HEAD, b"x")):
        fake.script.append(script)
        number = len(fake.seen) + 1
        async with asyncio.TaskGroup() as group:
            asking = LockClient(observed=lambda *_: None, grace_s=PATIENT_S)
            task = group.create_task(asking.acquire(T, SLOT, at(fake)))
            await fake.wait_seen(number)
            task.cancel()  # nothing else would end it in the time of a test
        assert task.cancelled()
        await fake.wait_closed()

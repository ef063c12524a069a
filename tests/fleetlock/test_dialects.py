"""Every answer of every lock server over real HTTP, and what the core makes of it.

One row for each cell of the table of what the real servers do. The first cell of each status of a
server goes through the real child; the others are read off the socket, for its start is what costs.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final, TypeAlias

import pytest

from rebootmgr.core.counters import Api
from rebootmgr.core.describe import describe
from rebootmgr.core.effects import Acquire, Reboot, Release
from rebootmgr.core.events import (
    HostChanged,
    LockAnswer,
    LockGranted,
    LockUnclear,
    PolicyLoaded,
    ReleaseAnswer,
    ReleaseUnclear,
    SlotReleased,
)
from rebootmgr.core.facts import Inhibitor, Logind, Look
from rebootmgr.core.memory import Debt
from rebootmgr.core.model import NoticeKind, Reason, Slot
from rebootmgr.core.states import Asking, Committing, Queued
from rebootmgr.core.status import Status
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.words import (
    Answer,
    Server,
    decode_error_kind,
    decode_lock_answer,
    decode_release_answer,
    encode_body,
)
from tests.core.script import EPOCH, FLEET, NEW, SLOT, Script, running
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.fleetlock_dialects import PASSWORD, Airlock, Consul, DynamoDb, Knubbis
from tests.fakes.fleetlock_kubernetes import ALL_FULL, CallsBounded, Heathcliff, Krm, Poseidon
from tests.fakes.fleetlock_store import Dialect, Trouble
from tests.waiting import PATIENT_S

ME: Final = SLOT.id
OTHER: Final = "somebody"
BACKUP = Inhibitor(who="backup", why="nightly", uid=0, pid=7)


Told: TypeAlias = tuple[LockAnswer | ReleaseAnswer, str | None]


class Meaning(StrEnum):
    """What an answer lets us do; the last two are for a release."""

    GRANTED = "granted"
    RESERVED = "reserved"
    REFUSED = "refused"
    UNCLEAR = "unclear"
    FAILING = "failing"
    RELEASED = "released"
    OWED = "owed"


G, RES, REF, U, F, FREE, OWED = Meaning


@dataclass(frozen=True, slots=True)
class Situation:
    """What the server is like when we ask."""

    holder: str = ""
    trouble: Trouble | None = None
    groups: frozenset[str] = frozenset({"default"})
    userinfo: str = f"node:{PASSWORD}@"


@dataclass(frozen=True, slots=True)
class Cell:
    """One situation at one server: what it means, and what people read of it."""

    server: str
    api: Api
    situation: str
    meaning: Meaning
    detail: str

    @property
    def status(self) -> str:
        return self.detail.split()[1] if self.detail else "200"

    def __str__(self) -> str:
        return f"{self.server}, {self.api}, {self.situation}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of one request: our answer, the label it is counted under, who holds the slot."""

    answer: LockAnswer | ReleaseAnswer
    kind: str | None
    holders: tuple[str, ...]


SITUATIONS: Final = {
    "free": Situation(),
    "ours": Situation(holder=ME),
    "busy": Situation(holder=OTHER),
    "race": Situation(trouble=Trouble.RACE),
    "race, ours": Situation(trouble=Trouble.RACE, holder=ME),
    "unknown group": Situation(groups=frozenset({"elsewhere"})),
    "no password": Situation(userinfo=""),
    "wrong password": Situation(userinfo="node:guess@", holder=ME),
    "down": Situation(trouble=Trouble.BACKEND_DOWN, holder=ME),
    "corrupt": Situation(trouble=Trouble.CORRUPT, holder=ME),
}
NOBODY: Final = frozenset[str]()
DEAD: Final = "failed to initialize semaphore manager: context deadline exceeded"


def server_of(name: str) -> Dialect:
    """A fresh one, with what makes it special in its name."""
    match name:
        case "airlock":
            return Airlock()
        case "poseidon":
            return Poseidon()
        case "poseidon, no such node":
            return Poseidon(nodes=NOBODY)
        case "heathcliff":
            return Heathcliff()
        case "heathcliff, draining":
            return Heathcliff(pods=2)
        case "heathcliff, in memory":
            return Heathcliff(memory=True)
        case "knubbis":
            return Knubbis()
        case "knubbis, [ratelimit] missing":
            return Knubbis(rate=0, burst=0)
        case "knubbis, other passwords":
            return Knubbis(passwords={"elsewhere-*": PASSWORD})
        case "krm":
            return Krm()
        case "krm, evicting":
            return Krm(pods=2)
        case "krm, no such node":
            return Krm(nodes=NOBODY)
        case "krm, node not ready":
            return Krm(unready=frozenset({ME}))
        case "krm, no annotation":
            return Krm(unannotated=frozenset({ME}))
        case "dynamodb":
            return DynamoDb()
        case "consul":
            return Consul()
        case _:
            raise AssertionError(name)


LOCKS: Final = (
    ("airlock", "free", G, ""),
    ("airlock", "ours", G, ""),
    ("airlock", "busy", U, "HTTP 500 failed_lock: all 1 semaphore slots currently locked"),
    ("airlock", "race", U, "HTTP 500 failed_lock: conflict on semaphore detected, aborting"),
    ("airlock", "unknown group", F, 'HTTP 400 unknown_group: unknown group "default"'),
    ("airlock", "down", F, f"HTTP 500 failed_sem_init: {DEAD}"),
    ("airlock", "corrupt", U, "HTTP 500 failed_lock: unexpected end of JSON input"),
    ("poseidon", "free", G, ""),
    ("poseidon", "ours", G, ""),
    ("poseidon", "unknown group", G, ""),
    (
        "poseidon",
        "busy",
        REF,
        "HTTP 423 lock_held: reboot lease lock unavailable, held by somebody",
    ),
    ("poseidon", "race", U, "HTTP 423 lock_held: reboot lease lock unavailable, held by"),
    ("poseidon", "down", F, "HTTP 500 internal_error: error getting reboot lease"),
    ("poseidon, no such node", "free", G, ""),
    ("heathcliff", "free", G, ""),
    ("heathcliff", "ours", G, ""),
    ("heathcliff", "busy", REF, f"HTTP 423 all_slots_full: {ALL_FULL}"),
    ("heathcliff", "unknown group", F, "HTTP 500 error: An unexpected error occured"),
    ("heathcliff", "down", F, "HTTP 500 error: An unexpected error occured"),
    ("heathcliff, draining", "free", RES, "HTTP 202 waiting_for_node_drain: The slot is reserved"),
    ("heathcliff, draining", "ours", RES, "HTTP 202 waiting_for_node_drain: The slot is reserved"),
    ("knubbis", "free", G, ""),
    ("knubbis", "ours", G, ""),
    ("knubbis", "busy", REF, "HTTP 409 failed_lock: all 1 slots are currently taken: [somebody]"),
    ("knubbis", "race", U, "HTTP 500 failed_lock: failed getting lock"),
    ("knubbis", "unknown group", U, "HTTP 500 failed_lock: group does not exist in config"),
    ("knubbis", "no password", F, "HTTP 401 unauthorized_request: not authorized"),
    ("knubbis", "wrong password", F, "HTTP 401 unauthorized_request: not authorized"),
    ("knubbis", "down", U, "HTTP 500 failed_lock: failed getting lock"),
    ("knubbis", "corrupt", U, "HTTP 500 failed_lock: failed getting lock"),
    (
        "knubbis, other passwords",
        "unknown group",
        F,
        "HTTP 401 unauthorized_request: not authorized",
    ),
    ("knubbis, [ratelimit] missing", "free", U, "HTTP 429 request_ratelimit: too many requests"),
    ("krm", "free", G, ""),
    ("krm", "ours", G, ""),
    ("krm", "unknown group", G, ""),
    ("krm", "busy", U, "HTTP 404 f1: other nodes rebooting"),
    ("krm", "race", U, "HTTP 404 f1: other nodes rebooting"),
    ("krm", "down", F, "HTTP 500 Internal Server Error"),
    ("krm, evicting", "free", U, "HTTP 404 f1: pods still evicting"),
    ("krm, no such node", "free", F, "HTTP 500 Internal Server Error"),
    ("krm, no annotation", "free", F, "HTTP 500 Internal Server Error"),
    ("dynamodb", "free", G, ""),
    ("dynamodb", "ours", G, ""),
    ("dynamodb", "busy", U, "HTTP 400 Bad Request"),
    ("consul", "free", G, ""),
    ("consul", "ours", G, ""),
    ("consul", "busy", U, "HTTP 503 Service Unavailable: too many nodes down, cannot lock yet"),
)

RELEASES: Final = (
    ("airlock", "free", FREE, ""),
    ("airlock", "ours", FREE, ""),
    ("airlock", "busy", FREE, ""),
    (
        "airlock",
        "race, ours",
        OWED,
        "HTTP 500 failed_lock: conflict on semaphore detected, aborting",
    ),
    ("airlock", "down", OWED, f"HTTP 500 failed_sem_init: {DEAD}"),
    ("airlock", "corrupt", OWED, "HTTP 500 failed_lock: unexpected end of JSON input"),
    ("airlock", "unknown group", OWED, 'HTTP 400 unknown_group: unknown group "default"'),
    ("poseidon", "free", FREE, ""),
    ("poseidon", "ours", FREE, ""),
    ("poseidon", "busy", FREE, ""),  # 423
    ("poseidon", "down", OWED, "HTTP 500 internal_error: error getting reboot lease"),
    ("poseidon, no such node", "ours", OWED, "HTTP 500 internal_error: error uncordoning node"),
    ("heathcliff", "free", FREE, ""),
    ("heathcliff", "ours", FREE, ""),
    ("heathcliff", "busy", FREE, ""),
    ("heathcliff", "down", OWED, "HTTP 500 error: An unexpected error occured"),
    ("heathcliff, draining", "ours", FREE, ""),
    ("heathcliff, in memory", "busy", FREE, ""),
    ("knubbis", "free", FREE, ""),
    ("knubbis", "ours", FREE, ""),
    ("knubbis", "busy", FREE, ""),
    ("knubbis", "wrong password", OWED, "HTTP 401 unauthorized_request: not authorized"),
    ("knubbis", "down", OWED, "HTTP 500 failed_lock: failed getting lock"),
    ("knubbis, [ratelimit] missing", "ours", OWED, "HTTP 429 request_ratelimit: too many requests"),
    ("krm", "free", FREE, ""),
    ("krm", "ours", FREE, ""),
    ("krm", "busy", FREE, ""),
    ("krm", "down", OWED, "HTTP 500 Internal Server Error"),
    ("krm, node not ready", "ours", OWED, "HTTP 500 Internal Server Error"),
    ("krm, no such node", "free", OWED, "HTTP 500 Internal Server Error"),
    ("dynamodb", "free", FREE, ""),
    ("dynamodb", "ours", FREE, ""),
    ("dynamodb", "busy", OWED, "HTTP 400 Bad Request"),
    ("consul", "free", FREE, ""),
    ("consul", "ours", FREE, ""),
    ("consul", "busy", FREE, ""),
)

CELLS: Final = sorted(
    (
        Cell(server, api, situation, meaning, detail)
        for api, rows in ((Api.PRE_REBOOT, LOCKS), (Api.STEADY_STATE, RELEASES))
        for server, situation, meaning, detail in rows
    ),
    key=lambda cell: (cell.server, cell.api),
)


def asking() -> Script:
    """A host that has just put its question."""
    script = running(FLEET, staged=NEW)
    assert isinstance(script.state.attempt, Asking)
    return script


def giving_back() -> Script:
    """A host that was granted the slot, and needs it no longer."""
    script = asking()
    script.on(LockGranted(script.get(Acquire).ticket, SLOT))
    script.staged = None
    return script.look()


QUESTION: Final = asking().get(Acquire).ticket
RELEASE: Final = giving_back().get(Release).ticket


@cache
def ask_all(server: str, api: Api) -> Mapping[Cell, Asked]:
    """Ask in every situation, each time a fresh server."""
    return asyncio.run(_ask_all([one for one in CELLS if (one.server, one.api) == (server, api)]))


async def _ask_all(cells: list[Cell]) -> Mapping[Cell, Asked]:
    first = {cell.status: cell for cell in reversed(cells)}
    async with asyncio.TaskGroup() as group:
        tasks = {
            cell: group.create_task(_ask(cell, by_child=first[cell.status] is cell))
            for cell in cells
        }
    return {cell: task.result() for cell, task in tasks.items()}


async def _ask(cell: Cell, *, by_child: bool) -> Asked:
    situation = SITUATIONS[cell.situation]
    async with FakeFleetLock(dialect=server_of(cell.server), groups=situation.groups) as fake:
        if situation.holder:
            fake.seize("default", situation.holder)
        fake.trouble = situation.trouble
        send = _send_by_child if by_child else _send_by_hand
        answer, kind = await send(cell.api, fake, situation.userinfo)
        assert len(fake.seen) == 1
        return Asked(answer, kind, tuple(fake.holders.get("default", [])))


async def _send_by_child(api: Api, fake: FakeFleetLock, userinfo: str) -> Told:
    kinds: list[str | None] = []
    client = LockClient(observed=lambda _api, kind, _seconds: kinds.append(kind))
    server = Server(base_url=fake.url.replace("//", f"//{userinfo}"), timeout_s=PATIENT_S)
    match api:
        case Api.PRE_REBOOT:
            return await client.acquire(QUESTION, SLOT, server), kinds[0]
        case Api.STEADY_STATE:
            return await client.release(RELEASE, SLOT, server), kinds[0]


async def _send_by_hand(api: Api, fake: FakeFleetLock, userinfo: str) -> Told:
    body = encode_body(SLOT)
    pair = base64.b64encode(userinfo.rstrip("@").encode()).decode()
    credentials = f"Authorization: Basic {pair}\r\n" if pair else ""
    head = f"POST /v1/{api} HTTP/1.1\r\nContent-Length: {len(body)}\r\n{credentials}"
    reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
    writer.write(f"{head}fleet-lock-protocol: true\r\n\r\n".encode() + body)
    status, words = decode_whole(await reader.read())
    writer.close()
    await writer.wait_closed()
    answer = Answer(status, "", words)
    kind = decode_error_kind(api, answer)
    match api:
        case Api.PRE_REBOOT:
            return decode_lock_answer(QUESTION, SLOT, answer, at=EPOCH), kind
        case Api.STEADY_STATE:
            return decode_release_answer(RELEASE, SLOT, answer, at=EPOCH), kind


def decode_whole(answer: bytes) -> tuple[int, str]:
    """Status and body of an answer as it came."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" in head:
        body = b"".join(body.split(b"\r\n")[1::2])
    return int(head.split()[1]), body.decode()


def asked_of(cell: Cell) -> Asked:
    return ask_all(cell.server, cell.api)[cell]


def heard(cell: Cell) -> Script:
    """The host, right after it heard this answer."""
    asked = asked_of(cell)
    script = asking() if cell.api is Api.PRE_REBOOT else giving_back()
    script.on(asked.answer)
    assert script.state.ledger or ME not in asked.holders, "a slot leaked"
    return script


def shown(script: Script) -> Status:
    return describe(script.state, script.policy, script.at, since={})


def abandon(script: Script) -> Script:
    """Something comes in the way."""
    script.logind = Logind(inhibitors=(BACKUP,))
    return script.on(HostChanged(Look.LOGIND)).look()


def asks_again(script: Script, *, not_before: float, at_last: float) -> None:
    """The next question comes within these seconds."""
    assert not script.has(Acquire)
    assert not script.later(not_before - 0.001).has(Acquire)
    assert script.later(at_last - not_before + 0.002).get(Acquire).slot == SLOT


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_every_answer_has_its_next_action(cell: Cell) -> None:
    match cell.meaning:
        case Meaning.GRANTED:
            _the_last_look_and_the_reboot_follow(cell)
        case Meaning.RESERVED:
            _it_is_asked_for_again_and_not_given_back_by_that(cell)
        case Meaning.REFUSED:
            _there_is_nothing_to_give_back(cell)
        case Meaning.UNCLEAR:
            _the_slot_is_presumed_ours(cell, Reason.LOCK_REFUSED)
        case Meaning.FAILING:
            _the_slot_is_presumed_ours(cell, Reason.LOCK_FAILING)
        case Meaning.RELEASED:
            _that_is_the_end_of_it(cell)
        case Meaning.OWED:
            _it_is_shown_repeated_soon_and_stops_nothing(cell)
    assert asked_of(cell).kind == counted_as(cell)


def counted_as(cell: Cell) -> str | None:
    """The label in the metrics: the server's own word where it is one."""
    if cell.meaning is Meaning.RESERVED:
        return None
    if not cell.detail:
        return "lock_held" if (cell.server, cell.situation) == ("poseidon", "busy") else None
    word = cell.detail.partition(":")[0].split()[2]
    return word if word.islower() else f"generic_http_{cell.status}"


def _the_last_look_and_the_reboot_follow(cell: Cell) -> None:
    script = heard(cell)
    assert isinstance(script.state.attempt, Committing)
    assert shown(script).lock_held
    assert script.look().has(Reboot)
    assert not script.has(Release)
    assert ME in asked_of(cell).holders


def _it_is_asked_for_again_and_not_given_back_by_that(cell: Cell) -> None:
    script = heard(cell)
    assert [(one.reason, one.detail) for one in shown(script).blockers] == [
        (Reason.LOCK_DRAINING, cell.detail)
    ]
    assert not script.has(Release)
    asks_again(script, not_before=10, at_last=30)
    assert not script.has(Release)
    script = abandon(heard(cell))
    assert script.get(Release).slot == SLOT


def _there_is_nothing_to_give_back(cell: Cell) -> None:
    script = heard(cell)
    assert [(one.reason, one.detail) for one in shown(script).blockers] == [
        (Reason.LOCK_REFUSED, cell.detail)
    ]
    assert script.state.memory.debts == ()
    assert not shown(script).lock_held
    assert not shown(script).lock_presumed
    asks_again(script, not_before=5.0, at_last=15)
    script = abandon(heard(cell))
    assert script.reasons == [Reason.INHIBITED, Reason.LOCK_REFUSED]
    assert not script.has(Release)


def _the_slot_is_presumed_ours(cell: Cell, reason: Reason) -> None:
    script = heard(cell)
    assert [(one.reason, one.detail) for one in shown(script).blockers] == [(reason, cell.detail)]
    assert isinstance(script.state.attempt, Queued)
    assert script.state.memory.debts == (Debt(slot=SLOT),)
    asks_again(script, not_before=5.0, at_last=15)
    script = abandon(heard(cell))
    release = script.get(Release)
    assert release.slot == SLOT
    script.on(SlotReleased(release.ticket, SLOT))
    assert script.state.ledger == (), "it was answered: nothing can be granted late"


def _that_is_the_end_of_it(cell: Cell) -> None:
    script = heard(cell)
    assert script.state.ledger == ()
    assert script.state.memory.debts == ()
    assert shown(script).notices == ()
    assert ME not in asked_of(cell).holders


def _it_is_shown_repeated_soon_and_stops_nothing(cell: Cell) -> None:
    script = heard(cell)
    (notice,) = shown(script).notices
    assert notice.kind is NoticeKind.SLOT_NOT_RELEASED
    assert notice.detail.startswith(f"{SLOT.server} (group {SLOT.group}): not confirmed since ")
    assert f" UTC: {cell.detail}, asked again at " in notice.detail
    assert [debt.slot for debt in script.state.memory.debts] == [SLOT]
    assert not script.later(0.999).has(Release)
    release = script.later(2.002).get(Release)
    script.on(ReleaseUnclear(release.ticket, SLOT, cell.detail))
    assert not script.has(Release)
    again = script.later(15.0).get(Release)
    script.on(ReleaseUnclear(again.ticket, SLOT, cell.detail))  # two names may be one server
    elsewhere = Slot("https://other.example", "default", ME)
    script.under(slot=elsewhere).on(PolicyLoaded())
    while (there := script.sleep().get(Release)).slot != elsewhere:  # its first confirmation
        script.on(ReleaseUnclear(there.ticket, SLOT, cell.detail))
    script.on(ReleaseUnclear(there.ticket, elsewhere, "no answer"))
    script.staged = NEW
    assert script.on(HostChanged(Look.OS)).look().get(Acquire).slot == elsewhere


async def test_a_server_that_drains_before_it_answers_is_waited_for() -> None:
    """Poseidon says nothing until every eviction has been asked for."""
    drained = asyncio.Event()
    client = LockClient(observed=lambda *_: None)
    async with FakeFleetLock(dialect=Poseidon(drained=drained)) as fake:
        async with asyncio.TaskGroup() as group:
            server = Server(base_url=fake.url, timeout_s=PATIENT_S)
            task = group.create_task(client.acquire(QUESTION, SLOT, server))
            await fake.wait_seen(1)
            assert fake.holders == {"default": [ME]}
            assert not task.done()
            drained.set()
        assert task.result() == LockGranted(QUESTION, SLOT)


@pytest.mark.parametrize("name", ["heathcliff, draining", "krm, evicting"])
async def test_asking_again_is_what_ends_a_drain(name: str) -> None:
    client = LockClient(observed=lambda *_: None)
    async with FakeFleetLock(dialect=server_of(name)) as fake:
        server = Server(base_url=fake.url, timeout_s=PATIENT_S)
        answers = [await client.acquire(QUESTION, SLOT, server) for _ in range(3)]
        assert LockGranted(QUESTION, SLOT) not in answers[:2]
        assert answers[2] == LockGranted(QUESTION, SLOT)
        assert isinstance(answers[0], LockUnclear) is name.startswith("krm")
        assert await client.release(RELEASE, SLOT, server) == SlotReleased(RELEASE, SLOT)
        assert fake.holders == {"default": []}


async def test_a_host_that_holds_nothing_frees_somebody_elses_slot_at_one_server() -> None:
    """A defect of heathcliff's memory storage, and why a clean refusal is never given back."""
    client = LockClient(observed=lambda *_: None)
    async with FakeFleetLock(dialect=Heathcliff(memory=True)) as fake:
        fake.seize("default", OTHER)
        server = Server(base_url=fake.url, timeout_s=PATIENT_S)
        script = asking().on(await client.acquire(QUESTION, SLOT, server))
        assert not abandon(script).has(Release)
        assert fake.holders == {"default": [OTHER]}
        assert await client.release(RELEASE, SLOT, server) == SlotReleased(RELEASE, SLOT)
        assert fake.holders == {"default": []}


AUTHORIZATION: Final = "Basic " + base64.b64encode(f"node:{PASSWORD}".encode()).decode()
ASKS: Final = '{"client_params":{"id":"me","group":"default"}}'
LONG_HEAD: Final = "X: " + "x" * 2**21 + "\r\n"
BODIES: Final = {
    "as it ought to be": ASKS,
    "keys in capitals": ASKS.replace("client_params", "CLIENT_PARAMS").replace("id", "ID"),
    "a key too many": ASKS.replace('"id"', '"x":1,"id"'),
    "a key twice": ASKS.replace('"id"', '"id":"you","id"'),
    "something behind it": ASKS + "}",
    "no UTF-8": ASKS.replace("me", "m\udcff"),
    "a mark before it": "\ufeff" + ASKS,
}
TAKEN: Final = {
    "as it ought to be": {"airlock", "poseidon", "heathcliff", "knubbis", "dynamodb"},
    "keys in capitals": {"airlock", "poseidon", "knubbis"},
    "a key too many": {"airlock", "poseidon", "heathcliff", "knubbis"},
    "a key twice": {"airlock", "poseidon", "knubbis"},
    "something behind it": {"airlock", "poseidon", "knubbis"},
    "no UTF-8": {"airlock", "poseidon"},  # an id of knubbis has ASCII letters alone
    "a mark before it": set[str](),
}


@pytest.mark.parametrize("name", sorted(TAKEN["as it ought to be"]))
async def test_what_a_server_takes_for_a_question_is_as_with_the_real_one(name: str) -> None:
    async with FakeFleetLock(dialect=server_of(name), slots=9) as fake:
        for what, body in BODIES.items():
            fake.holders.clear()
            status, _ = await raw(fake, body, f"Authorization: {AUTHORIZATION}\r\n")
            assert (status == 200) is (name in TAKEN[what]), (what, status)
            assert status in {200, 400}, what


@pytest.mark.parametrize("name", ["airlock", "poseidon", "heathcliff"])
async def test_the_wire_of_a_server_is_that_of_the_real_one(name: str) -> None:
    async with FakeFleetLock(dialect=server_of(name)) as fake:
        assert (await raw(fake, ASKS, path="/base/v1/pre-reboot"))[0] == 404
        assert (await raw(fake, ASKS, path="/v1/pre-reboot/"))[0] == 404
        assert (await raw(fake, ASKS, path="//v1/pre-reboot"))[0] in {301, 307}
        status, said = await raw(fake, ASKS, LONG_HEAD)
        assert (status, said) == (431, "431 Request Header Fields Too Large")
        first = "fleet-lock-protocol: false\r\n"
        assert (await raw(fake, ASKS, first))[0] == 400, "the first of two counts"
        half = len(ASKS) // 2
        chunks = "".join(f"{len(c):x};x=y\r\n{c}\r\n" for c in (ASKS[:half], ASKS[half:], ""))
        chunked = "Transfer-Encoding: chunked\r\n"
        assert (await raw(fake, chunks, chunked, length=False))[0] == 200
        fake.free("default", "me")
        fake.seize("default", OTHER)
        if name == "airlock":
            busy = "all 1 semaphore slots currently locked"
            assert (await raw(fake, ASKS))[1] == f'{{"kind":"failed_lock","value":"{busy}"}}\n'


async def raw(
    fake: FakeFleetLock,
    body: str,
    head: str = "",
    *,
    path: str = "/v1/pre-reboot",
    length: bool = True,
) -> tuple[int, str]:
    """Ask by hand; the status and what came behind the head."""
    data = body.encode(errors="surrogateescape")
    head += "fleet-lock-protocol: true\r\n"
    head += f"Content-Length: {len(data)}\r\n" if length else ""
    reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
    writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
    answer = decode_whole(await reader.read())
    writer.close()
    return answer


async def test_a_question_that_was_cancelled_is_granted_when_the_store_returns() -> None:
    """Seen at heathcliff's on redis; only the release that is repeated frees such a slot."""
    client = LockClient(observed=lambda *_: None)
    async with FakeFleetLock(dialect=Heathcliff()) as fake:
        server = Server(base_url=fake.url, timeout_s=PATIENT_S)
        fake.trouble = Trouble.STALLED
        async with asyncio.TaskGroup() as group:
            task = group.create_task(client.acquire(QUESTION, SLOT, server))
            await fake.wait_seen(1)
            task.cancel()
        assert fake.holders == {}
        fake.recover()
        assert fake.holders == {"default": [ME]}, "nobody waits for it any more"
        script = asking().on(LockUnclear(QUESTION, SLOT, "taken back", answered=False))
        release = abandon(script).get(Release)
        script.on(await client.release(release.ticket, SLOT, server))
        assert script.state.ledger, "it may be granted later still, so it is given back once more"
        assert script.later(301.0).has(Release)
        assert fake.holders == {"default": []}


async def test_a_drain_that_nobody_stops_cordons_after_the_slot_is_back() -> None:
    client = LockClient(observed=lambda *_: None)
    async with FakeFleetLock(dialect=Heathcliff(pods=1)) as fake:
        assert isinstance(fake.dialect, Heathcliff)
        server = Server(base_url=fake.url, timeout_s=PATIENT_S)
        await client.acquire(QUESTION, SLOT, server)
        assert await client.release(RELEASE, SLOT, server) == SlotReleased(RELEASE, SLOT)
        assert (fake.holders, fake.dialect.cordoned) == ({"default": []}, {ME})
        for _ in range(2):
            await client.acquire(QUESTION, SLOT, server)
        await client.release(RELEASE, SLOT, server)
        assert fake.dialect.cordoned == set(), "its next cycle cures it"


async def test_a_request_that_does_not_become_whole_is_cut_without_an_answer() -> None:
    async with FakeFleetLock(dialect=Heathcliff(read_s=0.05)) as fake:
        reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
        writer.write(b"POST /v1/pre-reboot HTTP/1.1\r\nContent-Length: 99\r\n\r\n{")
        assert await reader.read() == b""
        writer.close()
        assert fake.seen == []
    assert Heathcliff().read_s == 10.0


def test_sixty_hosts_that_come_up_together_wait_for_five_calls_a_second() -> None:
    api = CallsBounded()
    waits = [api.wait_s(2, 0.0) for _ in range(60)]
    assert waits[4] == 0.0, "a burst of ten calls"
    assert waits[-1] == 22.0
    assert api.wait_s(2, 60.0) == 0.0


async def test_what_the_api_lets_through_late_is_answered_late() -> None:
    async with FakeFleetLock(dialect=Poseidon(api=CallsBounded(per_s=50.0, burst=2.0))) as fake:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(raw(fake, ASKS)) for _ in range(4)]
        assert [task.result()[0] for task in tasks] == [200] * 4

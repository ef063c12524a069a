"""What takes bytes and words from outside: each with any input, and what must be true of the end.

A target is a function of bytes. It raises whatever the program would let through, and
AssertionError where the program took something in that it must not.
"""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rebootmgr.bus.words import decode_match_rule
from rebootmgr.config.checked import Config, decode_config
from rebootmgr.config.effective import effective_values, encode_config
from rebootmgr.config.fragment import DropIn
from rebootmgr.config.resolve import resolve_policy
from rebootmgr.control.described import decode_status, decode_why
from rebootmgr.control.members import decode_usec
from rebootmgr.control.polkit_words import decode_answer
from rebootmgr.core import memory
from rebootmgr.core.counters import Api
from rebootmgr.core.events import LockGranted, LockRefused, SlotReleased
from rebootmgr.core.facts import Deployments, Finalization
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import BootId, DeploymentId, Outcome, Phase, Slot, Ticket, UpdateKey
from rebootmgr.core.window import openings, outlook
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.fleetlock.words import (
    LONGEST_RETRY_AFTER_S,
    Answer,
    decode_error_kind,
    decode_lock_answer,
    decode_release_answer,
    decode_reply,
)
from rebootmgr.hooks import words as hooks
from rebootmgr.hooks.words import LONGEST_TIMEOUT_S, Order, Ran, decode_order, encode_order
from rebootmgr.lending.questions import Unavailable
from rebootmgr.lockd.http.wire_words import (
    LONGEST_WAIT_S,
    Client,
    Unfit,
    decode_client,
    decode_question,
    decode_wait_s,
    encode_answer,
)
from rebootmgr.logind.words import (
    decode_inhibitors,
    decode_logind,
    decode_reboot_error,
    decode_session_paths,
)
from rebootmgr.spans import LONGEST, decode_span, encode_span
from rebootmgr.state.words import Corrupt, decode_state, encode_state
from rebootmgr.updates.gvariant_words import decode_dictionary
from rebootmgr.updates.words import (
    Driver,
    FileContent,
    UnreadableFile,
    Witnesses,
    decode_booted_path,
    decode_deployments,
    decode_driver,
    describe_driver,
)
from tests.fakes.gvariant import encode_dictionary
from tests.fuzz import sources
from tests.fuzz.clean import Target, assert_clean, texts_of
from tests.fuzz.dice import NUMBERS, Dice

ROOT: Final = Path(__file__).parent.parent.parent
NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SLOT: Final = Slot("https://lock.example", "default", "me")
CONFIG: Final = b"""\
[identity]
group = "workers"
[updates]
strategy = ["periodic", "fleet_lock"]
[updates.periodic]
time_zone = "Europe/Rome"
splay_minutes = 7
[[updates.periodic.window]]
days = ["Sat", "Sunday"]
start_time = "23:30"
length_minutes = 60
[[updates.periodic.window]]
rrule = "FREQ=MONTHLY;BYDAY=2SU;INTERVAL=2"
start_date = 2026-01-11
start_time = "4:5"
length_minutes = 10080
time_zone = "localtime"
[[updates.blackout]]
name = "year end"
start = 2026-12-18T00:00:00
end = 2027-01-04
rrule = "FREQ=YEARLY"
[updates.fleet_lock]
base_url = "https://user:secret@lock.example/${group}/"
[updates.sessions]
grace_minutes = 10
[updates.limits]
reboots_per_day = 4
"""
DEPLOYMENT: Final = {
    "id": "fedora-coreos-aa.0",
    "osname": "fedora-coreos",
    "checksum": "aa",
    "base-checksum": "bb",
    "container-image-reference-digest": "sha256:cc",
    "version": "42.1",
    "timestamp": 1_762_000_000,
    "staged": True,
    "unlocked": "none",
    "finalization-locked": False,
    "requested-packages": ["htop"],
    "requested-base-remote-replacements": [["updates", ["podman"]]],
}
BOOTED_OS: Final = {
    "BootedDeployment": DEPLOYMENT | {"id": "fedora-coreos-00.0", "staged": False},
    "DefaultDeployment": DEPLOYMENT,
}
SYSROOT: Final = {
    "Booted": "/org/projectatomic/rpmostree1/fedora_coreos",
    "ActiveTransaction": ["", "", ""],
    "AutomaticUpdatePolicy": "stage",
    "Deployments": [DEPLOYMENT, BOOTED_OS["BootedDeployment"]],
}
STAGED, LOCKED = (
    encode_dictionary(
        {
            "target": {"name": "aa.0", "osname": "fedora-coreos"},
            "kargs": ["quiet", "locked=1"],
            "locked": is_it,
        }
    )
    for is_it in (False, True)
)
DRIVER: Final = encode_dictionary({"driver-name": "zincati", "driver-sd-unit": "zincati.service"})
STATE: Final = encode_state(
    Memory(
        intent=memory.Intent(
            target=DeploymentId("os-2.0"),
            key=UpdateKey("os:2"),
            version="2",
            booted=DeploymentId("os-1.0"),
            boot=BootId("b1"),
            at=NOW,
            mono=7.5,
        ),
        debts=(memory.Debt(slot=SLOT, kept=True),),
        attempts=((UpdateKey("os:2"), 1),),
        quarantine=(memory.Quarantine(key=UpdateKey("os:0"), why="bad", since=NOW),),
        holds=(memory.Hold(id="h", owner="root", reason="visit", since=NOW, until=None),),
        reboots=(memory.PastReboot(at=NOW, target=DeploymentId("os-1.0"), version="1"),),
        outcomes=((Outcome.SUCCEEDED, 3),),
        last_seen=NOW,
    )
)
REPLY: Final = json.dumps(
    {"status": 409, "retry_after": "120", "body": '{"kind": "all_slots_full", "value": "full"}'}
).encode()
QUESTION: Final = b'{"client_params": {"id": "049ad0f57ade4723", "group": "default"}}'
INHIBITORS: Final = [["shutdown:sleep", "dnf", "installing", "block", 0, 77]]
SESSION: Final = {
    "Id": "1",
    "Name": "alice",
    "Class": "user",
    "State": "active",
    "TTY": "pts/0",
    "Type": "tty",
    "Remote": False,
    "RemoteHost": "",
}
LOGIND: Final = {"PreparingForShutdown": False, "ScheduledShutdown": ["", 0]}
ORDER: Final = encode_order(
    Order(phase=Phase.CHECK, timeout_s=300, deployment="os-2.0", version="2", booted="os")
)
RAN: Final = hooks.encode_answer(Ran("10-x", 1, "no"))
STATUS: Final = json.dumps(
    {
        "verdict": "wait",
        "pending": {"id": "x", "version": "1", "since": "2026-03-01T12:00:00Z"},
        "history": [{"at": "2026-03-01T12:00:00Z", "seconds": 7.5, "phases": {"boot": 3}}],
    }
)


def fuzz_config(data: bytes) -> None:
    """A drop-in with any text."""
    text = Dice(data).altered(CONFIG).decode(errors="replace")
    config = decode_config([DropIn("/etc/x.toml", text)], localtime=UTC)
    assert_clean(str(problem) for problem in (*config.errors, *config.warnings))
    assert "secret" not in " ".join(str(problem) for problem in config.errors), config.errors
    policy = resolve_policy(config, node_id="me", variables={}, dry_run=False)
    if not (config.errors or policy.invalid):
        _use(config)


def _use(config: Config) -> None:
    calendar = resolve_policy(config, node_id="me", variables={}, dry_run=False).calendar
    outlook(calendar, NOW, need=timedelta(minutes=5))
    found = openings(calendar, NOW, NOW + timedelta(days=9))
    assert all(one.start < one.end for one in found)
    written = encode_config(effective_values(config))
    again = decode_config([DropIn("/etc/again.toml", written)], localtime=UTC)
    assert not again.errors, (written, again.errors)


def fuzz_deployments(data: bytes) -> None:
    """Whatever the bus says of Sysroot and OS."""
    dice = Dice(data)
    booted_os, sysroot = dice.swapped(BOOTED_OS), dice.swapped(SYSROOT)
    if not (isinstance(sysroot, dict) and isinstance(booted_os, dict)):
        return  # the bus itself says that properties are a dictionary
    decode_booted_path(sysroot)
    others = Witnesses(
        staged_file=STAGED, has_lock_file=dice.below(2) == 1, arguments=("rw", "quiet")
    )
    found = decode_deployments(sysroot, booted_os, others)
    assert_clean(texts_of(found))
    if isinstance(found, Deployments) and found.staged:
        assert booted_os["DefaultDeployment"]["staged"] is True


def fuzz_staged_file(data: bytes) -> None:
    """Whatever is in /run/ostree/staged-deployment and in the file of the update driver."""
    dice = Dice(data)
    content: FileContent = dice.altered(dice.pick((STAGED, LOCKED)))
    if dice.below(8) == 7:
        content = UnreadableFile("no")
    found = decode_deployments(SYSROOT, BOOTED_OS, Witnesses(staged_file=content))
    assert_clean(texts_of(found))
    is_locked = isinstance(content, bytes) and b"locked\0\0\x01\0b\x07" in content
    if isinstance(found, Deployments):  # else another is staged by that file
        assert not (is_locked and found.finalization is Finalization.OPEN)
    driver = decode_driver(dice.altered(DRIVER))
    if isinstance(driver, Driver):
        assert_clean([driver.name, *describe_driver(driver, "active")])
    else:
        assert_clean(texts_of(driver))
    with suppress(ValueError):
        decode_dictionary(dice.rest())


def fuzz_lock_answer(data: bytes) -> None:
    """Whatever the child says that a lock server said."""
    dice = Dice(data)
    reply = decode_reply(dice.altered(REPLY))
    is_granted = isinstance(reply, Answer) and reply.status == 200
    refused = isinstance(reply, Answer) and reply.status in {409, 423}
    answer = decode_lock_answer(Ticket(1), SLOT, reply, at=NOW)
    release = decode_release_answer(Ticket(1), SLOT, reply, at=NOW)
    assert isinstance(answer, LockGranted) is is_granted
    assert isinstance(answer, LockRefused) is refused
    assert isinstance(release, SlotReleased) is (is_granted or refused)
    for each in (answer, release):
        assert 0.0 <= getattr(each, "retry_after_s", 0.0) <= LONGEST_RETRY_AFTER_S
    assert_clean([*texts_of(answer), *texts_of(release)])
    for api in Api:
        kind = decode_error_kind(api, reply)
        assert kind is None or len(kind) <= 80
        assert_clean([kind or ""])


def fuzz_state(data: bytes) -> None:
    """Whatever is in state.json."""
    content = Dice(data).altered(STATE)
    found = decode_state(content)
    match found:
        case Memory():
            again = encode_state(found, over=content)
            assert decode_state(again) == found
            assert encode_state(found, over=again) == again
        case memory.Unreadable(detail) | Corrupt(detail):
            assert_clean([detail])


def fuzz_logind(data: bytes) -> None:
    """Whatever logind says of inhibitors, sessions and shutdowns."""
    dice = Dice(data)
    inhibitors, session = dice.swapped(INHIBITORS), dice.swapped(SESSION)
    properties = dice.swapped(LOGIND)
    if isinstance(session, dict) and isinstance(properties, dict):
        try:
            held = decode_inhibitors(inhibitors)
            assert_clean(texts_of(decode_logind(held, dice.value(), properties, [session])))
        except ValueError as error:
            assert_clean([str(error)])
    with suppress(ValueError):
        decode_session_paths(dice.value())
    assert_clean(texts_of(decode_reboot_error(dice.text(), dice.text())))
    with suppress(ValueError):
        decode_answer([dice.value()])


def fuzz_hooks(data: bytes) -> None:
    """Whatever is said between daemon and hook runner."""
    dice = Dice(data)
    order = decode_order(dice.altered(ORDER))
    answer = hooks.decode_answer(dice.altered(RAN))
    assert_clean([*texts_of(order), *texts_of(answer)])
    if isinstance(order, Order):
        assert decode_order(encode_order(order)) == order
        words = (order.deployment, order.version, order.booted)
        assert all(word.isascii() and " " not in word and word[:1] != "-" for word in words)
        assert 1 <= order.timeout_s <= LONGEST_TIMEOUT_S


def fuzz_control(data: bytes) -> None:
    """Whatever people write, and whatever a daemon of another version tells."""
    dice = Dice(data)
    try:
        span = decode_span(dice.altered(b"2h 30min").decode(errors="replace"))
        assert timedelta() < span <= LONGEST
        assert decode_span(encode_span(span)) == span
    except UsageError as error:
        assert_clean([str(error)])
    with suppress(ValueError):
        decode_usec(dice.pick(NUMBERS))
    with suppress(ValueError):
        decode_match_rule(dice.altered(b"type='signal',path='/a'").decode(errors="replace"))
    with suppress(RebootmgrError):
        status = decode_status(dice.altered(STATUS.encode()).decode(errors="replace"))
        decode_why(status)
        pending = status.part("pending")
        assert_clean([status.text("verdict"), *([] if pending is None else [pending.text("id")])])
        for past in status.parts("history"):
            past.instant("at")
            past.number("seconds")


def fuzz_question(data: bytes) -> None:
    """Whatever a host sends to the lock server, as its body and as its headers."""
    dice = Dice(data)
    client = decode_client(dice.altered(QUESTION))
    headers = {name: dice.said() for name in ("host", "labels", "booted", "target")}
    headers["prefer"] = dice.pick((dice.said(), f"wait={dice.said()}"))
    assert 0.0 <= decode_wait_s(headers["prefer"]) <= LONGEST_WAIT_S
    match client:
        case Unfit(why):
            assert_clean([why])
        case Client(group, host):
            assert re.fullmatch(r"[a-zA-Z0-9.-]{1,253}", group), group
            assert re.fullmatch(r"[a-zA-Z0-9.-]{1,253}", host), host
            question = decode_question(dice.pick(tuple(Api)), client, headers, {})
            assert_clean(texts_of(question))
            said = encode_answer(Unavailable(), client)
            assert json.loads(said.body)["kind"] == said.kind


TARGETS: Final[dict[str, Target]] = {
    "config": fuzz_config,
    "deployments": fuzz_deployments,
    "staged-file": fuzz_staged_file,
    "lock-answer": fuzz_lock_answer,
    "state": fuzz_state,
    "logind": fuzz_logind,
    "hooks": fuzz_hooks,
    "control": fuzz_control,
    **sources.TARGETS,
    "question": fuzz_question,
}

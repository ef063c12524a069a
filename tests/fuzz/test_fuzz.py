"""No input crashes it, stalls it or speaks through it (SPEC 13.7). `python -m tests.fuzz` goes on.

Here each target gets a few hundred inputs, and everything large that hurts careless parsers.
"""

import os
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebootmgr.bus.connection import Bus
from rebootmgr.config.checked import decode_config
from rebootmgr.config.fragment import DropIn
from rebootmgr.control.described import decode_status
from rebootmgr.control.introspection import PROPERTIES_INTERFACE
from rebootmgr.control.members import MANAGER, NAME, PATH, STEERING
from rebootmgr.control.object import Control
from rebootmgr.core.memory import Memory
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.fleetlock.words import decode_reply
from rebootmgr.hooks.words import decode_order
from rebootmgr.lockd.http.wire_words import decode_client
from rebootmgr.spans import decode_span
from rebootmgr.state.words import decode_state, encode_state
from rebootmgr.updates.gvariant_words import decode_dictionary
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.operators import Wishes
from tests.fakes.statuses import IDLE
from tests.fuzz.clean import Target
from tests.fuzz.dice import NUMBERS, Dice
from tests.fuzz.targets import CONFIG, DRIVER, STAGED, STATE, TARGETS
from tests.fuzz.transports import fuzz_http, fuzz_lockd, fuzz_metrics

DATA: Final = st.binary(max_size=60) | st.binary(min_size=120, max_size=400)
SIZE: Final = 2**15
MOST_CPU_S: Final = 4.0
MOST_BYTES: Final = 128
"""Of memory, for each byte of input, besides the first megabytes."""
FIRST_BYTES: Final = 8 * 2**20


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_any_input_ends_in_a_value_or_in_an_error_of_ours(target: Target) -> None:
    @settings(max_examples=250, deadline=None, database=None)
    @given(DATA)
    def run(data: bytes) -> None:
        target(data)

    run()


@settings(max_examples=120, deadline=None, database=None)
@given(DATA)
def test_a_lock_server_may_answer_anything(data: bytes) -> None:
    fuzz_http(data)


@settings(max_examples=60, deadline=None, database=None)
@given(DATA)
def test_a_client_of_the_metrics_may_do_anything(data: bytes) -> None:
    fuzz_metrics(data)


@settings(max_examples=120, deadline=None, database=None)
@given(DATA)
def test_a_host_may_send_anything_to_the_lock_server(data: bytes) -> None:
    fuzz_lockd(data)


def config(data: bytes) -> None:
    decode_config([DropIn("x.toml", data.decode(errors="replace"))], localtime=None)


def state(data: bytes) -> None:
    found = decode_state(data)
    if isinstance(found, Memory):
        encode_state(found, over=data)


def strings(data: bytes) -> None:
    with suppress(ValueError):
        decode_dictionary(data)


def shown(data: bytes) -> None:
    with suppress(RebootmgrError):
        decode_status(data.decode(errors="replace"))


def span(data: bytes) -> None:
    with suppress(RebootmgrError):
        decode_span(data.decode(errors="replace"))


READERS: Final[dict[str, Callable[[bytes], object]]] = {
    "config": config,
    "state": state,
    "gvariant": strings,
    "reply": decode_reply,
    "order": decode_order,
    "status": shown,
    "span": span,
    "question": decode_client,
}
LARGE: Final = {
    "zeros": bytes(SIZE),
    "ones": b"\xff" * SIZE,
    "brackets": b"[" * SIZE,
    "braces": b'{"a":' * (SIZE // 5),
    "quotes": b'"' * SIZE,
    "backslashes": b'"' + b"\\" * SIZE,
    "digits": b"9" * SIZE,
    "blanks": b" " * SIZE,
    "lines": b"\n" * SIZE,
    "one long text": b'"' + b"a" * SIZE + b'"',
    "tables": b"".join(b"[t%d]\n" % n for n in range(SIZE // 8)),
    "windows": b"[[updates.periodic.window]]\n" * (SIZE // 28),
    "keys": b"".join(b"k%d = 1\n" % n for n in range(SIZE // 10)),
    "dots": b"a" + b".a" * (SIZE // 2) + b" = 1",
    "names": b"{" + b",".join(b'"%d": 1' % n for n in range(SIZE // 10)) + b"}",
    "lists": b'{"version": {"major": 1, "minor": 0}, "x": [' + b"[]," * (SIZE // 3) + b"[]]}",
    "holds": STATE.replace(b'"reboots": [', b'"reboots": [' + b"{}, " * (SIZE // 4)),
    "drop-in": CONFIG * (SIZE // len(CONFIG)),
    "variants": DRIVER * (SIZE // len(DRIVER)),
    "staged": STAGED * (SIZE // len(STAGED)),
    "spans": b"1s " * (SIZE // 3),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_large_input_costs_time_and_memory_in_proportion(read: Callable[[bytes], object]) -> None:
    for name, data in LARGE.items():
        began = time.process_time()
        read(data)
        assert time.process_time() - began < MOST_CPU_S, name
        tracemalloc.start()
        try:
            read(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < FIRST_BYTES + MOST_BYTES * len(data), (name, peak)


SIGNED: Final = tuple(number for number in NUMBERS if -(2**63) <= number < 2**63)
UNSIGNED: Final = tuple(number for number in NUMBERS if number >= 0)
BODIES: Final[dict[str, Callable[[Dice], list[object]]]] = {
    "": lambda _: [],
    "s": lambda dice: [dice.said()],
    "sx": lambda dice: [dice.said(), dice.pick(SIGNED)],
    "x": lambda dice: [dice.pick(SIGNED)],
    "t": lambda dice: [dice.pick(UNSIGNED)],
    "bt": lambda dice: [dice.below(2) == 1, dice.pick(UNSIGNED)],
    "st": lambda dice: [dice.said(), dice.pick(UNSIGNED)],
    "ss": lambda dice: [dice.said(), dice.said()],
    "sss": lambda dice: [dice.said(), dice.said(), dice.said()],
    "as": lambda dice: [[dice.said()]],
    "d": lambda dice: [dice.below(9) / 7],
}
WELL_FORMED: Final = {member.name: member.signature for member in STEERING}
CALLED: Final = (*WELL_FORMED, "Describe", "Get", "GetAll", "Nonsense")


async def test_a_client_of_the_bus_may_call_anything_with_anything() -> None:
    with DbusDaemon() as daemon:
        bus, client = await Bus.connect(daemon.address), await Bus.connect(daemon.address)
        changers, nowhere = {os.getuid()}, Path("/nonexistent")
        wishes = Wishes()
        await Control(
            bus, IDLE, handlers=wishes.handlers, changers=changers, machine_id=nowhere
        ).serve()
        for number in range(400):
            dice = Dice(b"".join(sha256(b"%d %d" % (number, n)).digest() for n in range(8)))
            member = dice.pick(CALLED)
            signature = WELL_FORMED.get(member, "") if dice.below(2) else dice.pick(tuple(BODIES))
            body = BODIES[signature](dice)
            interface = dice.pick((MANAGER, MANAGER, MANAGER, PROPERTIES_INTERFACE, "a.Nobody"))
            with suppress(BusError):
                await client.call(NAME, PATH, interface, member, signature, body)
        [text] = await client.call(NAME, PATH, MANAGER, "Describe")
        assert decode_status(text).text("state") == IDLE.state
        assert wishes.holds
        assert wishes.asked
        await client.close()
        await bus.close()


def test_the_samples_are_what_the_targets_think_they_are() -> None:
    assert isinstance(decode_state(STATE), Memory)
    text = CONFIG.decode()
    assert not decode_config([DropIn("x.toml", text)], localtime=None).errors[1:]
    assert Dice(b"").altered(CONFIG) == CONFIG

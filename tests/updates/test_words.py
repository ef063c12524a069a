"""rpm-ostree's properties and ostree's files, decoded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.facts import Deployments, Finalization, NotOstree, OsUnknown
from rebootmgr.updates.gvariant_words import decode_dictionary
from rebootmgr.updates.words import (
    LONGEST_FILE,
    Driver,
    FileContent,
    UnreadableFile,
    Witnesses,
    decode_booted_path,
    decode_deployments,
    decode_driver,
    describe_driver,
)
from tests.fakes.gvariant import Value, encode_dictionary

BOOTED = {
    "id": "fedora-coreos-bb.0",
    "osname": "fedora-coreos",
    "checksum": "bb",
    "version": "41.1",
    "timestamp": 1,
    "booted": True,
    "staged": False,
    "unlocked": "none",
}
STAGED = {**BOOTED, "id": "fedora-coreos-aa.0", "checksum": "aa", "version": "41.2", "staged": True}
SYSROOT = {
    "ActiveTransaction": ["", "", ""],
    "AutomaticUpdatePolicy": "none",
    "Deployments": [STAGED, BOOTED],
}
# written by GLib: {'driver-name': <'Zincati'>, 'driver-sd-unit': <'zincati.service'>}
ZINCATI = (
    b"driver-name\0\0\0\0\0Zincati\0\0s\x0c\0\0\0\0\0"
    b"driver-sd-unit\0\0zincati.service\0\0s\x0f\x1bC"
)
# written by GLib: target, kargs ['a', 'b=locked'] and `locked`, true
LOCKED = (
    b"target\0\0name\0\0\0\0aa.0\0\0s\x05osname\0\0fedora-coreos\0\0s\x07\0\0\0\0\0\0\0"
    b"bootcsum\0\0\0\0\0\0\0\0cc\0\0s\t\x10)F\0a{sv}\x07kargs\0\0\0a\0b=locked\0\x02\x0b\0as\x06"
    b"\0\0\0\0\0\0\0locked\0\0\x01\0b\x07Xq\x84"
)
TARGET = {"name": "aa.0", "osname": "fedora-coreos"}
OPEN = encode_dictionary({"target": TARGET, "kargs": ["rw", "x=locked"]})


def staged_file(**content: Value) -> bytes:
    """What ostree writes, but for `content`."""
    return encode_dictionary({"target": TARGET, **content})


def decode(
    default: dict[str, Any] = STAGED,
    booted: dict[str, Any] = BOOTED,
    sysroot: dict[str, Any] = SYSROOT,
    *,
    staged_file: FileContent = OPEN,
    has_lock_file: bool = False,
    driver: str = "",
) -> Deployments | OsUnknown:
    properties = {"BootedDeployment": booted, "DefaultDeployment": default}
    others = Witnesses(staged_file=staged_file, has_lock_file=has_lock_file, driver=driver)
    return decode_deployments(sysroot, properties, others)


def found(*args: Any, **options: Any) -> Deployments:
    deployments = decode(*args, **options)
    assert isinstance(deployments, Deployments), deployments
    return deployments


def test_a_staged_update_is_read_with_all_its_parts() -> None:
    read = found()
    assert (read.booted.id, read.booted.key, read.booted.version) == (
        "fedora-coreos-bb.0",
        "fedora-coreos:bb",
        "41.1",
    )
    assert (read.default.id, read.default.key, read.default.version) == (
        "fedora-coreos-aa.0",
        "fedora-coreos:aa",
        "41.2",
    )
    assert read.staged
    assert read.finalization is Finalization.OPEN
    assert read.on_disk == ("fedora-coreos-aa.0", "fedora-coreos-bb.0")
    assert (read.unlocked, read.transaction, read.driver) == ("none", None, "")


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        (
            {"container-image-reference-digest": "sha256:1", "base-checksum": "cc"},
            "fedora-coreos:sha256:1",
        ),
        ({"base-checksum": "cc"}, "fedora-coreos:cc"),
        ({"serial": 7}, "fedora-coreos:aa"),
        ({"container-image-reference-digest": "", "base-checksum": ""}, "fedora-coreos:aa"),
    ],
)
def test_an_update_key_names_the_content_and_never_the_serial(
    extra: dict[str, Any], key: str
) -> None:
    assert found({**STAGED, **extra}).default.key == key


@pytest.mark.parametrize(
    "default",
    [
        {},
        {**STAGED, "id": ""},
        {**STAGED, "id": None},
        {**STAGED, "id": 7},
        {**STAGED, "id": ["fedora-coreos-aa.0"]},
        {**STAGED, "id": "fcos\x1b[2J"},
        {**STAGED, "id": "x" * 5000},
        {key: value for key, value in STAGED.items() if key != "id"},
        {**STAGED, "staged": 1},
        {**STAGED, "staged": "true"},
        {**STAGED, "staged": None},
        {**STAGED, "version": 41},
        {**STAGED, "osname": []},
    ],
)
def test_a_deployment_that_makes_no_sense_is_unknown(default: dict[str, Any]) -> None:
    unknown = decode(default)
    assert isinstance(unknown, OsUnknown)
    assert unknown.detail.startswith("rpm-ostree: ")
    assert unknown.detail.isprintable()


def test_missing_keys_have_their_defaults() -> None:
    read = found({"id": "fedora-coreos-aa.0"}, {"id": "fedora-coreos-bb.0"}, {}, staged_file=None)
    assert not read.staged
    assert (read.unlocked, read.transaction, read.driver, read.on_disk) == ("none", None, "", ())
    assert read.default.key == ":fedora-coreos-aa.0"
    assert read.default.timestamp == 0


@pytest.mark.parametrize("when", [-1, 2**64 - 1, "now", True, 1.5, None])
def test_a_time_that_no_calendar_has_is_no_time(when: object) -> None:
    assert found({**STAGED, "timestamp": when}).default.timestamp == 0


def test_text_from_outside_is_harmless() -> None:
    read = found({**STAGED, "version": "1\n\x1b[31m" + "x" * 1000})
    assert read.default.version.isprintable()
    assert len(read.default.version) == 200


@pytest.mark.parametrize(
    ("staged_file", "has_lock_file", "key", "expected"),
    [
        (OPEN, False, False, Finalization.OPEN),
        (OPEN, True, False, Finalization.LOCKED),
        (OPEN, False, True, Finalization.LOCKED),
        (LOCKED, False, False, Finalization.LOCKED),
        (LOCKED.replace(b"\x01\0b\x07", b"\0\0b\x07"), False, False, Finalization.OPEN),
        (LOCKED.replace(b"\x01\0b\x07", b"\x02\0b\x07"), False, False, Finalization.UNKNOWN),
        (staged_file(locked="yes"), False, False, Finalization.UNKNOWN),
        (staged_file(locked=["yes"]), False, False, Finalization.UNKNOWN),
        (staged_file(target={**TARGET, "locked": True}), False, False, Finalization.OPEN),
        (staged_file(target="aa.0"), False, False, Finalization.UNKNOWN),
        (staged_file(target={"name": "aa.0"}), False, False, Finalization.UNKNOWN),
        (
            staged_file(locked=True, LOCKED=False).replace(b"LOCKED", b"locked"),
            False,
            False,
            Finalization.UNKNOWN,
        ),
        (LOCKED[:-1], False, False, Finalization.UNKNOWN),
        (b"junk", False, False, Finalization.UNKNOWN),
        (UnreadableFile("no"), False, False, Finalization.UNKNOWN),
        (UnreadableFile("no"), True, False, Finalization.LOCKED),
        (b"", False, False, Finalization.UNKNOWN),
        (bytes(LONGEST_FILE + 1), False, False, Finalization.UNKNOWN),
        (OPEN, False, "yes", Finalization.UNKNOWN),
        (LOCKED, False, "yes", Finalization.LOCKED),
    ],
)
def test_any_sign_locks_and_what_cannot_be_read_is_never_open(
    *,
    staged_file: FileContent,
    has_lock_file: bool,
    key: object,
    expected: Finalization,
) -> None:
    default = {**STAGED, "finalization-locked": key}
    read = found(default, staged_file=staged_file, has_lock_file=has_lock_file)
    assert read.finalization is expected


def test_a_lock_without_anything_staged_does_not_matter() -> None:
    read = found(BOOTED, staged_file=None, has_lock_file=True)
    assert read.finalization is Finalization.OPEN


@pytest.mark.parametrize(
    "sysroot",
    [
        {**SYSROOT, "ActiveTransaction": "Upgrade"},
        {**SYSROOT, "ActiveTransaction": [7, "", ""]},
        {**SYSROOT, "ActiveTransaction": []},
        {**SYSROOT, "AutomaticUpdatePolicy": 3},
        {**SYSROOT, "Deployments": {}},
    ],
)
def test_a_sysroot_that_makes_no_sense_is_unknown(sysroot: dict[str, Any]) -> None:
    assert isinstance(decode(sysroot=sysroot), OsUnknown)


def test_the_policy_apply_reboots_by_itself() -> None:
    read = found(sysroot={**SYSROOT, "AutomaticUpdatePolicy": "apply"})
    assert "AutomaticUpdatePolicy=apply" in read.driver


def test_a_transaction_has_the_name_of_its_method() -> None:
    read = found(sysroot={**SYSROOT, "ActiveTransaction": ["Upgrade", ":1.5", "/os"]})
    assert read.transaction is not None
    assert read.transaction.what == "rpm-ostree transaction in progress: Upgrade"


@pytest.mark.parametrize(
    ("booted", "expected"),
    [("/", NotOstree), ("", OsUnknown), ("/a//b", OsUnknown), (7, OsUnknown), ("/a/b_1", str)],
)
def test_the_booted_os_is_where_the_sysroot_says(booted: object, expected: type) -> None:
    assert isinstance(decode_booted_path({"Booted": booted}), expected)
    assert isinstance(decode_booted_path({}), OsUnknown)


# Update drivers


def test_a_driver_file_that_glib_wrote_is_read() -> None:
    assert decode_driver(ZINCATI) == Driver(name="Zincati", unit="zincati.service")


def test_nobody_registered_is_nobody() -> None:
    assert decode_driver(None) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"\0" * 100, ZINCATI[:-1], ZINCATI[1:], UnreadableFile("permission denied")],
)
def test_a_driver_file_of_junk_is_unknown(content: FileContent) -> None:
    unknown = decode_driver(content)
    assert isinstance(unknown, OsUnknown)
    assert unknown.detail.startswith("who drives updates is unknown")


@pytest.mark.parametrize(
    ("state", "conflicts"),
    [
        ("active", True),
        ("activating", True),
        ("reloading", True),
        ("a state of the future", True),
        ("inactive", False),
        ("failed", False),
        ("deactivating", False),
    ],
)
def test_a_driver_reboots_by_itself_while_its_unit_runs(state: str, *, conflicts: bool) -> None:
    driver = Driver(name="Zincati", unit="zincati.service")
    said = f"zincati.service (Zincati) is {state}"
    expected = (f"{said} and reboots by itself", "") if conflicts else ("", said)
    assert describe_driver(driver, state) == expected


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)


LISTS = st.lists(TEXTS, max_size=5).map(tuple)


@given(st.dictionaries(TEXTS, TEXTS | st.booleans() | LISTS, max_size=20))
def test_what_was_written_is_read(table: dict[str, Value]) -> None:
    assert decode_dictionary(encode_dictionary(table)) == table


@given(st.dictionaries(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=5), max_size=5))
def test_values_of_other_types_stay_as_they_came(table: dict[str, dict[str, str]]) -> None:
    found = decode_dictionary(encode_dictionary({**table, "the one": "text"}))
    assert found.pop("the one") == "text"
    assert all(isinstance(value, bytes) for value in found.values())
    assert found.keys() == table.keys() - {"the one"}


def test_a_driver_whose_unit_is_no_text_is_unknown() -> None:
    content = encode_dictionary({"driver-name": "x", "driver-sd-unit": True})
    assert isinstance(decode_driver(content), OsUnknown)


@st.composite
def one_byte_wrong(draw: st.DrawFn) -> bytes:
    at = draw(st.integers(0, len(ZINCATI) - 1))
    return ZINCATI[:at] + bytes([draw(st.integers(0, 255))]) + ZINCATI[at + 1 :]


@given(st.binary(max_size=400) | one_byte_wrong())
def test_junk_is_unknown_and_never_a_crash(content: bytes) -> None:
    assert isinstance(decode_driver(content), Driver | OsUnknown)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TABLES = st.fixed_dictionaries({}, optional=dict.fromkeys([*STAGED, "base-checksum"], VALUES))


@given(TABLES | VALUES, TABLES, st.fixed_dictionaries({}, optional=dict.fromkeys(SYSROOT, VALUES)))
def test_whatever_rpm_ostree_says_is_a_fact_or_unknown(
    default: Any, booted: dict[str, Any], sysroot: dict[str, Any]
) -> None:
    answer = decode(default, {**BOOTED, **booted}, sysroot, staged_file=None)
    assert isinstance(answer, Deployments | OsUnknown)
    decode_booted_path(sysroot)


def test_what_ostree_itself_adds_to_the_kernel_arguments_makes_no_other_update() -> None:
    """`ostree admin deploy --karg-append` takes over `ostree=` of the deployment that runs."""
    same = {**BOOTED, "id": "fedora-coreos-bb.1", "booted": False, "staged": True}
    sysroot = {**SYSROOT, "Deployments": [same, BOOTED]}
    keys = set()
    for boot in ("boot.0", "boot.1"):
        kargs = ["rw", f"ostree=/ostree/{boot}/fedora-coreos/cc/0", "quiet"]
        file = staged_file(target={**TARGET, "name": "bb.1"}, kargs=kargs)
        keys.add(found(same, sysroot=sysroot, staged_file=file).default.key)
    assert len(keys) == 1

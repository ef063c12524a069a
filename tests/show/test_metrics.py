"""The text exposition, read back by the library's own parser."""

import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from rebootmgr.core.counters import MOST_KINDS, Api, Counters, Process
from rebootmgr.core.memory import PastReboot
from rebootmgr.core.model import (
    Deployment,
    DeploymentId,
    Notice,
    NoticeKind,
    Outcome,
    Reason,
    Slot,
    UpdateKey,
)
from rebootmgr.core.status import StateName, Status
from rebootmgr.show.metrics import _collect, encode_metrics
from tests.fakes.statuses import ALL, IDLE, NOW, REBOOTING, STARTING, STUCK, WAITING, ahead

PROCESS = Process(
    start=1_893_456_000.25, cpu_s=1.5, resident=20 << 20, virtual=90 << 20, open_fds=9, max_fds=1024
)
ONE_READ = 10024  # what a known proxy reads of the socket, in bytes

NAMES = re.findall(
    r"\w+",
    """
rebootmgr_behind_since_timestamp_seconds
rebootmgr_blocked rebootmgr_booted_info rebootmgr_build_info
rebootmgr_config_last_reload_timestamp_seconds rebootmgr_config_reload_successful
rebootmgr_config_valid rebootmgr_dbus_connected rebootmgr_fleet_lock_errors_total
rebootmgr_fleet_lock_request_duration_seconds_count
rebootmgr_fleet_lock_request_duration_seconds_sum rebootmgr_fleet_lock_requests_total
rebootmgr_holds rebootmgr_identity_info rebootmgr_last_reboot_duration_seconds
rebootmgr_lock_held rebootmgr_lock_presumed
rebootmgr_logged_in_users rebootmgr_next_window_end_timestamp_seconds
rebootmgr_next_window_start_timestamp_seconds rebootmgr_notice
rebootmgr_oldest_hold_timestamp_seconds rebootmgr_pending_since_timestamp_seconds
rebootmgr_pending_update_info rebootmgr_predicted_reboot_timestamp_seconds
rebootmgr_quarantined_updates rebootmgr_reboot_outcomes_total rebootmgr_reboot_pending
rebootmgr_reboot_requested rebootmgr_reboots_requested_total rebootmgr_releases_owed
rebootmgr_slot_kept rebootmgr_state rebootmgr_strategy_info rebootmgr_window_open
process_cpu_seconds_total process_max_fds process_open_fds process_resident_memory_bytes
process_start_time_seconds process_virtual_memory_bytes
""",
)

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def families(status: Status, counters: Counters) -> list[Metric]:
    text = encode_metrics(status, counters, PROCESS)
    assert text.endswith(b"\n")
    return list(text_string_to_metric_families(text.decode()))


def series(status: Status, counters: Counters | None = None) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families(status, counters or Counters())
        for sample in family.samples
    }


def value(of: Series, name: str, **labels: str) -> float:
    return of["rebootmgr_" + name, tuple(sorted(labels.items()))]


def are_one(of: Series, name: str) -> set[str]:
    """Which label values of `name` are 1."""
    return {
        labels[0][1]
        for (found, labels), number in of.items()
        if found == f"rebootmgr_{name}" and number
    }


def test_the_names_are_the_promised_ones() -> None:
    assert {name for name, _ in series(STARTING)} == set(NAMES)


def test_every_series_is_there_from_the_first_scrape() -> None:
    first = set(series(STARTING))
    for status in (IDLE, REBOOTING, STUCK, WAITING):
        new = {name for name, labels in set(series(status)) - first}
        told = {"booted_info", "pending_update_info", "identity_info"}
        assert new <= {f"rebootmgr_{name}" for name in told}
    found = [labels for name, labels in first if name == "rebootmgr_blocked"]
    assert {labels[0][1] for labels in found} == set(Reason)


@pytest.mark.parametrize("status", ALL.values(), ids=ALL)
def test_it_passes_the_rules_of_promtool_check_metrics(status: Status) -> None:
    for family in families(status, Counters()):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name), family.name
        assert re.fullmatch(r"[A-Z].*\.", family.documentation), family.documentation
        assert family.type in {"counter", "gauge", "summary"}, family.name
        is_total = all(sample.name.endswith("_total") for sample in family.samples)
        assert is_total == (family.type == "counter"), family.name
        words = family.name.split("_")
        assert not {"ms", "milliseconds", "minutes", "hours", "days", "kilobytes"} & set(words)
        assert not {"gauge", "counter", "summary", "metric"} & set(words)
        assert not family.name.endswith(("_count", "_sum", "_bucket", "_created"))
        if "timestamp" in words:
            assert family.name.endswith("_timestamp_seconds")
        for sample in family.samples:
            assert not {"le", "quantile", "job", "instance"} & sample.labels.keys()


def test_nothing_is_said_twice() -> None:
    lines = encode_metrics(WAITING, Counters(), PROCESS).decode().splitlines()
    said = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(said) == len(set(said))
    assert not [line for line in lines if "_created" in line]


@pytest.mark.parametrize("version", ["42.1", 'a "b" \\ c', "\\n"])
@pytest.mark.parametrize("status", ALL.values(), ids=ALL)
def test_it_is_written_as_the_library_writes_it(status: Status, version: str) -> None:
    booted = status.booted and dataclasses.replace(status.booted, version=version)
    shown = dataclasses.replace(status, booted=booted)

    class Snapshot:
        def collect(self) -> Iterator[Metric]:
            return _collect(shown, Counters(), PROCESS)

    assert encode_metrics(shown, Counters(), PROCESS) == generate_latest(Snapshot())


@pytest.mark.parametrize("status", ALL.values(), ids=ALL)
def test_it_fits_into_one_read_of_a_known_proxy(status: Status) -> None:
    assert len(encode_metrics(status, Counters(), PROCESS)) < ONE_READ


def test_a_waiting_host_is_shown_as_one() -> None:
    shown = series(WAITING)
    assert are_one(shown, "state") == {"waiting"}
    assert are_one(shown, "blocked") == {"held", "outside_window", "users_logged_in"}
    assert are_one(shown, "strategy_info") == {"periodic", "fleet_lock"}
    assert value(shown, "reboot_pending") == 1
    assert value(shown, "pending_since_timestamp_seconds") == NOW.timestamp() - 36000
    predicted = WAITING.predicted
    assert predicted is not None
    assert value(shown, "predicted_reboot_timestamp_seconds") == predicted.timestamp()
    assert value(shown, "window_open") == 0
    assert value(shown, "next_window_start_timestamp_seconds") == NOW.timestamp() + 12000
    assert value(shown, "next_window_end_timestamp_seconds") == NOW.timestamp() + 15600
    assert value(shown, "holds") == 1
    assert value(shown, "oldest_hold_timestamp_seconds") == NOW.timestamp() - 7200
    assert value(shown, "logged_in_users") == 1
    assert value(shown, "reboots_requested_total") == 9
    assert value(shown, "reboot_outcomes_total", outcome="succeeded") == 9
    assert value(shown, "reboot_outcomes_total", outcome="interrupted") == 0
    phases = {"total": 72, "waiting": 7200, "lock": 0, "hooks": 10}
    phases |= {"shutdown": 12, "boot": 20, "boot_complete": 30}
    for phase, seconds in phases.items():
        assert value(shown, "last_reboot_duration_seconds", phase=phase) == seconds
    versions = {"id": str(WAITING.pending and WAITING.pending.id), "version": "42.20300102.3.0"}
    assert value(shown, "pending_update_info", **versions) == 1


def test_a_host_whose_update_failed_is_shown_as_one() -> None:
    shown = series(STUCK)
    assert are_one(shown, "notice") == {"slot_kept"}
    assert value(shown, "slot_kept") == 1
    assert value(shown, "releases_owed") == 1  # the other one, which is not kept
    assert value(shown, "lock_held") == 1
    assert value(shown, "quarantined_updates") == 1
    assert value(shown, "config_valid") == 0


def test_who_the_host_is_to_a_lock_server_is_its_group_and_nothing_more() -> None:
    assert value(series(STUCK), "identity_info", group="workers") == 1
    assert value(series(IDLE), "identity_info", group="default") == 1
    assert value(series(STARTING), "identity_info", group="") == 0
    text = encode_metrics(STUCK, Counters(), PROCESS).decode()
    assert STUCK.identity is not None
    assert STUCK.identity.id not in text


def test_nothing_pending_is_zero_and_not_absent() -> None:
    shown = series(IDLE)
    assert value(shown, "reboot_pending") == 0
    assert value(shown, "pending_since_timestamp_seconds") == 0
    assert value(shown, "pending_update_info", version="", id="") == 0


def test_requests_are_counted_by_api_and_kind() -> None:
    counters = (
        Counters(dbus_connected=True)
        .request_sent(Api.PRE_REBOOT)
        .request_ended(Api.PRE_REBOOT, 1.5)
        .request_sent(Api.PRE_REBOOT)
        .request_ended(Api.PRE_REBOOT, 0.5, error="failed_lock")
        .request_sent(Api.STEADY_STATE)
        .config_loaded(ahead(), ok=False)
    )
    shown = series(IDLE, counters)
    assert value(shown, "fleet_lock_requests_total", api="pre-reboot") == 2
    assert value(shown, "fleet_lock_requests_total", api="steady-state") == 1
    assert value(shown, "fleet_lock_errors_total", api="pre-reboot", kind="failed_lock") == 1
    assert value(shown, "fleet_lock_request_duration_seconds_sum", api="pre-reboot") == 2
    assert value(shown, "fleet_lock_request_duration_seconds_count", api="pre-reboot") == 2
    assert value(shown, "fleet_lock_request_duration_seconds_count", api="steady-state") == 0
    assert value(shown, "dbus_connected") == 1
    assert value(shown, "config_reload_successful") == 0
    assert value(shown, "config_last_reload_timestamp_seconds") == NOW.timestamp()


def test_a_server_cannot_invent_kinds_without_end() -> None:
    counters = Counters()
    for number in range(1000):
        counters = counters.request_ended(
            Api.PRE_REBOOT, 0.1, error=f"kind {number} \n" + "x" * 999
        )
    kinds = dict(counters.pre_reboot.errors)
    assert len(kinds) <= MOST_KINDS + 1
    assert sum(kinds.values()) == 1000
    assert len(encode_metrics(IDLE, counters, PROCESS)) < ONE_READ


@given(version=st.text(), detail=st.text())
def test_whatever_text_comes_from_outside_reads_back_as_one_line(version: str, detail: str) -> None:
    status = dataclasses.replace(
        IDLE,
        pending=Deployment(id=DeploymentId(version), key=UpdateKey("k"), version=version),
        notices=(Notice(NoticeKind.SLOT_KEPT, detail),),
    )
    assert are_one(series(status), "notice") == {"slot_kept"}
    assert len(series(status)) == len(series(IDLE))


def test_a_megabyte_of_version_stays_small() -> None:
    monster = '\\"{}=,\n\x1b[31m\N{RIGHT-TO-LEFT OVERRIDE}\ud800é' * 100_000
    deployment = Deployment(id=DeploymentId(monster), key=UpdateKey(monster), version=monster)
    status = dataclasses.replace(
        WAITING,
        booted=deployment,
        pending=deployment,
        identity=Slot(server=monster, group=monster, id=monster),
        notices=(Notice(NoticeKind.SLOT_KEPT, monster),),
    )
    text = encode_metrics(status, Counters(), PROCESS)
    assert len(text) < ONE_READ
    assert b"\x1b" not in text


def test_states_and_outcomes_are_all_listed() -> None:
    shown = series(STARTING)
    assert {labels[0][1] for name, labels in shown if name == "rebootmgr_state"} == set(StateName)
    outcomes = {labels[0][1] for name, labels in shown if name == "rebootmgr_reboot_outcomes_total"}
    assert outcomes == set(Outcome)


def test_a_clock_before_the_epoch_is_no_failure() -> None:
    early = dataclasses.replace(WAITING, pending_since=datetime(1969, 12, 31, tzinfo=UTC))
    assert value(series(early), "pending_since_timestamp_seconds") == -86400


def test_of_two_reboots_of_one_date_the_newer_is_measured() -> None:
    """A clock that is set back, or stands still until NTP answers, dates them alike."""
    reboots = [
        PastReboot(at=NOW, target=DeploymentId("d"), version="2", seconds=seconds)
        for seconds in (100.0, 200.0)
    ]
    status = dataclasses.replace(IDLE, history=tuple(reboots))
    assert value(series(status), "last_reboot_duration_seconds", phase="total") == 200

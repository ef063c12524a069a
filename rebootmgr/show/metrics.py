"""Prometheus text exposition 0.0.4 of Status and Counters (SPEC 10): no registry, no clock.

Every series is there from the first scrape; an instant that is not known is 0.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Final

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.utils import floatToGoString

from rebootmgr import __version__
from rebootmgr.core.counters import Api, Calls, Counters, Process
from rebootmgr.core.memory import Durations
from rebootmgr.core.model import Deployment, NoticeKind, Outcome, Reason
from rebootmgr.core.policy import Strategy
from rebootmgr.core.status import StateName, Status
from rebootmgr.text import harmless

PREFIX: Final = "rebootmgr_"
API: Final = ("api",)
LONGEST_LABEL: Final = 120
LONGEST_GROUP: Final = 64
_encode_float: Final[Callable[[float], str]] = floatToGoString


def encode_metrics(status: Status, counters: Counters, process: Process) -> bytes:
    """Everything that can be scraped, ending in a newline."""
    return "".join(_lines(_collect(status, counters, process))).encode()


def _lines(metrics: Iterable[Metric]) -> Iterator[str]:
    """The text format, as the library's exposition writes it, without the web server beside that.

    Our families of type info are gauges; there is no histogram.
    """
    for metric in metrics:
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        yield f"# HELP {name} {metric.documentation}\n# TYPE {name} {metric.type}\n"
        for sample in metric.samples:
            labels = ",".join(
                f'{key}="{_quoted(sample.labels[key])}"' for key in sorted(sample.labels)
            )
            yield f"{sample.name}{labels and f'{{{labels}}}'} {_encode_float(sample.value)}\n"


def _quoted(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _collect(status: Status, counters: Counters, process: Process) -> Iterator[Metric]:
    yield _labelled("build_info", "Version of rebootmgr.", {"version": __version__})
    group = status.identity.group if status.identity else ""
    about = "The group at the lock server; 0: unknown."
    shown = harmless(group, longest=LONGEST_GROUP)
    yield _labelled("identity_info", about, {"group": shown}, float(bool(group)))
    yield from _decision(status)
    yield from _windows(status)
    yield from _deadlines(status)
    yield from _slots(status)
    yield from _reboots(status)
    yield from _fleet_lock(counters)
    yield from _health(status, counters)
    yield from _process(process)


def _decision(status: Status) -> Iterator[Metric]:
    blocked = {blocker.reason for blocker in status.blockers}
    noticed = {notice.kind for notice in status.notices}
    strategies = {name for name in Strategy if name in status.strategies}
    yield _one_of("state", "Where the attempt to reboot is.", StateName, {status.state})
    pending = status.pending is not None
    yield _gauge("reboot_pending", "An update is staged.", pending)
    since = status.pending_since if pending else None
    yield _instant("pending_since", "Since when it is staged.", since)
    yield _instant("behind_since", "Since when the host is behind.", status.behind_since)
    requested = status.request is not None
    yield _gauge("reboot_requested", "A reboot was asked for.", requested)
    yield _instant("predicted_reboot", "Earliest reboot by what is known.", status.predicted)
    yield _deployment("pending_update_info", "The staged update; 0: none.", status.pending)
    yield _deployment("booted_info", "What is booted; 0: unknown.", status.booted)
    yield _one_of(
        "blocked",
        "Gates that are closed.",
        Reason,
        blocked,
        label="reason",
    )
    yield _one_of("notice", "What people should know.", NoticeKind, noticed)
    yield _one_of("strategy_info", "Strategies in use.", Strategy, strategies, label="strategy")
    yield _gauge("logged_in_users", "Sessions that delay a reboot.", status.users)
    yield _gauge("holds", "Holds in force.", len(status.holds))
    oldest = min((hold.since for hold in status.holds), default=None)
    yield _instant("oldest_hold", "When the oldest hold was placed.", oldest)


def _windows(status: Status) -> Iterator[Metric]:
    start = status.next_window.start if status.next_window else None
    end = status.next_window.end if status.next_window else None
    yield _gauge("window_open", "The calendar allows a reboot now.", status.window is not None)
    yield _instant("next_window_start", "Start of the next opening.", start)
    yield _instant("next_window_end", "End of the next opening.", end)


def _deadlines(status: Status) -> Iterator[Metric]:
    """Nothing where none is configured: there is little room in one read of a proxy."""
    if not status.deadlines:
        return
    name = PREFIX + "deadline_timestamp_seconds"
    steps = GaugeMetricFamily(name, "When it is due; 0: unknown.", labels=("step",))
    for one in status.deadlines:
        steps.add_metric((str(one.step),), one.at.timestamp() if one.at else 0)
    yield steps
    gates = frozenset(name for one in status.deadlines for name in one.waives)
    waived = GaugeMetricFamily(PREFIX + "waived", "Counts no more by deadline.", labels=("gate",))
    for gate in sorted(gates):
        waived.add_metric((gate,), float(gate in status.waived))
    yield waived


def _slots(status: Status) -> Iterator[Metric]:
    kept = any(owed.kept for owed in status.owed)
    releases = sum(not owed.kept for owed in status.owed)
    held, presumed = status.lock_held, status.lock_presumed
    yield _gauge("lock_held", "A slot was granted.", held)
    yield _gauge("lock_presumed", "A slot may be ours.", presumed)
    yield _gauge("slot_kept", "A slot is kept: the update failed here.", kept)
    yield _gauge("releases_owed", "Slots still to be given back.", releases)


def _reboots(status: Status) -> Iterator[Metric]:
    yield CounterMetricFamily(
        PREFIX + "reboots_requested",
        "Reboots asked of logind, on all boots.",
        value=status.reboots_total,
    )
    outcomes = CounterMetricFamily(
        PREFIX + "reboot_outcomes",
        "What became of them.",
        labels=("outcome",),
    )
    counted = dict(status.outcomes)
    for outcome in Outcome:
        outcomes.add_metric((outcome.value,), counted.get(outcome, 0))
    yield outcomes
    durations = GaugeMetricFamily(
        PREFIX + "last_reboot_duration_seconds",
        "Last reboot by phase; total: from hooks on.",
        labels=("phase",),
    )
    measured = (past for past in reversed(status.history) if past.seconds > 0)
    last = next(measured, None)
    durations.add_metric(("total",), last.seconds if last else 0.0)
    for phase, seconds in (last.phases if last else Durations()).by_name().items():
        durations.add_metric((phase,), seconds)
    yield durations
    yield _gauge("quarantined_updates", "Updates that are not tried again.", len(status.quarantine))


def _fleet_lock(counters: Counters) -> Iterator[Metric]:
    name = PREFIX + "fleet_lock_"
    requests = CounterMetricFamily(
        name + "requests", "Requests sent to the lock server.", labels=API
    )
    errors = CounterMetricFamily(
        name + "errors", "Those that failed or were refused.", labels=("api", "kind")
    )
    durations = SummaryMetricFamily(
        name + "request_duration_seconds", "How long an answer took.", labels=API
    )
    for api in Api:
        calls: Calls = counters.calls(api)
        requests.add_metric((api.value,), calls.requests)
        durations.add_metric((api.value,), calls.answers, calls.seconds)
        for kind, count in calls.errors:
            errors.add_metric((api.value, kind), count)
    yield requests
    yield errors
    yield durations


def _health(status: Status, counters: Counters) -> Iterator[Metric]:
    yield _gauge(
        "config_valid",
        "The configuration is valid.",
        status.config_valid,
    )
    yield _gauge("config_reload_successful", "Its last load worked.", counters.reload_ok)
    yield _instant("config_last_reload", "When it was last loaded.", counters.reloaded)
    yield _gauge("dbus_connected", "The system bus is connected.", counters.dbus_connected)


def _process(process: Process) -> Iterator[Metric]:
    """Use the names and texts that all Prometheus client libraries share: no prefix."""
    yield GaugeMetricFamily(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        value=process.start,
    )
    yield CounterMetricFamily(
        "process_cpu_seconds",
        "Total user and system CPU time spent in seconds.",
        value=process.cpu_s,
    )
    yield GaugeMetricFamily(
        "process_resident_memory_bytes", "Resident memory size in bytes.", value=process.resident
    )
    yield GaugeMetricFamily(
        "process_virtual_memory_bytes", "Virtual memory size in bytes.", value=process.virtual
    )
    yield GaugeMetricFamily(
        "process_open_fds", "Number of open file descriptors.", value=process.open_fds
    )
    yield GaugeMetricFamily(
        "process_max_fds", "Maximum number of open file descriptors.", value=process.max_fds
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=float(value))


def _instant(name: str, text: str, at: datetime | None) -> Metric:
    return _gauge(
        f"{name}_timestamp_seconds", f"{text[:-1]}; 0: none.", at.timestamp() if at else 0
    )


def _labelled(name: str, text: str, labels: dict[str, str], value: float = 1) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=tuple(labels))
    family.add_metric(
        tuple(harmless(label, longest=LONGEST_LABEL) for label in labels.values()), value
    )
    return family


def _deployment(name: str, text: str, deployment: Deployment | None) -> Metric:
    if deployment is None:
        return _labelled(name, text, {"version": "", "id": ""}, 0)
    return _labelled(name, text, {"version": deployment.version, "id": deployment.id})


def _one_of(
    name: str, text: str, words: Iterable[StrEnum], those: Collection[str], *, label: str = ""
) -> Metric:
    """Return one series per word: 1 for `those`, 0 for all others."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=(label or name,))
    for word in words:
        family.add_metric((word.value,), float(word in those))
    return family

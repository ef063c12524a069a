"""What a PromQL expression may speak of: the metrics that there are, with labels that they have."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from rebootmgr.core.counters import Api, Counters, Process
from rebootmgr.lending.questions import Kind
from rebootmgr.show.metrics import encode_metrics
from tests.dashboards import lent
from tests.fakes.statuses import ALL, NOW

_PROCESS: Final = Process(start=1, cpu_s=1, resident=1, virtual=1, open_fds=1, max_fds=1)
_COUNTERS: Final = (
    Counters().request_ended(Api.PRE_REBOOT, 1.0, error="failed_lock").config_loaded(NOW, ok=True)
)
SERIES: Final = {
    name: encode_metrics(status, _COUNTERS, _PROCESS).decode() for name, status in ALL.items()
}
# A metric by name, and the values that each of its labels may have.
Metrics = Mapping[str, Mapping[str, set[str]]]
OF_TARGETS: Final = frozenset({"job", "instance", "group"})  # Prometheus adds them
FREE: Final = frozenset({"version", "id", "kind"})  # their values are not known in advance
REFUSALS: Final = "rebootmgr_lockd_refusals_total"  # here they are
# Of Prometheus itself and of node_exporter.
THEIRS: Final[Metrics] = {"up": {}, "node_textfile_mtime_seconds": {"file": set()}}
NAME: Final = re.compile(r"\b((?:rebootmgr|process|node)_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right) *\(([^)]*)\)")


def read_metrics(texts: Iterable[str]) -> Metrics:
    """Every metric of these expositions."""
    found: dict[str, dict[str, set[str]]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    labels.setdefault(label, set()).add(value)
    return found


ALL_METRICS: Final = read_metrics(SERIES.values())
_OF_SERVER: Final = read_metrics(lent.SERIES.values())
OF_SERVER: Final[Metrics] = {
    **_OF_SERVER,
    REFUSALS: {**_OF_SERVER[REFUSALS], "kind": {str(kind) for kind in Kind}},
}


def names_of(expression: str) -> set[str]:
    """The metrics that an expression names."""
    return {found[1] for found in NAME.finditer(expression)}


def check_expression(expression: str, metrics: Metrics) -> None:
    """See that all that it names is there: metrics, their labels, and the labels' values."""
    known = {**metrics, **THEIRS}
    labels: set[str] = set(OF_TARGETS)
    for name, selector in NAME.findall(expression):
        assert name in known, f"there is no metric {name}"
        labels |= known[name].keys()
        matchers = MATCHER.findall(selector)
        assert selector == ",".join(f'{label}{how}"{value}"' for label, how, value in matchers)
        for label, how, value in matchers:
            if label in OF_TARGETS or name in THEIRS or (label in FREE and name != REFUSALS):
                continue
            assert label in known[name], f"{name} has no label {label}"
            for word in value.split("|") if "~" in how else [value]:
                assert word in known[name][label], f"{name} is never {label}={word}"
    for grouping in GROUPING.findall(expression):
        unknown = {it.strip() for it in grouping.split(",") if it.strip()} - labels
        assert unknown == set(), f"nothing in {expression} has {unknown}"
    rest = GROUPING.sub("", re.sub(r"\{[^}]*\}", "", expression))
    words = set(re.findall(r"[a-z_$]{4,}", rest)) - names_of(expression)
    assert words <= WORDS, f"neither metrics nor functions: {words - WORDS}"


WORDS: Final = frozenset(
    {"absent", "count", "count_values", "increase", "last_over_time", "max_over_time"}
    | {
        "histogram_quantile",
        "min_over_time",
        "rate",
        "round",
        "time",
        "unless",
        "vector",
        "$__rate_interval",
    }
)

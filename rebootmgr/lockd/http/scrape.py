"""What Prometheus is told of the fleet."""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from rebootmgr import __version__
from rebootmgr.lending.group import Fleet, Group, slots_of
from rebootmgr.lending.standing import halted_by, looked_at
from rebootmgr.lending.terms import MAX_HOLD_S, Moment, Rules, Terms
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.tally import Histogram

PREFIX: Final = "rebootmgr_lockd_"
_GROUP: Final = ("group",)


class Scrape(Collector):
    """Collects what a lender knows, and how many connections are open."""

    def __init__(self, lender: Lender) -> None:
        self._lender = lender
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Give everything in the text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give every family; of groups those that are configured."""
        build = GaugeMetricFamily(f"{PREFIX}build_info", "Version.", labels=("version",))
        build.add_metric((__version__,), 1.0)
        yield build
        ready = GaugeMetricFamily(
            f"{PREFIX}ready",
            "Whether slots are lent and taken back.",
            float(not self._lender.trouble),
        )
        yield ready
        yield from self._gauges()
        yield from self._counters()

    def _gauges(self) -> Iterator[Metric]:
        lender, at = self._lender, self._lender.moment()
        fleet, rules = lender.fleet, lender.rules
        found: dict[str, list[tuple[str, float]]] = {name: [] for name in _GAUGES}
        for name in rules.groups:
            group, terms = fleet.group(name), rules.terms_of(name)
            most_s = MAX_HOLD_S if terms is None else terms.max_hold_s
            values = {
                "slots": slots_of(name, group, rules, at),
                "slots_lent": len(group.holders),
                "slots_free": 0 if lender.trouble else _free(fleet, name, rules, at),
                "hosts_waiting": len(group.queue),
                "oldest_wait_seconds": _oldest_wait_s(group, at.s),
                "oldest_hold_seconds": max(_holds_s(group, at.s), default=0.0),
                "failed": sum(bool(one.failed) for one in group.holders.values()),
                "halted": float(terms is not None and _is_halted(group, terms, name, rules, at)),
                "frozen": float(_is_frozen(fleet, group, at)),
                "overdue": sum(held_s > most_s for held_s in _holds_s(group, at.s)),
            }
            for key, value in values.items():
                found[key].append((name, float(value)))
        for key, text in _GAUGES.items():
            family = GaugeMetricFamily(f"{PREFIX}{key}", text, labels=_GROUP)
            for name, value in found[key]:
                family.add_metric((name,), value)
            yield family

    def _counters(self) -> Iterator[Metric]:
        counts = self._lender.counts
        for key, text, by_group in (
            ("grants", "Slots lent.", counts.grants),
            ("returns", "Slots given back.", counts.returns),
        ):
            family = CounterMetricFamily(f"{PREFIX}{key}", text, labels=_GROUP)
            begun = dict.fromkeys(self._lender.rules.groups, 0)  # or the first one is no increase
            for name, number in {**begun, **by_group}.items():
                family.add_metric((name,), number)
            yield family
        refusals = CounterMetricFamily(
            f"{PREFIX}refusals", "Questions refused, by why.", labels=("group", "kind")
        )
        for labels, number in counts.refusals.items():
            refusals.add_metric(labels, number)
        yield refusals
        yield _histograms(
            "wait_seconds", "From joining the queue to a slot.", "group", counts.waits
        )
        yield _histograms("hold_seconds", "How long a slot was held.", "group", counts.holds)
        yield _histograms("store_seconds", "What the store took.", "operation", counts.store)
        yield CounterMetricFamily(
            f"{PREFIX}store_errors", "How often the store failed.", counts.store_errors
        )


_GAUGES: Final = {
    "slots": "Slots that the group has.",
    "slots_lent": "Slots that hosts hold.",
    "slots_free": "Slots that may be lent now: none outside windows, or while frozen or halted.",
    "hosts_waiting": "Hosts in the queue.",
    "oldest_wait_seconds": "How long the first of the queue has waited.",
    "oldest_hold_seconds": "How long the oldest slot is held.",
    "failed": "Holders whose reboot failed.",
    "halted": "Whether nothing is granted as reboots failed, or all slots are overdue.",
    "frozen": "Whether an administrator lets nothing be granted.",
    "overdue": "Hosts that hold a slot for longer than max_hold_minutes.",
}


def _free(fleet: Fleet, name: str, rules: Rules, at: Moment) -> int:
    group, slots = looked_at(fleet, name, rules, at)
    return max(slots - len(group.holders), 0)


def _is_halted(group: Group, terms: Terms, name: str, rules: Rules, at: Moment) -> bool:
    return halted_by(group, slots_of(name, group, rules, at), terms, at) is not None


def _is_frozen(fleet: Fleet, group: Group, at: Moment) -> bool:
    freezes = (fleet.freeze, group.freeze)
    return any(one is not None and one.holds(at.wall) for one in freezes)


def _oldest_wait_s(group: Group, now_s: float) -> float:
    first = next(iter(group.queue), None)
    return 0.0 if first is None else max(now_s - first.joined_s, 0.0)


def _holds_s(group: Group, now_s: float) -> list[float]:
    return [max(now_s - holder.since_s, 0.0) for holder in group.holders.values()]


def _histograms(
    key: str, text: str, label: str, found: Mapping[str, Histogram]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"{PREFIX}{key}", text, labels=(label,))
    for name, one in found.items():
        edges = (*map(str, one.edges), "+Inf")
        counted = zip(edges, map(float, accumulate(one.counts)), strict=True)
        family.add_metric((name,), [*counted], one.total)
    return family

"""The Grafana dashboards: what Grafana can show, about metrics that there are.

No Grafana is asked: what is tested is what its documentation says of the JSON model, and what
PromQL makes of the expressions (https://grafana.com/docs/grafana/latest/dashboards/).
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.dashboards import lent
from tests.dashboards.expressions import (
    ALL_METRICS,
    OF_SERVER,
    SERIES,
    Metrics,
    check_expression,
    names_of,
)
from tests.dashboards.prometheus import DASHBOARDS, promtool
from tests.dashboards.test_alerts import ALERTS

DATA_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 24
KINDS: Final = {"row", "stat", "timeseries", "table", "bargauge"}  # all of Grafana's own


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. `series`: what is said in each situation; a table has a row for each `of`."""

    name: str
    metrics: Metrics
    series: Mapping[str, str]
    of: str
    kinds: frozenset[str] | set[str]
    left_out: frozenset[str] = frozenset()

    @property
    def whole(self) -> dict[str, Any]:
        """The file."""
        read: dict[str, Any] = json.loads((DASHBOARDS / f"{self.name}.json").read_text("utf-8"))
        return read

    @property
    def panels(self) -> list[dict[str, Any]]:
        """Every panel and row."""
        found: list[dict[str, Any]] = self.whole["panels"]
        return found

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The panels."""
        return [panel for panel in self.panels if panel["type"] != "row"]

    @property
    def queries(self) -> list[str]:
        """What Grafana asks."""
        return [of_prometheus(each) for panel in self.shown for each in expressions(panel)]


# Left out: the daemon's process. Where node_exporter passes the text on, they are its own.
# And the group that the host itself goes by: panels go by that of the scrape configuration.
LEFT_OUT: Final = frozenset(
    {
        "rebootmgr_identity_info",
        *(name for name in ALL_METRICS if name.startswith("process_")),
    }
)


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def of_prometheus(expression: str) -> str:
    """What Grafana sends for it, with all of everything chosen."""
    return re.sub(r"\$(job|group|instance)", ".*", expression).replace("$__rate_interval", "4m")


HOSTS: Final = Board("rebootmgr", ALL_METRICS, SERIES, "instance", KINDS, LEFT_OUT)
SERVERS: Final = Board("rebootmgr-lockd", OF_SERVER, lent.SERIES, "group", KINDS - {"bargauge"})
BOARDS: Final = (HOSTS, SERVERS)
QUERIES: Final = [query for board in BOARDS for query in board.queries]
EACH: Final = pytest.mark.parametrize("board", BOARDS, ids=[board.name for board in BOARDS])


@EACH
def test_every_panel_is_one_of_its_own_and_has_its_place(board: Board) -> None:
    assert board.whole["uid"] == board.name
    panels = board.panels
    assert [it for it, times in Counter(panel["id"] for panel in panels).items() if times > 1] == []
    titles = Counter(panel["title"] for panel in board.shown)
    assert {panel["type"] for panel in panels} == board.kinds
    taken = Counter(
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert max(taken.values()) == 1, "panels lie upon each other"
    assert {x for x, _ in taken} == set(range(COLUMNS))
    assert [title for title, times in titles.items() if times > 1] == []
    tops = [panel["gridPos"]["y"] for panel in panels]
    assert all(above <= below for above, below in pairwise(tops))


@pytest.mark.parametrize(
    ("board", "panel"),
    [
        pytest.param(board, panel, id=f"{board.name}: {panel['title']}")
        for board in BOARDS
        for panel in board.shown
    ],
)
def test_a_panel_says_what_it_shows_from_the_chosen_source(
    board: Board, panel: dict[str, Any]
) -> None:
    assert panel["description"].endswith((".", "each."))
    assert panel["fieldConfig"]["defaults"]["unit"] in {"short", "s", "reqps"}
    references = [target["refId"] for target in panel["targets"]]
    assert references == sorted(set(references))
    for target in [panel, *panel["targets"]]:
        assert target["datasource"] == DATA_SOURCE
    for target in panel["targets"]:
        check_expression(of_prometheus(target["expr"]), board.metrics)
        used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", target["expr"])
        assert used <= {label.strip() for labels in grouped for label in labels.split(",")}


@EACH
def test_every_choice_narrows_every_panel(board: Board) -> None:
    variables = {each["name"]: each for each in board.whole["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "group", "instance"]
    for name in ("job", "group", "instance"):
        variable = variables[name]
        assert (variable["type"], variable["datasource"]) == ("query", DATA_SOURCE)
        assert variable["query"]["query"] == variable["definition"]
        [[metric, label]] = re.findall(r"^label_values\((.+), (\w+)\)$", variable["definition"])
        assert label == name
        check_expression(re.sub(r"\$\w+", ".*", metric), board.metrics)
        for expression in (each for panel in board.shown for each in expressions(panel)):
            asked = re.findall(r"\b(?:rebootmgr_\w+|up)\b", expression)
            narrowed = [it for it in asked if board is HOSTS or may_narrow(name, it)]
            assert expression.count(f'{name}=~"${name}"') == len(narrowed), expression


def may_narrow(label: str, metric: str) -> bool:
    """Whether a metric of a lock server goes by it: of groups only what is about one."""
    return label != "group" or label in OF_SERVER.get(metric, {})


@EACH
def test_a_column_that_is_renamed_or_formatted_is_one_that_there_is(board: Board) -> None:
    for panel in (panel for panel in board.shown if panel["type"] == "table"):
        assert {target["format"] for target in panel["targets"]} == {"table"}
        assert len(panel["targets"]) > 1, "the column of one alone is named Value"
        [options] = [it["options"] for it in panel["transformations"] if it["id"] == "organize"]
        columns = {f"Value #{target['refId']}" for target in panel["targets"]} | {board.of}
        labels = {"Time", "__name__", "job", "group", "reason"}
        assert columns <= options["renameByName"].keys() <= columns | labels
        assert options["excludeByName"].keys() <= columns | labels
        named = set(options["renameByName"].values())
        formatted = {it["matcher"]["options"] for it in panel["fieldConfig"]["overrides"]}
        sorted_by = {it["displayName"] for it in panel["options"]["sortBy"]}
        assert formatted | sorted_by <= named


def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(QUERIES)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"SUCCESS: {len(QUERIES)} rules found" in promtool("check", "rules", file)


def fleet(board: Board) -> list[dict[str, str]]:
    """A host or server in each situation, for promtool test: counters grow, all else stays."""
    series = [{"series": 'up{job="j",instance="gone",group="g"}', "values": "0x60"}]
    added = ',group="g"' if board is HOSTS else ""
    for instance, text in board.series.items():
        for line in text.splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                metric, _, labels = name.rstrip("}").partition("{")
                if added:
                    labels = labels.replace("group=", "exported_group=")  # as Prometheus does
                labels = ",".join([*labels.split(","), f'job="j",instance="{instance}"{added}'])
                grows = metric.endswith(("_total", "_count", "_sum", "_bucket"))
                values = f"{value}+1x60" if grows else f"{value}x60"
                series.append({"series": f"{metric}{{{labels.lstrip(',')}}}", "values": values})
    return series


@EACH
def test_every_panel_shows_something_of_a_fleet_in_every_situation(
    board: Board, tmp_path: Path
) -> None:
    cases = [
        {
            "expr": f"count({query}) > bool 0",
            "eval_time": "1h",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for query in board.queries
    ]
    test = {"interval": "1m", "input_series": fleet(board), "promql_expr_test": cases}
    file = tmp_path / "panels_test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    promtool("test", "rules", file)


@EACH
def test_every_metric_is_shown_or_left_out_on_purpose(board: Board) -> None:
    shown = set().union(*map(names_of, board.queries))
    assert board.metrics.keys() - shown == board.left_out


def test_what_alerts_judge_by_is_shown() -> None:
    shown = set().union(*map(names_of, QUERIES))
    judged = set().union(*(names_of(rule["expr"]) for rule in ALERTS.values()))
    assert {name for name in judged if name.startswith("rebootmgr_")} <= shown


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("sum(rebootmgr_pendings)", "no metric rebootmgr_pendings"),
        ('rebootmgr_blocked{cause="held"}', "no label cause"),
        ('rebootmgr_blocked{reason="hold"}', "never reason=hold"),
        ("sum by (reason) (rebootmgr_holds)", "has {'reason'}"),
        ("summ_over_time(rebootmgr_holds)", "neither metrics nor functions"),
        ('rebootmgr_lockd_refusals_total{kind="full"}', "never kind=full"),
    ],
)
def test_an_expression_about_what_there_is_not_is_noticed(wrong: str, told: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(told)):
        check_expression(wrong, {**ALL_METRICS, **OF_SERVER})

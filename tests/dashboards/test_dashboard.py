"""The Grafana dashboard: one that Grafana can show, about metrics that there are.

No Grafana is asked: what is tested is what its documentation says of the JSON model, and what
PromQL makes of the expressions (https://grafana.com/docs/grafana/latest/dashboards/).
"""

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.dashboards.expressions import ALL_METRICS, SERIES, check_expression, names_of
from tests.dashboards.prometheus import DASHBOARDS, promtool
from tests.dashboards.test_alerts import ALERTS

BOARD: Final[dict[str, Any]] = json.loads((DASHBOARDS / "rebootmgr.json").read_text("utf-8"))
PANELS: Final[list[dict[str, Any]]] = BOARD["panels"]
SHOWN: Final = [panel for panel in PANELS if panel["type"] != "row"]
VARIABLES: Final[dict[str, Any]] = {each["name"]: each for each in BOARD["templating"]["list"]}
DATA_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 24
KINDS: Final = {"row", "stat", "timeseries", "table", "bargauge"}  # all of Grafana's own
# Left out: the daemon's process. Where node_exporter passes the text on, they are its own.
# And the group that the host itself goes by: panels go by that of the scrape configuration.
LEFT_OUT: Final = {
    "rebootmgr_identity_info",
    *(name for name in ALL_METRICS if name.startswith("process_")),
}


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def of_prometheus(expression: str) -> str:
    """What Grafana sends for it, with all of everything chosen."""
    return re.sub(r"\$(job|group|instance)", ".*", expression).replace("$__rate_interval", "4m")


QUERIES: Final = [of_prometheus(each) for panel in SHOWN for each in expressions(panel)]


def test_every_panel_is_one_of_its_own_and_has_its_place() -> None:
    assert [it for it, times in Counter(panel["id"] for panel in PANELS).items() if times > 1] == []
    titles = Counter(panel["title"] for panel in SHOWN)
    assert {panel["type"] for panel in PANELS} == KINDS
    taken = Counter(
        (x, y)
        for panel in PANELS
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert max(taken.values()) == 1, "panels lie upon each other"
    assert {x for x, _ in taken} == set(range(COLUMNS))
    assert [title for title, times in titles.items() if times > 1] == []
    tops = [panel["gridPos"]["y"] for panel in PANELS]
    assert all(above <= below for above, below in pairwise(tops))


@pytest.mark.parametrize("panel", SHOWN, ids=[panel["title"] for panel in SHOWN])
def test_a_panel_says_what_it_shows_from_the_chosen_source(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith((".", "each."))
    assert panel["fieldConfig"]["defaults"]["unit"] in {"short", "s", "reqps"}
    references = [target["refId"] for target in panel["targets"]]
    assert references == sorted(set(references))
    for target in [panel, *panel["targets"]]:
        assert target["datasource"] == DATA_SOURCE
    for target in panel["targets"]:
        check_expression(of_prometheus(target["expr"]), ALL_METRICS)
        used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", target["expr"])
        assert used <= {label.strip() for labels in grouped for label in labels.split(",")}


def test_every_choice_narrows_every_panel() -> None:
    assert list(VARIABLES) == ["datasource", "job", "group", "instance"]
    for name in ("job", "group", "instance"):
        variable = VARIABLES[name]
        assert (variable["type"], variable["datasource"]) == ("query", DATA_SOURCE)
        [[metric, label]] = re.findall(r"^label_values\((.+), (\w+)\)$", variable["definition"])
        assert label == name
        check_expression(re.sub(r"\$\w+", ".*", metric), ALL_METRICS)
        for panel in SHOWN:
            for expression in expressions(panel):
                assert expression.count(f'{name}=~"${name}"') == len(
                    re.findall(r"\b(?:rebootmgr_\w+|up)\b", expression)
                ), expression


def test_a_column_that_is_renamed_or_formatted_is_one_that_there_is() -> None:
    for panel in (panel for panel in SHOWN if panel["type"] == "table"):
        assert {target["format"] for target in panel["targets"]} == {"table"}
        assert len(panel["targets"]) > 1, "the column of one alone is named Value"
        [options] = [it["options"] for it in panel["transformations"] if it["id"] == "organize"]
        columns = {f"Value #{target['refId']}" for target in panel["targets"]} | {"instance"}
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


def fleet() -> list[dict[str, str]]:
    """A host in each situation, as promtool test takes it: counters grow, all else stays."""
    series = [{"series": 'up{job="j",instance="gone",group="g"}', "values": "0x60"}]
    for instance, text in SERIES.items():
        for line in text.splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                metric, _, labels = name.rstrip("}").partition("{")
                labels = labels.replace("group=", "exported_group=")  # as Prometheus does
                labels = ",".join([*labels.split(","), f'job="j",instance="{instance}",group="g"'])
                grows = metric.endswith(("_total", "_count", "_sum"))
                values = f"{value}+1x60" if grows else f"{value}x60"
                series.append({"series": f"{metric}{{{labels.lstrip(',')}}}", "values": values})
    return series


def test_every_panel_shows_something_of_a_fleet_in_every_situation(tmp_path: Path) -> None:
    cases = [
        {
            "expr": f"count({query}) > bool 0",
            "eval_time": "1h",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for query in QUERIES
    ]
    test = {"interval": "1m", "input_series": fleet(), "promql_expr_test": cases}
    file = tmp_path / "panels_test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    promtool("test", "rules", file)


def test_every_metric_is_shown_or_left_out_on_purpose() -> None:
    shown = set().union(*map(names_of, QUERIES))
    assert ALL_METRICS.keys() - shown == LEFT_OUT
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
    ],
)
def test_an_expression_about_what_there_is_not_is_noticed(wrong: str, told: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(told)):
        check_expression(wrong, ALL_METRICS)

"""The alert rules and the example configurations, judged by promtool and against the metrics."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

import pytest
import yaml

from rebootmgr.cli.bus_verbs import METRICS
from tests.dashboards import lent
from tests.dashboards.expressions import (
    ALL_METRICS,
    OF_SERVER,
    SERIES,
    check_expression,
)
from tests.dashboards.prometheus import DASHBOARDS, promtool
from tests.doc_text import GUIDES
from tests.fakes.statuses import ALL
from tests.test_docs import anchors


def read_yaml(name: str) -> Any:
    return yaml.safe_load((DASHBOARDS / name).read_text("utf-8"))


ALERTS: Final[Mapping[str, Any]] = {
    rule["alert"]: rule for group in read_yaml("alerts.yml")["groups"] for rule in group["rules"]
}
MONITORING: Final = GUIDES["docs/monitoring.md"]


def test_promtool_takes_the_rules_and_finds_no_two_alike() -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", DASHBOARDS / "alerts.yml")
    assert f"SUCCESS: {len(ALERTS)} rules found" in said


def test_each_alert_fires_when_it_should_and_not_in_the_near_miss() -> None:
    assert "SUCCESS" in promtool("test", "rules", DASHBOARDS / "alerts_test.yml")
    cases = (DASHBOARDS / "alerts_test.yml").read_text("utf-8")
    assert set(re.findall(r'labels: ALERTS\{alertname="(\w+)"', cases)) == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_happened_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"] in ({"severity": "warning"}, {"severity": "critical"})
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert page == "docs/monitoring.md"
    assert anchor == name.lower()
    assert anchor in anchors(MONITORING)
    of_server = name.startswith("RebootmgrLockd")
    check_expression(rule["expr"], OF_SERVER if of_server else ALL_METRICS)


def test_the_guide_has_every_alert_as_the_rules_have_it() -> None:
    said = re.findall(r"^### (Rebootmgr\w+)\n\n`(.+?)`, (.+?)\.\n", MONITORING, re.MULTILINE)
    after = {name: f"after {rule['for']}" for name, rule in ALERTS.items() if "for" in rule}
    assert said == [
        (name, rule["labels"]["severity"], after.get(name, "at once"))
        for name, rule in ALERTS.items()
    ]


@pytest.mark.parametrize(
    "text", [*SERIES.values(), *lent.SERIES.values()], ids=[*ALL, *lent.SERIES]
)
def test_promtool_finds_nothing_to_mend_in_the_metrics(text: str) -> None:
    assert promtool("check", "metrics", text=text) == ""


def test_promtool_takes_the_example_configuration() -> None:
    said = promtool("check", "config", DASHBOARDS / "prometheus.yml")
    assert f"SUCCESS: {len(ALERTS)} rules found" in said


def test_prometheus_asks_local_exporter_for_what_that_has() -> None:
    bridge = tomllib.loads((DASHBOARDS / "local_exporter.toml").read_text("utf-8"))
    job, _ = read_yaml("prometheus.yml")["scrape_configs"]
    [(selector, source)] = bridge["bridge"]["selectors"].items()
    assert source == {"kind": "uds", "path": f"/{METRICS}"}
    assert (job["params"], job["metrics_path"]) == ({"selector": [selector]}, "/bridge")
    targets = [target for some in job["static_configs"] for target in some["targets"]]
    assert {target.partition(":")[2] for target in targets} == {str(bridge["service"]["port"])}
    assert f'job="{job["job_name"]}"' in ALERTS["RebootmgrDown"]["expr"]


def test_the_lock_server_is_down_by_the_name_of_its_job() -> None:
    _, job = read_yaml("prometheus.yml")["scrape_configs"]
    assert f'job="{job["job_name"]}"' in ALERTS["RebootmgrLockdDown"]["expr"]

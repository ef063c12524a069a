"""The recording rules: judged by promtool, about metrics that there are, and all on the page."""

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.dashboards.expressions import ALL_METRICS, OF_SERVER, check_expression
from tests.dashboards.prometheus import DASHBOARDS, promtool
from tests.doc_text import GUIDES, blocks, rows

FILE: Final = DASHBOARDS / "recording.yml"
RULES: Final[dict[str, str]] = {
    rule["record"]: rule["expr"]
    for group in yaml.safe_load(FILE.read_text("utf-8"))["groups"]
    for rule in group["rules"]
}
PAGE: Final = {"docs/monitoring.md": GUIDES["docs/monitoring.md"]}
TEST: Final = DASHBOARDS / "recording_test.yml"


def test_promtool_takes_the_recording_rules() -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", FILE)
    assert f"SUCCESS: {len(RULES)} rules found" in said


def test_each_recording_rule_records_what_it_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", TEST)
    tried = set(re.findall(r"(?m)expr: (?:round\()?(job_group[\w:]+)", TEST.read_text("utf-8")))
    assert tried == RULES.keys()


def test_a_test_of_a_recording_rule_fails_where_the_rule_is_another(tmp_path: Path) -> None:
    (tmp_path / TEST.name).write_text(TEST.read_text("utf-8"), "utf-8")
    broken = FILE.read_text("utf-8").replace(
        "max by (job, group) (rebootmgr_lockd_slots_lent)", "0"
    )
    (tmp_path / FILE.name).write_text(broken, "utf-8")
    with pytest.raises(AssertionError, match="rebootmgr_lockd_slots_lent:ratio"):
        promtool("test", "rules", tmp_path / TEST.name)


@pytest.mark.parametrize("record", RULES)
def test_a_recording_rule_is_about_metrics_that_there_are(record: str) -> None:
    of_server = "rebootmgr_lockd" in record
    check_expression(RULES[record], OF_SERVER if of_server else ALL_METRICS)


def test_the_page_has_every_recording_rule() -> None:
    named = [row[0].strip("`") for row in rows(PAGE["docs/monitoring.md"], 2)]
    assert [name for name in named if name.startswith("job_group")] == list(RULES)
    [(_, query)] = blocks(PAGE, "promql")
    assert re.findall(r"job_group[\w:]+", query["body"])[0] in RULES

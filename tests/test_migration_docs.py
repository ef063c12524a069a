"""What the pages for newcomers promise: every old setting has a place, every key named is one."""

import re
import shlex
from datetime import UTC
from typing import Final

import pytest

from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.schema import ITEMS, KEYS, TABLES, ZINCATI
from tests.dashboards.expressions import ALL_METRICS, check_expression
from tests.doc_text import GUIDES, ROOT, blocks

LOCKSMITH: Final = "docs/migrating-from-locksmith.md"
# Of its locksmithctl.go: flags, which are also LOCKSMITHD_... and LOCKSMITHCTL_..., and verbs.
FLAGS: Final = (
    "debug", "endpoint", "etcd-keyfile", "etcd-certfile", "etcd-cafile", "etcd-username",
    "etcd-password", "group", "version",
)  # fmt: skip
VERBS: Final = ("help", "lock", "reboot", "send-need-reboot", "set-max N", "status", "unlock")
VARIABLES: Final = ("REBOOT_WINDOW_START", "REBOOT_WINDOW_LENGTH")
STRATEGIES: Final = ("etcd-lock", "reboot", "off", "best-effort")


# Of its documentation of version 0.0.32, but for those of Cincinnati and of rpm-ostree's client.
METRICS: Final = {
    "identity": ("os_info", "rollout_wariness"),
    "strategy_fleet_lock": ("errors_total", "requests_total"),
    "update_agent": (
        "finalization_attempts", "finalization_blocked_count", "finalization_successes",
        "finalization_detected_active_users", "last_refresh_timestamp", "updates_enabled",
        "latest_state_change_timestamp", "postponed_finalizations_total",
        "updates_allow_downgrade",
    ),
    "updates_strategy": (
        "can_finalize_responses", "mode", "periodic_schedule_length_minutes",
    ),
}  # fmt: skip


def cells(page: str) -> set[str]:
    """What stands as `code` in the first cell of a row."""
    heads = re.findall(r"^\| (.+?) \| ", GUIDES[page], re.MULTILINE)
    return {word for head in heads for word in re.findall(r"`([^`]+)`", head)}


def test_the_empty_group_of_zincati_is_the_default_one() -> None:
    drop_ins = [DropIn("50-a.toml", '[identity]\ngroup = "web"\n')]
    drop_ins.append(DropIn("60-b.toml", '[identity]\ngroup = ""\n'))
    config = decode_config(drop_ins, localtime=UTC)
    assert (config.errors, config.settings.identity.group) == ((), "default")


def test_every_setting_and_verb_of_locksmith_has_a_row() -> None:
    flags = {f"-{flag}" for flag in FLAGS}
    variables = {*VARIABLES, *(f"LOCKSMITHD_{name}" for name in VARIABLES)}
    daemons = {f"LOCKSMITHD_{flag.upper().replace('-', '_')}" for flag in FLAGS[1:-1]}
    strategies = {f"REBOOT_STRATEGY={name}" for name in STRATEGIES}
    assert flags | variables | daemons | strategies | set(VERBS) <= cells(LOCKSMITH)


def test_the_example_of_locksmith_means_the_same_here() -> None:
    [(_, shell)] = blocks({LOCKSMITH: GUIDES[LOCKSMITH]}, "sh")
    [(_, toml)] = blocks({LOCKSMITH: GUIDES[LOCKSMITH]}, "toml")
    theirs = dict(word.split("=", 1) for word in shlex.split(shell["body"]))
    settings = decode_config([DropIn("example.toml", toml["body"])], localtime=UTC).settings
    assert settings.identity.group == theirs["LOCKSMITHD_GROUP"]
    assert theirs["REBOOT_STRATEGY"] == "etcd-lock"
    assert set(settings.updates.strategy) == {"periodic", "fleet_lock"}
    day, start = theirs["LOCKSMITHD_REBOOT_WINDOW_START"].split()
    hours, minutes = re.findall(r"\d+", theirs["LOCKSMITHD_REBOOT_WINDOW_LENGTH"])
    assert f'days = ["{day}"]\nstart_time = "{start}"\n' in toml["body"]
    assert f"length_minutes = {60 * int(hours) + int(minutes)}\n" in toml["body"]
    fleet = settings.updates.fleet_lock
    for file in (fleet.ca_file, fleet.client_cert_file, fleet.client_key_file):
        assert file.startswith("/etc/rebootmgr/")


def test_every_metric_of_zincati_has_a_row() -> None:
    theirs = {f"zincati_{part}_{name}" for part, names in METRICS.items() for name in names}
    assert theirs <= cells("docs/migrating-from-zincati.md")


@pytest.mark.parametrize("page", GUIDES)
def test_a_metric_that_a_page_names_is_one(page: str) -> None:
    families = re.sub(r"`rebootmgr_\.\.\.`", "", GUIDES[page])
    of_lockd = re.compile(r"^[*]{2}(rebootmgr_lockd_[a-z_]+)", re.MULTILINE)
    lent = set(of_lockd.findall((ROOT / "docs/man/rebootmgr-lockd.8.md").read_text("utf-8")))
    for expression in re.findall(r"`(rebootmgr_[^`]+)`", families):
        if expression in lent:  # those are the server's, whose page is compared with what it says
            continue
        check_expression(expression.replace('{reason="..."}', ""), ALL_METRICS)


@pytest.mark.parametrize("page", [name for name in GUIDES if name.startswith(("docs/", "README"))])
def test_a_key_that_a_page_names_is_one(page: str) -> None:
    tables = "|".join(sorted({key.partition(".")[0] for key in KEYS}))
    named = set(re.findall(rf"`\[*((?:{tables})\.[a-z_.]+[a-z_])", GUIDES[page]))
    items = {f"{table}.{key}" for table, keys in ITEMS.items() for key in keys}
    assert named <= {*KEYS, *ITEMS, *items, *TABLES, *ZINCATI}


def test_the_other_rebootmgr_is_said_to_be_another() -> None:
    page = " ".join(GUIDES["docs/coming-from.md"].split())
    assert "**is another program**" in page
    assert "cannot be installed side by side" in page
    assert "SUSE's rebootmgr is another program" in GUIDES["README.md"]

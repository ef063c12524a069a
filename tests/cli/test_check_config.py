"""check-config on a whole host: what root cannot see by trying (SPEC 11)."""

import json
import os
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from rebootmgr.cli.main import main
from rebootmgr.fleetlock.secret_files import LONGEST
from rebootmgr.instants import encode_instant
from tests.fakes.composefs_host import ComposefsHost
from tests.fakes.fleetlock_tls import HomeMade

DROP_INS = "etc/rebootmgr/config.d"
UNIT = "usr/lib/systemd/system/zincati.service"
WANTS = "etc/systemd/system/multi-user.target.wants/zincati.service"
STRANGER = 64999
ROOT = Path(__file__).parent.parent.parent


def check(root: Path, *options: str, status: int = 0) -> list[dict[str, Any]]:
    """The warnings; there is no error."""
    with redirect_stdout(StringIO()) as out:
        assert main(["--root", str(root), "--json", "check-config", *options]) == status
    said = json.loads(out.getvalue())
    assert said["errors"] == []
    assert said["valid"] == (status == 0)
    warnings: list[dict[str, Any]] = said["warnings"]
    return warnings


def write(root: Path, path: str, text: str = "# nothing\n", mode: int = 0o644) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def link(root: Path, path: str, target: str) -> Path:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(target)
    return root / path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host whose daemon runs as a user who owns nothing, in the group of whoever runs this."""
    user = f"rebootmgr:x:{STRANGER}:{STRANGER}::/:/sbin/nologin\n"
    write(tmp_path, "etc/passwd", f"root:x:0:0::/root:/bin/sh\n{user}")
    write(tmp_path, "etc/group")
    write(tmp_path, "etc/machine-id", "00112233445566778899aabbccddeeff\n")
    write(tmp_path, f"{DROP_INS}/50-a.toml")
    return tmp_path


def join_group(root: Path) -> None:
    """Let the daemon's user share the group of our files."""
    gid = (root / "etc/passwd").stat().st_gid
    write(root, "etc/group", f"shared:x:{gid}:rebootmgr\n")


def test_a_tidy_host_has_nothing_to_hear(root: Path) -> None:
    assert check(root, "--strict") == []


def test_a_drop_in_that_the_daemon_cannot_read_is_named_with_the_cure(root: Path) -> None:
    path = write(root, f"{DROP_INS}/50-a.toml", mode=0o640)
    [warning] = check(root)
    assert (warning["file"], warning["line"]) == (str(path), None)
    owner = f"{path.stat().st_uid}:{path.stat().st_gid}"
    assert warning["message"] == (
        f"the user rebootmgr may not read /{DROP_INS}/50-a.toml (mode 0640, owner {owner})"
    )
    shown = f"/{DROP_INS}/50-a.toml"
    assert warning["hint"] == f"chgrp rebootmgr {shown} && chmod g+r {shown}"
    assert check(root, "--strict", status=78) == [warning]
    join_group(root)
    assert check(root) == []


def test_a_drop_in_is_reached_through_folders_that_may_be_closed(root: Path) -> None:
    folder = root / "etc/rebootmgr"
    folder.chmod(0o700)
    [warning] = check(root)
    assert warning["file"] == str(root / DROP_INS)
    assert "may not enter /etc/rebootmgr (mode 0700" in warning["message"]
    folder.chmod(0o711)
    assert check(root) == []
    (root / DROP_INS).chmod(0o711)  # may be entered, but not listed
    [warning] = check(root)
    assert f"may not read /{DROP_INS}" in warning["message"]


def test_a_drop_in_that_is_hidden_by_another_need_not_be_readable(root: Path) -> None:
    write(root, "usr/lib/rebootmgr/config.d/50-a.toml", mode=0o600)
    assert check(root) == []
    write(root, "usr/lib/rebootmgr/config.d/60-b.toml", mode=0o600)
    assert len(check(root)) == 1


def test_without_the_daemons_user_nobody_can_say(root: Path) -> None:
    write(root, f"{DROP_INS}/50-a.toml", mode=0o600)
    write(root, "etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    assert check(root) == []


KEYS = {
    "ca_file": "/etc/rebootmgr/ca.pem",
    "client_cert_file": "/etc/rebootmgr/cert.pem",
    "client_key_file": "/etc/rebootmgr/key.pem",
    "authorization_file": "/etc/rebootmgr/authorization",
}


def configure_keys(root: Path, **keys: str) -> Path:
    lines = [f'{name} = "{path}"' for name, path in keys.items()]
    head = '[updates]\nstrategy = "fleet_lock"\n[updates.fleet_lock]\nbase_url = "https://h"\n'
    return write(root, f"{DROP_INS}/50-a.toml", head + "\n".join(lines))


@pytest.mark.parametrize("key", KEYS)
def test_a_key_file_that_the_daemon_cannot_read_is_named_where_it_is_configured(
    root: Path, key: str
) -> None:
    for path in KEYS.values():
        write(root, path[1:], mode=0o640)
    drop_in = configure_keys(root, **KEYS)
    join_group(root)
    assert check(root) == []
    (root / KEYS[key][1:]).chmod(0o600)
    [warning] = check(root)
    line = 5 + list(KEYS).index(key)
    assert (warning["file"], warning["line"]) == (str(drop_in), line)
    assert warning["key"] == f"updates.fleet_lock.{key}"
    assert warning["message"].startswith(
        f"{KEYS[key]}: the user rebootmgr may not read {KEYS[key]}"
    )


@pytest.mark.parametrize("key", ["client_key_file", "authorization_file"])
def test_a_secret_that_every_user_of_the_host_may_read_is_named(root: Path, key: str) -> None:
    write(root, "etc/rebootmgr/..data/secret", mode=0o644)
    link(root, KEYS[key][1:], "..data/secret")
    write(root, KEYS["client_cert_file"][1:])
    configure_keys(root, client_cert_file=KEYS["client_cert_file"], **{key: KEYS[key]})
    [warning] = check(root)
    assert warning["message"] == f"{KEYS[key]}: every user of this host may read it"
    assert warning["hint"] == f"chgrp rebootmgr {KEYS[key]} && chmod 0640 {KEYS[key]}"
    assert check(root, "--strict", status=78) == [warning]
    join_group(root)
    (root / "etc/rebootmgr/..data").chmod(0o750)  # as good as closing the file
    assert check(root) == []


@pytest.mark.parametrize("key", ["ca_file", "client_cert_file"])
def test_a_certificate_is_no_secret(root: Path, key: str) -> None:
    write(root, KEYS[key][1:], mode=0o644)
    configure_keys(root, **{key: KEYS[key]})
    assert check(root) == []


@pytest.mark.parametrize("key", KEYS)
def test_what_is_no_file_that_can_be_used_is_named_before_it_is_needed(
    root: Path, key: str
) -> None:
    write(root, "etc/rebootmgr/long", "x" * (LONGEST[key] + 1), mode=0o640)
    write(root, "etc/rebootmgr/cert")
    join_group(root)
    os.mkfifo(root / "etc/rebootmgr/pipe", mode=0o640)
    for name, what in (("pipe", "is a FIFO, not a regular file"), ("long", "is longer than ")):
        files = {"client_cert_file": "/etc/rebootmgr/cert", key: f"/etc/rebootmgr/{name}"}
        configure_keys(root, **files)
        [warning] = check(root)
        assert warning["message"].startswith(f"/etc/rebootmgr/{name}: {what}")
        assert warning["hint"]


@pytest.mark.parametrize(
    ("url", "more"),
    [("http://node:hunter2@h", ""), ("HTTP://h", 'authorization_file = "/etc/a"\n')],
)
def test_credentials_over_plain_http_are_a_warning_that_does_not_show_them(
    root: Path, url: str, more: str
) -> None:
    write(root, "etc/a", mode=0o640)
    join_group(root)
    head = f'[updates]\nstrategy = "fleet_lock"\n[updates.fleet_lock]\nbase_url = "{url}"\n'
    write(root, f"{DROP_INS}/50-a.toml", head + more)
    [warning] = check(root)
    assert warning["key"] == "updates.fleet_lock.base_url"
    assert warning["line"] == 4
    assert "plain http" in warning["message"]
    assert "hunter2" not in json.dumps(warning)
    assert check(root, "--strict", status=78) == [warning]
    write(root, f"{DROP_INS}/50-a.toml", head.replace("//node:hunter2@", "//"))
    assert check(root) == [], "no secret, no warning"


def test_a_ca_of_long_ago_is_told_of_and_is_no_fault_of_the_daemons(
    root: Path, tmp_path: Path
) -> None:
    home_made = HomeMade.make(tmp_path)
    write(root, "etc/rebootmgr/ca.pem", home_made.ca.read_text())
    configure_keys(root, ca_file="/etc/rebootmgr/ca.pem")
    [warning] = check(root)
    assert warning["message"] == (
        "/etc/rebootmgr/ca.pem: the certificate has no keyUsage,"
        " has a basicConstraints that is not critical"
    )
    assert warning["hint"].startswith("rebootmgr takes it, as curl does; stricter programs")


def test_links_to_a_key_are_followed_as_on_the_host_itself(root: Path) -> None:
    write(root, "etc/pki/private/key.pem", mode=0o640)
    link(root, "etc/pki/deep/current", "../private")
    link(root, "etc/rebootmgr/ca.pem", "/etc/pki/deep/current/../private/key.pem")
    configure_keys(root, ca_file="/etc/rebootmgr/ca.pem")
    [warning] = check(root)
    assert "may not read /etc/pki/private/key.pem (mode 0640" in warning["message"]
    join_group(root)
    assert check(root) == []


def test_a_key_that_is_not_there_and_a_link_in_circles_are_named(root: Path) -> None:
    configure_keys(root, ca_file="/etc/rebootmgr/ca.pem")
    [warning] = check(root)
    assert warning["message"] == "/etc/rebootmgr/ca.pem: there is no such file"
    link(root, "etc/rebootmgr/ca.pem", "ca.pem")
    [warning] = check(root)
    assert warning["message"] == "/etc/rebootmgr/ca.pem: its links go round in circles"


@pytest.mark.parametrize("hidden", ["/root/key.pem", "/home/me/key.pem", "/tmp/key.pem"])  # noqa: S108
def test_what_the_sandbox_hides_is_named_however_readable_it_is(root: Path, hidden: str) -> None:
    write(root, hidden[1:])
    configure_keys(root, ca_file=hidden)
    [warning] = check(root)
    assert "the daemon sees nothing below /" in warning["message"]


def test_a_systemd_credential_is_there_for_the_daemon_alone(root: Path) -> None:
    configure_keys(root, ca_file="/run/credentials/rebootmgr.service/ca")
    assert check(root) == []


def test_keys_of_a_server_that_is_not_asked_are_not_looked_at(root: Path) -> None:
    path = configure_keys(root, ca_file="/nowhere")
    path.write_text(path.read_text().replace('"fleet_lock"', '"immediate"'))
    assert {each["message"] for each in check(root)} == {
        "has no effect without the strategy fleet_lock"
    }


def test_zincati_beside_us_is_named_with_its_link_and_the_cure(root: Path) -> None:
    write(root, UNIT, "[Service]\n")
    assert check(root) == []
    enabled = link(root, WANTS, "/usr/lib/systemd/system/zincati.service")
    [warning] = check(root)
    assert warning["file"] == str(enabled)
    assert warning["hint"] == "systemctl mask --now zincati.service"


@pytest.mark.parametrize("how", ["mask", "empty", "runtime mask", "no unit", "masked link"])
def test_zincati_that_does_not_start_is_no_news(root: Path, how: str) -> None:
    if how != "no unit":
        write(root, UNIT, "[Service]\n")
    target = "/dev/null" if how == "masked link" else "/usr/lib/systemd/system/zincati.service"
    link(root, WANTS, target)
    if how == "masked link":
        link(root, WANTS.replace("etc/", "usr/lib/"), "../zincati.service")
    if how == "mask":
        link(root, "etc/systemd/system/zincati.service", "/dev/null")
    if how == "empty":
        write(root, "etc/systemd/system/zincati.service", "")
    if how == "runtime mask":
        link(root, "run/systemd/system/zincati.service", "/dev/null")
    assert check(root) == []


BOOTC = "usr/lib/systemd/system/bootc-fetch-apply-updates"
BOOTC_WANTS = "etc/systemd/system/timers.target.wants/bootc-fetch-apply-updates.timer"
STAGER = "etc/systemd/system/bootc-fetch-apply-updates.service.d/50-stage.conf"


def test_the_timer_of_bootc_that_reboots_is_named_with_its_link_and_the_cure(root: Path) -> None:
    write(root, f"{BOOTC}.timer", "[Timer]\nOnBootSec=1h\n")
    write(root, f"{BOOTC}.service", "[Service]\nExecStart=/usr/bin/bootc upgrade --apply --quiet\n")
    assert check(root) == []
    enabled = link(root, BOOTC_WANTS, "/usr/lib/systemd/system/bootc-fetch-apply-updates.timer")
    [warning] = check(root)
    assert warning["file"] == str(enabled)
    assert "systemctl mask --now bootc-fetch-apply-updates.timer" in warning["hint"]


def test_the_timer_of_bootc_that_only_stages_is_no_news(root: Path) -> None:
    example = (ROOT / "docs/examples/bootc-fetch-apply-updates.service.d/50-stage.conf").read_text()
    write(root, f"{BOOTC}.timer", "[Timer]\nOnBootSec=1h\n")
    write(root, f"{BOOTC}.service", "[Service]\nExecStart=/usr/bin/bootc upgrade --apply --quiet\n")
    link(root, BOOTC_WANTS, "/usr/lib/systemd/system/bootc-fetch-apply-updates.timer")
    write(root, STAGER, example)
    assert check(root) == []


def test_the_timer_of_bootc_is_no_news_on_composefs_unless_its_conditions_were_reset(
    root: Path,
) -> None:
    example = ROOT / "docs/examples/bootc-fetch-apply-updates.service.d/60-composefs.conf"
    condition = "[Unit]\nConditionPathExists=/run/ostree-booted\n"
    write(root, f"{BOOTC}.timer", f"{condition}[Timer]\nOnBootSec=1h\n")
    write(root, f"{BOOTC}.service", f"{condition}[Service]\nExecStart=bootc upgrade --apply\n")
    link(root, BOOTC_WANTS, "/usr/lib/systemd/system/bootc-fetch-apply-updates.timer")
    assert len(check(root)) == 1, "ostree may boot this image"
    ComposefsHost(root).install("42.1")
    assert check(root) == []
    for kind in ("service", "timer"):
        write(root, f"{BOOTC}.{kind}.d/60-composefs.conf", example.read_text())
    assert len(check(root)) == 1


def test_the_source_of_updates_is_told_with_its_reason(root: Path) -> None:
    service = "usr/share/dbus-1/system-services/org.projectatomic.rpmostree1.service"
    unless = "; on a composefs of bootc it would be `composefs`"
    assert source(root) == ("ostree", f"there is no rpm-ostreed to start{unless}")
    write(root, service)
    assert source(root) == ("rpm-ostree", f"rpm-ostreed can be started{unless}")
    write(root, "run/ostree-booted")
    assert source(root) == ("rpm-ostree", "rpm-ostreed can be started")
    ComposefsHost(root).install("42.1")
    assert source(root) == ("composefs", "/ is a composefs of bootc")
    write(root, f"{DROP_INS}/50-a.toml", 'updates.source = "ostree"\n')
    assert source(root) == ("ostree", "updates.source says so")


def source(root: Path) -> tuple[str, str]:
    outs = []
    for options in (["--json"], []):
        with redirect_stdout(StringIO()) as out:
            assert main(["--root", str(root), *options, "check-config"]) == 0
        outs.append(out.getvalue())
    said = json.loads(outs[0])["source"]
    assert f"Source of updates: {said['name']}: {said['why']}" in outs[1]
    return said["name"], said["why"]


def test_a_window_is_held_against_what_reboots_took_here(root: Path) -> None:
    path = write(
        root,
        f"{DROP_INS}/50-a.toml",
        'updates.strategy = "periodic"\n[[updates.periodic.window]]\n'
        'days = ["Sun"]\nstart_time = "01:00"\nlength_minutes = 20\n',
    )
    at = datetime.now(UTC) - timedelta(days=9)
    past = {"at": encode_instant(at), "target": "x", "version": "1", "outcome": "succeeded"}
    reboots = [{**past, "seconds": 1201.0}] * 3
    state = {"version": {"major": 1, "minor": 0}, "reboots": reboots}
    assert check(root) == []
    file = write(root, "var/lib/rebootmgr/state.json", json.dumps(state))
    [warning] = check(root)
    assert (warning["file"], warning["line"]) == (str(path), 2)
    assert warning["message"] == "leaves 20 minutes, and a reboot of this host takes 21"
    file.write_text(json.dumps({**state, "reboots": reboots[:2]}))
    assert check(root) == []

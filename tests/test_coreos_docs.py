"""What the pages on Fedora CoreOS and containers show is what its tools take.

A block of YAML that has a `variant` is a Butane configuration; any other is an excerpt of a file
in packaging/coreos. Real tools judge where they are installed, the specifications here otherwise.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path, PurePosixPath
from textwrap import dedent
from typing import Any, Final

import pytest
import yaml

from rebootmgr.updates.ostree_files import LIVE, WATCHED
from tests.doc_text import GUIDES, ROOT, Example, blocks, texts
from tests.quadlets import Quadlet

COREOS: Final = ROOT / "packaging/coreos"
PAGES: Final = {
    name: GUIDES[name]
    for name in ("docs/fedora-coreos.md", "docs/containers.md", "docs/selinux.md")
}
YAML: Final = list(blocks(PAGES, "yaml"))
BUTANE: Final = {
    **texts(COREOS.glob("*.bu")),
    **{where: block["body"] for where, block in YAML if "variant:" in block["body"]},
}
EXCERPTS: Final = [(where, block["body"]) for where, block in YAML if where not in BUTANE]
QUADLET: Final = Quadlet(COREOS / "rebootmgr.container")
HOST: Final = "packaging/coreos/rebootmgr-container.bu"
LAYERED: Final = "packaging/coreos/rebootmgr.bu"
SERVICE: Final = ROOT / "systemd/rebootmgr.service"

# What we use of https://coreos.github.io/butane/config-fcos-v1_5/: a type, a list of such tables,
# or a table. Nothing else may be there, and a unit or file without its first key is none.
CONTENTS: Final[Mapping[str, Any]] = {"inline": str, "local": str}
FCOS_1_5: Final[Mapping[str, Any]] = {
    "variant": str,
    "version": str,
    "passwd": {
        "groups": [{"name": str, "gid": int, "system": bool}],
        "users": [
            {"name": str, "uid": int, "primary_group": str, "gecos": str, "home_dir": str}
            | {"no_create_home": bool, "shell": str, "system": bool}
        ],
    },
    "storage": {
        "files": [{"path": str, "contents": CONTENTS, "mode": int, "overwrite": bool}],
        "links": [{"path": str, "target": str, "overwrite": bool, "hard": bool}],
    },
    "systemd": {
        "units": [
            {"name": str, "enabled": bool, "mask": bool, "contents": str}
            | {"dropins": [{"name": str, "contents": str}]}
        ],
    },
}
CONTAINERFILE: Final = {"ARG", "FROM", "COPY", "RUN", "ENTRYPOINT"}


def run(*command: str | Path, text: str | None = None) -> str:
    """Run a tool that has to agree; what it said."""
    done = subprocess.run(command, check=False, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def butane(where: str) -> Any:
    return yaml.safe_load(BUTANE[where])


def misfits(value: Any, schema: Any, at: str = "") -> Iterator[str]:
    """What in `value` is not as in `schema`."""
    match schema, value:
        case type() as kind, _:
            if type(value) is not kind:
                yield f"{at}: {value!r} is no {kind.__name__}"
        case [item], [*items]:
            for number, each in enumerate(items):
                yield from misfits(each, item, f"{at}[{number}]")
                if isinstance(each, dict) and next(iter(item)) not in each:
                    yield f"{at}[{number}]: no {next(iter(item))}"
        case {**keys}, {**table}:
            yield from (f"{at}.{key}: unknown" for key in table.keys() - keys.keys())
            for key in table.keys() & keys.keys():
                yield from misfits(table[key], keys[key], f"{at}.{key}")
        case _:
            yield f"{at}: no {'list' if isinstance(schema, list) else 'table'}"


def files(where: str) -> Mapping[str, str]:
    """The files that a configuration writes, with what is in them."""
    return {
        each["path"]: content_of(each["contents"])
        for each in butane(where).get("storage", {}).get("files", [])
    }


def content_of(contents: Mapping[str, str]) -> str:
    [(kind, value)] = contents.items()
    return value if kind == "inline" else (ROOT / value).read_text("utf-8")


def units(where: str) -> Mapping[str, Any]:
    return {each["name"]: each for each in butane(where)["systemd"]["units"]}


ALL_FILES: Final = [
    pytest.param(path, text, id=f"{where}{path}")
    for where in BUTANE
    for path, text in files(where).items()
]


# Butane


@pytest.mark.parametrize("where", BUTANE)
def test_a_butane_configuration_is_one(where: str) -> None:
    config = butane(where)
    assert (config["variant"], config["version"]) == ("fcos", "1.5.0")
    assert list(misfits(config, FCOS_1_5)) == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("storage:\n  files:\n    - path: /a\n      moed: 0644", "moed: unknown"),
        ('storage:\n  files:\n    - path: /a\n      mode: "0644"', "'0644' is no int"),
        ("storage:\n  files:\n    - mode: 0644", "no path"),
        ("systemd:\n  units:\n    name: a.service", "no list"),
    ],
)
def test_a_butane_configuration_with_a_fault_is_seen(fault: str, told: str) -> None:
    [misfit] = misfits(yaml.safe_load(fault), FCOS_1_5)
    assert told in misfit


@pytest.mark.parametrize("where", BUTANE)
def test_a_file_has_a_mode_written_as_modes_are_and_a_place_of_its_own(where: str) -> None:
    assert all(len(mode) == 4 for mode in re.findall(r"mode: (.*)", BUTANE[where]))
    written = butane(where).get("storage", {})
    assert all("mode" in each for each in written.get("files", []))
    paths = [each["path"] for kind in written.values() for each in kind]
    assert len(set(paths)) == len(paths)
    assert all(PurePosixPath(path).is_absolute() for path in paths)


@pytest.mark.parametrize("where", BUTANE)
def test_butane_itself_takes_it(where: str) -> None:
    if (program := shutil.which("butane")) is None:
        pytest.skip("there is no butane here: only our own reading of its specification judged")
    run(program, "--strict", "--check", "--files-dir", ROOT, text=BUTANE[where])


@pytest.mark.parametrize(("where", "excerpt"), EXCERPTS, ids=[each[0] for each in EXCERPTS])
def test_an_excerpt_stands_in_a_file(where: str, excerpt: str) -> None:
    assert any(dedent(excerpt) in dedent_at(BUTANE[name], excerpt) for name in (LAYERED, HOST))


def dedent_at(text: str, excerpt: str) -> str:
    """Move `text` to the left as far as `excerpt` is from it."""
    depth = len(excerpt) - len(excerpt.lstrip(" "))
    return re.sub(rf"^ {{{depth}}}", "", text, flags=re.MULTILINE)


# What Butane writes


def files_below(*folders: str) -> pytest.MarkDecorator:
    chosen = [each for each in ALL_FILES if str(each.values[0]).startswith(folders)]
    assert chosen
    return pytest.mark.parametrize(("path", "text"), chosen)


@files_below("/etc/rebootmgr/config.d/")
def test_a_drop_in_that_is_written_is_valid(path: str, text: str) -> None:
    assert path.endswith(".toml")
    Example(text, None, None).check()


@files_below("/etc/yum.repos.d/", "/etc/rpm-ostreed.conf")
def test_a_key_file_that_is_written_is_one(path: str, text: str) -> None:
    parser = ConfigParser(interpolation=None)
    parser.read_string(text)
    assert parser.sections() == ["rebootmgr" if path.endswith(".repo") else "Daemon"]
    assert not path.endswith(".repo") or parser.getboolean("rebootmgr", "gpgcheck")


@files_below(
    *(f"/etc/rebootmgr/{folder}/" for folder in ("checks.d", "pre-reboot.d", "post-boot.d")),
    "/usr/local/bin/",
)
def test_a_script_that_is_written_is_one(path: str, text: str, tmp_path: Path) -> None:
    assert text.startswith("#!/bin/sh\n")
    run("sh", "-n", "-s", text=text)
    if (program := shutil.which("shellcheck")) is not None:
        (script := tmp_path / Path(path).name).write_text(text)
        run(program, script)


@files_below("/etc/tmpfiles.d/")
def test_directories_that_are_written_down_are_of_a_kind(path: str, text: str) -> None:
    assert path.endswith(".conf")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[df] +/\S+ +0\d{3}( +\w+){2}( +-)?", line) for line in lines)


@pytest.mark.parametrize("where", BUTANE)
def test_systemd_takes_the_units_that_are_written(where: str, tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/systemd/system"
    folder.mkdir(parents=True)
    targets = ("sysinit", "basic", "shutdown", "multi-user", "boot-complete", "network-online")
    for target in targets:
        (folder / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    written = {
        name: unit for name, unit in units(where).items() if {"contents", "dropins"} & {*unit}
    }
    for name, unit in written.items():
        text = unit.get("contents") or SERVICE.read_text("utf-8")
        (folder / name).write_text(text)
        for drop_in in unit.get("dropins", ()):
            (folder / f"{name}.d").mkdir(exist_ok=True)
            (folder / f"{name}.d" / drop_in["name"]).write_text(drop_in["contents"])
        for program in re.findall(r"^Exec\w+=\+?(/\S+)", text, re.MULTILINE):
            stub = tmp_path / program.lstrip("/")
            stub.parent.mkdir(parents=True, exist_ok=True)
            stub.write_text("#!/bin/sh\n")
            stub.chmod(0o755)
    if written:
        said = run("systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", *written)
        assert said == ""


@pytest.mark.parametrize("where", BUTANE)
def test_no_other_agent_reboots_and_something_stages(where: str) -> None:
    assert units(where)["zincati.service"]["mask"] is True
    if (conf := files(where).get("/etc/rpm-ostreed.conf")) is None:
        conf = (COREOS / "Containerfile").read_text("utf-8").replace("\\n", "\n")
        assert "mask zincati.service" in conf
        assert "enable rebootmgr.service rpm-ostreed-automatic.timer" in conf
    else:
        assert units(where)["rpm-ostreed-automatic.timer"]["enabled"] is True
    assert "[Daemon]\nAutomaticUpdatePolicy=stage\n" in conf


@pytest.mark.parametrize("where", [LAYERED, "docs/fedora-coreos.md"])
def test_a_host_is_changed_once_and_rebooted_once(where: str) -> None:
    for name in (name for name in BUTANE if name.partition(":")[0] == where):
        [unit] = [each["contents"] for each in units(name).values() if "contents" in each]
        assert "ConditionPathExists=!/var/lib/%N.stamp\n" in unit
        steps = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
        assert steps[1:] == [
            "ExecStart=/usr/bin/touch /var/lib/%N.stamp",
            "ExecStart=/usr/bin/systemctl --no-block reboot",
        ]


def test_the_layered_service_is_enabled_as_systemctl_would() -> None:
    [link] = butane(LAYERED)["storage"]["links"]
    wanted_by = re.findall(r"^WantedBy=(.+)$", SERVICE.read_text("utf-8"), re.MULTILINE)
    assert [link["path"]] == [
        f"/etc/systemd/system/{target}.wants/{SERVICE.name}" for target in wanted_by
    ]
    assert link["target"] == f"/usr/lib/systemd/system/{SERVICE.name}"


def test_the_secret_is_a_credential_of_the_service_and_of_nobody_else() -> None:
    [drop_in] = units(LAYERED)[SERVICE.name]["dropins"]
    [(name, source)] = re.findall(r"^LoadCredential=(\w+):(.+)$", drop_in["contents"], re.MULTILINE)
    policy = files(LAYERED)["/etc/rebootmgr/config.d/50-policy.toml"]
    assert f'authorization_file = "/run/credentials/{SERVICE.name}/{name}"\n' in policy
    [secret] = [each for each in butane(LAYERED)["storage"]["files"] if each["path"] == source]
    assert secret["mode"] == 0o600


# The container


def of(section: str, key: str) -> list[str]:
    return QUADLET.of(section, key)


VOLUMES: Final = [PurePosixPath(value.partition(":")[0]) for value in of("Container", "Volume")]


def test_the_quadlet_has_only_keys_that_podman_knows() -> None:
    assert QUADLET.unknown_keys() == set()


def test_podman_itself_makes_a_service_of_the_quadlet(tmp_path: Path) -> None:
    service = QUADLET.generated(tmp_path)
    assert "--cap-drop all --read-only --user 812:812" in service
    assert "Type=notify" in service


def test_the_container_has_no_privileges() -> None:
    for key, value in (
        ("DropCapability", "all"),
        ("NoNewPrivileges", "true"),
        ("ReadOnly", "true"),
        ("ReadOnlyTmpfs", "false"),
    ):
        assert of("Container", key) == [value]
    assert of("Container", "PodmanArgs") == ["--env=JOURNAL_STREAM"]


def test_every_mount_has_the_same_name_inside_and_is_explained() -> None:
    mounts = [value.split(":") for value in of("Container", "Volume")]
    assert all(source == target for source, target, *_ in mounts)
    told = re.findall(
        r"^\| `(/\S+)` \| (r[ow]) \| .+ \|$", PAGES["docs/containers.md"], re.MULTILINE
    )
    assert told == [(source, *(mode or ["rw"])) for source, _, *mode in mounts]


def test_what_the_daemon_reads_of_ostree_is_mounted() -> None:
    for file in WATCHED:
        path = PurePosixPath("/", file)
        # A live system has no container of ours: the unit's condition.
        assert file == LIVE or {path, *path.parents} & {*VOLUMES}, f"{file} is not seen"
    assert of("Unit", "ConditionPathExists") == ["/run/ostree-booted", f"!/{LIVE}"]


def test_what_is_mounted_and_not_always_there_is_made_at_boot() -> None:
    made = {
        PurePosixPath(line.split()[1])
        for path, text in files(HOST).items()
        if path.startswith("/etc/tmpfiles.d/")
        for line in text.splitlines()
        if line[:1] in {"d", "f"}
    }
    # Of the system: dbus.socket, systemd-journald.socket, ostree-prepare-root.
    others = {"system_bus_socket", "socket", "ostree-booted"}
    ours = {path for path in VOLUMES if path.parts[1] in {"run", "var"} and path.name not in others}
    assert ours <= made
    assert any(path.startswith("/etc/rebootmgr/config.d/") for path in files(HOST))


def test_the_container_is_the_user_that_the_host_makes() -> None:
    [user], [group] = (butane(HOST)["passwd"][kind] for kind in ("users", "groups"))
    assert (user["name"], group["name"]) == ("rebootmgr", user["primary_group"])
    assert of("Container", "User") == [str(user["uid"])]
    assert of("Container", "Group") == [str(group["gid"])]


def test_the_container_is_watched_as_the_service_is() -> None:
    [watchdog] = re.findall(r"^WatchdogSec=(\d+)min$", SERVICE.read_text("utf-8"), re.MULTILINE)
    assert of("Service", "WatchdogSec") == [f"{watchdog}min"]
    boot_id = re.findall(r"^Environment=(REBOOTMGR_.+)$", SERVICE.read_text("utf-8"), re.MULTILINE)
    assert of("Container", "Environment") == [
        f"WATCHDOG_USEC={int(watchdog) * 60_000_000}",
        *boot_id,
    ]


# Containerfiles and shell


def instructions(path: Path) -> Iterator[tuple[str, str]]:
    """The instructions of a Containerfile, comments left out and lines joined."""
    text = re.sub(r"^#.*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
    for line in re.sub(r"\\\n", "", text).splitlines():
        name, _, rest = line.partition(" ")
        yield name, rest


@pytest.mark.parametrize("path", sorted(COREOS.glob("Containerfile*")), ids=lambda path: path.name)
def test_a_containerfile_is_one(path: Path) -> None:
    found = list(instructions(path))
    assert {name for name, _ in found} <= CONTAINERFILE
    assert [name for name, _ in found][:2] == ["ARG", "FROM"]
    [argument] = [rest.partition("=")[0] for name, rest in found if name == "ARG"]
    assert found[1][1].endswith(f":${{{argument}}}")
    for name, rest in found:
        if name == "RUN":
            run("bash", "-n", "-s", text=rest)
        if name == "COPY":
            assert rest.split()[0] in {"rebootmgr.repo", "config.d/"}


@pytest.mark.parametrize(("where", "block"), list(blocks(PAGES, "sh")), ids=str)
def test_shell_in_the_pages_is_shell(where: str, block: re.Match[str]) -> None:
    run("bash", "-n", "-s", text=block["body"])

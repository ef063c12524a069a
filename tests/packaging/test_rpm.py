"""The RPM: every file in it, what its scriptlets do, and what it says of itself."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from rebootmgr import __version__
from rebootmgr.core.memory import Memory
from rebootmgr.lockd.main import OLDEST
from rebootmgr.state.words import encode_state

ROOT: Final = Path(__file__).parents[2]
RPM: Final = ROOT / "packaging/rpm"
SPEC: Final = (RPM / "rebootmgr.spec").read_text("utf-8")
SITELIB: Final = "/usr/lib/python3/dist-packages"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# What Fedora calls the libraries.
FEDORA: Final = {
    "aiohttp": "python3-aiohttp",
    "dbus-next": "python3-dbus-next",
    "prometheus-client": "python3-prometheus_client",
    "python-dateutil": "python3-dateutil",
    "systemd-python": "python3-systemd",
    "tomli": "python3-tomli",
}
SERVERS_OWN: Final = "systemd-python"  # a host gets on without it
OF_THE_SERVER: Final = PROJECT["optional-dependencies"]["lockd"]
# Mode, owner and group, flags (c: configuration, n: noreplace, d: document, g: ghost), path.
FILES: Final = """\
drwxr-xr-x root:root - /etc/rebootmgr
drwxr-xr-x root:root - /etc/rebootmgr/checks.d
drwxr-xr-x root:root - /etc/rebootmgr/config.d
-rw-r--r-- root:root cn /etc/rebootmgr/config.d/10-defaults.toml
drwxr-xr-x root:root - /etc/rebootmgr/post-boot.d
drwxr-xr-x root:root - /etc/rebootmgr/pre-reboot.d
-rwxr-xr-x root:root - /usr/bin/rebootmgrctl
-rwxr-xr-x root:root - /usr/bin/rebootmgrd
drwxr-xr-x root:root - /usr/lib/rebootmgr
drwxr-xr-x root:root - /usr/lib/rebootmgr/checks.d
drwxr-xr-x root:root - /usr/lib/rebootmgr/config.d
drwxr-xr-x root:root - /usr/lib/rebootmgr/post-boot.d
drwxr-xr-x root:root - /usr/lib/rebootmgr/pre-reboot.d
-rw-r--r-- root:root - /usr/lib/systemd/catalog/rebootmgr.catalog
-rw-r--r-- root:root - /usr/lib/systemd/system-preset/90-rebootmgr.preset
-rw-r--r-- root:root - /usr/lib/systemd/system/rebootmgr-hook.socket
-rw-r--r-- root:root - /usr/lib/systemd/system/rebootmgr-hook@.service
-rw-r--r-- root:root - /usr/lib/systemd/system/rebootmgr.service
-rw-r--r-- root:root - /usr/lib/sysusers.d/rebootmgr.conf
-rw-r--r-- root:root - /usr/lib/tmpfiles.d/rebootmgr.conf
-rw-r--r-- root:root - /usr/share/bash-completion/completions/rebootmgrctl
-rw-r--r-- root:root - /usr/share/dbus-1/system.d/org.rebootmgr1.conf
drwxr-xr-x root:root - /usr/share/fish
drwxr-xr-x root:root - /usr/share/fish/vendor_completions.d
-rw-r--r-- root:root - /usr/share/fish/vendor_completions.d/rebootmgrctl.fish
-rw-r--r-- root:root d /usr/share/man/man1/rebootmgrctl.1.gz
-rw-r--r-- root:root d /usr/share/man/man5/org.rebootmgr1.5.gz
-rw-r--r-- root:root d /usr/share/man/man5/rebootmgr.toml.5.gz
-rw-r--r-- root:root d /usr/share/man/man8/rebootmgrd.8.gz
-rw-r--r-- root:root - /usr/share/polkit-1/actions/org.rebootmgr1.policy
-rw-r--r-- root:root - /usr/share/polkit-1/rules.d/50-rebootmgr.rules
drwxr-xr-x root:root - /usr/share/rebootmgr
-rw-r--r-- root:root - /usr/share/rebootmgr/rebootmgr.toml.schema.json
drwxr-xr-x root:root - /usr/share/zsh
drwxr-xr-x root:root - /usr/share/zsh/site-functions
-rw-r--r-- root:root - /usr/share/zsh/site-functions/_rebootmgrctl
drwx------ rebootmgr:rebootmgr g /var/lib/rebootmgr
"""
LOCKD_FILES: Final = """\
drwxr-xr-x root:root - /etc/rebootmgr-lockd
drwxr-xr-x root:root - /etc/rebootmgr-lockd/config.d
-rwxr-xr-x root:root - /usr/bin/rebootmgr-lockd
drwxr-xr-x root:root - /usr/lib/rebootmgr-lockd
drwxr-xr-x root:root - /usr/lib/rebootmgr-lockd/config.d
-rw-r--r-- root:root - /usr/lib/systemd/system-preset/90-rebootmgr-lockd.preset
-rw-r--r-- root:root - /usr/lib/systemd/system/rebootmgr-lockd.service
-rw-r--r-- root:root - /usr/lib/systemd/system/rebootmgr-lockd.socket
-rw-r--r-- root:root - /usr/lib/sysusers.d/rebootmgr-lockd.conf
-rw-r--r-- root:root - /usr/share/bash-completion/completions/rebootmgr-lockd
-rw-r--r-- root:root - /usr/share/fish/vendor_completions.d/rebootmgr-lockd.fish
-rw-r--r-- root:root d /usr/share/man/man5/rebootmgr-lockd.toml.5.gz
-rw-r--r-- root:root d /usr/share/man/man8/rebootmgr-lockd.8.gz
-rw-r--r-- root:root - /usr/share/zsh/site-functions/_rebootmgr-lockd
drwx------ rebootmgr-lockd:rebootmgr-lockd g /var/lib/rebootmgr-lockd
"""
LOCKD: Final = "rebootmgr-lockd"


@dataclass(frozen=True, slots=True)
class Package:
    """A built RPM, and its payload unpacked below `root`."""

    path: Path
    root: Path

    def query(self, *options: str) -> list[str]:
        """Ask rpm about it; the lines of its answer."""
        command = ["rpm", "--query", "--package", *options, str(self.path)]
        said = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
        return said.splitlines()

    def files(self) -> dict[str, str]:
        """Mode, owner, group and flags of each path."""
        parts = "%{FILENAMES}|%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME}"
        lines = self.query("--queryformat", f"[{parts} |%{{FILEFLAGS:fflags}}\n]")
        split = (line.split("|") for line in lines)
        return {path: f"{mode}{flags or '-'}" for path, mode, flags in split}

    def scriptlet(self, name: str) -> str:
        """The text of %pre, %post, %preun or %postun."""
        return "\n".join(self.query("--queryformat", f"%{{{name}}}"))


def need(program: str, packages: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"NOT TESTED: {program} is not installed ({packages})")


def build(out: Path, **environ: str) -> tuple[Package, Package]:
    """Build the RPMs as on a machine without Fedora's macros, and unpack them: a host's first."""
    need("rpmbuild", "Debian: rpm; Fedora: rpm-build")
    need("go-md2man", "Debian: go-md2man; Fedora: golang-github-cpuguy83-md2man")
    if not (ROOT / ".git").exists():
        pytest.skip("NOT TESTED: the RPM is built from a checkout")
    (out / ".rpmmacros").write_text("%_rpmformat 6\n%_binary_payload w9.gzdio\n")
    options = (
        "--without",
        "check",
        "--without",
        "fedora",
        "--define",
        f"python3_sitelib {SITELIB}",
    )
    built = subprocess.run(
        [RPM / "build", *options],
        env={"PATH": os.environ["PATH"], "HOME": str(out), "OUT": str(out), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    host, lockd = map(Path, built.stdout.split())
    assert sorted(out.glob("*.rpm")) == [host, lockd]
    return unpacked(host), unpacked(lockd)


def unpacked(path: Path) -> Package:
    subprocess.run(["rpm2archive", path], check=True, capture_output=True)
    [archive] = path.parent.glob(f"{path.name}.*")
    root = path.with_suffix(".root")
    root.mkdir()
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", root], check=True)
    return Package(path, root)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Package]:
    return build(tmp_path_factory.mktemp("rpm"))


@pytest.fixture
def package(both: tuple[Package, Package]) -> Package:
    """What a host needs."""
    return both[0]


@pytest.fixture
def lockd(both: tuple[Package, Package]) -> Package:
    """What the server needs beside that."""
    return both[1]


# How it is written


def test_it_is_of_package_format_4_whatever_the_defaults_of_rpm_are(package: Package) -> None:
    """rpm-ostree knows no other. The lead: rpm's file format, table 1; stripped cpio is of 6."""
    lead = package.path.read_bytes()[:96]
    assert lead[:6] == bytes.fromhex("edabeedb 03 00"), "a lead of format 4 says 3"
    tags = "%{PAYLOADFORMAT} %{PAYLOADCOMPRESSOR} %{PAYLOADFLAGS}"
    assert package.query("--queryformat", tags) == ["cpio zstd 19"]
    each = package.query("--queryformat", "[%{FILESIZES} %{LONGFILESIZES}\n]")
    assert each
    payload = subprocess.run(["rpm2cpio", package.path], check=True, capture_output=True).stdout
    assert payload[:6] == b"070701", "whole headers"
    required = package.query("--requires")
    assert "rpmlib(PayloadIsZstd) <= 5.4.18-1" in required
    assert not [one for one in required if "LargeFiles" in one]


def test_the_specification_says_its_format_to_every_rpm(tmp_path: Path) -> None:
    """The rpm of this machine may know one format only: what a newer one would read."""
    need("rpmspec", "Debian: rpm; Fedora: rpm-build")
    (tmp_path / "a.spec").write_text(f"{SPEC.rstrip()}\n- written as %{{_rpmformat}}\n")
    command = ("rpmspec", "--parse", "--define", "_rpmformat 6", "--without", "fedora")
    text = subprocess.check_output([*command, tmp_path / "a.spec"], text=True)
    assert "- written as 4" in text


# What is in it


def test_each_file_has_its_owner_its_mode_and_its_flags(package: Package) -> None:
    apart = ("/usr/share/doc/rebootmgr", "/usr/share/licenses", f"{SITELIB}/rebootmgr")
    files = package.files()
    listed = [f"{it} {path}" for path, it in files.items() if not path.startswith(apart)]
    assert listed == FILES.splitlines()
    for path, it in files.items():
        if path.startswith(apart):
            flags = {"/usr/share/d": "d", "/usr/share/l": "l"}.get(path[:12], "-")
            allowed = {"drwxr-xr-x root:root -", f"-rw-r--r-- root:root {flags}"}
            assert it in allowed or it == f"drwxr-xr-x root:root {flags}", f"{path}: {it}"


def test_every_module_is_in_it_and_nothing_else_of_python(package: Package) -> None:
    modules = {str(path.relative_to(ROOT)) for path in ROOT.glob("rebootmgr/**/*.py")}
    modules |= {str(path.relative_to(ROOT)) for path in ROOT.glob("rebootmgr/**/*.toml")}
    page = (ROOT / "rebootmgr/lockd/page").rglob("*.*")
    modules |= {str(path.relative_to(ROOT)) for path in page if path.suffix != ".pyc"}
    inside = {path.removeprefix(f"{SITELIB}/") for path in package.files() if SITELIB in path}
    folders = {str(parent) for path in modules for parent in Path(path).parents} - {"."}
    assert inside == modules | folders


def test_all_that_make_installs_is_in_it_with_the_documents(
    package: Package, lockd: Package, tmp_path: Path
) -> None:
    command = ("make", "--silent", "install", f"DESTDIR={tmp_path}")
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    made = {f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*") if path.is_file()}
    files = {*package.files(), *lockd.files()}
    assert {path for path in made if path not in files and f"{path}.gz" not in files} == set()
    for shipped in ("README.md", "NEWS.md", *map(str, ROOT.glob("docs/*.md"))):
        assert f"/usr/share/doc/rebootmgr/{shipped.removeprefix(f'{ROOT}/')}" in files
    examples = {path.name for path in ROOT.glob("etc/rebootmgr/examples/*")}
    assert examples
    assert examples == {Path(path).name for path in files if "/rebootmgr/examples/" in path}


def test_the_lock_server_is_in_a_package_of_its_own_that_no_host_needs(
    package: Package, lockd: Package
) -> None:
    listed = [f"{it} {path}" for path, it in lockd.files().items() if "/licenses" not in path]
    assert listed == LOCKD_FILES.splitlines()
    documents = "/usr/share/doc/rebootmgr"
    pages = {
        f"{documents}/{name}"
        for name in (
            "docs/lockd.md",
            "docs/man/rebootmgr-lockd.8.md",
            "docs/man/rebootmgr-lockd.toml.5.md",
            "dashboards/rebootmgr-lockd.json",
            "packaging/coreos/rebootmgr-lockd.container",
            "packaging/kubernetes/rebootmgr-lockd.yaml",
        )
    }
    code = f"{SITELIB}/rebootmgr/lockd"
    apart = {one for one in package.files() if "lockd" in one and not one.startswith(code)}
    assert apart == pages
    assert not any(LOCKD in line for line in package.query("--requires"))


def test_the_programs_start_from_where_they_are_installed(package: Package, lockd: Package) -> None:
    for name, entry in PROJECT["scripts"].items():
        root = lockd.root if name == LOCKD else package.root
        program = root / "usr/bin" / name
        assert program.read_text().splitlines()[0] == "#!/usr/bin/python3 -sP"
        assert f"from {entry.partition(':')[0]} import main\n" in program.read_text()
        said = subprocess.check_output(
            [sys.executable, "-sP", program, "--version"],
            env={
                "PYTHONPATH": f"{package.root}{SITELIB}:{os.pathsep.join(sys.path)}",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            text=True,
        )
        assert said == f"{name} {__version__}\n"


@pytest.mark.parametrize("name", ["package", "lockd"])
def test_nothing_of_the_machine_that_built_it_is_inside(
    name: str, request: pytest.FixtureRequest
) -> None:
    package: Package = request.getfixturevalue(name)
    betraying = [path.encode() for path in (str(ROOT), str(package.path.parent), sys.prefix)]
    said = "\n".join(package.query("--scripts", "--info", "--requires")).encode()
    contents = {path: path.read_bytes() for path in package.root.rglob("*") if path.is_file()}
    for path, content in {**contents, Path("scripts"): said}.items():
        assert [word for word in betraying if word in content] == [], path


# What it says of itself


def test_version_news_and_changelog_agree(package: Package) -> None:
    assert package.query("--queryformat", "%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE}") == [
        f"rebootmgr {__version__} 1 noarch Apache-2.0"
    ]
    newest = re.search(r"^## (\S+?),? ", (ROOT / "NEWS.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__
    changed = re.search(r"%changelog\n\* \w{3} \w{3} \d\d \d{4} .* - (\S+)\n- ", SPEC)
    assert changed is not None
    assert changed[1] == f"{__version__}-1"


def test_another_version_can_be_built_to_try_upgrades_with(tmp_path: Path) -> None:
    other, _ = build(tmp_path, VERSION="9.8.7")
    assert other.path.name == "rebootmgr-9.8.7-1.noarch.rpm"
    init = Path(f"{other.root}{SITELIB}/rebootmgr/__init__.py")
    assert '__version__ = "9.8.7"' in init.read_text()


def libraries_of_project() -> dict[str, str]:
    """What the project depends on, as a package requires it, by name."""
    return {
        each.name: f"{FEDORA[each.name]} >= {str(each.specifier).removeprefix('>=')}"
        for each in map(Requirement, PROJECT["dependencies"])
    }


def test_it_requires_the_libraries_under_the_names_that_fedora_has(package: Package) -> None:
    required = [line for line in package.query("--requires") if not line.startswith("rpmlib(")]
    own = {"/bin/sh", "/usr/bin/python3", f"config(rebootmgr) = {__version__}-1"}
    libraries = libraries_of_project()
    python = f"python3 >= {PROJECT['requires-python'].removeprefix('>=')}"
    others = {python, "systemd", "dbus-common", "polkit"}
    assert set(required) == own | {*libraries.values()} - {libraries[SERVERS_OWN]} | others


def test_the_lock_server_requires_the_program_of_its_own_version_and_its_libraries(
    lockd: Package,
) -> None:
    required = {line for line in lockd.query("--requires") if not line.startswith("rpmlib(")}
    assert required == {
        *("/bin/sh", "/usr/bin/python3", "systemd"),
        f"rebootmgr = {__version__}-1",
        libraries_of_project()[SERVERS_OWN],
        *(f"python3-{one.replace('>=', ' >= ')}" for one in OF_THE_SERVER),
    }
    assert [f"{name}>={major}.{minor}" for name, (major, minor) in OLDEST.items()] == OF_THE_SERVER


@pytest.mark.parametrize(("release", "makes_the_user"), [(41, True), (43, False)])
def test_on_fedora_its_macros_are_used(release: int, *, makes_the_user: bool) -> None:
    need("rpmspec", "Debian: rpm; Fedora: rpm-build")
    command = ("rpmspec", "--parse", "--define", f"fedora {release}", RPM / "rebootmgr.spec")
    spec = subprocess.check_output(command, text=True)
    macros = {"pyproject_buildrequires", "pyproject_wheel", "pyproject_install"}
    macros |= {"systemd_post", "systemd_preun", "systemd_postun_with_restart"}
    # They come with the build requirements; where there are none, they stay as they are.
    evaluate = ["rpm", "--eval"]
    defined = {it for it in macros if subprocess.check_output([*evaluate, f"%{{?{it}:1}}"]).strip()}
    assert {it for it in macros - defined if f"\n%{it}" not in spec} == set()
    assert ("\n%pre\n" in spec) is makes_the_user
    assert ("\n%pre lockd\n" in spec) is makes_the_user
    generated, lockd = spec.split("\n%package lockd\n")
    assert re.findall(r"^Requires: *(python3\S*)", generated, re.MULTILINE) == []
    assert re.findall(r"^Requires: *(python3\S*)", lockd, re.MULTILINE) == [
        *("python3-aiohttp", "python3-jinja2", "python3-systemd")
    ]
    assert "go-md2man" in re.findall(r"^BuildRequires: *(\S+)", spec, re.MULTILINE)


def test_rpmlint_finds_nothing(package: Package, lockd: Package) -> None:
    need("rpmlint", "Debian and Fedora: rpmlint")
    done = subprocess.run(
        [
            "rpmlint",
            "--rpmlintrc",
            RPM / "rebootmgr.rpmlintrc",
            package.path,
            lockd.path,
            RPM / "rebootmgr.spec",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    # Another version of rpmlint may not need a filter that this one needs.
    found = re.findall(r"^.*: E: (?!unused-rpmlintrc-filter).*$", done.stdout, re.MULTILINE)
    assert found == []
    assert "2 packages and 1 specfiles checked" in done.stdout


# What it does when it comes and goes

PROGRAMS: Final = (
    "journalctl", "python3", "rebootmgrctl", "setpriv", "systemctl", "systemd-run",
    "systemd-sysusers", "systemd-tmpfiles", "timeout",
)  # fmt: skip
TOOLS: Final = ("cat", "find", "grep", "head", "mkdir", "rm", "rmdir")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where scriptlets run: every path is below `root`, every program notes how it was called."""

    root: Path

    def has(self, program: str, doing: str) -> None:
        path = self.root / "bin" / program
        path.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >>{self.root}/calls\n{doing}\n')
        path.chmod(0o755)

    def do(self, scriptlet: str, left: int) -> list[str]:
        """Run a scriptlet; `left` is how many of the package will be there. What it called."""
        (self.root / "calls").write_text("")
        text = re.sub(r"(?<=[ =\n>])/(run|usr|var)/", rf"{self.root}/\1/", scriptlet)
        done = subprocess.run(
            ["/bin/sh", "-c", text, "scriptlet", str(left)],
            env={"PATH": str(self.root / "bin")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return (self.root / "calls").read_text().splitlines()

    def run_systemd(self) -> None:
        (self.root / "run/systemd/system").mkdir(parents=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which every program fails and no system runs, as when an image is made."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    machine = Machine(tmp_path)
    for program in PROGRAMS:
        machine.has(program, "exit 1")
    return machine


@pytest.mark.parametrize("which", ["package", "lockd"])
@pytest.mark.parametrize("name", ["PREIN", "POSTIN", "PREUN", "POSTUN"])
@pytest.mark.parametrize("left", [0, 1, 2])
@pytest.mark.parametrize("is_running", [False, True])
def test_a_scriptlet_never_fails_and_asks_nobody_where_no_system_runs(
    request: pytest.FixtureRequest,
    machine: Machine,
    which: str,
    name: str,
    left: int,
    *,
    is_running: bool,
) -> None:
    if is_running:
        machine.run_systemd()
    package: Package = request.getfixturevalue(which)
    called = machine.do(package.scriptlet(name), left)
    if not is_running:
        assert not any(call.startswith("rebootmgrctl") for call in called)
        assert not {"start", "stop", "daemon-reload"} & {word for c in called for word in c.split()}


def test_it_is_not_enabled_by_being_installed(package: Package, machine: Machine) -> None:
    machine.run_systemd()
    assert machine.do(package.scriptlet("POSTIN"), 1)[-2:] == [
        "systemctl daemon-reload",
        "systemctl --no-reload preset rebootmgr.service",
    ]
    assert "systemctl --no-reload preset" not in machine.do(package.scriptlet("POSTIN"), 2)
    [preset] = package.root.glob("usr/lib/systemd/system-preset/*")
    assert "disable rebootmgr.service" in preset.read_text().splitlines()


def test_an_upgrade_stops_nothing_and_restarts_what_runs(
    package: Package, machine: Machine
) -> None:
    machine.run_systemd()
    assert machine.do(package.scriptlet("PREUN"), 1) == []
    assert machine.do(package.scriptlet("POSTUN"), 1) == [
        "systemctl daemon-reload",
        "systemctl try-restart rebootmgr.service",
    ]


def test_at_its_removal_the_daemon_gives_back_then_its_unit_in_its_place(
    package: Package, machine: Machine
) -> None:
    machine.run_systemd()
    unit = machine.root / "run/systemd/system/rebootmgr.service.d/removal.conf"
    machine.has("systemctl", f'case "$*" in start*) cat {unit} >{machine.root}/seen;; esac')
    assert machine.do(package.scriptlet("PREUN"), 0) == [
        "systemctl --quiet is-active rebootmgr.service",
        "rebootmgrctl fleet-lock unlock --owed",
        "systemctl --quiet disable --now rebootmgr.service",
        "systemctl stop rebootmgr-hook.socket",
        f"timeout 10 {LOOK} {machine.root}/var/lib/rebootmgr/state.json",
        "systemctl daemon-reload",
        "systemctl start --job-mode=ignore-dependencies rebootmgr.service",
        "systemctl daemon-reload",
    ]
    seen = (machine.root / "seen").read_text().splitlines()
    assert "ExecStart=" in seen
    assert f"ExecStart={machine.root}/usr/bin/rebootmgrctl fleet-lock unlock --owed" in seen
    assert not unit.parent.exists()


def test_the_lock_server_is_neither_started_by_its_installation_nor_left_running_at_its_removal(
    lockd: Package, machine: Machine
) -> None:
    machine.run_systemd()
    units = ("rebootmgr-lockd.service", "rebootmgr-lockd.socket")
    assert machine.do(lockd.scriptlet("POSTIN"), 1) == [
        "systemctl daemon-reload",
        f"systemctl --no-reload preset {' '.join(units)}",
    ]
    [preset] = lockd.root.glob("usr/lib/systemd/system-preset/*")
    assert {f"disable {unit}" for unit in units} <= set(preset.read_text().splitlines())
    assert machine.do(lockd.scriptlet("PREUN"), 1) == []
    assert machine.do(lockd.scriptlet("POSTUN"), 1) == [
        "systemctl daemon-reload",
        "systemctl try-restart rebootmgr-lockd.service",
    ]
    stop = f"systemctl --quiet disable --now {' '.join(reversed(units))}"
    assert machine.do(lockd.scriptlet("PREUN"), 0) == [stop]


def test_the_removal_of_the_lock_server_leaves_its_store(lockd: Package, machine: Machine) -> None:
    machine.run_systemd()
    store = machine.root / "var/lib/rebootmgr-lockd/lockd.sqlite"
    store.parent.mkdir(parents=True)
    store.touch()
    for scriptlet in ("PREUN", "POSTUN"):
        machine.do(lockd.scriptlet(scriptlet), 0)
    assert store.exists()


LOOK: Final = "setpriv --reuid=rebootmgr --regid=rebootmgr --clear-groups head --bytes=16M"
UNDO: Final = (
    "systemd-run --quiet --wait --collect --property=SyslogIdentifier=rebootmgr-hook"
    " --property=KillMode=mixed {}/usr/bin/python3 -I -m rebootmgr.hooks.runner abandoned"
)


@pytest.fixture
def state(machine: Machine) -> Path:
    """Where the state is, of a machine that runs; whoever looks at it does so as the daemon."""
    machine.run_systemd()
    machine.has("setpriv", 'shift 3; exec "$@"')
    machine.has("timeout", f'shift; exec {shutil.which("timeout")} 5 "$@"')
    state = machine.root / "var/lib/rebootmgr/state.json"
    state.parent.mkdir(parents=True)
    return state


@pytest.mark.parametrize("drained", [True, False])
def test_a_drain_that_a_crash_left_is_undone_at_the_removal(
    package: Package, machine: Machine, state: Path, *, drained: bool
) -> None:
    state.write_bytes(encode_state(Memory(drained=drained)))
    called = machine.do(package.scriptlet("PREUN"), 0)
    stopped, undo = "systemctl stop rebootmgr-hook.socket", UNDO.format(machine.root)
    assert (undo in called) is drained
    if drained:
        assert called.index(stopped) < called.index(undo)


def test_what_the_daemons_user_puts_in_the_place_of_its_state_keeps_no_removal_waiting(
    package: Package, machine: Machine, state: Path
) -> None:
    """And nobody else looks at it: a link leads that user to what is its own to read."""
    machine.has("timeout", f'shift; exec {shutil.which("timeout")} 0.2 "$@"')
    os.mkfifo(state)
    called = machine.do(package.scriptlet("PREUN"), 0)
    assert UNDO.format(machine.root) not in called
    state.unlink()
    state.symlink_to("/dev/zero")
    machine.do(package.scriptlet("PREUN"), 0)
    [looked] = [one for one in called if one.startswith("setpriv")]
    assert looked == f"{LOOK} {state}"


def test_its_removal_leaves_nothing_in_run_but_what_people_put_there(
    package: Package, machine: Machine
) -> None:
    for path in ("hooks.sock", "hooks.lock", "public/metrics.promsock", "config.d/60-mine.toml"):
        file = machine.root / "run/rebootmgr" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    machine.do(package.scriptlet("POSTUN"), 0)
    assert [path.name for path in (machine.root / "run").rglob("*") if path.is_file()] == [
        "60-mine.toml"
    ]


@pytest.mark.parametrize("name", ["rebootmgr", LOCKD])
def test_the_user_is_made_as_the_installed_file_says(
    both: tuple[Package, Package], name: str
) -> None:
    package = both[name == LOCKD]

    def entries(text: str) -> list[list[str]]:
        return [line.split() for line in text.splitlines() if re.match(r"[ugmr]\b", line)]

    installed = (package.root / f"usr/lib/sysusers.d/{name}.conf").read_text()
    assert entries(installed)
    assert entries(package.scriptlet("PREIN")) == entries(installed)

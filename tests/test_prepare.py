"""What packaging/prepare does on machines that lack something, with stand-ins for its programs."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
# What every Debian and Fedora has.
TOOLS: Final = (
    "cat", "dirname", "env", "flock", "fold", "id", "mkdir", "paste", "readlink", "rm", "sed",
    "setpriv", "sh", "sha256sum",
)  # fmt: skip
BACKEND: Final = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "scratch-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("scratch-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: scratch\\n"
                       "Version: 1\\n")
        wheel.writestr("scratch-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: scratch\\n"
                       "Root-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("scratch-1.dist-info/RECORD", "")
    return name
"""
PROJECT: Final = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "scratch"
version = "1"
"""


class Machine:
    """A checkout without pins, and a PATH with exactly the programs named."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        self.pins = self.checkout / "packaging/requirements.txt"
        self.pins.parent.mkdir(parents=True)
        self.bin.mkdir()
        self.calls.touch()
        shutil.copy(ROOT / "packaging/prepare", self.pins.parent)
        self.pins.touch()
        (self.checkout / "pyproject.toml").write_text(PROJECT)
        (self.checkout / "backend.py").write_text(BACKEND)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        (self.bin / "python3").symlink_to(Path(sys.prefix, "bin/python3").resolve())

    def has(self, *programs: str, doing: str = "exit 0") -> None:
        """Put programs on PATH which note how they were called."""
        for program in programs:
            path = self.bin / program
            path.unlink(missing_ok=True)
            path.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >>{self.calls}\n{doing}\n')
            path.chmod(0o755)

    def prepare(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "packaging/prepare", *arguments],
            env={"PATH": str(self.bin), **environ},
            cwd="/",
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            text=True,
        )

    def called(self, program: str) -> list[str]:
        return [line for line in self.calls.read_text().splitlines() if line.startswith(program)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def complete(machine: Machine) -> Machine:
    machine.has("dbus-daemon", "dbus-send", "openssl", "gcc", "pkg-config")
    machine.has(
        "go-md2man", "rpmbuild", "rpmlint", "systemd-analyze", "man", "mandoc", "zsh", "fish"
    )
    include = subprocess.check_output(
        [machine.bin / "python3", "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
        text=True,
    )
    assert Path(include.strip(), "Python.h").exists()
    return machine


def test_debian_is_asked_for_what_is_missing_by_its_names(machine: Machine) -> None:
    machine.has("id", doing="echo 0")
    machine.has("apt-get", doing='case "$*" in *install*) exit 100;; esac')
    done = machine.prepare()
    assert (
        "installing system packages: dbus-daemon dbus-bin openssl gcc libc6-dev pkg-config"
        in done.stdout
    )
    update, install = machine.called("apt-get")
    assert update.endswith(" update")
    assert " -y " in install
    assert "dbus-daemon dbus-bin openssl gcc libc6-dev pkg-config libsystemd-dev" in install
    assert install.endswith(" go-md2man rpm rpmlint systemd man-db mandoc zsh fish")
    assert done.returncode == 1
    assert "could not install: dbus-daemon" in done.stderr
    assert "cure: is the network up?" in done.stderr


def test_machines_need_more_which_is_asked_for_only_when_they_are_wanted(complete: Machine) -> None:
    complete.has("apt-get", doing="exit 1")
    assert complete.prepare("system").returncode == 1
    _, install = complete.called("apt-get")
    assert " systemd-container mmdebstrap iproute2" in install


def test_a_browser_is_asked_for_only_when_the_page_is_to_be_looked_at(complete: Machine) -> None:
    complete.has("apt-get", doing="exit 1")
    assert complete.prepare().returncode == 0
    assert not [call for call in complete.called("apt-get") if " install " in call]
    assert complete.prepare("web").returncode == 1
    _, install = complete.called("apt-get")[-2:]
    assert install.endswith(" chromium-headless-shell")


@pytest.mark.parametrize("what", ["web", "bench"])
def test_what_few_need_is_installed_when_it_is_wanted_and_once(
    complete: Machine, what: str
) -> None:
    complete.has("chromium-headless-shell")
    (complete.checkout / f"packaging/requirements-{what}.txt").touch()
    assert complete.prepare().returncode == 0
    assert f"requirements-{what}.txt" in complete.prepare(what).stdout
    assert complete.prepare(what).stdout == ""


def test_fedora_is_asked_for_what_is_missing_by_its_names(machine: Machine) -> None:
    machine.has("id", doing="echo 0")
    machine.has("dnf", doing="exit 1")
    done = machine.prepare()
    (install,) = machine.called("dnf")
    assert " install dbus-daemon dbus-tools openssl gcc pkgconf-pkg-config systemd-devel" in install
    packages = "golang-github-cpuguy83-md2man rpm-build rpmlint systemd man-db mandoc zsh fish"
    assert install.endswith(f" {packages}")
    assert done.returncode == 1
    assert "could not install: dbus-daemon" in done.stderr


def test_sudo_is_used_by_those_who_are_not_root(machine: Machine) -> None:
    machine.has("id", doing="echo 1000")
    machine.has("sudo", doing='[ "$1" = -n ] || exec "$@"')
    machine.has("dnf", doing="exit 1")
    machine.prepare()
    assert any(" dnf " in call for call in machine.called("sudo"))


@pytest.mark.parametrize("sudo", ["none", "with a password"])
def test_those_who_may_not_install_are_told_what_to_type(machine: Machine, sudo: str) -> None:
    machine.has("id", doing="echo 1000")
    machine.has("apt-get", "dnf")
    if sudo != "none":
        machine.has("sudo", doing="exit 1")
    done = machine.prepare()
    assert done.returncode == 1
    assert "root" in done.stderr
    assert "Debian: apt-get install dbus-daemon dbus-bin openssl gcc" in done.stderr
    assert "Fedora: dnf install dbus-daemon dbus-tools openssl gcc" in done.stderr
    assert not machine.called("apt-get")


def test_other_distributions_are_told_what_is_needed(machine: Machine) -> None:
    done = machine.prepare()
    assert done.returncode == 1
    assert "neither apt-get nor dnf" in done.stderr
    assert "libsystemd-dev" in done.stderr
    assert "systemd-devel" in done.stderr


def test_a_python_that_is_too_old_is_passed_over(machine: Machine) -> None:
    (machine.bin / "python3.12").symlink_to((machine.bin / "python3").resolve())
    machine.has("python3", doing="echo")
    assert "neither apt-get nor dnf" in machine.prepare().stderr


def test_without_a_python_of_today_the_cure_is_named(machine: Machine) -> None:
    machine.has("python3", doing="echo")
    done = machine.prepare()
    assert done.returncode == 1
    assert "no Python 3.11 or newer" in done.stderr
    assert "cure: install python3" in done.stderr


def test_nothing_is_said_when_nothing_is_missing(complete: Machine) -> None:
    first = complete.prepare()
    assert first.returncode == 0, first.stderr
    assert "making .venv" in first.stdout
    assert "installing the project" in first.stdout
    second = complete.prepare()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    with (complete.checkout / "pyproject.toml").open("a") as project:
        project.write('description = "other"\n')
    assert complete.prepare().stdout == "prepare: installing the project into .venv, editable\n"


def test_servers_are_unpacked_for_their_tests_and_never_installed(complete: Machine) -> None:
    etcd, prometheus = (complete.checkout / ".venv" / name for name in ("etcd", "prometheus"))
    done = complete.prepare()
    assert (done.returncode, done.stdout.count("so tests are skipped")) == (0, 2)
    for folder in (etcd, prometheus):
        assert "apt-get: not found" in (folder / "log").read_text()
        shutil.rmtree(folder)
    (complete.bin / "chmod").symlink_to(str(shutil.which("chmod")))
    complete.has("apt-get", doing="shift 6; for name; do : >${name}_3_all.deb; done")
    unpack = "mkdir -p usr/bin; for it in etcd promtool; do echo '#!/bin/sh' >usr/bin/$it; "
    complete.has("dpkg-deb", doing=unpack + "chmod +x usr/bin/$it; done")
    assert "skipped" not in complete.prepare().stdout
    first, second = complete.called("apt-get")
    assert first.endswith(" download etcd-server")
    assert second.endswith(" download prometheus prometheus-node-exporter")
    assert len(complete.called("dpkg-deb")) == 3
    for folder in (etcd, prometheus):
        assert [path.name for path in sorted(folder.iterdir())] == ["log", "usr"]
    assert complete.prepare().stdout == ""


def test_an_environment_left_half_made_or_with_other_pins_is_made_again(complete: Machine) -> None:
    complete.pins.write_text("-r /nowhere\n")
    broken = complete.prepare()
    assert broken.returncode == 1
    assert "cannot fill .venv" in broken.stderr
    complete.pins.write_text("")
    mended = complete.prepare()
    assert mended.returncode == 0, mended.stderr
    assert "making .venv" in mended.stdout


def test_the_python_that_is_asked_for_is_taken_before_that_of_the_system(machine: Machine) -> None:
    (machine.bin / "python3.15").symlink_to((machine.bin / "python3").resolve())
    machine.has("python3", doing="echo")
    assert "neither apt-get nor dnf" in machine.prepare(PYTHON="python3.15").stderr


@pytest.mark.parametrize("asked", ["python3.99", "/usr/bin/false"])
def test_a_python_that_is_asked_for_and_is_none_is_not_replaced_by_another(
    complete: Machine, asked: str
) -> None:
    done = complete.prepare(PYTHON=asked)
    assert done.returncode == 1
    assert f"PYTHON={asked} is no Python 3.11 or newer" in done.stderr
    assert "cure: install it" in done.stderr
    assert not (complete.checkout / ".venv").exists()

"""The RPM that is made for Fedora, from the source RPM and with stand-ins for Fedora's macros."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from rebootmgr import __version__
from tests.packaging.test_rpm import FILES, ROOT, Package, need

MACROS: Final = """\
%fedora 43
%dist .fc43
%python3 {python}
%python3_sitelib {sitelib}
%_unitdir %{{_prefix}}/lib/systemd/system
%_presetdir %{{_prefix}}/lib/systemd/system-preset
%_journalcatalogdir %{{_prefix}}/lib/systemd/catalog
%_sysusersdir %{{_prefix}}/lib/sysusers.d
%_tmpfilesdir %{{_prefix}}/lib/tmpfiles.d
%_pkgdocdir %{{_defaultdocdir}}/%{{name}}
%systemd_post() systemd_post %*
%systemd_preun() systemd_preun %*
%systemd_postun_with_restart() systemd_postun_with_restart %*
%pyproject_buildrequires() true
%__os_install_post find %{{buildroot}}%{{_mandir}} -type f -exec gzip -9n {{}} +
%pyproject_wheel() %python3 -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .
%pyproject_install() {install}
%pyproject_save_files() for it in %* %*-%{{version}}.dist-info; do \\
    echo %python3_sitelib/$it >>%{{_builddir}}/pyproject-files; done
%pyproject_files %{{_builddir}}/pyproject-files
"""


def test_packit_finds_what_its_file_names_and_its_archive_is_that_of_the_specification(
    tmp_path: Path,
) -> None:
    """What it does from that file, by its documentation; it does not run here."""
    need("rpmbuild", "Debian: rpm; Fedora: rpm-build")
    if not (ROOT / ".git").exists():
        pytest.skip("NOT TESTED: the archive is that of a checkout")
    packit = yaml.safe_load((ROOT / "packit.yaml").read_text("utf-8"))
    spec = ROOT / packit["specfile_path"]
    names = {packit["upstream_package_name"], packit["downstream_package_name"]}
    assert names == set(re.findall(r"^Name: *(\S+)$", spec.read_text("utf-8"), re.MULTILINE))
    [command] = packit["actions"]["get-current-version"]
    version = subprocess.check_output(("sh", "-c", command), cwd=ROOT, text=True).strip()
    assert version == __version__
    assert {(job["job"], job["trigger"]) for job in packit["jobs"]} == {
        ("copr_build", "pull_request"),
        ("copr_build", "commit"),
    }
    [name] = names
    made = f"{name}-{version}"
    archive = ("git", "archive", f"--output={tmp_path}/{made}.tar.gz", f"--prefix={made}/", "HEAD")
    subprocess.run(archive, cwd=ROOT, check=True)
    build = ("rpmbuild", "-bp", "--nodeps", "--define", f"_sourcedir {tmp_path}")
    built = subprocess.run(
        [*build, "--define", f"_topdir {tmp_path}/top", spec],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr[-4000:]
    assert list((tmp_path / "top/BUILD").glob("**/rebootmgr/__init__.py"))


def test_copr_makes_a_source_rpm_from_which_fedora_builds_what_its_own_python_finds(
    tmp_path: Path,
) -> None:
    need("rpmbuild", "Debian: rpm; Fedora: rpm-build")
    need("go-md2man", "Debian: go-md2man; Fedora: golang-github-cpuguy83-md2man")
    if not (ROOT / ".git").exists():
        pytest.skip("NOT TESTED: the RPM is built from a checkout")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    copr = ("make", "--file", ".copr/Makefile", "srpm", f"outdir={tmp_path}", "spec=")
    made = subprocess.run(copr, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    [source] = tmp_path.glob("*.src.rpm")
    contents = subprocess.check_output(["rpm", "--query", "--list", "--package", source], text=True)
    assert contents.split() == [f"rebootmgr-{__version__}.tar.gz", "rebootmgr.spec"]

    # The paths are those of a Python that is installed below /usr, as Fedora's is.
    sitelib = f"/usr/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    install = (
        "%python3 -m pip install --no-deps --no-compile --ignore-installed"
        " --no-warn-script-location --root-user-action=ignore"
        " --root %{buildroot} --prefix /usr dist/*.whl;"
        " sed -i '1s|.*|#!/usr/bin/python3 -sP|' %{buildroot}%{_bindir}/*"
    )
    macros = MACROS.format(python=sys.executable, sitelib=sitelib, install=install)
    (tmp_path / ".rpmmacros").write_text(macros)
    command = ("rpmbuild", "--rebuild", "--nodeps", "--without", "check")
    built = subprocess.run(
        [*command, "--define", f"_topdir {tmp_path}/top", source],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr[-4000:]
    host, lockd = sorted((tmp_path / "top/RPMS/noarch").iterdir())
    assert host.name == f"rebootmgr-{__version__}-1.fc43.noarch.rpm"
    assert lockd.name == f"rebootmgr-lockd-{__version__}-1.fc43.noarch.rpm"
    files = Package(host, tmp_path).files()
    modules = {f"{sitelib}/{one.relative_to(ROOT)}" for one in (ROOT / "rebootmgr").rglob("*.py")}
    assert modules <= set(files)
    assert {"/usr/bin/rebootmgrd", "/usr/bin/rebootmgrctl"} <= set(files)
    servers = Package(lockd, tmp_path).files()
    assert "/usr/bin/rebootmgr-lockd" in servers
    assert [one for one in (*files, *servers) if "dist-packages" in one] == []
    others = {line.split()[-1] for line in FILES.splitlines()}
    others -= {"/usr/share/fish", "/usr/share/fish/vendor_completions.d"}
    others -= {"/usr/share/zsh", "/usr/share/zsh/site-functions"}  # of Fedora's filesystem
    assert {one.removesuffix(".gz") for one in others} <= {one.removesuffix(".gz") for one in files}
    need("rpmlint", "Debian and Fedora: rpmlint")
    lint = ("rpmlint", "--rpmlintrc", ROOT / "packaging/rpm/rebootmgr.rpmlintrc", host, lockd)
    said = subprocess.run(lint, capture_output=True, text=True, check=False).stdout
    assert re.findall(r"^.*: E: (?!unused-rpmlintrc-filter).*$", said, re.MULTILINE) == []
    assert "2 packages and 0 specfiles checked" in said

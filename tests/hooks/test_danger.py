"""Whoever can write anything on the way to a hook can have root run something else."""

import os
from pathlib import Path

import pytest

from rebootmgr.hooks.danger import find_danger

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    path = tmp_path / "etc/rebootmgr/checks.d/10-x"
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    return path


def test_what_only_root_and_we_can_change_is_no_danger(hook: Path) -> None:
    assert find_danger(hook) == ""
    assert find_danger(hook.parent) == ""
    assert find_danger(Path("/")) == ""


def test_every_directory_on_the_way_counts(tmp_path: Path, hook: Path) -> None:
    steps = [step for step in (hook, *hook.parents) if step.is_relative_to(tmp_path)]
    assert len(steps) == 5
    for step in steps:
        step.chmod(0o775)
        assert find_danger(hook) == f"{step} can be written by others (mode 0775): chmod go-w"
        step.chmod(0o755)
    assert find_danger(hook) == ""


def test_a_sticky_directory_keeps_the_names_in_it_but_takes_new_ones(hook: Path) -> None:
    hook.parent.chmod(0o1777)
    assert find_danger(hook) == ""
    assert "mode 1777" in find_danger(hook.parent)


@needs_root
def test_every_owner_on_the_way_counts(tmp_path: Path, hook: Path) -> None:
    for step in (hook, hook.parent, tmp_path / "etc"):
        os.chown(step, 4242, 4242)
        assert find_danger(hook) == f"{step} belongs to user 4242, not 0: chown it"
        os.chown(step, 0, 0)


def test_links_are_followed_step_by_step(tmp_path: Path, hook: Path) -> None:
    """A link to a link through a place that others can write: its end alone looks good."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "link").symlink_to(hook)
    relative = hook.with_name("20-y")
    relative.symlink_to("../../../shared/link")
    assert find_danger(relative) == ""
    shared.chmod(0o777)
    assert find_danger(relative) == f"{shared} can be written by others (mode 0777): chmod go-w"
    shared.chmod(0o755)
    hook.chmod(0o757)
    assert find_danger(relative).startswith(f"{hook} can be written")


@needs_root
def test_a_link_of_somebody_else_is_a_danger(tmp_path: Path, hook: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(hook)
    os.chown(link, 4242, 4242, follow_symlinks=False)
    assert find_danger(link) == f"{link} belongs to user 4242, not 0: chown it"


def test_a_link_to_a_directory_is_judged_by_where_it_leads(tmp_path: Path, hook: Path) -> None:
    link = tmp_path / "etc/checks"
    link.symlink_to(hook.parent)
    assert find_danger(link / hook.name) == ""
    hook.parent.chmod(0o1777)
    assert "mode 1777" in find_danger(link)


def test_a_way_that_does_not_end_or_ends_too_soon_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        find_danger(tmp_path / "loop")
    with pytest.raises(FileNotFoundError):
        find_danger(tmp_path / "nothing")

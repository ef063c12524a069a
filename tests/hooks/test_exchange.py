"""The daemon's user owns one directory on the way; nothing that it puts there misleads root."""

import json
import os
from pathlib import Path

import pytest

from rebootmgr.core.model import Phase
from rebootmgr.hooks.exchange import read_order, read_result, write_order, write_result
from rebootmgr.hooks.words import LARGEST, Order, Result, Unusable

ORDER = Order(request="0" * 32, deployment="fcos-bb.0", version="42.1", booted="fcos-aa.0")
RESULT = Result(request="0" * 32, phase=Phase.CHECK, hook="x", status=3, last_line="no")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """The daemon's directory, with an order in it."""
    write_order(tmp_path, ORDER)
    return tmp_path / "run/rebootmgr/public"


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    """The runner's directory, with a result in it."""
    write_result(tmp_path, RESULT)
    return tmp_path / "run/rebootmgr/hooks"


def refusal(root: Path) -> str:
    """Why the order is not taken."""
    order = read_order(root)
    assert isinstance(order, Unusable)
    return order.why


def test_what_was_written_is_read_and_everybody_may_see_it(
    tmp_path: Path, public: Path, hooks: Path
) -> None:
    assert read_order(tmp_path) == ORDER
    assert read_result(tmp_path, Phase.CHECK) == RESULT
    assert os.listdir(public) == ["deployment.json"]  # noqa: PTH208 - names, not paths
    assert os.listdir(hooks) == ["check.json"]  # noqa: PTH208
    assert (hooks / "check.json").stat().st_mode & 0o777 == 0o644
    assert json.loads((hooks / "check.json").read_text())["exit"] == 3


def test_without_a_file_there_is_no_order_and_no_result(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path)
    assert isinstance(read_result(tmp_path, Phase.CHECK), Unusable)


def test_a_link_in_the_place_of_the_order_is_not_followed(tmp_path: Path, public: Path) -> None:
    secret = tmp_path / "secret"
    (public / "deployment.json").rename(secret)
    (public / "deployment.json").symlink_to(secret)
    assert "symbolic links" in refusal(tmp_path)


def test_a_link_in_the_place_of_the_directory_is_not_followed(tmp_path: Path, public: Path) -> None:
    public.rename(tmp_path / "elsewhere")
    public.symlink_to(tmp_path / "elsewhere")
    assert "Not a directory" in refusal(tmp_path)
    with pytest.raises(NotADirectoryError):
        write_order(tmp_path, ORDER)
    run = tmp_path / "run/rebootmgr"
    public.unlink()
    (tmp_path / "elsewhere").rename(public)
    run.rename(tmp_path / "rebootmgr")
    run.symlink_to(tmp_path / "rebootmgr")
    assert "Not a directory" in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "directory", "null"])
def test_what_is_no_file_keeps_nobody_waiting(tmp_path: Path, public: Path, kind: str) -> None:
    path = public / "deployment.json"
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to("/dev/null")
    assert refusal(tmp_path)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path, public: Path) -> None:
    with (public / "deployment.json").open("r+b") as file:
        file.truncate(1 << 40)
    assert f"larger than {LARGEST}" in refusal(tmp_path)


def test_a_result_that_is_no_file_is_none(tmp_path: Path, hooks: Path) -> None:
    (hooks / "check.json").unlink()
    os.mkfifo(hooks / "check.json")
    assert isinstance(read_result(tmp_path, Phase.CHECK), Unusable)


def test_a_new_file_that_somebody_left_is_replaced_and_not_written_through(
    tmp_path: Path, hooks: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (hooks / ".check.json.new").symlink_to(victim)
    write_result(tmp_path, RESULT)
    assert victim.read_text() == "precious"
    assert read_result(tmp_path, Phase.CHECK) == RESULT


@pytest.mark.parametrize("directory", ["run/rebootmgr", "run/rebootmgr/hooks"])
def test_a_directory_that_others_can_write_holds_no_results(
    tmp_path: Path, hooks: Path, directory: str
) -> None:
    (tmp_path / directory).chmod(0o777)
    with pytest.raises(PermissionError, match="must be root's alone"):
        write_result(tmp_path, RESULT)


@needs_root
def test_only_the_directory_public_may_belong_to_the_daemon(
    tmp_path: Path, public: Path, hooks: Path
) -> None:
    os.chown(public, 4242, 4242)
    os.chown(public / "deployment.json", 4242, 4242)
    assert read_order(tmp_path) == ORDER
    os.chown(hooks, 4242, 4242)
    with pytest.raises(PermissionError, match="user 4242"):
        write_result(tmp_path, RESULT)
    os.chown(hooks.parent, 4242, 4242)
    assert "user 4242" in refusal(tmp_path)

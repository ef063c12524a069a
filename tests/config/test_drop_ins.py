"""Drop-in directories as administrators, packages and accidents leave them."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from rebootmgr.config.checked import DropIn, Fragment, Ignored, Unread
from rebootmgr.config.drop_ins import LARGEST, read_drop_ins

ETC, RUN, USR = (f"{each}/rebootmgr/config.d" for each in ("etc", "run", "usr/lib"))


def put(root: Path, name: str, text: str | bytes = "# text") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def texts(root: Path) -> list[str]:
    fragments = read_drop_ins(root)
    assert all(isinstance(each, DropIn) for each in fragments)
    return [each.text for each in fragments if isinstance(each, DropIn)]


def only(root: Path) -> Fragment:
    (fragment,) = read_drop_ins(root)
    return fragment


def test_a_host_without_any_directory_has_no_drop_ins(tmp_path: Path) -> None:
    assert read_drop_ins(tmp_path) == ()


def test_files_come_in_byte_order_of_their_names_across_directories(tmp_path: Path) -> None:
    put(tmp_path, f"{USR}/10-a.toml", "1")
    put(tmp_path, f"{RUN}/10-é.toml", "2")
    put(tmp_path, f"{ETC}/9-b.toml", "3")
    put(tmp_path, f"{USR}/90-z.toml", "4")
    put(tmp_path, f"{RUN}/B.toml", "5")
    put(tmp_path, f"{ETC}/a.toml", "6")
    assert texts(tmp_path) == ["1", "2", "3", "4", "5", "6"]


def test_for_one_name_etc_beats_run_beats_usr(tmp_path: Path) -> None:
    for directory in (USR, RUN, ETC):
        path = put(tmp_path, f"{directory}/a.toml", directory)
        assert only(tmp_path) == DropIn(str(path), directory)


@pytest.mark.parametrize("kind", ["link", "empty", "link to empty", "link through links"])
def test_a_name_is_masked(tmp_path: Path, kind: str) -> None:
    put(tmp_path, f"{USR}/a.toml", "vendor")
    mask = put(tmp_path, f"{ETC}/a.toml", "")
    if kind == "link":
        mask.unlink()
        mask.symlink_to("/dev/null")
    elif kind == "link to empty":
        mask.rename(tmp_path / "empty")
        mask.symlink_to("/empty")
    elif kind == "link through links":
        mask.unlink()
        (tmp_path / "nothing").symlink_to("/dev/null")
        mask.symlink_to("../../../nothing")
        (tmp_path / "dev").symlink_to("/dev")
    assert read_drop_ins(tmp_path) == ()


def test_a_link_to_a_real_file_is_read_under_the_root(tmp_path: Path) -> None:
    put(tmp_path, "usr/share/x.toml", "x")
    directory = tmp_path / ETC
    directory.mkdir(parents=True)
    (directory / "1.toml").symlink_to("/usr/share/x.toml")
    (directory / "2.toml").symlink_to("../../../usr/share/x.toml")
    (directory / "3.toml").symlink_to("2.toml")
    assert texts(tmp_path) == ["x", "x", "x"]


@pytest.mark.parametrize(
    "name", [".a.toml", ".toml", "a.conf", "a.TOML", "a.toml~", "a.toml.rpmnew"]
)
def test_what_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, f"{ETC}/{name}")
    fragment = only(tmp_path)
    assert isinstance(fragment, Ignored)
    assert fragment.problem.file == str(path)
    assert "is not read" in fragment.problem.message


def unread(root: Path) -> str:
    fragment = only(root)
    assert isinstance(fragment, Unread)
    assert fragment.problem.hint
    assert ETC in fragment.problem.file
    return fragment.problem.message


@pytest.fixture
def open_root() -> Iterator[Path]:
    """Give a root that other users may enter, unlike those of pytest."""
    with TemporaryDirectory(prefix="rebootmgr-") as name:
        root = Path(name)
        put(root, f"{ETC}/a.toml")
        root.chmod(0o755)
        yield root


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read everything: be nobody for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", [f"{ETC}/a.toml", ETC, "etc/rebootmgr"])
def test_what_may_not_be_read_is_a_problem(open_root: Path, name: str) -> None:
    (open_root / name).chmod(0)
    try:
        with unprivileged():
            assert unread(open_root) == "cannot be read: Permission denied"
    finally:
        (open_root / name).chmod(0o755)


def test_a_file_in_place_of_the_directory_is_a_problem(tmp_path: Path) -> None:
    put(tmp_path, ETC)
    assert unread(tmp_path) == "cannot be read: Not a directory"


def test_a_directory_link_that_points_nowhere_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "etc/rebootmgr").mkdir(parents=True)
    (tmp_path / ETC).symlink_to("nowhere")
    assert unread(tmp_path) == "points nowhere"


def test_a_directory_in_place_of_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / ETC / "a.toml").mkdir(parents=True)
    assert unread(tmp_path) == "is no regular file"


def test_a_pipe_is_a_problem_and_no_wait(tmp_path: Path) -> None:
    (tmp_path / ETC).mkdir(parents=True)
    os.mkfifo(tmp_path / ETC / "a.toml")
    assert unread(tmp_path) == "is no regular file"


def test_a_socket_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ETC).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / ETC)  # the address of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.toml")
        assert unread(tmp_path) == "is no regular file"


def test_a_link_that_points_nowhere_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "a.toml").symlink_to("/nowhere")
    assert unread(tmp_path) == "is a link that points nowhere"


def test_links_in_a_circle_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "a.toml").symlink_to("a.toml")
    assert unread(tmp_path) == "cannot be read: Too many levels of symbolic links"


def test_a_file_may_be_large_but_not_huge(tmp_path: Path) -> None:
    put(tmp_path, f"{ETC}/a.toml", "#" * LARGEST)
    assert isinstance(only(tmp_path), DropIn)
    put(tmp_path, f"{ETC}/a.toml", "#" * (LARGEST + 1))
    assert unread(tmp_path) == "is too large"


def test_text_that_is_not_utf_8_is_a_problem_with_a_line(tmp_path: Path) -> None:
    put(tmp_path, f"{ETC}/a.toml", b"# one\n# two \xff\n")
    assert unread(tmp_path) == "is not UTF-8"
    fragment = only(tmp_path)
    assert isinstance(fragment, Unread)
    assert fragment.problem.line == 2


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    put(tmp_path, f"{ETC}/a.toml", b"\xef\xbb\xbfa = 1")
    assert texts(tmp_path) == ["a = 1"]


def test_a_name_cannot_speak_through_a_message(tmp_path: Path) -> None:
    put(tmp_path, f"{ETC}/a\x1b[2J\n.toml", "x")
    put(tmp_path, os.fsdecode(f"{ETC}/b".encode() + b"\xff.conf"))
    for fragment in read_drop_ins(tmp_path):
        match fragment:
            case DropIn(file=file):
                assert file.isprintable()
            case Unread(problem=problem) | Ignored(problem=problem):
                assert str(problem).isprintable()

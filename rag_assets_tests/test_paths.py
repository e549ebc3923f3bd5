"""Paths as the application's table has them: what may be read, what is refused, and that hash and bytes agree."""

import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets.errors import DocumentError
from rag_assets.text import paths

posix = pytest.mark.skipif(os.name == "nt", reason="needs links, pipes or names that Windows has not")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b.txt").write_text("text")
    (tmp_path / "outside.txt").write_text("secret")
    return folder.resolve()


def kind_of(path: str, **given: object) -> str:
    with pytest.raises(DocumentError) as raised:
        paths.resolve(path, **given)  # type: ignore[arg-type]
    return raised.value.kind


@pytest.mark.parametrize("path", ["a/b.txt", "./a/b.txt", "a//b.txt", "a\\b.txt"])
def test_relative_path_is_below_the_root(root: Path, path: str) -> None:
    """Whatever separators the table's writer used."""
    assert paths.resolve(path, root=root) == root / "a" / "b.txt"


def test_absolute_path_is_read_when_below_an_allowed_root(root: Path) -> None:
    """The root itself is one."""
    file = root / "a" / "b.txt"
    assert paths.resolve(str(file), root=root) == file
    assert paths.resolve(str(file), root=root / "other", allowed_roots=[root]) == file


@pytest.mark.parametrize(
    "path",
    [
        "",
        "  ",
        "a\0b.txt",
        "../outside.txt",
        "a/../a/b.txt",
        "a\\..\\..\\outside.txt",
        "..",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "//server/share/x.txt",
        "\\\\server\\share\\x.txt",
        "\\\\.\\PhysicalDrive0",
        "\\\\?\\C:\\x.txt",
        "//./pipe/x",
        "C:\\Windows\\win.ini",
        "C:/Windows/win.ini",
        "\\x.txt",
        "NUL",
        "a/con.txt",
        "COM1",
        "a/b.txt:stream",
        "a/b.txt::$DATA",
    ],
)
def test_path_is_refused_when_it_leads_elsewhere(root: Path, path: str) -> None:
    """By its form or by where it ends up, whether or not anything is there."""
    assert kind_of(path, root=root) == "outside_root"


@posix
def test_link_is_followed_only_inside_the_root(root: Path, tmp_path: Path) -> None:
    """Links count by where they lead: of files and of folders."""
    (root / "in.txt").symlink_to(root / "a" / "b.txt")
    (root / "out.txt").symlink_to(tmp_path / "outside.txt")
    (root / "up").symlink_to(tmp_path)
    assert paths.resolve("in.txt", root=root) == root / "a" / "b.txt"
    assert kind_of("out.txt", root=root) == "outside_root"
    assert kind_of("up/outside.txt", root=root) == "outside_root"


@posix
def test_folder_whose_name_begins_as_the_root_s_is_another_one(root: Path) -> None:
    """Also where its own name goes on with a letter, a point or a space."""
    for name in ("roots", "root.old", "root 2"):
        (other := root.with_name(name)).mkdir()
        (other / "c.txt").write_text("secret")
        assert kind_of(str(other / "c.txt"), root=root) == "outside_root"
        assert paths.resolve(str(other / "c.txt"), root=Path("/")) == other / "c.txt"


@posix
def test_root_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    """Administrators move document folders and leave a link."""
    (tmp_path / "link").symlink_to(root)
    assert paths.resolve("a/b.txt", root=tmp_path / "link") == root / "a" / "b.txt"


@posix
def test_links_in_a_circle_are_not_found(root: Path) -> None:
    """And end at once."""
    (root / "x").symlink_to(root / "y")
    (root / "y").symlink_to(root / "x")
    assert kind_of("x", root=root) == "not_found"


def test_missing_file_is_named_as_the_table_has_it(root: Path) -> None:
    """The message is the original system's."""
    with pytest.raises(DocumentError, match=r"^File not found: a/none\.txt$"):
        paths.resolve("a/none.txt", root=root)


def test_folder_is_unsupported(root: Path) -> None:
    """It is there, but nothing that can be read."""
    assert kind_of("a", root=root) == "unsupported"


@posix
def test_pipe_and_socket_are_unsupported_without_waiting(root: Path) -> None:
    """Opening a FIFO without a writer would wait for ever."""
    os.mkfifo(root / "fifo")
    assert kind_of("fifo", root=root) == "unsupported"
    with pytest.raises(DocumentError) as raised, paths.open_regular(root / "fifo"):
        pass
    assert raised.value.kind == "unsupported"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "s")[-100:]) if len(str(root / "s")) < 100 else pytest.skip("path too long")
        assert kind_of("s", root=root) == "unsupported"


@posix
@pytest.mark.parametrize("name", ["aux.md", "Meeting 12:30.txt", "notes.txt:old", "back\\slash.txt", "c: d.txt"])
def test_names_special_on_windows_are_files_elsewhere(root: Path, name: str) -> None:
    """Where a file of that name exists."""
    (root / name).write_text("text")
    assert paths.resolve(name, root=root) == root / name


@pytest.mark.parametrize("path", ["D:\\Docs\\a\\b.txt", "D:/Docs/a/b.txt", "d:\\docs\\a\\b.txt", "D:\\Docs\\\\a/b.txt"])
def test_windows_path_is_read_when_its_prefix_is_mapped(root: Path, path: str) -> None:
    """Without regard to case in the prefix, as Windows has it; with or without a root."""
    for given in (None, root / "other"):
        assert paths.resolve(path, root=given, path_map={"D:\\Docs\\": root}) == root / "a" / "b.txt"


def test_longest_mapped_prefix_wins(root: Path) -> None:
    """And a prefix ends where a folder does."""
    path_map = {"D:\\": root, "D:\\Docs": root / "a", "\\\\server\\share": root}
    assert paths.resolve("D:\\Docs\\b.txt", root=None, path_map=path_map) == root / "a" / "b.txt"
    assert paths.resolve("\\\\SERVER\\share\\a\\b.txt", root=None, path_map=path_map) == root / "a" / "b.txt"
    assert kind_of("D:\\Docs2\\b.txt", root=None, path_map=path_map) == "not_found"


@pytest.mark.parametrize(
    "path",
    [
        "D:\\Docs\\..\\outside.txt",
        "D:\\Docs\\NUL",
        "D:\\Docs\\a\\b.txt:s",
        "E:\\Docs\\b.txt",
        "D:\\Docs\\up\\outside.txt",
    ],
)
def test_mapped_path_is_refused_when_it_leads_out(root: Path, tmp_path: Path, path: str) -> None:
    """By the rules of Windows for its form, by those of this system for its links."""
    if os.name != "nt":
        (root / "up").symlink_to(tmp_path)
    assert kind_of(path, root=None, path_map={"D:\\Docs": root}) == "outside_root"


def test_no_root_confines_no_absolute_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then relative paths are those of the current folder."""
    monkeypatch.chdir(root / "a")
    assert paths.resolve(str(root.parent / "outside.txt"), root=None).name == "outside.txt"
    assert paths.resolve("b.txt", root=None) == root / "a" / "b.txt"
    assert paths.resolve("../a/b.txt", root=None) == root / "a" / "b.txt"


@pytest.mark.skipif(os.name == "nt", reason="there are no such folders")
@pytest.mark.parametrize("root", [None, Path("/")])
def test_devices_are_refused_without_a_root_too(root: Path | None) -> None:
    """Nobody's documents are there."""
    assert kind_of("/dev/zero", root=root) == "outside_root"
    assert kind_of("/proc/self/environ", root=root) == "outside_root"


@pytest.mark.skipif(
    os.path.realpath("/dev/shm") != "/dev/shm" or not os.path.isdir("/dev/shm"), reason="there is no shared memory here"
)
def test_root_may_lie_in_a_folder_of_the_system(tmp_path: Path) -> None:
    """Whoever chose shared memory, or a link to it, means it; the root / does not mean devices."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        (file := Path(folder) / "a.txt").write_text("text")
        (link := tmp_path / "link").symlink_to(folder)
        assert paths.resolve("a.txt", root=Path(folder)) == paths.resolve("a.txt", root=link) == file
        assert kind_of(str(file), root=Path("/")) == "outside_root"


def test_bytes_hash_and_facts_agree(root: Path) -> None:
    """One reading gives all three."""
    file = root / "a" / "b.txt"
    os.utime(file, (1e9, 1e9))
    data, facts = paths.read(file, limit=4)
    assert data == b"text"
    assert facts.sha256 == hashlib.sha256(data).hexdigest() == paths.sha256(file, limit=4)
    assert (facts.size, facts.mtime_ns) == paths.facts(file)


@pytest.mark.parametrize(("age", "tells"), [(3600, True), (3, True), (1, False), (-3600, False)])
def test_mtime_is_noted_once_the_file_cannot_be_written_again_and_keep_it(root: Path, age: int, tells: bool) -> None:
    """Of a file written just now, or tomorrow, it says nothing about the bytes."""
    file = root / "a" / "b.txt"
    mtime_ns = time.time_ns() - age * 10**9
    os.utime(file, ns=(mtime_ns, mtime_ns))
    assert paths.read(file, limit=4)[1].mtime_ns == (mtime_ns if tells else paths.TELLS_NOTHING)


@pytest.mark.parametrize("read", [paths.read, paths.sha256])
def test_file_over_the_limit_is_too_large(root: Path, read: object) -> None:
    """The message has both numbers; a sparse terabyte costs nothing."""
    with (root / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DocumentError, match=r"1,099,511,627,776 bytes.* 10: ") as raised:
        read(root / "sparse", limit=10)  # type: ignore[operator]
    assert raised.value.kind == "too_large"


def test_link_is_not_read_in_place_of_a_resolved_file(root: Path, tmp_path: Path) -> None:
    """Between resolving and opening, somebody may put a link there: as the file or as a folder on the way."""
    if os.name == "nt":
        pytest.skip("links need a privilege on Windows")
    file = paths.resolve("a/b.txt", root=root)
    (root / "a").rename(root / "z")
    (root / "a").symlink_to(tmp_path / "evil")
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "b.txt").write_text("secret")
    for path in (file, root / "a"):
        with pytest.raises(DocumentError) as raised:
            paths.read(path, limit=100)
        assert raised.value.kind == "not_found"


class _Changing:
    """os.read that changes the file after each of the first `times` reads."""

    def __init__(self, file: Path, *, times: int) -> None:
        self.file, self.times, self.read = file, times, os.read

    def __call__(self, descriptor: int, size: int) -> bytes:
        data = self.read(descriptor, size)
        if data and self.times:
            self.times -= 1
            self.file.write_text(f"changed {self.times}" * 3)
        return data


@pytest.fixture
def changing(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Changing]:
    changing = _Changing(root / "a" / "b.txt", times=0)
    monkeypatch.setattr(os, "read", changing)
    yield changing
    monkeypatch.undo()


def test_file_changed_while_read_is_read_again(changing: _Changing) -> None:
    """Bytes of two versions are never taken for one."""
    changing.times = 1
    data, facts = paths.read(changing.file, limit=1_000)
    assert data == b"changed 0" * 3
    assert facts.sha256 == hashlib.sha256(data).hexdigest()


def test_file_that_never_rests_times_out(changing: _Changing) -> None:
    """So that it is tried again later."""
    changing.times = 100
    with pytest.raises(DocumentError) as raised:
        paths.read(changing.file, limit=1_000)
    assert raised.value.kind == "timed_out"
    assert raised.value.retryable


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_not_found_with_its_reason(root: Path) -> None:
    """Permissions can be mended: another attempt may help."""
    (root / "a" / "b.txt").chmod(0)
    with pytest.raises(DocumentError, match="Permission denied") as raised:
        paths.read(root / "a" / "b.txt", limit=10)
    assert raised.value.kind == "not_found"

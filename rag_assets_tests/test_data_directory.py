"""bundled.data_directory: where data and binaries lie, also where a home cannot be reached, was moved, or is gone."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rag_assets.bundled import data_directory, postgres
from rag_assets.errors import DatabaseUnavailable
from rag_assets_tests import patience
from rag_assets_tests.homes import as_root, ask, is_noted, note, posix, server_of


@as_root
def test_placement_when_the_home_cannot_be_reached(home: Path) -> None:
    """The cluster lies elsewhere, found through a link; no permission on the way was changed."""
    modes = [path.stat().st_mode for path in (home, *home.parents)]
    postgres.start(home)
    data = home / "postgres" / "data"
    assert data.is_symlink()
    assert not data.resolve().is_relative_to(home)
    assert [path.stat().st_mode for path in (home, *home.parents)] == modes


@as_root
def test_placement_when_the_binaries_cannot_be_reached(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are copied once to where the account gets at them, and run from there."""
    original = data_directory._installation()
    hidden = tmp_path / "site-packages"
    for folder in (original.parent / original.name, original.parents[1] / f"{data_directory.PACKAGE}.libs"):
        shutil.copytree(folder, hidden / folder.relative_to(original.parents[1]))
    monkeypatch.setattr(data_directory, "_installation", lambda: hidden / data_directory.PACKAGE / original.name)
    assert ask(postgres.start(home), "select 1") == 1
    binary = Path(psutil.Process(server_of(home)).cmdline()[0])
    postgres.release(home)
    assert not binary.is_relative_to(tmp_path)
    shutil.rmtree(next(path for path in binary.parents if path.name.startswith("postgresql-")))


@as_root
def test_cluster_when_its_home_was_deleted_while_running(tmp_path: Path) -> None:
    """A cluster outside of its home goes with it."""
    path = tmp_path / "doomed"
    postgres.start(path)
    cluster = (path / "postgres" / "data").resolve().parent
    shutil.rmtree(path)
    patience.until(lambda: not cluster.exists())


@as_root
def test_cluster_when_its_home_was_deleted_while_stopped(tmp_path: Path, home: Path) -> None:
    """The next start of any home removes it, an hour later where it was among the temporary files."""
    path = tmp_path / "doomed"
    postgres.start(path)
    postgres.release(path)
    cluster = (path / "postgres" / "data").resolve().parent
    shutil.rmtree(path)
    data_directory._sweep()
    assert cluster.exists()
    os.utime(cluster / "home", (0, 0))
    postgres.start(home)
    assert not cluster.exists()


@as_root
def test_cluster_is_noted_as_used_as_long_as_its_server_runs(tmp_path: Path) -> None:
    """Where all is killed, nobody is left to note it: what was used for long is not forgotten at once."""
    home = tmp_path / "home"
    postgres.start(home)
    try:
        record = (home / "postgres" / "data").resolve().parent / "home"
        os.utime(record, (0, 0))
        patience.until(lambda: record.stat().st_mtime > 0)
    finally:
        postgres.remove(home)


@as_root
def test_cluster_when_its_home_is_absent_for_a_while(tmp_path: Path) -> None:
    """A home on a disk that is not mounted today keeps its data."""
    record = tmp_path / "cluster" / "home"
    record.parent.mkdir()
    record.write_text("/mnt/not-mounted-today/home")
    assert not data_directory._is_orphan(record)
    os.utime(record, (0, 0))
    assert data_directory._is_orphan(record)


@as_root
def test_cluster_when_its_home_was_moved(tmp_path: Path) -> None:
    """The data moves along."""
    before, after = tmp_path / "before", tmp_path / "after"
    number = note(postgres.start(before))
    postgres.release(before)
    before.rename(after)
    data_directory._sweep()  # as another program does that starts before it is used at its new place
    try:
        assert is_noted(postgres.start(after), number)
    finally:
        postgres.remove(after)


@as_root
def test_cluster_when_another_program_sweeps_as_it_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data moves along, or is said to be gone: nobody removes it once it is taken, or leaves an empty one."""
    before, after = tmp_path / "before", tmp_path / "after"
    number = note(postgres.start(before))
    postgres.release(before)
    before.rename(after)
    record = (after / "postgres" / "data").resolve().parent / "home"
    os.utime(record, (0, 0))  # nobody has used it for long
    looked, taken, is_older = threading.Event(), threading.Event(), data_directory._is_older

    def slow(path: Path, *, days: float) -> bool:
        found = is_older(path, days=days)
        if path == record and not looked.is_set():
            looked.set()
            taken.wait(3)  # the other one comes in here where nothing keeps it
        return found

    monkeypatch.setattr(data_directory, "_is_older", slow)
    try:
        with ThreadPoolExecutor(1) as others:
            swept = others.submit(data_directory._sweep)
            looked.wait(10)
            with suppress(DatabaseUnavailable):
                url = postgres.start(after)
                taken.set()
                swept.result()
                assert is_noted(url, number)
    finally:
        postgres.remove(after)


@posix
def test_socket_folders_of_homes_that_are_gone_are_removed(tmp_path: Path) -> None:
    """Those that are used stay, and so does what others have put there, FIFOs included."""

    def folder(name: str, *, home: str, mode: int = 0o700) -> Path:
        place = tmp_path / f"rag-pg-{name}"
        place.mkdir(mode=mode)
        (place / "home").write_text(home)
        return place

    used = tmp_path / "used"
    (used / "postgres").mkdir(parents=True)
    gone, kept = folder("1", home=str(tmp_path / "gone")), folder("2", home=str(used))
    (used / "postgres" / "socket").write_text(str(kept))
    open_to_all, pipe = folder("3", home=str(tmp_path / "gone"), mode=0o755), tmp_path / "rag-pg-4"
    pipe.mkdir(mode=0o700)
    os.mkfifo(pipe / "home")
    postgres._remove_abandoned_sockets(tmp_path)
    assert [place.exists() for place in (gone, kept, open_to_all, pipe)] == [False, True, True, True]

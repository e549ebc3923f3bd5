"""Private folders: what a kill has left is removed, and what others have put there is not touched."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_assets.processes import private_folder
from rag_assets.settings import Chunking, Parsing
from rag_assets.text.sandbox.worker import TextWorker

pytestmark = pytest.mark.skipif(os.name == "nt", reason="FIFOs, SIGKILL")
PREFIX = "rag-assets-text-"
PATIENCE = 60


def opened(place: Path) -> Path:
    """A folder of ours, made and removed by another process; after that of the dead."""
    code = (
        "import sys; from pathlib import Path; from rag_assets.processes import private_folder\n"
        f"with private_folder.workplace({PREFIX!r}, below=Path(sys.argv[1])) as folder: print(folder)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(place)], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return Path(done.stdout.strip())


def left_by_a_stranger(place: Path) -> Path:
    """A folder with the right name that everybody may enter, and a FIFO in the place of the file."""
    folder = place / f"{PREFIX}x"
    folder.mkdir(mode=0o755)
    os.mkfifo(folder / private_folder.OWNER_FILE, 0o644)
    return folder


def fifo(place: Path) -> Path:
    folder = place / f"{PREFIX}y"
    folder.mkdir(mode=0o700)
    os.mkfifo(folder / private_folder.OWNER_FILE, 0o644)
    return folder


def link(place: Path) -> Path:
    (place / "elsewhere").mkdir(mode=0o700)
    (place / "elsewhere" / private_folder.OWNER_FILE).touch()
    (place / f"{PREFIX}z").symlink_to(place / "elsewhere")
    return place / "elsewhere"


def link_to_the_file(place: Path) -> Path:
    (place / "fifo").touch()
    folder = place / f"{PREFIX}w"
    folder.mkdir(mode=0o700)
    (folder / private_folder.OWNER_FILE).symlink_to(place / "fifo")
    return folder


@pytest.mark.parametrize("make", [left_by_a_stranger, fifo, link, link_to_the_file])
def test_nothing_in_a_shared_folder_is_waited_for(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """Nor removed, where it is not what a killed owner leaves."""
    made = make(tmp_path)
    assert not opened(tmp_path).exists()
    assert made.exists()


def test_documents_are_read_whatever_lies_in_the_folder_for_temporary_files(tmp_path: Path) -> None:
    """A FIFO there stopped all indexing, before any limit applied."""
    left_by_a_stranger(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    code = (
        "from pathlib import Path; from rag_assets.settings import *\n"
        "from rag_assets.text.sandbox.worker import TextWorker\n"
        "with TextWorker(parsing=Parsing(), chunking=Chunking(), model=None) as worker:"
        f" print(worker.parse(Path({str(tmp_path.resolve() / 'a.txt')!r}), name='a.txt').parsed.text)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout == "text\n", done.stderr


def test_work_folders_lie_where_they_are_told(tmp_path: Path) -> None:
    """Below the home, in a folder that is made for them and is private."""
    with TextWorker(parsing=Parsing(), chunking=Chunking(), model=None, below=tmp_path / "home" / "run") as worker:
        worker.start()
        (folder,) = (tmp_path / "home" / "run").iterdir()
        assert folder.name.startswith(PREFIX)
    assert (tmp_path / "home" / "run").stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_folder_of_a_killed_owner_is_removed_by_a_later_one(tmp_path: Path) -> None:
    """That of a living one stays; of thousand folders in one another as well."""
    own = (
        "import sys, time; from pathlib import Path; from rag_assets.processes import private_folder\n"
        f"with private_folder.workplace({PREFIX!r}, below=Path(sys.argv[1])) as folder:"
        " print(folder, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", own, str(tmp_path)]
    owners = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    killed, living = [Path(owner.stdout.readline().strip()) for owner in owners if owner.stdout]
    owners[0].kill()
    owners[0].wait()
    try:
        mine = opened(tmp_path)
        assert [folder.exists() for folder in (killed, living, mine)] == [False, True, False]
    finally:
        for owner in owners:
            with owner:
                owner.kill()


def test_folder_that_cannot_be_removed_harms_nobody(tmp_path: Path) -> None:
    """Folders in folders, deeper than Python goes."""
    with private_folder.workplace(PREFIX, below=tmp_path) as folder:
        handle = os.open(folder, os.O_RDONLY)
        for _ in range(1_500):
            os.mkdir("a", dir_fd=handle)
            inner = os.open("a", os.O_RDONLY, dir_fd=handle)
            os.close(handle)
            handle = inner
        os.close(handle)
    subprocess.run(["rm", "-rf", str(tmp_path)], check=False)


def test_default_place_is_the_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And private there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_folder.workplace(PREFIX) as folder:
        assert folder.parent == tmp_path
        assert private_folder.is_ours(folder)
    assert not folder.exists()

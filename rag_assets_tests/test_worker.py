"""The text worker: one warm child process, killed when late or too large, replaced without a document lost."""

import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from rag_assets.errors import DocumentError, EmbeddingError, ServiceError, SettingsError, UnembeddableText
from rag_assets.model import ParsedText
from rag_assets.settings import Chunking, Parsing
from rag_assets.text.chunking import chunker, tokens
from rag_assets.text.sandbox import guard, seccomp, worker
from rag_assets.text.sandbox.guard import Guarded
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets_tests import misbehaving
from rag_assets_tests.cutting import WordModel
from rag_assets_tests.leaping import Leaping

MIB = 2**20
LIMITS = Parsing(max_seconds=30, max_memory_mb=384)
linux = pytest.mark.skipif(sys.platform != "linux", reason="enforced by the Linux kernel")


def start(*, parsing: Parsing = LIMITS, **given: object) -> TextWorker:
    options: dict[str, object] = {"chunking": Chunking(), "model": None, "asked": WordModel()} | given
    return TextWorker(parsing=parsing, **options)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where documents are, and the children's pids; children have a parser that misbehaves on request."""
    folder = tmp_path.resolve()
    monkeypatch.setattr(worker, "command", lambda: misbehaving.command(workplace=folder))
    return folder


@pytest.fixture(scope="module")
def shared() -> Iterator[TextWorker]:
    """One worker for all documents that are to leave no trace in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "command", misbehaving.command)
        with start() as reader:
            yield reader


def pids(folder: Path) -> list[int]:
    return [int(file.stem) for file in sorted(folder.glob("*.pid"), key=lambda file: file.stat().st_mtime_ns)]


def document(folder: Path, text: str) -> Path:
    file = folder / f"{len(list(folder.iterdir()))}.txt"
    file.write_text(text)
    return file


def error_of(reader: TextWorker, file: Path) -> DocumentError:
    with pytest.raises(DocumentError) as raised:
        reader.read(file, name="table/name.txt")
    return raised.value


@pytest.mark.parametrize("strategy", ["recursive", "fixed"])
def test_read_gives_what_parsing_and_cutting_give(folder: Path, strategy: str) -> None:
    """The pipe changes nothing: text, offsets, hashes and counts are those of the same calls in one process."""
    text = "Ünï🎉 words and more. " * 400 + "\n\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 300
    settings = Chunking(strategy=strategy, size=64, overlap=8)  # type: ignore[arg-type]
    with start(chunking=settings) as reader:
        read = reader.read(document(folder, text), name="a.md")
    parsed = ParsedText(text=text, media_type="text/plain", parser="test", structure="plain")
    tokenizer = tokens.RemoteTokenizer("x", str.split, max_tokens=62)
    assert read.parsed == parsed
    assert read.chunks == chunker.chunk(parsed, tokenizer=tokenizer, settings=settings)
    assert len(read.chunks) > 10
    assert read.facts.size == len(text.encode())


def test_parse_reads_without_cutting(shared: TextWorker, tmp_path: Path) -> None:
    """And needs no tokenizer."""
    assert shared.parse(document(tmp_path, "text"), name="a").chunks == ()
    with start(asked=None) as reader:
        assert reader.parse(document(tmp_path, "text"), name="a.txt").parsed.text


def test_reading_without_a_tokenizer_names_the_setting(folder: Path) -> None:
    """It is nobody's document that is wrong."""
    with start(asked=None) as reader, pytest.raises(SettingsError, match="tokenizer"):
        reader.read(document(folder, "text"), name="a.txt")


@pytest.mark.parametrize(
    ("code", "is_crash", "name"),
    [(3, False, "exit status 3"), (-11, True, "signal SIGSEGV"), (0xC0000005, True, "exception 0xc0000005")],
)
def test_crash_is_known_on_each_system(code: int, is_crash: bool, name: str) -> None:
    """Near the limit of memory it is one for want of memory; Windows has a number of its own instead of a signal."""
    assert (guard._is_crash(code), guard._name_of(code)) == (is_crash, name)


@pytest.mark.parametrize(
    ("behaviour", "kind", "message"),
    [
        ("segfault", "crashed", "SIGSEGV"),
        ("abort", "crashed", "SIGABRT"),
        ("exit", "crashed", "exit status 3"),
        ("hang", "timed_out", "3 s"),
        ("hang in c", "timed_out", "3 s"),
        ("memory", "too_large", "384 MiB"),
        ("memory at once", "too_large", "384 MiB"),
        ("memory in c", "too_large", "384 MiB"),
        ("recursion", "too_large", "deep"),
        ("noise", "crashed", "cannot be used"),
        ("bug", "crashed", "KeyError"),
    ],
)
@linux
def test_document_that_harms_its_reader_fails_alone(folder: Path, behaviour: str, kind: str, message: str) -> None:
    """With the right kind, naming document and limit, within the limits; documents before and after are read."""
    limits = LIMITS.model_copy(update={"max_seconds": 3.0 if "hang" in behaviour else 60.0})
    with start(parsing=limits) as reader:
        reader.read(document(folder, "before"), name="before")
        error = error_of(reader, document(folder, f"!{behaviour}"))
        after = reader.read(document(folder, "after"), name="after")
    assert error.kind == kind
    assert message in error.message
    assert "table/name.txt" in error.message
    assert after.parsed.text == "after"
    assert 0 < reader.peak_memory <= LIMITS.max_memory_mb * MIB


@linux
@pytest.mark.parametrize(("behaviour", "again"), [("work", False), ("hang", True)])
def test_document_that_was_read_all_the_time_is_not_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str, again: bool
) -> None:
    """The same bytes would take as long; one that waited for something may be lucky."""
    monkeypatch.setattr(guard, "WORKED_SHARE", 0.02)  # the machine of the tests may be busy
    with start(parsing=LIMITS.model_copy(update={"max_seconds": 3.0})) as reader:
        reader.read(document(folder, "before"), name="before")
        error = error_of(reader, document(folder, f"!{behaviour}"))
    assert (error.kind, error.retryable) == ("timed_out", again)
    assert ("not tried again" in error.message) is not again


@linux
def test_document_has_its_time_left_when_all_stood_still(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped and continued, or asleep, for an hour: that is not the document's time."""
    with start() as reader:
        reader.start()
        clock = Leaping(after=3)
        monkeypatch.setattr(time, "monotonic", clock)
        assert reader.read(document(folder, "!tarry"), name="a").parsed.text == "!tarry"
    assert clock.leapt


def test_memory_that_no_rule_of_the_kernel_covers_is_seen(folder: Path) -> None:
    """A look at the process, many times a second, finds what it shares with others as well."""
    with start() as reader:
        error = error_of(reader, document(folder, "!memory shared"))
    assert error.kind == "too_large"
    assert "384 MiB" in error.message


@pytest.mark.parametrize("behaviour", ["socket", "connect", "spawn", "fork"])
def test_child_is_refused_network_and_processes(shared: TextWorker, tmp_path: Path, behaviour: str) -> None:
    """What a document makes a library do goes nowhere."""
    assert error_of(shared, document(tmp_path, f"!{behaviour}")).message == "refused"


@linux
@pytest.mark.skipif(platform.machine() not in seccomp.MACHINES, reason="no filter for this machine")
def test_machine_code_is_refused_the_same(shared: TextWorker, tmp_path: Path) -> None:
    """By the kernel; threads are allowed."""
    done = json.loads(error_of(shared, document(tmp_path, "!machine code")).message)
    assert done == {"socket": False, "fork": False, "signal": False, "thread": True}


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of its system calls")
def test_no_way_out_of_the_child_is_open(shared: TextWorker, tmp_path: Path) -> None:
    """To other processes, files or networks, whoever we are; and what this kernel cannot refuse is told."""
    shared.start()
    if any("seccomp" in gap for gap in shared.gaps):
        pytest.skip("no filter of system calls here: what is tried would be done")
    opened = json.loads(error_of(shared, document(tmp_path.resolve(), "!escape")).message)
    if not shared.gaps:
        assert opened == []
    else:
        assert set(opened) <= {name for name in misbehaving.WAYS_OUT if name.startswith("read") or name == "be root"}


@linux
def test_kernel_that_can_refuse_little_is_told_and_worked_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In old containers, documents are read, and nobody is told that they are read in a sandbox."""
    monkeypatch.setattr(worker, "command", lambda: misbehaving.command(kernel="old"))
    with start() as reader:
        assert reader.read(document(tmp_path.resolve(), "text"), name="a").parsed.text == "text"
        said = " ".join(reader.gaps)
    assert all(word in said for word in ("Landlock", "seccomp", "namespaces"))
    assert ("root" in said) is (os.geteuid() == 0)


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of its system calls")
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="root alone can be less than root")
def test_root_of_a_container_is_given_up_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change its account there, and not make namespaces."""
    fewer = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    monkeypatch.setattr(worker, "command", lambda: [*fewer, *misbehaving.command()])
    with start() as reader:
        assert json.loads(error_of(reader, document(tmp_path.resolve(), "!escape")).message) == []
        assert not any("root" in gap for gap in reader.gaps)


@linux
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="root alone can be less than root")
def test_documents_are_read_when_root_may_not_read_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in most containers: where Python lies in a folder of root's, another account could not import its readers."""
    fewer = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    monkeypatch.setattr(worker, "command", lambda command=worker.command: [*fewer, *command()])
    (page := tmp_path.resolve() / "a.html").write_text("<h1>Head</h1><p>Text of the page</p>")
    with start() as reader:
        assert "Text of the page" in reader.read(page, name="a.html").parsed.text
        opened = any("root" in gap for gap in reader.gaps)
    assert opened is not all(folder.stat().st_mode & 1 for folder in Path(sys.base_prefix).resolve().parents)


@linux
def test_memory_and_environment_of_the_parent_are_its_own(shared: TextWorker) -> None:
    """Also to processes of the same account that no rule holds."""
    shared.start()
    libc = ctypes.CDLL(None)
    assert libc.prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE


def test_environment_of_the_child_holds_no_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are not known to be harmless are not passed on."""
    for name in ("DATABASE_URL", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "RAG_ASSETS_HOME"):
        monkeypatch.setenv(name, "the-secret")
    with start() as reader:
        message = error_of(reader, document(folder, "!environment")).message
    assert "the-secret" not in message
    assert "PATH" in message


def test_output_of_libraries_is_not_taken_for_an_answer(shared: TextWorker, tmp_path: Path) -> None:
    """Whatever they print, from Python or C."""
    assert shared.read(document(tmp_path, "!print"), name="a").parsed.text == "!print"


def test_child_stays_warm_from_document_to_document(folder: Path) -> None:
    """One process reads them all, errors included."""
    with start() as reader:
        for _ in range(20):
            reader.read(document(folder, "text"), name="a")
        assert error_of(reader, folder / "missing").kind == "not_found"
        error_of(reader, document(folder, "!bug"))
        assert len(pids(folder)) == 1


def test_child_is_replaced_after_its_documents(folder: Path) -> None:
    """The next one starts meanwhile; no document waits, none is lost."""
    file = document(folder, "text")
    with start(parsing=LIMITS.model_copy(update={"documents_per_worker": 3})) as reader:
        deadline = time.monotonic() + 120
        while len(pids(folder)) < 3 and time.monotonic() < deadline:
            assert reader.read(file, name="a").parsed.text == "text"
    assert len(pids(folder)) >= 3
    assert not any(psutil.pid_exists(pid) for pid in pids(folder))


@linux
def test_child_killed_between_documents_is_replaced(folder: Path) -> None:
    """As by the system when memory is short."""
    file = document(folder, "text")
    with start() as reader:
        reader.read(file, name="a")
        os.kill(pids(folder)[0], signal.SIGKILL)
        psutil.Process(pids(folder)[0]).wait() if psutil.pid_exists(pids(folder)[0]) else None
        assert reader.read(file, name="a").parsed.text == "text"


def test_closed_worker_leaves_no_process_and_can_be_used_again(folder: Path) -> None:
    """Closing twice is closing."""
    file = document(folder, "text")
    reader = start()
    reader.read(file, name="a")
    reader.close()
    reader.close()
    assert not psutil.pid_exists(pids(folder)[0])
    with reader:
        assert reader.read(file, name="a").parsed.text == "text"


@linux
def test_child_is_closed_while_its_watcher_goes_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a watcher that was told of the end just before it forgot that there was something to watch."""
    child = Guarded([sys.executable, "-c", "input()"], memory=256 * MIB, frame_limit=1)
    going_to_rest, rest = threading.Event(), child._busy.clear

    def slowly() -> None:
        going_to_rest.set()
        child._closed.wait(0.2)
        time.sleep(0.1)
        rest()

    monkeypatch.setattr(child._busy, "clear", slowly)
    with child.limited(30, doing="nothing"):
        pass
    assert going_to_rest.wait(60)
    closing = threading.Thread(target=child.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()


@pytest.mark.parametrize("behaviour", ["", "!hang in c"])
def test_child_ends_with_its_parent(folder: Path, behaviour: str) -> None:
    """Killed as it is, idle or busy in machine code."""
    file = document(folder, behaviour or "text")
    code = (
        "import sys; from pathlib import Path; from rag_assets.settings import *;"
        "from rag_assets.text.sandbox import worker; from rag_assets_tests import misbehaving;"
        "from rag_assets_tests.cutting import WordModel;"
        f"worker.command = lambda: misbehaving.command(workplace=Path({str(folder)!r}));"
        "w = worker.TextWorker(parsing=Parsing(), chunking=Chunking(), model=None, asked=WordModel());"
        f"w.start(); print('up', flush=True); w.read(Path({str(file)!r}), name='a'); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"up\n"
        time.sleep(0.3)
        child = psutil.Process(pids(folder)[0])
        parent.kill()
    child.wait(timeout=120)


def test_worker_started_by_a_thread_that_ended_still_works(folder: Path) -> None:
    """Linux ends a child with the thread that started it: that must not be the caller's."""
    from threading import Thread

    with start() as reader:
        thread = Thread(target=reader.start)
        thread.start()
        thread.join()
        reader.read(document(folder, "text"), name="a")
        assert len(pids(folder)) == 1


def test_child_that_does_not_start_is_a_service_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs no document an attempt, and says what the interpreter said."""
    broken = [sys.executable, "-I", "-c", "raise ImportError('no such wheel')"]
    monkeypatch.setattr(worker, "command", lambda: broken)
    with start() as reader, pytest.raises(ServiceError, match="no such wheel"):
        reader.start()


def test_semantic_strategy_asks_for_vectors(folder: Path) -> None:
    """Through the pipe: the child has neither a server's address nor its key."""
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[1.0, float("cat" in text)] for text in texts]

    with start(chunking=Chunking(strategy="semantic", size=64, overlap=0), asked=WordModel(embed=embed)) as reader:
        read = reader.read(document(folder, "A cat sat here. " * 100 + "Rain fell. " * 100), name="a")
    assert asked
    assert len(read.chunks) > 2


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (EmbeddingError("away"), EmbeddingError),
        (UnembeddableText(0, kind="too_large", message="long"), DocumentError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_error_of_a_question_reaches_the_caller(
    folder: Path, raised: BaseException, expected: type[BaseException]
) -> None:
    """And the next document is read."""
    answers = [raised]

    def tokenize(text: str) -> list[str]:
        if answers:
            raise answers.pop()
        return text.split()

    with start(asked=WordModel(tokenize=tokenize)) as reader:
        with pytest.raises(expected):
            reader.read(document(folder, "text"), name="a")
        assert reader.read(document(folder, "text"), name="a").chunks


def test_time_of_a_question_is_not_the_documents(folder: Path) -> None:
    """A server that starts, or a large batch, makes no document late."""

    questions = iter([3.2])

    def tokenize(text: str) -> list[str]:
        time.sleep(next(questions, 0.0))
        return text.split()

    limits = LIMITS.model_copy(update={"max_seconds": 3.0})
    with start(parsing=limits, asked=WordModel(tokenize=tokenize)) as reader:
        reader.start()
        assert reader.read(document(folder, "some text"), name="a").chunks


def test_fingerprint_changes_with_what_changes_chunks(folder: Path) -> None:
    """And with nothing else, such as limits."""

    def fingerprint(**given: object) -> str:
        with start(**given) as reader:  # type: ignore[arg-type]
            assert reader.read(document(folder, "text"), name="a").fingerprint == reader.fingerprint
            return reader.fingerprint

    plain = fingerprint()
    assert fingerprint(parsing=LIMITS.model_copy(update={"max_seconds": 9.0})) == plain
    assert fingerprint(chunking=Chunking(size=100)) != plain
    assert fingerprint(asked=WordModel(tokenize=list)) != plain


def test_reading_ends_when_it_is_interrupted(folder: Path) -> None:
    """From another thread, long before its time is over; the next document finds another child."""
    with start() as reader:
        reader.start()
        reader.interrupt()  # it is idle: nothing happens
        timer = threading.Timer(0.3, reader.interrupt)
        timer.start()
        error = error_of(reader, document(folder, "!hang"))
        timer.join()
        assert (error.kind, "interrupted" in error.message) == ("crashed", True)
        assert reader.read(document(folder, "text"), name="a.txt").parsed.text == "text"


def test_what_a_child_said_is_quoted_when_it_ended_before_it_was_asked() -> None:
    """A child that fails at once may be gone before its parent comes to wait for it: the reason is not lost."""
    child = Guarded([sys.executable, "-I", "-c", "raise ImportError('no such wheel')"], memory=256 * MIB, frame_limit=1)
    child._process.wait(120)
    with pytest.raises(DocumentError, match="no such wheel"), child.limited(30, doing="starting"):
        child.receive()
    child.close()


@linux
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_joined_at_once() -> None:
    """None is kept apart from its neighbours, but for the few of a size that a thread has at hand."""
    code = """
import ctypes, sys
from rag_assets.text.sandbox import child
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.mallinfo2.restype = type("Facts", (ctypes.Structure,), {"_fields_": [("numbers", ctypes.c_size_t * 10)]})
if "joined" in sys.argv:
    child._join_freed_memory()
blocks = [libc.malloc(48) for _ in range(1000)]  # kept: a large block that is freed joins all
for block in blocks:
    libc.free(block)
print(libc.mallinfo2().numbers[6])  # bytes in blocks that are free and kept apart
"""
    kept = [
        subprocess.run([sys.executable, "-c", code, how], capture_output=True, check=True) for how in ("", "joined")
    ]
    before, after = (int(each.stdout) for each in kept)
    assert before > 0 == after

"""Calls that a file system does not answer are given up, and others go on."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.errors import DocumentError
from rag_assets.settings import Chunking, Parsing
from rag_assets.text.lookups import Lookups
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets_tests import silent
from rag_assets_tests.application import Application
from rag_assets_tests.leaping import Leaping
from rag_assets_tests.patience import until


@pytest.fixture
def silence(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that never answers."""
    (folder := tmp_path.resolve() / "silence").mkdir()
    try:
        with silent.mounted(folder):
            yield folder
    except OSError as exc:
        pytest.skip(f"no file system of ours can be mounted here: {exc}")


def test_call_that_never_returns_is_given_up_and_the_next_one_made() -> None:
    """With the limit and the name in the message; no thread is left when it returns after all."""
    before = set(threading.enumerate())
    lookups, answer = Lookups(1.0), threading.Event()
    with pytest.raises(DocumentError, match=r"1 s .*a/b\.txt") as raised:
        lookups.call(answer.wait, name="a/b.txt")
    assert (raised.value.kind, raised.value.retryable) == ("timed_out", True)
    assert lookups.call(lambda: 1, name="c") == 1
    with pytest.raises(ZeroDivisionError):
        lookups.call(lambda: 1 // 0, name="d")
    answer.set()
    lookups.close()
    until(lambda: not set(threading.enumerate()) - before)


def test_of_calls_together_the_one_that_hangs_is_given_up() -> None:
    """Those before and after it are answered in their order, each with what it returns or raises."""
    lookups, answer = Lookups(1.0), threading.Event()
    calls: list[Any] = [lambda: 0, answer.wait, lambda: 1 // 0, lambda: 3]
    first, hanging, failing, last = lookups.each([(str(index), call) for index, call in enumerate(calls)])
    assert (first(), last()) == (0, 3)
    with pytest.raises(DocumentError, match=r"1 s .*: 1$"):
        hanging()
    with pytest.raises(ZeroDivisionError):
        failing()
    answer.set()
    lookups.close()


def test_answers_do_not_wait_for_calls_that_take_long() -> None:
    """Nor are calls made whose answers nobody takes any more."""
    lookups, answer, made = Lookups(60), threading.Event(), threading.Event()
    calls: list[tuple[str, Callable[[], Any]]] = [("a", lambda: 1), ("b", answer.wait), ("c", made.set)]
    answers = lookups.each(calls)
    assert next(answers)() == 1
    answers.close()
    answer.set()
    assert lookups.call(lambda: 2, name="d") == 2
    assert not made.is_set()
    lookups.close()


def test_call_is_waited_for_when_all_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped and continued, or asleep: the file system gets the rest of its time."""
    lookups, answer = Lookups(60), threading.Event()
    clock = Leaping(after=1, on_leap=answer.set)
    monkeypatch.setattr(time, "monotonic", clock)
    assert lookups.call(answer.wait, name="a")
    assert clock.leapt
    lookups.close()


def test_file_that_cannot_be_opened_for_want_of_an_answer_times_out(silence: Path, tmp_path: Path) -> None:
    """In the text worker; the next document is read."""
    (tmp_path / "a.txt").write_text("text")
    with TextWorker(parsing=Parsing(max_seconds=2), chunking=Chunking(), model=None) as reader:
        with pytest.raises(DocumentError) as raised:
            reader.parse(silence / "x.txt", name="x.txt")
        assert raised.value.kind == "timed_out"
        assert reader.parse(tmp_path.resolve() / "a.txt", name="a.txt").parsed.text == "text"


def test_documents_on_a_file_system_that_does_not_answer_fail_alone(application: Application) -> None:
    """Each after its own time; those on other file systems are stored, and the run ends."""
    application.settings = application.settings.model_copy(
        update={"parsing": application.settings.parsing.model_copy(update={"max_seconds": 3.0})}
    )
    silence = application.files / "silence"
    silence.mkdir()
    hanging, other = application.add("silence/x.txt", "cats"), application.add("a.txt", "cats")
    try:
        with silent.mounted(silence):
            outcomes = application.run()
    except OSError as exc:
        pytest.skip(f"no file system of ours can be mounted here: {exc}")
    assert (outcomes[hanging].error_kind, outcomes[hanging].retry) == ("timed_out", True)
    assert outcomes[other].status == "completed"


def test_document_that_is_read_waits_for_no_file_that_is_looked_at_after_it(application: Application) -> None:
    """A stored one on a file system that does not answer any more comes after one that is read."""
    application.settings = application.settings.model_copy(
        update={"parsing": application.settings.parsing.model_copy(update={"max_seconds": 3.0})}
    )
    other, silence = application.add("a.txt", "cats"), application.files / "silence"
    silence.mkdir()
    hanging = application.add("silence/x.txt", "cats")
    application.run()
    for document in (other, hanging):
        application.change(document)
    (application.files / "a.txt").write_text("dogs")
    try:
        with silent.mounted(silence):
            outcomes = application.run()
    except OSError as exc:
        pytest.skip(f"no file system of ours can be mounted here: {exc}")
    assert (outcomes[other].status, outcomes[hanging].error_kind) == ("completed", "timed_out")

"""A process that has imported everything, waits for one run's id on its stdin, executes that run and ends."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from queue import SimpleQueue

STDIN_DESCRIPTOR = 0  # read without Python's buffer, whose lock a waiting thread would hold when the process ends
RUN_ID_BYTES = 100
LOOK_SECONDS = 0.05  # between two looks at stdin, on Windows
PATIENCE_SECONDS = 1.0  # `rag-assets up`, when it stops, has asked the run itself; a second time would disturb its end


def main() -> int:
    """Execute one run; 0 also when the run failed: that is in its events."""
    word: SimpleQueue[str] = SimpleQueue()
    is_ready = threading.Event()
    listener = threading.Thread(target=_listen, args=(word, is_ready), daemon=True)
    listener.start()

    from dagster import DagsterInstance

    from rag_assets.definitions import rag
    from rag_assets.defs import dagster_internals
    from rag_assets.processes import interrupts

    with DagsterInstance.get() as instance, rag.prewarmed():
        instance.get_runs_count()  # opens what the storage opens at its first query
        is_ready.set()
        run_id = word.get()
        if not run_id:
            return 0
        dagster_internals.execute_run(run_id, instance)
        interrupts.ignore_interrupts()  # what is closed now is closed once
    return 0


def _listen(word: SimpleQueue[str], is_ready: threading.Event) -> None:
    """Hear which run it is, and when whoever launched it is gone: a run then releases its documents.

    Who is not even ready ends at once: its imports take long where many programs start.
    """
    run_id = _next_word().decode().strip()
    if not run_id and not is_ready.is_set():
        os._exit(0)
    word.put(run_id)
    if not run_id:
        return
    is_ready.wait()
    _next_word()
    time.sleep(PATIENCE_SECONDS)
    signal.raise_signal(signal.SIGTERM) if os.name == "nt" else os.kill(os.getpid(), signal.SIGTERM)


def _next_word() -> bytes:
    """What comes on stdin next; nothing at its end.

    On Windows, whoever looks at stdin waits for the end of a read, as libraries do when they are loaded, and a run
    would stand still: there, nothing is read before it is there.
    """
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        stdin = msvcrt.get_osfhandle(STDIN_DESCRIPTOR)
        with suppress(OSError):  # its end, or it is no pipe
            while not _winapi.PeekNamedPipe(stdin, 0)[0]:
                time.sleep(LOOK_SECONDS)
    return os.read(STDIN_DESCRIPTOR, RUN_ID_BYTES)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # to free each object costs a second of a core, and many of a busy machine, while `up` waits

"""A process that has imported everything, waits for one run's id on its stdin, executes that run and ends."""

import os
import signal
import sys
import threading
import time

STDIN = 0  # read without Python's buffer, whose lock a waiting thread would hold when the process ends
RUN_ID_BYTES = 100
PATIENCE_SECONDS = 1.0  # `rag-assets up`, when it stops, has asked the run itself; a second time would disturb its end


def main() -> int:
    """Execute one run; 0 also when the run failed: that is in its events."""
    from dagster import DagsterInstance
    from dagster._cli.api import _execute_run_command_body
    from dagster._utils.interrupts import capture_interrupts

    from rag_assets.definitions import rag

    with DagsterInstance.get() as instance, rag.warmed():
        instance.get_runs_count()  # opens what the storage opens at its first query
        run_id = os.read(STDIN, RUN_ID_BYTES).decode().strip()
        if not run_id:
            return 0
        threading.Thread(target=_end_with_parent, daemon=True).start()
        with capture_interrupts():
            _execute_run_command_body(run_id, instance, lambda _event: None, set_exit_code_on_failure=False)
    return 0


def _end_with_parent() -> None:
    """Interrupt the run when whoever launched it is gone: it then releases its documents."""
    os.read(STDIN, 1)
    time.sleep(PATIENCE_SECONDS)
    signal.raise_signal(signal.SIGTERM) if os.name == "nt" else os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())

"""Every kind of fault, by its name."""

from collections.abc import Callable

from rag_assets_tests.faults import (
    doubling,
    filing,
    filling,
    interrupting,
    killing,
    mixing,
    naming,
    serving,
    stopping,
    uprooting,
    writing,
)
from rag_assets_tests.faults.arena import Result

KINDS: dict[str, Callable[..., Result]] = {
    "kill_run": killing.kill_run,
    "kill_run_with_server": killing.kill_run_with_server,
    "kill_llama_server": killing.kill_llama_server,
    "kill_daemon": uprooting.kill_daemon,
    "kill_tree": uprooting.kill_tree,
    "kill_anything": uprooting.kill_anything,
    "two_ups": uprooting.two_ups,
    "stop_ingest": stopping.stop_ingest,
    "stop_up": stopping.stop_up,
    "terminate_run": stopping.terminate_run,
    "postgres_immediate": interrupting.postgres_immediate,
    "listener_terminated": interrupting.listener_terminated,
    "half_open": interrupting.half_open,
    "writers": writing.writers,
    "writers_without_notify": writing.writers_without_notify,
    "changed_back": writing.changed_back,
    "edited_amid_backfill": writing.edited_amid_backfill,
    "all_at_once": mixing.all_at_once,
    "hostile_ids": naming.hostile_ids,
    "doubled_and_missing_ids": naming.doubled_and_missing_ids,
    "delivered_twice": doubling.delivered_twice,
    "two_daemons": doubling.two_daemons,
    "two_ticks": doubling.two_ticks,
    "llama_answers": serving.llama_answers,
    "port_taken": serving.port_taken,
    "memory_short": serving.memory_short,
    "disk_full_database": filling.disk_full_database,
    "disk_full_home": filling.disk_full_home,
    "disk_full_temporary": filling.disk_full_temporary,
    "file_replaced": filing.file_replaced,
    "file_truncated": filing.file_truncated,
    "file_deleted": filing.file_deleted,
    "file_locked": filing.file_locked,
}

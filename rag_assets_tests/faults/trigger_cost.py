"""What our trigger costs the application: `python -m rag_assets_tests.faults.trigger_cost [--json]`, with pgbench.

Sixteen clients INSERT, then UPDATE one row per transaction; then one client does the same with BULK_ROWS rows in each
statement. On a server with the settings of the embedded one, in rounds that alternate between the table without
triggers, with ours, and with one for each row that inserts the id into a queue table with its index, as pgai's did. A
benchmark: no figure of it is a failure.
"""

import argparse
import importlib.util
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2

from rag_assets.bundled.data_directory import MAJOR_VERSION, PACKAGE
from rag_assets_tests import rows
from rag_assets_tests.faults import arena

CLIENTS, THREADS = 16, 2
DOCUMENTS = 20_000  # rows that are updated, each as likely as the other
BULK_ROWS = 10_000  # of one statement: an import, or a correction of all rows
TABLE = '"TblDocumentFiles"'


@dataclass(frozen=True, kw_only=True)
class Load:
    """What clients do over and over, each time in a transaction of its own."""

    script: str
    clients: int = CLIENTS
    rows: int = 1  # that each statement changes


LOADS = {
    "insert": Load(
        script=f"insert into {TABLE} (file_path, version) values ('reports/2024/quarter-3/summary.pdf', 0);\n"
    ),
    "update": Load(
        script=f"\\set id random(1, {DOCUMENTS})\nupdate {TABLE} set version = version + 1 where id = :id;\n"
    ),
    "insert_bulk": Load(
        script=f"insert into {TABLE} (file_path, version) "
        f"select 'reports/2024/quarter-3/summary.pdf', 0 from generate_series(1, {BULK_ROWS});\n",
        clients=1,  # several would wait for each other's rows
        rows=BULK_ROWS,
    ),
    "update_bulk": Load(
        script=f"update {TABLE} set version = version + 1 where id <= {BULK_ROWS};\n", clients=1, rows=BULK_ROWS
    ),
}
FILL = f"insert into {TABLE} (file_path, version) select 'reports/' || n, 0 from generate_series(1, {DOCUMENTS}) as n"
TRIGGERS = ("rag_document_changed", "rag_documents_truncated")
QUEUE = (
    "create table test_queue (id bigint not null, queued_at timestamptz not null default now())",
    "create index on test_queue (id)",
    """
    create function fill_queue() returns trigger language plpgsql security definer
    set search_path = pg_catalog, pg_temp as $$
    begin
        insert into public.test_queue (id) values (new.id);
        return new;
    end
    $$""",
    f"create trigger queue_filled after insert or update on {TABLE} for each row execute function fill_queue()",
)
WAYS = {"without": (), "with": TRIGGERS, "queue": ("queue_filled",)}
SETTINGS = ("fsync", "synchronous_commit", "wal_level", "wal_sync_method", "wal_compression", "shared_buffers")


def main() -> int:
    """0, whatever was measured."""
    arguments = _parser().parse_args()
    with arena.server() as url, arena.folder() as place:
        for setting in arguments.set:
            name, _, value = setting.partition("=")
            _alone(url, f"alter system set {name} = '{value}'")
        _alone(url, "select pg_reload_conf()")
        arena.prepare(url)
        for statement in QUEUE:
            rows.execute(url, statement)
        for load in LOADS:
            print(_shown(_measure(url, place, load, arguments=arguments), as_json=arguments.json), flush=True)
    return 0


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round of a load took, per transaction."""

    tps: float
    cpu_us: float  # of server and pgbench together: what counts where the processor is the limit
    wal_bytes: float  # what counts where the disk is


def _measure(url: str, place: Path, load: str, *, arguments: argparse.Namespace) -> dict[str, object]:
    """Transactions per second, medians of rounds that alternate."""
    found: dict[str, list[Round]] = {way: [] for way in WAYS}
    for turn in range(arguments.rounds):
        for way in list(WAYS)[:: 1 if turn % 2 == 0 else -1]:
            _prepare(url, load, way=way)
            found[way].append(_round(url, place, load, seconds=arguments.seconds))
    medians = {
        name: {way: statistics.median(getattr(each, name) for each in rounds) for way, rounds in found.items()}
        for name in ("tps", "cpu_us", "wal_bytes")
    }
    return {
        "load": load,
        "tps": {way: round(value, 1) for way, value in medians["tps"].items()},
        "ratio": _ratio(medians["tps"]["with"], medians["tps"]["without"]),
        "ratio_queue": _ratio(medians["tps"]["queue"], medians["tps"]["without"]),
        "with_to_queue": _ratio(medians["tps"]["with"], medians["tps"]["queue"]),
        "cpu_ratio": _ratio(medians["cpu_us"]["without"], medians["cpu_us"]["with"]),
        "cpu_ratio_queue": _ratio(medians["cpu_us"]["without"], medians["cpu_us"]["queue"]),
        "cpu_us": {way: round(value, 1) for way, value in medians["cpu_us"].items()},
        "wal_bytes": {way: round(value) for way, value in medians["wal_bytes"].items()},
        "clients": LOADS[load].clients,
        "rows_per_statement": LOADS[load].rows,
        "rounds": {way: [round(each.tps, 1) for each in rounds] for way, rounds in found.items()},
        "settings": {name: rows.execute(url, f"show {name}")[0][0] for name in SETTINGS},
    }


def _ratio(part: float, whole: float) -> float:
    return round(part / whole, 3)


def _round(url: str, place: Path, load: str, *, seconds: int) -> Round:
    [(wal,)] = rows.execute(url, "select pg_current_wal_insert_lsn()")
    cpu = _cpu_seconds(url)
    tps = _pgbench(url, place, load, seconds=seconds)
    time.sleep(0.3)  # until the server has counted its children's time
    used = _cpu_seconds(url) - cpu
    [(written,)] = rows.execute(url, f"select (pg_current_wal_insert_lsn() - '{wal}')::float8")
    transactions = max(tps * seconds, 1)  # a statement of many rows may take longer than the round
    return Round(tps=tps, cpu_us=used / transactions * 1e6, wal_bytes=written / transactions)


def _cpu_seconds(url: str) -> float:
    """Of the server's processes, those that have ended too, and of our own children that have ended."""
    with closing(psycopg2.connect(url)) as connection:
        server = psutil.Process(connection.info.backend_pid).parent()
        assert server
        ended = server.cpu_times()
        alive = [_times(process) for process in server.children(recursive=True)]
    ours = psutil.Process().cpu_times()
    client = ours.children_user + ours.children_system
    return client + sum(alive) + ended.user + ended.system + ended.children_user + ended.children_system


def _times(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _prepare(url: str, load: str, *, way: str) -> None:
    """The same table each time, with nothing pending; the triggers of one way, as `migrate` enables them."""
    for name in (name for names in WAYS.values() for name in names):
        rows.execute(url, f"alter table {TABLE} disable trigger {name}")
    rows.execute(url, f"truncate {TABLE}, rag_changes, rag_outbox, test_queue restart identity")
    if load.startswith("update"):
        rows.execute(url, FILL)
    for name in WAYS[way]:
        rows.execute(url, f"alter table {TABLE} enable always trigger {name}")
    _alone(url, "vacuum analyze")
    _alone(url, "checkpoint")


def _alone(url: str, statement: str) -> None:
    """What cannot run in a transaction."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)


def _pgbench(url: str, place: Path, load: str, *, seconds: int) -> float:
    script = place / f"{load}.sql"
    script.write_text(LOADS[load].script)
    clients = LOADS[load].clients
    threads = min(clients, THREADS)
    command = [_program(), "-n", "-f", str(script), "-c", str(clients), "-j", str(threads), "-T", str(seconds), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    match = re.search(r"tps = ([\d.]+) \(without", done.stdout)
    assert match, done.stdout + done.stderr
    return float(match[1])


def _program() -> str:
    """pgbench of the embedded PostgreSQL, or one on PATH."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / f"pginstall{MAJOR_VERSION}" / "bin" / "pgbench"
        if program.exists():
            return str(program)
    return shutil.which("pgbench") or sys.exit("There is no pgbench, neither embedded nor on PATH.")


def _shown(line: dict[str, object], *, as_json: bool) -> str:
    return json.dumps(line) if as_json else "  ".join(f"{name} {value}" for name, value in line.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rag_assets_tests.faults.trigger_cost", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per load")
    parser.add_argument("--rounds", type=int, default=5, help="of each way, alternating")
    parser.add_argument("--seconds", type=int, default=8, help="of one round")
    parser.add_argument("--set", action="append", default=[], help="a server setting, as in fsync=off")
    return parser


if __name__ == "__main__":
    sys.exit(main())

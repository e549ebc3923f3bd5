"""What our trigger costs the application: `python -m rag_assets_tests.faults.trigger_cost [--json]`, with pgbench.

Sixteen clients INSERT, then UPDATE one row per transaction, on a server with the settings of the embedded one, in
rounds that alternate between the table without and with our triggers. A benchmark: no figure of it is a failure.
"""

import argparse
import importlib.util
import json
import re
import shutil
import statistics
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2

from rag_assets.embedded.placement import MAJOR_VERSION, PACKAGE
from rag_assets_tests import rows
from rag_assets_tests.faults import arena

CLIENTS, THREADS = 16, 2
DOCUMENTS = 20_000  # rows that are updated, each as likely as the other
TABLE = '"TblDocumentFiles"'
SCRIPTS = {
    "insert": f"insert into {TABLE} (file_path, version) values ('reports/2024/quarter-3/summary.pdf', 0);\n",
    "update": f"\\set id random(1, {DOCUMENTS})\nupdate {TABLE} set version = version + 1 where id = :id;\n",
}
FILL = f"insert into {TABLE} (file_path, version) select 'reports/' || n, 0 from generate_series(1, {DOCUMENTS}) as n"
TRIGGERS = ("rag_document_inserted", "rag_document_updated", "rag_document_deleted", "rag_documents_truncated")
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
        for load in SCRIPTS:
            print(_shown(_measure(url, place, load, arguments=arguments), as_json=arguments.json), flush=True)
    return 0


def _measure(url: str, place: Path, load: str, *, arguments: argparse.Namespace) -> dict[str, object]:
    """Transactions per second, medians of rounds that alternate."""
    found: dict[str, list[float]] = {"without": [], "with": []}
    for turn in range(arguments.rounds):
        for way in ("without", "with") if turn % 2 == 0 else ("with", "without"):
            _prepare(url, load, triggers=way == "with")
            found[way].append(_pgbench(url, place, load, seconds=arguments.seconds))
    without, with_trigger = (statistics.median(found[way]) for way in ("without", "with"))
    return {
        "load": load,
        "tps_without": round(without),
        "tps_with": round(with_trigger),
        "ratio": round(with_trigger / without, 3),
        "clients": CLIENTS,
        "rounds": {way: [round(value) for value in values] for way, values in found.items()},
        "settings": {name: rows.execute(url, f"show {name}")[0][0] for name in SETTINGS},
    }


def _prepare(url: str, load: str, *, triggers: bool) -> None:
    """The same table each time, with nothing pending; the triggers as `migrate` enables them, or disabled."""
    _switch(url, "disable")
    rows.execute(url, f"truncate {TABLE}, rag_changes, rag_outbox restart identity")
    if load == "update":
        rows.execute(url, FILL)
    if triggers:
        _switch(url, "enable always")
    _alone(url, "vacuum analyze")
    _alone(url, "checkpoint")


def _switch(url: str, state: str) -> None:
    for name in TRIGGERS:
        rows.execute(url, f"alter table {TABLE} {state} trigger {name}")


def _alone(url: str, statement: str) -> None:
    """What cannot run in a transaction."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)


def _pgbench(url: str, place: Path, load: str, *, seconds: int) -> float:
    script = place / f"{load}.sql"
    script.write_text(SCRIPTS[load])
    command = [_program(), "-n", "-f", str(script), "-c", str(CLIENTS), "-j", str(THREADS), "-T", str(seconds), url]
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

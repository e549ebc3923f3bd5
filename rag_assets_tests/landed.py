"""A small database of each version whose migrations landed, as that version's own program made it: dumps in plain SQL.

    python -m rag_assets_tests.landed COMMIT...

takes the program of each commit out of git, has it make its tables, functions and triggers in an empty database, stores
a few documents there, and keeps the dump in `databases/landed.tar.xz` under the name of the newest migration. All of
them are in one file, as what they share is then compressed once. Run it with the commit that brings a migration.
"""

import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from rag_assets.bundled import data_directory, postgres, postgres_watchdog
from rag_assets.postgres import conninfo
from rag_assets_tests import rows

ARCHIVE = Path(__file__).parent / "databases" / "landed.tar.xz"
REPOSITORY = Path(__file__).parent.parent
TABLE = """
create table "TblDocumentFiles" (id serial primary key, file_path text not null);
insert into "TblDocumentFiles" (file_path) select name || '.txt' from regexp_split_to_table('abcdefg', '') as name;
"""
MIGRATE = """
import sys
from rag_assets.postgres.database import Database
from rag_assets.settings import Source
Database(sys.argv[1]).migrate(Source(), dimension=384)
"""
OF_PSQL = re.compile(r"^\\.*\n|^SELECT pg_catalog\.set_config\('search_path'.*\n", re.MULTILINE)
# Of the documents, one is done, others are in each state, and of the seventh nothing is known. What a version does not
# have yet, of tables and columns, is left out.
ROWS: Sequence[tuple[str, Mapping[str, str]]] = (
    *(
        (
            "rag_document_text",
            {
                "document_id": f"'{number}'",
                "path": f"'{name}.txt'",
                "sha256": f"repeat('{number}', 64)",
                "size_bytes": "40",
                "mtime_ns": "1764000000000000000",
                "media_type": "'text/plain'",
                "parser": "'plain'",
                "title": f"'The {name}'",
                "metadata": """'{"author": "Ann"}'""",
                "warnings": "'{one}'",
                "content": f"'{name} is about pumps.'",
                "fingerprint": "'of then'",
                "embedding_model": "'all-MiniLM-L6-v2'",
                "chunk_count": "2",
                "language": "'en'",
            },
        )
        for number, name in ((1, "a"), (3, "c"))
    ),
    *(
        (
            "rag_document_chunks",
            {
                "document_id": f"'{number}'",
                "chunk_index": f"{index}",
                "content": f"'Part {index} of {number} is about pumps.'",
                "content_sha256": f"repeat('{number}', 63) || '{index}'",
                "token_count": "7",
                "char_start": f"{20 * index}",
                "char_end": f"{20 * index + 20}",
                "heading_path": "'{Part}'",
                "kind": "'prose'",
                "embedding": f"(array_fill(0, array[{10 * number + index}]) || array[1]"
                f" || array_fill(0, array[{383 - 10 * number - index}]))::vector",
                "embedding_model": "'all-MiniLM-L6-v2'",
            },
        )
        for number in (1, 3)
        for index in (0, 1)
    ),
    ("rag_outbox", {"document_id": "'2'", "operation": "'insert'", "state": "'dead'", "attempts": "5",
                    "error_kind": "'unsupported'", "last_error": "'no format'"}),
    ("rag_outbox", {"document_id": "'3'", "operation": "'update'", "priority": "0"}),
    ("rag_outbox", {"document_id": "'4'", "operation": "'insert'", "attempts": "1", "error_kind": "'not_found'",
                    "last_error": "'no file'", "not_before": "now() + interval '1 hour'"}),
    ("rag_outbox", {"document_id": "'5'", "operation": "'insert'", "claimed_by": "'run:1'",
                    "claimed_until": "now() + interval '1 hour'", "claimed_generation": "1"}),
    ("rag_outbox", {"document_id": "'8'", "operation": "'delete'"}),
    ("rag_changes", {"operation": "'insert'", "document_id": "'6'"}),
    *(
        (
            "rag_ingestion_log",
            {
                "document_id": f"'{number}'",
                "path": f"'{name}.txt'",
                "run_id": "'1'",
                "status": f"'{status}'",
                "stage": "'store'",
                "error_kind": f"nullif('{kind}', '')",
                "characters": "40",
                "chunks": "2",
                "chunks_embedded": "2",
                "tokens": "14",
                "seconds": """'{"read": 0.25, "chunk": 0.5, "embed": 2, "write": 1}'""",
            },
        )
        for number, name, status, kind in (
            (1, "a", "completed", ""),
            (3, "c", "completed", ""),
            (2, "b", "failed", "unsupported"),
            (4, "d", "failed", "not_found"),
        )
    ),
    ("rag_embedding_models", {"model": "'all-MiniLM-L6-v2'", "texts": "'{pumps}'", "vectors": "'{{0.5, 0.25}}'"}),
    ("rag_owner", {"program": "'rag_assets'", "fingerprint": "'of then'", "embedding_model": "'all-MiniLM-L6-v2'",
                   "settings": "'then'"}),
    ("rag_runs", {"run_id": "'1'", "progress": "3", "parts": """'{"5": [1, 2]}'"""}),
    ("rag_serving", {"model": "'all-MiniLM-L6-v2'"}),
    ("rag_models", {"model": "'all-MiniLM-L6-v2'", "settings": "'{}'"}),
    ("rag_embedder_starts", {"model": "'all-MiniLM-L6-v2'", "starts": "2", "seconds": "1.5"}),
)  # fmt: skip


@cache
def dumps() -> dict[str, str]:
    """What the archive holds: statements that make a database, by the newest migration that was applied to it."""
    with tarfile.open(ARCHIVE) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read().decode() for name, file in sorted(found.items()) if file is not None}


def make(commit: str, url: str) -> None:
    """Have the program of this commit make its tables in the empty database, and store documents."""
    rows.execute(url, TABLE)
    with _program(commit) as folder:
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        subprocess.run([sys.executable, "-P", "-c", MIGRATE, url], cwd=folder, env=environment, check=True)
    rows.execute(url, "delete from rag_outbox")
    for table, values in ROWS:
        _insert(url, table, values)


def newest(commit: str) -> str:
    """The name of the migration that came last up to this commit; numbers are not always given in that order."""
    said = _said("log", "-1", "--diff-filter=A", "--name-only", "--format=", commit, "--", "sql/migrations")
    return max(Path(line).name for line in said.decode().splitlines())


def _said(*words: str) -> bytes:
    """What git says of this repository."""
    return subprocess.run(["git", "-C", str(REPOSITORY), *words], stdout=subprocess.PIPE, check=True).stdout


def _insert(url: str, table: str, values: Mapping[str, str]) -> None:
    found = rows.execute(url, f"select column_name from information_schema.columns where table_name = '{table}'")
    known = {name: value for name, value in values.items() if (name,) in found}
    if known:
        columns, given = ", ".join(known), ", ".join(known.values())
        rows.execute(url, f'insert into "{table}" ({columns}) values ({given})')


@contextmanager
def _program(commit: str) -> Iterator[Path]:
    """A folder with the files of this commit."""
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(fileobj=io.BytesIO(_said("archive", commit))) as archive:
            archive.extractall(name, filter="data")
        yield Path(name)


def dump(url: str, *options: str) -> str:
    """The whole database as statements that any client can send, without who owns what."""
    program = postgres_watchdog.program(str(data_directory.programs()), "pg_dump")
    environment = {**postgres_watchdog.server_environment(), **conninfo.as_environment(url)}
    command = [program, "--inserts", "--no-owner", "--no-privileges", *options]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return OF_PSQL.sub("", done.stdout.decode())


def schema(url: str) -> list[str]:
    """The statements that make all but the rows, in an order of their own."""
    return sorted(dump(url, "--schema-only").split(";\n"))


def keep(made: Mapping[str, str]) -> None:
    """Add dumps to the archive, or replace those of the same name."""
    all_of_them = {**(dumps() if ARCHIVE.exists() else {}), **made}
    with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
        for name, text in sorted(all_of_them.items()):
            content = text.encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def main(commits: Sequence[str]) -> None:
    """Make and keep the databases of these commits."""
    made = {}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name).resolve()
        home.chmod(0o711)  # where root runs this, the account that runs the server passes through
        try:
            server = postgres.start(home)
            for commit in commits:
                for url in databases(server):
                    make(commit, url)
                    made[newest(commit)] = f"-- {_said('log', '-1', '--format=%ci %s', commit).decode()}{dump(url)}"
                print(f"{commit}: {newest(commit)}")
        finally:
            postgres.remove(home)
    keep(made)


def databases(server: str) -> Iterator[str]:
    """A database with nothing in it, for as long as the iteration stays there."""
    name = f"landed_{os.getpid()}"
    _on(server, f"create database {name} template template0")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        _on(server, f"drop database {name} with (force)")


def _on(server: str, statement: str) -> None:
    with closing(psycopg2.connect(server)) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


if __name__ == "__main__":
    main(sys.argv[1:])

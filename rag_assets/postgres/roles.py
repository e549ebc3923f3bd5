"""Roles of a cluster for an index: rag_owner owns it, rag_worker ingests, rag_reader searches.

Each is granted what it needs here. Until rag_owner is made, tables belong to the account that ran the first `init`.
"""

from dataclasses import dataclass

from psycopg2 import errors as pg_errors
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.postgres import documents
from rag_assets.postgres.statements import composed, single, statement
from rag_assets.settings import Source

OWNER = "rag_owner"
WORKER = "rag_worker"
READER = "rag_reader"


@dataclass(frozen=True, kw_only=True)
class Granted:
    """`roles` have their rights now; `to_run` are statements that only an administrator may run, for the others."""

    roles: tuple[str, ...]
    to_run: tuple[str, ...]


def establish(cursor: Cursor, source: Source, *, dagster_schema: str | None) -> Granted:
    """Make the roles that are not there, where this account may, and grant each what it needs. Safe to repeat.

    `dagster_schema` is where Dagster keeps its state, if that is in this database. A role of such a name that is there
    is used, whoever made it: roles are those of the cluster, and serve all of its databases.
    """
    used = {role: _of_program(cursor, source, role, dagster_schema) for role in (WORKER, OWNER)}
    # The owner first: who has granted something on a table and then asks for its lock may deadlock with autovacuum.
    grants = {
        OWNER: [*_of_owner(cursor), *used[OWNER], _filled("grant_owning", OWNER)],
        READER: [_filled("grant_reading", READER)],
        WORKER: [_filled("grant_working", WORKER), *used[WORKER]],
    }
    done, to_run = [], []
    for role, statements in grants.items():
        left = [] if _has(cursor, role) else _refused(cursor, [_composed("create_role", role)])
        left += statements if left else _refused(cursor, statements)
        to_run += [one.as_string(cursor.connection) for one in left]
        done += [] if left else [role]
    return Granted(roles=tuple(done), to_run=tuple(to_run))


def may_migrate(cursor: Cursor) -> bool:
    """Whether our tables belong to this account, or to a role that it is a member of."""
    cursor.execute(statement("roles", "may_migrate"))
    return bool(single(cursor)[0])


def _of_owner(cursor: Cursor) -> list[sql.Composable]:
    """What it needs before anything can be given to it; whoever gives it goes on as a member."""
    cursor.execute(statement("roles", "get_account"))
    account, schema = map(sql.Identifier, single(cursor))
    return [
        _composed("grant_membership", OWNER, account=account),
        _composed("grant_creating", OWNER, schema=schema),
    ]


def _of_program(cursor: Cursor, source: Source, role: str, dagster_schema: str | None) -> list[sql.Composable]:
    """What lies beside our tables: the application's, and Dagster's state."""
    names = documents.identifiers(cursor, source)
    found = [_composed("grant_source", role, table=names["table"])]
    if len(source.table_parts) > 1:
        found.append(_composed("grant_schema", role, schema=sql.Identifier(source.table_parts[0])))
    if dagster_schema is not None:
        found.append(_composed("grant_dagster", role, schema=sql.Identifier(dagster_schema)))
    return found


def _composed(name: str, role: str, **identifiers: sql.Composable) -> sql.Composable:
    return composed("roles", name, role=sql.Identifier(role), **identifiers)


def _filled(name: str, role: str) -> sql.Composable:
    return sql.SQL(statement("roles", name).replace("%(role)s", "{role}")).format(role=sql.Literal(role))


def _has(cursor: Cursor, role: str) -> bool:
    cursor.execute(statement("roles", "has_role"), {"role": role})
    return bool(single(cursor)[0])


def _refused(cursor: Cursor, statements: list[sql.Composable]) -> list[sql.Composable]:
    """Run them; those that this account may not."""
    return [one for one in statements if not _is_done(cursor, one)]


def _is_done(cursor: Cursor, one: sql.Composable) -> bool:
    cursor.execute("savepoint roles")
    try:
        cursor.execute(one)
    except pg_errors.InsufficientPrivilege:
        cursor.execute("rollback to savepoint roles")
        return False
    except (pg_errors.DuplicateObject, pg_errors.UniqueViolation):  # another program made it meanwhile
        cursor.execute("rollback to savepoint roles")
    return True

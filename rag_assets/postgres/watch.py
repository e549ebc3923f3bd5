"""What no trigger tells of: a documents table made anew, triggers that are gone, rows that came back."""

import logging

from psycopg2 import errors as pg_errors

from rag_assets.postgres import documents, outbox
from rag_assets.postgres.database import Database
from rag_assets.postgres.statements import statement
from rag_assets.settings import Source

logger = logging.getLogger(__name__)


def tend(database: Database, source: Source) -> None:
    """Put triggers back that are missing, have the whole table looked at where that was asked for, and let go what is
    held no longer. Cheap where all is well, so that it can be done every few seconds.

    Raises SourceUnusable, with nothing changed, where there is no documents table as configured.
    """
    with database.transaction() as cursor:
        outbox.trim_looks(cursor)
    with database.transaction() as cursor:
        documents.require_columns(cursor, source)
        is_armed = documents.has_triggers(cursor, source)
    if not is_armed:
        _arm(database, source)
    with database.transaction() as cursor:
        outbox.look_at_all(cursor, source)
    with database.transaction() as cursor:
        outbox.review_held(cursor, source)


def _arm(database: Database, source: Source) -> None:
    """Put the triggers in place; what changed without them may be any row."""
    with database.transaction() as cursor:
        try:
            cursor.execute(statement("migrations", "limit_waiting_briefly"))
            documents.ensure_triggers(cursor, source)
            outbox.ask_look(cursor, f"{source.table} had no triggers of ours")
        except pg_errors.LockNotAvailable:
            logger.warning("%s is in use: its triggers are put back when it is free", source.table)
        except pg_errors.InsufficientPrivilege as exc:
            logger.warning("The triggers of %s cannot be put back: %s", source.table, exc)

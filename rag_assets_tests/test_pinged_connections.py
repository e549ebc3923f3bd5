"""service.dagster_ui: a connection to the database that Dagster's page kept, and that was cut since."""

import sqlalchemy

from rag_assets.postgres import conninfo
from rag_assets.service import dagster_ui
from rag_assets_tests.application import Application


def test_a_connection_that_was_cut_while_nobody_used_it_is_replaced(application: Application) -> None:
    """As when the database was started anew since the last click."""
    engine = sqlalchemy.create_engine(conninfo.as_sqlalchemy(application.url, schema="public"), pool_size=1)
    with dagster_ui.pinged_connections():
        first = _process(engine)
        assert _process(engine) == first  # it is kept
        application.sql(f"select pg_terminate_backend({first}, 10000)")
        assert _process(engine) != first
    engine.dispose()


def _process(engine: sqlalchemy.Engine) -> int:
    """The process of PostgreSQL behind a connection of the pool."""
    with engine.connect() as connection:
        return int(connection.execute(sqlalchemy.text("select pg_backend_pid()")).scalar_one())

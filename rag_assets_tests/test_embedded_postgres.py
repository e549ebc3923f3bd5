"""embedded.postgres: the server of a home runs while it has a user, wherever the home lies, whoever dies."""

from contextlib import closing

import psycopg2

from rag_assets.embedded import postgres


def test_url_when_started(postgres_url):
    """The URL answers."""
    with closing(psycopg2.connect(postgres_url)) as connection, connection.cursor() as cursor:
        cursor.execute("select current_database()")
        assert cursor.fetchone() == ("rag_assets",)


def test_empty(empty_database_url, home):
    with closing(psycopg2.connect(empty_database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("create extension vector")
    u = postgres.start(home)
    postgres.release(home)
    assert not postgres.is_running(home)

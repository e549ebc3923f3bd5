"""Keeps a pgvector index of an application's documents in step with its PostgreSQL table, through Dagster."""

__version__ = "0.1.0"

"""Rows: everything that is read from or written to PostgreSQL."""

"""Dagster: what exists, and when."""

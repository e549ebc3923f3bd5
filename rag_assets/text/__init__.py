"""Bytes to text to chunks: pure, run in a child process without credentials."""

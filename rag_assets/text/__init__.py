"""Bytes to text to chunks: pure, run in a child process without credentials.

A path of the table to a file: `paths`; an address, too: `sources`; file systems that do not answer: `lookups`.
A document's bytes to its text: `parsing` chooses among `formats`; letters: `encoding`, by `letters`; `languages`.
A text to its chunks: `chunking`. The child process in which both are done: `sandbox`.
"""

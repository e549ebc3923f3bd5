"""Documents are known by their content before their name."""

import codecs

import pytest

from rag_assets.text import parsing
from rag_assets_tests import samples

MAIL = b"From: a@b.example\r\nTo: c@d.example\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\nSubject: Hi\r\n\r\nHello\r\n"


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (b"<!DOCTYPE html><p>words", "page.md", "text/html"),
        (b"<!-- a --><html><body>words</body></html>", "page.txt", "text/html"),
        (b"<div align='center'>\n\n# Title\n\n</div>\n\ntext", "README.md", "text/markdown"),
        (b"words only", "report.doc", "text/plain"),
        (b"words only", "report.pdf", "text/plain"),
        (b'<?xml version="1.0"?><rss><channel/></rss>', "feed.txt", "application/xml"),
        (b'<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml"><p/></html>', "a.xml", "text/html"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><text>a</text></svg>', "drawing", "application/xml"),
        (b'{"a": 1, "b": [1, 2]}', "data", "application/json"),
        (b'{"cells": [], "nbformat": 4}', "book.json", "application/x-ipynb+json"),
        (b"[link]: not json", "note.txt", "text/plain"),
        (MAIL, "message.txt", "message/rfc822"),
        (b"PEP: 20\nTitle: Zen\nDate: 2004\n\ntext", "pep.txt", "text/plain"),
        (b"a,b,c\n" * 9, "table", "text/csv"),
        (b"a;b\n1;2\n", "table.csv", "text/csv"),
        (b"#!/usr/bin/env python3\nprint(1)\n", "script", "text/x-source"),
        (b"int main() { return 0; }", "main.c", "text/x-source"),
        (b"Title\n=====\n\n.. note:: Text\n", "README", "text/x-rst"),
        (b"# Title\n\n- a\n- b\n", "README", "text/markdown"),
        (b"{\\rtf1 words}", "note.doc", "application/rtf"),
        (samples.docx(), "letter.txt", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (codecs.BOM_UTF16_LE + "<html><p>words".encode("utf-16-le"), "page", "text/html"),
    ],
)
def test_sniff_by_content_before_name(data: bytes, name: str, media_type: str) -> None:
    """A wrong suffix never matters."""
    assert parsing.sniff(data, name) == media_type

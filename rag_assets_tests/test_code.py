"""Source code: every character is kept, and its language is known by the name."""

import pytest

from rag_assets_tests.reading import read


def test_code_byte_for_byte() -> None:
    """Source code keeps every character but carriage returns."""
    parsed = read("def f():\r\n\treturn 'e\u0301'  \r\n", "a.py")
    assert (parsed.text, parsed.structure, parsed.language) == ("def f():\n\treturn 'e\u0301'  \n", "code", "python")


@pytest.mark.parametrize(
    ("name", "language"),
    [("a.rs", "rust"), ("Dockerfile", "dockerfile"), ("x/Makefile", "make"), ("a.tsx", "typescript"), ("a.m", "objc")],
)
def test_code_language(name: str, language: str) -> None:
    """The name tells the language."""
    assert read("x = 1\n", name).language == language

"""The SQL files: each statement has a name and a purpose, and is used."""

import re
from pathlib import Path

from rag_assets import settings
from rag_assets.postgres import statements


def test_every_statement_has_a_name_and_a_purpose_when_read() -> None:
    """Each query starts with `-- name: verb_noun` and a line that says what for."""
    for file in sorted((settings.project_root() / "sql" / "queries").glob("*.sql")):
        for part in file.read_text().split("-- name: ")[1:]:
            assert part.splitlines()[1].startswith("-- "), f"{file.name}: {part.splitlines()[0]}"


def test_every_statement_is_used_when_the_code_is_searched() -> None:
    """SQL that nobody calls is deleted."""
    code = "".join(path.read_text() for path in Path(statements.__file__).parent.glob("*.py"))
    for file in sorted((settings.project_root() / "sql" / "queries").glob("*.sql")):
        for part in file.read_text().split("-- name: ")[1:]:
            assert f'"{part.split()[0]}"' in code, f"{file.name}: {part.split()[0]}"


def test_every_function_that_is_called_is_there() -> None:
    """Benchmarks, pages and statements are not all run by this suite; a name that is gone shows here."""
    root = settings.project_root()
    files = [
        *(root / "rag_assets").rglob("*.py"),
        *(root / "rag_assets_tests").rglob("*.py"),
        *(root / "sql" / "queries").glob("*.sql"),
        *(root / "sql" / "functions").glob("*.sql"),
        *(root / "docs").glob("*.md"),
        *(root / "deploy").rglob("*.md"),
    ]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    defined = {name for text in texts.values() for name in re.findall(r"create or replace function (rag_\w+)", text)}
    called = {
        (path.relative_to(root).as_posix(), name)
        for path, text in texts.items()
        for name in re.findall(r"\b(rag_(?!assets)[a-z_]+)\(", text)
    }
    assert len(defined) > 50
    assert {(path, name) for path, name in called if name not in defined} == set()

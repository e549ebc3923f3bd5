"""The SQL files: each statement has a name and a purpose, and is used."""

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

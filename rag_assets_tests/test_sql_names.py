"""What applications may call in SQL is described with its names and types, as the database has them."""

import re
from pathlib import Path

import pytest

from rag_assets_tests import rows

DOCS = Path(__file__).parents[1] / "docs"
SEARCH = (DOCS / "search.md").read_text(encoding="utf-8")
PUBLIC = (
    *("rag_search", "rag_search_vectors", "rag_search_words", "rag_neighbours", "rag_serving_model", "rag_filter"),
    *("rag_documents", "rag_status", "rag_check_words", "rag_recount_words", "rag_grant_reading"),
    "rag_follow_row_security",
)
OF_FUNCTIONS = (
    "select proname, pg_get_function_arguments(oid), pg_get_function_result(oid) from pg_proc where proname ~ '^rag_'"
)
OF_VIEWS_AND_TYPES = (
    "select c.relname, '', "
    "string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum) "
    "from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped "
    "where c.relname ~ '^rag_' and c.relkind in ('v', 'c') group by c.relname"
)


@pytest.fixture
def known(database_url: str) -> dict[str, tuple[str, str]]:
    """Arguments, and columns or what else is given, of each function, view and type."""
    found = rows.execute(database_url, OF_FUNCTIONS) + rows.execute(database_url, OF_VIEWS_AND_TYPES)
    return {name: (_readable(arguments), _readable(given)) for name, arguments, given in found}


def _readable(text: str) -> str:
    """Without the casts that PostgreSQL adds to defaults, and without the word around columns."""
    text = re.sub(r"::[\w ]+(\[\])?", "", text).replace("DEFAULT NULL", "default null")
    return re.sub(r"^TABLE\((.*)\)$", r"\1", text.replace("DEFAULT", "default"))


def _cell(text: str) -> str:
    return ", ".join(f"`{part}`" for part in text.split(", ") if part)


def test_the_table_of_names_and_types_is_that_of_the_database(known: dict[str, tuple[str, str]]) -> None:
    """Each argument with its type and default, and each column with its type; what differs is shown as it has to be."""
    described = [f"| `{name}` | {_cell(known[name][0])} | {_cell(known[name][1])} |" for name in PUBLIC]
    shown = [line for line in SEARCH.splitlines() if line.startswith("| `rag_")]
    assert [line.replace("|  |", "| |") for line in described] == shown


def test_every_argument_of_a_search_is_explained(known: dict[str, tuple[str, str]]) -> None:
    """In their order, with the value that is used without it."""
    part = SEARCH.split("| Argument | Meaning | Default |")[1].split("\n\n")[0]
    shown: list[tuple[str, str]] = []
    for names, default in re.findall(r"^\| (`.*?`) \| .* \| (.*?) ?\|$", part, re.MULTILINE):
        each = names.split(", ")
        shown += zip(each, default.split(", ") if ", " in default else [default] * len(each), strict=True)
    arguments = [re.split(r" (?:default )?", one, maxsplit=1) for one in known["rag_search"][0].split(", ")]
    assert [(name.strip("`"), default.strip("`")) for name, default in shown] == [
        (name, rest.partition(" default ")[2].strip("'")) for name, rest in arguments
    ]


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_what_pages_call_is_described(page: Path) -> None:
    """No page shows a function of ours whose name and types are not promised."""
    assert set(re.findall(r"\b(rag_\w+)\(", page.read_text(encoding="utf-8"))) <= set(PUBLIC)

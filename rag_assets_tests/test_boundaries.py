"""Where code may be cut: before definitions."""

import pytest

from rag_assets_tests.cutting import cut

PYTHON = '''import os

LIMIT = 5


@decorator
def first(a, b):
    """Say hello."""
    for c in a:
        print(c)

    return b


# about the second
class Second:
    def one(self):
        return 1

    def two(self):
        return 2
'''


def test_code_is_cut_before_definitions_when_it_is_too_long() -> None:
    """Decorators and remarks stay with what they are about."""
    chunks = cut(PYTHON, structure="code", size=100, overlap=10)
    starts = [chunk.content.splitlines()[0] for chunk in chunks]
    assert set(starts) <= {"import os", "@decorator", "# about the second", "    def two(self):"}
    assert {chunk.kind for chunk in chunks} == {"code"}


@pytest.mark.parametrize(
    "definition",
    [
        "@asset(\n    name='x',\n)\ndef first(a):\n    return a",
        "// Says hello.\npublic static List<String> names(List<Order> orders) {\n    return orders;\n}",
        "#[derive(Debug)]\npub struct Point<T> {\n    x: T,\n}",
        "static struct node *\npush(struct node *head)\n{\n    return head;\n}",
        "func (s *Server) Run() error {\n\treturn nil\n}",
        "export const use = (options: Options) => {\n  return 1;\n};",
        "CREATE TABLE users (\n    id bigint\n);",
        "[tool.mypy]\nstrict = true",
    ],
    ids=["python", "java", "rust", "c", "go", "typescript", "sql", "toml"],
)
def test_definitions_stay_whole_when_the_language_is_known(definition: str) -> None:
    """Whatever it begins with goes with it: decorators, remarks, a type on a line of its own."""
    chunks = cut("\n".join([definition] * 12), structure="code", size=100, overlap=0)
    first = definition.partition("\n")[0]
    assert len(chunks) > 2
    assert all(chunk.content.startswith(first) for chunk in chunks)


@pytest.mark.parametrize(
    "line",
    [
        "struct node *n = first;",
        "type = 5",
        "module.exports = x",
        "class of problems that are hard",
        "useEffect(() => {",
        "if (x) {",
        "s.mux.HandleFunc(path, func(w Writer) {",
    ],
)
def test_no_definition_is_found_when_a_line_only_looks_like_one(line: str) -> None:
    """Statements and words of remarks: a blank line is the better place to cut."""
    part = f"    hello\n\n    world\n    {line}\n"
    chunks = cut(part * 20, structure="code", size=60, overlap=0)
    assert not [chunk for chunk in chunks if chunk.content.strip().startswith(line)]

"""The documents are true: their commands, settings, formats, links, files and tests exist."""

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from rag_assets import settings
from rag_assets.cli import main
from rag_assets.text import parsing

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
README_LINES = 150
CODE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose_of(name: str) -> str:
    return CODE.sub("", text_of(name))


def inline_code(name: str) -> list[str]:
    """What stands between backticks, whole, also over the end of a line."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose_of(name))]


def shell_lines(name: str) -> list[list[str]]:
    """The words of each command in the page's shell blocks, those joined by && or ; or | apart."""
    blocks = [block for language, block in CODE.findall(text_of(name)) if language in ("sh", "bash", "shell")]
    found = []
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set(";&|"):
                found.append(command)
                command = []
            else:
                command.append(word)
    return [command for command in found if command]


def commands(name: str) -> list[str]:
    """Each use of rag-assets in a page, without the program's name."""
    blocks = [shlex.join(words[1:]) for words in shell_lines(name) if words[0] == "rag-assets"]
    return blocks + [code.partition(" ")[2] for code in inline_code(name) if code.startswith("rag-assets ")]


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-")


def anchors(name: str) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", prose_of(name), re.MULTILINE)}


def options_of(command: click.Command) -> set[str]:
    return {"--help", "-h", *(word for each in command.params for word in (*each.opts, *each.secondary_opts))}


def test_readme_is_short() -> None:
    """What it is, how to begin, and links; all else has a page of its own."""
    assert len(text_of("README.md").splitlines()) <= README_LINES


def test_every_page_is_found_from_the_readme() -> None:
    """None is written for nobody."""
    linked = set(re.findall(r"\]\((docs/[\w\-/]+\.md)", text_of("README.md")))
    assert {name for name in NAMES if name.startswith("docs/")} <= linked | {"docs/README.md"}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """Each file that is linked is there, and has the heading that the link names."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(name)):
        if re.match(r"[a-z]+:", link):
            continue  # another site
        file, _, place = link.partition("#")
        target = ((ROOT / name).parent / file).resolve() if file else ROOT / name
        assert target.exists(), link
        if place:
            assert place in anchors(target.relative_to(ROOT).as_posix()), link


@pytest.mark.parametrize("name", NAMES)
def test_commands_shown_exist(name: str) -> None:
    """Each is one of rag-assets, with options that it has."""
    for shown in commands(name):
        command, *words = shown.replace("[", " ").replace("]", " ").split()
        if command.startswith("-"):
            assert command in options_of(main), shown
            continue
        assert command in main.commands, shown
        found = main.commands[command]
        if isinstance(found, click.Group) and words:
            assert words[0] in found.commands, shown
            found = found.commands[words[0]]
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options_of(found), shown


@pytest.mark.parametrize("name", NAMES)
def test_commands_in_blocks_are_understood(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's own parser takes them as they stand, with all their values."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "documents").mkdir()
    for words in shell_lines(name):
        if words[0] == "rag-assets":
            given = [word.replace("~", str(tmp_path)) for word in words[2:]]
            command = main.commands[words[1]]
            if isinstance(command, click.Group):
                command = command.commands[given.pop(0)]
            command.make_context(words[1], given, resilient_parsing="..." in given)


@pytest.mark.parametrize("name", NAMES)
def test_python_modules_that_are_run_exist(name: str) -> None:
    """`python -m rag_assets_tests.faults` and the like."""
    for module in re.findall(r"python -m (rag_assets[\w.]*\w)", text_of(name)):
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.parametrize("name", NAMES)
def test_files_and_tests_that_are_named_exist(name: str) -> None:
    """A file by its path from the root or in the package, a test by its name: what is moved is found by this."""
    roots = (ROOT, ROOT / "rag_assets", ROOT / "rag_assets" / "text")
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "rag_assets_tests").rglob("test_*.py"))
    for code in inline_code(name):
        if re.fullmatch(r"[\w.\-]+/[\w./\-]*", code) and code.split("/")[0] in ("rag_assets", "sql", "docs", "text"):
            assert any((root / code).exists() for root in roots) or "NAME" in code, code
        if re.fullmatch(r"test_\w+", code):
            assert f"def {code}(" in tests, code


def test_every_command_is_described() -> None:
    """The table of commands has all of them, and no other."""
    assert set(main.commands) == set(re.findall(r"^\| `rag-assets ([a-z-]+)", text_of("docs/operating.md"), re.M))


@pytest.mark.parametrize("command", sorted(main.commands))
def test_command_has_help(command: str) -> None:
    """As the table of commands promises."""
    answer = CliRunner().invoke(main, [command, "--help"])
    assert answer.exit_code == 0
    assert "Usage:" in answer.output


def test_readme_has_the_two_commands_that_install_and_test() -> None:
    """Each alone on its line, as they are copied; .ci/run takes the second from there."""
    lines = text_of("README.md").splitlines()
    assert 'pip install -e ".[embedded]" && rag-assets demo' in lines
    assert 'pip install -e ".[dev]" && pytest' in lines


def test_settings_shown_are_those_of_the_code() -> None:
    """Every key is there, with the value that is used without it; those without a value are shown as comments."""
    [block] = [block for language, block in CODE.findall(text_of("docs/settings.md")) if language == "toml"]
    shown: dict[str, dict[str, Any]] = tomllib.loads(block)
    for name, field in settings.Settings.model_fields.items():
        if not isinstance(field.default, settings.Section):
            continue
        defaults = field.default.model_dump(mode="json")
        has_value = {key: value for key, value in defaults.items() if value is not None}
        assert shown.pop(name) == has_value, name
        part = re.split(r"^\[", block.split(f"[{name}]")[1], maxsplit=1, flags=re.MULTILINE)[0]
        assert set(re.findall(r"^#(\w+) =", part, re.MULTILINE)) == set(defaults) - set(has_value), name
    assert not shown


def test_variables_shown_are_those_of_the_code() -> None:
    """The table has every variable with a name of its own."""
    fields = settings.Settings.model_fields
    own = {name.upper() for name, field in fields.items() if not isinstance(field.default, settings.Section)}
    shown = set(re.findall(r"^\| `([A-Z_]+)`", text_of("docs/settings.md"), re.MULTILINE))
    assert {name.removeprefix("RAG_ASSETS_") for name in shown} == own


@pytest.mark.parametrize("name", NAMES)
def test_settings_in_blocks_exist(name: str) -> None:
    """Blocks of other pages show single keys, with values of yours."""
    for language, block in CODE.findall(text_of(name)):
        if language == "toml":
            for section, keys in tomllib.loads(block).items():
                known = settings.Settings.model_fields[section].default
                type(known).model_validate({**known.model_dump(), **keys})


def test_formats_shown_are_those_that_are_read() -> None:
    """The table is the registry's own, printed as the page on contributing says."""
    [code] = [code for code in inline_code("docs/contributing.md") if code.startswith("python -c ")]
    command = [sys.executable, *shlex.split(code)[1:]]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True, cwd=ROOT)
    assert done.stdout.strip() == parsing.table()
    assert parsing.table() in text_of("docs/formats.md")


def test_formats_are_all_described() -> None:
    """The page on formats has a part for each, and none for others."""
    headings = re.findall(r"^## (.+)$", text_of("docs/formats.md"), re.MULTILINE)
    named = [name for heading in headings for name in heading.split(", ")]
    assert sorted(named) == sorted(known.name for known in parsing.FORMATS)

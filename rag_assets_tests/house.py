"""The house in figures: `python -m rag_assets_tests.house [FOLDER]` prints them of a checkout, for before and after.

Functions are counted in lines from `def` to their end; docstring lines are a share of all lines that are not blank.
A room is a module or package directly inside text/; an arrow is one room that imports another.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

PACKAGE, TESTS = "rag_assets", "rag_assets_tests"
# What has no behaviour of its own but words: they are shown by the tests of those who raise them.
WORDS_ALONE = {"errors.py"}
# Modules that only the suite of another can show: through the processes, the database or the page that it starts.
SHOWN_BY = {
    "asking.py": "test_api",
    "bundled/dumps.py": "test_backup",
    "bundled/llama_server.py": "test_server",
    "bundled/server_process.py": "test_openvino_server",
    "cli_backup.py": "test_backup",
    "cli_model.py": "test_model_sets",
    "cli_nssm.py": "test_nssm",
    "cli_service.py": "test_service_keys",
    "cli_services.py": "test_cli",
    "cli_status.py": "test_story",
    "cli_systemd.py": "test_systemd",
    "console.py": "test_cli",
    "console_story.py": "test_story",
    "defs/events.py": "test_assets",
    "defs/resources.py": "test_assets",
    "defs/specs.py": "test_definitions",  # the catalogue that they make is looked at as Dagster loads it
    "embedding/connections.py": "test_embedding_client",
    "embedding/neighbour.py": "test_embedder",
    "operations.py": "test_cli",
    "postgres/callers.py": "test_service_keys",
    "postgres/contents.py": "test_backup",
    "postgres/figures.py": "test_metrics",
    "postgres/health.py": "test_database",
    "postgres/models.py": "test_known",
    "postgres/runs.py": "test_lease",
    "postgres/soundness.py": "test_soundness",
    "postgres/stories.py": "test_story",
    "postgres/words.py": "test_words",
    "service/gate.py": "test_service_keys",
    "service/logins.py": "test_views",
    "service/mcp_http.py": "test_mcp_server",
    "service/openapi.py": "test_api",
    "service/search_service.py": "test_service_keys",
    "services.py": "test_cli",
    "serving.py": "test_switching",
    "text/sandbox/child.py": "test_worker",
    "text/sandbox/confinement.py": "test_worker",
    "text/sandbox/guard.py": "test_worker",
    "text/sandbox/landlock.py": "test_worker",
    "text/sandbox/seccomp.py": "test_worker",
    "unattended.py": "test_systemd",
}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def figures(checkout: Path) -> dict[str, object]:
    """Each figure by its name."""
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in _modules(checkout / PACKAGE)}
    lengths = sorted(_length(node) for tree in trees.values() for node in ast.walk(tree) if isinstance(node, FUNCTION))
    text = _arrows(trees, checkout / PACKAGE / "text", name=f"{PACKAGE}.text")
    return {
        "files": len(trees),
        "functions": len(lengths),
        "lines of a function: median, p90, max": (median(lengths), round(quantiles(lengths, n=10)[-1]), lengths[-1]),
        "docstring lines, of all that are not blank": f"{_docstring_share(trees):.1%}",
        "rooms of text/": len(_rooms(checkout / PACKAGE / "text")),
        "arrows between them": len(text),
        "arrows that form a circle": sorted(f"{a} <-> {b}" for a, b in text if a < b and (b, a) in text),
        "files of text/ in one folder, at most": _fullest(checkout / PACKAGE / "text"),
        "private names of Dagster": sum(len(_private(tree)) for tree in trees.values()),
        "files with private names of Dagster": sum(bool(_private(tree)) for tree in trees.values()),
        "modules without a test file of their name": len(_untested(checkout)),
        "of these, shown by the suite of another": len(_shown(checkout)),
        "which have none": ", ".join(sorted({*_untested(checkout)} - {*_shown(checkout)})) or "none",
        "not counted, without behaviour of their own": ", ".join(sorted(WORDS_ALONE)),
        "README lines": len((checkout / "README.md").read_text(encoding="utf-8").splitlines()),
    }


def _modules(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*.py")) if "samples" not in file.parts)


def _length(node: FUNCTION) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _docstring_share(trees: dict[Path, ast.Module]) -> float:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, kinds)]
    said = sum(len([line for line in (ast.get_docstring(node) or "").splitlines() if line.strip()]) for node in nodes)
    written = [line for file in trees for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return said / len(written)


def _rooms(folder: Path) -> set[str]:
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    return files | {each.name for each in folder.iterdir() if (each / "__init__.py").is_file()}


def _arrows(trees: dict[Path, ast.Module], folder: Path, *, name: str) -> set[tuple[str, str]]:
    """Which room of a package imports which: pairs of their names."""
    rooms, found = _rooms(folder), set()
    for file, tree in trees.items():
        if not file.is_relative_to(folder):
            continue
        source = file.relative_to(folder).with_suffix("").parts[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                found |= {(source, target) for target in _targets(node, name) & rooms - {source}}
    return found


def _targets(node: ast.ImportFrom, name: str) -> set[str]:
    module = node.module or ""
    if module == name:
        return {each.name for each in node.names}
    return {module.removeprefix(f"{name}.").partition(".")[0]} if module.startswith(f"{name}.") else set()


def _fullest(folder: Path) -> int:
    folders = {file.parent for file in folder.rglob("*.py")}
    return max(len(list(each.glob("*.py"))) for each in folders)


def _private(tree: ast.Module) -> set[str]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    private = [node for node in found if (node.module or "").startswith("dagster._")]
    return {f"{node.module}.{each.name}" for node in private for each in node.names}


def _untested(checkout: Path) -> list[str]:
    """Modules with behaviour that have no test file of their name, by their paths below the package.

    The file is `test_<module>.py`; `test_<room>_<module>.py` is right too, and the only right one for modules of which
    there are two.
    """
    tested = {file.stem.removeprefix("test_") for file in (checkout / TESTS).rglob("test_*.py")}
    modules = [file for file in _modules(checkout / PACKAGE) if file.stem not in {"__init__", "__main__"}]
    twice = {stem for stem, count in Counter(file.stem for file in modules).items() if count > 1}
    places = {file: file.relative_to(checkout / PACKAGE).as_posix() for file in modules}
    return [places[file] for file in modules if places[file] not in WORDS_ALONE and not _names(file, twice) & tested]


def _shown(checkout: Path) -> list[str]:
    """Those of them whose suite is named in SHOWN_BY, and is there."""
    return [each for each in _untested(checkout) if (checkout / TESTS / f"{SHOWN_BY.get(each)}.py").is_file()]


def _names(file: Path, twice: set[str]) -> set[str]:
    of_room = f"{file.parent.name}_{file.stem}"
    return {of_room} if file.stem in twice and file.parent.name != PACKAGE else {of_room, file.stem}


def main() -> None:
    """Print the figures of the checkout that is named, else of this one."""
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    for name, value in figures(checkout).items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()

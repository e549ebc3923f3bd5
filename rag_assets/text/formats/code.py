"""Source code: every character, and which language it is."""

from pathlib import PurePosixPath

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding

LANGUAGES = {
    "bash": (".sh", ".bash", ".zsh"),
    "bat": (".bat", ".cmd"),
    "c": (".c", ".h"),
    "clojure": (".clj", ".cljs"),
    "cmake": (".cmake",),
    "cpp": (".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".ino"),
    "csharp": (".cs",),
    "css": (".css", ".scss", ".less", ".sass"),
    "dart": (".dart",),
    "elixir": (".ex", ".exs"),
    "erlang": (".erl", ".hrl"),
    "fsharp": (".fs", ".fsx"),
    "go": (".go",),
    "graphql": (".graphql", ".gql"),
    "groovy": (".groovy", ".gradle"),
    "haskell": (".hs",),
    "hcl": (".tf", ".hcl"),
    "ini": (".ini", ".cfg", ".conf", ".properties", ".env"),
    "java": (".java",),
    "javascript": (".js", ".mjs", ".cjs", ".jsx"),
    "julia": (".jl",),
    "kotlin": (".kt", ".kts"),
    "lua": (".lua",),
    "make": (".mk",),
    "objc": (".m", ".mm"),
    "ocaml": (".ml", ".mli"),
    "pascal": (".pas", ".dpr"),
    "perl": (".pl", ".pm"),
    "php": (".php",),
    "powershell": (".ps1", ".psm1"),
    "proto": (".proto",),
    "python": (".py", ".pyi", ".pyx"),
    "r": (".r",),
    "ruby": (".rb", ".rake"),
    "rust": (".rs",),
    "scala": (".scala", ".sc"),
    "sql": (".sql",),
    "swift": (".swift",),
    "toml": (".toml",),
    "typescript": (".ts", ".tsx", ".mts"),
    "vb": (".vb", ".vbs"),
    "vue": (".vue", ".svelte"),
    "yaml": (".yaml", ".yml"),
    "zig": (".zig",),
}
_BY_SUFFIX = {suffix: language for language, suffixes in LANGUAGES.items() for suffix in suffixes}
_BY_NAME = {"dockerfile": "dockerfile", "makefile": "make", "cmakelists.txt": "cmake", "rakefile": "ruby"}


def language(name: str) -> str | None:
    """The language that a file's name tells."""
    return _BY_NAME.get(name.lower()) or _BY_SUFFIX.get(PurePosixPath(name).suffix.lower())


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    text, name_of_encoding = encoding.decode(data)
    return ParsedText(
        text=text,
        media_type="text/x-source",
        parser="code",
        structure="code",
        language=language(PurePosixPath(name.replace("\\", "/")).name),
        metadata={"encoding": name_of_encoding},
    )

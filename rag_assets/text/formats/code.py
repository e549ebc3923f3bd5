"""Source code: every character of it, and which language it is."""

import re
from pathlib import PurePosixPath

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding

_SUFFIXES = {
    "ada": "ada adb ads",
    "asm": "asm s",
    "bash": "sh bash zsh ksh",
    "bat": "bat cmd",
    "c": "c h",
    "clojure": "clj cljs cljc edn",
    "cmake": "cmake",
    "cobol": "cob cbl",
    "cpp": "cc cpp cxx hh hpp hxx ino ipp cu cuh",
    "csharp": "cs csx",
    "css": "css scss less sass",
    "d": "d",
    "dart": "dart",
    "diff": "diff patch",
    "elisp": "el",
    "elixir": "ex exs",
    "elm": "elm",
    "erlang": "erl hrl",
    "fortran": "f f77 f90 f95 for",
    "fsharp": "fs fsi fsx",
    "go": "go",
    "graphql": "graphql gql",
    "groovy": "groovy gradle",
    "haskell": "hs lhs",
    "hcl": "tf tfvars hcl",
    "ini": "ini cfg conf properties env editorconfig",
    "java": "java",
    "javascript": "js mjs cjs jsx",
    "json": "json5 jsonc",
    "julia": "jl",
    "kotlin": "kt kts",
    "lisp": "lisp lsp cl",
    "lua": "lua",
    "make": "mk mak",
    "nim": "nim",
    "nix": "nix",
    "objc": "m mm",
    "ocaml": "ml mli",
    "pascal": "pas dpr pp",
    "perl": "pl pm t",
    "php": "php phtml",
    "powershell": "ps1 psm1 psd1",
    "prolog": "pro",
    "proto": "proto thrift",
    "python": "py pyi pyx pyw",
    "r": "r",
    "ruby": "rb rake gemspec",
    "rust": "rs",
    "scala": "scala sc sbt",
    "scheme": "scm ss rkt",
    "solidity": "sol",
    "sql": "sql ddl pls psql",
    "svelte": "svelte",
    "swift": "swift",
    "tcl": "tcl",
    "tex": "tex sty cls bib",
    "toml": "toml",
    "typescript": "ts tsx mts cts",
    "vb": "vb vbs bas",
    "verilog": "v sv vh",
    "vhdl": "vhd vhdl",
    "vim": "vim",
    "vue": "vue",
    "yaml": "yaml yml",
    "zig": "zig",
}
_BY_SUFFIX = {f".{suffix}": language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_BY_NAME = {
    "makefile": "make",
    "gnumakefile": "make",
    "dockerfile": "dockerfile",
    "containerfile": "dockerfile",
    "cmakelists.txt": "cmake",
    "rakefile": "ruby",
    "gemfile": "ruby",
    "vagrantfile": "ruby",
    "jenkinsfile": "groovy",
    "build.bazel": "python",
}
_SHEBANG = re.compile(r"#!\s*\S*?(?:env\s+(?:-\S+\s+)*)?([a-z]+)[\d.]*\b[^/\n]*$", re.MULTILINE)
_BY_INTERPRETER = {
    "sh": "bash", "bash": "bash", "zsh": "bash", "ksh": "bash", "dash": "bash", "python": "python", "pypy": "python",
    "perl": "perl", "ruby": "ruby", "node": "javascript", "deno": "typescript", "php": "php", "rscript": "r",
    "lua": "lua", "tclsh": "tcl", "pwsh": "powershell", "make": "make", "groovy": "groovy", "awk": "awk",
}  # fmt: skip
# Matlab and Objective-C, Prolog and Perl share suffixes with each other; these words tell.
_NOT_OBJC = re.compile(r"^\s*(?:%|function\b)", re.MULTILINE)


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The source letter by letter, with line feeds at its ends of lines; its language by name, suffix or first line."""
    text, found = encoding.exact(data)
    text = encoding.with_line_feeds(text)
    return ParsedText(
        text=text,
        media_type="text/x-source",
        parser="code",
        structure="code",
        language=language(name, text[:4096]),
        metadata={"encoding": found},
    )


def language(name: str, head: str = "") -> str | None:
    """The language of a file, by its name or its first line; None when it is not known as source code."""
    file = PurePosixPath(name.replace("\\", "/")).name.lower()
    found = _BY_NAME.get(file) or _BY_SUFFIX.get(PurePosixPath(file).suffix)
    if found == "objc" and _NOT_OBJC.search(head):
        return "matlab"
    if found is None and "." not in file and head.startswith("#!"):
        match = _SHEBANG.match(head.partition("\n")[0].lower())
        return _BY_INTERPRETER.get(match.group(1)) if match else None
    return found

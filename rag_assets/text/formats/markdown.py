"""Markdown: its text as it is, without front matter and comments; the front matter becomes metadata."""

import re
from typing import Any

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding

FRONT_MATTER_CHARACTERS = 20_000
FRONT_MATTER_FIELDS = 100  # of front matter that are kept
FIELD_CHARACTERS = 1_000

_FRONT_MATTER = re.compile(r"(---|\+\+\+)[ \t]*\n(.*?)^(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"""["']?([A-Za-z_][\w .-]{0,60}?)["']?[ \t]*[:=](?:[ \t]+|$|(?=["'\[]))(.*)""")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)")
_BLOCK = re.compile(r"[|>][-+0-9]*[ \t]*")
_LIST = re.compile(r"\[(.*)\]")
_TITLE = re.compile(r"^# +(.+?)(?: +#+)?[ \t]*$", re.MULTILINE)
_UNDERLINED_TITLE = re.compile(r"\s*(\S[^\n]*)\n=+[ \t]*$", re.MULTILINE)
_LATER_TITLE = re.compile(r"^(\S[^\n]*)\n=+[ \t]*$", re.MULTILINE)
_MARK = re.compile(r"^ {0,3}(`{3,}|~{3,}|<!--)", re.MULTILINE)
_REST_OF_LINE = re.compile(r"[ \t]*\n?")


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The text as it is, without front matter (its fields become metadata) and comments."""
    reading = encoding.read(data)
    body, fields = split_front_matter(reading.text)
    body = without_comments(body.replace("\f", "\n"))
    heading = _UNDERLINED_TITLE.match(body) or _TITLE.search(body)
    title = _plain(fields.get("title")) or (heading and heading.group(1))
    return ParsedText(
        text=_headed(body, fields),
        media_type="text/markdown",
        parser="markdown",
        title=title or None,
        metadata={**fields, "encoding": reading.encoding},
        warnings=reading.warnings,
    )


def split_front_matter(text: str) -> tuple[str, dict[str, Any]]:
    """The text after a YAML or TOML header, and the header's simple fields: strings and lists of strings."""
    match = _FRONT_MATTER.match(text[:FRONT_MATTER_CHARACTERS].lstrip("\n"))
    if not match:
        return text, {}
    fields = _fields(match.group(2))
    if not fields:
        return text, {}  # a rule at the top of the page, and another one below
    return text.lstrip("\n")[match.end() :].lstrip("\n"), fields


def without_comments(text: str) -> str:
    """Without HTML comments that begin a line, outside of fences."""
    if "<!--" not in text:
        return text
    kept, at, fence = [], 0, ""
    for match in _MARK.finditer(text):
        mark = match.group(1)
        if match.start() < at:
            continue
        if fence or mark != "<!--":
            fence = mark if not fence else "" if mark.startswith(fence) else fence
            continue
        end = text.find("-->", match.end())
        if end < 0:
            break
        kept.append(text[at : match.start()])
        rest = _REST_OF_LINE.match(text, end + 3)
        at = rest.end() if rest else end + 3
    return "".join([*kept, text[at:]])


def _headed(body: str, fields: dict[str, Any]) -> str:
    """Title and description head the text where it has none: they are words of the document that readers search."""
    title, description = _plain(fields.get("title")), _plain(fields.get("description") or fields.get("summary"))
    lines = [f"# {title}"] if title and not _is_titled(body, title) else []
    lines += [description] if description and description not in body[:2000] else []
    return "\n\n".join([*lines, body]) if lines else body


def _is_titled(body: str, title: str) -> bool:
    """Whether the text begins with a title, or has this one further down: below badges, or a table of contents."""
    if _TITLE.match(body.lstrip()) or _UNDERLINED_TITLE.match(body):
        return True
    if title not in body:
        return False
    return any(found.group(1).strip() == title for form in (_TITLE, _LATER_TITLE) for found in form.finditer(body))


def _plain(value: object) -> str | None:
    return " ".join(value.split()) if isinstance(value, str) else None


def _fields(header: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    key = ""
    for line in header.split("\n"):
        field = _FIELD.fullmatch(line)
        if field and len(fields) < FRONT_MATTER_FIELDS:
            key = field.group(1).lower()
            fields[key] = _value(field.group(2))
        elif key and line.strip() and not line.lstrip().startswith("#"):
            fields[key] = _continued(fields[key], line)
    return {key: value for key, value in fields.items() if value not in ("", [])}


def _value(text: str) -> str | list[str]:
    text = text.strip()
    if _BLOCK.fullmatch(text):
        return ""
    inline = _LIST.fullmatch(text)
    if inline:
        return [_unquoted(item) for item in inline.group(1).split(",") if item.strip()]
    return _unquoted(text)[:FIELD_CHARACTERS]


def _continued(value: Any, line: str) -> Any:
    item = _ITEM.fullmatch(line)
    if item and (value == "" or isinstance(value, list)):
        return [*(value or []), _unquoted(item.group(1))][:FRONT_MATTER_FIELDS]
    if isinstance(value, str) and line[0] in " \t":
        return f"{value} {line.strip()}".strip()[:FIELD_CHARACTERS]
    return value


def _unquoted(text: str) -> str:
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text

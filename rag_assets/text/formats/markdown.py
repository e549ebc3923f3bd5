"""Markdown: its text as it is, without the front matter, which becomes metadata."""

import re

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)\n\1[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^([A-Za-z_][\w.-]*)[ \t]*[:=][ \t]*(.*?)[ \t]*$", re.MULTILINE)
_TITLE = re.compile(r"^# +(.+?)(?: +#+)?$", re.MULTILINE)
_COMMENT = re.compile(r"^<!--.*?-->[ \t]*\n?", re.DOTALL | re.MULTILINE)
FRONT_MATTER_CHARACTERS = 10_000


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    text, name_of_encoding = encoding.decode(data)
    text, fields = split_front_matter(text)
    heading = _TITLE.search(text)
    title = fields.get("title") or (heading.group(1) if heading else None)
    metadata = {"encoding": name_of_encoding, **({"front_matter": fields} if fields else {})}
    return ParsedText(text=text, media_type="text/markdown", parser="markdown", title=title, metadata=metadata)


def split_front_matter(text: str) -> tuple[str, dict[str, str]]:
    """The text after a YAML or TOML header, and the header's simple fields.

    A header's words (title, description ...) are part of what a reader searches for: they head the text.
    """
    match = _FRONT_MATTER.match(text[:FRONT_MATTER_CHARACTERS])
    if not match:
        return text, {}
    fields = {key.lower(): value.strip("\"'") for key, value in _FIELD.findall(match.group(2)) if value}
    shown = [fields[key] for key in ("title", "description", "summary") if fields.get(key, "").strip("|>- ")]
    body = text[match.end() :].lstrip("\n")
    if not shown:
        return body, fields
    heading = f"# {shown[0]}" if "title" in fields and not body.startswith("# ") else shown[0]
    return "\n\n".join([heading, *shown[1:], body]), fields

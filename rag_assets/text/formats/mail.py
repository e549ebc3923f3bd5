"""Mail: who wrote what to whom and when, the best body, and what is attached; also whole mailboxes."""

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import Message
from typing import Any

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import html

NESTED = 5  # messages within messages that are read
HEADER_CHARACTERS = 10_000  # of one field; the standard library takes quadratic time over more
SHOWN = ("Subject", "From", "To", "Cc", "Date")

_NEXT = re.compile(rb"(?:\A|\r?\n\r?\n)From \S+[^\r\n]*\d{4}[^\r\n]*\r?\n(?=[A-Za-z-]+:)")  # a mailbox's separator
_ADDRESS_QUOTES = re.compile(r'"([^"<>@]*)"(?=\s*<)')


class _Policy(email.policy.EmailPolicy):
    def header_fetch_parse(self, name: str, value: str) -> Any:
        return super().header_fetch_parse(name, value[:HEADER_CHARACTERS] if len(value) > HEADER_CHARACTERS else value)


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    data = _narrow(data).lstrip(b"\r\n\t ")
    texts, warnings = [], []
    messages = [_message(part) for part in _NEXT.split(data) if part.strip()]
    for message in messages:
        texts.append(_text(message, depth=0))
        warnings.extend(_defects(message))
    first = messages[0]
    title = _header(first, "Subject") or None
    facts = {key.lower(): value for key in SHOWN if (value := _header(first, key))}
    return ParsedText(
        text=encoding.clean("\n\n".join(texts)),
        media_type="message/rfc822",
        parser="mail",
        title=title,
        metadata={**facts, "messages": len(messages), "attachments": list(_attachment_names(first))},
        warnings=tuple(dict.fromkeys(warnings)),
    )


def body(data: bytes) -> str:
    """What a message says, without who wrote it: a page that was saved as one."""
    return _body(_message(_narrow(data).lstrip(b"\r\n\t ")))


def _narrow(data: bytes) -> bytes:
    """Mail is written in bytes; what was saved as UTF-16, or with a byte order mark, is brought back to that."""
    if encoding.wide(data) or data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return encoding.exact(data)[0].encode("utf-8", "replace")
    return data


def _message(data: bytes) -> Message:
    return email.message_from_bytes(data, policy=_Policy())


def _text(message: Message, *, depth: int) -> str:
    lines = [f"{key}: {value}" for key in SHOWN if (value := _header(message, key))]
    subject = _header(message, "Subject")
    blocks = [f"{'#' * min(depth + 1, 6)} {subject}" if subject else "", "\n".join(lines), _body(message)]
    blocks += _attachments(message, depth=depth)
    return "\n\n".join(block for block in blocks if block.strip())


def _header(message: Message, key: str) -> str:
    """Decoded, on one line. What the parser of the standard library cannot read is taken as it stands."""
    try:
        value = str(message.get(key) or "")
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):
        raw = next((text for field, text in message.raw_items() if field.lower() == key.lower()), "")
        value = str(raw)
    text = value if value.isascii() else encoding.decode(value.encode("utf-8", "surrogateescape"))[0]
    return " ".join(_ADDRESS_QUOTES.sub(r"\1", text).split())


def _body(message: Message) -> str:
    """The plain part of alternatives, unless it is a stub beside HTML; all parts of a mixture."""
    shown: list[str] = []
    for part in _inline(message):
        text = _part_text(part)
        if text.strip():
            shown.append(text.strip("\n"))
    return "\n\n".join(shown)


def _inline(message: Message) -> Iterator[Message]:
    stack: list[Message] = [message]
    while stack:
        part = stack.pop()
        kind = part.get_content_type()
        if kind == "multipart/alternative":
            chosen = _best(part)
            stack.extend([chosen] if chosen is not None else [])
        elif part.is_multipart() and part.get_content_maintype() == "multipart":
            stack.extend(reversed(_parts(part)))
        elif part.get_content_maintype() == "text" and not _is_attached(part):
            yield part


def _best(alternatives: Message) -> Message | None:
    parts = [part for part in _parts(alternatives) if not _is_attached(part)]
    plain = next((part for part in parts if part.get_content_type() == "text/plain"), None)
    rich = next((part for part in reversed(parts) if part is not plain), None)
    if plain is None or rich is None:
        return plain if rich is None else rich
    if rich.get_content_type() == "text/calendar":
        return plain
    words = _part_text(plain).split()
    stub = len(words) < 20 and len("".join(_body(rich).split())) > 2 * len("".join(words))
    return rich if stub else plain


def _parts(message: Message) -> list[Message]:
    payload = message.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def _part_text(part: Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    kind = part.get_content_subtype()
    charset = part.get_content_charset() or (html.declared(data) if kind == "html" else None)
    text = encoding.decode(data, declared=charset)[0]
    if kind == "html":
        return html.to_markdown(text)
    return _unflowed(text) if part.get_param("format") == "flowed" else text


def _unflowed(text: str) -> str:
    """Lines that a mail program broke softly (RFC 3676) are one line again."""
    return re.sub(r"(?<!^--) \n(?![>\n])", " ", text, flags=re.MULTILINE)


# ---- attachments


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_file_name(part))


def _file_name(part: Message) -> str:
    try:
        return " ".join((part.get_filename() or "").split())
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):
        return "attachment"


def _attached(message: Message) -> Iterator[Message]:
    """Attachments, and messages that were passed on; not what is inside of those."""
    stack = list(reversed(_parts(message))) if message.get_content_maintype() == "multipart" else []
    while stack:
        part = stack.pop()
        if part.get_content_maintype() == "multipart":
            stack.extend(reversed(_parts(part)))
        elif part.get_content_type() == "message/rfc822" or _is_attached(part):
            yield part


def _attachment_names(message: Message) -> Iterator[str]:
    return (name for part in _attached(message) if (name := _file_name(part)))


def _attachments(message: Message, *, depth: int) -> Iterator[str]:
    for part in _attached(message):
        name = _file_name(part)
        if part.get_content_type() == "message/rfc822":
            yield from (_text(inner, depth=depth + 1) for inner in _parts(part) if depth < NESTED)
        elif part.get_content_maintype() == "text" and part.get_content_subtype() != "calendar":
            yield f"Attachment: {name}\n\n{_part_text(part).strip()}"
        else:
            yield f"Attachment: {name} ({part.get_content_type()})"


def _defects(message: Message) -> list[str]:
    found: Any = message.defects
    return [f"damaged mail: {type(defect).__name__}" for defect in found]

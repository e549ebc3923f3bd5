"""Mail: who wrote what to whom and when, the best body, and what is attached; also whole mailboxes."""

import base64
import binascii
import email
import email.policy
import quopri
import re
from collections.abc import Iterator
from email.message import Message
from typing import Any

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import html, markup

NESTED_MESSAGES = 5  # messages within messages that are read
HEADER_CHARACTERS = 10_000  # of one field; the standard library takes quadratic time over more
MOST_PARAMETERS = 50  # of one field; the standard library takes quadratic time over more, each time it is asked
MOST_COMMENTS = 50  # within each other, in one field; the standard library reads them by recursion
SHOWN_HEADERS = ("Subject", "From", "To", "Cc", "Date")

_NEXT = re.compile(rb"(?:\A|\r?\n\r?\n)From \S+[^\r\n]*\d{4}[^\r\n]*\r?\n(?=[A-Za-z-]+:)")  # a mailbox's separator
_ADDRESS_QUOTES = re.compile(r'"([^"<>@]*)"(?=\s*<)')
_ENCODED = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]{0,20})?\?([BbQq])\?([^?]{0,2000})\?=")
_ENCODED_RUN = re.compile(
    r"=\?[\w.:*-]{1,60}\?[BbQq]\?[^?]{0,2000}\?=(?:\s*=\?[\w.:*-]{1,60}\?[BbQq]\?[^?]{0,2000}\?=)*"
)
_MESSAGES = ("message/rfc822", "message/global", "message/news", "message/partial")
_FOR_PROGRAMS = ("text/calendar", "text/x-amp-html", "text/watch-html")  # alternatives that no reader sees


class _Policy(email.policy.EmailPolicy):
    def header_fetch_parse(self, name: str, value: str) -> Any:
        value = value[:HEADER_CHARACTERS] if len(value) > HEADER_CHARACTERS else value
        if name.lower().startswith("content-"):
            value = ";".join(value.split(";", MOST_PARAMETERS + 1)[: MOST_PARAMETERS + 1])
        if value.count("(") > MOST_COMMENTS:
            value = value.replace("(", " ")
        return super().header_fetch_parse(name, _ENCODED_RUN.sub(_one_word, value) if "=?" in value else value)


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The messages of a file, one or a mailbox, each below its subject, with what is attached to them."""
    data = _narrow(data).lstrip(b"\r\n\t ")
    texts, warnings = [], []
    messages = [_message(part) for part in _NEXT.split(data) if part.strip()]
    for message in messages:
        texts.append(_text(message, depth=0))
        warnings.extend(_defects(message))
    first = messages[0]
    title = _header(first, "Subject") or None
    facts = {key.lower(): value for key in SHOWN_HEADERS if (value := _header(first, key))}
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


def _one_word(run: re.Match[str]) -> str:
    """A run of encoded words as one in UTF-8: writers cut them within a character, or name a subset of their code."""
    stretches: list[tuple[str, bytes]] = []
    for charset, form, text in _ENCODED.findall(run.group()):
        charset = charset.lower()
        before = stretches.pop()[1] if stretches and stretches[-1][0] == charset else b""
        stretches.append((charset, before + _word_bytes(form, text)))
    text = "".join(encoding.decode(data, declared=charset)[0] for charset, data in stretches)
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def _word_bytes(form: str, text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return quopri.decodestring(data, header=True) if form in "qQ" else _from_base64(data)


def _from_base64(data: bytes) -> bytes:
    """What base64 stands for; where it is cut off or damaged, as much as there is."""
    letters = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
    letters = letters[:-1] if len(letters) % 4 == 1 else letters
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return b""


def _text(message: Message, *, depth: int) -> str:
    lines = [f"{key}: {value}" for key in SHOWN_HEADERS if (value := _header(message, key))]
    subject = _header(message, "Subject")
    blocks = [f"{markup.heading_mark(depth + 1)} {subject}" if subject else "", "\n".join(lines), _body(message)]
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
    """The parts that are the text; the whole of a message is that, and one of alternatives, whatever their names."""
    stack: list[Message] = [message]
    bodies = {id(message)}
    while stack:
        part = stack.pop()
        if part.get_content_type() == "multipart/alternative":
            chosen = [one for one in (_best(part),) if one is not None]
            bodies.update(map(id, chosen))
            stack += chosen
        elif part.get_content_maintype() == "multipart":
            stack.extend(reversed(_parts(part)))
        elif _is_text(part) and (id(part) in bodies or not _is_attached(part)):
            yield part


def _best(alternatives: Message) -> Message | None:
    parts = [part for part in _parts(alternatives) if part.is_multipart() or _is_alternative(part)]
    parts = [part for part in parts if part.get_content_type() not in _FOR_PROGRAMS] or parts
    plain = next((part for part in parts if part.get_content_type() == "text/plain"), None)
    rich = next((part for part in reversed(parts) if part is not plain), None)
    if plain is None or rich is None:
        return plain if rich is None else rich
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
    return (
        _unflowed(text, joined=_parameter(part, "delsp") == "yes") if _parameter(part, "format") == "flowed" else text
    )


def _parameter(part: Message, name: str) -> str:
    return str(part.get_param(name, "")).strip().lower()


def _unflowed(text: str, *, joined: bool) -> str:
    """Lines that a mail program broke softly (RFC 3676) are one line again.

    With `joined` (DelSp=yes) the space before a soft break belongs to the break, not to the text.
    """
    out: list[str] = []
    flows, depth = False, 0
    for line in text.split("\n"):
        words = line.lstrip(">")
        quotes = len(line) - len(words)
        words = words.removeprefix(" ")  # stuffed
        goes_on = flows and quotes == depth and words not in ("", "-- ")
        flows, depth = words.endswith(" ") and words != "-- ", quotes
        words = words[:-1] if flows and joined else words
        out.append(words if goes_on else f"\n{'>' * quotes}{' ' if quotes else ''}{words}")
    return "".join(out)[1:]


# ---- attachments


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_file_name(part))


def _is_alternative(part: Message) -> bool:
    """Among alternatives only what is called an attachment is one: bodies have names, too."""
    return not part.is_multipart() and part.get_content_disposition() != "attachment"


def _file_name(part: Message) -> str:
    try:
        return " ".join((part.get_filename() or "").split())
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):
        return "attachment"


def _attached(message: Message) -> Iterator[Message]:
    """Attachments, and messages that were passed on; not what is inside of those."""
    stack = [message]
    while stack:
        part = stack.pop()
        if part.get_content_type() == "multipart/alternative":
            stack.extend(reversed([one for one in _parts(part) if not _is_alternative(one)]))
        elif part.get_content_maintype() == "multipart":
            stack.extend(reversed(_parts(part)))
        elif part.get_content_maintype() == "message" or (
            _is_attached(part) if part is not message else not _is_text(part)
        ):
            yield part


def _is_text(part: Message) -> bool:
    return part.get_content_maintype() == "text"


def _passed_on(part: Message) -> Iterator[Message]:
    """The messages in a part; some programs encode them, although none may (RFC 2046, 5.2.1)."""
    coding = str(part.get("Content-Transfer-Encoding") or "").strip().lower()
    for inner in _parts(part):
        if coding in ("base64", "quoted-printable"):
            data = inner.as_bytes(policy=email.policy.compat32.clone(max_line_length=None))
            inner = _message((_from_base64(data) if coding == "base64" else quopri.decodestring(data)).lstrip())
        yield inner


def _attachment_names(message: Message) -> Iterator[str]:
    return (name for part in _attached(message) if (name := _file_name(part)))


def _attachments(message: Message, *, depth: int) -> Iterator[str]:
    for part in _attached(message):
        name = _file_name(part)
        if part.get_content_maintype() == "message" and part.get_content_type() not in _MESSAGES:
            yield "\n".join(_fields(part))
        elif part.get_content_maintype() == "message":
            yield from (_text(inner, depth=depth + 1) for inner in _passed_on(part) if depth < NESTED_MESSAGES)
        elif _is_text(part) and part.get_content_subtype() != "calendar":
            yield f"Attachment: {name}\n\n{_part_text(part).strip()}"
        else:
            yield f"Attachment: {name} ({part.get_content_type()})"


def _fields(part: Message) -> Iterator[str]:
    """What is said of a delivery, a receipt or a complaint: fields of one or several blocks."""
    for block in _parts(part):
        yield from (f"{key}: {_header(block, key)}" for key in dict.fromkeys(block.keys()))


def _defects(message: Message) -> list[str]:
    found: Any = message.defects
    return [f"damaged mail: {type(defect).__name__}" for defect in found]

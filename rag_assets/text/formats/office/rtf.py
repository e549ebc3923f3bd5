"""RTF: text in any code page, headings, tables, lists, notes; nothing of pictures, fonts and other machinery."""

import re
from collections.abc import Callable
from itertools import groupby

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import markup
from rag_assets.text.formats.office import word_styles

MEDIA_TYPE = "application/rtf"
MAX_GROUPS = 10_000  # within one another
MAX_CELLS = 1_000  # of one row
MAX_SKIPPED = 100  # characters that stand for one of Unicode, for readers that do not know it

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})?[ ]?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\"
)
_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_BULLETS = "·•▪◦‣∙§¨ØüoqvÞ\uf0b7\uf0a7"

_CHARSETS = {0: "cp1252", 2: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030",
             136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
             204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850"}  # fmt: skip
_CHARACTERS = {"tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“",
               "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ", "qmspace": " ", "zwj": "\u200d",
               "zwnj": "\u200c", "lbr": "\n", "softline": "\n"}  # fmt: skip
_SYMBOLS = {b"~": "\u00a0", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}"}
# Groups that hold no text of the document.
_SKIPPED = frozenset((
    "colortbl", "pict", "objdata", "objclass", "objname", "themedata", "colorschememapping", "datastore",
    "latentstyles", "listtable", "generator", "listoverridetable", "rsidtbl", "xmlnstbl", "filetbl", "revtbl",
    "fldinst", "datafield", "bkmkstart", "bkmkend", "sn", "sv", "pnseclvl", "nonshppict", "nonesttables",
    "mmathPr", "ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc", "aftncn", "tc", "xe", "txe", "rxe",
    "formfield", "company", "operator", "category", "keywords", "comment", "doccomm", "hlinkbase", "creatim",
    "revtim", "printim", "buptim", "userprops", "template", "atnid", "atntime", "atndate", "atnref",
    "atnparent", "atnauthor", "atrfstart", "atrfend", "wgrffmtfilter", "shprslt", "pn",
))  # fmt: skip
# Optional groups (\*) that do hold text, or tell how it is to be read.
_READ_OPTIONAL = frozenset((
    "shpinst", "shptxt", "do", "dptxbxtext", "nesttableprops", "ud", "pntext", "annotation", "footnote",
))  # fmt: skip
# What no group can be, although some writers put \\* before it: the look of the text that follows.
_LOOKS = frozenset((
    "b", "i", "ul", "f", "fs", "cf", "cb", "cs", "ds", "ts", "s", "lang", "langfe", "kerning", "highlight", "strike",
    "caps", "scaps", "plain", "pard", "charrsid", "insrsid", "super", "sub", "nosupersub",
))  # fmt: skip
_LATIN = ("cp1252", "cp1250", "cp1254", "cp1257", "cp437", "cp850", "mac_roman")
UTF8_CHARACTERS = 4  # beyond ASCII, that another script's code page is hardly by chance
_MARGINS = frozenset((
    "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf",
))  # fmt: skip
_STORIES = _MARGINS | {"footnote", "annotation", "shptxt", "dptxbxtext"}
_ALTERNATIVE = "upr:"  # before the destination of what is there twice, for old and new readers
_PROPERTIES = frozenset(("title", "author", "subject"))


class _Story:
    """A stretch of text with paragraphs of its own: the body, a note, a header, a box."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.blocks: list[tuple[str, str]] = []  # kind, text
        self.parts: list[str] = []
        self.rows: list[list[str]] = []
        self.cells: list[str] = []
        self.cell: list[str] = []  # paragraphs of the cell that is being read
        self.inner_rows: list[list[str]] = []
        self.inner_cells: list[str] = []
        self.notes: list[str] = []  # for after the paragraph
        self.is_item = False

    def end_paragraph(self, *, in_table: bool = False, level: int | None = None, code: bool = False) -> None:
        whole, is_item = "".join(self.parts), self.is_item
        text = whole.strip()
        self.parts, self.is_item = [], False
        if in_table:
            self.cell += [text] if text else []
            return
        self.end_table()
        if text and level is not None:
            self.blocks.append(("heading", markup.heading(text, level)))
        elif code:
            self.blocks.append(("code", markup.without_fences(whole.rstrip())))
        elif text:
            self.blocks.append(("item", text.replace("\n", " ")) if is_item else ("prose", markup.prose(text)))
        self._add_notes()

    def end_cell(self) -> None:
        text = "".join(self.parts).strip()
        self.parts = []
        inner = [markup.flat(self.inner_rows)] if self.inner_rows else []
        if len(self.cells) < MAX_CELLS:
            self.cells.append(" ".join(filter(None, [*self.cell, *inner, text])))
        self.cell, self.inner_rows, self.inner_cells = [], [], []

    def end_inner_cell(self) -> None:
        text = "".join(self.parts).strip()
        self.parts = []
        if len(self.inner_cells) < MAX_CELLS:
            self.inner_cells.append(" ".join([*self.cell, text]).strip())
        self.cell = []

    def end_inner_row(self) -> None:
        self.inner_rows.append(self.inner_cells)
        self.inner_cells = []

    def end_row(self) -> None:
        if self.parts or self.cell:
            self.end_cell()
        self.rows.append(self.cells)
        self.cells = []

    def end_table(self) -> None:
        if self.cells or self.cell:
            self.end_row()
        if self.rows:
            table = markup.table(self.rows)
            self.blocks += [("table", table)] if table else []
            self.rows = []

    def text(self) -> str:
        """All of it; items of a list stay together."""
        out: list[str] = []
        for kind, group in groupby(self.blocks, key=lambda block: block[0]):
            texts = [text for _, text in group]
            if kind == "code":
                listing = "\n".join(texts).strip("\n")
                texts = [f"```\n{listing}\n```"] if listing.strip() else []
            out.append(("\n" if kind == "item" else "\n\n").join(texts))
        return "\n\n".join(filter(None, out)).strip("\n")

    def _add_notes(self) -> None:
        self.blocks += [("prose", note) for note in self.notes]
        self.notes = []


class _State:
    """What a group inherits from the one around it; `destination` is "" where text belongs to the story."""

    __slots__ = ("codec", "deleted", "destination", "font", "in_table", "label_start", "level", "story", "style", "uc")

    def __init__(self, story: _Story) -> None:
        self.codec = ""  # that of the default font
        self.deleted = False
        self.destination = ""
        self.font = -1
        self.in_table = False
        self.label_start = -1  # where the number of a list begins in the paragraph
        self.level: int | None = None
        self.story = story
        self.style = -1
        self.uc = 1

    def skips(self) -> bool:
        return self.destination == "skip" or self.destination.startswith(_ALTERNATIVE)

    def skip(self, *, alternative: bool) -> None:
        """Nothing of this group is read, but for the \\ud within it if there is an `alternative` in Unicode."""
        self.destination = f"{_ALTERNATIVE}{self.destination}" if alternative else "skip"

    def read_alternative(self) -> None:
        if self.destination.startswith(_ALTERNATIVE):
            self.destination = self.destination.removeprefix(_ALTERNATIVE)

    def copy(self) -> "_State":
        other = _State(self.story)
        other.codec, other.deleted, other.destination, other.font = (
            self.codec, self.deleted, self.destination, self.font
        )  # fmt: skip
        other.in_table, other.label_start, other.level = self.in_table, self.label_start, self.level
        other.style, other.uc = self.style, self.uc
        return other


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The document's text; raises DocumentError corrupt, no_text, too_large."""
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
        raise DocumentError("corrupt", f"{name}: it does not begin as RTF does")
    reader = _Reader(name)
    reader.read(data)
    text = encoding.clean(reader.text())
    if not text.strip():
        raise DocumentError("no_text", f"{name}: an RTF document of {len(data):,} bytes without any text")
    warnings = ("the document is cut off: groups stay open at its end",) if reader.open_groups else ()
    properties = {key: value for key, value in reader.properties.items() if value}
    return ParsedText(
        text=text,
        media_type=MEDIA_TYPE,
        parser="rtf",
        title=properties.pop("title", None),
        metadata=properties,
        warnings=warnings,
    )


class _Reader:
    """The state machine: groups, control words, bytes in changing code pages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.body = _Story("body")
        self.state = _State(self.body)
        self.properties: dict[str, str] = {}
        self.levels: dict[int, int] = {}  # style -> heading level
        self.code: set[int] = set()  # styles of code
        self.fonts: dict[int, str] = {}  # font -> codec
        self._stack: list[_State] = []
        self._margins: list[str] = []
        self._default_codec = "cp1252"
        self._default_font = 0
        self._bytes = bytearray()
        self._bytes_codec = ""
        self._begins = False  # a group has been opened, and nothing of it read
        self._optional = False  # a group that only some readers know begins
        self._skip = 0  # characters that stand for one already read
        self._high = 0  # first half of a character outside of the basic plane
        self._notes = 0
        self._jump = 0  # bytes of a binary part
        self.open_groups = 0  # at the end of a document that is cut off

    def read(self, data: bytes) -> None:
        at: int | None = data.index(b"{")
        while at is not None:
            at = self._read_on(data, at)
        self.open_groups = len(self._stack)
        while self._stack:
            self._close()
        self._flush()
        self.body.end_paragraph()

    def _read_on(self, data: bytes, at: int) -> int | None:
        """Up to a binary part, behind which it goes on at the place that is returned, or to the document's end."""
        for match in _TOKEN.finditer(data, at):
            self._take(match)
            if self._jump:
                jump, self._jump = self._jump, 0
                return match.end() + jump
            if not self._stack and match.group(5) == b"}":
                break  # what follows the document is none of it
        return None

    def text(self) -> str:
        margins = [text for text in dict.fromkeys(self._margins) if any(map(str.isalpha, text))]
        return "\n\n".join(filter(None, [self.body.text(), *margins])) + "\n"

    def _take(self, match: re.Match[bytes]) -> None:
        kind = match.lastindex
        if kind is None:
            return  # the end of a line of the file
        begins, self._begins = self._begins, False
        if kind <= 2:
            word, number = match.group(1, 2)
            if word in _KNOWN_WORDS or self._optional or self._skip:  # most of them are looks, which no text depends on
                self._word(word.decode("ascii"), int(number) if number is not None else None)
        elif kind == 3:
            self._text(bytes((int(match[3], 16),)))
        elif kind == 4:
            self._optional = begins if match[4] == b"*" else self._optional
            self._symbol(match[4])
        elif kind == 5:
            self._skip = 0
            self._begins = match[5] == b"{"
            (self._open if self._begins else self._close)()
        else:
            self._text(match[6])

    def _text(self, text: bytes) -> None:
        if self._skip:
            dropped = min(self._skip, len(text))
            self._skip -= dropped
            text = text[dropped:]
        if not text or self.state.skips():
            return
        if text.isascii() and not self._bytes:
            self._append_text(text.decode("ascii"))
            return
        codec = self._codec()
        if self._bytes_codec != codec:
            self._flush()
            self._bytes_codec = codec
        self._bytes += text

    def _codec(self) -> str:
        """That of the font; properties of the document have none."""
        state = self.state
        if state.destination:
            return self._default_codec
        return state.codec or self.fonts.get(self._default_font, self._default_codec)

    def _flush(self) -> None:
        if self._bytes:
            data, self._bytes = bytes(self._bytes), bytearray()
            self._put(_decoded(data, self._bytes_codec))

    def _append_text(self, text: str) -> None:
        self._flush()
        self._put(text)

    def _put(self, text: str) -> None:
        state = self.state
        if state.destination == "":
            if not state.deleted:
                state.story.parts.append(text)
        elif state.destination == "stylesheet":
            if heading := _HEADING.match(text.strip()):
                self.levels[state.style] = int(heading.group(1))
            elif word_styles.is_code(text.strip().rstrip(";")):
                self.code.add(state.style)
        elif state.destination in _PROPERTIES:
            self.properties[state.destination] = (self.properties.get(state.destination, "") + text).strip()

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            return
        if self._skip:
            self._skip -= 1
        elif self._bytes and symbol in (b"\\", b"{", b"}"):
            self._text(symbol)  # the second byte of a character of East Asia may be one of these
        elif symbol in (b"\n", b"\r"):
            self._end_paragraph()
        elif symbol in _SYMBOLS:
            self._append_text(_SYMBOLS[symbol])

    def _open(self) -> None:
        if len(self._stack) >= MAX_GROUPS:
            raise DocumentError("corrupt", f"{self._name}: more than {MAX_GROUPS:,} groups within one another")
        self._flush()
        self._stack.append(self.state)
        self.state = self.state.copy()

    def _close(self) -> None:
        if not self._stack:
            return
        self._flush()
        inner, self.state = self.state, self._stack.pop()
        outer = self.state
        if inner.story is not outer.story:
            self._end_story(inner.story, outer.story)
        elif inner.label_start != outer.label_start:
            self._end_label(inner)

    def _end_story(self, story: _Story, outer: _Story) -> None:
        story.end_paragraph()
        text = story.text()
        if not text:
            return
        if story.kind in _MARGINS:
            self._margins.append(text)
        elif story.kind == "footnote":
            self._notes += 1
            outer.parts.append(f"[^{self._notes}]")
            outer.notes.append(f"[^{self._notes}]: {' '.join(text.split())}")
        elif story.kind == "annotation":
            outer.notes.append(f"> Comment: {' '.join(text.split())}")
        else:
            outer.notes.append(text)

    def _end_label(self, state: _State) -> None:
        """The number or bullet that a list shows; bullets are letters of symbol fonts."""
        story = state.story
        label = "".join(story.parts[state.label_start :]).strip()
        label = "-" if len(label) == 1 and label in _BULLETS else label
        story.parts[state.label_start :] = [f"{label} "] if label else []
        story.is_item = bool(label)

    def _word(self, word: str, number: int | None) -> None:
        optional, self._optional = self._optional, False
        if self._skip:
            self._skip -= 1
            return
        state = self.state
        if word == "bin":
            self._jump = max(0, number or 0)
        elif state.skips():
            if word == "ud":
                state.read_alternative()
        elif word == "upr" or self._is_skipped(word, optional=optional):
            self._flush()
            state.skip(alternative=word == "upr")
        elif word in _WORDS:
            _WORDS[word](self, number)
        else:
            self._plain_word(word)

    def _is_skipped(self, word: str, *, optional: bool) -> bool:
        if optional and word in _LOOKS and self.state.destination == "":
            return False
        return word in _SKIPPED or (optional and word not in _READ_OPTIONAL)

    def _plain_word(self, word: str) -> None:
        if word in _CHARACTERS:
            self._append_text(_CHARACTERS[word])
        elif word in _STORIES:
            self._flush()
            self.state.story = _Story(word)
            self.state.in_table, self.state.level = False, None
        elif word in _PROPERTIES or word in ("stylesheet", "fonttbl"):
            self.state.destination = word

    def _end_paragraph(self, number: int | None = None) -> None:
        self._flush()
        state = self.state
        state.story.end_paragraph(in_table=state.in_table, level=state.level, code=state.style in self.code)

    def _new_paragraph(self, number: int | None) -> None:
        self.state.in_table, self.state.level = False, None
        if self.state.destination == "":
            self.state.style = 0

    def _style(self, number: int | None) -> None:
        self.state.style = number or 0
        if self.state.destination == "":
            self.state.level = self.levels.get(self.state.style)

    def _outline(self, number: int | None) -> None:
        level = number + 1 if number is not None and 0 <= number < 9 else None
        if self.state.destination == "stylesheet" and level is not None:
            self.levels[self.state.style] = level
        self.state.level = level

    def _in_table(self, number: int | None) -> None:
        self.state.in_table = number != 0

    def _cell(self, number: int | None) -> None:
        self._flush()
        self.state.story.end_cell()

    def _row(self, number: int | None) -> None:
        self._flush()
        self.state.story.end_row()

    def _inner_cell(self, number: int | None) -> None:
        self._flush()
        self.state.story.end_inner_cell()

    def _inner_row(self, number: int | None) -> None:
        self._flush()
        self.state.story.end_inner_row()

    def _unicode(self, number: int | None) -> None:
        code = (number or 0) & 0xFFFF
        self._skip = min(self.state.uc, MAX_SKIPPED)
        if 0xD800 <= code < 0xDC00:
            self._high = code
        elif 0xDC00 <= code < 0xE000:
            if self._high:
                self._append_text(chr(0x10000 + ((self._high - 0xD800) << 10) + code - 0xDC00))
            self._high = 0
        else:
            self._append_text(chr(code))

    def _skipped(self, number: int | None) -> None:
        self.state.uc = max(0, 1 if number is None else number)

    def _font(self, number: int | None) -> None:
        self.state.font = number or 0
        if self.state.destination == "":
            self.state.codec = self.fonts.get(self.state.font, self._default_codec)

    def _charset(self, number: int | None) -> None:
        if self.state.destination == "fonttbl" and number in _CHARSETS:
            self.fonts[self.state.font] = self._default_codec if number == 0 else _CHARSETS[number]

    def _code_page(self, number: int | None) -> None:
        known = encoding.known("utf-8" if number == 65001 else f"cp{number}")
        if known and self.state.destination == "fonttbl":
            self.fonts[self.state.font] = known
        elif known:
            self._default_codec = known

    def _deleted(self, number: int | None) -> None:
        self._flush()
        self.state.deleted = number != 0

    def _plain(self, number: int | None) -> None:
        self._flush()
        self.state.deleted = False
        self.state.codec = ""

    def _set_default_font(self, number: int | None) -> None:
        self._default_font = number or 0

    def _label(self, number: int | None) -> None:
        self._flush()
        self.state.label_start = len(self.state.story.parts)


_WORDS: dict[str, Callable[[_Reader, int | None], None]] = {
    "par": _Reader._end_paragraph,
    "sect": _Reader._end_paragraph,
    "page": _Reader._end_paragraph,
    "pard": _Reader._new_paragraph,
    "s": _Reader._style,
    "outlinelevel": _Reader._outline,
    "intbl": _Reader._in_table,
    "cell": _Reader._cell,
    "row": _Reader._row,
    "nestcell": _Reader._inner_cell,
    "nestrow": _Reader._inner_row,
    "u": _Reader._unicode,
    "uc": _Reader._skipped,
    "f": _Reader._font,
    "deff": _Reader._set_default_font,
    "fcharset": _Reader._charset,
    "cpg": _Reader._code_page,
    "ansicpg": _Reader._code_page,
    "deleted": _Reader._deleted,
    "plain": _Reader._plain,
    "listtext": _Reader._label,
    "pntext": _Reader._label,
    "mac": lambda reader, number: reader._code_page(10000),
    "pc": lambda reader, number: reader._code_page(437),
    "pca": lambda reader, number: reader._code_page(850),
}
_KNOWN_WORDS = frozenset(
    word.encode()
    for word in ("bin", "upr", "ud", "stylesheet", "fonttbl", *_SKIPPED, *_CHARACTERS, *_STORIES, *_PROPERTIES, *_WORDS)
)


def _decoded(data: bytes, codec: str) -> str:
    """Some writers put UTF-8 where the code page should be; a few bytes of another script can look like it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(codec, errors="replace")
    if codec in _LATIN or len(text) - len(text.encode("ascii", "ignore")) >= UTF8_CHARACTERS:
        return text
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return text

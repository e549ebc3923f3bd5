"""What was read of a document and how it was cut, as Markdown for Dagster's page, in few bytes."""

import json
import re
import textwrap
from collections.abc import Iterable, Sequence

from rag_assets.model import Preview, counted
from rag_assets.postgres.buckets import Bucket

# A document's three events have 8,000 bytes together, of which Dagster takes 6,000 for itself and for the numbers.
READ_BYTES = 240  # of a preview of the text, as JSON: an event's bytes are those of JSON
TABLE_BYTES = 240  # of the rows of the table of chunks
CELL_BYTES = 60  # of a heading, or of the first words
MEMBERS = 20  # of a bucket, at most
MEMBERS_BYTES = 300  # of their rows
PICTURE_BARS = 16  # neighbours share one where there are more chunks
BAR_SIGNS = "▁▂▃▄▅▆▇█"
MARKS = frozenset("\\|`*_[]<>#~&")  # of Markdown and HTML
FENCE = re.compile("~{3,}")
# In columns: Dagster's page cuts off what is wider, on a screen of 1,400 pixels.
_WRAPPER = textwrap.TextWrapper(
    76, expand_tabs=False, replace_whitespace=False, break_long_words=False, break_on_hyphens=False
)


def read(preview: Preview, *, characters: int) -> str:
    """The beginning of the text as it was read, how much more there is, and its language."""
    shown = within(preview.beginning, READ_BYTES)
    left = characters - len(shown)
    lines = "\n".join(_WRAPPER.fill(line) for line in FENCE.sub("~~", shown).splitlines())
    more = f"\n\n*and {left:,} more characters*" if left > 0 else ""
    language = f"\n\nLanguage: {preview.language}" if preview.language else ""
    # As it stands: a document's own pictures and links are not to be fetched by who looks at it.
    return f"~~~\n{lines}\n~~~{more}{language}"


def cut(preview: Preview, document_id: str) -> str:
    """The settings that cut, a picture of the chunks' lengths, and a table of the first ones."""
    if not preview.briefs:
        return "No chunks: there are no words in the text."
    lines = [
        [str(one.index), str(one.page or ""), _cell(one.heading), str(one.tokens), _cell(one.beginning)]
        for one in preview.briefs
    ]
    rows = _rows(lines, room=TABLE_BYTES)
    left = len(preview.tokens) - len(rows)
    head = ["| chunk | page | heading | tokens | first words |", "|-|-|-|-|-|"]
    more = ["", f"*{counted(left, 'chunk')} more: `rag-assets story {document_id}`*"] if left else []
    return "\n".join([preview.cut_by, "", _picture(preview.tokens), "", *head, *rows, *more])


def bucket(found: Bucket) -> str:
    """A table of a bucket's documents, with their states, and how many more there are."""
    lines = ([_cell(one.document_id), one.state, one.error_kind or ""] for one in found.members)
    rows = _rows(lines, room=MEMBERS_BYTES)
    left = found.documents - len(rows)
    more = (
        ["", f"*{counted(left, 'document')} more: `rag-assets story ID` tells of one, the view rag_documents has all*"]
        if left > 0
        else []
    )
    return "\n".join(["| document | state | error |", "|-|-|-|", *rows, *more])


def _picture(tokens: Sequence[int]) -> str:
    per_bar = -(-len(tokens) // PICTURE_BARS)
    groups = [tokens[start : start + per_bar] for start in range(0, len(tokens), per_bar)]
    means = [sum(group) / len(group) for group in groups]
    longest = max(*tokens, 1)
    bars = "".join(BAR_SIGNS[min(int(mean / longest * len(BAR_SIGNS)), len(BAR_SIGNS) - 1)] for mean in means)
    each = f", {per_bar} chunks a bar" if per_bar > 1 else ""
    shortest = min(tokens)
    span = f"{shortest} to {longest}" if shortest < longest else f"{longest}"
    return f"`{bars}` {span} tokens{each}"


def _rows(lines: Iterable[Sequence[str]], *, room: int) -> list[str]:
    """Rows of these cells, as many as there is room for in so many bytes, one at least."""
    rows: list[str] = []
    for cells in lines:
        row = f"| {' | '.join(cells)} |"
        room -= _bytes(row)
        if rows and room < 0:
            break
        rows.append(row)
    return rows


def _cell(text: str) -> str:
    """The text in one line, of which nothing is taken for Markdown or HTML."""
    plain = " ".join(text.split())[:CELL_BYTES]
    letters = [f"\\{letter}" if letter in MARKS else letter for letter in plain]
    while _bytes("".join(letters)) > CELL_BYTES:
        letters.pop()
    return "".join(letters)


def within(text: str, limit: int) -> str:
    """As much of the beginning as takes at most `limit` bytes as JSON."""
    shown = text[:limit]
    while (size := _bytes(shown)) > limit:
        shown = shown[: max(len(shown) * limit // size, 1) - 1]
    return shown


def ending(text: str, limit: int) -> str:
    """The text; where it takes more than `limit` bytes as JSON, its end after an ellipsis."""
    return text if _bytes(text) <= limit else f"…{within(text[::-1], limit - _bytes('…'))[::-1]}"


def _bytes(text: str) -> int:
    return len(json.dumps(text)) - 2

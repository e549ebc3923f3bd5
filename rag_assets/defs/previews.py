"""What was read of a document and how it was cut, as Markdown for Dagster's page, in few bytes."""

import json
from collections.abc import Sequence

from rag_assets.model import ChunkBrief, Preview, counted

READ_BYTES = 2_000  # of a preview of the text, as JSON: an event's bytes are those of JSON
TABLE_BYTES = 2_400  # of the table of chunks
PICTURE_BARS = 60  # neighbours share one where there are more chunks
BARS = "▁▂▃▄▅▆▇█"


def read(preview: Preview, *, characters: int) -> str:
    """The beginning of the text as it was read, and how much more there is."""
    shown = within(preview.beginning, READ_BYTES)
    left = characters - len(shown)
    more = f"\n\n*{left:,} of {characters:,} characters are left out here.*" if left > 0 else ""
    fence = "~~~"  # as it stands: a document's own pictures and links are not to be fetched by who looks at it
    while fence in shown:
        fence += "~"
    return f"{fence}\n{shown}\n{fence}{more}"


def cut(preview: Preview, document_id: str) -> str:
    """A picture of the chunks' lengths, and a table of the first ones."""
    if not preview.briefs:
        return "No chunks: there are no words in the text."
    rows = _rows(preview.briefs)
    left = len(preview.tokens) - len(rows)
    head = ["| chunk | page | heading | tokens | first words |", "| ---: | ---: | --- | ---: | --- |"]
    more = ["", f"*{counted(left, 'chunk')} more: `rag-assets story {document_id}`*"] if left else []
    return "\n".join([_picture(preview.tokens), "", *head, *rows, *more])


def _picture(tokens: Sequence[int]) -> str:
    per_bar = -(-len(tokens) // PICTURE_BARS)
    groups = [tokens[start : start + per_bar] for start in range(0, len(tokens), per_bar)]
    means = [sum(group) / len(group) for group in groups]
    longest = max(*tokens, 1)
    bars = "".join(BARS[min(int(mean / longest * len(BARS)), len(BARS) - 1)] for mean in means)
    each = f", {per_bar} chunks a bar" if per_bar > 1 else ""
    return f"`{bars}` {min(tokens)} to {max(tokens)} tokens{each}"


def _rows(cuts: Sequence[ChunkBrief]) -> list[str]:
    """As many rows as there is room for, one at least."""
    rows: list[str] = []
    room = TABLE_BYTES
    for one in cuts:
        cells = [str(one.index), str(one.page or ""), _cell(one.heading), str(one.tokens), _cell(one.beginning)]
        row = f"| {' | '.join(cells)} |"
        room -= _bytes(row)
        if rows and room < 0:
            break
        rows.append(row)
    return rows


def _cell(text: str) -> str:
    """The text in one line, of which nothing is taken for Markdown or HTML."""
    plain = " ".join(text.split())
    for character in "\\|`*_[]<>#~&":
        plain = plain.replace(character, f"\\{character}")
    return plain


def within(text: str, limit: int) -> str:
    """As much of the beginning as takes at most `limit` bytes as JSON."""
    shown = text[:limit]
    while (size := _bytes(shown)) > limit:
        shown = shown[: max(len(shown) * limit // size, 1) - 1]
    return shown


def _bytes(text: str) -> int:
    return len(json.dumps(text)) - 2

"""Pieces of text on a page to lines and tables in reading order: column by column, row by row."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from rag_assets.text.formats.pdf import margin_notes, prose, tagged_order
from rag_assets.text.formats.pdf.bands import strips
from rag_assets.text.formats.pdf.glyphs import Piece
from rag_assets.text.formats.pdf.lattice_tables import completed, ruled
from rag_assets.text.formats.pdf.line_numbers import without_numbers
from rag_assets.text.formats.pdf.lines import Block, Item, Row, along, block, rows
from rag_assets.text.formats.pdf.rulings import Grid
from rag_assets.text.formats.pdf.stream_tables import tables

BIN = 2.0  # points: how finely gutters are looked for
SPANNING = 0.6  # of a region's width: wider pieces run across columns
CROSSING = 0.04  # of a region's pieces may lie across a gutter
MAX_DEPTH = 8
INITIAL = 1.8  # times the size of the letters beside it
SHADOW = 0.3  # of a height
EMPTY = 5.0  # times the usual height of a line: a figure is there, no space between paragraphs
FAR = 2.0  # times the size of a line
FRAMED_LINES = 3  # at least, for a frame to be read by itself


def arrange(pieces: Sequence[Piece], grids: Sequence[Grid] = ()) -> list[Item]:
    """Everything on a page in reading order; notes in the margin and text that is turned against the rest come last."""
    ordered = tagged_order.in_order(pieces)
    for at, piece in enumerate(ordered or pieces):
        piece.place = at
    if ordered:
        return _tagged(ordered, grids)
    blocks, free = _framed(without_numbers(_once(pieces), grids), grids)
    turned = [Row([piece], new_region=True) for piece in free if not piece.upright]
    upright, notes = margin_notes.part(_with_initials([piece for piece in free if piece.upright]))
    beside = [Row([line], new_region=at == 0) for note in notes for at, line in enumerate(note)]
    return [*_unpacked(_region([*upright, *blocks], depth=0)), *beside, *turned]


def _tagged(pieces: Sequence[Piece], grids: Sequence[Grid]) -> list[Item]:
    """The lines and tables of a page in the order of its tags; where they are one column, they are read as drawn."""
    kept = without_numbers(_once(pieces), grids)
    blocks, free = _framed(kept, [grid for grid in grids if grid.is_closed])
    blocks, free = _framed([*blocks, *tagged_order.with_tables(free)], [grid for grid in grids if not grid.is_closed])
    turned = [Row([piece], new_region=True) for piece in free if not piece.upright]
    upright = sorted(
        [*blocks, *_with_initials([piece for piece in free if piece.upright])], key=lambda piece: piece.place
    )
    items = (item for column in tagged_order.columns(upright) for item in _marked(_region(column, depth=1)))
    return [*_unpacked(items), *turned]


def _unpacked(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Row) and isinstance(item.pieces[0], Block):
            yield from _unpacked(item.pieces[0].items)
        else:
            yield item


def _framed(pieces: Sequence[Piece], grids: Sequence[Grid]) -> tuple[list[Piece], list[Piece]]:
    """Tables and frames as blocks, and the pieces that are in none of them."""
    free = list(pieces)
    drawn = sorted(grids, key=lambda one: (one.xs[-1] - one.xs[0]) * (one.ys[0] - one.ys[-1]))
    for grid in (one for whole in drawn for one in completed(whole, free)):
        inside = [piece for piece in free if _is_in(piece, grid)]
        if len(inside) < 2:
            continue
        items = _content(grid, inside, free)
        if items:
            taken = set(map(id, inside))
            free = [piece for piece in free if id(piece) not in taken]
            free.append(block(items, grid.box, place=min(piece.place for piece in inside)))
    return [piece for piece in free if isinstance(piece, Block)], [p for p in free if not isinstance(p, Block)]


def _content(grid: Grid, inside: list[Piece], pieces: Sequence[Piece]) -> list[Item]:
    """A table; or, in a frame that has other text beside it, what is in the frame; else nothing."""
    if not any(isinstance(piece, Block) for piece in inside):
        found = ruled(grid, inside)
        if found:
            return found
    left, right, bottom, top = grid.box
    if grid.size != (1, 1) or len(inside) < FRAMED_LINES:
        return []
    if any(bottom < piece.middle < top and not left <= piece.middle_x <= right for piece in pieces):
        return list(_marked(_region(inside, depth=1)))
    return []


def _is_in(piece: Piece, grid: Grid) -> bool:
    left, right, bottom, top = grid.box
    return left <= piece.middle_x <= right and bottom <= piece.middle <= top


def _once(pieces: Sequence[Piece]) -> list[Piece]:
    """Without what is printed twice at nearly the same place, to look bold or to have a shadow."""
    seen: dict[str, list[Piece]] = {}
    kept = []
    for piece in pieces:
        same = seen.setdefault(piece.text, [])
        near = SHADOW * piece.height
        if not any(abs(one.left - piece.left) < near and abs(one.middle - piece.middle) < near for one in same[-9:]):
            same.append(piece)
            kept.append(piece)
    return kept


def _with_initials(pieces: list[Piece]) -> list[Piece]:
    """Large initials, to the words that they begin."""
    initials = [piece for piece in pieces if len(piece.text) == 1 and piece.text.isupper()]
    for initial in initials:
        beside = [piece for piece in pieces if _begins(initial, piece)]
        if len(beside) > 1:
            first = max(beside, key=lambda piece: piece.middle)
            first.text = (
                initial.text + ("" if first.text[:1].islower() or first.text[1:2].isupper() else " ") + first.text
            )
            first.left, first.spaces = initial.left, []
            pieces = [piece for piece in pieces if piece is not initial]
    return pieces


def _begins(initial: Piece, piece: Piece) -> bool:
    """Whether a piece of much smaller letters stands close beside an initial."""
    return (
        initial.size > INITIAL * piece.size
        and initial.bottom < piece.middle < initial.top
        and abs(piece.left - initial.right) < initial.size / 2
    )


# ---- columns


def _region(pieces: list[Piece], *, depth: int) -> Iterator[Item]:
    may_part = depth < MAX_DEPTH and len(pieces) >= 2 * prose.COLUMN_LINES
    bands = _apart(pieces) if may_part else [pieces]
    has_text = may_part and len(bands) == 1 and prose.has_long_lines(pieces)  # else there are no columns of it
    bands = _in_strips(pieces) if has_text else bands
    if len(bands) > 1:
        for band in bands:
            yield from _marked(_region(band, depth=depth + 1))
        return
    gutter = _gutter(pieces) if has_text else None
    if gutter is None:
        yield from tables(rows(pieces))
        return
    bars, beside = _bars(pieces, gutter, is_page=depth == 0)
    above = float("inf")
    for at, edge in enumerate([*(bar.middle for bar in bars), float("-inf")]):
        band = [piece for piece in beside if edge < piece.middle <= above]
        for side in ([p for p in band if p.middle_x < gutter], [p for p in band if p.middle_x >= gutter]):
            if side:
                yield from _marked(_region(side, depth=depth + 1))
        if at < len(bars):
            bars[at].new_region = bool(band) or at == 0
            yield bars[at]
        above = edge


def _in_strips(pieces: list[Piece]) -> list[list[Piece]]:
    """Parted where columns begin and end, unless the same gutter parts all of them."""
    parted = strips(pieces)
    gutter = _gutter(pieces) if len(parted) > 1 else None
    is_one = all(len(strip.gutters) == 1 and _is_within(gutter, strip.gaps) for strip in parted if strip.gutters)
    if is_one and not any(strip.is_apart for strip in parted):
        return [pieces]
    return [strip.pieces for strip in parted]


def _apart(pieces: list[Piece]) -> list[list[Piece]]:
    """Parted by level strips that nothing is in, higher than the space between paragraphs."""
    least = EMPTY * median(piece.height for piece in pieces)
    bands: list[list[Piece]] = []
    reach = float("inf")
    for piece in sorted(pieces, key=lambda piece: -piece.top):
        if reach - piece.top > least or not bands:
            bands.append([])
            reach = piece.bottom
        bands[-1].append(piece)
        reach = min(reach, piece.bottom)
    return bands


def _bars(pieces: list[Piece], gutter: float, *, is_page: bool) -> tuple[list[Row], list[Piece]]:
    """Lines that run across a gutter, and the pieces beside it."""
    crossing = [piece for piece in pieces if piece.left < gutter - BIN and piece.right > gutter + BIN]
    beside = [piece for piece in pieces if not (piece.left < gutter - BIN and piece.right > gutter + BIN)]
    bars = rows(crossing)
    for bar in bars:
        if not bar.is_block:  # what stands beside a line that runs across is part of that line
            bar.pieces = along([*bar.pieces, *(piece for piece in beside if _is_level(piece, bar))])
            beside = [piece for piece in beside if not _is_level(piece, bar)]
    if is_page:
        edges = list(_over(beside, gutter))
        taken = {id(piece) for row in edges for piece in row.pieces}
        beside = [piece for piece in beside if id(piece) not in taken]
        bars = sorted([*bars, *edges], key=lambda bar: -bar.middle)
    return bars, beside


def _over(pieces: list[Piece], gutter: float) -> Iterator[Row]:
    """The first and the last line of a page that run across a gutter, far from the rest: they are of the page."""
    lines = rows(pieces)
    for edge, inner in ((lines[:1], lines[1:2]), (lines[-1:], lines[-2:-1])):
        for row, other in zip(edge, inner, strict=False):
            lefts = {piece.middle_x < gutter for piece in row.pieces}
            if len(lefts) == 2 and abs(row.middle - other.middle) > FAR * row.height and not row.is_block:
                yield row


def _marked(items: Iterator[Item]) -> Iterator[Item]:
    first = next(items)
    first.new_region = True
    yield first
    yield from items


def _is_level(piece: Piece, bar: Row) -> bool:
    return abs(piece.middle - bar.middle) < 0.4 * min(piece.height, bar.height)


def _gutter(pieces: Sequence[Piece]) -> float | None:
    """Where a vertical gap divides the region into two columns of prose; None: nowhere."""
    left, right = min(piece.left for piece in pieces), max(piece.right for piece in pieces)
    narrow = [piece for piece in pieces if piece.right - piece.left < SPANNING * (right - left)]
    if len(narrow) < 2 * prose.COLUMN_LINES:
        return None
    gaps = _gaps(narrow, left, right)
    return next((x for _, x in sorted(gaps, reverse=True) if prose.is_gutter(narrow, x)), None)


def _is_within(gutter: float | None, gaps: Sequence[tuple[float, float]]) -> bool:
    return gutter is not None and any(left - BIN <= gutter <= right + BIN for left, right in gaps)


def _gaps(pieces: Sequence[Piece], left: float, right: float) -> list[tuple[float, float]]:
    """(width, middle) of the vertical strips that next to nothing covers."""
    bins = int((right - left) / BIN) + 2
    if bins > 100_000:  # a place that no page has
        return []
    steps = [0] * (bins + 1)
    for piece in pieces:
        steps[int((piece.left - left) / BIN)] += 1
        steps[int((piece.right - left) / BIN) + 1] -= 1
    least = median(piece.height for piece in pieces) * 0.3
    found, covered, start = [], 0, None
    for at, step in enumerate(steps):
        covered += step
        if covered <= CROSSING * len(pieces):
            start = at if start is None else start
        elif start is not None:
            width = (at - start) * BIN
            if start > 0 and width >= least:
                found.append((width, left + (start + at) / 2 * BIN))
            start = None
    return found

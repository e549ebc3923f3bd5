"""Pages in two columns with a table, a figure or a formula in one of them, lines with numbers, and pages with tags."""

from collections.abc import Iterator, Sequence

from rag_assets_tests.siblings.pdf_files import FIRST_OBJECT, column, pdf, show, wrapped
from rag_assets_tests.siblings.sibling import Sibling, sibling

ENGLISH = (
    "The harbour of the old town has been dredged every winter since the quay was rebuilt, and the mud is carried out "
    "to sea by two flat boats. In spring the harbour master mea~sures the "
    "depth at nine stations and writes the fig~ures "
    "into a ledger that is kept in the light~house. Where the depth falls below four metres, the fishing boats have to "
    "wait for the tide, and the auc~tion begins an hour later than it is an~nounced. We ask how the dredg~ing affects "
    "the price of fish, and whether the money that it costs comes back to the town. The led~ger says nothing of the "
    "years of the war, so that we asked the fami~lies of the fisher~men for what they remem~bered."
)
MORE = (
    "The second part of the study compares two neigh~bouring ports which were never dredged. Both lie behind a bar of "
    "sand that moves with the cur~rent, and neither of them keeps a record. "
    "Their auc~tions were visited on thirty days, "
    "and the arriv~als were counted by students. The differ~ence is smaller than the fisher~men believe: a boat that "
    "waits for the tide sells its catch at a lower price, but it burns less fuel. Only in the weeks before Easter does "
    "the wait~ing cost more than the dredg~ing of a whole winter."
)
GERMAN = (
    "Der Brunnen im Hof der Schule wurde im ver~gangenen Jahr ge~reinigt, weil das Wasser nach Eisen schmeckte. Die "
    "Lehrer ließen zu~nächst eine Probe unter~suchen, deren Er~gebnis nach drei Wochen vorlag. Dem~nach war der Gehalt "
    "an Mangan fünfmal so hoch wie er~laubt, während die Keime kaum zu finden waren. Die Ge~meinde be~schloss darauf, "
    "den Schacht neu aus~zumauern und einen Filter einzu~bauen. Seit~dem "
    "wird die An~lage jeden Monat ge~prüft, und die "
    "Schüler führen darüber ein Heft, das im Flur aus~liegt."
)
FIGURES = [("Station", "Depth", "Mud"), *((f"Q{at}", f"{4 + at / 10:.1f}", str(130 + 17 * at)) for at in range(1, 9))]


def _grid(x: float, y: float, rows: Sequence[Sequence[str]], *, step: float = 70, leading: float = 12) -> str:
    cells = [(x + step * at, y - leading * line, cell) for line, row in enumerate(rows) for at, cell in enumerate(row)]
    return "".join(show(cell, left, base, size=9) for left, base, cell in cells)


def beside_tables() -> Iterator[Sibling]:
    """A table without lines in one column, on the baselines of the prose in the other one."""
    left, right = wrapped(ENGLISH, width=48), wrapped(MORE, width=48)
    whole = ("writes the figures into a ledger", "the auction begins an hour later", "the dredging affects")
    row = ["Q3", "4.3", "181"]
    content = column(60, 720, left) + _grid(320, 720, FIGURES) + column(320, 596, right)
    yield sibling("right_top.pdf", pdf(content), *whole, rows=[row], order=["remembered", "The second part"])
    content = _grid(60, 720, FIGURES) + column(60, 596, left) + column(320, 720, right)
    yield sibling("left_top.pdf", pdf(content), *whole, "two neighbouring ports", rows=[row])
    content = (
        column(60, 720, left) + column(320, 720, right[:6]) + _grid(320, 636, FIGURES) + column(320, 516, right[6:])
    )
    yield sibling("right_middle.pdf", pdf(content), *whole, "is smaller than the fishermen", rows=[row])
    german = wrapped(GERMAN, width=46)
    rows = [("Monat", "Eisen", "Mangan"), *((f"{at}/2023", f"0,{at}", f"{at},25") for at in range(1, 10))]
    content = column(60, 720, german) + _grid(320, 720, rows, step=60) + column(320, 590, german)
    yield sibling(
        "german_decimals.pdf",
        pdf(content),
        "deren Ergebnis nach drei Wochen",
        "Gemeinde beschloss darauf",
        rows=[["4/2023", "0,4", "4,25"]],
        absent=["Er- "],
    )
    lines = "".join(f"315 {732 - 12 * at} m 540 {732 - 12 * at} l S\n" for at in (0, 1, 9))
    content = column(60, 720, left) + lines + _grid(320, 722, FIGURES) + column(320, 596, right)
    yield sibling(
        "ruled_above_and_below.pdf", pdf(content), *whole, rows=[row], order=["remembered", "The second part"]
    )
    spaced = column(50, 720, left, font="F3") + _grid(310, 717, FIGURES) + column(310, 580, right, font="F3")
    yield sibling("other_baselines.pdf", pdf(spaced), *whole, rows=[row], order=["remembered", "The second part"])


def _word_by_word(x: float, y: float, lines: Sequence[str]) -> str:
    """Lines whose words are placed one by one, without spaces, in letters of one width."""
    shown = []
    for at, line in enumerate(lines):
        starts = [0, *(place + 1 for place, char in enumerate(line) if char == " ")]
        shown += [show(line[start:].split(" ")[0], x + 6 * start, y - 12 * at, font="X") for start in starts]
    return "".join(shown)


def placed_words() -> Iterator[Sibling]:
    """Pages of programs that place words, tables of words, and tables in both columns."""
    left, right = wrapped(ENGLISH, width=38), wrapped(MORE, width=38)
    whole = ("writes the figures into a ledger", "the auction begins an hour later", "the dredging affects")
    order, fonts = ["remembered", "The second part"], {"X": "/Subtype/Type1/BaseFont/Courier/Encoding/WinAnsiEncoding"}
    content = _word_by_word(60, 720, left) + _grid(320, 720, FIGURES) + _word_by_word(320, 596, right)
    yield sibling("table.pdf", pdf(content, fonts=fonts), *whole, rows=[["Q3", "4.3", "181"]], order=order)
    content = _word_by_word(60, 720, left) + _word_by_word(320, 720, right)
    yield sibling("prose.pdf", pdf(content, fonts=fonts), *whole, "two neighbouring ports", order=order)
    left, right = wrapped(ENGLISH, width=44), wrapped(MORE, width=44)
    tables = _grid(60, 610, FIGURES) + _grid(320, 720, FIGURES)
    content = tables + column(60, 720, left[:8]) + column(60, 490, left[8:]) + column(320, 596, right)
    yield sibling("tables_in_both.pdf", pdf(content), "an hour later", rows=[["Q3", "4.3", "181"]], order=order)
    words = [("Term", "Meaning"), ("quay", "wall for boats"), ("tide", "water that rises"), ("bar", "bank of sand"),
             ("catch", "fish of a day"), ("mate", "second in command")]  # fmt: skip
    content = column(60, 720, left) + _grid(320, 720, words, step=90) + column(320, 620, right)
    yield sibling("table_of_words.pdf", pdf(content), *whole, rows=[["bar", "bank of sand"]], order=order)
    counted = [f"{at:03}" for at in range(200)]
    numbers = column(30, 720, counted[: len(left)], size=7) + column(565, 720, counted[54 : 54 + len(right)], size=7)
    content = numbers + column(60, 720, left) + column(320, 720, right)
    yield sibling("numbers_at_both_sides.pdf", pdf(content), *whole, "two neighbouring ports", order=order)


def beside_figures() -> Iterator[Sibling]:
    """A drawing with labels and a caption in one column."""
    left, right = wrapped(ENGLISH, width=48), wrapped(MORE, width=48)
    whole = ("writes the figures into a ledger", "the auction begins an hour later", "families of the fishermen")
    axis = "".join(show(str(20 * at), 320, 600 + 15 * at, size=7) for at in range(8))
    ticks = "".join(show(str(1990 + 5 * at), 340 + 35 * at, 588, size=7) for at in range(6))
    curve = "336 596 m 336 720 l S 336 596 m 540 596 l S 340 610 m 400 690 l 470 640 l 530 700 l S\n"
    caption = show("Figure 1: Depth of the basin by year.", 330, 570, size=9)
    content = column(60, 720, left) + axis + ticks + curve + caption + column(320, 540, right)
    yield sibling(
        "chart_right.pdf", pdf(content), *whole, "Depth of the basin by year", order=["remembered", "The second part"]
    )
    boxes = "".join(f"{330 + 70 * at} 650 50 24 re S\n" for at in range(3))
    labels = "".join(show(word, 334 + 70 * at, 658, size=8) for at, word in enumerate(("Boat", "Quay", "Auction")))
    content = column(60, 720, left) + boxes + labels + caption + column(320, 540, right)
    yield sibling(
        "boxes_right.pdf", pdf(content), *whole, "two neighbouring ports", order=["remembered", "The second part"]
    )
    shifted = axis.replace(" 320 ", " 64 ") + caption.replace(" 330 ", " 64 ")
    content = shifted + column(60, 540, left) + column(320, 720, right)
    yield sibling(
        "labels_left.pdf", pdf(content), *whole, "two neighbouring ports", order=["remembered", "The second part"]
    )
    across = "60 600 492 120 re S\n" + show("Figure 2: The bar of sand seen from the lighthouse.", 150, 585, size=9)
    content = across + column(60, 560, left) + column(320, 560, right)
    yield sibling(
        "figure_across.pdf", pdf(content), *whole, "seen from the lighthouse", order=["remembered", "The second part"]
    )
    legend = "".join(show(f"station {at}", 450, 700 - 12 * at, size=8) for at in range(5))
    content = column(60, 720, left) + "330 610 110 100 re S\n" + legend + caption + column(320, 540, right)
    yield sibling("legend.pdf", pdf(content), *whole, order=["remembered", "The second part"])


def beside_formulas() -> Iterator[Sibling]:
    """Displayed formulas, with and without numbers."""
    left, right = wrapped(ENGLISH, width=48), wrapped(MORE, width=48)
    whole = ("writes the figures into a ledger", "the auction begins an hour later", "families of the fishermen")
    formula = show("p", 380, 600) + show("t", 386, 597, size=7) + show("= a + b d", 396, 600) + show("(1)", 530, 600)
    content = column(60, 720, left) + column(320, 720, right[:9]) + formula + column(320, 576, right[9:])
    yield sibling("numbered_right.pdf", pdf(content), *whole, order=["remembered", "The second part", "(1)"])
    content = column(60, 720, left[:8]) + show("x = y + 2 z", 110, 616) + show("(7)", 270, 616)
    content += column(60, 594, left[8:]) + column(320, 720, right)
    yield sibling(
        "numbered_left.pdf", pdf(content), "an hour later", order=["the depth at nine", "(7)", "The second part"]
    )
    fraction = show("c - k", 400, 606) + "396 603 m 430 603 l S\n" + show("n + 1", 400, 592) + show("f =", 370, 600)
    content = column(60, 720, left) + column(320, 720, right[:8]) + fraction + column(320, 570, right[8:])
    yield sibling("fraction.pdf", pdf(content), *whole, order=["remembered", "The second part"])
    matrix = "".join(show(str(3 * row + at), 380 + 30 * at, 624 - 12 * row) for row in range(3) for at in range(3))
    content = column(60, 720, left) + column(320, 720, right[:7]) + matrix + column(320, 570, right[7:])
    yield sibling("matrix.pdf", pdf(content), *whole, order=["remembered", "The second part"])
    several = "".join(
        show(f"q{at} = r{at} + s", 370, 620 - 14 * at) + show(f"({at})", 530, 620 - 14 * at) for at in range(1, 4)
    )
    content = column(60, 720, left) + column(320, 720, right[:7]) + several + column(320, 560, right[7:])
    yield sibling("aligned.pdf", pdf(content), *whole, order=["remembered", "The second part"])


def numbered_lines() -> Iterator[Sibling]:
    """Numbers of lines in the margin: of drafts, laws and statements in court."""
    whole = ("measures the depth at nine", "writes the figures into", "the auction begins")
    lines = wrapped(ENGLISH, width=60)

    def page(numbers: Sequence[str], *, x: float, leading: float = 20, text: Sequence[str] = lines) -> bytes:
        return pdf(column(x, 740, numbers, leading=leading, size=8) + column(110, 740, text, leading=leading, size=11))

    counted = [str(at) for at in range(1, len(lines) + 1)]
    yield sibling("right_margin.pdf", page(counted, x=560), *whole, absent=["mea- |"])
    yield sibling("from_217.pdf", page([str(216 + int(at)) for at in counted], x=60), *whole, absent=["mea- |"])
    fives = [at if int(at) % 5 == 0 else "" for at in counted]
    yield sibling("every_fifth.pdf", page(fives, x=70), *whole)
    padded = [f"{int(at):03}" for at in counted]
    yield sibling("padded.pdf", page(padded, x=60, leading=14), *whole, absent=["mea- |"])
    german = wrapped(GERMAN, width=60)
    page_of_german = page([f"{at}" for at in range(1, len(german) + 1)], x=75, text=german)
    yield sibling(
        "german.pdf", page_of_german, "Gehalt an Mangan fünfmal", "Seitdem wird die Anlage jeden Monat geprüft"
    )
    twenty_five = column(60, 740, [str(at) for at in range(1, 26)], leading=26, size=12)
    court = twenty_five + "95 60 m 95 770 l S\n" + column(110, 740, lines, leading=26, size=12)
    yield sibling("pleading.pdf", pdf(court), *whole, absent=["mea- |"])


def _tagged(content: str, elements: Sequence[str]) -> bytes:
    """A page whose structure has these elements in this order: the type and the number of its mark in `content`."""
    root, first = FIRST_OBJECT, FIRST_OBJECT + 2
    kids = " ".join(f"{first + at} 0 R" for at in range(len(elements)))
    marks = {int(element.split()[1]): first + at for at, element in enumerate(elements)}
    parents = " ".join(f"{marks[at]} 0 R" for at in sorted(marks))
    objects = [f"<</Type/StructTreeRoot/K[{kids}]/ParentTree {root + 1} 0 R>>", f"<</Nums[0[{parents}]]>>"]
    for element in elements:
        kind, number = element.split()
        objects.append(f"<</Type/StructElem/S/{kind}/P {root} 0 R/Pg 3 0 R/K {number}>>")
    return pdf(
        content,
        objects=[each.encode() for each in objects],
        page="/StructParents 0",
        catalog=f"/MarkInfo<</Marked true>>/StructTreeRoot {root} 0 R",
    )


def _marked(kind: str, number: int, content: str) -> str:
    return f"/{kind}<</MCID {number}>>BDC\n{content}EMC\n"


def tagged_pages() -> Iterator[Sibling]:
    """The order is that of the tags, where these cover the page."""
    left, right = wrapped(ENGLISH, width=48), wrapped(MORE, width=48)
    whole = ("writes the figures into a ledger", "the auction begins", "two neighbouring ports")
    order = ["Notes on a harbour", "The harbour of", "remembered", "The second part"]
    head = _marked("H1", 0, show("Notes on a harbour", 60, 750, size=16, font="F2"))
    two = _marked("P", 1, column(60, 720, left)) + _marked("P", 2, column(320, 720, right))
    yield sibling("two_columns.pdf", _tagged(head + two, ["H1 0", "P 1", "P 2"]), *whole, order=order)
    drawn = (
        _marked("P", 0, column(320, 720, right)) + _marked("P", 1, column(60, 720, left)) + head.replace("ID 0", "ID 2")
    )
    yield sibling("drawn_otherwise.pdf", _tagged(drawn, ["H1 2", "P 1", "P 0"]), *whole, order=order)
    quote = _marked("P", 3, show("A boat that waits saves fuel.", 200, 480, size=14))
    page = head + _marked("P", 1, column(60, 720, left[:12])) + _marked("P", 2, column(320, 720, right)) + quote
    yield sibling(
        "pull_quote.pdf",
        _tagged(page, ["H1 0", "P 1", "P 2", "P 3"]),
        "two neighbouring ports",
        order=["The second part", "A boat that waits saves fuel"],
    )
    across = "".join(
        f"/P<</MCID {side}>>BDC\n{show(lines[at], x, 720 - 12 * at)}EMC\n"
        for at in range(10)
        for side, x, lines in ((0, 60, left), (1, 320, right))
    )
    yield sibling(
        "line_by_line.pdf",
        _tagged(across, ["P 0", "P 1"]),
        "writes the figures into a ledger",
        order=["The harbour of", "writes the figures", "The second part", "neighbouring ports"],
    )
    partly = head + column(60, 720, left) + column(320, 720, right)
    yield sibling("heading_alone.pdf", _tagged(partly, ["H1 0"]), *whole, order=order)


def divided_words() -> Iterator[Sibling]:
    """Words that are divided at the end of a line are whole."""
    left, right = wrapped(GERMAN, width=40), wrapped(GERMAN, width=44)
    whole = ("im vergangenen Jahr gereinigt", "deren Ergebnis nach drei", "Gemeinde beschloss darauf")
    yield sibling("german_columns.pdf", pdf(column(60, 720, left) + column(320, 720, right)), *whole)
    soft = [line[:-1] + "\xad" if line.endswith("-") else line for line in left]
    yield sibling("soft_hyphens.pdf", pdf(column(60, 720, soft) + column(320, 720, soft)), *whole)
    left = wrapped(ENGLISH, width=48)
    ends = show("Der Schacht wird nun aus-", 60, 720 - 12 * len(left)) + show("gemauert und bleibt trocken.", 320, 720)
    page = column(60, 720, left) + ends + column(320, 708, wrapped(MORE, width=48))
    yield sibling("over_the_column.pdf", pdf(page), "writes the figures", "wird nun ausgemauert und bleibt trocken")
    kept = column(
        60,
        720,
        [
            "It is a well-",
            "known fact that the long-",
            "term price of fish, and of self-",
            "made nets, is paid by the town",
            "and by nobody else in the end.",
        ],
    )
    yield sibling("compounds.pdf", pdf(kept), "price of fish", "nets, is paid by the town and by nobody else")
    three = "".join(
        column(x, 720, wrapped(text, width=30), size=9) for x, text in ((50, ENGLISH), (230, MORE), (410, GERMAN))
    )
    yield sibling(
        "three_columns.pdf", pdf(three), "writes the figures into a ledger", "two neighbouring ports", whole[1]
    )

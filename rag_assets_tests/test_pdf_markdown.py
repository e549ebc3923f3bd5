"""PDF: headings, paragraphs and whole words from the looks of lines."""

from rag_assets_tests.pdf_pages import STORY, column, in_order, pdf, prose, read, show


def test_titles_below_each_other_are_two_headings_when_the_second_one_is_numbered() -> None:
    drawn = show("Annual Report", 200, 740, size=18) + show("1. Overview", 40, 714, size=18)
    text = read(pdf(drawn + column(40, 690, prose(9, seed=3)))).text
    assert text.startswith("# Annual Report\n\n# 1. Overview\n\n")


def test_paragraphs_and_headings_when_a_page_has_two_sizes_of_text() -> None:
    """A letter that is set wide above terms in small print: each has its own distance of lines."""
    letter, terms = prose(12, seed=31), prose(20, seed=32)
    drawn = show("Statement", 40, 760, size=18, font="F2") + column(40, 720, letter, leading=17)
    drawn += "".join(show(line, 40, 490 - 10 * n, size=8) for n, line in enumerate(terms))
    assert read(pdf(drawn)).text == "# Statement\n\n" + "\n".join(letter) + "\n\n" + "\n".join(terms)


def test_a_paragraph_of_large_letters_is_no_heading() -> None:
    """An abstract, a motto: more lines than a heading has, close to each other."""
    abstract, text = prose(5, seed=41), prose(30, seed=42)
    drawn = "".join(show(line, 40, 740 - 15 * n, size=12) for n, line in enumerate(abstract))
    drawn += show("Pumps", 40, 640, size=16) + column(40, 610, text)
    expected = ["\n".join(abstract), "# Pumps", "\n".join(text)]
    assert read(pdf(drawn)).text.split("\n\n") == expected


def test_words_are_made_whole_when_lines_break_them() -> None:
    """Over lines, columns and pages; a compound that the document writes with a hyphen elsewhere keeps it."""
    first = column(40, 700, ["A well-known way to main-", "tain a pump is a well-", "known thing that saves elec-"])
    assert read(pdf(first, column(40, 700, ["tricity and money."]))).text == (
        "A well-known way to maintain\na pump is a well-known\nthing that saves electricity\n\nand money."
    )


def test_bold_words_are_no_heading_when_the_next_line_goes_on_with_them() -> None:
    """They begin a sentence of the paragraph."""
    lines = show("This is important enough to be bold", 40, 700, font="F2") + show("for a line.", 40, 688, font="F2")
    assert "#" not in read(pdf(lines + show("The rest is not.", 110, 688) + column(40, 676, prose(8, seed=8)))).text


def test_entry_of_contents_is_no_heading() -> None:
    """However bold: the heading comes later."""
    text = read(pdf(show("1 Care of pumps ........ 12", 40, 700, font="F2") + column(40, 680, prose(8, seed=9)))).text
    assert "#" not in text


def test_hyphen_stays_when_a_name_follows() -> None:
    """It is part of the word."""
    assert read(pdf(column(40, 700, ["What is pre-", "Columbian is old."]))).text == "What is pre-Columbian\nis old."


def test_headings_have_levels_by_size_and_weight() -> None:
    """The largest is the first level; bold lines of the text's own size come after all larger ones."""
    text = read(
        pdf(
            show("Pumps", 40, 760, size=20)
            + show("Care", 40, 720, size=14)
            + column(40, 690, prose(8, seed=3))
            + show("Every month", 40, 570, font="F2")
            + column(40, 545, prose(8, seed=4))
        )
    ).text
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Pumps", "## Care", "### Every month"]


def test_outline_names_headings() -> None:
    """A line that is a title of the outline has its level, whatever it looks like."""
    items = [
        "<</First 6 0 R/Last 6 0 R/Count 1>>",
        "<</Title(1 Pumps)/Parent 5 0 R/First 7 0 R/Last 7 0 R/Count 1>>",
        "<</Title(1.1 Care)/Parent 6 0 R>>",
    ]
    data = pdf(column(40, 700, ["1 Pumps", "1.1 Care", *prose(9, seed=5)]), extra=items, catalog="/Outlines 5 0 R")
    assert read(data).text.startswith("# 1 Pumps\n\n## 1.1 Care\n\n")


def test_title_of_the_outline_is_found_over_two_lines_and_without_its_number() -> None:
    """As documents print them: numbered, and broken where the column ends."""
    items = [
        "<</First 6 0 R/Last 7 0 R/Count 2>>",
        "<</Title(Pumps and how to care for them)/Parent 5 0 R/Next 7 0 R>>",
        "<</Title(Valves)/Parent 5 0 R/Prev 6 0 R>>",
    ]
    lines = ["Pumps and how to", "care for them", *prose(9, seed=5), "2 Valves", *prose(3, seed=14)]
    data = pdf(column(40, 700, lines), extra=items, catalog="/Outlines 5 0 R")
    found = [line for line in read(data).text.splitlines() if line.startswith("#")]
    assert found == ["# Pumps and how to care for them", "# 2 Valves"]


def test_word_is_whole_when_a_footnote_stands_between_its_halves() -> None:
    """It goes on in the next column; the footnote is none of it."""
    left = [*STORY[:-1], "Each of these was written for the docu-"]
    note = show("1The diary is kept in the town hall, in", 40, 560, size=7) + show("a chest.", 40, 551, size=7)
    drawn = column(40, 700, left) + note + column(320, 700, ["ment that the council asked for in June", *STORY[:-1]])
    text = read(pdf(drawn)).text
    assert in_order(text, ["written for the document", "1The diary is kept", "that the council asked for in June"])

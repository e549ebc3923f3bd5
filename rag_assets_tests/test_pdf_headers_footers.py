"""PDF: lines that run through the pages are kept once, where they are seen first or last."""

import re

from rag_assets_tests.pdf_pages import column, pdf, prose, read, show


def test_running_lines_stay_on_the_first_page_only() -> None:
    """Digits apart; what is not repeated stays wherever it stands."""
    pages = [
        show(f"Manual of pumps - {n}", 40, 780) + column(40, 700, prose(5, seed=n)) + show(f"Page {n} of 4", 250, 20)
        for n in (1, 2, 3, 4)
    ]
    text = read(pdf(*pages)).text
    assert (text.count("Manual of pumps"), text.count("of 4")) == (1, 1)
    assert "Note 7" in read(pdf(*pages[:3], pages[3] + show("Note 7", 40, 795))).text


def test_titles_of_chapters_stay_when_each_begins_a_page_and_their_numbers_count_pages() -> None:
    """Large letters over a page are no header, unless they are the same on all pages."""
    pages = [
        show("Manual", 40, 780) + show(f"Chapter {n}", 40, 740, size=18) + column(40, 700, prose(9, seed=n))
        for n in (1, 2, 3, 4)
    ]
    text = read(pdf(*pages)).text
    assert re.findall("^# .*$", text, re.M) == [f"# Chapter {n}" for n in (1, 2, 3, 4)]
    assert text.count("Manual") == 1


def test_running_line_below_pages_parts_no_sentence() -> None:
    """It is kept under the last page that has it."""
    pages = [column(40, 700, prose(5, seed=n)) + show("For internal use", 40, 20) for n in range(4)]
    text = read(pdf(*pages)).text
    assert text.count("For internal use") == 1
    assert text.endswith("For internal use")


def test_head_of_a_table_that_goes_on_is_no_header_of_the_page() -> None:
    """No line is drawn; what is over its columns on each page names them there."""
    head, xs = ("Part", "Place", "Count"), (40, 180, 320)
    pages = [
        "".join(
            show(cell, x, 780 - 15 * line)
            for line, row in enumerate(
                [head, *((f"Pump {n}{line}", f"hall {line}", f"{line}{n}") for line in range(6))]
            )
            for cell, x in zip(row, xs, strict=True)
        )
        for n in range(4)
    ]
    assert read(pdf(*pages)).text.count("| Part | Place | Count |\n| --- |") == 4


def test_running_line_is_kept_where_it_is_first_seen() -> None:
    """Not only on the first page of all."""
    pages = [column(40, 700, prose(4, seed=n)) for n in range(5)]
    text = read(pdf(pages[0], *(show("Manual of pumps", 40, 780) + page for page in pages[1:]))).text
    assert text.count("Manual of pumps") == 1


def test_repeated_line_stays_when_its_number_is_what_it_says() -> None:
    """Only a number that counts pages, or is always the same, runs."""
    pages = [
        show(f"Turn by {angle} degrees", 40, 700) + column(40, 600, prose(7, seed=angle)) for angle in (90, 7, 450)
    ]
    assert read(pdf(*pages)).text.count("Turn by") == 3

"""CSV and the like: which sign delimits, what is a header, and what is no table at all."""

import pytest

from rag_assets_tests.reading import read


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_dialects(delimiter: str) -> None:
    """Any delimiter; quoted delimiters and line breaks stay within their cell."""
    rows = [["name", "note"], ["a", f'"x{delimiter}y\nz"'], ["b", "2"]]
    text = read("\n".join(delimiter.join(row) for row in rows), "a.csv").text
    cell = f"x{delimiter}y z".replace("\t", " ").replace("|", "\\|")
    assert text == f"| name | note |\n| --- | --- |\n| a | {cell} |\n| b | 2 |"


@pytest.mark.parametrize(
    ("lines", "row"),
    [
        ("date;id;item\nApril 15, 2023;40;x;\nApril 16, 2023;41;y\n", "| April 15, 2023 | 40 | x |"),
        ("a;b;c\n1,5;2,5;0,1\n3,5;4,5;0,2\n", "| 1,5 | 2,5 | 0,1 |"),
        ("12,50;3,20\n4,10;7,90\n", "| 12,50 | 3,20 |"),
        ("when|who|what\n12:30:15|Ann, Bo|x\n12:31:15|Cy, Di|y\n", "| 12:30:15 | Ann, Bo | x |"),
        ("when\tcost\n12:30\t1,5\n12:31\t2,5\n", "| 12:30 | 1,5 |"),
        ("01/02/2023;a, b\n02/02/2023;c, d\n", "| 01/02/2023 | a, b |"),
        ("a,b\n1,x;y\n2,z;w\n", "| 1 | x;y |"),
        ("a, b, c\n1, 2, 3\n", "| 1 | 2 | 3 |"),
        ('"a;b",1,2\n"c;d",3,4\n', "| a;b | 1 | 2 |"),
        ("a^b^c\n1^x, y^2\n3^z, w^4\n5^q^6\n", "| 1 | x, y | 2 |"),
    ],
)
def test_csv_when_other_signs_are_as_even(lines: str, row: str) -> None:
    """Commas of decimals and dates, colons of times and lists within a cell delimit nothing."""
    assert row in read(lines, "a.csv").text


def test_csv_when_a_single_column_holds_sentences() -> None:
    """Their commas delimit nothing where few lines have any."""
    text = "remark\nHello, all\nNothing to see\nBye, then, all\n"
    assert read(text, "a.csv").text == text


def test_csv_quotes_that_are_never_closed_are_letters() -> None:
    """They would swallow all rows after them."""
    text = read('a\tb\n1\t"5 inches\n2\tx\n3\t"y"\n', "a.tsv").text
    assert text == '| a | b |\n| --- | --- |\n| 1 | "5 inches |\n| 2 | x |\n| 3 | "y" |'


def test_csv_remarks_stand_above_the_table() -> None:
    """A header may begin with a # of its own."""
    assert read("# made by x, on Monday\na,b,c\n1,2,3\n", "a.csv").text.startswith("# made by x, on Monday\n\n| a |")
    assert read("#a,b,c\n1,2,3\n", "a.csv").text.startswith("| #a | b | c |")


def test_csv_when_one_cell_is_long() -> None:
    """A cell over the standard library's limit is read."""
    assert len(read('a,b\n1,"' + "word " * 100_000 + '"\n', "a.csv").text) > 400_000

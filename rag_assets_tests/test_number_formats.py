"""Numbers, dates and durations as a workbook shows them."""

import pytest

from rag_assets.text.formats.office import number_formats
from rag_assets_tests import samples
from rag_assets_tests.test_xlsx import read, workbook


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("General", 1234.5, "1234.5"),
        ("0%", 0.256, "26%"),
        ("#,##0.00", -1234567.891, "-1,234,567.89"),
        ('"$"#,##0.00_);("$"#,##0.00)', -5.0, "($5.00)"),
        ("[$€-407] #,##0", 1234.0, "€ 1,234"),
        ("0.00E+00", 12345.0, "1.23E+04"),
        ("000-00-0000", 123456789.0, "123-45-6789"),
        ("0.0,,", 12_300_000.0, "12.3"),
        ("0.##", 1.5, "1.5"),
        ("yyyy-mm-dd", 45_000.0, "2023-03-15"),
        ("d mmmm yyyy h:mm AM/PM", 45_000.75, "15 March 2023 6:00 PM"),
        ("[h]:mm", 1.5, "36:00"),
        ("mm:ss", 0.5 / 24, "30:00"),
        ('0;-0;"none"', 0.0, "none"),
        ("dd/mm/yyyy", -1.0, "-1"),
        ("[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", 5550123456.0, "(555) 012-3456"),
        ("[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", 5550123.0, "555-0123"),
        ("[<1]0%;0.0", 7.0, "7.0"),
        ("[<1]0%;0.0", 0.5, "50%"),
        ('[>=1000000]0.0,,"M";[>=1000]0.0,"K";0', 2500.0, "2.5K"),
        ('[>=1000000]0.0,,"M";[>=1000]0.0,"K";0', 3_500_000.0, "3.5M"),
        ('[>=1000000]0.0,,"M";[>=1000]0.0,"K";0', 12.0, "12"),
        ('[=1]0" day";0" days"', 1.0, "1 day"),
        ('[=1]0" day";0" days"', 3.0, "3 days"),
        ("[Red][<0](0.0);0.0", -2.0, "(2.0)"),
        ("[<10]0.0;0", -2.0, "-2.0"),
        ("[<1]h:mm;[h]:mm", 1.5, "36:00"),
        ("[<1]h:mm;d.m.yyyy", 45_000.0, "15.3.2023"),
        ("[<1]0%", 7.0, "7"),
        ("[Red]General", 7.5, "7.5"),
        ("# ?/?", 1.25, "1 1/4"),
        ("# ??/??", 0.3125, "5/16"),
        ("?/?", 1.5, "3/2"),
        ("# ?/8", 2.5, "2 4/8"),
        ("# ?/?", 3.0, "3"),
        ('# ?/?" in"', -0.5, "-1/2 in"),
        ("##0.0E+0", 12345.0, "12.3E+3"),
        ("0.0E-00", 0.00123, "1.2E-03"),
        ("0.0E+0", 9.99, "1.0E+1"),
        ("0.00E+00", 0.0, "0.00E+00"),
        ("[hh]:mm", 0.25, "06:00"),
        ("[h]:mm", -1.5, "-36:00"),
        ("[m]:ss", 0.5, "720:00"),
    ],
)
def test_number_is_shown_as_its_format_says(code: str, value: float, shown: str) -> None:
    """Percents, thousands, currencies, dates, times."""
    assert number_formats.formatter(code)(value) == shown


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [("[h]:mm", 1.5, "36:00"), ("yyyy-mm-dd", 42735.0, "2021-01-01"), ("h:mm", 0.25, "6:00"), ("0", 5.0, "5"),
     ("[&lt;1]h:mm;yyyy-mm-dd", 42735.0, "2021-01-01"), ("[m]", 1.0, "1440")],
)  # fmt: skip
def test_dates_and_durations_are_read_when_days_count_from_1904(code: str, value: float, shown: str) -> None:
    """The calendar begins later, and a duration has no calendar."""
    entries = samples.unzipped(workbook(f'<row><c s="1"><v>{value}</v></c><c><v>1</v></c></row>', formats=(code,)))
    main = entries["xl/workbook.xml"].replace(b"<sheets>", b'<workbookPr date1904="1"/><sheets>')
    assert f"| {shown} | 1 |" in read(samples.zipped(entries | {"xl/workbook.xml": main})).text

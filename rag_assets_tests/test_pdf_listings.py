"""PDF: code is fenced with its indentation."""

from rag_assets_tests.pdf_pages import column, pdf, prose, read, show


def test_code_is_fenced_with_its_indentation() -> None:
    """Lines in letters of one width; a word or a line of them is none, nor is a document that is typewritten."""
    code = ["def f(x):", "    if x:", "        return 1", "", "    return 0"]
    drawn = "".join(
        show(line.strip(), 60 + 5.4 * (len(line) - len(line.lstrip())), 600 - 11 * n, size=9, font="F2")
        for n, line in enumerate(code)
        if line
    )
    text = column(40, 700, prose(7, seed=1)) + drawn + column(40, 520, prose(9, seed=2))
    text += show("run it", 40, 400, font="F2") + column(40, 380, prose(2, seed=3))
    found = read(pdf(text).replace(b"/BaseFont/Helvetica-Bold", b"/BaseFont/Courier")).text
    assert "\n\n```\n{}\n```\n\n".format("\n".join(code)) in found
    assert found.count("```") == 2
    typed = pdf(column(40, 700, prose(9, seed=4))).replace(b"/BaseFont/Helvetica>>", b"/BaseFont/Courier>>")
    assert "```" not in read(typed).text

"""Equations of Office documents become one line of text."""

from rag_assets_tests.docx_pages import document, text_of


def test_equation_is_text() -> None:
    """Fractions and powers as one writes them in a line."""
    run = "<m:r><m:t>{}</m:t></m:r>"
    power = f"<m:sSup><m:e>{run.format('x')}</m:e><m:sup>{run.format('2')}</m:sup></m:sSup>"
    fraction = f"<m:f><m:num>{run.format('a+b')}</m:num><m:den>{run.format('2')}</m:den></m:f>"
    assert text_of(document(f"<w:p><m:oMath>{power}{run.format('=')}{fraction}</m:oMath></w:p>")) == "x^2=(a+b)/2\n"

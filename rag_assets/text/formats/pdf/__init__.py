"""PDF: `reader` opens a file, with pypdf as second opinion, and puts these together, page by page.

Seen on the page: `glyphs` (text with its places), `rulings` (drawn lines and grids), `fonts` (names of glyphs).
What is not running text: `headers_footers`, `margin_notes`, `line_numbers`.
Order: `reading_order`, by `bands` of columns (`prose` tells columns from tables); `lines` groups text into lines.
A table's row between drawn lines: `lattice_tables`; without lines: `stream_tables`; which of them: `reading_order`.
Out: `listings` (code) and `markdown` (headings, paragraphs, tables).
"""

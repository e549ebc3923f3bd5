"""PDF: `reader` opens a file, with pypdf as second opinion, and puts these together, page by page.

Seen: `glyphs` (runs), `rulings` (lines, grids), `fonts` (glyphs' names) by `direct` calls; `tags` in `objects`.
What is not running text: `headers_footers`, `margin_notes`, `line_numbers`.
Order: `tagged_order`, if tags can be believed, else `reading_order`, by `bands` of columns (`prose` knows a column).
A table's row between drawn lines: `lattice_tables`; without: `stream_tables`, `wrapped_rows`; of tags: `tagged_order`.
Out: `lines` (runs on one line), `listings` (code) and `markdown` (headings, paragraphs, tables).
"""

"""A module for each format, with `parse`; their registry is FORMATS in rag_assets.text.parsing.

Text: `plain`, `markdown`, `rst`, `code`, `delimited` (CSV), `structured` (JSON), `notebook`, `mail`.
Web and books: `html`, `xml`, `epub`. Packages of several modules: `office`, `pdf`.
Which format bytes are in: `sniffing`. How Markdown is written: `markup`.
Shared by several: `html_rendering` (elements to Markdown), `mathml` (equations), `zipped` (containers).
"""

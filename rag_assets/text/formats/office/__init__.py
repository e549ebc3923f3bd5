"""Office documents: one reader per format, each with `parse`, and what they share.

Readers: `docx`, `pptx`, `xlsx`, `xls`, `odt` (also .ods, .odp), `rtf`; `spreadsheet_xml` for Excel 2003's XML.
The container of Microsoft's formats: `ooxml`; list labels: `numbering`; heading ranks: `word_styles`.
A cell's number as it is shown: `number_formats`; the tables of a sheet: `sheet_tables`; equations: `equations`.
"""

"""The project on Windows, tried by Windows's own Python under Wine: `rag_assets_tests/windows/run --help`."""

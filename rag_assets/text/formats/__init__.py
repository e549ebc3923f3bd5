"""One module per document format; the registry is in rag_assets.text.parsing."""

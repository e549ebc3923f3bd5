"""`python -m rag_assets` is `rag-assets`."""

from rag_assets.cli import main

if __name__ == "__main__":
    main(prog_name="rag-assets")

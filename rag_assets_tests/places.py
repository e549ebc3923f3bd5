"""Where tests find documents: ten of our own beside them, and, where it is there, a larger corpus beside the clone."""

from pathlib import Path

DOCUMENTS = Path(__file__).parent / "documents"
CORPUS = Path(__file__).parents[2] / "shared" / "corpus"  # an extra: no promise is tested by it alone


def real_documents(suffix: str = "") -> list[Path]:
    """All documents that are here whose name ends so, in a steady order."""
    return [file for file in [*sorted(DOCUMENTS.iterdir()), *sorted(CORPUS.glob("*/*"))] if file.name.endswith(suffix)]

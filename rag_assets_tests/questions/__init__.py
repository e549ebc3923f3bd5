"""Sixty questions in three languages over the documents of ../shared/corpus, each with the documents that answer it.

A row of questions.csv has the language of the question, its text, the files below the corpus that answer it, and the
language in which each of these does so; several are parted by semicolons. Most ask in words that the document does not
have, and more than half in a language that the document is not in.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("questions.csv")
LANGUAGES = ("de", "en", "id")
PARTED_BY = ";"


@dataclass(frozen=True, kw_only=True)
class Question:
    """`documents` are paths below the corpus, `document_languages` their languages in the same order."""

    id: str
    language: str
    text: str
    documents: tuple[str, ...]
    document_languages: tuple[str, ...]

    @property
    def is_across(self) -> bool:
        """No document that answers it is in its own language."""
        return self.language not in self.document_languages


def read() -> list[Question]:
    """All of them, in the order of the file."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return [
            Question(
                id=row["id"],
                language=row["language"],
                text=row["question"],
                documents=tuple(row["document"].split(PARTED_BY)),
                document_languages=tuple(row["document_language"].split(PARTED_BY)),
            )
            for row in csv.DictReader(file)
        ]

"""Words of what was stored before words were: documents get their language, and chunks their words, some at a time."""

from rag_assets.postgres import words
from rag_assets.postgres.database import Database
from rag_assets.settings import Search
from rag_assets.text import languages

DOCUMENTS = 200  # of a transaction
CHUNKS = 500
CHARACTERS = 20_000  # of a document, in which its language is looked for


def tend(database: Database, search: Search) -> int:
    """Do some of what is to be done, and fold what changed; how many chunks are left, at most.

    Cheap where nothing is to be done, so that it can be asked every few seconds.
    """
    with database.transaction() as cursor:
        unknown = words.list_without_language(cursor, count=DOCUMENTS, characters=CHARACTERS)
        if unknown:
            found = {key: search.language or languages.detect(text) for key, text in unknown.items()}
            words.set_languages(cursor, found)
    with database.transaction() as cursor:
        left = 1 if len(unknown) == DOCUMENTS else words.fill(cursor, count=CHUNKS)
        words.fold(cursor)
    return left


def fill(database: Database, search: Search) -> None:
    """Find the language of all documents, and the words of all chunks, that have none, a batch at a time."""
    while tend(database, search):
        pass

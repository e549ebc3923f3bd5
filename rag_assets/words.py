"""Words of what was stored before words were, or with another language set for all documents: documents get their
language, and chunks their words, some at a time."""

from rag_assets.postgres import words
from rag_assets.postgres.database import Database
from rag_assets.settings import Search
from rag_assets.text import languages

DOCUMENTS_AT_ONCE = 200  # of a transaction
CHUNKS_AT_ONCE = 500
LANGUAGE_CHARACTERS = 20_000  # of a document, in which its language is looked for


def tend(database: Database, search: Search, *, program: str) -> int:
    """Do some of what is to be done, and fold what changed; how many chunks are left, at most.

    Cheap where nothing is to be done, so that it can be asked every few seconds. `program` is who asks, as
    owner.Owner has it: only the one whose settings the index follows changes the language of documents.
    """
    with database.transaction() as cursor:
        unknown = words.list_without_language(cursor, count=DOCUMENTS_AT_ONCE, characters=LANGUAGE_CHARACTERS)
        if unknown:
            found = {key: search.language or languages.detect(text) for key, text in unknown.items()}
            words.set_languages(cursor, found)
    with database.transaction() as cursor:
        left = 1 if len(unknown) == DOCUMENTS_AT_ONCE else words.fill(cursor, count=CHUNKS_AT_ONCE)
        words.fold(cursor)
    return _follow(database, search, program=program) or left


def fill(database: Database, search: Search, *, program: str) -> None:
    """Find the language of all documents, and the words of all chunks, that have none, a batch at a time."""
    while tend(database, search, program=program):
        pass


def _follow(database: Database, search: Search, *, program: str) -> int:
    """Have some documents follow the language that is set, if it was another one; 1 where more are left."""
    with database.transaction() as cursor:
        words.follow_language(cursor, search.language, program=program)
    with database.transaction() as cursor:
        found = words.list_following(
            cursor, count=DOCUMENTS_AT_ONCE, chunks=CHUNKS_AT_ONCE, characters=LANGUAGE_CHARACTERS
        )
        if not found:
            return 0  # all follow, or the next one is being written: a later look goes on
        prose = [one for one in found if one.is_prose and one.language is not None]
        changed = {one.document_id: search.language or languages.detect(one.text) for one in prose}
        words.change_languages(cursor, changed, last=found[-1].document_id)
        words.fold(cursor)
    return 1

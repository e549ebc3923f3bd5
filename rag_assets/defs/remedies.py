"""What a message says is to be done, for who has the index in a Dagster project of their own.

Messages name commands; there, the command line may know nothing of the index's settings, and a job does the same.
"""

import re

from rag_assets import settings
from rag_assets.settings import Dagster

_JOBS = {  # the command -> the job that does what it does
    "init": "init",
    "ingest": "ingest_documents",
    "reconcile": "reconcile",
    "accept": "accept_documents",
    "index --build": "index_vectors",
}
_of_this_process = settings.load().dagster
_COMMAND = re.compile(rf"rag-assets ({'|'.join(_JOBS)})\b`?")


def with_jobs(words: str, dagster: Dagster = _of_this_process) -> str:
    """The words with the job beside each command that has one; as they are where the index has no name of its own."""
    if not dagster.name:
        return words
    return _COMMAND.sub(lambda found: f"{found[0]} (or the job {dagster.named(_JOBS[found[1]])})", words)

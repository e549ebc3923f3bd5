"""Which partition of Dagster's assets a document is in, without Dagster: for what links to it, too."""

import hashlib
import re

# For a key: Dagster's lists and ranges, and what it refuses.
_UNFIT = re.compile(r"[%,\x00-\x1f\x7f]|\.(?=\.\.)")
EMPTY = "%00"  # no id has that character, and no key may be empty


def of_document(document_id: str) -> str:
    """Where each document has a partition of its own."""
    return _UNFIT.sub(lambda found: f"%{ord(found[0]):02X}", document_id) or EMPTY


def of_bucket(document_id: str, *, buckets: int) -> str:
    """Where documents are spread over so many, as `list_ids_of_buckets` has it."""
    digest = hashlib.md5(document_id.encode(), usedforsecurity=False).hexdigest()
    return bucket(int(digest[:8], 16) % buckets)


def bucket(number: int) -> str:
    """The key of a bucket, numbered from 0."""
    return f"bucket-{number:05}"

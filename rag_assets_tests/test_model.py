"""The nouns: how a number with what it counts reads, and whose a claim is."""

import pytest

from rag_assets.model import ClaimOwner, are, counted, them


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 documents are: them"), (1, "1 document is: it"), (2, "2 documents are: them")]
)
def test_a_number_agrees_with_its_noun(count: int, said: str) -> None:
    assert f"{counted(count, 'document')} {are(count)}: {them(count)}" == said


@pytest.mark.parametrize("text", ["run:9f1c", "batch:b-1", "batch:a:b"])
def test_owner_is_the_same_when_written_and_read(text: str) -> None:
    """As it stands in the database; an id may have a colon itself."""
    owner = ClaimOwner.parse(text)
    assert str(owner) == text
    assert (owner.kind, owner.id) == (text.partition(":")[0], text.partition(":")[2])

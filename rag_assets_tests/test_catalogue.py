"""What the page says is there in every language."""

import re

from rag_assets.service.page import catalogue


def test_every_language_says_all() -> None:
    """With the same values in the same sentences."""
    for language, table in catalogue.LANGUAGES.items():
        assert set(table) == set(catalogue.ENGLISH), language
        for key, words in table.items():
            values = [set(re.findall(r"{(\w+)}", each)) for each in (words, catalogue.ENGLISH[key])]
            assert values[0] == values[1], (language, key)
    assert set(catalogue.NAMES) == set(catalogue.LANGUAGES)

"""Notebooks: cells in their order, without images."""

import json

from rag_assets_tests.reading import read


def test_notebook() -> None:
    """Markdown, code and text outputs, in order; no images."""
    cells = [
        {"cell_type": "markdown", "source": ["# T\n", "text ![x](data:image/png;base64,AAAA)"]},
        {
            "cell_type": "code",
            "source": "1 + 1",
            "outputs": [{"output_type": "execute_result", "data": {"text/plain": ["2"], "image/png": "AAAA"}}],
        },
    ]
    parsed = read(json.dumps({"cells": cells, "nbformat": 4, "metadata": {}}), "a.ipynb")
    assert parsed.text == "# T\ntext x\n\n```python\n1 + 1\n```\n\n```\n2\n```"

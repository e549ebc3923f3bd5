"""What a reader of reStructuredText, as docutils and Sphinx show it, finds in our text."""

import pytest

from rag_assets.text.formats import rst
from rag_assets_tests.reading import read


@pytest.mark.parametrize(
    ("source", "signature"),
    [
        (".. class:: Rectangle(width)\n\n   Text.", "Rectangle(width)"),
        (".. class:: date\n\n   Text.", "date"),
        (".. class:: zoneinfo.ZoneInfo\n\nText.", "zoneinfo.ZoneInfo"),
        (".. py:class:: shape\n\nText.", "shape"),
        (".. py:exception:: BadShape\n\n   Text.", "BadShape"),
        (".. py:property:: Shape.area\n   :type: float\n\n   Text.", "Shape.area` (type: float)"),
        (".. py:attribute:: size\n   :type: int\n   :value: 3\n\n   Text.", "size` (type: int, value: 3)"),
        (".. py:decorator:: cached(size)\n\n   Text.", "cached(size)"),
        (".. py:module:: garden.plan\n   :synopsis: x\n\nText.", "garden.plan"),
        (".. js:function:: send(a, b)\n\n   Text.", "send(a, b)"),
        (".. js:class:: Plan(a)\n\n   Text.", "Plan(a)"),
        (".. c:struct:: point\n\n   Text.", "point"),
        (
            ".. c:function:: int add(int a, \\\n                       int b)\n   :no-index:\n\n   Text.",
            "int add(int a, int b)",
        ),
        (".. cpp:class:: template<typename T> Box\n\n   Text.", "template<typename T> Box"),
        (".. cpp:enum-class:: color\n\n   Text.", "color"),
        (".. rst:directive:: note\n\n   Text.", "note"),
        (".. rst:directive:option:: class: names\n\n   Text.", "class: names"),
        (".. rst:role:: sub\n\n   Text.", "sub"),
        (".. option:: -f <file>, --file <file>\n\n   Text.", "-f <file>, --file <file>"),
        (".. envvar:: PATH\n\n   Text.", "PATH"),
        (".. confval:: depth\n   :type: ``int``\n   :default: ``5``\n\n   Text.", "depth` (type: `int`, default: `5`)"),
        (".. std:option:: -q\n\n   Text.", "-q"),
        (".. http:get:: /plans/(int:id)\n\n   Text.", "/plans/(int:id)"),
        (".. autoclass:: garden.Planner\n   :members:\n\n   Text.", "garden.Planner"),
        (".. automodule:: garden\n   :members:\n   :undoc-members:\n\nText.", "garden"),
        (".. autodecorator:: garden.cached\n\nText.", "garden.cached"),
        (".. doxygenclass:: Planner\n   :members:\n\nText.", "Planner"),
        (".. literalinclude:: a.py\n   :caption: x\n\nText.", "a.py"),
        (".. autosummary::\n   :toctree: x\n\n   garden.Planner\n\nText.", "garden.Planner"),
    ],
)
def test_name_is_read_when_a_directive_describes_it(source: str, signature: str) -> None:
    """In each domain of Sphinx; options that only programs read are left out."""
    text = rst.to_markdown(f"Before.\n\n{source}\n")
    assert signature in text
    assert "Text." in text
    for option in (":members:", ":no-index:", ":synopsis:", ":toctree:", ":type:"):
        assert option not in text


def test_signatures_are_read_when_there_are_several() -> None:
    """One per line, each by itself, before the options."""
    text = rst.to_markdown(".. py:function:: cut(a)\n                 cut(a, b)\n   :no-index:\n\n   Cuts.\n")
    assert text.split("\n")[:2] == ["`cut(a)`", "`cut(a, b)`"]
    assert "no-index" not in text


@pytest.mark.parametrize("source", [".. class:: special\n\nText.", ".. rst-class:: wide table\n\nText."])
def test_class_is_left_out_when_it_is_one_of_a_style_sheet(source: str) -> None:
    """What only arranges is no text."""
    assert rst.to_markdown(source).strip() == "Text."


@pytest.mark.parametrize(
    "source",
    [
        ".. list-table:: T\n   :header-rows: 1\n\n   * - a\n     - b\n   * - c\n       d\n     - e\n",
        ".. list-table:: T\n\n   - * a\n     * b\n   - * c d\n     * e\n",
        ".. list-table:: T\n\n   + - a\n     - b\n   + - c d\n     - e\n",
        ".. list-table:: T\n   :widths: 1 2\n   :stub-columns: 1\n\n   *   -   a\n       -   b\n"
        "   *   -   c\n           d\n       -   e\n",
        ".. flat-table:: T\n\n   * - a\n     - b\n\n   .. row\n\n   * - c\n\n       d\n     - e\n",
        ".. csv-table:: T\n   :header: a, b\n\n   c d, e\n",
        '.. csv-table:: T\n   :header: "a", "b"\n   :widths: 1, 2\n\n   "c\n   d", "e"\n',
        ".. csv-table:: T\n   :delim: ;\n   :header-rows: 1\n\n   a;b\n   c d;e\n",
        ".. csv-table:: T\n   :delim: 0x7c\n   :quote: '\n\n   a|b\n   'c d'|e\n",
        ".. csv-table:: T\n   :escape: \\\n   :delim: space\n\n   a b\n   c\\ d e\n",
        ".. csv-table::\n   T\n   :header: a,b\n\n   c d,e\n",
        ".. table:: T\n\n   +-----+---+\n   | a   | b |\n   +=====+===+\n   | c   | e |\n"
        "   | d   |   |\n   +-----+---+\n",
        "T\n\n=== ==\na   b\n=== ==\nc d e\n=== ==\n",
        "T\n\n  === ==\n  a   b\n  === ==\n  c d e\n  === ==\n",
    ],
)
def test_table_is_read_when_it_is_written_in_any_form(source: str) -> None:
    """Lists with any bullets, comma-separated values with any delimiter, grids, rules."""
    text = rst.to_markdown(f"{source}\nAfter.\n")
    assert text.startswith("T\n")
    assert "| a | b |\n| --- | --- |\n| c d | e |\n" in text
    assert text.endswith("After.\n")


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        (["====== ======", "名称   说明", "====== ======", "湿度计 空气的", "====== ======"],
         ["| 名称 | 说明 |", "| 湿度计 | 空气的 |"]),
        (["+--------+------+", "| 名称   | 한국 |", "+========+======+", "| 湿度计 | a|b  |", "+--------+------+"],
         ["| 名称 | 한국 |", "| 湿度计 | a\\|b |"]),
        (["+---+-------+", "| a | b     |", "+   +---+---+", "|   | c | d |", "+---+---+---+"],
         ["| a | b |  |", "| a | c | d |"]),
        (["=== === ===", "a   b", "--- -------", "c   d   e", "=== === ===", "1   2   3", "=== === ==="],
         ["| a | b |  |", "| c | d | e |", "| 1 | 2 | 3 |"]),
        (["=== ===", "a   b", "=== ===", "c   long words", "", "    more", "=== ==="], ["| c | long words more |"]),
    ],
)  # fmt: skip
def test_cells_are_whole_when_they_are_wide_or_reach_far(source: list[str], rows: list[str]) -> None:
    """East Asian characters take two places; what reaches down is said again in each row."""
    text = rst.to_markdown("\n".join(["Before.", "", *source, "", "After."]))
    for row in rows:
        assert row in text
    assert text.endswith("After.\n")


@pytest.mark.parametrize(
    "source",
    [
        "Before.\n\n..\n\n   Words.\n\nAfter.",
        "Before.\n\n..  \n\n   Words.\n\nAfter.",
        "* item\n\n..\n\n   Words.\n\n..\n\nAfter.",
        "* item\n\n  ..\n\n     Words.\n\nAfter.",
    ],
)
def test_block_is_read_when_it_follows_an_empty_comment(source: str) -> None:
    """Two dots alone end what was before; they hide nothing."""
    text = rst.to_markdown(source)
    assert "Words." in text
    assert text.endswith("After.\n")
    assert ".." not in text


@pytest.mark.parametrize("source", ["..\n   Words.\n\nAfter.", ".. Words\n   Words.\n\n   Words.\n\nAfter."])
def test_comment_is_left_out_when_it_has_text(source: str) -> None:
    """With all its lines."""
    assert rst.to_markdown(source).strip() == "After."


def test_words_of_options_are_read_when_a_reader_sees_them() -> None:
    """Captions of listings, words for pictures."""
    text = rst.to_markdown(
        ".. code-block:: py\n   :caption: The plan\n   :linenos:\n\n   a = 1\n\n"
        ".. figure:: a.png\n   :alt: A pump\n\n   Its legend.\n\n"
        ".. image:: b.png\n   :alt: A valve that\n         is open\n"
    )
    for words in ("The plan\n\n```py\na = 1\n```", "A pump", "Its legend.", "A valve that"):
        assert words in text
    assert "linenos" not in text


def test_rst_titles_code_and_tables() -> None:
    """Levels follow the order of underlines; blocks become fences, tables rows."""
    source = (
        "=====\nTitle\n=====\n\nPart\n----\n\nSee :ref:`the part <x>` and ``code``::\n\n    a = 1\n\n"
        ".. code-block:: python\n   :linenos:\n\n   b = 2\n\n.. note:: Mind this.\n\n"
        "==== ====\nName Size\n==== ====\na    1\nb    2\n==== ====\n\nDeep\n~~~~\n\nOther\n-----\n"
    )
    parsed = read(source, "a.rst")
    lines = parsed.text.split("\n")
    assert [line for line in lines if line.startswith("#")] == ["# Title", "## Part", "### Deep", "## Other"]
    assert "See `the part` and `code`:" in lines
    assert "```\na = 1\n```" in parsed.text
    assert "```python\nb = 2\n```" in parsed.text
    assert "| Name | Size |\n| --- | --- |\n| a | 1 |\n| b | 2 |" in parsed.text
    assert "Note: Mind this." in lines


def test_rst_words_are_whole_where_markup_is_within_them() -> None:
    """An escaped space only parts the two; in code it is code."""
    source = "Title\n=====\n\nH\\ :sub:`2`\\ O and *re*\\ read::\n\n    a\\ b\n"
    assert read(source, "a.rst").text == "# Title\n\nH2O and *re*read:\n\n```\na\\ b\n```\n"

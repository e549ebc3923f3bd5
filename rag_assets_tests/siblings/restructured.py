"""reStructuredText as Sphinx and docutils read it."""

from collections.abc import Iterator

from rag_assets_tests.siblings.sibling import Sibling, sibling

HEAD = "Garden\n======\n\nThe paragraph that comes first.\n\n"


def signatures() -> Iterator[Sibling]:
    """Classes of several domains with all that they take."""
    yield sibling(
        "typed.rst",
        f"{HEAD}.. py:class:: Bed(width: float, *, soil: str = 'clay')\n\n   Where plants grow.\n",
        "Bed(width: float",
        "soil: str = 'clay'",
        order=["Bed(width", "Where plants grow"],
    )
    several = ".. class:: Pump()\n           Pump(power)\n           Pump(power, valve)\n\n   It moves water.\n"
    yield sibling("several.rst", HEAD + several, "Pump(power, valve)", order=["Pump(power)", "It moves water"])
    yield sibling(
        "cpp.rst",
        f"{HEAD}.. cpp:class:: garden::Bed\n\n   A bed.\n\n.. cpp:struct:: Leaf\n\n   A leaf.\n",
        "garden::Bed",
        "Leaf",
        "A bed",
    )
    yield sibling(
        "javascript.rst",
        f"{HEAD}.. js:class:: MyBed(name[, size])\n\n   :param name: what it is called\n",
        "MyBed(name[, size])",
        "what it is called",
    )
    options = (
        ".. py:class:: Rake\n   :canonical: tools._rake.Rake\n   :final:\n\n   It has "
        "teeth.\n\n   .. py:property:: teeth\n\n      How many.\n"
    )
    yield sibling("options.rst", HEAD + options, "Rake", "It has teeth", "teeth", "How many")
    nested = ".. class:: Outer\n\n   Of all.\n\n   .. class:: Inner(depth=2)\n\n      Of some.\n"
    yield sibling("nested.rst", HEAD + nested, order=["Outer", "Of all", "Inner(depth=2)", "Of some"])
    yield sibling(
        "no_body.rst",
        f"{HEAD}.. class:: garden.Spade(length)\n\nText goes on.\n",
        "garden.Spade(length)",
        "Text goes on",
    )


def list_tables() -> Iterator[Sibling]:
    """The bullets that docutils takes, in all places."""

    def table(row: str, cell: str, *, options: str = "   :header-rows: 1\n") -> str:
        rows = [("Tool", "Weight"), ("Rake", "2 kg"), ("Barrow", "19 kg")]
        lines = "".join(f"   {row} {cell} {first}\n     {cell} {second}\n" for first, second in rows)
        return f"{HEAD}.. list-table:: Tools\n{options}\n{lines}\nAfter it.\n"

    for name, row, cell in (
        ("plus_minus", "+", "-"),
        ("minus_plus", "-", "+"),
        ("minus_minus", "-", "-"),
        ("plus_star", "+", "*"),
        ("bullet", "•", "‣"),
    ):
        yield sibling(f"{name}.rst", table(row, cell), "After it", rows=[["Rake", "2 kg"], ["Barrow", "19 kg"]])
    yield sibling(
        "widths.rst",
        table("*", "+", options="   :widths: 30 70\n   :stub-columns: 1\n   :class: wide\n"),
        rows=[["Rake", "2 kg"], ["Barrow", "19 kg"]],
    )
    own_lines = "   -\n     - Rake\n     - 2 kg\n   -\n     - Barrow\n     - heavy, but it\n       has a wheel\n"
    yield sibling(
        "row_alone.rst",
        f"{HEAD}.. list-table::\n\n{own_lines}",
        rows=[["Rake", "2 kg"], ["Barrow", "heavy, but it has a wheel"]],
    )


def wide_simple_tables() -> Iterator[Sibling]:
    """Characters that take two columns of the screen."""

    def table(rows: list[tuple[str, str]], *, widths: tuple[int, int] = (12, 20)) -> str:
        def wide(text: str, width: int) -> str:
            seen = sum(2 if ord(char) > 0x2E7F else 1 for char in text)
            return text + " " * (width - seen)

        rule = "  ".join("=" * width for width in widths)
        lines = [f"{wide(first, widths[0])}  {second}" for first, second in rows]
        return "\n".join([rule, lines[0], rule, *lines[1:], rule, ""])

    japanese = table([("項目", "説明文"), ("温度計", "現在の温度"), ("ポンプ", "水を送る機械")])
    yield sibling(
        "japanese.rst",
        f"説明\n====\n\n{japanese}",
        rows=[["温度計", "現在の温度"], ["ポンプ", "水を送る機械"]],
        absent=["水を | 送る"],
        spaced=False,
    )
    korean = table([("항목", "설명"), ("온도계", "현재 온도 값"), ("습도계", "상대 습도 값")])
    yield sibling(
        "korean.rst",
        f"설명\n====\n\n{korean}",
        rows=[["온도계", "현재 온도 값"], ["습도계", "상대 습도 값"]],
        spaced=False,
    )
    mixed = table([("name", "说明"), ("pump 水泵", "moves water 输水"), ("阀门 V2", "closes 关闭管道")])
    yield sibling(
        "mixed.rst",
        f"说明\n====\n\n{mixed}",
        rows=[["pump 水泵", "moves water 输水"], ["阀门 V2", "closes 关闭管道"]],
        spaced=False,
    )
    full = table([("名称", "说明"), ("（一）", "水，泥，沙"), ("Ａ型", "大号：三米")])
    yield sibling(
        "full_width.rst", f"说明\n====\n\n{full}", rows=[["（一）", "水，泥，沙"], ["Ａ型", "大号：三米"]], spaced=False
    )
    grid = (
        "+--------+----------+\n| 名称   | 说明文字 |\n+========+==========+\n| 温度计 | 当前温度 |"
        "\n+--------+----------+\n| 水泵   | 输水     |\n+--------+----------+\n"
    )
    yield sibling("grid.rst", f"说明\n====\n\n{grid}", rows=[["温度计", "当前温度"], ["水泵", "输水"]], spaced=False)
    accents = "=====  ======\nname   saison\n=====  ======\ne\u0301te\u0301    chaud\nhiver  froid\n=====  ======\n"
    yield sibling("combining.rst", f"Saisons\n=======\n\n{accents}", rows=[["été", "chaud"], ["hiver", "froid"]])


def csv_tables() -> Iterator[Sibling]:
    """The options and quotes of csv-table."""

    def table(options: str, body: str) -> str:
        lines = "".join(f"   {line}\n" for line in body.split("\n"))
        return f"{HEAD}.. csv-table:: Rates\n{options}\n{lines}\nAfter it.\n"

    yield sibling(
        "semicolons.rst",
        table("   :header: Zone; Price\n   :delim: ;\n", "North, far; 3.20\nSouth; 2.10"),
        "After it",
        rows=[["Zone", "Price"], ["North, far", "3.20"]],
    )
    yield sibling(
        "doubled_quotes.rst",
        table("   :header: Size, Use\n", '"3"" pipe", "water, cold"\nhose, garden'),
        rows=[["Size", "Use"], ['3" pipe', "water, cold"]],
    )
    yield sibling(
        "single_quotes.rst",
        table("   :quote: '\n   :header-rows: 1\n", "Zone,Price\n'North, far',3.20"),
        rows=[["Zone", "Price"], ["North, far", "3.20"]],
    )
    yield sibling(
        "two_lines.rst",
        table('   :header: "Zone", "Remark"\n', '"North","first line\nsecond, line"\n"South","none"'),
        rows=[["North", "first line second, line"], ["South", "none"]],
    )
    yield sibling(
        "spaces.rst",
        table("   :delim: space\n   :header: Zone Price\n", '"North, far" 3.20\nSouth 2.10'),
        rows=[["North, far", "3.20"], ["South", "2.10"]],
    )
    yield sibling(
        "escapes.rst",
        table("   :escape: \\\n   :widths: 20, 10\n", '"a \\"big\\" zone, far",3.20\n"small",2.10'),
        rows=[['a "big" zone, far', "3.20"]],
    )
    yield sibling(
        "header_lines.rst",
        table('   :header: "Zone, name",\n            "Price, net"\n', "North,3.20"),
        "Zone, name",
        "Price, net",
    )


def empty_comments() -> Iterator[Sibling]:
    """Two dots alone end a block; what follows is shown."""
    yield sibling(
        "quote_after_list.rst",
        f"{HEAD}1. first\n2. second\n\n..\n\n   Mind the ladder.\n\nThe end.\n",
        "Mind the ladder",
        "The end",
    )
    yield sibling(
        "at_the_top.rst", "..\n\n   Mind the ladder.\n\nGarden\n======\n\nThe end.\n", "Mind the ladder", "The end"
    )
    yield sibling(
        "two_quotes.rst",
        f"{HEAD}   First words.\n\n..\n\n   Second words.\n\nThe end.\n",
        order=["First words", "Second words", "The end"],
    )
    yield sibling(
        "in_item.rst",
        f"{HEAD}* item\n\n  ..\n\n     Mind the ladder.\n\n* next\n",
        order=["item", "Mind the ladder", "next"],
    )
    yield sibling(
        "after_directive.rst",
        f"{HEAD}.. note:: Hold it.\n\n..\n\n    Mind the ladder.\n    It is old.\n\nThe end.\n",
        "Hold it",
        "Mind the ladder. It is old",
        "The end",
    )
    yield sibling(
        "true_comment.rst",
        f"{HEAD}..\n   Not for readers.\n\n..\n\n   Mind the ladder.\n",
        "Mind the ladder",
        absent=["Not for readers"],
    )


def autodoc() -> Iterator[Sibling]:
    """Names of documented objects."""
    yield sibling("module.rst", f"{HEAD}.. automodule:: garden.beds\n   :members:\n", "garden.beds")
    yield sibling(
        "exception.rst",
        f"{HEAD}.. autoexception:: garden.FrostError\n\n.. autodata:: garden.SEASONS\n",
        "garden.FrostError",
        "garden.SEASONS",
    )
    yield sibling(
        "method.rst",
        f"{HEAD}.. currentmodule:: garden\n\n.. automethod:: Pump.start(power)\n\n   Takes a while.\n",
        "Pump.start(power)",
        "Takes a while",
    )
    yield sibling(
        "summary.rst",
        f"{HEAD}.. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n   garden.plant\n   garden.water\n",
        "garden.plant",
        "garden.water",
        absent=["generated"],
    )
    yield sibling(
        "attribute.rst",
        f"{HEAD}.. py:currentmodule:: garden\n.. autoattribute:: Bed.width\n   :annotation: = 2\n",
        "Bed.width",
    )
    yield sibling(
        "dotted_class.rst",
        f"{HEAD}.. autoclass:: garden.Shed(key)\n   :members: open, close\n   :show-inheritance:\n",
        "garden.Shed",
    )
    yield sibling(
        "decorator.rst",
        f"{HEAD}.. autodecorator:: garden.timed\n\n.. autoproperty:: Bed.area\n",
        "garden.timed",
        "Bed.area",
    )

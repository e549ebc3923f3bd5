"""HTML becomes Markdown, element by element."""

import pytest

from rag_assets.text.formats import html
from rag_assets_tests.web_pages import PROSE


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<h2>A <b>b</b></h2><p>c</p>", "## A b\n\nc"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n  - b\n- c"),
        ("<ol start=3><li>a<li>b</ol>", "3. a\n4. b"),
        ("<p>a<br>b</p>", "a\nb"),
        ("<td>a<br> <br/>b<br>c</td>", "a\n\nb\nc"),
        ("<p>pa&shy;per&#8203; bag</p>", "paper bag"),
        ("<p>see <a href='x.html'>the page</a>.</p>", "see [the page](x.html)."),
        ("<p><a href='#top'>top</a></p>", "top"),
        ("<p>use <code>a  b</code></p>", "use `a  b`".replace("  ", " ")),
        ("<pre><code class='language-py'>if a:\n    b</code></pre>", "```py\nif a:\n    b\n```"),
        ("<div class='highlight-c notranslate'><pre>a;<br>b;</pre></div>", "```c\na;\nb;\n```"),
        ("<pre>```</pre>", "````\n```\n````"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n\n> b"),
        ("<dl><dt>term<dd>what it means</dl>", "term\n: what it means"),
        ("<details><summary>More</summary><p>hidden text</p></details>", "More\n\nhidden text"),
        ("<p>10<sup>6</sup> H<sub>2</sub>O</p>", "10⁶ H₂O"),
        ("<p>a<span>b</span><span>c</span></p>", "abc"),
        ("<p># not a heading</p>", "\\# not a heading"),
        ("<p>If <math><mi>x</mi><mo>=</mo><mfrac><mn>1</mn><mi>y</mi></mfrac></math>, go</p>", "If x=1/y, go"),
        (
            "<p>a <math><semantics><msup><mi>c</mi><mn>2</mn></msup><annotation encoding='application/x-tex'>"
            "{\\displaystyle c^{2}}</annotation></semantics></math></p>",
            "a c^{2}",
        ),
        ("<table><tr><th>a<th>b<tr><td>1<td>x|y</table>", "| a | b |\n| --- | --- |\n| 1 | x\\|y |"),
        (
            "<table><tr><th>y<th>q<tr><td rowspan=2>1<td>2<tr><td>3</table>",
            "| y | q |\n| --- | --- |\n| 1 | 2 |\n| 1 | 3 |",
        ),
        ("<table role=presentation><tr><td>a<td>b</table>", "a\n\nb"),
        ("<table><tr><td>a<td>b<td><tr><td>1<td>2<td></table>", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("<table><tr><td>a<td><p>b<p>c</table>", "a\n\nb\n\nc"),
        ("<label>Name</label><input value=x><label>City</label><textarea>Rome</textarea>", "Name City Rome"),
        ("<svg><title>icon</title><text>Tank</text><foreignObject><p>Pump</p></foreignObject></svg>", "Tank Pump"),
        (
            "<p class=MsoListParagraph><![if !supportLists]><span style='font-family:Symbol'><span style='mso-list:"
            "Ignore'>·<span style='font:7.0pt'>&nbsp; </span></span></span><![endif]>a pump</p>",
            "- a pump",
        ),
        ("<p><span style='mso-list:Ignore'>1.<span>&nbsp; </span></span>a valve</p>", "1. a valve"),
        ("<p>a<img src='data:image/png;base64,AAAA' alt='A map'></p>", "a A map"),
        ("<p>x<script>var a</script><style>p{}</style></p>" + PROSE, None),
    ],
)
def test_html_to_markdown(page: str, expected: str | None) -> None:
    """Structure becomes Markdown; nothing else is added, nothing that is read is lost."""
    text = html.to_markdown(page)
    assert expected is None or text == expected
    assert "var a" not in text
    assert "base64" not in text

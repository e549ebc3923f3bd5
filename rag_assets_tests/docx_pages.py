"""Word documents for tests: main parts in XML, the package around them, and what is read of them."""

from collections.abc import Mapping

from rag_assets.settings import Parsing
from rag_assets.text.formats.office import docx
from rag_assets_tests import samples
from rag_assets_tests.samples import PACKAGE, RELATIONS, XML, W

SPACES = (
    f'{W} xmlns:r="{RELATIONS}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:v="urn:schemas-microsoft-com:vml" xmlns:wps="urn:wps"'
)


def document(body: str, *, parts: Mapping[str, str] | None = None, links: Mapping[str, str] | None = None) -> bytes:
    """A document whose main part refers to `parts` (by kind) and to `links` (by relation id)."""
    relations = [
        f'<Relationship Id="part{kind}" Type="{RELATIONS}/{kind}" Target="{kind}.xml"/>' for kind in parts or {}
    ] + [
        f'<Relationship Id="{name}" Type="{RELATIONS}/hyperlink" Target="{target}" TargetMode="External"/>'
        for name, target in (links or {}).items()
    ]
    entries = samples.docx_entries("")
    entries["word/document.xml"] = f"{XML}<w:document {SPACES}><w:body>{body}</w:body></w:document>"
    entries["word/_rels/document.xml.rels"] = (
        f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{"".join(relations)}</Relationships>'
    )
    return samples.zipped(entries | {f"word/{kind}.xml": f"{XML}{part}" for kind, part in (parts or {}).items()})


def text_of(data: bytes) -> str:
    return docx.parse(data, name="a.docx", limits=Parsing()).text


def styled(style: str, text: str) -> str:
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'


def numbered(text: str, *, level: int = 0, number: int = 1) -> str:
    properties = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"

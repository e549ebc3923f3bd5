"""Zip containers: what they hold, and what they must not be able to do."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from rag_assets.errors import DocumentError
from rag_assets.settings import Parsing
from rag_assets.text import parsing
from rag_assets.text.formats import zipped
from rag_assets.text.formats.office import docx
from rag_assets_tests import samples

LIMITS = Parsing()


def opened(data: bytes, limits: Parsing = LIMITS) -> zipped.Container:
    return zipped.Container(data, name="a.zip", limits=limits)


@pytest.mark.parametrize("kind", ["docx", "xlsx", "pptx", "odt", "epub"])
def test_kind_is_told_by_content(kind: str) -> None:
    """No file name is needed."""
    assert zipped.kind(samples.SAMPLES[f"a.{kind}"]) == kind


def test_kind_is_none_when_the_container_is_cut() -> None:
    """Damage is no kind."""
    assert zipped.kind(samples.docx()[:500]) is None
    assert zipped.kind(samples.zipped({"a.txt": "a"})) == "zip"


@pytest.mark.parametrize("name", ["Word\\Document.XML", "/word/document.xml"])
def test_entry_is_found_by_the_name_it_goes_by(name: str) -> None:
    """Backslashes, a leading slash and letter case do not hide an entry."""
    assert opened(samples.zipped({name: "a"})).read("word/document.xml") == b"a"


def test_too_many_entries_are_refused() -> None:
    """Number and limit are in the message."""
    data = samples.zipped({str(number): "" for number in range(20)})
    with pytest.raises(DocumentError, match=r"a\.zip: 20 entries.*is 10") as caught:
        opened(data, Parsing(max_zip_entries=10))
    assert caught.value.kind == "too_large"


def test_declared_bytes_are_limited() -> None:
    """Before anything is unpacked."""
    with pytest.raises(DocumentError, match="max_zip_bytes"):
        opened(samples.zipped({"a": b"\0" * 5_000}), Parsing(max_zip_bytes=4_000))


def test_actual_bytes_are_limited_when_the_directory_lies() -> None:
    """What an entry says of its size is not believed."""
    data = bytearray(samples.zipped({"a": b"\0" * 500_000}))
    size = struct.pack("<I", 500_000)
    while (at := data.find(size)) >= 0:
        data[at : at + 4] = struct.pack("<I", 100)
    with pytest.raises(DocumentError) as caught:
        opened(bytes(data), Parsing(max_zip_bytes=4_000)).read("a")
    assert caught.value.kind in ("too_large", "corrupt")


def test_ratio_is_limited_for_large_entries() -> None:
    """A bomb is refused while it unpacks."""
    with pytest.raises(DocumentError, match="max_zip_ratio"):
        opened(samples.zipped({"a": b"\0" * 3 * 2**20})).read("a")


def test_encrypted_entry_is_told() -> None:
    """The kind says that a password is missing."""
    data = bytearray(samples.zipped({"a": "text"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DocumentError) as caught:
        opened(bytes(data))
    assert caught.value.kind == "encrypted"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused() -> None:
    """Which of them is the document would depend on the reader."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    with pytest.raises(DocumentError, match="two entries"):
        opened(out.getvalue())


@pytest.mark.parametrize("size", [10, 300, 600])
def test_truncated_container_is_corrupt(size: int) -> None:
    """Wherever it is cut."""
    with pytest.raises(DocumentError) as caught:
        docx.parse(samples.docx()[:size], name="a.docx", limits=LIMITS)
    assert caught.value.kind == "corrupt"


def test_entities_are_refused(tmp_path: Path) -> None:
    """Neither a bomb nor a file of this machine comes in."""
    (secret := tmp_path / "secret").write_text("the secret")
    external = f'<!DOCTYPE a [<!ENTITY e SYSTEM "{secret.as_uri()}">]><a>&e;</a>'
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><a>&l9;</a>'
    for document in (external, bomb):
        with pytest.raises(DocumentError) as caught:
            zipped.parse_xml(document.encode(), name="a.xml")
        assert caught.value.kind == "corrupt"


def test_deep_xml_is_corrupt() -> None:
    """Depth is limited before anything could recurse on it."""
    with pytest.raises(DocumentError) as caught:
        zipped.parse_xml(samples.nested("<a>", "</a>", depth=10_000), name="a.xml")
    assert caught.value.kind == "corrupt"


@pytest.mark.parametrize("kind", ["odt", "epub"])
@pytest.mark.parametrize("mimetype", [None, "", "text/plain", "application/zip\n"])
def test_kind_is_told_when_its_mimetype_is_missing_or_wrong(kind: str, mimetype: str | None) -> None:
    """A container that does not say what it is, or says what it is not, is known by what is in it."""
    entries = samples.unzipped(samples.SAMPLES[f"a.{kind}"])
    del entries["mimetype"]
    late = {} if mimetype is None else {"mimetype": mimetype.encode()}
    assert zipped.kind(samples.zipped(entries | late)) == kind


@pytest.mark.parametrize("kind", ["text", "spreadsheet", "presentation"])
def test_open_document_is_known_when_only_its_manifest_or_its_body_says_so(kind: str) -> None:
    """The manifest names the root's type, in any order of attributes; the body is named by what it holds."""
    stated = f'<m:file-entry m:media-type="application/vnd.oasis.opendocument.{kind}" m:full-path="/"/>'
    body = f'<o:document-content xmlns:o="x"><o:body a="b">\n<o:{kind}/></o:body></o:document-content>'
    expected = {"text": "odt", "spreadsheet": "ods", "presentation": "odp"}[kind]
    assert zipped.kind(samples.zipped({"META-INF/manifest.xml": stated, "content.xml": "<a/>"})) == expected
    assert zipped.kind(samples.zipped({"content.xml": body})) == expected
    assert zipped.kind(samples.zipped({"content.xml": body.replace(f"o:{kind}", "o:drawing")})) == "zip"


@pytest.mark.parametrize("kind", ["docx", "xlsx", "pptx"])
@pytest.mark.parametrize("embedded", ["docx", "xlsx", "pptx", "pptm", "sldx"])
def test_kind_is_told_when_another_document_is_embedded(kind: str, embedded: str) -> None:
    """Only the main part's type counts, not that of what is embedded."""
    office = "application/vnd.openxmlformats-officedocument."
    types = {
        "docx": f"{office}wordprocessingml.document", "xlsx": f"{office}spreadsheetml.sheet",
        "pptx": f"{office}presentationml.presentation", "sldx": f"{office}presentationml.slide",
        "pptm": "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
    }  # fmt: skip
    entries = samples.unzipped(samples.SAMPLES[f"a.{kind}"])
    stated = f'<Default Extension="{embedded}" ContentType="{types[embedded]}"/>'.encode()
    listed = entries["[Content_Types].xml"].replace(b"<Default ", stated + b"<Default ", 1)
    assert zipped.kind(samples.zipped(entries | {"[Content_Types].xml": listed})) == kind


@pytest.mark.parametrize("kind", ["docx", "xlsx", "pptx", "odt"])
@pytest.mark.parametrize("damage", ["<a><b></a>", "no XML", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a>\x03</a>"])
def test_document_is_read_when_its_properties_are_damaged(kind: str, damage: str) -> None:
    """What is said about a document is no reason not to read it."""
    data = samples.SAMPLES[f"a.{kind}"]
    broken = {"docProps/core.xml": damage.encode(), "docProps/app.xml": damage.encode(), "meta.xml": damage.encode()}
    read = parsing.parse(samples.zipped(samples.unzipped(data) | broken), name="a", limits=LIMITS)
    assert read.text == parsing.parse(data, name="a", limits=LIMITS).text

"""Documents are known by their content, read by the right module, and refused in words that help."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rag_assets.errors import ERROR_KINDS, DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import parsing
from rag_assets_tests import samples
from rag_assets_tests.places import CORPUS, DOCUMENTS

LIMITS = Parsing()
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600


def read(data: bytes | str, name: str = "document", limits: Parsing = LIMITS) -> ParsedText:
    return parsing.parse(data.encode() if isinstance(data, str) else data, name=name, limits=limits)


def refused(data: bytes, name: str = "document", limits: Parsing = LIMITS) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parsing.parse(data, name=name, limits=limits)
    assert name in caught.value.message
    assert caught.value.kind in ERROR_KINDS
    return caught.value


def test_formats_have_a_name_and_a_media_type_of_their_own() -> None:
    """Two formats of one media type would be read by the same module, whatever their files are."""
    for of in (lambda known: known.name, lambda known: known.media_type):
        assert len({*map(of, parsing.FORMATS)}) == len(parsing.FORMATS)


@pytest.mark.parametrize(
    ("data", "kind", "advice"),
    [
        (b"", "empty", "white space"),
        (b" \r\n\t\n", "empty", "white space"),
        (b"\xef\xbb\xbf", "empty", "white space"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "unsupported", "OCR"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "unsupported", "OCR"),
        (b"RIFF\0\0\0\0WAVEfmt ", "unsupported", "register"),
        (b"\0\0\0\x20ftypisom\0\0", "unsupported", "transcript"),
        (b"\x1f\x8b\x08\0\0", "unsupported", "unpack"),
        (b"MZ\x90\0\x03\0", "unsupported", "document"),
        (samples.zipped({"a.txt": "a"}), "unsupported", "unpack"),
        (b"PK\x03\x04broken", "corrupt", "zip"),
        (OLE + "WordDocument".encode("utf-16-le"), "unsupported", ".docx"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "encrypted", "password"),
        (b"some\0text\0with\0more\0NULs", "unsupported", "NUL"),
        (bytes(range(1, 9)) * 100, "unsupported", "control characters"),
        (b"<html><body><script>a()</script></body></html>", "no_text", "No text"),
        (b"--- --- ---", "no_text", "No text"),
    ],
)
def test_parse_refuses_with_what_to_do(data: bytes, kind: str, advice: str) -> None:
    """Each refusal has a kind, names the file, and says what is wrong or what to do."""
    error = refused(data)
    assert error.kind == kind
    assert advice in error.message


def test_parse_when_too_large() -> None:
    """Bytes in and characters out are limited, and the message says both numbers."""
    error = refused(b"0123456789a", limits=Parsing(max_bytes=10))
    assert "11 bytes, the limit (parsing.max_bytes) is 10" in error.message
    error = refused(b"0123456789a", limits=Parsing(max_characters=10))
    assert error.kind == "too_large"
    assert "11 characters" in error.message


@pytest.mark.parametrize("exception", [ValueError("odd"), RecursionError(), MemoryError(), KeyError("x")])
def test_parse_translates_what_a_module_raises(exception: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a format module raises, it is a DocumentError outside."""
    from rag_assets.text.formats import plain

    def fail(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
        raise exception

    monkeypatch.setattr(plain, "parse", fail)
    assert refused(b"text").kind == ("too_large" if isinstance(exception, MemoryError) else "corrupt")


def test_formats_are_loaded_when_needed() -> None:
    """Importing the registry loads no library that a format needs."""
    code = "import sys, rag_assets.text.parsing; print(sorted({'lxml', 'pypdf', 'docx', 'bs4'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_text_is_the_same_in_another_process() -> None:
    """Also where Python's hashes, and so the order of its sets, are others: else documents would seem to change."""
    code = (
        "import hashlib, sys; from pathlib import Path; from rag_assets.settings import Parsing;"
        "from rag_assets.text import parsing;"
        "all = [parsing.parse(f.read_bytes(), name=f.name, limits=Parsing()) for f in map(Path, sys.argv[1:])];"
        "print([hashlib.sha256(repr(one).encode()).hexdigest() for one in all])"
    )
    command = [sys.executable, "-c", code, *map(str, sorted(DOCUMENTS.iterdir()))]
    texts = {
        subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


# What must be there of each of our documents, in this order; and what must not.
KEPT = {
    "beekeeping.html": [
        "# Keeping bees",
        "## Before the frost",
        "- Narrow the entrance",
        "| October | weigh the hive |",
    ],
    "harpsichord.docx": ["# Restoring", "spruce, three", "## Strings", "| Note | Diameter |", "| c4 | 0.20 mm |"],
    "invitation.eml": ["# Rehearsal moves", "ada@example.org", "no heating", "Fauré Requiem"],
    "lighthouse.md": ["# The lighthouse", "31 metres", "## The lamp", "| 1926 | electric | 19 |", "## Visits"],
    "muehle.txt": ["Betriebsanleitung der Mühle", "Mühlrad darf bei Frost", "Schütz"],
    "pumps.xls": ["# Prices", "| Pump | Litres | Since |", "| Blue | 12 | 2019-05-04 |", "# Notes", "naïve café"],
    "recipe.json": ["name: Rye bread", "celsius: 230", "rye flour, sourdough, caraway"],
    "snow-leopard.pdf": [
        "# Feeding a snow leopard",
        "five days",
        "## Weights",
        "| Animal |",
        "| Bhuti | 2021 | 36 kg |",
    ],
    "stations.csv": ["| station | line | opened |", "| Market; North | 2 | 1931 |", "Observatory"],
    "telescope.rst": ["# Grinding", "cerium oxide", "## Testing", "```python", "focal_length = radius / 2"],
    "tides.ipynb": ["# Tides", "fifty minutes", "```python", "period_hours = 12.42", "two tides a day"],
}
LEFT_OUT = ["Shop for honey", "track(", "=C3", "cell_type", "<td>"]


@pytest.mark.parametrize("name", sorted(file.name for file in DOCUMENTS.iterdir()))
def test_document_of_each_kind_is_read_as_it_is_meant(name: str) -> None:
    """Headings, tables and words in their order, and nothing of the packing."""
    text = read((DOCUMENTS / name).read_bytes(), name).text
    places = [text.find(part) for part in KEPT[name]]
    assert -1 not in places, dict(zip(KEPT[name], places, strict=True))
    assert places == sorted(places)
    assert not [part for part in LEFT_OUT if part in text]


@pytest.mark.skipif(not CORPUS.exists(), reason="needs ../shared/corpus")
@pytest.mark.parametrize("folder", ["html", "md", "txt", "csv", "json", "xml", "ipynb", "eml", "odd"])
def test_corpus(folder: str, tmp_path: Path) -> None:
    """Every required check holds on the text formats of the corpus."""
    expected = [json.loads(line) for line in (CORPUS / "expect.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = []
    for path in (one["path"] for one in expected if one["path"].startswith(f"{folder}/")):
        try:
            outcome = {"text": read((CORPUS / path).read_bytes(), Path(path).name).text}
        except DocumentError as exc:
            outcome = {"error": exc.kind}
        lines.append(json.dumps({"path": path, **outcome}))
    outputs = tmp_path / "outputs.jsonl"
    outputs.write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, str(CORPUS / "check.py"), str(outputs), "-v"]
    report = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    assert f"FAIL {folder}/" not in report

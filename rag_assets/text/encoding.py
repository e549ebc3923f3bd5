"""Bytes of unknown encoding to text that can be stored and searched."""

import codecs
import re
import unicodedata

SAMPLE_BYTES = 2**18  # of a large file for the detector, which is slow
LATIN = "cp1252"

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What nobody reads and a database or a tokenizer stumbles over: C0 and C1 controls, byte order marks inside the
# text, bidirectional overrides (isolates and marks stay: right-to-left scripts need them).
_HARMFUL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\u202a-\u202e\ufffe\uffff]")
_BREAKS = re.compile("\r\n?|\x0c|\x85|\u2028|\u2029")


def decode(data: bytes, *, declared: str | None = None) -> tuple[str, str]:
    """The text of these bytes, cleaned, and the name of the encoding that it was in.

    In this order: byte order mark, strict UTF-8 over all of it, the declared encoding, UTF-16 by its NUL bytes, a
    detector, and at last Windows-1252 with what it lacks replaced.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return clean(data.decode(name, errors="replace")), name.removesuffix("-sig")
    wide = _wide(data)
    for name in filter(None, (wide, "utf-8", declared)):
        try:
            return clean(data.decode(name)), name
        except (UnicodeDecodeError, LookupError):
            continue
    name = _detected(data)
    return clean(data.decode(name, errors="replace")), name


def clean(text: str) -> str:
    """One kind of line break, composed characters (NFC), nothing that cannot be stored or seen."""
    if text.isascii() and not _HARMFUL.search(text):
        return _BREAKS.sub("\n", text) if "\r" in text or "\x0c" in text else text
    text = _BREAKS.sub("\n", text)
    text = _HARMFUL.sub("", text)
    text = text.encode("utf-8", errors="ignore").decode("utf-8")  # lone surrogates
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark: nearly every second byte of its beginning is NUL."""
    head = data[:2048]
    if len(head) < 4 or head.count(0) < len(head) // 5:
        return None
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 4 * even:
        return "utf-16-le"
    return "utf-16-be" if even > 4 * odd else None


def _detected(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:SAMPLE_BYTES]).best()
    return best.encoding if best else LATIN

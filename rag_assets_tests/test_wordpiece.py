"""WordPiece: the same counts as llama.cpp, spans in the text as given, and no model that is none."""

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.errors import SettingsError
from rag_assets.text.chunking import tokens
from rag_assets_tests.cutting import SPECIALS, WORDS, small_tokenizer, vocabulary

CASES = int(os.environ.get("HYPOTHESIS_CASES", "150"))  # per property; 5000 for the long form
TYPES = {bool: 7, int: 4, str: 8}


def write_gguf(path: Path, facts: Mapping[str, Any]) -> Path:
    """The head of a GGUF file, version 3, without tensors."""
    entries = b"".join(_string(key) + _value(value) for key, value in facts.items())
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, len(facts)) + entries)
    return path


def _value(value: Any) -> bytes:
    if isinstance(value, Sequence) and not isinstance(value, str):
        kind = TYPES[type(value[0])]
        return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(map(_bare, value))
    return struct.pack("<I", TYPES[type(value)]) + _bare(value)


def _bare(value: Any) -> bytes:
    if isinstance(value, str):
        return _string(value)
    return struct.pack("<?" if isinstance(value, bool) else "<I", value)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def facts(**changed: Any) -> dict[str, Any]:
    usual = {
        "general.architecture": "bert",
        "bert.context_length": 512,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": vocabulary(),
        "tokenizer.ggml.token_type": [3 if piece in SPECIALS else 1 for piece in vocabulary()],
    }
    return usual | {f"tokenizer.ggml.{key}": value for key, value in changed.items()}


def test_from_gguf_reads_vocabulary_and_limit_when_model_is_bert(tmp_path: Path) -> None:
    """The positions less [CLS] and [SEP] are usable, and the file's tokens count."""
    tokenizer = tokens.WordPiece.from_gguf(write_gguf(tmp_path / "model.gguf", facts()))
    assert tokenizer.max_tokens == 510
    assert tokenizer.count("Hello, worlds") == 4
    assert tokenizer.name == small_tokenizer().name


def test_from_gguf_names_the_tokenizer_when_it_is_no_wordpiece(tmp_path: Path) -> None:
    """Another model is refused with what to do, not counted wrongly."""
    path = write_gguf(tmp_path / "model.gguf", facts(model="gpt2"))
    with pytest.raises(SettingsError, match=r"'gpt2'.*server's tokenizer"):
        tokens.WordPiece.from_gguf(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 16, b"PK\x03\x04" + b"\0" * 60])
def test_from_gguf_refuses_when_file_is_broken(tmp_path: Path, content: bytes) -> None:
    """A damaged download ends in a clear error."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be read as a GGUF model"):
        tokens.WordPiece.from_gguf(path)


def test_from_gguf_refuses_when_file_is_missing(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(SettingsError, match=r"none\.gguf"):
        tokens.WordPiece.from_gguf(tmp_path / "none.gguf")


def test_name_differs_when_an_option_differs() -> None:
    """Chunks cut with other options are not mistaken for up to date."""
    cased = tokens.WordPiece(vocabulary(), SPECIALS, lowercase=False)
    assert cased.name != small_tokenizer().name


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \t\n\u00a0\u3000", 0),
        ("hello", 1),
        ("HELLO", 1),
        ("na\u00efve nai\u0308ve", 2),  # composed, and with a combining mark
        ("hel\u200blo", 1),  # a zero-width space is dropped
        ("hello,world!", 4),
        ("中中", 2),
        ("ჰ", 1),  # unknown
        ("helloჰ", 1),  # a word with an unknown letter is unknown as a whole
        ("a" * 300, 300),  # no limit on a word's length
        ("hello[SEP]world", 3),  # special tokens written out
        ("[sep]", 5),
        ("\x00\x07", 0),
        ("a\x1cb", 2),  # no white space for llama.cpp, a control character: one word of two pieces
        ("😀", 1),
        ("a😀", 1),
    ],
)
def test_count_follows_llama_cpp_when_text_is_special(text: str, count: int) -> None:
    """The corners in which tokenizers differ."""
    tokenizer = small_tokenizer()
    assert tokenizer.count(text) == count
    assert len(tokenizer.spans(text)) == count


mixed = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from([*WORDS, *SPECIALS, " ", "\n", "\u00e9", "\u0301", "가", "the.", "🏽", "\u200d", "\ufffd"]),
    ),
    max_size=30,
).map("".join)


@settings(max_examples=CASES, deadline=None)
@given(mixed)
def test_spans_agree_with_count_when_text_is_any(text: str) -> None:
    """The quick count and the exact spans are two ways to the same number; spans are in order and inside."""
    tokenizer = small_tokenizer()
    spans = tokenizer.spans(text)
    assert len(spans) == tokenizer.count(text)
    ends = [0, *(place for span in spans for place in span), len(text)]
    assert ends == sorted(ends)


@settings(max_examples=CASES, deadline=None)
@given(mixed, mixed)
def test_counts_add_up_when_joined_by_white_space(first: str, second: str) -> None:
    """What packing relies on."""
    tokenizer = small_tokenizer()
    assert tokenizer.count(f"{first}\n{second}") == tokenizer.count(first) + tokenizer.count(second)

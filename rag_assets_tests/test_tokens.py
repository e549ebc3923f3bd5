"""Tokens: the same counts as llama.cpp, spans in the text as given, and a GGUF reader that refuses what is none."""

from rag_assets.text.chunking import tokens


def test_remote_tokenizer_lays_pieces_along_the_text_when_they_are_normalised() -> None:
    """Spans stay inside the text, in order, one per token."""
    tokenizer = tokens.RemoteTokenizer("remote", lambda text: text.lower().split(), max_tokens=100)
    assert tokenizer.count("One TWO  three") == 3
    assert tokenizer.spans("One TWO  three") == [(0, 3), (3, 7), (7, 14)]


def test_remote_tokenizer_keeps_order_when_pieces_are_not_found() -> None:
    """Byte pieces have no place of their own."""
    tokenizer = tokens.RemoteTokenizer("remote", lambda text: ["a", "<0xF0>", "<0x9F>", "b"], max_tokens=100)
    spans = tokenizer.spans("a 😀 b")
    assert spans == [(0, 1), (1, 1), (1, 1), (1, 5)]


def test_remote_tokenizer_asks_in_parts_when_the_text_is_long() -> None:
    """No request is larger than a server takes; spans run on through all parts."""
    asked: list[int] = []

    def tokenize(text: str) -> list[str]:
        asked.append(len(text))
        return text.split()

    text = "hello world\n" * 20_000
    spans = tokens.RemoteTokenizer("remote", tokenize, max_tokens=100).spans(text)
    assert max(asked) <= tokens.REQUEST_CHARACTERS
    assert len(spans) == 40_000
    assert spans[-1][1] == len(text)
    assert text[spans[30_000][0] : spans[30_000][1]].strip() == "hello"

"""What is read of mail: its words, whichever way a program packed them."""

import base64
import quopri

import pytest

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import parsing
from rag_assets_tests import reading
from rag_assets_tests.test_chunker import lines_run

HEAD = "From: A <a@example.org>\nTo: B <b@example.org>\nDate: Mon, 6 Jan 2025 10:00:00 +0000\nMIME-Version: 1.0\n"
INNER = (
    "From: C <c@example.org>\nSubject: Inner subject\nMIME-Version: 1.0\nContent-Type: text/plain\n\nInner = words\n"
)


def read(rest: str | bytes) -> ParsedText:
    data = HEAD.encode() + (rest.encode() if isinstance(rest, str) else rest)
    return parsing.parse(data, name="a.eml", limits=Parsing())


def passed_on(kind: str, coding: str, payload: bytes) -> bytes:
    return (
        b"Subject: Outer\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\nOuter words\n"
        + f"--x\nContent-Type: {kind}\nContent-Transfer-Encoding: {coding}\n\n".encode()
        + payload
        + b"\n--x--\n"
    )


@pytest.mark.parametrize("kind", ["message/rfc822", "message/global", "message/rfc822; name=inner.eml"])
@pytest.mark.parametrize(
    ("coding", "payload"),
    [
        ("base64", base64.encodebytes(INNER.encode())),
        ("Quoted-Printable", quopri.encodestring(INNER.encode())),
        ("quoted-printable", quopri.encodestring(INNER.encode(), quotetabs=True).replace(b":", b"=3A")),
        ("7bit", INNER.encode()),
    ],
)
def test_passed_on_message_is_read_when_it_is_encoded(kind: str, coding: str, payload: bytes) -> None:
    """No program may encode a message within a message, and several do."""
    text = read(passed_on(kind, coding, payload)).text
    assert "Outer words" in text
    assert "## Inner subject" in text
    assert text.endswith("Inner = words")


def test_message_is_read_when_it_is_the_mail_itself() -> None:
    """A mail may be nothing but another one, in plain or encoded."""
    encoded = base64.encodebytes(INNER.encode()).decode()
    for rest in (f"Content-Type: message/rfc822\n\n{INNER}",
                 f"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{encoded}"):  # fmt: skip
        assert "Inner = words" in read(f"Subject: Fwd\n{rest}").text


def test_digest_is_read_when_its_parts_name_no_type() -> None:
    """In a digest a part without a type is a message."""
    text = read(f"Content-Type: multipart/digest; boundary=x\n\n--x\n\n{INNER}\n--x\n\n{INNER}\n--x--\n").text
    assert text.count("Inner = words") == 2


@pytest.mark.parametrize("kind", ["text/plain; charset=utf-8; name=reading.txt", 'text/html; name="a.html"'])
@pytest.mark.parametrize("disposition", ["", "Content-Disposition: attachment; filename=a.txt\n"])
def test_body_is_read_when_it_has_a_name(kind: str, disposition: str) -> None:
    """A mail of one part is that part, and is never attached to itself."""
    assert "The meter shows 4711." in read(f"Content-Type: {kind}\n{disposition}\nThe meter shows 4711.\n").text


def test_alternative_is_read_when_it_has_a_name() -> None:
    """A body's name makes it no attachment: one of two alternatives is read, and only once."""
    parts = (
        "--x\nContent-Type: text/plain; name=a.txt\n\nMany words here\n--x\nContent-Type: text/html; name=a.html\n\n"
    )
    text = read(f"Content-Type: multipart/alternative; boundary=x\n\n{parts}<p>Many words here</p>\n--x--\n").text
    assert text.count("Many words here") == 1
    assert "Attachment" not in text


def test_alternatives_are_read_when_the_last_is_for_programs() -> None:
    """An invitation's calendar entry is no body."""
    inner = "--y\nContent-Type: text/plain\n\nPlease come on Friday to the office\n--y--\n"
    body = f"--x\nContent-Type: multipart/related; boundary=y\n\n{inner}\n"
    rest = f"{body}--x\nContent-Type: text/calendar\n\nBEGIN:VCALENDAR\n--x--\n"
    text = read(f"Content-Type: multipart/alternative; boundary=x\n\n{rest}").text
    assert "Please come on Friday" in text
    assert "VCALENDAR" not in text


@pytest.mark.parametrize(
    ("parameters", "body", "expected"),
    [
        ("format=flowed; delsp=yes", "水や \nり計画を\n送ります", "水やり計画を\n送ります"),
        ('format="Flowed"; DelSp="Yes"', "水や \nり計画", "水やり計画"),
        ("format=flowed; delsp=no", "two \nwords", "two words"),
        ("format=flowed", "> one \n> two\n> \n>> other \nmine", "> one two\n> \n>> other \nmine"),
        ("format=flowed", " >stuffed \nline", ">stuffed line"),
        ("format=flowed", "end \n-- \nname", "end \n-- \nname"),
        ("charset=utf-8", "as \nit stands", "as \nit stands"),
    ],
)
def test_flowed_lines_are_joined_when_they_were_broken_softly(parameters: str, body: str, expected: str) -> None:
    """RFC 3676: within one depth of quotation, with or without the space before the break."""
    kind = f"Content-Type: text/plain; {parameters}" + ("" if "charset" in parameters else "; charset=utf-8")
    assert read(f"{kind}\n\n{body}\n").text.split("+0000\n\n", 1)[1].strip() == expected


@pytest.mark.parametrize("fold", [" \n\t", "\t\n ", "\n \n\t \n\t"])
def test_mail_is_known_when_a_folded_line_is_blank(fold: str) -> None:
    """A header goes on after a line of spaces or tabs, as the standard's obsolete form has it."""
    parsed = parsing.parse(f"Subject: Re: Plan\n{fold.lstrip(chr(10))}=?utf-8?B?5rip5a6k?=\n{HEAD}\nWords\n".encode(),
                           name="a", limits=Parsing())  # fmt: skip
    assert parsed.title == "Re: Plan 温室"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("=?utf-8?B?5rip5Q==?= =?UTF-8?B?rqQ=?=", "温室"),  # cut within a character
        ("=?utf-8?Q?caf=C3?=\n =?utf-8?Q?=A9_now?= open", "café now open"),
        ("=?gb2312?B?1uyDsOlG?=", "朱儼镕"),  # GBK by the name of its subset
        ("=?iso-8859-1?Q?a?= =?utf-8?Q?=C3=A9?=", "aé"),
        ("=?utf-8*de?Q?Gr=C3=BCn?=", "Grün"),
        ("plain =?", "plain =?"),
    ],
)
def test_subject_is_read_when_its_words_are_encoded(subject: str, expected: str) -> None:
    """Adjacent encoded words are one text."""
    assert read(f"Subject: {subject}\n\nWords\n").title == expected


def test_sender_is_read_when_his_encoded_name_has_a_comma() -> None:
    """An encoded name stays one name."""
    head = HEAD.replace("A <a@example.org>", "=?utf-8?Q?Doe=2C_J=C3?= =?utf-8?Q?=BCrgen?= <j@example.org>")
    text = parsing.parse(f"{head}\nWords\n".encode(), name="a.eml", limits=Parsing()).text
    assert "From: Doe, Jürgen <j@example.org>" in text


def test_delivery_report_is_read_when_mail_comes_back() -> None:
    """What a server says of a mail that it could not deliver is text."""
    status = "Reporting-MTA: dns; a.org\n\nFinal-Recipient: rfc822; b@c.org\nStatus: 5.1.1\n"
    report = f"--x\nContent-Type: message/delivery-status\n\n{status}"
    text = read(f"Content-Type: multipart/report; boundary=x\n\n{report}\n--x--\n").text
    assert "Final-Recipient: rfc822; b@c.org\nStatus: 5.1.1" in text


@pytest.mark.parametrize("field", ["Content-Type: text/plain", "Content-Disposition: inline"])
@pytest.mark.parametrize("parameter", [";", "; a=", ";\n a*1=b"])
def test_cost_is_bounded_when_a_field_has_very_many_parameters(field: str, parameter: str) -> None:
    """The standard library takes quadratic time over them, each time that it is asked: up to 11 s for 100 KB."""
    rest = f"{field}{parameter * 1_500}\n\nThe words.\n"
    read(rest)  # loads what is loaded once
    assert lines_run(lambda: read(rest)) < 400_000
    assert "The words." in read(rest).text


def test_words_are_read_when_a_field_has_very_many_comments_within_each_other() -> None:
    """The standard library reads them by recursion, which ended the whole document."""
    assert "The words." in read(f"Content-Type: {'(' * 5_000}\n\nThe words.\n").text


def test_name_is_kept_when_it_holds_semicolons() -> None:
    """Only a field with more parameters than any program writes is cut."""
    parts = "\n\n--x\nContent-Type: text/plain\n\nThe words.\n--x\nContent-Disposition: attachment; filename="
    found = read(f'Content-Type: multipart/mixed; boundary=x{parts}"{"a;" * 20}.bin"\n\nb\n--x--\n')
    assert found.metadata["attachments"] == [f"{'a;' * 20}.bin"]


MULTIPART = """From: =?utf-8?q?J=C3=B6rg?= <j@x.example>
To: list@x.example
Subject: =?koi8-r?B?8NLJ18XU?= pump
Date: Mon, 1 Jan 2024 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=M

--M
Content-Type: multipart/alternative; boundary=A

--A
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe an alle, die Pumpe l=E4uft wieder

--A
Content-Type: text/html

<p>Gruesse</p>
--A--
--M
Content-Type: application/pdf; name="plan.pdf"
Content-Disposition: attachment; filename="plan.pdf"
Content-Transfer-Encoding: base64

AAAA
--M
Content-Type: text/plain
Content-Disposition: attachment; filename="notes.txt"

Attached words
--M--
"""


def test_mail_headers_body_and_attachments() -> None:
    """Encoded words, the plain body, names of attachments and the text of those that are text."""
    parsed = reading.read(MULTIPART, "a.eml")
    for words in ("Subject: Привет pump", "From: Jörg <j@x.example>", "Grüße an alle", "plan.pdf", "Attached words"):
        assert words in parsed.text
    assert "Gruesse" not in parsed.text
    assert parsed.metadata["attachments"] == ["plan.pdf", "notes.txt"]


def test_mailbox() -> None:
    """Each message of a mailbox is read."""
    one = "From a@b Mon Jan  1 10:00:00 2024\nFrom: a@b.example\nSubject: {}\nDate: Mon, 1 Jan 2024\n\nBody {}\n\n"
    parsed = reading.read(one.format("First", "one") + one.format("Second", "two"), "list.mbox")
    assert "# First" in parsed.text
    assert "Body two" in parsed.text
    assert parsed.metadata["messages"] == 2

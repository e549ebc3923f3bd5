"""Mail: messages within messages, bodies with names, soft line ends and folded headers."""

import base64
import quopri
from collections.abc import Iterator

from rag_assets_tests.siblings.sibling import Sibling, sibling

HEAD = (
    "From: Ann <ann@example.org>\nTo: Bob <bob@example.org>\nDate: Tue, 7 Jan 2025 08:00:00 +0000\nMIME-Version: 1.0\n"
)
INNER = (
    "From: Cid <cid@example.org>\nTo: Ann <ann@example.org>\nSubject: Ladder\nMIME-Version: 1.0\n"
    "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit"
    "\n\nThe ladder in the shed is rotten – mind it.\n"
)
SAID = ("Subject: Ladder", "The ladder in the shed is rotten")


def _mixed(*parts: str, subject: str = "Outer") -> str:
    body = "".join(f"--q\n{part}\n" for part in parts)
    return f'{HEAD}Subject: {subject}\nContent-Type: multipart/mixed; boundary="q"\n\n{body}--q--\n'


def _encoded(inner: str, *, coding: str = "base64", kind: str = "message/rfc822") -> str:
    data = inner.encode()
    text = base64.encodebytes(data) if coding == "base64" else quopri.encodestring(data)
    return f"Content-Type: {kind}\nContent-Transfer-Encoding: {coding}\n\n{text.decode()}"


FIRST = "Content-Type: text/plain\n\nSee below.\n"


def encoded_messages() -> Iterator[Sibling]:
    """Messages that were passed on in an encoding."""
    unwanted = ["RnJvbT", "=E2"]
    yield sibling(
        "quoted_printable.eml", _mixed(FIRST, _encoded(INNER, coding="quoted-printable")), *SAID, absent=unwanted
    )
    yield sibling(
        "upper_case.eml", _mixed(FIRST, _encoded(INNER).replace(": base64", ": BASE64")), *SAID, absent=unwanted
    )
    yield sibling("line_ends.eml", _mixed(FIRST, _encoded(INNER.replace("\n", "\r\n"))), *SAID, absent=unwanted)
    deep = _mixed(FIRST, _encoded(INNER), subject="Middle")
    yield sibling("two_deep.eml", _mixed(FIRST, _encoded(deep)), "Subject: Middle", *SAID, absent=unwanted)
    rich = INNER.replace("text/plain", "text/html").replace("The ladder", "<p>The <b>ladder</b>")
    yield sibling("html_inside.eml", _mixed(FIRST, _encoded(rich)), *SAID, absent=[*unwanted, "<b>"])
    digest = _mixed(_encoded(INNER), _encoded(INNER.replace("Ladder", "Rope"))).replace(
        "multipart/mixed", "multipart/digest"
    )
    yield sibling("digest.eml", digest, *SAID, "Subject: Rope", absent=unwanted)
    chinese = (
        HEAD + "Subject: =?gb2312?B?zqzQ3g==?=\nContent-Type: text/plain; charset=gb2312"
        "\nContent-Transfer-Encoding: base64\n\nzN3X09LRu7U=\n"
    )
    yield sibling(
        "chinese_inside.eml", _mixed(FIRST, _encoded(chinese)), "维修", "梯子已坏", absent=["zN3X"], spaced=False
    )


def messages_as_body() -> Iterator[Sibling]:
    """A mail that is nothing but another one."""

    def whole(inner: str, *, more: str = "") -> str:
        return f"{HEAD}Subject: Fwd\nContent-Type: message/rfc822{more}\n\n{inner}"

    yield sibling("named.eml", whole(INNER, more='; name="a.eml"'), *SAID)
    yield sibling("attached.eml", whole(INNER, more="\nContent-Disposition: attachment; filename=a.eml"), *SAID)
    encoded = base64.encodebytes(INNER.encode()).decode()
    yield sibling("base64.eml", whole(encoded, more="\nContent-Transfer-Encoding: base64"), *SAID, absent=["RnJvbT"])
    yield sibling(
        "parts_inside.eml",
        whole(_mixed(FIRST, "Content-Type: text/plain\n\nMind the ladder.\n")),
        "See below",
        "Mind the ladder",
    )
    rich = "From: a@example.org\nContent-Type: text/html\n\n<p>Mind the <i>old</i> ladder.</p>\n"
    yield sibling("html_inside.eml", whole(rich), "Mind the old ladder")
    yield sibling("two_deep.eml", whole(whole(INNER)), *SAID)
    yield sibling("global.eml", whole(INNER).replace("message/rfc822", "message/global"), *SAID)


def named_bodies() -> Iterator[Sibling]:
    """A mail without parts whose text has the name of a file."""

    def mail(content: str, *, kind: str = "text/plain", more: str = "") -> str:
        return f"{HEAD}Subject: Reading\nContent-Type: {kind}{more}\n\n{content}\n"

    said = "The pump has run for 812 hours"
    yield sibling("inline.eml", mail(said, more="\nContent-Disposition: inline; filename=a.txt"), said)
    yield sibling("attachment.eml", mail(said, more="\nContent-Disposition: attachment; filename=a.txt"), said)
    yield sibling("html.eml", mail(f"<p>{said}</p>", kind="text/html", more='; name="a.html"'), said, absent=["<p>"])
    coded = base64.encodebytes(said.encode()).decode()
    yield sibling("base64.eml", mail(coded, more='; name="a.txt"\nContent-Transfer-Encoding: base64'), said)
    yield sibling("rfc2231.eml", mail(said, more="; name*=utf-8''Z%C3%A4hler.txt; charset=utf-8"), said)
    yield sibling("table.eml", mail("pump,hours\nnorth,812", kind="text/csv", more="; name=a.csv"), "north", "812")
    alone = f"Content-Type: text/plain; name=a.txt\n\n{said}.\n"
    yield sibling("only_part.eml", _mixed(alone), said)


def deleted_spaces() -> Iterator[Sibling]:
    """RFC 3676: with DelSp=yes, the space before a soft line end goes with it."""

    def mail(text: str, *, parameters: str = "format=flowed; delsp=yes") -> str:
        return (
            f"{HEAD}Subject: Text\nContent-Type: text/plain; charset=utf-8; "
            f"{parameters}\nContent-Transfer-Encoding: 8bit\n\n{text}\n"
        )

    yield sibling(
        "capitals.eml", mail("请检查 \n包裹的内容。", parameters="Format=Flowed; DelSp=YES"), "请检查包裹的内容"
    )
    yield sibling(
        "quoted_value.eml",
        mail("물을 주는 계 \n획을 보냅니다.", parameters='format="flowed"; delsp="yes"'),
        "계획을 보냅니다",
    )
    yield sibling("quoted_lines.eml", mail("> 庭の水や \n> り計画です。\n\nはい。"), "水やり計画です")
    yield sibling(
        "address.eml",
        mail("See https://example.org/a/very/long/ \npath/of/words.html for it."),
        "https://example.org/a/very/long/path/of/words.html",
    )
    yield sibling("two_spaces.eml", mail("The quick brown  \nfox jumps."), "The quick brown fox jumps")
    coded = base64.encodebytes("温室の温度を測 \nります。".encode()).decode()
    yield sibling("base64.eml", mail(coded).replace("8bit", "base64"), "温度を測ります")
    yield sibling(
        "delsp_no.eml",
        mail("The quick brown \nfox jumps.", parameters="format=flowed; delsp=no"),
        "The quick brown fox jumps",
    )


def blank_folds() -> Iterator[Sibling]:
    """Header lines that go on over a line of white space."""
    rest = (
        "Date: Tue, 7 Jan 2025 08:00:00 +0000\nMIME-Version: 1.0\nContent-Type: "
        "text/plain; charset=utf-8\n\nThe ladder is rotten.\n"
    )
    said = "The ladder is rotten"
    yield sibling(
        "tab.eml",
        f"From: a@example.org\nSubject: Mind the\n\t\n ladder\nTo: b@example.org\n{rest}",
        said,
        "Mind the ladder",
        absent=["MIME-Version"],
    )
    yield sibling(
        "addresses.eml",
        f"From: a@example.org\nTo: b@example.org,\n  \n c@example.org\nSubject: Ladder\n{rest}",
        said,
        "c@example.org",
        absent=["MIME-Version"],
    )
    yield sibling(
        "line_ends.eml",
        f"From: a@example.org\nSubject: Mind\n   \n the ladder\n{rest}".replace("\n", "\r\n"),
        said,
        "Mind the ladder",
        absent=["MIME-Version"],
    )
    yield sibling(
        "two_blanks.eml",
        f"From: a@example.org\nSubject: Mind\n \n \n the ladder\n{rest}",
        said,
        "Mind the ladder",
        absent=["MIME-Version"],
    )
    received = (
        "Received: from x.example.org\n \n by y.example.org; Tue, 7 Jan 2025 "
        "08:00:00 +0000\nFrom: a@example.org\nSubject: Ladder\n"
    )
    yield sibling("received.eml", received + rest, said, "Subject: Ladder", absent=["MIME-Version"])
    yield sibling(
        "before_next_field.eml",
        f"From: a@example.org\nSubject: Ladder\n \nTo: b@example.org\n{rest}",
        said,
        "b@example.org",
        absent=["MIME-Version"],
    )

"""Connection texts, as URL or as keywords: read as libpq reads them, and shown without anything that may be secret."""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from rag_assets.errors import SettingsError

NOT_READABLE = "DATABASE_URL is not a PostgreSQL URL: postgresql://user:password@host:port/name"
HIDDEN = "of DATABASE_URL (its text is not shown: a part of it looks like a secret at the wrong place)"
_PART = r"[\w][\w.-]*"
_HOST = rf"{_PART}|[0-9A-Fa-f:.]+|/[\w./+-]*"
# What may be shown, and of which form: in all else, a password with @ or / in it would be shown in parts.
_HARMLESS = {
    "user": re.compile(r"\w[\w.@-]{0,62}"),
    "host": re.compile(rf"({_HOST})(,({_HOST}))*"),
    "hostaddr": re.compile(r"[0-9A-Fa-f:.,]+"),
    "port": re.compile(r"\d{1,5}(,\d{0,5})*"),
    "dbname": re.compile(r"\w[\w.-]{0,62}"),
}
_SHORTEST_SECRET = 3  # characters: shorter values are in many words


def parsed(text: str) -> dict[str, str]:
    """The parameters that libpq finds in a connection text; SettingsError, without any of it, where it finds none."""
    try:
        return dict(parse_dsn(text))
    except (psycopg2.ProgrammingError, UnicodeError):  # it quotes what it cannot read, so that goes no further
        raise SettingsError(NOT_READABLE) from None


def shown(text: str) -> str:
    """Where a connection text leads to, as a URL that may be logged: no value that is not known to be harmless."""
    try:
        parts = parsed(text)
    except SettingsError:
        return HIDDEN
    if not _is_understood(parts):
        return HIDDEN
    who = parts.get("user", "") + (":***" if "password" in parts else "")
    host = parts.get("host") or parts.get("hostaddr", "")
    where, query = ("", f"?host={host}") if host.startswith("/") else (f"[{host}]" if ":" in host else host, "")
    port = f":{parts['port']}" if parts.get("port") and where else ""
    return f"postgresql://{who}{'@' if who else ''}{where}{port}/{parts.get('dbname', '')}{query}"


def redacted_message(cause: BaseException, text: str) -> str:
    """The message of an error of this connection, on one line, without values of the connection text that may be
    secret: libpq quotes them where they are wrong."""
    try:
        parts = parsed(text)
    except SettingsError:
        return type(cause).__name__
    if not _is_understood(parts):
        return type(cause).__name__
    message = " ".join(str(cause).split()) or type(cause).__name__
    for name, value in parts.items():
        if name not in _HARMLESS and len(value) >= _SHORTEST_SECRET:
            message = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "***", message)
    return message


def as_environment(text: str) -> dict[str, str]:
    """The variables by which psql, and whatever else uses libpq, finds this database."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    return {names[name]: value for name, value in parsed(text).items() if name in names}


def as_sqlalchemy(text: str, *, schema: str | None) -> str:
    """The same connection for SQLAlchemy, with psycopg2; `schema`: the only one in which names are looked up.

    SQLAlchemy 2.1 takes postgresql:// for psycopg 3, with which dagster-postgres does not work.
    """
    parts = _parameters(text, schema=schema)
    user, password = (quote(parts.pop(name, ""), safe="") for name in ("user", "password"))
    who = f"{user}{':' if password else ''}{password}@" if user or password else ""
    where = ""
    if re.fullmatch(_PART, parts.get("host", "")) and re.fullmatch(r"\d*", parts.get("port", "")):
        where = parts.pop("host") + (f":{port}" if (port := parts.pop("port", "")) else "")
    name = parts.pop("dbname") if _HARMLESS["dbname"].fullmatch(parts.get("dbname", "")) else ""
    return f"postgresql+psycopg2://{who}{where}/{name}?{urlencode(parts, quote_via=quote)}".rstrip("?")


def as_libpq(text: str, *, schema: str | None) -> str:
    """The same connection for libpq, also of a URL for SQLAlchemy."""
    return str(make_dsn(**_parameters(text, schema=schema)))


def _parameters(text: str, *, schema: str | None) -> dict[str, str]:
    parts = parsed(re.sub(r"^postgres(ql)?\+\w+://", "postgresql://", text))
    if schema is not None:
        parts["options"] = f"{parts.get('options', '')} -csearch_path={schema}".strip()
    return parts


def _is_understood(parts: Mapping[str, str]) -> bool:
    return all(pattern.fullmatch(parts[name]) for name, pattern in _HARMLESS.items() if parts.get(name))

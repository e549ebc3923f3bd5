"""Documents by their address: what may be read, how it is known to be unchanged, and which errors there are."""

import hashlib
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pytest
from pydantic import ValidationError

from rag_assets import operations
from rag_assets.errors import DocumentError, SettingsError
from rag_assets.model import FileFacts
from rag_assets.settings import Source
from rag_assets.text import paths, sources
from rag_assets.text.sources import Address
from rag_assets_tests.application import WORDS, text
from rag_assets_tests.project import Project

LIMIT = 100_000
WORDS_READ = text(*WORDS).encode()
TWO = {"a": ("pumps", "glass"), "b": ("glass", "pumps")}  # of one size


class Store:
    """The memory of fsspec, below a folder of the test's own."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._memory = fsspec.filesystem("memory")

    def put(self, name: str, data: bytes = WORDS_READ) -> str:
        self._memory.pipe_file(f"/{self.folder}/{name}", data)
        return f"memory://{self.folder}/{name}"

    def close(self) -> None:
        if self._memory.exists(f"/{self.folder}"):
            self._memory.rm(f"/{self.folder}", recursive=True)


class Web:
    """A web server; `files` has what it answers, by path: status, headers, body. `asked` has the methods and paths.

    `of_head` has what is answered to HEAD where that is something else.
    """

    def __init__(self) -> None:
        self.files: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.of_head: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(with_body=False)

            def do_GET(self) -> None:
                self._answer(with_body=True)

            def log_message(self, *_: Any) -> None:
                """Not to the terminal."""

            def _answer(self, *, with_body: bool) -> None:
                web.asked.append((self.command, self.path))
                files = web.files if with_body else web.files | web.of_head
                status, headers, body = files.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def put(self, path: str, data: bytes = WORDS_READ, *, status: int = 200, **headers: str) -> str:
        self.files[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, data)
        return self.url + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"{os.getpid()}-{tmp_path.name}")
    yield made
    made.close()


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()


def at(uri: str, *allowed: str) -> Address:
    found = sources.resolve(uri, schemes=allowed or ("memory", "http"), root=None)
    assert isinstance(found, Address)
    return found


def fetched(place: Address, *, limit: int = LIMIT) -> tuple[bytes, FileFacts]:
    with sources.opened(place, limit=limit) as found:
        assert found.facts is not None
        if found.file is None:
            return found.path.read_bytes(), found.facts
        found.file.seek(0)
        return found.file.read(), found.facts


def allow(project: Project, *schemes: str) -> None:
    given = project.services.settings
    project.services.settings = given.model_copy(
        update={"source": given.source.model_copy(update={"schemes": schemes})}
    )


def refused(uri: str, *schemes: str, root: Path | None = None) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        sources.resolve(uri, schemes=schemes, root=root)
    return caught.value


# ---- what may be read


@pytest.mark.parametrize(
    ("uri", "schemes"),
    [
        ("s3://library/a.pdf", ()),
        ("s3://library/a.pdf", ("gs", "https")),
        ("s3://other/a.pdf", ("s3://library/",)),
        ("s3://library-of-others/a.pdf", ("s3://library/",)),
        ("s3://library/books/../../other/a.pdf", ("s3://library/books/",)),
        ("https://files.example.com/a/%2e%2e/b.pdf", ("https://files.example.com/a/",)),
        ("https://files.example.com/a/..;x=1/b.pdf", ("https://files.example.com/a/",)),
        ("https://files.example.com@evil.example.org/a.pdf", ("https://files.example.com/",)),
        ("https://files.example.com%2f@evil.example.org/a.pdf", ("https://files.example.com/",)),
        ("https://files.example.com?@evil.example.org/a.pdf", ("https://files.example.com/",)),
        ("https://name:word@files.example.com/a.pdf", ("https",)),
        ("abfs://library@evil.dfs.core.windows.net/a.pdf", ("abfs",)),
        ("https://files.example.com/a/.\t./b.pdf", ("https://files.example.com/a/",)),
        ("s3://library/a%2fb.pdf", ("s3://library/a/",)),
        ("zip://a.txt::file:///etc/passwd", ("s3", "file")),
        ("s3://library/a.zip::file:///etc/passwd", ("s3",)),
    ],
)
def test_address_is_refused_unless_the_settings_allow_its_beginning(uri: str, schemes: tuple[str, ...]) -> None:
    """Before anything is asked: who writes into the table does not decide what this machine reaches."""
    assert refused(uri, *schemes).kind == "outside_root"


def test_password_in_an_address_is_in_no_message() -> None:
    """Nor is it taken: what reads an address may put it into messages of its own."""
    error = refused("https://name:secret@files.example.com/a.pdf", "https")
    assert "secret" not in str(error)
    assert "https://***@files.example.com/a.pdf" in str(error)


def test_address_of_a_file_is_confined_as_its_path_is(tmp_path: Path) -> None:
    """And means the same file."""
    (tmp_path / "with space.txt").write_bytes(b"x")
    uri = f"file://{tmp_path.as_posix()}/with%20space.txt"
    assert sources.resolve(uri, schemes=["file"], root=tmp_path) == (tmp_path / "with space.txt").resolve()
    assert refused("file:///etc/passwd", "file", root=tmp_path).kind == "outside_root"
    assert refused(uri, "s3", root=tmp_path).kind == "outside_root"


@pytest.mark.parametrize(
    "scheme",
    [
        *("zip", "s3://", "s3://bucket", "local", "https://user@host/", "s3:/bucket/"),
        *("https://HOST.example.com/", "https://host.example.com:443/", "https://host%2f/"),
    ],
)
def test_settings_take_no_beginning_that_means_more_than_it_says(scheme: str) -> None:
    """Without a slash, https://files.example.com would allow https://files.example.com.evil.org.

    Nor one that is never met: what asks for an address writes hosts in small letters, without the usual port.
    """
    with pytest.raises(ValidationError, match="begins no address that is read"):
        Source(schemes=(scheme,))
    assert Source(schemes=("s3", "https://files.example.com/", "s3://library/books/")).schemes


@pytest.mark.parametrize("leads_away", ["HEAD", "GET"])
def test_nothing_is_asked_of_where_a_redirection_leads_unless_it_is_allowed(web: Web, leads_away: str) -> None:
    """Not even whether it is there: who is allowed would have a way to what this machine alone can reach."""
    away = web.put("/library/a.txt", status=302, Location=f"{web.url}/secret/a.txt?signature=word")
    web.put("/secret/a.txt")
    if leads_away == "GET":
        web.of_head["/library/a.txt"] = (200, {"Content-Length": str(len(WORDS_READ))}, b"")
    with pytest.raises(DocumentError, match=f"Address refused, .*: {web.url}/secret/a.txt$") as caught:
        fetched(at(away, f"{web.url}/library/"))
    assert caught.value.kind == "outside_root"
    assert {path for _, path in web.asked} == {"/library/a.txt"}


def test_signature_that_a_redirection_has_is_in_no_message(web: Web) -> None:
    """Messages are shown to all who see the index: with it, they could read what this machine may."""
    uri = web.put("/a.txt", status=302, Location="ftp://files.example.com/a.txt?signature=word")
    with pytest.raises(DocumentError, match=r"ftp://files\.example\.com/a\.txt\?\*\*\*") as caught:
        fetched(at(uri, f"{web.url}/"))
    assert "word" not in str(caught.value)


def test_redirection_to_what_is_allowed_is_followed(web: Web) -> None:
    """Servers have objects at other addresses."""
    web.put("/library/b.txt", b"moved here")
    moved = web.put("/library/a.txt", b"", status=302, Location="/library/b.txt")
    assert fetched(at(moved, f"{web.url}/library/"))[0] == b"moved here"


# ---- what is read


def test_document_of_a_store_is_read_whole_with_its_facts(store: Store, web: Web) -> None:
    """Its hash is that of its bytes; a name and a time as the store has them."""
    of_web = web.put("/a.txt", ETag='"one"', Last_Modified="Mon, 02 Mar 2026 10:00:00 GMT")
    for uri in (store.put("a.txt"), of_web):
        data, facts = fetched(at(uri))
        assert data == WORDS_READ
        assert (facts.sha256, facts.size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (facts.version, facts.mtime_ns) == ('"one"', 1_772_445_600_000_000_000)


@pytest.mark.parametrize("says_size", [True, False])
def test_document_of_a_store_that_is_too_large_is_not_read(web: Web, says_size: bool) -> None:
    """Also where the server says nothing of its size."""
    uri = web.put("/a.txt", **({} if says_size else {"Content_Length": ""}))
    with pytest.raises(DocumentError) as caught:
        fetched(at(uri), limit=3)
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize(
    ("status", "kind"), [(404, "not_found"), (403, "not_found"), (500, "timed_out"), (503, "timed_out")]
)
def test_errors_of_a_web_server_are_those_of_documents(web: Web, status: int, kind: str) -> None:
    """What another time may be better is tried again: both kinds are."""
    for act in (sources.facts, fetched):
        with pytest.raises(DocumentError) as caught:
            act(at(web.put("/a.txt", status=status)))
        assert (caught.value.kind, caught.value.retryable) == (kind, True)


@pytest.mark.parametrize("status", [202, 204, 206, 300, 302, 304])
@pytest.mark.parametrize("of", ["HEAD and GET", "GET"])
def test_only_a_plain_answer_is_a_document(web: Web, status: int, of: str) -> None:
    """Part of one that nobody asked for, a notice that it is being prepared, or nothing: another time may be better."""
    if of == "GET":
        web.of_head["/a.txt"] = (200, {"Content-Length": str(len(WORDS_READ))}, b"")
    with pytest.raises(DocumentError, match=rf"answered {status}.*/a\.txt") as caught:
        fetched(at(web.put("/a.txt", b"" if status in (204, 304) else b"Please wait", status=status)))
    assert (caught.value.kind, caught.value.retryable) == ("timed_out", True)


def test_login_that_a_redirection_has_is_not_sent(web: Web) -> None:
    """As with an address of the table."""
    web.put("/b.txt")
    there = web.url.replace("://", "://user:hunter2@")
    with pytest.raises(DocumentError, match=r"login: .*/a\.txt$") as caught:
        fetched(at(web.put("/a.txt", b"", status=302, Location=f"{there}/b.txt")))
    assert (caught.value.kind, {path for _, path in web.asked}) == ("outside_root", {"/a.txt"})


def test_store_that_does_not_answer_is_no_missing_file(web: Web) -> None:
    """It is said what happened."""
    uri = web.put("/a.txt")
    web.close()
    with pytest.raises(DocumentError, match="Its store gives no answer of use") as caught:
        fetched(at(uri))
    assert caught.value.kind == "timed_out"


def test_missing_object_and_a_folder_are_no_documents(store: Store) -> None:
    """As with files."""
    store.put("folder/a.txt")
    with pytest.raises(DocumentError) as caught:
        fetched(at(f"memory://{store.folder}/b.txt"))
    assert caught.value.kind == "not_found"
    with pytest.raises(DocumentError) as caught:
        fetched(at(f"memory://{store.folder}/folder"))
    assert caught.value.kind == "unsupported"


def test_store_that_is_not_installed_is_a_matter_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No document is at fault; what to install is said."""

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(SettingsError, match=r"pip install 'rag-assets\[s3\]'"):
        sources.facts(at("s3://library/a.txt", "s3"))


# ---- whether it is unchanged


@pytest.mark.parametrize(
    ("before", "after", "same_bytes", "is_unchanged", "is_fetched"),
    [
        ('"one"', '"one"', True, True, False),
        ('"one"', '"two"', True, True, True),
        ('"one"', '"two"', False, False, True),
        ('W/"one"', 'W/"one"', False, False, True),
        ("", "", False, False, True),
        ("", "", True, True, True),
    ],
)
def test_document_is_unchanged_by_the_name_of_its_state_or_by_its_hash(
    web: Web, before: str, after: str, same_bytes: bool, is_unchanged: bool, is_fetched: bool
) -> None:
    """Weak names are no names of bytes; a document that was written anew with the same bytes is the same."""
    uri = web.put("/a.txt", b"first", **({"ETag": before} if before else {}))
    _, stored = fetched(at(uri))
    web.put("/a.txt", b"first" if same_bytes else b"other", **({"ETag": after} if after else {}))
    web.asked.clear()
    assert sources.is_unchanged(at(uri), stored, limit=LIMIT, by_stat=False) is is_unchanged
    assert (("GET", "/a.txt") in web.asked) is is_fetched


def test_document_of_another_size_is_changed_unread(web: Web) -> None:
    """As with files."""
    _, stored = fetched(at(web.put("/a.txt", b"first")))
    uri = web.put("/a.txt", b"longer than the first")
    web.asked.clear()
    assert not sources.is_unchanged(at(uri), stored, limit=LIMIT, by_stat=False)
    assert [method for method, _ in web.asked] == ["HEAD"]


def test_time_is_enough_where_the_settings_say_so(web: Web) -> None:
    """parsing.unchanged = "stat"; not where the store says none."""
    uri = web.put("/a.txt", b"first", Last_Modified="Mon, 02 Mar 2026 10:00:00 GMT")
    _, stored = fetched(at(uri))
    web.put("/a.txt", b"other", Last_Modified="Mon, 02 Mar 2026 10:00:00 GMT")
    assert sources.is_unchanged(at(uri), stored, limit=LIMIT, by_stat=True)
    assert not sources.is_unchanged(at(uri), stored, limit=LIMIT, by_stat=False)
    _, stored = fetched(at(web.put("/a.txt", b"first")))
    assert stored.mtime_ns == paths.TELLS_NOTHING
    web.put("/a.txt", b"other")
    assert not sources.is_unchanged(at(uri), stored, limit=LIMIT, by_stat=True)


@pytest.mark.parametrize("headers", [{"ETag": '"1"'}, {"Last_Modified": "Mon, 02 Mar 2026 10:00:00 GMT"}])
def test_state_of_another_address_says_nothing(project: Project, web: Web, headers: dict[str, str]) -> None:
    """Two servers may call the states of what they have the same, and what came together has one size and one time."""
    allow(project, web.url + "/")
    given = project.services.settings
    by_stat = given.parsing.model_copy(update={"unchanged": "stat"})
    project.services.settings = given.model_copy(update={"parsing": by_stat})
    first, second = (web.put(f"/{name}.txt", text(*words).encode(), **headers) for name, words in TWO.items())
    document_id = project.application.add_row(first)
    project.run()
    before = project.application.stored(document_id)
    project.application.sql(f"""update "TblDocumentFiles" set file_path = '{second}'""")
    project.run()
    assert project.application.stored(document_id) != before


# ---- through the whole


@pytest.mark.parametrize(
    ("status", "headers", "ends"),
    [
        (302, {"Location": "file:///\xff\xfe"}, "timed_out"),
        (200, {"ETag": '"\xff\xfe"'}, None),
        (200, {"Last_Modified": "0001-01-01T00:00:00+23:59"}, None),
        (200, {"Last_Modified": "9999-12-31T23:59:59+00:00"}, None),
        (500, {"Last_Modified": "9999-12-31T23:59:59+00:00"}, "timed_out"),
    ],
)
def test_what_a_server_says_beside_a_document_costs_no_other_its_place(
    project: Project, web: Web, status: int, headers: dict[str, str], ends: str | None
) -> None:
    """Bytes that are no text, and times that no number of the database holds; they are told to nobody as they came."""
    allow(project, web.url + "/")
    odd = project.application.add_row(web.put("/odd.txt", status=status, **headers))
    beside = project.application.add_row(web.put("/beside.txt"))
    project.run()
    assert project.application.stored(beside)
    kinds = project.application.sql(f"select error_kind from rag_outbox where document_id = '{odd}'")
    assert kinds == ([(ends,)] if ends else [])
    assert bool(project.application.stored(odd)) == (ends is None)
    assert operations.reconcile(project.services)["changed"] == 0


def test_stored_document_stays_when_its_server_answers_with_something_else(project: Project, web: Web) -> None:
    """And is found unchanged when the server is well again."""
    allow(project, web.url + "/")
    document_id = project.application.add_row(web.put("/a.txt", ETag='"one"'))
    project.run()
    before = project.application.stored(document_id)
    web.put("/a.txt", b"", status=304, ETag='"one"')
    project.application.change(document_id)
    project.run(succeeds=False)  # nothing beside it: the run that was asked for one document says that it failed
    assert project.application.stored(document_id) == before
    assert project.application.sql("select error_kind from rag_outbox") == [("timed_out",)]


def test_documents_of_stores_are_ingested_reconciled_and_found_changed(
    project: Project, web: Web, store: Store
) -> None:
    """Beside files of the folder, with the same errors for what cannot be read."""
    allow(project, "memory", f"{web.url}/library/")
    add = project.application.add_row
    of_web, of_store = add(web.put("/library/a.txt", ETag='"one"')), add(store.put("b.txt"))
    missing, elsewhere = add(f"{web.url}/library/none.txt"), add(web.put("/secret/c.txt"))
    project.run()
    for document_id in (of_web, of_store):
        assert project.application.stored(document_id)
    kinds = project.application.sql("select document_id, error_kind from rag_outbox order by document_id::int")
    assert kinds == [(missing, "not_found"), (elsewhere, "outside_root")]
    assert project.application.sql("select version from rag_document_text where version is not null") == [('"one"',)]
    assert operations.reconcile(project.services)["changed"] == 0
    web.put("/library/a.txt", text("pumps", "glass").encode(), ETag='"two"')
    assert operations.reconcile(project.services)["changed"] == 1
    project.run()
    assert len(project.application.stored(of_web)) == 2

"""docs/service.md is true: each of its examples is run against a service, and its tables are the code's."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets_tests import conftest, serving
from rag_assets_tests.serving import Service, configured, served
from rag_assets_tests.test_docs import CODE, text_of

PAGE = "docs/service.md"
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def service(postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    place = tmp_path_factory.mktemp("docs")
    for url in conftest._database(postgres_url, template=_template):
        serving.fill(url)
        with served(configured(url, place / "home")) as made:
            made.dsn = url
            yield made


def blocks(language: str) -> list[str]:
    return [block for found, block in CODE.findall(text_of(PAGE)) if found == language]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines() if "curl" in line])
def test_each_curl_is_answered(service: Service, line: str) -> None:
    """As it stands, but for the address."""
    command = shlex.split(line.replace(ADDRESS, service.url).replace("/documents/1", "/documents/north-1"))
    done = subprocess.run([*command, "--noproxy", "*"], capture_output=True, text=True, check=True, timeout=120)
    assert "error" not in json.loads(done.stdout), done.stdout


def test_the_plain_request_is_answered(service: Service) -> None:
    """Byte for byte, but for the ends of lines, which HTTP has its own of."""
    [request] = blocks("http")
    answer = service.raw(request.rstrip("\n").replace("\n", "\r\n").encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert "hits" in json.loads(body)


def test_the_python_example_runs(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands, but for the address and the folder."""
    [code] = blocks("python")
    exec(code.replace(ADDRESS, service.url).replace("contracts/", "north/"), {})  # noqa: S102
    assert "north/" in capsys.readouterr().out


def test_the_statements_separate_tenants(service: Service) -> None:
    """They run in this order on a table that has customers, and a role sees its customer's documents alone."""
    import psycopg2

    [code] = blocks("sql")
    role = "tenant_of_docs"
    code = code.replace("create role tenant ", f"create role {role} ").replace("'tenant'", f"'{role}'")
    code = code.replace("to tenant;", f"to {role};")
    code = code.replace("grant tenant ", f"grant {role} ")
    connection = psycopg2.connect(service.dsn)
    try:
        with connection.cursor() as cursor:  # rolled back at the end
            cursor.execute('alter table "TblDocumentFiles" add customer_id integer, alter id drop identity')
            cursor.execute('alter table "TblDocumentFiles" alter id type text using id::text')
            cursor.execute(
                """insert into "TblDocumentFiles" (id, file_path, customer_id) values ('north-1', 'x', 42)"""
            )
            cursor.execute(code)
            cursor.execute("select set_config('app.customer', '42', true)")
            cursor.execute(f"set local role {role}")
            cursor.execute("select distinct document_id from rag_search('pump repaired roses', null, 10)")
            assert cursor.fetchall() == [("north-1",)]
    finally:
        connection.rollback()
        connection.close()


def test_the_paths_shown_are_those_that_are_served(service: Service) -> None:
    """The table has all of the OpenAPI document."""
    paths = set(service.ask("GET", "/openapi.json").json()["paths"]) | {"/openapi.json"}
    table = text_of(PAGE).partition("| Path |")[2].partition("\n\n")[0]
    assert paths == set(re.findall(r"(/[\w./{}]+)`", table))


def test_the_numbers_shown_are_those_that_are_told(service: Service) -> None:
    """The table has every name; an index of vectors and Dagster's ticks are told of where they are."""
    service.search("pump")
    told = {line.split()[2] for line in service.ask("GET", "/metrics").text.splitlines() if line.startswith("# TYPE")}
    table = text_of(PAGE).partition("| Name | What it counts |")[2].partition("\n\n")[0]
    elsewhere = {"sensor_ticks_total", "vector_index_bytes", "vector_index_recall_ratio"}
    assert set(re.findall(r"`(rag_\w+)", table)) == told | {f"rag_assets_{name}" for name in elsewhere}


def test_the_entry_of_a_key_is_read(tmp_path: Path) -> None:
    """As it is shown, with a hash."""
    from rag_assets.service.keys import Keys

    [entry] = re.findall(r"(?: {4}.*\n)+", text_of(PAGE).partition("entries of the file")[2])[:1]
    file = tmp_path / "keys.toml"
    file.touch(mode=0o600)
    file.write_text(entry.replace("...", "a" * 64).replace("    ", ""))
    assert Keys(file).require() == 1

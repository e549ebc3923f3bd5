"""The doctor finds what is missing, says what to do, and looks at everything whatever fails."""

import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rag_assets import doctor, engines, settings, switching
from rag_assets.bundled import model, openvino_server
from rag_assets.cli import main
from rag_assets.doctor import Finding
from rag_assets.embedding.embedder import LLAMA_CPP, Embedder, Engine
from rag_assets.services import Services
from rag_assets_tests import fake_llama, rows
from rag_assets_tests.webhooks import SECRET, receiving


@pytest.fixture
def findings(tmp_path: Path, database_url: str, model_path: Path) -> Iterator[Any]:
    """Look at settings that are well, but for what is given."""
    opened: list[Services] = []

    def examine(**changed: Any) -> dict[str, Finding]:
        well = {
            "home": tmp_path,
            "database_url": database_url,
            "llama_server_model": model_path,
            "llama_server": {"required_memory_gb": 0},
        }
        services = Services(settings.load(**{**well, **changed}))
        opened.append(services)
        return {finding.check: finding for finding in doctor.examine(services)}

    yield examine
    for services in opened:
        services.close()


@pytest.fixture(autouse=True)
def _fake_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of the embedded one; it knows the flags that are needed."""
    command = [sys.executable, fake_llama.__file__, "good"]
    monkeypatch.setattr(engines, "llama_command", lambda _settings: command)
    monkeypatch.setattr(doctor, "NEEDED_FLAGS", {"--port"})


def test_all_is_well_in_a_migrated_database(findings: Any) -> None:
    found = findings()
    assert {name: one for name, one in found.items() if one.verdict == "fail"} == {}
    assert found["tables"].verdict == "ok"
    assert "384" in found["embedding"].found


def test_tables_of_a_newer_program_are_a_failure(findings: Any, database_url: str) -> None:
    """As every command that needs the index says, and searches."""
    rows.execute(database_url, "insert into rag_migrations values ('999_future.sql', 'x')")
    found = findings()
    assert found["tables"].verdict == "fail"
    assert "This program is older than the tables of the database (999_future.sql" in found["tables"].found


def test_a_start_of_the_embedding_server_to_look_at_it_is_not_counted(findings: Any, database_url: str) -> None:
    """Of `rag_assets_embedder_starts_total`, docs/service.md says that it counts those by runs and searches."""
    assert "started and answered" in findings()["embedding"].found
    assert rows.execute(database_url, "select * from rag_embedder_starts") == []


def test_login_of_an_embedding_server_is_not_shown(findings: Any) -> None:
    """Where it runs is."""
    with fake_llama.FakeLlama() as server:
        found = findings(llama_server={"url": server.url.replace("://", "://me:secret@"), "required_memory_gb": 0})
    assert server.url.replace("://", "://***@") in found["llama-server"].found
    assert found["embedding"].verdict == "ok"
    assert not [one for one in found.values() if "secret" in str(one)]


def test_database_that_is_away_is_one_failure_among_all(findings: Any) -> None:
    found = findings(database_url="postgresql://somebody:secret@127.0.0.1:1/nothing")
    assert found["database"].verdict == "fail"
    assert "DATABASE_URL" in found["database"].next
    assert "secret" not in found["database"].found
    assert found["embedding"].verdict == "ok"


def test_rights_that_init_needs_are_a_failure_when_the_role_lacks_them(findings: Any, empty_database_url: str) -> None:
    """Before it is run: each that is missing, and how to grant it."""
    role = f"weak_{uuid.uuid4().hex}"
    made = 'create table "TblDocumentFiles" (id int primary key, file_path text)'
    rows.execute(empty_database_url, f"create role {role}; {made}")
    try:
        mark = "&" if "?" in empty_database_url else "?"
        found = findings(database_url=f"{empty_database_url}{mark}options=-crole%3D{role}")
        assert found["tables"].verdict == "fail"
        assert 'create on the schema public, ownership of "TblDocumentFiles"' in found["tables"].found
        assert "grant create on database" in found["tables"].next
        assert findings(database_url=empty_database_url)["tables"].verdict == "warn"
    finally:
        rows.execute(empty_database_url, f"drop role {role}")


def test_triggers_that_are_off_are_a_failure(findings: Any, database_url: str) -> None:
    rows.execute(database_url, 'alter table "TblDocumentFiles" disable trigger all')
    assert findings()["tables"].verdict == "fail"


def test_empty_database_asks_for_init(findings: Any, empty_database_url: str) -> None:
    """Where there is no table of documents, too: that one is named."""
    found = findings(database_url=empty_database_url)["tables"]
    assert found.verdict == "fail"
    assert found.found.startswith("There is no table TblDocumentFiles")
    rows.execute(empty_database_url, 'create table "TblDocumentFiles" (id int primary key, file_path text)')
    found = findings(database_url=empty_database_url)["tables"]
    assert found.verdict == "warn"
    assert "init" in found.next


def test_trigger_that_is_off_is_said_with_what_to_do(findings: Any, database_url: str) -> None:
    """As `status` says it."""
    assert findings(database_url=database_url)["tables"].verdict == "ok"
    rows.execute(database_url, 'alter table "TblDocumentFiles" disable trigger rag_document_changed')
    found = findings(database_url=database_url)["tables"]
    assert found.verdict == "fail"
    assert "lacks our triggers, or they are off" in found.next
    assert found.next.endswith("rag-assets init")


def test_memory_that_is_missing_is_said_with_both_numbers(findings: Any) -> None:
    found = findings(llama_server={"required_memory_gb": 1e6})
    assert found["memory"].verdict == found["embedding"].verdict == "fail"
    assert "1000000.0 GB needed" in found["memory"].found


def test_document_root_must_be_a_folder(findings: Any, tmp_path: Path) -> None:
    assert findings(document_root_path=tmp_path / "gone")["document root"].verdict == "fail"
    assert findings(document_root_path=tmp_path)["document root"].verdict == "ok"


def test_model_of_another_dimension_is_a_failure(findings: Any) -> None:
    found = findings(embedding={"dimension": 768})
    assert found["embedding"].verdict == "fail"
    assert "768" in found["embedding"].found


def test_missing_model_file_is_a_failure(findings: Any, tmp_path: Path) -> None:
    found = findings(llama_server_model=tmp_path / "gone.gguf")
    assert found["model"].verdict == "fail"
    assert "LLAMA_SERVER_MODEL" in found["model"].next


def test_each_model_is_looked_at_and_the_one_that_serves_embeds(
    findings: Any, tmp_path: Path, database_url: str, model_path: Path
) -> None:
    """Whatever the settings name: one that is built beside, and one that was switched to."""
    file = Path(shutil.copy(model_path, tmp_path / "other.gguf"))
    well = {"home": tmp_path, "database_url": database_url, "llama_server": {"required_memory_gb": 0}}
    with Services(settings.load(**well, llama_server_model=model_path)) as services:
        switching.add(services, switching.chosen(services, "other", file=file))
        found = findings()["model"]
        assert (found.verdict, found.next) == ("ok", "")
        assert found.found.startswith(f"all-MiniLM-L6-v2 serves: {model_path}")
        assert f"; other is kept beside: {file}" in found.found
        file.write_bytes(model_path.read_bytes()[:-100])
        found = findings()
        assert found["model"].verdict == "fail"
        assert "a part is missing" in found["model"].found
        assert "set embedding.model to other" in found["model"].next
        assert found["embedding"].verdict == "ok"
        file.write_bytes(model_path.read_bytes())
        switching.switch(services, despite_lack=True)
    found = findings(llama_server_model=tmp_path / "gone.gguf")
    assert found["model"].verdict == "fail"
    assert found["model"].found.startswith(f"other serves: {file}")
    assert "all-MiniLM-L6-v2 is kept beside: there is no file" in found["model"].found
    assert "LLAMA_SERVER_MODEL" in found["model"].next
    assert found["embedding"].verdict == found["llama-server"].verdict == "ok"


def test_file_of_another_model_is_a_warning_under_a_name_of_ones_own(findings: Any) -> None:
    """What its metadata say, and what is set."""
    found = findings(embedding={"model": "mine", "pooling": "cls"})["model"]
    assert found.verdict == "warn"
    assert "its pooling is mean, and that of mine is cls" in found.found


def test_table_without_the_configured_columns_is_a_failure(findings: Any) -> None:
    found = findings(source={"id_column": "nr"})["tables"]
    assert found.verdict == "fail"
    assert "source.id_column is 'nr'" in found.found


def test_home_that_cannot_be_written_hides_nothing_else(findings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = findings(home=tmp_path / "file" / "home")
    assert found["home"].verdict == found["embedding"].verdict == "fail"
    assert "RAG_ASSETS_HOME" in found["home"].next
    assert found["database"].verdict == "ok"


def test_libraries_that_windows_lacks_are_named_with_what_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system, wheels bring their own."""
    assert doctor._libraries() is None
    monkeypatch.setattr(sys, "platform", "win32")
    found = doctor._libraries()
    assert found is not None
    assert (found.check, found.verdict) == ("packages", "fail")
    assert "MSVCP140.dll" in found.found
    assert "vc_redist.x64.exe" in found.next


def test_who_is_told_of_failures_is_said_and_not_told(tmp_path: Path) -> None:
    """A doctor that is asked each morning sends nothing."""
    assert doctor._notices(settings.load(home=tmp_path)).found == "off: notify.url is not set"
    with receiving() as receiver:
        found = doctor._notices(settings.load(home=tmp_path, notify={"url": receiver.url, "backlog_seconds": 60}))
    assert (found.verdict, receiver.requests) == ("ok", [])
    assert "pending for more than 60 s" in found.found
    assert SECRET not in str(found)


@pytest.mark.parametrize(("status", "code", "said"), [(200, 0, "took a notice"), (403, 1, "it answered 403")])
def test_a_test_notice_says_whether_the_webhook_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: int, said: str
) -> None:
    """By the command, which needs no database for it; a setting that is wrong is named, and not shown."""
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "home"))
    with receiving(status) as receiver:
        monkeypatch.setenv("RAG_ASSETS_NOTIFY__URL", receiver.url)
        result = CliRunner().invoke(main, ["doctor", "--notify"])
    assert result.exit_code == code, result.output
    assert said in result.output
    assert ("RAG_ASSETS_NOTIFY__URL" in result.output) is bool(code)
    assert SECRET not in result.output
    assert [told["event"] for told in receiver.notices] == ["test"]
    assert not (tmp_path / "home").exists()


def test_calibrate_and_notify_exclude_each_other() -> None:
    """Neither is done then."""
    result = CliRunner().invoke(main, ["doctor", "--calibrate", "--notify"])
    assert result.exit_code == 2
    assert "exclude each other" in result.output


@pytest.mark.parametrize("url", ["", f"ftp://hooks.example.org/{SECRET}"])
def test_a_webhook_that_is_not_set_or_wrong_is_named(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By doctor, and by its name alone."""
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAG_ASSETS_NOTIFY__URL", url)
    result = CliRunner().invoke(main, ["doctor", "--notify"])
    assert result.exit_code == 1
    assert "notify.url" in result.output
    assert SECRET not in result.output


def test_engine_that_would_be_faster_is_said_with_its_command(
    findings: Any, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where OpenVINO is not installed; all is well nevertheless."""
    monkeypatch.setattr(openvino_server, "is_installed", lambda: False)
    monkeypatch.setattr(model, "ensure_any", lambda _home, **_: model_path)
    found = findings(llama_server_model=None)
    assert (found["llama-server"].verdict, found["llama-server"].next) == ("ok", engines.NOT_INSTALLED)
    assert (found["embedding"].verdict, found["embedding"].next) == ("ok", "")


def test_engine_that_took_the_place_of_another_elsewhere_in_this_home_is_a_warning(
    findings: Any, model_path: Path, tmp_path: Path
) -> None:
    """As in the search service, whose engine may have failed when this one starts well."""
    engine = Engine(name=LLAMA_CPP, command=tuple(fake_llama.command("good")), model=model_path, note="openvino failed")
    with closing(Embedder(settings.load(home=tmp_path), engine=engine)) as elsewhere:
        elsewhere.warm()
        found = findings()["embedding"]
    assert (found.verdict, found.next) == ("warn", "openvino failed")
    assert findings()["embedding"].verdict == "ok"


def test_engine_that_took_the_place_of_another_is_a_warning_with_the_reason(
    findings: Any, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = [sys.executable, fake_llama.__file__, "dies"]
    monkeypatch.setattr(openvino_server, "is_installed", lambda: True)
    monkeypatch.setattr(openvino_server, "command", lambda: dies)
    monkeypatch.setattr(model, "ensure", lambda _home, **_: model_path)
    monkeypatch.setattr(model, "ensure_any", lambda _home, **_: model_path)
    found = findings(llama_server_model=None)["embedding"]
    assert found.verdict == "warn"
    assert found.next.startswith("llama.cpp embeds instead of openvino, which is faster: ")
    assert "pip install --upgrade openvino" in found.next

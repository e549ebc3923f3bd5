"""Settings: where they come from, what is refused, and what a person is told then."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from rag_assets import settings
from rag_assets.errors import SettingsError
from rag_assets.settings import CALIBRATION_FILE

OURS = ("DATABASE_URL", "DAGSTER_", "RAG_ASSETS_", "LLAMA_SERVER_", "DOCUMENT_ROOT_PATH", "LOG_FORMAT")

FOREIGN_UID = 54321


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and nothing in the environment but the mark of the tests."""
    for name in os.environ:
        if name.startswith(OURS) and name != "RAG_ASSETS_TEST_SESSION":
            monkeypatch.delenv(name)
    monkeypatch.setenv("RAG_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def refused(**overrides: Any) -> str:
    with pytest.raises(SettingsError) as info:
        settings.load(**overrides)
    return str(info.value)


def test_nothing_needs_to_be_set() -> None:
    """What a person gets who sets nothing: the embedded parts, and chunks that the embedded model takes whole."""
    found = settings.load()
    assert (found.database_url, found.llama_server_binary, found.llama_server_model) == (None, None, None)
    assert found.chunking.size <= settings.MODEL_POSITIONS


def test_the_environment_wins_over_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given in code, then the environment, then .env, then settings.toml, then the default."""
    Path("settings.toml").write_text(
        "[worker]\nmax_attempts = 2\nbulk_batch_size = 2\n[chunking]\nsize = 32\noverlap = 2"
    )
    Path(".env").write_text("RAG_ASSETS_CHUNKING__SIZE=64\nRAG_ASSETS_WORKER__BULK_BATCH_SIZE=4\nUNRELATED=1\n")
    monkeypatch.setenv("RAG_ASSETS_WORKER__BULK_BATCH_SIZE", "8")
    found = settings.load(embedding={"batch_size": 16})
    assert (found.worker.max_attempts, found.worker.bulk_batch_size, found.chunking.size) == (2, 8, 64)
    assert (found.chunking.overlap, found.embedding.batch_size, found.parsing.max_pages) == (2, 16, 5_000)


def test_a_section_of_a_file_may_be_overridden_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable changes one setting, not its whole section."""
    Path("settings.toml").write_text("[chunking]\nsize = 128\noverlap = 7\n")
    monkeypatch.setenv("RAG_ASSETS_CHUNKING__SIZE", "256")
    assert (settings.load().chunking.size, settings.load().chunking.overlap) == (256, 7)


@pytest.mark.parametrize("name", ["database_url", "DATABASE_URL"])
def test_a_url_may_stand_in_the_file(name: str) -> None:
    """Under its own name, or that of its variable."""
    Path("settings.toml").write_text(f'{name} = "postgresql://me@here/db"')
    found = settings.load().database_url
    assert found is not None
    assert found.get_secret_value() == "postgresql://me@here/db"


def test_another_file_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mark that editors on Windows put at its beginning; a wrong name is no reason to use the defaults."""
    file = tmp_path / "other.toml"
    monkeypatch.setenv("RAG_ASSETS_SETTINGS", str(file))
    assert refused() == f"RAG_ASSETS_SETTINGS names {file}, where there is no file; correct or unset it."
    file.write_text("[chunking]\nsize = 99\n", encoding="utf-8-sig")
    assert settings.load().chunking.size == 99


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files and CI give them."""
    monkeypatch.setenv("DATABASE_URL", "")
    assert settings.load().database_url is None


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        (
            "chunking",
            {"size": 15},
            "Setting chunking.size (is 15): Input should be greater than or equal to 16; "
            "allowed is 16 to the model's limit, 512 of the embedded one",
        ),
        ("chunking", {"size": 513}, "chunking.size is 513; allowed is 16 to 512, the model's limit"),
        (
            "chunking",
            {"size": 64, "overlap": 64},
            "Setting chunking: overlap is 64; allowed is 0 to 63, which is below size",
        ),
        (
            "chunking",
            {"overlap": -1},
            "Setting chunking.overlap (is -1): Input should be greater than or equal to 0; allowed is 0 to below size",
        ),
        ("database", {"pool_max_size": 0}, "greater than or equal to 1; allowed is 1 to 100"),
        (
            "chunking",
            {"strategy": "clever"},
            "Setting chunking.strategy (is 'clever'): Input should be 'semantic', 'fixed' or 'recursive'",
        ),
        ("chunking", {"size": "big"}, "Setting chunking.size (is 'big'): Input should be a valid integer"),
        (
            "worker",
            {"poll_seconds": 51},
            "Setting worker.poll_seconds (is 51): Input should be less than or equal to 50",
        ),
        (
            "worker",
            {"max_attempts": 0},
            "Setting worker.max_attempts (is 0): Input should be greater than or equal to 1",
        ),
        ("database", {"listen_channel": "a b"}, "Setting database.listen_channel (is 'a b'): String should match"),
        ("llama_server", {"port": 65_536}, "Setting llama_server.port (is 65536): Input should be less than"),
        ("embedding", {"quantization": "q2"}, "Setting embedding.quantization (is 'q2'): Input should be 'f32', 'f16'"),
        ("parsing", {"max_bytes": 0}, "Setting parsing.max_bytes (is 0): Input should be greater than 0"),
        ("source", {"table": "a.b.c"}, "Setting source.table (is 'a.b.c'): needed is table or schema.table"),
        ("source", {"table": '"a.b'}, "needed is table or schema.table; a name with a dot in it stands in quotes"),
        ("source", {"id_column": ""}, "Setting source.id_column (is ''): String should have at least 1 character"),
        ("worker", {"reconcile_cron": "daily"}, "Setting worker.reconcile_cron (is 'daily'): needed are five fields"),
        ("worker", {"reconcile_cron": "60 * * * *"}, "60 is no minute: allowed are * and 0 to 59"),
        ("worker", {"reconcile_cron": "0 3 * * x"}, "x is no weekday: allowed are * and 0 to 7"),
    ],
)
def test_a_value_out_of_range_is_refused(section: str, values: dict[str, Any], said: str) -> None:
    """With its name, its value and what is allowed."""
    assert said in refused(**{section: values})


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ("TblDocumentFiles", ("TblDocumentFiles",)),
        ("app.Täble 1", ("app", "Täble 1")),
        ('it"s', ('it"s',)),
        ('"a.b"', ("a.b",)),
        ('app."a.b"', ("app", "a.b")),
        ('"My ""odd"" Schema"."Täble. with.dots"', ('My "odd" Schema', "Täble. with.dots")),
    ],
)
def test_a_table_is_found_by_any_name(table: str, parts: tuple[str, ...]) -> None:
    """With dots in it too: then it stands in quotes, as in SQL."""
    assert settings.load(source={"table": table}).source.table_parts == parts


@pytest.mark.parametrize("cron", ["*/15 * * * *", "0 3 * * mon-fri", "5,35 0-6/2 1 jan 7"])
def test_a_cron_expression_that_is_one_is_taken(cron: str) -> None:
    """As Dagster takes it."""
    assert settings.load(worker={"reconcile_cron": cron}).worker.reconcile_cron == cron


def test_all_wrong_values_are_named_at_once() -> None:
    """Not one after the other, a start each."""
    said = refused(chunking={"size": 1}, worker={"max_attempts": 0}).splitlines()
    assert [line.split()[1] for line in said] == ["chunking.size", "worker.max_attempts"]


def test_larger_chunks_are_allowed_where_the_model_is_not_the_embedded_one(tmp_path: Path) -> None:
    """Only the embedded model's limit is known."""
    assert settings.load(chunking={"size": 2_048}, llama_server_model=tmp_path / "m.gguf").chunking.size == 2_048


def test_an_unknown_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt setting that is passed over is found much later, if ever: those there are are listed."""
    Path("settings.toml").write_text("[chunking]\nsizes = 64\n")
    assert refused() == (
        "Setting chunking.sizes: there is no such setting. There are heading_context, overlap, size, strategy"
    )
    Path("settings.toml").unlink()
    monkeypatch.setenv("RAG_ASSETS_CHUNKING__SIZES", "64")
    assert "Setting chunking.sizes: there is no such setting." in refused()


def test_an_unknown_section_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the file as in the environment."""
    Path("settings.toml").write_text("[chunks]\nsize = 64\n")
    assert refused().startswith("settings.toml: there is no setting or section chunks. There are ")
    Path("settings.toml").unlink()
    monkeypatch.setenv("RAG_ASSETS_CHUNKS__SIZE", "64")
    assert refused().startswith("RAG_ASSETS_CHUNKS__SIZE: there is no section chunks. There are chunking, dagster, ")
    monkeypatch.delenv("RAG_ASSETS_CHUNKS__SIZE")
    Path(".env").write_text("RAG_ASSETS_CHUNK__SIZE=64\n")
    assert refused().startswith("RAG_ASSETS_CHUNK__SIZE: there is no section chunk. ")


def test_env_file_is_utf8_with_a_mark_or_without() -> None:
    """As editors on Windows write it; another encoding is named."""
    for encoding in ("utf-8", "utf-8-sig"):
        Path(".env").write_text("DOCUMENT_ROOT_PATH=/srv/größe", encoding=encoding)
        assert settings.load().document_root_path == Path("/srv/größe")
    Path(".env").write_text("DOCUMENT_ROOT_PATH=/srv/größe", encoding="latin-1")
    assert refused().startswith(".env cannot be read in UTF-8: ")


@pytest.mark.parametrize("content", [b"[chunking\n", "size = 'größe'".encode("latin-1"), b"\xff\xfe[\x00"])
def test_a_file_that_is_no_toml_is_named(content: bytes) -> None:
    """With the place of the mistake where there is one."""
    Path("settings.toml").write_bytes(content)
    assert refused().startswith("settings.toml cannot be read as TOML in UTF-8: ")


def test_a_list_in_the_environment_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists and tables are JSON there."""
    monkeypatch.setenv("RAG_ASSETS_SOURCE__ALLOWED_ROOTS", '["/srv/docs"]')
    assert settings.load().source.allowed_roots == (Path("/srv/docs"),)
    monkeypatch.setenv("RAG_ASSETS_SOURCE", "{bad")
    assert 'given as JSON, as in ["a"]' in refused()


def test_secrets_are_not_shown() -> None:
    """Neither in a log line nor in a traceback."""
    found = settings.load(database_url="postgresql://me:geheim@here/db", llama_server={"api_key": "geheim"})
    assert "geheim" not in repr(found)


def test_limits_of_a_part_are_never_above_that_of_the_whole() -> None:
    """A document gets processing_timeout_seconds, in all of its steps."""
    found = settings.load(worker={"processing_timeout_seconds": 5})
    assert (found.parsing.max_seconds, found.llama_server.request_timeout_seconds) == (5, 5)


def test_home_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Processes that are started elsewhere use the same one."""
    monkeypatch.setenv("RAG_ASSETS_HOME", "here")
    assert settings.load().home == (tmp_path / "here").resolve()


def calibrate(home: Path, **machine: Any) -> None:
    home.mkdir(exist_ok=True)
    kept = {
        "machine": settings.machine(None) | machine,
        "quantization": "f16",
        "llama_server": {"threads": 7},
    }
    (home / CALIBRATION_FILE).write_text(json.dumps(kept))


def test_calibration_is_used_where_nothing_was_set_by_hand(tmp_path: Path) -> None:
    """Setting by setting; another calibration starts from what was set by hand alone."""
    calibrate(tmp_path / "home")
    assert settings.load().llama_server.threads == 7
    assert settings.load(llama_server={"threads": 3}).llama_server.threads == 3
    assert settings.load_by_hand().llama_server.threads == 0


def test_calibration_of_another_machine_keeps_only_the_kind_of_vectors(tmp_path: Path) -> None:
    """Vectors of two quantizations should not be mixed; the rest was measured elsewhere."""
    calibrate(tmp_path / "home", cores=999)
    found = settings.load()
    assert (found.embedding.quantization, found.llama_server.threads) == ("f16", 0)


@pytest.mark.parametrize("content", ["", "[]", '{"machine": 1}', "\x00"])
def test_calibration_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    """It only saves time."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / CALIBRATION_FILE).write_text(content)
    assert settings.load().embedding.quantization == "q8_0"


def test_project_root_has_what_dagster_is_started_with() -> None:
    """The clone, or what a wheel carries."""
    assert {"dagster.yaml", "workspace.yaml", "sql"} <= {path.name for path in settings.project_root().iterdir()}


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting's name is: messages end up in logs."""
    monkeypatch.setenv("RAG_ASSETS_WEB__TOKEN", "sesame")
    with pytest.raises(SettingsError, match=r"web\.token") as info:
        settings.load()
    assert "sesame" not in str(info.value)


@pytest.mark.parametrize("wrong", [{"database_url": ["sesame"]}, {"llama_server": {"api_key": ["sesame"]}}])
def test_a_secret_of_a_wrong_type_is_not_shown(wrong: dict[str, Any]) -> None:
    """As TOML could give one."""
    with pytest.raises(SettingsError) as info:
        settings.load(**wrong)
    assert "sesame" not in str(info.value)


def test_settings_are_read_where_the_original_system_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """config/settings.toml counts where there is no settings.toml; where there is, that is said once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAG_ASSETS_SETTINGS", raising=False)
    Path("config").mkdir()
    Path("config/settings.toml").write_text("[chunking]\nsize = 77\n")
    assert settings.load().chunking.size == 77
    assert caplog.messages == []
    Path("settings.toml").write_text("[chunking]\nsize = 88\n")
    settings._log_once.cache_clear()
    assert [settings.load().chunking.size for _ in range(2)] == [88, 88]
    assert caplog.messages == [
        f"{Path('config/settings.toml')} is not read, as there is settings.toml: keep one of them, or name one in "
        "RAG_ASSETS_SETTINGS."
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
@pytest.mark.parametrize("name", [".env", "settings.toml", "config/settings.toml", "named.toml"])
@pytest.mark.parametrize("is_foreign", [True, False])
def test_a_file_that_others_could_have_written_is_refused(
    name: str, is_foreign: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would say which programs are started, also where the environment names it."""
    file = Path(name)
    if name == "named.toml":
        monkeypatch.setenv("RAG_ASSETS_SETTINGS", str(file.absolute()))
    file.parent.mkdir(exist_ok=True)
    file.write_text("LOG_FORMAT = 'json'\n")
    assert settings.load().log_format == "json"
    if not is_foreign:
        file.chmod(0o666)
        assert "may be written by everybody, and is not used" in refused()
        return
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(file, FOREIGN_UID, -1)
    assert f"{file.absolute()} belongs to another account, and is not used" in refused()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives links away")
@pytest.mark.parametrize("name", [".env", "settings.toml", "config"])
def test_a_link_that_another_account_left_is_refused_when_it_leads_to_a_file_of_root(tmp_path: Path, name: str) -> None:
    """/proc/PID/environ of a program with setuid is root's, and holds what whoever started it wanted."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "settings.toml").write_text("LOG_FORMAT = 'json'\n")
    os.symlink(there if name == "config" else there / "settings.toml", name)
    assert settings.load().log_format == "json"
    os.chown(name, FOREIGN_UID, -1, follow_symlinks=False)
    assert "belongs to another account, and is not used" in refused()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives folders away")
def test_a_home_that_another_account_left_in_this_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the clone, the home is in the current folder, which may be one that all write to."""
    monkeypatch.delenv("RAG_ASSETS_HOME")
    monkeypatch.setattr(settings, "project_root", lambda: Path(settings.__file__).parent / "project")
    assert settings.load().home == tmp_path / ".rag_assets"
    Path(".rag_assets").mkdir()
    os.chown(".rag_assets", FOREIGN_UID, -1)
    assert "belongs to another account, and is not used" in refused()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
@pytest.mark.parametrize("is_given", [True, False])
def test_a_home_that_everybody_may_write_to_is_refused_where_it_is_named(tmp_path: Path, is_given: bool) -> None:
    """Anybody could put a database into it, which then reads files as whoever uses it."""
    home = tmp_path / ("given" if is_given else "home")
    given = {"home": home} if is_given else {}
    home.mkdir()
    home.chmod(0o775)
    assert settings.load(**given).home == home
    home.chmod(0o777)
    said = refused(**given)
    assert f"{home} may be written by everybody, and is not used" in said
    assert "Set RAG_ASSETS_HOME to another folder; or if it is yours, correct its permissions (chmod o-w)." in said


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives folders away")
def test_a_home_of_another_account_is_refused_where_it_is_named(tmp_path: Path) -> None:
    """Also behind a link of ours, or where the link alone is theirs."""
    home = tmp_path / "theirs"
    home.mkdir()
    (tmp_path / "home").symlink_to(home)
    assert settings.load().home == home
    os.chown(home, FOREIGN_UID, -1)
    assert f"{tmp_path / 'home'} belongs to another account, and is not used" in refused()
    os.chown(home, 0, -1)
    os.chown(tmp_path / "home", FOREIGN_UID, -1, follow_symlinks=False)
    assert "belongs to another account, and is not used" in refused()


def _put(kind: str, place: Path) -> None:
    """Something that is no file."""
    place.parent.mkdir(exist_ok=True)
    if kind == "folder":
        place.mkdir()
    elif kind == "device":
        place.symlink_to(os.devnull)
    else:
        os.mkfifo(place)


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs and devices of POSIX")
@pytest.mark.parametrize("name", [".env", "settings.toml", "config/settings.toml", "named.toml", "key"])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_is_refused_and_not_waited_for(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither passed over, which would use the defaults, nor read, which would never end."""
    if name == "named.toml":
        monkeypatch.setenv("RAG_ASSETS_SETTINGS", name)
    _put(kind, Path(name))
    if name == "key":
        config = settings.load(llama_server={"api_key_file": name, "url": "http://127.0.0.1:1"})
        with pytest.raises(SettingsError, match="it is a folder, pipe or device"):
            config.llama_server.read_api_key()
        return
    said = refused()
    assert said.startswith(f"{name} cannot be read")
    assert "it is a folder, pipe or device: move it away, or put a file in its place" in said


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs are POSIX")
def test_a_calibration_that_is_a_fifo_is_none(tmp_path: Path) -> None:
    """As every other that cannot be read."""
    _put("fifo", tmp_path / "home" / CALIBRATION_FILE)
    assert settings.load().llama_server == settings.load_by_hand().llama_server


def test_what_is_nested_too_deeply_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the file of settings, and in a variable that holds a section."""
    Path("settings.toml").write_text("a = " + "[" * 100_000)
    assert refused().startswith("settings.toml cannot be read as TOML in UTF-8: a value is nested too deeply")
    Path("settings.toml").unlink()
    monkeypatch.setenv("RAG_ASSETS_CHUNKING", "[" * 100_000)
    assert refused().startswith("A value in the environment or .env is nested too deeply")

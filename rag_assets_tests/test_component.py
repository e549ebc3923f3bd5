"""The index in somebody's own project: names of its own, one for each process, and nothing for who needs no Dagster."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rag_assets import settings
from rag_assets.errors import SettingsError

LIBRARY = Path(__file__).parents[1] / "docs" / "examples" / "library"
URL = "postgresql://nobody@localhost/library"
NAMES = """
import json, sys
from rag_assets.component import RagIndex
assert not {name for name in sys.modules if name.startswith("rag_assets.defs")}
made = RagIndex(name="letters", database_url=URL, settings={"source": {"table": "a.letters"}, "worker": {"buckets": 9}})
found = made.build_defs(None)
made.build_defs(None)
from rag_assets import settings
from rag_assets.defs import jobs, partitions
from rag_assets.defs.resources import Rag
repository, graph = found.get_repository_def(), found.resolve_asset_graph()
names = [*graph.get_all_asset_keys(), *graph.asset_check_keys]
names = [key.to_user_string() for key in names] + [one.name for one in repository.get_all_jobs()]
names += [one.name for one in (*repository.sensor_defs, *repository.schedule_defs)]
parts = [*repository.get_all_jobs(), *repository.sensor_defs, *repository.schedule_defs]
parts += [graph.get(key) for key in graph.get_all_asset_keys()]
words = [f"{one.description}" for one in parts]
jobs_and_sensors = list(names[-len(parts) + len(graph.get_all_asset_keys()):])
names += [jobs.POOL_NAME, partitions.PARTITIONS_NAME, *jobs.run_config()["ops"]]
try:
    RagIndex(name="books").build_defs(None)
    refused = ""
except Exception as exc:
    refused = str(exc)
loaded = settings.load()
values = [loaded.database_url.get_secret_value(), loaded.source.table, loaded.worker.buckets, loaded.dagster.name]
print(json.dumps({"names": names, "values": values, "refused": refused,
    "words": words, "jobs_and_sensors": jobs_and_sensors}))
"""

LATE = """
import sys
from rag_assets import definitions, settings
from rag_assets.component import RagIndex
RagIndex().build_defs(None)
for other in (RagIndex(name="letters"), RagIndex(settings={"source": {"table": "a.letters"}})):
    try:
        other.build_defs(None)
        sys.exit("it was taken")
    except settings.SettingsError as exc:
        assert "or of rag_assets.definitions" in str(exc)
loaded = settings.load()
assert (loaded.dagster.name, loaded.source.table) == ("", "TblDocumentFiles"), loaded
"""


@pytest.fixture(scope="module")
def letters() -> Any:
    """What a process that has loaded a RagIndex named letters says."""
    code = f"URL = {URL!r}\n{NAMES}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_everything_of_an_index_has_its_name_before_it(letters: Any) -> None:
    """Two of them in one Dagster have nothing in common, by which one's runs or partitions would be the other's."""
    names = [name for name in letters["names"] if name != "__ASSET_JOB"]
    assert [name for name in names if not name.startswith("letters_")] == []
    assert {"letters_raw_text", "letters_chunks", "letters_document_changes", "letters_init"} <= set(names)
    assert {"letters_llama_server", "letters_documents", "letters_ingest"} <= set(names)


def test_descriptions_name_jobs_and_sensors_as_dagster_shows_them(letters: Any) -> None:
    """Who reads of a sensor looks for it in the list."""
    bare = [name.removeprefix("letters_") for name in letters["jobs_and_sensors"] if name.startswith("letters_")]
    assert {"document_changes", "index_of_vectors", "accept_documents"} <= set(bare)
    named = re.compile(rf"(?<!letters_)\b({'|'.join(name for name in bare if '_' in name)})\b")
    assert [words for words in letters["words"] if named.search(words)] == []
    assert any("letters_document_changes" in words for words in letters["words"])


def test_attributes_are_settings_of_the_process(letters: Any) -> None:
    """Of everything that its definitions do later."""
    assert letters["values"] == [URL, "a.letters", 9, "letters"]


def test_second_index_of_a_process_is_refused(letters: Any) -> None:
    """In words, and not by a mixture of both; the same again is none."""
    assert letters["refused"].startswith("This code location has the index of another RagIndex")


def test_index_that_comes_after_other_definitions_is_refused() -> None:
    """Whatever it is that differs; and the process keeps the settings that its definitions have."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_given_settings_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says what they leave open."""
    monkeypatch.setattr(settings, "_given", {})
    monkeypatch.setenv("DATABASE_URL", "postgresql://environment")
    monkeypatch.setenv("RAG_ASSETS_SOURCE__ID_COLUMN", "nr")
    settings.give({"database_url": URL, "source": {"table": "a.letters"}})
    loaded = settings.load()
    assert loaded.database_url is not None
    assert (loaded.database_url.get_secret_value(), loaded.source.table, loaded.source.id_column) == (
        URL,
        "a.letters",
        "nr",
    )
    with pytest.raises(SettingsError, match="another RagIndex"):
        settings.give({})


@pytest.mark.parametrize("name", ["Letters", "1st", "a-b", "a" * 41])
def test_name_that_dagster_would_refuse_is_refused(name: str) -> None:
    """Where it is set, and not by each asset."""
    with pytest.raises(ValueError, match="name"):
        settings.Dagster(name=name)


def test_library_is_what_its_readme_says(tmp_path: Path) -> None:
    """The commands that look at it, as they stand there, at once; and the files that it names."""
    pytest.importorskip("dagster_dg_cli")
    readme = (LIBRARY / "README.md").read_text(encoding="utf-8")
    looks = [line for line in readme.splitlines() if re.match(r"dg (check|list) ", line)]
    assert len(looks) == 2
    environment = {
        **os.environ,
        "LIBRARY_DATABASE_URL": URL,
        "LIBRARY_FILES": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "200",
        "DG_CLI_CONFIG": str(tmp_path / "dg.toml"),
    }
    started = [
        subprocess.Popen(
            shlex.split(line),
            cwd=LIBRARY / "books",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in looks
    ]
    checked, listed = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], (checked, listed)
    assert "All definitions loaded successfully" in checked
    assert all(f"books_{name}" in listed for name in ("raw_text", "chunks", "embeddings"))

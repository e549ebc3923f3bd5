"""What Dagster loads: assets, jobs, sensor and checks, each with its purpose, and nothing heavy with them."""

import json
import runpy
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey
from pydantic import ValidationError

import rag_assets
from rag_assets import settings
from rag_assets.defs import checks, foreground, jobs, partitions, specs
from rag_assets_tests import rows
from rag_assets_tests.project import KEYS

HEAVY = ("llama_index", "pypdf", "pypdfium2", "lxml", "docx", "bs4", "numpy", "xllamacpp", "gguf")


@cache
def load() -> dg.Definitions:
    """What Dagster loads, once for all tests here."""
    from rag_assets.definitions import defs

    return defs


def in_a_process(code: str) -> Any:
    """What a fresh interpreter prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def imported_with(module: str) -> set[str]:
    names = in_a_process(f"import json, sys, {module}; print(json.dumps(list(sys.modules)))")
    return {str(name).partition(".")[0] for name in names}


def test_nothing_heavy_is_imported_with_the_definitions() -> None:
    """Dagster loads them again and again, in processes that read no document: they come with no reader."""
    assert not imported_with("rag_assets.definitions") & set(HEAVY)


def test_nothing_heavy_is_imported_with_the_command_line() -> None:
    """`status` and `parse` do not wait for imports they have no use for: Dagster, a web server, readers."""
    assert not imported_with("rag_assets.cli") & {"dagster", "uvicorn", "starlette", "graphql", *HEAVY}


def test_definitions_can_be_loaded() -> None:
    """Every asset, job, sensor, schedule and check is bound to its resource and partitions."""
    dg.Definitions.validate_loadable(load())


def test_dagsters_command_line_finds_the_definitions() -> None:
    """In the clone, under the name of the code location that a run of `rag-assets ingest` has."""
    clone = Path(__file__).parents[1]
    project = tomllib.loads((clone / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]["project"]
    assert project["code_location_target_module"] == foreground.MODULE
    assert project["code_location_name"] == foreground.LOCATION
    workspace = (clone / "workspace.yaml").read_text(encoding="utf-8")
    assert f"location_name: {foreground.LOCATION}" in workspace


def test_assets_follow_one_another_from_the_applications_table() -> None:
    """The graph shows the way of a document: its row, its text, its chunks, their vectors."""
    graph = load().resolve_asset_graph()
    way = [AssetKey("TblDocumentFiles"), *KEYS]
    assert set(graph.get_all_asset_keys()) == {*way, AssetKey("index")}
    assert graph.get(AssetKey("index")).parent_keys == {way[-1]}
    assert graph.get(AssetKey("index")).partitions_def is None
    for before, after in zip(way, KEYS, strict=False):
        assert graph.get(after).parent_keys == {before}
        assert graph.get(after).partitions_def == partitions.documents.definition


def test_everything_in_the_ui_says_what_it_is_for() -> None:
    """Who sees Dagster for the first time learns from it what there is."""
    from rag_assets.definitions import defs

    repository = defs.get_repository_def()
    graph = defs.resolve_asset_graph()
    shown: list[Any] = [*repository.sensor_defs, *repository.schedule_defs]
    shown += [defs.resolve_job_def(job.name) for job in (jobs.ingest_job, jobs.index_job, jobs.reconcile)]
    shown += [graph.get(key) for key in graph.get_all_asset_keys()]
    shown += [spec for check in (checks.index_in_step,) for spec in check.check_specs]
    assert all(len(one.description or "") > 40 for one in shown)


def test_catalogue_names_tables_and_columns_as_the_database_has_them(database_url: str) -> None:
    """With their types, and what each column holds: who reads the catalogue can write a query."""
    there: dict[str, dict[str, str]] = {}
    columns = "select table_name, column_name, format_type(a.atttypid, a.atttypmod) from information_schema.columns "
    of = "join pg_attribute as a on a.attrelid = to_regclass(table_name) and a.attname = column_name"
    for table, column, kind in rows.execute(database_url, f"{columns} {of} where table_name like 'rag%'"):
        there.setdefault(table, {})[column] = kind
    for spec in (specs.raw_text, specs.chunks, specs.embeddings):
        table, schema = spec.metadata["dagster/table_name"], spec.metadata["dagster/column_schema"]
        assert {one.name: one.type for one in schema.columns}.items() <= there[table].items()
        assert all(one.description for one in schema.columns)


def test_code_version_is_that_of_the_package() -> None:
    """Of what reads documents; the index, whose run Dagster judges by it, is not out of date with each version."""
    graph = load().resolve_asset_graph()
    assert {graph.get(key).code_version for key in KEYS} == {rag_assets.__version__}
    assert graph.get(AssetKey("index")).code_version is None


def test_groups_are_the_steps_of_a_documents_way() -> None:
    """In the order in which the graph draws them."""
    graph = load().resolve_asset_graph()
    groups = [graph.get(key).group_name for key in (AssetKey("TblDocumentFiles"), *KEYS, AssetKey("index"))]
    assert groups == ["source", "ingestion", "ingestion", "ingestion", "search"]


def test_assets_have_the_owners_and_tags_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, and the table as its settings name it."""
    monkeypatch.setenv("RAG_ASSETS_DAGSTER__OWNERS", '["team:search", "ops@example.com"]')
    monkeypatch.setenv("RAG_ASSETS_DAGSTER__TAGS", '{"domain": "search"}')
    monkeypatch.setenv("RAG_ASSETS_SOURCE__TABLE", 'app."a.b"')
    made = runpy.run_path(specs.__file__)  # beside the module that others have
    for name in ("source_table", "raw_text", "chunks", "embeddings", "index"):
        assert list(made[name].owners) == ["team:search", "ops@example.com"]
        assert made[name].tags["domain"] == "search"
    assert made["source_table"].metadata["dagster/table_name"] == "app.a.b"


@pytest.mark.parametrize(
    "dagster", [{"owners": ["search"]}, {"owners": ["a@b"]}, {"tags": {"a b": "c"}}, {"tags": {"a": "b c"}}]
)
def test_owner_or_tag_that_dagster_would_refuse_is_refused_by_its_name(dagster: dict[str, Any]) -> None:
    """Where it is set, and not as definitions that cannot be loaded."""
    with pytest.raises(ValidationError, match="allowed are"):
        settings.Dagster.model_validate(dagster)


def test_sensors_and_schedule_run_when_nobody_started_them() -> None:
    """An index that follows its table needs no click."""
    from rag_assets.definitions import defs

    repository = defs.get_repository_def()
    sensors, [schedule] = repository.sensor_defs, repository.schedule_defs
    assert [one.default_status for one in sensors] == [dg.DefaultSensorStatus.RUNNING] * 2
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING

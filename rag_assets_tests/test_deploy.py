"""The examples for Prometheus and Grafana: they parse, and what they name is what a real /metrics answers."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from rag_assets import settings
from rag_assets_tests import rows, serving
from rag_assets_tests.serving import configured, served
from rag_assets_tests.test_metrics import FAILED, STORED, families, log

DEPLOY = settings.project_root() / "deploy"
RULES = DEPLOY / "prometheus" / "rag_assets.rules.yml"
BOARD = DEPLOY / "grafana" / "rag_assets.json"
NAME = re.compile(r"\brag_assets_\w+")
SELECTED = re.compile(r"\b(rag_assets_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
SET_BY_PROMETHEUS = {"instance", "job"}
INDEX = """
insert into dagster.job_ticks default values;
create index rag_vectors_test on rag_document_chunks
    using hnsw ((embedding::halfvec(384)) halfvec_cosine_ops) where embedding_model = '{model}';
comment on index rag_vectors_test is
    'rag_assets {{"built_at": null, "seconds": null, "rows": 7, "size_bytes": 1, "recall_at_10": 0.97,
    "looked_at": "2026-03-01T00:00:00+00:00", "changes": 7}}'
"""


@pytest.fixture(scope="module")
def told(postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The names of all samples of a service that has done everything once, each with its labels."""
    from rag_assets_tests import conftest

    for url in conftest._database(postgres_url, template=_template):
        serving.fill(url)
        log(url, STORED, FAILED)
        rows.execute(url, "create schema dagster; create table dagster.job_ticks (id bigserial primary key)")
        rows.execute(url, INDEX.format(model=rows.MODEL))
        with served(configured(url, tmp_path_factory.mktemp("deploy") / "home")) as service:
            service.search("pump", mode="vector")
            yield {sample.name: set(sample.labels) for family in families(service) for sample in family.samples}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def targets() -> list[str]:
    return [target["expr"] for panel in json.loads(BOARD.read_text())["panels"] for target in panel["targets"]]


def expressions() -> list[str]:
    variables = json.loads(BOARD.read_text())["templating"]["list"]
    return [*(rule["expr"] for rule in rules()), *targets(), *(each["query"] for each in variables)]


def test_every_metric_that_is_named_is_told(told: dict[str, set[str]]) -> None:
    """A name that is misspelt would never raise an alarm, and nobody would notice."""
    named = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(named) > 15
    assert named <= set(told)


def test_every_label_that_is_named_is_one_of_its_metric(told: dict[str, set[str]]) -> None:
    """So with those that are selected, and those that are kept of a sum."""
    for expression in expressions():
        for name, selected in SELECTED.findall(expression):
            assert set(MATCHER.findall(selected)) <= told[name] | SET_BY_PROMETHEUS, expression
        labels = {label.strip() for found in GROUPED.findall(expression) for label in found.split(",")}
        known = set().union(*(told[name] for name in NAME.findall(expression)))
        assert labels <= known | SET_BY_PROMETHEUS, expression


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    """Those that were asked for are there: backlog, age, failures, service, recall, database."""
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    assert set(names) >= {
        f"RagAssets{name}"
        for name in (
            "BacklogGrows",
            "OldestPendingTooOld",
            "DocumentsFail",
            "SearchServiceAway",
            "RecallLow",
            "DatabaseAway",
        )
    }
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize("expression", expressions())
def test_brackets_of_an_expression_are_closed(expression: str) -> None:
    """What a slip of the pen most often leaves, where no promtool is at hand."""
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH")
def test_prometheus_takes_the_rules() -> None:
    """By its own tool."""
    assert subprocess.run(["promtool", "check", "rules", str(RULES)], check=False).returncode == 0


def test_panels_have_numbers_and_places_of_their_own() -> None:
    """Grafana takes a board without complaint whose panels hide each other."""
    panels = json.loads(BOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_the_files_are_where_the_documentation_says() -> None:
    """They are linked from the section on metrics."""
    page = (settings.project_root() / "docs" / "operating.md").read_text()
    for file in (RULES, BOARD):
        assert f"(../{file.relative_to(settings.project_root()).as_posix()})" in page


EXAMPLES = [file for file in DEPLOY.rglob("*.yaml") if file.parent.name in ("celery", "compose", "kubernetes")]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_settings_in_examples_of_many_machines_exist(file: Path) -> None:
    """A variable that is misspelled would be refused by every process."""
    text = file.read_text(encoding="utf-8")
    assert list(yaml.safe_load_all(text))
    for section, key in re.findall(r"\bRAG_ASSETS_([A-Z_]+?)__([A-Z_]+)\b", text):
        fields = settings.Settings.model_fields[section.lower()].default.__class__.model_fields
        assert key.lower() in fields, f"{section}.{key}"


def test_workers_of_celery_are_set_as_their_launcher_is() -> None:
    """What Dagster's command for workers reads is another file than what launches runs."""
    launcher = yaml.safe_load((DEPLOY / "celery" / "dagster.yaml").read_text(encoding="utf-8"))["run_launcher"]
    worker = yaml.safe_load((DEPLOY / "celery" / "worker.yaml").read_text(encoding="utf-8"))
    assert worker["execution"]["config"] == launcher["config"]


def test_database_in_containers_is_ready_once_others_reach_it() -> None:
    """Its image makes a new one with a server that answers on the socket alone, and then starts another one."""
    found = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert found["init"]["depends_on"]["db"] == {"condition": "service_healthy"}
    assert re.search(r"--host 127\.0\.0\.1\b", found["db"]["healthcheck"]["test"])


@pytest.mark.parametrize("file", ["celery/dagster.yaml", "kubernetes/values.yaml"])
def test_examples_let_as_many_runs_work_as_the_settings_allow(file: str) -> None:
    """A limit of runs below that would have them wait, and none for the pool would have all of a backfill embed."""
    found = yaml.safe_load((DEPLOY / file).read_text(encoding="utf-8"))
    ours = yaml.safe_load((settings.project_root() / "dagster.yaml").read_text(encoding="utf-8"))
    concurrency = found.get("additionalInstanceConfig", found)["concurrency"]
    assert concurrency == ours["concurrency"]


def test_image_runs_as_the_account_that_the_documentation_gives_the_keys_to() -> None:
    """A file of keys that belongs to somebody else is refused, and one of root's that is closed cannot be read."""
    account = re.search(r"useradd --uid (\d+) ", (DEPLOY / "image" / "Dockerfile").read_text(encoding="utf-8"))
    page = (settings.project_root() / "docs" / "scale.md").read_text(encoding="utf-8")
    assert account is not None
    assert f"chown {account[1]} keys/keys.toml" in page


def test_image_has_of_the_clone_what_it_needs_and_nothing_else() -> None:
    """Beside it lie the password, the documents and the keys of who builds it; layers of an image are for ever."""
    root = settings.project_root()
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    taken = {line[1:] for line in lines if line.startswith("!")}
    assert next(line for line in lines if not line.startswith("#")) == "*"
    build = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    wheel = build["targets"]["wheel"]
    assert {*wheel["packages"], *wheel["force-include"], "pyproject.toml", "README.md", "LICENSE"} <= taken
    of_image = (root / "deploy" / "image" / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        file for line in re.findall(r"^COPY --chown=rag (.+) \S+$", of_image, re.MULTILINE) for file in line.split()
    ]
    assert copied
    assert all(any(Path(file).is_relative_to(one) for one in taken) for file in copied)
    assert all((root / one).exists() for one in taken)

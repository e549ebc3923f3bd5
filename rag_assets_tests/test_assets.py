"""What a run can be told in its config."""

from typing import Any

import pytest

from rag_assets.definitions import defs


def types_below(config_type: Any, *, seen: set[str]) -> set[str]:
    """The names of all types that a run's config of a job is made of."""
    if config_type.key in seen:
        return set()
    seen.add(config_type.key)
    inner = [field.config_type for field in getattr(config_type, "fields", {}).values()]
    inner += [getattr(config_type, name) for name in ("inner_type", "scalar_type") if hasattr(config_type, name)]
    return {config_type.given_name or config_type.key}.union(*(types_below(each, seen=seen) for each in inner))


@pytest.mark.parametrize("job", ["ingest_documents", "reconcile", "__ASSET_JOB"])
def test_no_config_names_a_variable_of_the_environment(job: str) -> None:
    """Dagster's StringSource, IntSource and BoolSource would: who launches a run could read any password in its log."""
    schema: Any = defs.get_repository_def().get_job(job).run_config_schema
    names = types_below(schema.config_type, seen=set())
    assert "Bool" in names or job == "reconcile", names  # the walk arrives at the fields
    assert not [name for name in names if "Source" in name]

"""Where a benchmark of search has its index: in a home of its own, or in one that is there already."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from rag_assets.services import Services
from rag_assets_tests.benchmarks import ground
from rag_assets_tests.benchmarks.figures import say


@contextmanager
def opened(index: str | None) -> Iterator[tuple[Services, Path | None]]:
    """Services on the database `index` (a URL, or a home of the embedded PostgreSQL), or on a new one that is gone
    afterwards (None); and the home that is measured, if it is one of ours."""
    if index is None:
        with ground.home() as home, ground.ready(Services(ground.load(), progress=say)) as services:
            yield services, home
    elif "://" in index:
        with Services(ground.load().model_copy(update={"database_url": SecretStr(index)}), progress=say) as services:
            yield services, None
    else:
        home = Path(index).resolve()
        os.environ["RAG_ASSETS_HOME"] = str(home)
        os.environ.pop("DATABASE_URL", None)
        with Services(ground.load(), progress=say) as services:
            yield services, home

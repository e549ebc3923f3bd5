"""What commands begin with: services that are open while one works, the documents that IDS name, shared options."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from rag_assets import console, operations, settings, supervisor, visible
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.errors import SettingsError, SourceUnusable
from rag_assets.model import not_in_table
from rag_assets.services import Services, require_home

JSON = click.option("--json", "as_json", is_flag=True, help="JSON Lines, one object per line, for programs.")


class FiniteRange(click.FloatRange):
    """A range of numbers, to which NaN does not belong: it is neither below nor above anything."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, in its range; fails for nan, which no comparison with the ends of a range refuses."""
        number = math.nan
        with suppress(ValueError):
            number = float(value)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return float(super().convert(number, param, ctx))


def examples(*commands: str) -> str:
    """The examples at the end of a command's help, from command lines without the program's name."""
    return "\n".join(["\b", "For example:", *(f"  rag-assets {command}" for command in commands)])


@contextmanager
def opened(**overrides: Any) -> Iterator[Services]:
    """The services of the settings, some of them overridden, with a home that can be written to."""
    config = settings.load(**overrides)
    require_home(config)
    with opened_with(config) as services:
        yield services


@contextmanager
def opened_with(config: settings.Settings) -> Iterator[Services]:
    """The services of these settings; the embedded database is let go at the end."""
    try:
        with Services(config, progress=console.print_progress) as services, _first_step_said(services):
            yield services
    finally:
        if config.database_url is None:
            bundled_postgres.release(config.home)


def step_for_pending(services: Services) -> str:
    """What to do for documents that are pending: nothing, where `rag-assets up` runs in this home."""
    is_followed = supervisor.is_running(services.settings.home)
    return "`rag-assets up` runs here, and takes up what is pending." if is_followed else console.INGEST


@contextmanager
def _first_step_said(services: Services) -> Iterator[None]:
    """Where nothing was ever registered, the embedded database has no table, and nothing is wrong with that."""
    try:
        yield
    except SourceUnusable as exc:
        if services.settings.database_url is not None or services.database.is_migrated():
            raise
        raise SettingsError(f"There are no documents in {services.settings.home} yet. {console.FIRST_STEP}") from exc


def existing(services: Services, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The documents that IDS name, and those that name none, which is said; without any of the former, it ends."""
    known, unknown = operations.find(services, ids)
    if unknown:
        said = not_in_table(unknown, table=services.settings.source.table)
        if not known:
            raise click.ClickException(visible.line(said))
        console.print_progress(said)
    return known, unknown

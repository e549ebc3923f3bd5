"""What commands begin with: services that are open while one works, the documents that IDS name, shared options."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from rag_assets import console, operations, settings, visible
from rag_assets.bundled import postgres as bundled_postgres
from rag_assets.services import Services, require_home

JSON = click.option("--json", "as_json", is_flag=True, help="JSON Lines, one object per line, for programs.")


class FiniteRange(click.FloatRange):
    """A range of numbers, to which NaN does not belong: it is neither below nor above anything."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


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
        with Services(config, progress=console.print_progress) as services:
            yield services
    finally:
        if config.database_url is None:
            bundled_postgres.release(config.home)


def existing(services: Services, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The documents that IDS name, and those that name none; without any of the former, there is nothing to do."""
    known, unknown = operations.find(services, ids)
    if unknown and not known:
        said = f"Not in the table {services.settings.source.table}: {console.quoted(unknown)}"
        raise click.ClickException(visible.line(said))
    return known, unknown

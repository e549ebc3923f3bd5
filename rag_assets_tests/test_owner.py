"""Whose settings the index follows: one program's at a time, and no cutting back and forth."""

import platform
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from rag_assets import settings
from rag_assets.claim_source import ClaimSource
from rag_assets.errors import SettingsError
from rag_assets.postgres import owner
from rag_assets.postgres.database import Database
from rag_assets.postgres.listener import Listener
from rag_assets.postgres.owner import Owner
from rag_assets.services import owner_of

SOURCE = settings.Source()
FIRST = Owner(program="one:/home", model="m", settings={"chunking.size": 512, "chunking.overlap": 50})
SECOND = replace(FIRST, program="two:/home", settings={"chunking.size": 256, "chunking.overlap": 50})
REFUSED = r"follows the settings of one:/home: chunking\.size is 256 here and 512 there.*rag-assets init --take-over"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        database.migrate(SOURCE, dimension=384, owner=FIRST)
        yield database


def _require(database: Database, mine: Owner) -> None:
    with database.transaction() as cursor:
        owner.require(cursor, mine)


def test_another_program_refuses_when_its_settings_differ(database: Database) -> None:
    """In one sentence that names what differs; the first one works on."""
    with pytest.raises(SettingsError, match=REFUSED):
        database.migrate(SOURCE, dimension=384, owner=SECOND)
    with pytest.raises(SettingsError, match=REFUSED):
        _require(database, SECOND)
    _require(database, FIRST)


def test_another_program_works_when_its_settings_are_the_same(database: Database) -> None:
    """Many workers on one database are no two programs."""
    same = replace(FIRST, program="three:/home")
    database.migrate(SOURCE, dimension=384, owner=same)
    _require(database, same)


def test_a_program_refuses_when_another_took_over_on_purpose(database: Database) -> None:
    """Until it takes over in its turn."""
    for mine, other in ((SECOND, FIRST), (FIRST, SECOND)):
        database.take_over(mine)
        database.migrate(SOURCE, dimension=384, owner=mine)
        _require(database, mine)
        with pytest.raises(SettingsError, match="take over on purpose"):
            _require(database, other)


def test_a_program_may_change_its_own_settings(database: Database) -> None:
    """What of it still runs with the ones of before stops, and says that it is to be started again."""
    changed = replace(SECOND, program=FIRST.program)
    database.migrate(SOURCE, dimension=384, owner=changed)
    _require(database, changed)
    with pytest.raises(SettingsError, match="after a restart"):
        _require(database, FIRST)


def test_no_document_is_claimed_when_another_program_took_over(database: Database) -> None:
    """Also not by a run that is there already: it ends with the reason, and what it would have taken stays pending."""
    with Listener(database.url, channel="document_changes") as listener:
        claim_source = ClaimSource(database, settings.load(), run_id="1", listener=listener, owner=FIRST)
        assert list(claim_source.pending()) == []
        database.take_over(SECOND)
        with pytest.raises(SettingsError, match="take over on purpose"):
            list(claim_source.documents(["1"]))


def test_machines_of_one_installation_are_one_program() -> None:
    """Pods get another name at each start; without a name in common, each would have to take over."""
    given = settings.load()
    worker = given.worker.model_copy(update={"installation": "library"})
    assert owner_of(given.model_copy(update={"worker": worker})).program == "library"
    assert owner_of(given).program == f"{platform.node()}:{given.home}"

"""Where pages and interfaces are served: to other machines only with a token or keys."""

import subprocess
import sys
from pathlib import Path

import pytest

from rag_assets import settings
from rag_assets.errors import SettingsError
from rag_assets.service import addresses
from rag_assets_tests.guarded import TOKEN
from rag_assets_tests.serving import write_keys


@pytest.mark.parametrize(("host", "is_so"), [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False)])
def test_only_loopback_is_reached_from_this_machine_alone(host: str, is_so: bool) -> None:
    assert addresses.is_loopback(host) is is_so


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no-such-name.invalid"])  # noqa: S104
def test_other_addresses_need_a_token(host: str) -> None:
    """The message says what to set; with a token they are allowed."""
    with pytest.raises(SettingsError, match=r"open to everybody .*RAG_ASSETS_WEB__TOKEN"):
        addresses.require_safe_page(settings.load(), host)
    addresses.require_safe_page(settings.load(web={"token": TOKEN}), host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.53"])
def test_this_machine_needs_no_token(host: str) -> None:
    addresses.require_safe_page(settings.load(), host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no.such.name.invalid"])  # noqa: S104
def test_nothing_is_served_to_other_machines_without_keys(tmp_path: Path, host: str) -> None:
    """The message says what to do; with keys, it is."""
    config = settings.load(home=tmp_path)
    with pytest.raises(SettingsError, match=r"service\.keys_file.*rag-assets key NAME"):
        addresses.require_safe_search(config, host)
    write_keys(tmp_path / "keys.toml", a={})
    with_keys = settings.load(home=tmp_path, service={"keys_file": tmp_path / "keys.toml"})
    addresses.require_safe_search(with_keys, host)
    addresses.require_safe_search(config, "127.0.0.1")


def test_up_asks_without_what_serves() -> None:
    """It stays as long as its services do, each of which imports what it needs itself."""
    code = (
        "import sys; from rag_assets import cli_service, settings; from rag_assets.service import addresses;"
        "config = settings.load();"
        "addresses.require_safe_page(config, '127.0.0.1'); addresses.require_safe_search(config, '127.0.0.1');"
        "print([name for name in ('starlette', 'uvicorn', 'graphql', 'prometheus_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

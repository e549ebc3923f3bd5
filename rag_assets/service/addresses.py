"""Where pages and interfaces may be served: without what serves them, which `rag-assets up` would keep in memory."""

import ipaddress
import socket

from rag_assets.errors import SettingsError
from rag_assets.service.keys import Keys
from rag_assets.settings import Settings


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches all addresses of a name; no where it is not known."""
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def require_safe_page(config: Settings, host: str) -> None:
    """SettingsError where the page would be open to other machines without a token."""
    if config.web.token is None and not is_loopback(host):
        raise SettingsError(
            f"Dagster's page would be open to everybody who reaches {host}. Set web.token (RAG_ASSETS_WEB__TOKEN, at "
            "least 16 characters), with which people log in, or leave --host at 127.0.0.1."
        )


def require_safe_search(config: Settings, host: str) -> None:
    """SettingsError where the index would be open to other machines without keys, or the keys are not to be used."""
    if config.service.keys_file is not None:
        Keys(config.service.keys_file).require()
    elif not is_loopback(host):
        raise SettingsError(
            f"The search service would be open to everybody who reaches {host}. Set service.keys_file "
            "(RAG_ASSETS_SERVICE__KEYS_FILE) to a file of keys, which `rag-assets key NAME` makes, or leave "
            "service.host at 127.0.0.1."
        )

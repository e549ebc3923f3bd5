"""A free port: the wanted one if it can be had."""

import socket

import pytest

from rag_assets.processes import ports


def test_free_port_is_the_wanted_one_when_it_is_free() -> None:
    """And another one when it is not."""
    port = ports.free_port("127.0.0.1")
    assert ports.free_port("127.0.0.1", wanted=port) == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = ports.free_port("127.0.0.1", wanted=taken.getsockname()[1])
        assert other not in (0, taken.getsockname()[1])


def test_free_port_refuses_an_address_of_another_machine() -> None:
    """192.0.2.1 is nobody's."""
    with pytest.raises(OSError, match="address"):
        ports.free_port("192.0.2.1", wanted=3000)

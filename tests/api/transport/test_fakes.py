"""The socket of these tests has what the real one has, and takes what that takes."""

from api.transport.socketio2 import Socket
import pytest

from tests.stand_ins import check, public

from .fakes import FakeSocket

# For the engine, which is the real one's own
UNUSED = {"dispatch", "hold"}


@pytest.mark.parametrize("name", sorted(public(Socket) - UNUSED))
def test_is_like_the_real_one(name: str) -> None:
    """Whatever a socket has for channels, the fake has of its own, called in the same way."""
    check(Socket, FakeSocket, [name], "tests/api/transport/fakes.py")

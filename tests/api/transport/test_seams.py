"""Test the private names of the libraries that the two dialects use."""

import ast
import asyncio
import inspect
import logging
from pathlib import Path

import aiohttp
from api.transport import engineio3, socketio2
import engineio
import socketio

from tests.api.loopback import STRICT, Sockets
from tests.api.raw import Raw, engine

pytestmark = STRICT

PRIVATE_SEAMS = {
    (engineio.AsyncClient, "_connect_websocket"): "(self, url, headers, engineio_path)",
    (
        engineio.AsyncClient,
        "_get_engineio_url",
    ): "(self, url, engineio_path, transport)",
    (engineio.AsyncClient, "_read_loop_websocket"): "(self)",
    (engineio.AsyncClient, "_trigger_event"): "(self, event, *args, **kwargs)",
    (engineio.AsyncClient, "_write_loop"): "(self)",
    (socketio.AsyncClient, "_engineio_client_class"): "(self)",
    (socketio.AsyncClient, "_handle_connect"): "(self, namespace, data)",
    (socketio.AsyncClient, "_handle_eio_connect"): "(self)",
    (socketio.AsyncClient, "_handle_eio_message"): "(self, data)",
}
"""Methods of the libraries that the socket overrides or calls, with their signatures."""


PRIVATE_ATTRIBUTES = {"_response", "_data_received_cb"}
"""Attributes of aiohttp's: the response of a websocket, and who hears of each of its bytes."""


UNDOCUMENTED = {
    engineio.AsyncClient: (
        "current_transport http ping_interval ping_timeout queue sid state"
        " websocket_extra_options ws"
    ),
    socketio.AsyncClient: "connection_namespaces eio namespaces packet_class sid",
}
"""Attributes without an underscore that no documentation promises."""


def is_private(name: str) -> bool:
    """Return whether a name is private."""
    return name.startswith("_") and not name.startswith("__")


def foreign_names(source: str, library: set[str]) -> set[str]:
    """Return the private names of other modules that a module reads, writes, calls or overrides."""
    nodes = list(ast.walk(ast.parse(source)))
    functions = {
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    own, of_others, kept = set(functions), set[str](), set[str]()
    for node in nodes:
        if isinstance(node, ast.Attribute):
            on_self = isinstance(node.value, ast.Name) and node.value.id == "self"
            (own if on_self else of_others).add(node.attr)
            if on_self and isinstance(node.ctx, ast.Store):
                kept.add(node.attr)
    inherited = {
        name for name in own if name in library or name not in functions | kept
    }
    return {name for name in inherited | of_others if is_private(name)}


def test_private_names() -> None:
    """The libraries still have every private name that the dialects use."""
    for (owner, name), signature in PRIVATE_SEAMS.items():
        assert str(inspect.signature(getattr(owner, name))) == signature, name

    quiet = logging.getLogger("socketio.metaapi")
    client = socketio.AsyncClient(
        logger=quiet, engineio_logger=quiet, handle_sigint=False
    )
    instances = {engineio.AsyncClient: client.eio, socketio.AsyncClient: client}
    for owner, names in UNDOCUMENTED.items():
        for name in names.split():
            assert hasattr(instances[owner], name), name

    library = {
        name for one in instances.values() for name in dir(one) if is_private(name)
    }
    known = {name for _, name in PRIVATE_SEAMS} | PRIVATE_ATTRIBUTES
    found = {
        name
        for module in (engineio3, socketio2)
        for name in foreign_names(
            Path(inspect.getfile(module)).read_text("utf-8"), library
        )
    }
    assert found == known


def test_private_names_are_found() -> None:
    """The search finds names that are read, written, called, overridden or redefined."""
    source = """
class Mine(Theirs):
    def __init__(self):
        self._mine = other._read
        other._written = self._my_method()
        self._both = other._both
        self._inherited()
        self._chance = 1
    def _my_method(self): ...
    def _overridden(self): ...
"""
    found = foreign_names(source, {"_overridden", "_chance", "_unused"})
    assert found == {
        "_read",
        "_written",
        "_both",
        "_inherited",
        "_overridden",
        "_chance",
    }


async def test_private_attributes(sockets: Sockets) -> None:
    """The attributes of aiohttp that the socket uses exist with the expected types."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        response = socket._client.engine.ws._response
        assert isinstance(response, aiohttp.ClientResponse)
        handler = aiohttp.client_proto.ResponseHandler(asyncio.get_running_loop())
        assert handler._data_received_cb is None
        heard = response.connection.protocol._data_received_cb
        assert heard == socket._client.engine._heartbeat.heard
        assert "data_received_cb" in inspect.signature(handler.set_parser).parameters


def test_packet_numbers() -> None:
    """The libraries have the packet numbers of this protocol revision."""
    assert (engineio.packet.PING, engineio.packet.PONG) == (2, 3)
    numbers = [
        getattr(socketio.packet, name)
        for name in ("CONNECT", "DISCONNECT", "CONNECT_ERROR")
    ]
    assert numbers == [0, 1, 4]

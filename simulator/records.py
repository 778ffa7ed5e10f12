"""Records of what clients did; every `time` is the event loop's."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict


@dataclass(slots=True, eq=False)
class Listener:
    """A port, and the region and zone that it serves; None means any."""

    region: str | None = None
    instance: int | None = None
    url: str = ""
    thawed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def __post_init__(self) -> None:
        """Start answering."""
        self.thawed.set()


LISTENER = web.AppKey("listener", Listener)


@dataclass(slots=True, eq=False)
class Handshake:
    """One attempt to open a socket, refused ones included."""

    time: float
    listener: Listener
    status: int
    query: dict[str, str] = field(repr=False)
    headers: CIMultiDict[str] = field(repr=False)


@dataclass(slots=True, eq=False)
class RestCall:
    """One call of the REST API, and the status of its response."""

    time: float
    method: str
    path: str
    query: dict[str, str]
    status: int
    headers: CIMultiDict[str] = field(repr=False)

"""Sticky connections: numbered events, and a client that comes back on another socket.

MetaApi's JavaScript client always asks for one, with `stickySocketConnectionId` in its query.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
import json
from typing import Any
from urllib.parse import unquote

KEPT_EVENTS = 10_000
STICKY_ID = "stickySocketConnectionId"
RESTORE = "restoreStickyConnection"


class Sticky:
    """What a server keeps of one client, to go on where its last socket ended."""

    def __init__(self) -> None:
        """Start with nothing sent or received."""
        self._sent: deque[tuple[int, str, dict[str, Any]]] = deque(maxlen=KEPT_EVENTS)
        self._next = 0
        self._received = -1
        self._waiting: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Sticky | None:
        """Return what to keep, or None for a client that does not ask for it."""
        return cls() if query.get(STICKY_ID) else None

    # Events.

    def wrap(self, name: str, payload: Any) -> dict[str, Any]:
        """Return an event's argument as it is sent, with its number."""
        packet = {"index": self._next, "data": [payload]}
        self._sent.append((self._next, name, packet))
        self._next += 1
        return packet

    def unwrap(self, arguments: list[Any]) -> list[Any] | None:
        """Return an event's own arguments; None if it makes no sense or came before."""
        packet = arguments[0] if arguments else None
        if not isinstance(packet, dict):
            return None
        index, data = packet.get("index"), packet.get("data")
        if type(index) is not int or not isinstance(data, list):
            return None
        if index <= self._received:
            return None
        self._received = index
        return data

    # Coming back.

    def _can_restore(self, request: Mapping[str, Any]) -> bool:
        """Return whether both sides still have what the other has missed."""
        missed = request["lastReceivedIndex"] + 1
        kept = self._sent[0][0] if self._sent else self._next
        theirs = request.get("firstHistoryIndex")
        sent = request["lastSentIndex"]
        return kept <= missed <= self._next and (
            sent <= self._received
            or (theirs is not None and theirs <= self._received + 1)
        )

    def restored(self, query: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """Yield the events with which a socket starts that was opened to restore another."""
        request = restore_request(query)
        if request is None:
            return
        # A client that was never waited for is a new one: there is nothing to restore.
        if self._waiting is None or not self._can_restore(request):
            yield "restore_connection", {"restored": False}
            return
        yield (
            "restore_connection",
            {"restored": True, "sendSinceIndex": self._received + 1},
        )
        for index, name, packet in self._sent:
            if index > request["lastReceivedIndex"]:
                yield name, packet

    def wait(self, seconds: float, give_up: Callable[[], None]) -> None:
        """Give the client some time to come back."""
        self._waiting = asyncio.get_running_loop().call_later(seconds, give_up)

    def stop_waiting(self) -> None:
        """Note that the client is back, or gone for good."""
        if self._waiting is not None:
            self._waiting.cancel()


def restore_request(query: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what a client says of the socket that it wants restored; None: nothing."""
    # The client encodes it, and its library does so again with the whole query.
    try:
        request = json.loads(unquote(query.get(RESTORE, "")))
    except ValueError:
        return None
    if not isinstance(request, dict) or not all(
        type(request.get(name)) is int
        for name in ("lastSentIndex", "lastReceivedIndex")
    ):
        return None
    return request

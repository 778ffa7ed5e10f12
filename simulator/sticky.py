"""Sticky connections: events have numbers, and a client can resume on another socket.

MetaApi's JavaScript client always asks for one with `stickySocketConnectionId` in its query.
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
    """What the server keeps about a client to continue where its last socket ended."""

    def __init__(self) -> None:
        """Start without sent and received events."""
        self._sent: deque[tuple[int, str, dict[str, Any]]] = deque(maxlen=KEPT_EVENTS)
        self._next = 0
        self._received = -1
        self._waiting: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Sticky | None:
        """Return a new object, or None if the client asks for no sticky connection."""
        return cls() if query.get(STICKY_ID) else None

    # Events.

    def wrap(self, name: str, payload: Any) -> dict[str, Any]:
        """Return the argument of an event with the event's number, and keep it."""
        packet = {"index": self._next, "data": [payload]}
        self._sent.append((self._next, name, packet))
        self._next += 1
        return packet

    def unwrap(self, arguments: list[Any]) -> list[Any] | None:
        """Return the arguments of an event; None if it is invalid or a duplicate."""
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

    # Resuming.

    def _can_restore(self, request: Mapping[str, Any]) -> bool:
        """Return whether both sides still have the events that the other one missed."""
        missed = request["lastReceivedIndex"] + 1
        kept = self._sent[0][0] if self._sent else self._next
        theirs = request.get("firstHistoryIndex")
        sent = request["lastSentIndex"]
        return kept <= missed <= self._next and (
            sent <= self._received
            or (theirs is not None and theirs <= self._received + 1)
        )

    def restored(self, query: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """Yield the first events of a socket that was opened to restore another one."""
        request = restore_request(query)
        if request is None:
            return
        # Nobody waits for this client, so it is new: there is nothing to restore.
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
        """Wait some time for the client to return."""
        self._waiting = asyncio.get_running_loop().call_later(seconds, give_up)

    def stop_waiting(self) -> None:
        """Cancel waiting, since the client has returned or left permanently."""
        if self._waiting is not None:
            self._waiting.cancel()


def restore_request(query: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the client's request to restore a socket, or None."""
    # Encoded twice: by the client, and by its library with the whole query.
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

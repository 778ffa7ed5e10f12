"""One client's socket: the default namespace of Socket.IO 2 on an Engine.IO transport."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, override

from multidict import CIMultiDict

from . import framing
from .framing import Packet
from .records import Listener
from .settings import Settings
from .sticky import Sticky
from .transport import Timers, Transport


class Owner(Protocol):
    """Handles the events of sockets."""

    def on_event(self, socket: SimSocket, name: str, payload: Any) -> None:
        """Handle an event of the client."""

    def on_leave(self, socket: SimSocket) -> None:
        """Called when the client has left permanently."""


@dataclass(slots=True, eq=False)
class SimRequest:
    """One request on a socket, as received."""

    time: float
    socket: SimSocket = field(repr=False)
    payload: Any

    @property
    def type(self) -> Any:
        """Return the request's type, of any JSON type."""
        return self.payload.get("type") if isinstance(self.payload, dict) else None

    @property
    def account_id(self) -> Any:
        """Return the request's account id, of any JSON type."""
        return self.payload.get("accountId") if isinstance(self.payload, dict) else None


class SimSocket:
    """One client's socket; a sticky one can continue on another transport."""

    def __init__(
        self,
        settings: Settings,
        owner: Owner,
        listener: Listener,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        on_close: Callable[[SimSocket], None],
    ) -> None:
        """Create a socket that has sent nothing yet."""
        self.transport = Transport(settings, self)
        self.listener = listener
        self.query = dict(query)
        self.headers = CIMultiDict(headers)
        self.connected = False
        self.connects = 0
        self.requests: deque[SimRequest] = deque(maxlen=100_000)
        self.sticky = Sticky.of(query)
        self._timers = Timers()
        self._settings = settings
        self._owner = owner
        self._on_close = on_close

    @override
    def __repr__(self) -> str:
        """Return a representation without the query, which holds the token."""
        return f"<SimSocket {self.sid} {self.close_reason or 'open'}>"

    @property
    def token(self) -> str:
        """Return the token that the client sent."""
        return self.query.get("auth-token", "")

    @property
    def client_id(self) -> str:
        """Return the client id, which MetaApi uses for load balancing."""
        return self.headers.get("Client-Id") or self.query.get("clientId") or self.sid

    @property
    def as_text(self) -> bool:
        """Return whether this client gets event payloads as JSON strings."""
        form = self._settings.wire.payload_form
        if form != "auto":
            return form == "string"
        protocol = self.query.get("protocol", "")
        return protocol.isascii() and protocol.isdigit() and int(protocol[:9]) >= 2

    # Read from the transport.

    @property
    def sid(self) -> str:
        """Return the id in the open packet."""
        return self.transport.sid

    @property
    def opened_at(self) -> float:
        """Return when the socket was opened."""
        return self.transport.record.opened_at

    @property
    def closed_at(self) -> float | None:
        """Return when the socket was closed."""
        return self.transport.record.closed_at

    @property
    def close_reason(self) -> str | None:
        """Return why the socket was closed."""
        return self.transport.record.close_reason

    @property
    def closed(self) -> asyncio.Event:
        """Return the event that is set once the socket is closed."""
        return self.transport.closed

    @property
    def upgraded(self) -> bool:
        """Return whether a polling client has moved to a websocket."""
        return self.transport.record.upgraded

    @property
    def pings(self) -> int:
        """Return how many pings the client has sent."""
        return self.transport.record.pings

    @property
    def bad_frames(self) -> int:
        """Return how many frames were invalid."""
        return self.transport.record.bad_frames

    @property
    def frames(self) -> deque[str]:
        """Return the last frames of the client, as received."""
        return self.transport.record.frames

    @property
    def polling(self) -> bool:
        """Return whether a poll of the client is open."""
        return self.transport.polling

    # Sending.

    def open(self, *, polling: bool, refusal: str | None = None) -> None:
        """Send the first packets."""
        self.transport.open(polling=polling)
        delay = self._settings.timing.connect_delay
        if refusal is not None:
            self.send(refusal)
        elif self._settings.wire.connect_packet is None:
            return
        elif delay:
            self.transport.timers.call_later(delay, self._connect)
        else:
            self._connect()

    def send(self, frame: str) -> None:
        """Send a raw frame."""
        self.transport.send(frame)

    def emit(self, name: str, payload: Any) -> None:
        """Send an event in the form that this client expects."""
        if not self.connected:
            return
        if name != "processingError" and self.as_text:
            payload = framing.dumps(payload)
        if self.sticky is not None:
            payload = self.sticky.wrap(name, payload)
        self.send(framing.event(name, payload))

    def disconnect(self) -> None:
        """Disconnect the client from the namespace; the socket stays open."""
        self.send("41")
        self._leave()

    def error(self, data: Any) -> None:
        """Send an error packet."""
        self.send(framing.error(data))

    def close(
        self, *, namespace: bool = True, packet: bool = True, code: int = 1000
    ) -> None:
        """Close as a server does: `41`, `1`, websocket close; the first two are optional."""
        if namespace and self.connected:
            self.disconnect()
        if packet:
            self.send("1")
        self.transport.close(code)

    def drop(self, reason: str = "dropped") -> None:
        """Abort the TCP connection."""
        self.transport.drop(reason)

    def freeze(self) -> None:
        """Stop reading and sending; TCP stays open."""
        self.transport.freeze()

    def unfreeze(self) -> None:
        """Read and send again, starting with what was held back."""
        self.transport.unfreeze()

    def call_later(
        self, delay: float, call: Callable[..., None], *args: object
    ) -> None:
        """Schedule a call, which is canceled if the client leaves before."""
        self._timers.call_later(delay, call, *args)

    # Receiving.

    def on_message(self, text: str) -> None:
        """Handle one Socket.IO packet."""
        packet = framing.decode(text)
        if packet.namespace != "/":
            if packet.kind == framing.CONNECT:
                self.send(framing.error("Invalid namespace", packet.namespace))
        elif packet.kind == framing.CONNECT:
            self._connect()
        elif packet.kind == framing.DISCONNECT:
            self._leave()
        elif packet.kind == framing.EVENT and self.connected:
            self._on_event(packet)

    def on_end(self) -> None:
        """Called when the transport has ended; a sticky client may still return."""
        if self.sticky is not None and self.connected:
            wait = self._settings.timing.sticky_lifetime
            self.sticky.wait(wait, self.leave)
        else:
            self.leave()
        self._on_close(self)

    def resume(self, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """Continue on a new transport, which the client opened to restore this socket."""
        if not self.closed.is_set():
            self.drop("restored elsewhere")
        assert self.sticky is not None
        self.sticky.stop_waiting()
        self.query, self.headers = dict(query), CIMultiDict(headers)
        self.transport = Transport(self._settings, self)

    def leave(self) -> None:
        """End the session permanently."""
        if self.sticky is not None:
            self.sticky.stop_waiting()
        self._timers.cancel()
        self._leave()

    def _on_event(self, packet: Packet) -> None:
        """Pass an event to the owner."""
        name, *arguments = packet.data
        if self.sticky is not None:
            unwrapped = self.sticky.unwrap(arguments)
            if unwrapped is None:
                return
            arguments = unwrapped
        self._owner.on_event(self, name, arguments[0] if arguments else None)

    def _connect(self) -> None:
        """Connect the client to the namespace, even if it is connected already."""
        self.connects += 1
        self.connected = True
        self.send(self._settings.wire.connect_packet or "40")
        if self.sticky is not None:
            for name, payload in self.sticky.restored(self.query):
                self.send(framing.event(name, payload))
        for event in self._settings.wire.greeting:
            self.emit("synchronization", event)

    def _leave(self) -> None:
        """Disconnect the client from the namespace, without a packet."""
        if self.connected:
            self.connected = False
            self._owner.on_leave(self)

"""Control of the open sockets, by tests and people."""

from collections.abc import Callable
from typing import Any

from .cloud import Cloud
from .engine import Engine
from .records import Listener
from .rest import Rest
from .session import SimSocket
from .settings import Settings


class Sockets:
    """Closes, freezes and disturbs sockets."""

    def __init__(
        self, settings: Settings, cloud: Cloud, engine: Engine, rest: Rest
    ) -> None:
        """Store the engine with the sockets, and REST, which can be frozen with them."""
        self.listeners: list[Listener] = []
        self._settings = settings
        self._cloud = cloud
        self._engine = engine
        self._rest = rest

    def all(self) -> list[SimSocket]:
        """Return the open sockets, oldest first."""
        return list(self._engine.sessions.values())

    def subscribed(self, account_id: str) -> list[SimSocket]:
        """Return the sockets that are subscribed to an account."""
        return list(self._cloud.subscriptions.of(account_id))

    def pick(
        self,
        account_id: str | None = None,
        sid: str | None = None,
        url: str | None = None,
    ) -> list[SimSocket]:
        """Return the open sockets, filtered by account, session id and server."""
        sockets = self.all() if account_id is None else self.subscribed(account_id)
        return [
            socket
            for socket in sockets
            if sid in (None, socket.sid)
            and url in (None, socket.listener.url)
            and not socket.closed.is_set()
        ]

    def drop_sockets(
        self, account_id: str | None = None, *, url: str | None = None
    ) -> int:
        """Abort the TCP connections of sockets; return how many."""
        return self._each(account_id, SimSocket.drop, url)

    def close_sockets(
        self,
        account_id: str | None = None,
        *,
        url: str | None = None,
        namespace: bool = True,
        packet: bool = True,
        code: int = 1000,
    ) -> int:
        """Close sockets: `41`, `1`, websocket close; the first two are optional."""
        return self._each(
            account_id,
            lambda each: each.close(namespace=namespace, packet=packet, code=code),
            url,
        )

    def disconnect_sockets(self, account_id: str | None = None) -> int:
        """Send only `41`: the namespace ends, the socket stays open."""
        return self._each(account_id, SimSocket.disconnect)

    def send_error_packet(
        self, data: Any = "Error", account_id: str | None = None
    ) -> int:
        """Send `44` with some data."""
        return self._each(account_id, lambda each: each.error(data))

    def inject(self, text: str, account_id: str | None = None) -> int:
        """Send a raw frame; return to how many sockets it was sent."""
        return self._each(account_id, lambda each: each.send(text))

    def freeze(self, *, rest: bool = False, url: str | None = None) -> None:
        """Accept connections without answering: no handshake, no pong, no event.

        With a URL, only that server freezes, including its REST part.
        """
        self._engine.freeze(self._listener(url))
        if rest:
            self._rest.freeze()

    def unfreeze(self, *, url: str | None = None) -> None:
        """Answer again, starting with what was held back."""
        self._engine.unfreeze(self._listener(url))
        if url is None:
            self._rest.unfreeze()

    def refuse_sockets(
        self,
        status: int | None,
        *,
        retry_after: float | None = None,
        location: str | None = None,
    ) -> None:
        """Refuse or redirect new sockets with an HTTP status; None accepts them again."""
        wire = self._settings.wire
        wire.refuse_status = status
        wire.refuse_retry_after = retry_after
        wire.refuse_location = location

    def _listener(self, url: str | None) -> Listener | None:
        """Return the server with a URL; raise ValueError if there is none."""
        if url is None:
            return None
        for listener in self.listeners:
            if listener.url == url:
                return listener
        raise ValueError("no such server")

    def _each(
        self,
        account_id: str | None,
        act: Callable[[SimSocket], None],
        url: str | None = None,
    ) -> int:
        """Call a function for each socket, filtered by account and server; return how many."""
        sockets = self.pick(account_id, url=url)
        for socket in sockets:
            act(socket)
        return len(sockets)

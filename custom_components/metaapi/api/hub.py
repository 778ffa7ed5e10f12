"""The link to MetaApi as a whole: up with the first open socket, down after a minute without any."""

import asyncio
from math import inf

from .listeners import Listeners
from .sockets import Sockets
from .timing import Timing


class Hub:
    """Knows whether the link is up, and tells listeners."""

    def __init__(self, sockets: Sockets, timing: Timing) -> None:
        """Start undecided."""
        self.connected: bool | None = None
        """None while that is not decided yet, or no account needs a socket."""
        self.listeners = Listeners()
        self._sockets = sockets
        self._timing = timing
        self._lost_at: float | None = None
        """Since when no socket is open; None while one is, or none was needed yet."""
        self._opened = asyncio.Event()

    @property
    def deadline(self) -> float:
        """Return when the clock alone can change something."""
        if self._lost_at is None or self.connected is False or not len(self._sockets):
            return inf
        return self._lost_at + self._timing.blind

    def expect_socket(self, now: float) -> None:
        """Hear that a socket is needed: without one, patience starts to run."""
        if self._lost_at is None and not self._sockets.any_open:
            self._lost_at = now

    def socket_up(self) -> None:
        """Hear that a socket is open."""
        self._lost_at = None
        self._opened.set()
        self._opened.clear()

    def socket_down(self, now: float) -> None:
        """Hear that a socket is gone."""
        if not self._sockets.any_open:
            self._lost_at = now

    async def next_socket(self) -> None:
        """Return when the next socket has opened."""
        await self._opened.wait()

    def show(self, now: float, *, token_refused: bool) -> None:
        """Work out whether the link is up and tell listeners of a change; a refused token is news each time."""
        shown = self.connected
        if token_refused:
            shown = False
        elif self._sockets.any_open:
            shown = True
        elif not len(self._sockets):
            shown = None
        elif self._lost_at is not None and now >= self._lost_at + self._timing.blind:
            shown = False
        if shown is not self.connected or token_refused:
            self.connected = shown
            self.listeners.tell()

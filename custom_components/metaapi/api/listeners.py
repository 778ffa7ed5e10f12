"""Who wants to hear of a change."""

from collections.abc import Callable
import logging

_LOGGER = logging.getLogger(__name__)

type Listener = Callable[[], None]


class Listeners:
    """Calls whoever listens; a fault of one must not cost the others, nor a socket."""

    def __init__(self) -> None:
        """Start without any."""
        self._listeners: list[Listener] = []

    def add(self, listener: Listener) -> Callable[[], None]:
        """Call back from now on; returns what ends it, which may be called more than once."""
        self._listeners.append(listener)
        return lambda: (
            self._listeners.remove(listener) if listener in self._listeners else None
        )

    def tell(self) -> None:
        """Call all of them."""
        for listener in tuple(self._listeners):
            try:
                listener()
            except Exception:
                _LOGGER.exception("Error in a listener")

    def clear(self) -> None:
        """Call nobody any more."""
        self._listeners.clear()

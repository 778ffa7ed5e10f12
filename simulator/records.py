"""What a simulator remembers of its clients; every `time` is of the loop's clock."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

if TYPE_CHECKING:
    from .session import SimSocket


@dataclass(slots=True, eq=False)
class Listener:
    """A port, and the region and zone whose client API server it plays; None serves any."""

    region: str | None = None
    instance: int | None = None
    url: str = ""


@dataclass(slots=True, eq=False)
class SimRequest:
    """One request on a socket, as it came."""

    time: float
    socket: SimSocket = field(repr=False)
    payload: Any

    @property
    def type(self) -> Any:
        """Return the type asked for, whatever it is."""
        return self.payload.get("type") if isinstance(self.payload, dict) else None

    @property
    def account_id(self) -> Any:
        """Return the account asked for, whatever it is."""
        return self.payload.get("accountId") if isinstance(self.payload, dict) else None


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
    """One call of the REST API, and how it was answered."""

    time: float
    method: str
    path: str
    query: dict[str, str]
    status: int
    headers: CIMultiDict[str] = field(repr=False)

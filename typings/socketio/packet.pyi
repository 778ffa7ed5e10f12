"""Packets of Socket.IO."""

from typing import Any, Final

CONNECT: Final = 0
DISCONNECT: Final = 1
EVENT: Final = 2
ACK: Final = 3
CONNECT_ERROR: Final = 4
BINARY_EVENT: Final = 5
BINARY_ACK: Final = 6

class Packet:
    """One packet."""

    packet_type: int
    data: Any
    namespace: str | None
    id: int | None

    def __init__(
        self,
        packet_type: int = ...,
        data: Any = ...,
        namespace: str | None = ...,
        id: int | None = ...,
        binary: bool | None = ...,
        encoded_packet: str | None = ...,
    ) -> None: ...
    def encode(self) -> str | list[str | bytes]: ...

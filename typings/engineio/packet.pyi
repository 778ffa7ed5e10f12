"""Packets of Engine.IO; all revisions have these types."""

from typing import Final

OPEN: Final = 0
CLOSE: Final = 1
PING: Final = 2
PONG: Final = 3
MESSAGE: Final = 4
UPGRADE: Final = 5
NOOP: Final = 6

class Packet:
    """One packet."""

    packet_type: int
    data: str | bytes | dict[str, object] | list[object] | None

    def __init__(
        self,
        packet_type: int = ...,
        data: str | bytes | dict[str, object] | list[object] | None = ...,
        encoded_packet: str | bytes | None = ...,
    ) -> None: ...
    def encode(self, b64: bool = ...) -> str | bytes: ...

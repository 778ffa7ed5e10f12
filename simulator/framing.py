"""Engine.IO 3 and Socket.IO 2 framing as text; binary packets are not supported."""

from array import array
from dataclasses import dataclass
import json
import sys
from typing import Any

MAX_FRAME = 4 * 1024 * 1024
UTF_16 = f"utf-16-{sys.byteorder[0]}e"

# Socket.IO packet types: the digit after Engine.IO's "4".
CONNECT, DISCONNECT, EVENT, ACK, ERROR, BINARY_EVENT, BINARY_ACK = "0123456"


class FrameError(ValueError):
    """Text that is not a valid packet."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One Socket.IO packet."""

    kind: str
    namespace: str = "/"
    ack: str = ""
    data: Any = None


def dumps(value: Any) -> str:
    """Write JSON as `JSON.stringify` does: compact, without unnecessary escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if encodable(text):
        return text
    return json.dumps(value, separators=(",", ":"))


def encodable(text: str) -> bool:
    """Return whether text can be sent as UTF-8: it holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def loads(text: str) -> Any:
    """Read JSON; raise FrameError if it is invalid."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as err:
        raise FrameError("not JSON") from err


def open_packet(sid: str, upgrades: list[str], interval: float, timeout: float) -> str:
    """Return Engine.IO's open packet."""
    return "0" + dumps(
        {
            "sid": sid,
            "upgrades": upgrades,
            "pingInterval": round(interval * 1000),
            "pingTimeout": round(timeout * 1000),
        }
    )


def event(name: str, payload: Any) -> str:
    """Return an event frame with one argument."""
    return "42" + dumps([name, payload])


def error(data: Any, namespace: str = "/") -> str:
    """Return the error packet that a middleware causes when it rejects a client."""
    prefix = "" if namespace == "/" else f"{namespace},"
    return f"44{prefix}{dumps(data)}"


def decode(text: str) -> Packet:
    """Read the Socket.IO packet in an Engine.IO message."""
    kind = text[:1]
    if kind not in tuple("0123456"):
        raise FrameError("unknown packet type")
    rest = text[1:]
    if kind in (BINARY_EVENT, BINARY_ACK):
        raise FrameError("binary packets are not spoken here")
    namespace = "/"
    if rest.startswith("/"):
        namespace, _, rest = rest.partition(",")
        namespace = namespace.partition("?")[0]
    body = rest.lstrip("0123456789")
    ack = rest[: len(rest) - len(body)]
    data = loads(body) if body else None
    if kind == EVENT and not (
        isinstance(data, list) and data and isinstance(data[0], str)
    ):
        raise FrameError("an event is a list that starts with its name")
    return Packet(kind, namespace, ack, data)


def _units(text: str) -> int:
    """Return the length of a text in JavaScript, which counts UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode(UTF_16)) // 2


def encode_payload(frames: list[str]) -> str:
    """Join packets for one response of the polling transport."""
    return "".join(f"{_units(frame)}:{frame}" for frame in frames)


def decode_payload(body: bytes) -> list[str]:
    """Split the body that a polling client posted into its packets."""
    try:
        if body[:1] == b"\0":
            return _decode_binary(body)
        return _decode_text(body.decode())
    except UnicodeDecodeError as err:
        raise FrameError("not UTF-8") from err


def _decode_binary(body: bytes) -> list[str]:
    """Split a binary payload: per packet a zero byte, its length as digits, 255, its data."""
    frames: list[str] = []
    start = 0
    while start < len(body):
        end = body.find(b"\xff", start, start + 11)
        digits = body[start + 1 : end]
        if body[start] or end < 0 or not digits or max(digits) > 9:
            raise FrameError("a packet without its length")
        start = end + 1 + int("".join(map(str, digits)))
        if start > len(body):
            raise FrameError("a packet is cut")
        frames.append(body[end + 1 : start].decode())
    return frames


def _decode_text(text: str) -> list[str]:
    """Split a text payload, whose lengths are in UTF-16 units."""
    if not text.isascii():
        # One character per UTF-16 unit.
        text = "".join(map(chr, array("H", text.encode(UTF_16))))
    frames: list[str] = []
    start = 0
    while start < len(text):
        colon = text.find(":", start, start + 11)
        length = text[start:colon]
        if colon < 0 or not length.isascii() or not length.isdigit():
            raise FrameError("a packet without its length")
        start = colon + 1 + int(length)
        if start > len(text):
            raise FrameError("a packet is cut")
        frames.append(
            text[colon + 1 : start].encode(UTF_16, "surrogatepass").decode(UTF_16)
        )
    return frames

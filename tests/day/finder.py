"""Find a token, or a part of it, in any text; shares no code with what redacts tokens."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
import json
from urllib.parse import quote, quote_plus

PART = 16
"""The number of characters of a token that count as a leak."""
HALF = PART // 2


def spellings(token: str) -> Iterator[str]:
    """Yield the ways in which a token may be encoded."""
    quoted = quote(token, safe="")
    yield token
    yield quoted
    yield quoted.replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d")
    yield quote(token)
    yield quote_plus(token)
    yield quote(quoted, safe="")
    yield json.dumps(token)[1:-1]
    yield token.replace("/", "\\/")
    for before in ("", "a", "ab"):
        for encode in (b64encode, urlsafe_b64encode):
            whole = encode((before + token).encode()).decode().rstrip("=")
            # only the characters that do not depend on what surrounds the token
            yield whole[4 if before else 0 : -1]


def echoes(token: str) -> Iterator[str]:
    """Yield texts in which a server may repeat a token."""
    half = len(token) // 2
    for spelling in spellings(token):
        yield f"Not with ?auth-token={spelling}&a=1"
    yield json.dumps({"headers": {"auth-token": token}})
    yield f"Cut: {token[:half]}"
    yield f"Cut: {token[half:]}"
    yield f"Turned: {token[half:]}{token[:half]}"
    for part in token.split("."):
        yield f"Part: {part}"
        yield f"Part: …{part[-PART:]}"
        yield f"Part: {part[: PART + 1]}…"


class Finder:
    """Finds 16 consecutive characters of any spelling of some tokens."""

    def __init__(self, tokens: Iterable[str]) -> None:
        """Collect the parts of the tokens to be found."""
        self._parts = {
            spelling[start : start + PART].lower()
            for token in tokens
            for spelling in spellings(token)
            for start in range(len(spelling) - PART + 1)
        }
        self._halves = {
            part[start : start + HALF]
            for part in self._parts
            for start in range(HALF + 1)
        }

    def find(self, text: str) -> str | None:
        """Return the text around the first part that is found, or None.

        Only multiples of `HALF` are looked up first: every part contains a half that starts at one of them.
        """
        lower = text.lower()
        for middle in range(0, len(lower) - HALF + 1, HALF):
            if lower[middle : middle + HALF] not in self._halves:
                continue
            for start in range(max(0, middle - HALF), middle + 1):
                if lower[start : start + PART] in self._parts:
                    return text[max(0, start - 200) : start + 100]
        return None

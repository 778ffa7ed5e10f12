"""What a MetaApi token says of itself, and how it is kept out of texts.

The claims are read without verifying the signature: MetaApi judges the token, we only read its label.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
import hashlib
from itertools import takewhile
import json
import string
from typing import Any
import unicodedata
from urllib.parse import quote, quote_plus

from yarl import URL

PROVISIONING = "trading-account-management-api"
"""The application id that the listing of accounts needs (MetaApi's token manifest)."""

STREAMING = "metaapi-real-time-streaming-api"
"""The application id that the socket needs (MetaApi's token manifest)."""

TEXT_MAX = 256
"""The longest text that leaves this package, in characters."""

_READ_MAX = 4096
"""So much of a longer text is looked at, in characters."""

_PART_MIN = 16
"""A shorter part of a token tells nothing, in characters."""

_STEP = 8

_REDACTED = "**REDACTED**"
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

_JOINERS = "\u200c\u200d"
"""What joins letters and emoji, the only invisible characters that change what is read."""

_LAST_YEAR = 9000
"""A token that expires later than that never does: no calendar of a home reaches further."""

_OWNER_CLAIMS = ("_id", "userId", "sub")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaims:
    """The readable part of a token."""

    owner_id: str
    expires_at: datetime | None = None
    issued_at: datetime | None = None
    applications: frozenset[str] | None = None
    """Applications that the access rules name; none when the token lists no rules that can be read."""

    @property
    def can_list_accounts(self) -> bool | None:
        """Return whether the rules allow the provisioning API; None when they do not say."""
        return self._allows(PROVISIONING)

    @property
    def can_stream(self) -> bool | None:
        """Return whether the rules allow the socket; None when they do not say."""
        return self._allows(STREAMING)

    def _allows(self, application: str) -> bool | None:
        """Return whether the rules name an application, or all of them."""
        if not self.applications:
            return None
        return not self.applications.isdisjoint({application, "*"})


def read_claims(token: str) -> TokenClaims:
    """Read the claims of a token; one that is no JWT gets an owner id made from its hash."""
    claims = _payload(token)
    if claims is None:
        return TokenClaims(owner_id=_hashed(token))
    owner = next(
        (
            claims[key]
            for key in _OWNER_CLAIMS
            if isinstance(claims.get(key), str) and claims[key]
        ),
        None,
    )
    return TokenClaims(
        owner_id=owner or _hashed(token),
        expires_at=_time(claims.get("exp")),
        issued_at=_time(claims.get("iat")),
        applications=_applications(claims.get("accessRules")),
    )


def redact(text: str, token: str) -> str:
    """Return a text without the token: in whole or in parts of 16 characters and more, however it is written."""
    if not token:
        return text
    traces = _traces(token)
    if len(text) < traces.shortest:
        return text
    parts: list[str] = []
    position = 0
    for start, end in traces.spans(_lower(text)):
        parts += text[position:start], _REDACTED
        position = end
    return "".join((*parts, text[position:]))


def clean(value: Any, token: str, depth: int) -> Any:
    """Return JSON whose texts are valid, of one line, bounded, and without the token.

    What is nested deeper than `depth` is left out.
    """
    if isinstance(value, str):
        return clean_text(redact(value[:_READ_MAX], token))
    if isinstance(value, dict) and depth:
        return {
            clean(key, token, depth): clean(one, token, depth - 1)
            for key, one in value.items()
        }
    if isinstance(value, list) and depth:
        return [clean(one, token, depth - 1) for one in value]
    return None if isinstance(value, dict | list) else value


def clean_text(text: str) -> str:
    """Return a text as one line of valid Unicode, of 256 characters at most.

    Half a surrogate pair, which no file and no browser takes, becomes the replacement character; what
    breaks lines, a space; what turns the direction of writing is left out.
    """
    if not text.isprintable():
        text = " ".join("".join(map(_printable, text[:_READ_MAX])).split())
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"


def _printable(char: str) -> str:
    """Return what stands for a character in one line."""
    match unicodedata.category(char):
        case "Cs":
            return "\N{REPLACEMENT CHARACTER}"
        case "Cc" | "Zl" | "Zp" | "Zs":
            return " "
        case "Cf":
            return char if char in _JOINERS else ""
    return char


class _Traces:
    """Finds what a text has in common with the spellings of a token.

    Every 8 characters of a spelling are indexed, so that 16 characters anywhere in it hold 8 that are.
    """

    def __init__(self, token: str) -> None:
        """Index the spellings, without regard to case: `%2b` is `%2B`."""
        spellings = set(map(_lower, _spellings(token)))
        self._short = {one for one in spellings if len(one) < _PART_MIN}
        self.shortest = min(_PART_MIN, *map(len, spellings))
        self._index: dict[str, list[tuple[str, int]]] = {}
        for spelling in spellings:
            for start in range(0, len(spelling) - _STEP + 1, _STEP):
                self._index.setdefault(spelling[start : start + _STEP], []).append(
                    (spelling, start)
                )

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each part of the token in a lower-case text, in order."""
        last: tuple[int, int] | None = None
        position = 0
        while position < len(text):
            start, end = self._span(text, position)
            position = max(end, position + 1)
            if start == end:
                continue
            if last is None or start > last[1]:
                if last is not None:
                    yield last
                last = start, end
            else:
                last = last[0], max(end, last[1])
        if last is not None:
            yield last

    def _span(self, text: str, position: int) -> tuple[int, int]:
        """Return the longest part of the token that a position is in, empty where it is in none."""
        found = position, position
        for spelling, at in self._index.get(text[position : position + _STEP], ()):
            before = _common(reversed(text[:position]), reversed(spelling[:at]))
            after = _common(text[position:], spelling[at:])
            if before + after >= max(
                min(_PART_MIN, len(spelling)), found[1] - found[0]
            ):
                found = position - before, position + after
        for spelling in self._short:
            if (
                text.startswith(spelling, position)
                and len(spelling) > found[1] - found[0]
            ):
                found = position, position + len(spelling)
        return found


@lru_cache(maxsize=4)
def _traces(token: str) -> _Traces:
    """Return what finds a token."""
    return _Traces(token)


def _common(one: Iterable[str], other: Iterable[str]) -> int:
    """Return how many characters two texts begin with alike."""
    return sum(
        1
        for _ in takewhile(
            lambda pair: pair[0] == pair[1], zip(one, other, strict=False)
        )
    )


def _lower(text: str) -> str:
    """Return a text in lower case, character by character: it keeps its length."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def _spellings(token: str) -> set[str]:
    """Return how a token may be written: in a URL of aiohttp's, in JSON, in Base64."""
    url = URL.build(query={"": token})
    quoted = quote(token, safe="")
    escaped = json.dumps(token)[1:-1]
    return {
        token,
        quoted,
        # a URL in a URL, as the address of a redirect may hold it
        quote(quoted, safe=""),
        quote(token),
        quote_plus(token),
        url.raw_query_string[1:],
        url.query_string[1:],
        escaped,
        # as PHP writes JSON
        escaped.replace("/", "\\/"),
        json.dumps(token, ensure_ascii=False)[1:-1],
        *_in_base64(token),
    }


def _in_base64(token: str) -> Iterator[str]:
    """Yield how Base64 writes a token, whatever stands before it and behind it."""
    data = token.encode("utf-8", "surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # only the characters that no neighbor has a bit in
            text = encode(bytes(shift) + data).rstrip(b"=").decode()
            first = (8 * shift + 5) // 6
            last = (shift + len(data)) * 8 // 6
            if last - first >= _PART_MIN:
                yield text[first:last]


def _payload(token: str) -> Mapping[str, Any] | None:
    """Decode the middle part of a JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(
            base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        )
    except binascii.Error, ValueError, RecursionError:
        return None
    return claims if isinstance(claims, dict) else None


def _hashed(token: str) -> str:
    """Make an owner id that tells nothing of the token."""
    return hashlib.sha256(b"metaapi owner\0" + token.encode()).hexdigest()[:32]


def _time(seconds: object) -> datetime | None:
    """Read a numeric date, in seconds since 1970 (RFC 7519)."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        when = datetime.fromtimestamp(seconds, UTC)
    except OverflowError, OSError, ValueError:
        return None
    return when if when.year < _LAST_YEAR else None


def _applications(rules: object) -> frozenset[str] | None:
    """Collect the applications of the access rules: their ids, or what their methods begin with.

    Source: MetaApi's token manifest
    (`trading-account-management-api:rest:public:*:*`), users' tokens.
    """
    if not isinstance(rules, list) or not rules:
        return None
    found: set[str] = set()
    for rule in rules:
        if not isinstance(rule, dict):
            continue
        methods = rule.get("methods")
        named = [rule.get("id"), *(methods if isinstance(methods, list) else ())]
        found.update(one.partition(":")[0] for one in named if isinstance(one, str))
    return frozenset(found)

"""What a MetaApi token says of itself, and how it is kept out of texts.

The claims are read without verifying the signature: MetaApi judges the token, we only read its label.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
import hashlib
import json
from typing import Any
from urllib.parse import quote, quote_plus

from yarl import URL

PROVISIONING = "trading-account-management-api"
"""The application id that the listing of accounts needs (MetaApi's token manifest)."""

STREAMING = "metaapi-real-time-streaming-api"
"""The application id that the socket needs (MetaApi's token manifest)."""

_OWNER_CLAIMS = ("_id", "userId", "sub")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaims:
    """The readable part of a token."""

    owner_id: str
    expires_at: datetime | None = None
    issued_at: datetime | None = None
    applications: frozenset[str] | None = None
    """Applications that the access rules name; None when the token lists no rules."""

    @property
    def can_list_accounts(self) -> bool | None:
        """Tell whether the rules allow the provisioning API; None when they do not say."""
        return None if self.applications is None else PROVISIONING in self.applications


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
    """Return a text with every spelling of the token taken out."""
    if not token:
        return text
    for spelling in _spellings(token):
        text = text.replace(spelling, "**REDACTED**")
    return text


@lru_cache(maxsize=4)
def _spellings(token: str) -> tuple[str, ...]:
    """Return how a token may be written, in a URL of aiohttp's as well; the longest first."""
    url = URL.build(query={"": token})
    spellings = {
        token,
        quote(token, safe=""),
        quote(token),
        quote_plus(token),
        url.raw_query_string[1:],
        url.query_string[1:],
        json.dumps(token)[1:-1],
        json.dumps(token, ensure_ascii=False)[1:-1],
    }
    return tuple(sorted(spellings, key=len, reverse=True))


def redact_all(value: Any, token: str, depth: int) -> Any:
    """Return JSON with the token taken out of its texts; what is nested deeper is left out."""
    if isinstance(value, str):
        return redact(value, token)
    if isinstance(value, dict) and depth:
        return {
            redact(key, token): redact_all(one, token, depth - 1)
            for key, one in value.items()
        }
    if isinstance(value, list) and depth:
        return [redact_all(one, token, depth - 1) for one in value]
    return None if isinstance(value, dict | list) else value


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
        return datetime.fromtimestamp(seconds, UTC)
    except OverflowError, OSError, ValueError:
        return None


def _applications(rules: object) -> frozenset[str] | None:
    """Collect the application ids of the access rules."""
    if not isinstance(rules, list) or not rules:
        return None
    return frozenset(
        rule["id"]
        for rule in rules
        if isinstance(rule, dict) and isinstance(rule.get("id"), str)
    )

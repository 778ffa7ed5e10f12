"""Access tokens in the format of MetaApi's, without a valid signature."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
import json
from typing import Any

from .faults import Span

DEFAULT_OWNER = "5f3c1a2b4d5e6f708192a3b4c5d6e7f8"
ISSUED = 1_767_225_600  # 2026-01-01: fixed, so that a restarted simulator accepts the same token
EXPIRES = 4_102_444_800  # 2100-01-01

PROVISIONING = "trading-account-management-api"
STREAMING = "metaapi-real-time-streaming-api"


@dataclass(slots=True, kw_only=True, eq=False)
class SimToken:
    """A token and its permissions."""

    text: str = field(repr=False)
    owner: str = DEFAULT_OWNER
    provisioning: bool = True
    streaming: bool = True
    accounts: frozenset[str] | None = None
    refusal: Span | None = None

    @property
    def revoked(self) -> bool:
        """Return whether the token is revoked now."""
        return self.refusal is not None and not self.refusal.over


def make_jwt(
    owner: str = DEFAULT_OWNER,
    *,
    provisioning: bool = True,
    streaming: bool = True,
    accounts: Iterable[str] | None = None,
    issued: int = ISSUED,
    expires: int | None = EXPIRES,
) -> str:
    """Return a well-formed token with the claims of MetaApi's tokens."""
    resources = ["*:$USER_ID$:*"]
    if accounts is not None:
        resources = [f"account:$USER_ID$:{account}" for account in sorted(accounts)]
    apis = []
    if provisioning:
        apis.append((PROVISIONING, [f"{PROVISIONING}:rest:public:*:*"]))
    if streaming:
        apis.append((STREAMING, [f"{STREAMING}:ws:public:*:*"]))
    claims: dict[str, Any] = {
        "_id": owner,
        "sub": owner,
        "permissions": [],
        "accessRules": [
            {
                "id": api,
                "methods": methods,
                "roles": ["reader", "writer"],
                "resources": resources,
            }
            for api, methods in apis
        ],
        "tokenId": "20210213",
        "impersonated": False,
        "realUserId": owner,
        "iat": issued,
    }
    if expires is not None:
        claims["exp"] = expires
    header = {"alg": "RS512", "typ": "JWT"}
    return ".".join(
        (_part(header), _part(claims), _b64(b"signed by nobody: a simulator"))
    )


def _part(value: dict[str, Any]) -> str:
    """Encode one JSON part of a token."""
    return _b64(json.dumps(value, separators=(",", ":")).encode())


def _b64(value: bytes) -> str:
    """Encode as URL-safe base64 without padding, as in a JWT."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()

"""What a token says of itself, and that no text holds it."""

import base64
from datetime import UTC, datetime
import json
from typing import Any
from urllib.parse import quote, quote_plus

from api.token import PROVISIONING, STREAMING, read_claims, redact
from hypothesis import given, strategies as st
import pytest
from yarl import URL

OWNER = "9f3c2b1a"


def encoded(data: bytes) -> str:
    """Encode a part of a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(claims: Any) -> str:
    """Make a token of claims; nobody checks the signature."""
    return f"{encoded(b'{}')}.{encoded(json.dumps(claims).encode())}.c2lnbmF0dXJl"


def test_claims() -> None:
    """Owner, times and applications are read from the middle part."""
    claims = read_claims(
        jwt(
            {
                "_id": OWNER,
                "iat": 1767225600,
                "exp": 1798761600,
                "accessRules": [
                    {"id": PROVISIONING, "methods": [], "roles": ["reader"]},
                    {"id": STREAMING, "roles": ["reader", "writer"]},
                ],
            }
        )
    )
    assert claims.owner_id == OWNER
    assert claims.issued_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert claims.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert claims.applications == {PROVISIONING, STREAMING}
    assert claims.can_list_accounts is True


@pytest.mark.parametrize(
    ("rules", "can_list"),
    [
        ([{"id": PROVISIONING}], True),
        ([{"id": STREAMING}], False),
        ([{"id": 7}, "x", None, {"roles": []}], False),
        ([], None),
        ({}, None),
        (None, None),
        ("*", None),
    ],
)
def test_permission_to_list_accounts(rules: Any, can_list: bool | None) -> None:
    """Rules that name no provisioning say no; no rules say nothing."""
    claims = read_claims(jwt({"_id": OWNER, "accessRules": rules}))
    assert claims.can_list_accounts is can_list
    assert read_claims(jwt({"_id": OWNER})).can_list_accounts is None


@pytest.mark.parametrize(
    ("claims", "owner"),
    [
        ({"_id": "a", "userId": "b", "sub": "c"}, "a"),
        ({"userId": "b", "sub": "c"}, "b"),
        ({"sub": "c"}, "c"),
        ({"_id": "", "sub": "c"}, "c"),
        ({"_id": 7, "sub": "c"}, "c"),
        ({"_id": None, "userId": ["x"], "sub": "c"}, "c"),
    ],
)
def test_owner(claims: dict[str, Any], owner: str) -> None:
    """The owner is the first claim that is a text."""
    assert read_claims(jwt(claims)).owner_id == owner


@pytest.mark.parametrize(
    "seconds",
    [
        None,
        True,
        "1767225600",
        [],
        {},
        1e308,
        -1e308,
        10**30,
        float("nan"),
        float("inf"),
    ],
)
def test_time_that_is_none(seconds: Any) -> None:
    """What is no time is not known, and costs nothing else."""
    claims = read_claims(jwt({"_id": OWNER, "exp": seconds, "iat": seconds}))
    assert claims.owner_id == OWNER
    assert claims.expires_at is None
    assert claims.issued_at is None


def test_time_with_a_fraction() -> None:
    """RFC 7519 allows fractions of a second."""
    claims = read_claims(jwt({"_id": OWNER, "exp": 1798761600.5}))
    assert claims.expires_at == datetime(2027, 1, 1, 0, 0, 0, 500_000, UTC)


NO_JWTS = {
    "empty": "",
    "a word": "token",
    "two parts": "a.b",
    "four parts": "a.b.c.d",
    "empty parts": "..",
    "no base64": "a.!!!.c",
    "no base64, one sign": "a.b.c",
    "no ASCII": "a.\u00e9\u00e9\u00e9\u00e9.c",
    "no UTF-8": f"a.{encoded(b'\xff\xfe\xfd')}.c",
    "no JSON": f"a.{encoded(b'hello')}.c",
    "a list": jwt([]),
    "a number": jwt(7),
    "a text": jwt("x"),
    "null": jwt(None),
    "very deep": f"a.{encoded(b'[' * 100_000)}.c",
    "a number of 9000 digits": f"a.{encoded(b'9' * 9000)}.c",
}


@pytest.mark.parametrize("token", NO_JWTS.values(), ids=NO_JWTS.keys())
def test_token_that_is_no_jwt(token: str) -> None:
    """It gets an owner id of its own that tells nothing of it; nothing else is known."""
    claims = read_claims(token)
    assert claims.owner_id == read_claims(token).owner_id
    assert claims.owner_id != read_claims(token + "x").owner_id
    assert len(claims.owner_id) == 32
    assert not token or token not in claims.owner_id
    assert claims.expires_at is None
    assert claims.applications is None
    assert claims.can_list_accounts is None


def test_jwt_without_an_owner() -> None:
    """It gets the owner id of a token that is no JWT."""
    token = jwt({"exp": 1798761600})
    assert len(read_claims(token).owner_id) == 32
    assert read_claims(token).expires_at is not None


@given(st.text() | st.binary().map(lambda data: f"a.{encoded(data)}.c"))
def test_any_token_is_read(token: str) -> None:
    """Whatever is typed, it has an owner id."""
    assert read_claims(token).owner_id


TOKENS = [
    jwt({"_id": OWNER}),
    "plain-token_1.2~3",
    "a+b/c==",
    "a b&c=d",
    "50%+\u00e9/\u2603",
    'quo"ted\\',
    "it's (an) odd, one: {x} [y]; !$*@?~=|^`<> #/&+%41",
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    "spell",
    [
        str,
        quote,
        lambda token: quote(token, safe=""),
        quote_plus,
        lambda token: str(
            URL("http://127.0.0.1/ws/").with_query({"auth-token": token})
        ),
        lambda token: repr(
            URL("http://127.0.0.1/ws/").with_query({"auth-token": token})
        ),
        lambda token: (
            URL("http://127.0.0.1/ws/").with_query({"auth-token": token}).raw_path_qs
        ),
        lambda token: (
            URL("http://127.0.0.1/ws/").with_query({"auth-token": token}).path_qs
        ),
        json.dumps,
        lambda token: json.dumps(token, ensure_ascii=False),
    ],
    ids=[
        "plain",
        "quoted",
        "all quoted",
        "form",
        "a URL",
        "a URL's repr",
        "a request line",
        "a path",
        "json",
        "json that is no ASCII",
    ],
)
def test_redact_takes_out_every_spelling(token: str, spell: Any) -> None:
    """However a token is written in a URL or a text, it is taken out, each time."""
    spelled = spell(token)
    text = f"before {spelled} between {spelled} after"
    redacted = redact(text, token)
    left = URL("http://127.0.0.1/ws/").with_query({"auth-token": token}).query_string
    for spelling in (
        token,
        quote(token),
        quote(token, safe=""),
        quote_plus(token),
        left,
    ):
        assert spelling not in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    assert redacted.count("REDACTED") == 2


@pytest.mark.parametrize("text", ["", "nothing here", "eyJ is how tokens begin"])
def test_redact_leaves_the_rest_alone(text: str) -> None:
    """A text without the token stays as it is, and no token takes nothing out."""
    assert redact(text, TOKENS[0]) == text
    assert redact(text, "") == text

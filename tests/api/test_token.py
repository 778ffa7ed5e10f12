"""What a token says of itself, and that no text holds it."""

import base64
from datetime import UTC, datetime
import json
from typing import Any
from urllib.parse import quote, quote_plus

from api.token import PROVISIONING, STREAMING, clean, clean_text, read_claims, redact
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
        ([{"id": 7}, "x", None, {"roles": []}], None),
        ([{"methods": [f"{PROVISIONING}:rest:public:*:*"]}], True),
        ([{"methods": [f"{STREAMING}:ws:public:*:*"], "roles": ["reader"]}], False),
        ([{"methods": [7, None, []]}, {"methods": PROVISIONING}], None),
        ([{"methods": ["*:*:*:*"]}], True),
        ([], None),
        ({}, None),
        (None, None),
        ("*", None),
    ],
)
def test_permission_to_list_accounts(rules: Any, can_list: bool | None) -> None:
    """Rules that name no provisioning say no; rules that name nothing say nothing."""
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


@pytest.mark.parametrize("seconds", [253402300799, 253402300799.9, 221845392000 * 1.1])
def test_time_beyond_every_calendar(seconds: float) -> None:
    """A home east of UTC cannot show the last second of the year 9999."""
    assert read_claims(jwt({"_id": OWNER, "exp": seconds})).expires_at is None


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
        lambda token: json.dumps(token).replace("/", "\\/"),
        lambda token: quote(quote(token, safe=""), safe=""),
        lambda token: str(
            URL("http://127.0.0.1/").with_query(
                {"next": f"/ws/?auth-token={quote(token, safe='')}"}
            )
        ),
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
        "json of PHP",
        "quoted twice",
        "a URL in a URL",
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


LONG = jwt({"_id": OWNER, "+/": "x" * 400}) + "+/a%2Bb"


def parts(token: str) -> list[str]:
    """Return what may be left of a token that was cut."""
    return [
        token[:16],
        token[-16:],
        token[7:40],
        token[len(token) // 2 :],
        token[1:-1],
    ]


@pytest.mark.parametrize("part", parts(LONG))
def test_redact_takes_out_parts(part: str) -> None:
    """A part of 16 characters and more says too much of a token."""
    assert redact(f"said {part}!", LONG) == "said **REDACTED**!"
    assert redact(f"said {part[:15]}!", LONG) == f"said {part[:15]}!"


@pytest.mark.parametrize("shift", [0, 1, 2])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_redact_takes_out_base64(encode: Any, shift: int) -> None:
    """Base64 writes a token in three ways, by what stands before it."""
    data = b"{" * shift + LONG.encode() + b'"}'
    text = encode(data).decode()
    redacted = redact(f"body {text} end", LONG)
    assert redacted.startswith("body ")
    assert redacted.endswith(" end")
    assert len(redacted) < 40


def test_redact_does_not_mind_case() -> None:
    """A proxy may write `%2b` for `%2B`."""
    token = "ab+cd+ef/gh"
    assert redact("q=ab%2bcd%2bef%2fgh&x", token) == "q=**REDACTED**&x"
    assert redact("q=ab%2Bcd%2bef%2Fgh&x", token) == "q=**REDACTED**&x"


@given(
    st.text(max_size=30),
    st.text(max_size=30),
    st.integers(0, len(LONG) - 16),
    st.integers(16, len(LONG)),
)
def test_redact_any_part(before: str, after: str, start: int, length: int) -> None:
    """Wherever a part begins and ends, nothing of 16 characters is left."""
    part = LONG[start : start + length]
    redacted = redact(before + part + after, LONG)
    assert not any(part[at : at + 16] in redacted for at in range(len(part) - 15))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Swing", "Swing"),
        ("Rocket \ud83d", "Rocket \ufffd"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("Rocket \U0001f680", "Rocket \U0001f680"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("a\r\nERROR forged\x1b[31m", "a ERROR forged [31m"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("a\u202eb\u2066c\ufeff", "abc"),
        ("a\x00b", "a b"),
        ("x" * 256, "x" * 256),
        ("x" * 257, "x" * 255 + "\u2026"),
        ("x" * 200_000, "x" * 255 + "\u2026"),
        ("\ud83d" * 200_000, "\ufffd" * 255 + "\u2026"),
    ],
)
def test_clean_text(text: str, shown: str) -> None:
    """What leaves the client is one line of valid Unicode, and bounded."""
    assert clean_text(text) == shown
    shown.encode()


@given(st.text(alphabet=st.characters(codec=None)))
def test_clean_any_text(text: str) -> None:
    """Whatever a server writes can be stored and shown."""
    cleaned = clean_text(text)
    assert len(cleaned) <= 256
    assert len(cleaned.splitlines()) <= 1
    cleaned.encode()


def test_clean_json() -> None:
    """Keys and values at any depth are clean, and depth is bounded."""
    dirty = {"a\ud83d": ["b\nc", {"d": LONG, "e": [1, None, True]}], "f": 1.5}
    assert clean(dirty, LONG, 10) == {
        "a\ufffd": ["b c", {"d": "**REDACTED**", "e": [1, None, True]}],
        "f": 1.5,
    }
    assert clean([[["x"]]], LONG, 2) == [[None]]


def test_clean_costs_little() -> None:
    """A huge text is cut before it is searched."""
    assert len(clean("@." * 100_000, LONG, 1)) == 256

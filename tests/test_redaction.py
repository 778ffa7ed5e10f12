"""Test redaction: secrets are replaced in every spelling, each by the same label."""

from collections.abc import Callable
from html import escape
import json
import time
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from custom_components.metaapi.redaction import Redactor
from simulator import make_jwt

ID = "865d3a4d-3803-486d-bdf3-a85679d9fad2"
NAME = 'Müller & Söhne\'s "A/B" 100%'

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "URL": quote,
    "URL, all of it": lambda text: quote(text, safe=""),
    "query": quote_plus,
    "URL, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "small hex digits": lambda text: quote(text, safe="").lower(),
    "capitals": str.upper,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "repr": lambda text: repr(text)[1:-1],
    "HTML": escape,
}


@pytest.fixture
def redactor() -> Redactor:
    """Return a redactor with some secrets."""
    redactor = Redactor()
    redactor.add(ID, "account 1")
    redactor.add(NAME, "name 1")
    redactor.add("Swing", "name 2")
    redactor.add("Swing 2", "name 3")
    redactor.add("90210", "login 1")
    redactor.add("A1", "name 4")
    redactor.add("", "nothing")
    redactor.add(None, "nothing")
    return redactor


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize(
    ("secret", "label"), [(ID, "account 1"), (NAME, "name 1"), ("Swing 2", "name 3")]
)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("x", "y"),
        ("No account ", " here"),
        ("https://h.example/a/", "?b=c"),
        ("{'message': \"", '"}'),
        ("%20", "%20"),
    ],
)
def test_spellings(
    redactor: Redactor,
    spelling: Callable[[str], str],
    secret: str,
    label: str,
    before: str,
    after: str,
) -> None:
    """Each spelling is replaced by the label, anywhere in a text."""
    text = f"{before}{spelling(secret)}{after}"

    assert redactor.redact(text) == f"{before}{label}{after}"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("A1", "name 4"),
        ("name=A1&x", "name=name 4&x"),
        ("x%20A1%20y", "x%20name 4%20y"),
        ("BA1C", "BA1C"),
        ("A10", "A10"),
        ("a1_b", "name 4_b"),
    ],
)
def test_short_secrets(redactor: Redactor, text: str, redacted: str) -> None:
    """A secret that may be part of a word is replaced only as a whole word."""
    assert redactor.redact(text) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"token {make_jwt()}!", "token other token 1!"),
        (f"cut {make_jwt()[:40]}", "cut other token 1"),
        ("profile 0f1e2d3c-aaaa-4bbb-8ccc-0123456789ab!", "profile other id 1!"),
        ("cut 0f1e2d3c-aaaa-4b", "cut other id 1"),
        ("owner 5f3c1a2b4d5e6f708192a3b4c5d6e7f8", "owner other id 1"),
        ("of jane.doe+x@mail.example.com", "of other address 1"),
        ("of jane%40mail.example.com", "of other address 1"),
        ("of jane%2540mail.example.com", "of other address 1"),
        ("ps-mpa-1 on vint-hill-a, HTTP 502", "ps-mpa-1 on vint-hill-a, HTTP 502"),
        ("python-socketio 5.18.1", "python-socketio 5.18.1"),
    ],
)
def test_what_looks_like_a_secret(redactor: Redactor, text: str, redacted: str) -> None:
    """Unknown ids, tokens and addresses are replaced as well."""
    assert redactor.redact(text) == redacted


def test_unknown_ids(redactor: Redactor) -> None:
    """The same id always has the same number."""
    first, second = ID.replace("8", "7"), ID.replace("8", "6")
    assert redactor.redact([first, second, f"<{first.upper()}>"]) == [
        "other id 1",
        "other id 2",
        "<other id 1>",
    ]


def test_data(redactor: Redactor) -> None:
    """Nested data is redacted; values that are not text stay as they are."""
    data: dict[str, Any] = {
        "when it was": {"texts": ["Swing", ("Swing 2",)], "set": {"90210"}},
        ID: 1,
        f"x {NAME}": None,
        "numbers": [1, 2.5, True, None],
        "when": "2026-11-22T09:02:10.902+00:00",
    }
    assert redactor.redact(data) == {
        "when it was": {"texts": ["name 2", ["name 3"]], "set": ["login 1"]},
        "account 1": 1,
        "x name 1": None,
        "numbers": [1, 2.5, True, None],
        "when": "2026-11-22T09:02:10.902+00:00",
    }


@pytest.mark.parametrize("name", ["Account", "account", "status", "Connected", "what"])
def test_keys_of_our_own(name: str) -> None:
    """Our own keys stay, whatever an account is called."""
    redactor = Redactor()
    redactor.add(name, "name 1")
    data = {
        "account_id": name,
        "status": "off",
        "connected": None,
        "what": f"no {name}",
    }
    assert redactor.redact(data) == {
        "account_id": "name 1",
        "status": "off",
        "connected": None,
        "what": "no name 1",
    }


@pytest.mark.parametrize(
    "text",
    [
        "a" * 40_000,
        "a@" * 20_000,
        "@" + "a." * 20_000,
        "a%25" * 10_000,
        "%40" * 13_000,
        "eyJ" * 13_000,
        "0123456-" * 5_000,
        "deadbeef-" * 5_000,
        "a.b@c." * 7_000,
    ],
    ids=lambda text: text[:8],
)
def test_long_texts(redactor: Redactor, text: str) -> None:
    """No text takes long, whatever it contains."""
    started = time.process_time()
    redactor.redact(text)
    assert time.process_time() - started < 0.5


def test_a_thousand_accounts() -> None:
    """The number of secrets hardly affects the time, even with a common prefix."""
    redactor = Redactor()
    started = time.process_time()
    for number in range(1000):
        redactor.add(f"Account {number}", f"name {number}")
        redactor.add(f"{number:08x}-aaaa-4bbb-8ccc-{number:012x}", f"account {number}")
    for number in range(1000):
        text = f"Accounts: Account {number}, or Accou"
        assert redactor.redact(text) == f"Accounts: name {number}, or Accou"
    assert time.process_time() - started < 1


def test_digits_of_a_time_are_no_login() -> None:
    """Digits in a time are kept, a number in a text is replaced."""
    redactor = Redactor()
    redactor.add("2026", "login 1")
    assert redactor.redact("2026-11-22T09:02:10Z") == "2026-11-22T09:02:10Z"
    assert redactor.redact("login 2026") == "login login 1"


def test_first_label_stays() -> None:
    """An account whose name is its id is labeled as an account."""
    redactor = Redactor()
    redactor.add(ID, "account 1")
    redactor.add(ID, "name 1")
    assert redactor.redact(ID) == "account 1"


def test_without_secrets() -> None:
    """Nothing is replaced."""
    assert Redactor().redact("text") == "text"

"""Test the config flow: user, accounts, reauth, reconfigure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
import logging
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec, patch

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
import pytest_socket

from custom_components.metaapi.api import (
    PROVISIONING,
    STREAMING,
    CannotConnectError,
    ConnectionLostError,
    ForbiddenError,
    HandshakeRefusedError,
    InternalError,
    MetaApiError,
    NoResponseError,
    NotAuthenticatedError,
    NotFoundError,
    NotSynchronizedError,
    Provisioning,
    RequestError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
    Zone,
    read_claims,
)
from custom_components.metaapi.const import (
    CONF_ACCOUNT_ID,
    CONF_ACCOUNTS,
    CONF_ADVANCED,
    CONF_API_URL,
    CONF_APPLICATION,
    CONF_REGION,
    DOMAIN,
)
from custom_components.metaapi.forms import is_account_id
from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_USER,
    ConfigEntryState,
)
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.setup import async_setup_component
from simulator import Simulator, make_jwt

from .conftest import OWNER, SCALP, SWING, TOKEN, FakeMonitor, make_entry, setup_entry
from .flow_support import account, check_texts, options, preselected, suggested

OTHER_OWNER = "00112233445566778899aabbccddeeff"
NEW_TOKEN = make_jwt(issued=1_767_225_601, expires=1_893_456_000)
LIMITED_TOKEN = make_jwt(provisioning=False)
OPAQUE_TOKEN = "an-old-account-token-that-is-no-jwt"
TYPED = "44444444-aaaa-4bbb-8ccc-000000000004"
LISTED = [SWING, SCALP]
URL = "https://proxy.example/metaapi"


@pytest.fixture(autouse=True)
def texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the texts of every form and abort."""
    check_texts(monkeypatch)


@pytest.fixture
def client() -> Iterator[MagicMock]:
    """Replace the provisioning API; the class is `client.cls`."""
    client: MagicMock = create_autospec(Provisioning, instance=True)
    client.accounts.return_value = LISTED
    client.account.side_effect = NotFoundError("no such account")
    with patch(
        "custom_components.metaapi.access.Provisioning", return_value=client
    ) as cls:
        client.cls = cls
        yield client


@pytest.fixture
def subscribe() -> Iterator[MagicMock]:
    """Replace the subscribe that validates a token; it succeeds."""
    with patch("custom_components.metaapi.access.try_subscribe", autospec=True) as mock:
        yield mock


@pytest.fixture
def mock_setup_entry() -> Iterator[AsyncMock]:
    """Prevent the set-up of entries."""
    with patch(
        "custom_components.metaapi.async_setup_entry", return_value=True
    ) as mock:
        yield mock


@pytest.fixture
def mocks(
    client: MagicMock, subscribe: MagicMock, mock_setup_entry: AsyncMock
) -> MagicMock:
    """Replace all calls of a flow; return the provisioning API."""
    return client


async def start(hass: HomeAssistant) -> Any:
    """Start the flow and return its first form."""
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_USER}
    )
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "user"
    assert result["errors"] == {}
    return result


async def submit(hass: HomeAssistant, result: Any, **user_input: Any) -> Any:
    """Submit a form."""
    return await hass.config_entries.flow.async_configure(result["flow_id"], user_input)


async def to_accounts(
    hass: HomeAssistant, token: str = TOKEN, *, limited: bool = False, **advanced: str
) -> Any:
    """Continue to the form of the accounts, with or without a list."""
    result = await submit(
        hass,
        await start(hass),
        token=token,
        **({"advanced": advanced} if advanced else {}),
    )
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "accounts"
    assert result["errors"] == ({"base": "may_not_list"} if limited else {})
    return result


def assert_created(result: Any, *account_ids: str) -> None:
    """Check that the flow created an entry with these accounts."""
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert [sub.unique_id for sub in result["result"].subentries.values()] == list(
        account_ids
    )


# -- user ------------------------------------------------------------------------------


async def test_token_then_accounts(
    hass: HomeAssistant, client: MagicMock, mock_setup_entry: AsyncMock
) -> None:
    """A token and some of its accounts create an entry with subentries."""
    await hass.config.async_set_time_zone("Europe/Berlin")
    client.accounts.return_value = [SWING, replace(SCALP, state="UNDEPLOYED")]
    expires = datetime(2031, 3, 4, 4, 5, tzinfo=UTC)
    token = make_jwt(expires=int(expires.timestamp()))
    result = await to_accounts(hass, token)

    schema = result["data_schema"]
    assert options(schema, CONF_ACCOUNTS) == {
        SCALP.account_id: "Scalp · 90210 · Broker-Live · new-york · undeployed",
        SWING.account_id: "Swing · 90210 · Broker-Live · london · deployed",
    }
    assert preselected(schema, CONF_ACCOUNTS) == [SWING.account_id]
    selector = schema.schema[CONF_ACCOUNTS].config
    assert selector["multiple"]
    assert selector["custom_value"]
    assert selector["mode"] == "dropdown"
    shown = result["description_placeholders"]
    assert shown["found"] == "2"
    assert shown["expires"] == "March 4, 2031, 05:05 (Europe/Berlin)"

    result = await submit(hass, result, accounts=[SWING.account_id, SCALP.account_id])
    assert_created(result, SWING.account_id, SCALP.account_id)
    entry = result["result"]
    assert entry.title == "MetaApi"
    assert entry.unique_id == OWNER
    assert entry.data == {CONF_TOKEN: token}
    assert entry.options == {}
    first = next(iter(entry.subentries.values()))
    assert first.title == "Swing"
    assert first.subentry_type == "account"
    assert first.data == {CONF_ACCOUNT_ID: SWING.account_id, CONF_REGION: "london"}
    await hass.async_block_till_done()
    mock_setup_entry.assert_awaited_once()


async def test_first_form(hass: HomeAssistant) -> None:
    """The form hides the token, has a collapsed section and links to tokens."""
    result = await start(hass)
    schema = result["data_schema"].schema
    assert schema[CONF_TOKEN].config["type"] == "password"
    assert schema[CONF_ADVANCED].options == {"collapsed": True}
    shown = result["description_placeholders"]
    assert shown["token_url"] == "https://app.metaapi.cloud/token"
    assert shown["provisioning"] == "trading-account-management-api"
    assert shown["streaming"] == "metaapi-real-time-streaming-api"


async def test_advanced(hass: HomeAssistant, mocks: MagicMock) -> None:
    """A custom server and application are stored."""
    result = await to_accounts(hass, api_url=f" {URL}/ ", application=" Bot ")
    assert mocks.cls.call_args.args[2].api_url == URL
    result = await submit(hass, result, accounts=[SWING.account_id])
    assert result["data"] == {
        CONF_TOKEN: TOKEN,
        CONF_API_URL: URL,
        CONF_APPLICATION: "Bot",
    }


async def test_empty_advanced(hass: HomeAssistant, mocks: MagicMock) -> None:
    """Empty fields mean MetaApi's defaults."""
    result = await to_accounts(hass, api_url=" ", application="")
    assert mocks.cls.call_args.args[2].api_url is None
    result = await submit(hass, result, accounts=[SWING.account_id])
    assert result["data"] == {CONF_TOKEN: TOKEN}


async def test_token_copied_with_blanks(hass: HomeAssistant, mocks: MagicMock) -> None:
    """Spaces around and inside a token are removed."""
    result = await to_accounts(hass, f"  {TOKEN[:50]}\n {TOKEN[50:]}\n")
    assert mocks.cls.call_args.args[1] == TOKEN
    result = await submit(hass, result, accounts=[SWING.account_id])
    assert result["data"] == {CONF_TOKEN: TOKEN}


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (UnauthorizedError("no"), "invalid_auth"),
        (CannotConnectError("no"), "cannot_connect"),
        (InternalError("no"), "answered_with_error"),
        (RequestError("no"), "answered_with_error"),
        (NotFoundError("another server"), "cannot_connect"),
        (ValidationError("another server"), "cannot_connect"),
        (TooManyRequestsError("no"), "too_many_requests"),
        (MetaApiError("no"), "cannot_connect"),
        (RuntimeError(f"a bug with {TOKEN}"), "unknown"),
    ],
)
async def test_listing_fails(
    hass: HomeAssistant,
    mocks: MagicMock,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    key: str,
) -> None:
    """Each error of the listing is shown, and the next try can succeed."""
    caplog.set_level(logging.DEBUG)
    mocks.accounts.side_effect = error
    result = await submit(
        hass, await start(hass), token=TOKEN, advanced={"api_url": URL}
    )
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "user"
    assert result["errors"] == {"base": key}
    assert ("Unexpected error" in caplog.text) is (key == "unknown")
    assert ("RuntimeError: a bug with **REDACTED**" in caplog.text) is (
        key == "unknown"
    )
    assert TOKEN not in caplog.text
    # The values are kept except the token, and the section with values is open
    assert suggested(result["data_schema"]) == {CONF_ADVANCED: {CONF_API_URL: URL}}
    assert result["data_schema"].schema[CONF_ADVANCED].options == {"collapsed": False}

    mocks.accounts.side_effect = None
    result = await submit(hass, result, token=TOKEN)
    result = await submit(hass, result, accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)


@pytest.mark.parametrize(
    "url",
    [
        "http://metaapi.example",
        "http://8.8.8.8",
        "ftp://proxy.example",
        "proxy.example",
        "https://user:secret@proxy.example",
        "https://proxy.example/?a=b",
        "https://proxy.example:port",
    ],
)
async def test_url_is_not_allowed(
    hass: HomeAssistant, mocks: MagicMock, url: str
) -> None:
    """A server that must not get the token is an error of the section."""
    result = await submit(
        hass, await start(hass), token=TOKEN, advanced={"api_url": url}
    )
    assert result["errors"] == {CONF_ADVANCED: "invalid_api_url"}
    assert result["data_schema"].schema[CONF_ADVANCED].options == {"collapsed": False}
    assert suggested(result["data_schema"])[CONF_ADVANCED] == {CONF_API_URL: url}
    mocks.cls.assert_not_called()

    result = await submit(
        hass, result, token=TOKEN, advanced={"api_url": "http://192.168.1.5:8765"}
    )
    result = await submit(hass, result, accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)


@pytest.mark.parametrize("token", ["", "   ", "tökén", "a\0b"])
async def test_text_is_no_token(
    hass: HomeAssistant, mocks: MagicMock, token: str
) -> None:
    """Text that cannot be a token is not sent."""
    result = await submit(hass, await start(hass), token=token)
    assert result["errors"] == {"base": "invalid_auth"}
    mocks.cls.assert_not_called()

    result = await submit(hass, result, token=TOKEN)
    result = await submit(hass, result, accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)


async def test_token_has_expired(hass: HomeAssistant, mocks: MagicMock) -> None:
    """An expired token is not sent."""
    expired = datetime.now(UTC) - timedelta(minutes=1)
    result = await submit(
        hass, await start(hass), token=make_jwt(expires=int(expired.timestamp()))
    )
    assert result["errors"] == {CONF_TOKEN: "token_expired"}
    mocks.cls.assert_not_called()

    result = await submit(hass, result, token=TOKEN)
    result = await submit(hass, result, accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)


@pytest.mark.parametrize("token", [make_jwt(expires=None), OPAQUE_TOKEN])
async def test_token_without_expiry(
    hass: HomeAssistant, mocks: MagicMock, token: str
) -> None:
    """A token without an expiry, or without any claims, works."""
    result = await to_accounts(hass, token)
    assert result["description_placeholders"]["expires"] == "—"
    result = await submit(hass, result, accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)
    assert result["result"].unique_id == read_claims(token).owner_id


@pytest.mark.parametrize("advanced", [{}, {"api_url": URL}])
async def test_owner_is_configured(
    hass: HomeAssistant, mocks: MagicMock, advanced: dict[str, str]
) -> None:
    """An owner can only be added once, whatever the token and the server."""
    make_entry(SWING).add_to_hass(hass)
    result = await submit(hass, await start(hass), token=NEW_TOKEN, advanced=advanced)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"


@pytest.mark.parametrize(
    ("taken", "title"),
    [
        (["MetaApi"], "MetaApi 2"),
        (["MetaApi", "MetaApi 2"], "MetaApi 3"),
        (["Home"], "MetaApi"),
        (["MetaApi 2", "Home"], "MetaApi"),
    ],
)
async def test_titles_differ(
    hass: HomeAssistant, mocks: MagicMock, taken: list[str], title: str
) -> None:
    """The entry of a second user gets another title."""
    for number, other in enumerate(taken):
        make_entry(title=other, unique_id=str(number)).add_to_hass(hass)
    result = await submit(hass, await to_accounts(hass), accounts=[SWING.account_id])
    assert result["result"].title == title
    await hass.async_block_till_done()


async def test_two_flows_of_one_owner(hass: HomeAssistant, mocks: MagicMock) -> None:
    """An open form does not block another one; the first one to finish wins."""
    left_open = await to_accounts(hass)
    result = await submit(hass, await to_accounts(hass), accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)
    flows = hass.config_entries.flow.async_progress()
    assert left_open["flow_id"] not in {flow["flow_id"] for flow in flows}


# -- accounts --------------------------------------------------------------------------


async def test_ten_are_preselected(hass: HomeAssistant, mocks: MagicMock) -> None:
    """All of hundreds can be selected, and ten deployed ones are by default."""
    mocks.accounts.return_value = [
        account(number, state="DEPLOYED" if number % 2 else "UNDEPLOYED")
        for number in reversed(range(300))
    ]
    result = await to_accounts(hass)
    offered = options(result["data_schema"], CONF_ACCOUNTS)
    assert len(offered) == 300
    assert next(iter(offered)) == account(0).account_id
    assert preselected(result["data_schema"], CONF_ACCOUNTS) == [
        account(number).account_id for number in range(1, 21, 2)
    ]


async def test_account_without_a_name(hass: HomeAssistant, mocks: MagicMock) -> None:
    """The label and the title are its id."""
    nameless = account(1, name="", state="DEPLOY_FAILED")
    mocks.accounts.return_value = [nameless]
    result = await to_accounts(hass)
    assert options(result["data_schema"], CONF_ACCOUNTS) == {
        nameless.account_id: f"{nameless.account_id} · deploy failed"
    }
    assert preselected(result["data_schema"], CONF_ACCOUNTS) == []
    result = await submit(hass, result, accounts=[nameless.account_id])
    subentry = next(iter(result["result"].subentries.values()))
    assert subentry.title == nameless.account_id


async def test_default_is_used(hass: HomeAssistant, mocks: MagicMock) -> None:
    """An unchanged form submits the default selection."""
    result = await submit(hass, await to_accounts(hass))
    assert_created(result, SCALP.account_id, SWING.account_id)


@pytest.mark.parametrize("chosen", [[], ["", "  "]])
async def test_none_chosen(
    hass: HomeAssistant, mocks: MagicMock, chosen: list[str]
) -> None:
    """Choosing no account is an error, and the selection stays empty."""
    result = await submit(hass, await to_accounts(hass), accounts=chosen)
    assert result["errors"] == {CONF_ACCOUNTS: "no_accounts"}
    assert preselected(result["data_schema"], CONF_ACCOUNTS) == chosen

    result = await submit(hass, result, accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)


async def test_duplicates(
    hass: HomeAssistant, mocks: MagicMock, subscribe: MagicMock
) -> None:
    """An account that is selected and typed, in any spelling, is added once."""
    typed = [
        SWING.account_id,
        f" {SWING.account_id} ",
        SWING.account_id.upper(),
        SCALP.account_id,
    ]
    result = await submit(hass, await to_accounts(hass), accounts=typed)
    assert_created(result, SWING.account_id, SCALP.account_id)
    mocks.account.assert_not_called()
    subscribe.assert_not_called()


async def test_listed_id_in_another_format(
    hass: HomeAssistant, mocks: MagicMock
) -> None:
    """Ids that MetaApi lists may have any format."""
    odd = replace(SWING, account_id="ABCDEF")
    mocks.accounts.return_value = [odd]
    result = await submit(hass, await to_accounts(hass), accounts=["ABCDEF"])
    assert_created(result, "ABCDEF")


@pytest.mark.parametrize(
    "typed",
    [
        "Swing",
        "44444444-aaaa-4bbb-8ccc 000000000004",
        "44444444/aaaa/4bbb/8ccc/000000000004",
        "4" * 19,
        "4" * 41,
        f"{TYPED}?",
    ],
)
async def test_text_is_no_account_id(
    hass: HomeAssistant, mocks: MagicMock, typed: str
) -> None:
    """Text that cannot be an id is quoted and not sent."""
    result = await submit(
        hass, await to_accounts(hass), accounts=[SWING.account_id, typed]
    )
    assert result["errors"] == {CONF_ACCOUNTS: "invalid_account_id"}
    shown = result["description_placeholders"]["account"]
    assert shown == (typed if len(typed) <= 20 else f"{typed[:8]}…")
    assert preselected(result["data_schema"], CONF_ACCOUNTS) == [
        SWING.account_id,
        typed,
    ]
    mocks.account.assert_not_called()

    result = await submit(hass, result, accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)


async def test_token_typed_as_account(hass: HomeAssistant, mocks: MagicMock) -> None:
    """No error message contains a token that was pasted into the wrong field."""
    result = await submit(hass, await to_accounts(hass), accounts=[TOKEN])
    assert result["errors"] == {CONF_ACCOUNTS: "invalid_account_id"}
    assert result["description_placeholders"]["account"] == "**REDACTED**"


async def test_typed_id_is_looked_up(
    hass: HomeAssistant, mocks: MagicMock, subscribe: MagicMock
) -> None:
    """A typed id that is not listed is read by REST, with its name and region."""
    mocks.account.side_effect = None
    mocks.account.return_value = replace(SWING, account_id=TYPED, name="Hidden")
    result = await submit(hass, await to_accounts(hass), accounts=[TYPED.upper()])
    mocks.account.assert_awaited_once_with(TYPED)
    subscribe.assert_not_called()
    assert_created(result, TYPED)
    subentry = next(iter(result["result"].subentries.values()))
    assert subentry.title == "Hidden"
    assert subentry.data[CONF_REGION] == "london"


@pytest.mark.parametrize(
    ("error", "errors"),
    [
        (NotFoundError("no"), {CONF_ACCOUNTS: "account_not_found"}),
        (ForbiddenError("no"), {CONF_ACCOUNTS: "forbidden"}),
        (ValidationError("no"), {CONF_ACCOUNTS: "invalid_account_id"}),
        (CannotConnectError("no"), {"base": "cannot_connect"}),
        (TooManyRequestsError("no"), {"base": "too_many_requests"}),
        (RuntimeError("no"), {"base": "unknown"}),
    ],
)
async def test_look_up_fails(
    hass: HomeAssistant, mocks: MagicMock, error: Exception, errors: dict[str, str]
) -> None:
    """Each error of reading a typed id is shown, and another id can succeed."""
    mocks.account.side_effect = error
    result = await submit(hass, await to_accounts(hass), accounts=[TYPED])
    assert result["step_id"] == "accounts"
    assert result["errors"] == errors
    named = f"{TYPED[:8]}…" if CONF_ACCOUNTS in errors else ""
    assert result["description_placeholders"]["account"] == named

    result = await submit(hass, result, accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)


async def test_account_of_another_entry(hass: HomeAssistant, mocks: MagicMock) -> None:
    """It is neither offered nor accepted when typed."""
    make_entry(SWING, token=OPAQUE_TOKEN, unique_id="another").add_to_hass(hass)
    result = await to_accounts(hass)
    assert list(options(result["data_schema"], CONF_ACCOUNTS)) == [SCALP.account_id]
    assert preselected(result["data_schema"], CONF_ACCOUNTS) == [SCALP.account_id]
    assert result["description_placeholders"]["found"] == "2"

    result = await submit(hass, result, accounts=[SWING.account_id])
    assert result["errors"] == {CONF_ACCOUNTS: "account_already_configured"}
    assert result["description_placeholders"]["account"] == "11111111…"

    mocks.accounts.return_value = []
    mocks.account.side_effect = None
    mocks.account.return_value = SWING
    result = await submit(hass, result, accounts=[TYPED])
    assert result["errors"] == {CONF_ACCOUNTS: "account_already_configured"}

    result = await submit(hass, result, accounts=[SCALP.account_id])
    assert_created(result, SCALP.account_id)


async def test_nothing_listed(hass: HomeAssistant, mocks: MagicMock) -> None:
    """Without listed accounts, ids can still be typed."""
    mocks.accounts.return_value = []
    result = await to_accounts(hass)
    assert result["description_placeholders"]["found"] == "0"
    assert options(result["data_schema"], CONF_ACCOUNTS) == {}
    mocks.account.side_effect = None
    mocks.account.return_value = replace(SWING, account_id=TYPED)
    result = await submit(hass, result, accounts=[TYPED])
    assert_created(result, TYPED)


# -- tokens that may not list accounts ---------------------------------------------------


@pytest.mark.parametrize(
    ("token", "error"),
    [
        (LIMITED_TOKEN, UnauthorizedError("no")),
        (LIMITED_TOKEN, ForbiddenError("no")),
        (TOKEN, ForbiddenError("no")),
        (OPAQUE_TOKEN, ForbiddenError("no")),
    ],
)
async def test_limited_token(
    hass: HomeAssistant,
    mocks: MagicMock,
    subscribe: MagicMock,
    token: str,
    error: MetaApiError,
) -> None:
    """A token without the provisioning permission is validated by a subscribe."""
    mocks.accounts.side_effect = error
    result = await to_accounts(hass, token, limited=True, application="Bot")
    assert options(result["data_schema"], CONF_ACCOUNTS) == {}
    assert preselected(result["data_schema"], CONF_ACCOUNTS) == []
    result = await submit(hass, result, accounts=[TYPED])
    assert_created(result, TYPED)
    subentry = next(iter(result["result"].subentries.values()))
    assert subentry.title == TYPED
    assert subentry.data == {CONF_ACCOUNT_ID: TYPED, CONF_REGION: ""}

    mocks.account.assert_not_called()
    subscribe.assert_awaited_once()
    session, *arguments = subscribe.await_args.args
    assert arguments == [
        token,
        Zone("https://mt-client-api-v1.agiliumtrade.agiliumtrade.ai"),
        TYPED,
    ]
    assert subscribe.await_args.kwargs == {"application": "Bot"}
    # The flow's own session is closed
    assert session.closed


async def test_limited_token_elsewhere(
    hass: HomeAssistant, mocks: MagicMock, subscribe: MagicMock
) -> None:
    """With a custom server, the subscribe is sent there."""
    mocks.accounts.side_effect = ForbiddenError("no")
    result = await to_accounts(hass, LIMITED_TOKEN, limited=True, api_url=URL)
    result = await submit(hass, result, accounts=[TYPED])
    assert_created(result, TYPED)
    assert subscribe.await_args.args[2] == Zone(URL)
    assert subscribe.await_args.kwargs == {"application": "MetaApi"}


@pytest.mark.parametrize(
    "error",
    [
        NotAuthenticatedError("no"),
        NotSynchronizedError("no"),
        NoResponseError("no"),
        ValidationError("no accounts deployed yet"),
        ValidationError("no accounts deployed yet", details={}),
    ],
)
async def test_terminal_is_away(
    hass: HomeAssistant, mocks: MagicMock, subscribe: MagicMock, error: MetaApiError
) -> None:
    """Temporary errors are no evidence against the token or the id."""
    mocks.accounts.side_effect = ForbiddenError("no")
    subscribe.side_effect = error
    result = await to_accounts(hass, LIMITED_TOKEN, limited=True)
    assert_created(await submit(hass, result, accounts=[TYPED]), TYPED)


@pytest.mark.parametrize(
    ("error", "errors"),
    [
        (NotFoundError("no"), {CONF_ACCOUNTS: "region_needed"}),
        (ForbiddenError("no"), {CONF_ACCOUNTS: "forbidden"}),
        (
            ValidationError("no", details=[{"parameter": "accountId"}]),
            {CONF_ACCOUNTS: "invalid_account_id"},
        ),
        (HandshakeRefusedError(403), {CONF_ACCOUNTS: "forbidden"}),
        (HandshakeRefusedError(429), {"base": "too_many_requests"}),
        (HandshakeRefusedError(502), {"base": "cannot_connect"}),
        (TooManyRequestsError("no"), {"base": "too_many_requests"}),
        (CannotConnectError("no"), {"base": "cannot_connect"}),
        (ConnectionLostError("no"), {"base": "cannot_connect"}),
        (InternalError("no"), {"base": "answered_with_error"}),
        (RuntimeError(LIMITED_TOKEN), {"base": "unknown"}),
    ],
)
async def test_subscribe_fails(
    hass: HomeAssistant,
    *,
    mocks: MagicMock,
    subscribe: MagicMock,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    errors: dict[str, str],
) -> None:
    """Each error of the subscribe is shown, and the next try can succeed."""
    mocks.accounts.side_effect = ForbiddenError("no")
    subscribe.side_effect = error
    result = await submit(
        hass, await to_accounts(hass, LIMITED_TOKEN, limited=True), accounts=[TYPED]
    )
    assert result["step_id"] == "accounts"
    assert result["errors"] == errors
    assert subscribe.await_args.args[0].closed
    assert LIMITED_TOKEN not in caplog.text

    subscribe.side_effect = None
    assert_created(await submit(hass, result, accounts=[TYPED]), TYPED)


@pytest.mark.parametrize("error", [UnauthorizedError("no"), HandshakeRefusedError(401)])
async def test_subscribe_is_unauthorized(
    hass: HomeAssistant, mocks: MagicMock, subscribe: MagicMock, error: MetaApiError
) -> None:
    """The token can be entered again."""
    mocks.accounts.side_effect = UnauthorizedError("no")
    subscribe.side_effect = error
    result = await to_accounts(hass, LIMITED_TOKEN, limited=True, api_url=URL)
    result = await submit(hass, result, accounts=[TYPED])
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "user"
    assert result["errors"] == {"base": "invalid_auth"}
    assert suggested(result["data_schema"]) == {CONF_ADVANCED: {CONF_API_URL: URL}}

    subscribe.side_effect = None
    result = await submit(hass, result, token=LIMITED_TOKEN, advanced={"api_url": URL})
    assert result["step_id"] == "accounts"
    assert_created(await submit(hass, result, accounts=[TYPED]), TYPED)


async def test_token_may_not_stream(hass: HomeAssistant, mocks: MagicMock) -> None:
    """The token's form shows that it lacks the permission for streaming."""
    token = make_jwt(streaming=False)
    result = await submit(hass, await start(hass), token=token)
    assert result["step_id"] == "user"
    assert result["errors"] == {CONF_TOKEN: "may_not_stream"}
    assert result["description_placeholders"]["streaming"] == STREAMING
    assert suggested(result["data_schema"]) == {CONF_ADVANCED: {}}
    mocks.accounts.assert_not_called()

    result = await submit(hass, result, token=TOKEN)
    assert_created(
        await submit(hass, result, accounts=[SWING.account_id]), SWING.account_id
    )


async def test_limited_token_is_not_tested_by_rest(
    hass: HomeAssistant, mocks: MagicMock, subscribe: MagicMock
) -> None:
    """REST is not used, since its refusal would be no evidence about the token."""
    mocks.accounts.side_effect = UnauthorizedError("no")
    result = await to_accounts(hass, LIMITED_TOKEN, limited=True)
    mocks.accounts.assert_not_called()
    shown = result["description_placeholders"]
    assert (shown["found"], shown["provisioning"]) == ("0", PROVISIONING)


async def test_region_of_typed_ids(
    hass: HomeAssistant, mocks: MagicMock, subscribe: MagicMock
) -> None:
    """An account of another region is validated there, and stored with it."""
    result = await to_accounts(hass, LIMITED_TOKEN, limited=True)
    subscribe.side_effect = NotFoundError("the region is wrong")
    result = await submit(hass, result, accounts=[TYPED])
    assert result["errors"] == {CONF_ACCOUNTS: "region_needed"}
    result = await submit(hass, result, accounts=[TYPED], region="London")
    assert result["errors"] == {CONF_ACCOUNTS: "account_not_in_region"}
    shown = result["description_placeholders"]
    assert (shown["account"], shown["region"]) == ("44444444…", "london")
    assert suggested(result["data_schema"])[CONF_REGION] == "London"
    result = await submit(hass, result, accounts=[TYPED], region="a b")
    assert result["errors"] == {CONF_REGION: "invalid_region"}

    subscribe.side_effect = None
    result = await submit(hass, result, accounts=[TYPED], region="new-york")
    assert_created(result, TYPED)
    assert subscribe.await_args.args[2].name == "new-york-a"
    subentry = next(iter(result["result"].subentries.values()))
    assert subentry.data == {CONF_ACCOUNT_ID: TYPED, CONF_REGION: "new-york"}


@pytest.mark.parametrize("login", ["90210", " 100200300 ", "5012345678"])
async def test_login_typed_as_account(
    hass: HomeAssistant, mocks: MagicMock, login: str
) -> None:
    """The error explains where to find the id."""
    result = await submit(hass, await to_accounts(hass), accounts=[login])
    assert result["errors"] == {CONF_ACCOUNTS: "looks_like_login"}
    shown = result["description_placeholders"]
    assert shown["account"] == login.strip()
    assert is_account_id(shown["example"])
    mocks.account.assert_not_called()
    result = await submit(hass, result, accounts=[SWING.account_id])
    assert_created(result, SWING.account_id)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.metaapi.cloud/accounts/{}",
        "https://app.metaapi.cloud/accounts/{}/",
        "https://app.metaapi.cloud/accounts/{}/settings?tab=a#b",
        " app.metaapi.cloud/accounts/{}?x=y ",
        "https://app.metaapi.cloud/#/accounts?id={}",
    ],
)
async def test_url_typed_as_account(
    hass: HomeAssistant, mocks: MagicMock, url: str
) -> None:
    """The id is extracted from the URL of the account's page."""
    result = await to_accounts(hass)
    result = await submit(hass, result, accounts=[url.format(SWING.account_id.upper())])
    assert_created(result, SWING.account_id)


async def test_token_without_a_real_expiry(
    hass: HomeAssistant, mocks: MagicMock
) -> None:
    """The last second of the year 9999 cannot be shown east of UTC."""
    await hass.config.async_set_time_zone("Asia/Tokyo")
    result = await to_accounts(hass, make_jwt(expires=253_402_300_799))
    assert result["description_placeholders"]["expires"] == "—"


# -- reauth ----------------------------------------------------------------------------


async def reload_count(
    hass: HomeAssistant, entry: MockConfigEntry, monitors: list[FakeMonitor]
) -> int:
    """Return how often an entry that works now was set up."""
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    return len(monitors)


@pytest.fixture
async def loaded(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    client: MagicMock,
    subscribe: MagicMock,
) -> MockConfigEntry:
    """Set up an entry with two accounts and all optional data."""
    entry = make_entry(
        SWING, SCALP, data={CONF_API_URL: URL, CONF_APPLICATION: "Bot"}, title="Home"
    )
    await setup_entry(hass, entry)
    return entry


async def test_reauth_form(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """The form names the entry, its accounts and the token's expiry."""
    result = await loaded.start_reauth_flow(hass)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "reauth_confirm"
    shown = result["description_placeholders"]
    assert shown["name"] == "Home"
    assert shown["accounts"] == "Swing, Scalp"
    assert shown["expires"].startswith("December 31, 2099")
    assert list(result["data_schema"].schema) == [CONF_TOKEN]
    assert suggested(result["data_schema"]) == {}


async def test_reauth_of_many_accounts(hass: HomeAssistant) -> None:
    """The form names only the first accounts."""
    for count, end in ((10, "Account 009"), (11, "Account 009, …")):
        entry = make_entry(*map(account, range(count)), unique_id=str(count))
        entry.add_to_hass(hass)
        result = await entry.start_reauth_flow(hass)
        assert result["description_placeholders"]["accounts"].endswith(f", {end}")


async def test_reauth_of_a_loaded_entry(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    monitors: list[FakeMonitor],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The new token is used after one reload; other data stays."""
    result = await loaded.start_reauth_flow(hass)
    result = await submit(hass, result, token=f" {NEW_TOKEN} ")
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "reauth_successful"
    assert result["description_placeholders"] == {
        "expires": "December 31, 2029, 16:00 (US/Pacific)"
    }
    assert loaded.data == {
        CONF_TOKEN: NEW_TOKEN,
        CONF_API_URL: URL,
        CONF_APPLICATION: "Bot",
    }
    assert loaded.unique_id == OWNER
    assert await reload_count(hass, loaded, monitors) == 2
    assert monitors[-1].token == NEW_TOKEN
    assert "update listener" not in caplog.text


async def test_reauth_of_a_failed_entry(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    client: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An entry whose token was refused at its start is set up with the new one."""
    provisioning.check.side_effect = UnauthorizedError("no")
    provisioning.accounts.side_effect = UnauthorizedError("no")
    entry = make_entry(SWING)
    await setup_entry(hass, entry)
    monitors[0].push_link(False, token_refused=True)
    await hass.async_block_till_done()
    (flow,) = hass.config_entries.flow.async_progress()
    assert flow["context"]["source"] == SOURCE_REAUTH
    provisioning.check.side_effect = None
    provisioning.accounts.side_effect = None

    result = await hass.config_entries.flow.async_configure(
        flow["flow_id"], {CONF_TOKEN: NEW_TOKEN}
    )
    assert result["reason"] == "reauth_successful"
    assert await reload_count(hass, entry, monitors) == 2
    assert monitors[-1].token == NEW_TOKEN
    assert not hass.config_entries.flow.async_progress()
    assert "update listener" not in caplog.text


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (UnauthorizedError("no"), "invalid_auth"),
        (CannotConnectError("no"), "cannot_connect"),
        (TooManyRequestsError("no"), "too_many_requests"),
        (RuntimeError(NEW_TOKEN), "unknown"),
    ],
)
async def test_reauth_fails(
    hass: HomeAssistant,
    *,
    loaded: MockConfigEntry,
    client: MagicMock,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    key: str,
) -> None:
    """Each error of the new token is shown, and the next try can succeed."""
    client.accounts.side_effect = error
    result = await loaded.start_reauth_flow(hass)
    result = await submit(hass, result, token=NEW_TOKEN)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "reauth_confirm"
    assert result["errors"] == {"base": key}
    assert loaded.data[CONF_TOKEN] == TOKEN
    assert NEW_TOKEN not in caplog.text

    client.accounts.side_effect = None
    result = await submit(hass, result, token=NEW_TOKEN)
    assert result["reason"] == "reauth_successful"
    await hass.async_block_till_done()


async def test_reauth_with_an_expired_token(
    hass: HomeAssistant, loaded: MockConfigEntry, client: MagicMock
) -> None:
    """Another expired token is refused without a call."""
    result = await loaded.start_reauth_flow(hass)
    result = await submit(hass, result, token=make_jwt(expires=1_767_225_602))
    assert result["errors"] == {CONF_TOKEN: "token_expired"}
    client.cls.assert_not_called()
    result = await submit(hass, result, token=NEW_TOKEN)
    assert result["reason"] == "reauth_successful"
    await hass.async_block_till_done()


async def test_reauth_by_another_owner(
    hass: HomeAssistant, loaded: MockConfigEntry, monitors: list[FakeMonitor]
) -> None:
    """Another owner's token is refused even if it has the same accounts; the form stays."""
    result = await loaded.start_reauth_flow(hass)
    result = await submit(hass, result, token=make_jwt(OTHER_OWNER))
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == {CONF_TOKEN: "wrong_account"}
    assert loaded.data[CONF_TOKEN] == TOKEN
    assert await reload_count(hass, loaded, monitors) == 1

    result = await submit(hass, result, token=NEW_TOKEN)
    assert result["reason"] == "reauth_successful"
    assert await reload_count(hass, loaded, monitors) == 2


async def test_reauth_of_the_same_owner_without_its_accounts(
    hass: HomeAssistant, loaded: MockConfigEntry, client: MagicMock
) -> None:
    """The owner matters, not the listed accounts, which may be gone."""
    client.accounts.return_value = []
    result = await loaded.start_reauth_flow(hass)
    result = await submit(hass, result, token=NEW_TOKEN)
    assert result["reason"] == "reauth_successful"
    await hass.async_block_till_done()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OPAQUE_TOKEN, f"{OPAQUE_TOKEN}-2"),
        (TOKEN, OPAQUE_TOKEN),
        (OPAQUE_TOKEN, TOKEN),
    ],
)
@pytest.mark.parametrize(
    ("accounts", "listed", "taken"),
    [
        ((SWING, SCALP), [SCALP], True),
        ((SWING, SCALP), [account(1)], False),
        ((SWING, SCALP), [], False),
        ((), [], True),
    ],
)
async def test_reauth_of_a_token_without_owner(
    hass: HomeAssistant,
    *,
    mocks: MagicMock,
    old: str,
    new: str,
    accounts: tuple[Any, ...],
    listed: list[Any],
    taken: bool,
) -> None:
    """Tokens without an owner are compared by their accounts.

    A known owner stays; an unknown one becomes that of the new token.
    """
    unique_id = read_claims(old).owner_id
    entry = make_entry(*accounts, token=old, unique_id=unique_id)
    entry.add_to_hass(hass)
    mocks.accounts.return_value = listed
    result = await entry.start_reauth_flow(hass)
    assert result["description_placeholders"]["accounts"] == (
        "Swing, Scalp" if accounts else "—"
    )
    result = await submit(hass, result, token=new)
    if taken:
        assert result["reason"] == "reauth_successful"
        assert entry.data[CONF_TOKEN] == new
        unique_id = OWNER if TOKEN in {old, new} else read_claims(new).owner_id
    else:
        assert result["errors"] == {CONF_TOKEN: "wrong_account"}
        assert entry.data[CONF_TOKEN] == old
    assert entry.unique_id == unique_id
    await hass.async_block_till_done()


async def test_owner_becomes_known(hass: HomeAssistant, mocks: MagicMock) -> None:
    """After a token with an owner, the next token of that owner is accepted."""
    entry = make_entry(
        SWING, token=OPAQUE_TOKEN, unique_id=read_claims(OPAQUE_TOKEN).owner_id
    )
    entry.add_to_hass(hass)
    for token in (TOKEN, NEW_TOKEN):
        result = await entry.start_reauth_flow(hass)
        result = await submit(hass, result, token=token)
        assert result["reason"] == "reauth_successful"
        await hass.async_block_till_done()
    assert entry.unique_id == OWNER

    # The same user cannot be added again
    result = await submit(hass, await start(hass), token=TOKEN)
    assert result["reason"] == "already_configured"


async def test_owner_of_another_entry(hass: HomeAssistant, mocks: MagicMock) -> None:
    """Two entries of one user do not get the same unique id."""
    make_entry(SCALP).add_to_hass(hass)
    hashed = read_claims(OPAQUE_TOKEN).owner_id
    entry = make_entry(SWING, token=OPAQUE_TOKEN, unique_id=hashed)
    entry.add_to_hass(hass)
    result = await entry.start_reauth_flow(hass)
    result = await submit(hass, result, token=TOKEN)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"
    assert (entry.data[CONF_TOKEN], entry.unique_id) == (OPAQUE_TOKEN, hashed)


async def test_reauth_of_a_limited_token(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    client: MagicMock,
    subscribe: MagicMock,
) -> None:
    """It is validated by a subscribe of the entry's accounts; one success is enough."""
    client.accounts.side_effect = UnauthorizedError("no")
    subscribe.side_effect = [ForbiddenError("no"), None]
    result = await loaded.start_reauth_flow(hass)
    result = await submit(hass, result, token=LIMITED_TOKEN)
    assert result["reason"] == "reauth_successful"
    assert [call.args[3] for call in subscribe.await_args_list] == [
        SWING.account_id,
        SCALP.account_id,
    ]
    assert subscribe.await_args.kwargs == {"application": "Bot"}
    await hass.async_block_till_done()


@pytest.mark.parametrize(
    ("error", "key", "named"),
    [
        (ForbiddenError("no"), "forbidden", "11111111…"),
        (UnauthorizedError("no"), "invalid_auth", ""),
        (CannotConnectError("no"), "cannot_connect", ""),
    ],
)
async def test_reauth_of_a_limited_token_fails(
    hass: HomeAssistant,
    *,
    loaded: MockConfigEntry,
    client: MagicMock,
    subscribe: MagicMock,
    error: MetaApiError,
    key: str,
    named: str,
) -> None:
    """Each error of the subscribe is shown, and the next try can succeed."""
    client.accounts.side_effect = ForbiddenError("no")
    subscribe.side_effect = error
    result = await loaded.start_reauth_flow(hass)
    result = await submit(hass, result, token=LIMITED_TOKEN)
    assert result["errors"] == {"base": key}
    assert result["description_placeholders"]["account"] == named

    subscribe.side_effect = None
    result = await submit(hass, result, token=LIMITED_TOKEN)
    assert result["reason"] == "reauth_successful"
    await hass.async_block_till_done()


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("the region is wrong"),
        ValidationError("no accounts deployed yet", details={}),
        NoResponseError("silence"),
    ],
)
@pytest.mark.parametrize("source", ["reauth", "reconfigure"])
async def test_renew_a_limited_token_while_accounts_are_away(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    client: MagicMock,
    subscribe: MagicMock,
    *,
    error: MetaApiError,
    source: str,
) -> None:
    """The same owner's token is accepted though no account answers in its region."""
    entry = make_entry(SWING, SCALP)
    await setup_entry(hass, entry)
    subscribe.side_effect = error
    result = await (
        entry.start_reauth_flow(hass)
        if source == "reauth"
        else entry.start_reconfigure_flow(hass)
    )
    result = await submit(hass, result, token=LIMITED_TOKEN)
    assert result["reason"] == f"{source}_successful"
    asked = [call.args[2].name for call in subscribe.await_args_list]
    assert asked == ["london-a", "new-york-a"][: len(asked)]
    await hass.async_block_till_done()


@pytest.mark.parametrize("source", ["reauth", "reconfigure"])
async def test_typed_token_is_not_sent_back(
    hass: HomeAssistant, loaded: MockConfigEntry, client: MagicMock, source: str
) -> None:
    """After an error the token must be entered again, since no form may show it."""
    client.accounts.side_effect = CannotConnectError("no")
    result = await (
        loaded.start_reauth_flow(hass)
        if source == "reauth"
        else loaded.start_reconfigure_flow(hass)
    )
    result = await submit(hass, result, token=NEW_TOKEN)
    assert result["errors"] == {"base": "cannot_connect"}
    assert NEW_TOKEN not in str(suggested(result["data_schema"]))


async def test_names_are_no_markdown(hass: HomeAssistant) -> None:
    """An account's name is shown literally."""
    entry = make_entry(replace(SWING, name="[x](https://evil.example) *y*"))
    entry.add_to_hass(hass)
    result = await entry.start_reauth_flow(hass)
    shown = result["description_placeholders"]["accounts"]
    assert shown == r"\[x\]\(https\://evil\.example\) \*y\*"


# -- reconfigure -----------------------------------------------------------------------


async def test_reconfigure_form(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """The form shows the stored values, except the token."""
    result = await loaded.start_reconfigure_flow(hass)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "reconfigure"
    assert suggested(result["data_schema"]) == {
        CONF_ADVANCED: {CONF_API_URL: URL, CONF_APPLICATION: "Bot"}
    }
    assert result["data_schema"].schema[CONF_ADVANCED].options == {"collapsed": False}
    assert result["description_placeholders"]["name"] == "Home"
    assert result["description_placeholders"]["expires"].startswith("December 31, 2099")


async def test_reconfigure_everything(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    client: MagicMock,
    monitors: list[FakeMonitor],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Token, server and application change after one reload."""
    result = await loaded.start_reconfigure_flow(hass)
    result = await submit(
        hass,
        result,
        token=NEW_TOKEN,
        advanced={"api_url": "http://127.0.0.1:8765/", "application": "Other"},
    )
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "reconfigure_successful"
    assert result["description_placeholders"] == {
        "expires": "December 31, 2029, 16:00 (US/Pacific)"
    }
    assert loaded.data == {
        CONF_TOKEN: NEW_TOKEN,
        CONF_API_URL: "http://127.0.0.1:8765",
        CONF_APPLICATION: "Other",
    }
    assert client.cls.call_args.args[1] == NEW_TOKEN
    assert client.cls.call_args.args[2].api_url == "http://127.0.0.1:8765"
    assert await reload_count(hass, loaded, monitors) == 2
    assert monitors[-1].application == "Other"
    assert "update listener" not in caplog.text


@pytest.mark.parametrize("user_input", [{}, {"token": " "}, {"advanced": {}}])
async def test_reconfigure_keeps_the_token(
    hass: HomeAssistant, loaded: MockConfigEntry, user_input: dict[str, Any]
) -> None:
    """An empty token means the current one; other empty fields mean the defaults."""
    result = await loaded.start_reconfigure_flow(hass)
    result = await submit(hass, result, **user_input)
    assert result["reason"] == "reconfigure_successful"
    assert result["description_placeholders"]["expires"].startswith("December 31, 2099")
    assert loaded.data == {CONF_TOKEN: TOKEN}
    await hass.async_block_till_done()


async def test_reconfigure_during_a_pause(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    client: MagicMock,
) -> None:
    """A pause that one server requested does not delay the listing of another."""
    provisioning.server_settings.side_effect = TooManyRequestsError("slow down")
    entry = make_entry(SWING)
    await setup_entry(hass, entry)
    provisioning.accounts.assert_not_called()

    result = await entry.start_reconfigure_flow(hass)
    result = await submit(hass, result, advanced={"api_url": URL})
    assert result["reason"] == "reconfigure_successful"
    assert await reload_count(hass, entry, monitors) == 2
    provisioning.accounts.assert_called_once_with()


async def test_reconfigure_an_entry_that_does_not_work(
    hass: HomeAssistant, mocks: MagicMock, mock_setup_entry: AsyncMock
) -> None:
    """An entry that is not loaded is set up with the new values."""
    entry = make_entry(SWING)
    entry.add_to_hass(hass)
    result = await entry.start_reconfigure_flow(hass)
    assert result["data_schema"].schema[CONF_ADVANCED].options == {"collapsed": True}
    result = await submit(hass, result, token=NEW_TOKEN)
    assert result["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    mock_setup_entry.assert_awaited_once()


@pytest.mark.parametrize(
    ("user_input", "error", "errors"),
    [
        ({}, UnauthorizedError("no"), {"base": "invalid_auth"}),
        ({"token": NEW_TOKEN}, CannotConnectError("no"), {"base": "cannot_connect"}),
        ({"token": "tökén"}, None, {"base": "invalid_auth"}),
        (
            {"token": make_jwt(expires=1_767_225_602)},
            None,
            {CONF_TOKEN: "token_expired"},
        ),
        (
            {"token": NEW_TOKEN, "advanced": {"api_url": "http://proxy.example"}},
            None,
            {CONF_ADVANCED: "invalid_api_url"},
        ),
    ],
)
async def test_reconfigure_fails(
    hass: HomeAssistant,
    *,
    loaded: MockConfigEntry,
    client: MagicMock,
    user_input: dict[str, Any],
    error: MetaApiError | None,
    errors: dict[str, str],
) -> None:
    """Errors are shown, and the next try can succeed."""
    before = dict(loaded.data)
    client.accounts.side_effect = error
    result = await loaded.start_reconfigure_flow(hass)
    result = await submit(hass, result, **user_input)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "reconfigure"
    assert result["errors"] == errors
    assert loaded.data == before

    client.accounts.side_effect = None
    result = await submit(hass, result, token=NEW_TOKEN)
    assert result["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()


async def test_reconfigure_by_another_owner(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    """Another owner's token is refused."""
    result = await loaded.start_reconfigure_flow(hass)
    result = await submit(hass, result, token=make_jwt(OTHER_OWNER))
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == {CONF_TOKEN: "wrong_account"}
    assert loaded.data[CONF_TOKEN] == TOKEN


async def test_reconfigure_while_a_reauth_waits(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    """A user can reconfigure instead of using the open reauth form."""
    await loaded.start_reauth_flow(hass)
    result = await loaded.start_reconfigure_flow(hass)
    result = await submit(hass, result, token=NEW_TOKEN)
    assert result["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()
    assert not hass.config_entries.flow.async_progress()


async def test_reconfigure_beside_a_form_left_open(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    client: MagicMock,
    subscribe: MagicMock,
) -> None:
    """An open form of the same owner does not block it."""
    client.accounts.side_effect = ForbiddenError("no")
    subscribe.side_effect = ForbiddenError("no")
    left_open = await loaded.start_reconfigure_flow(hass)
    left_open = await submit(hass, left_open, token=LIMITED_TOKEN)
    assert left_open["errors"] == {"base": "forbidden"}

    subscribe.side_effect = None
    result = await loaded.start_reconfigure_flow(hass)
    result = await submit(hass, result, token=LIMITED_TOKEN)
    assert result["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()


async def test_reconfigure_of_a_token_without_owner(
    hass: HomeAssistant, mocks: MagicMock
) -> None:
    """An unchanged token needs no check of its owner."""
    entry = make_entry(SWING, token=OPAQUE_TOKEN, unique_id="a-hash")
    entry.add_to_hass(hass)
    mocks.accounts.return_value = []
    result = await entry.start_reconfigure_flow(hass)
    result = await submit(hass, result, advanced={"application": "Bot"})
    assert result["reason"] == "reconfigure_successful"
    assert entry.data == {CONF_TOKEN: OPAQUE_TOKEN, CONF_APPLICATION: "Bot"}
    assert entry.unique_id == "a-hash"
    await hass.async_block_till_done()


# -- against the simulator ---------------------------------------------------------------


@pytest.fixture
def loopback(socket_enabled: None) -> None:
    """Allow connections to this machine."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"])


async def test_user_flow_with_simulator(
    hass: HomeAssistant,
    loopback: None,
    mock_setup_entry: AsyncMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A token is refused, then accounts are listed."""
    caplog.set_level(logging.DEBUG)
    async with Simulator(accounts=2) as sim:
        advanced = {"api_url": sim.url}
        result = await submit(
            hass, await start(hass), token=OPAQUE_TOKEN, advanced=advanced
        )
        assert result["errors"] == {"base": "invalid_auth"}
        result = await submit(hass, result, token=sim.token, advanced=advanced)
        assert result["step_id"] == "accounts"
        assert set(preselected(result["data_schema"], CONF_ACCOUNTS)) == set(
            sim.accounts
        )
        result = await submit(hass, result, accounts=[TYPED])
        assert result["errors"] == {CONF_ACCOUNTS: "account_not_found"}
        result = await submit(hass, result, accounts=list(sim.accounts))
        assert_created(result, *sim.accounts)
        assert sim.token not in caplog.text


async def test_limited_token_with_simulator(
    hass: HomeAssistant,
    loopback: None,
    mock_setup_entry: AsyncMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A token without provisioning is validated by a real subscribe."""
    caplog.set_level(logging.DEBUG)
    async with Simulator(accounts=2, provisioning_refusal=401) as sim:
        first, second = sim.accounts
        token = sim.grant(provisioning=False)
        sim.set_subscribe_mode(second, "refuse", error="ForbiddenError")
        result = await to_accounts(hass, token, limited=True, api_url=sim.url)
        for account_id, key in (
            (TYPED, "region_needed"),
            (second, "forbidden"),
        ):
            result = await submit(hass, result, accounts=[account_id])
            assert result["errors"] == {CONF_ACCOUNTS: key}
        result = await submit(hass, result, accounts=[first])
        assert_created(result, first)
        assert [request.type for request in sim.requests] == [
            "subscribe",
            "subscribe",
            "subscribe",
            "unsubscribe",
        ]
        await sim.wait_for(lambda: not sim.sockets)
        assert token not in caplog.text


async def test_reauth_with_simulator(
    hass: HomeAssistant, loopback: None, mock_setup_entry: AsyncMock
) -> None:
    """A revoked token is replaced by another one of the same owner."""
    async with Simulator(accounts=1) as sim:
        entry = make_entry(token=sim.token, data={CONF_API_URL: sim.url})
        entry.add_to_hass(hass)
        sim.revoke()
        result = await entry.start_reauth_flow(hass)
        result = await submit(hass, result, token=sim.token)
        assert result["errors"] == {"base": "invalid_auth"}
        token = sim.grant(expires=2_000_000_000)
        result = await submit(hass, result, token=token)
        assert result["reason"] == "reauth_successful"
        assert entry.data == {CONF_TOKEN: token, CONF_API_URL: sim.url}
        await hass.async_block_till_done()


async def test_flow_over_http(
    hass: HomeAssistant, mocks: MagicMock, hass_client: Any
) -> None:
    """The frontend and the demo send and receive plain JSON."""
    assert await async_setup_component(hass, "config", {})
    http = await hass_client()
    path = "/api/config/config_entries/flow"
    answer = await (await http.post(path, json={"handler": DOMAIN})).json()
    assert [field["name"] for field in answer["data_schema"]] == ["token", "advanced"]
    path = f"{path}/{answer['flow_id']}"
    answer = await (await http.post(path, json={CONF_TOKEN: TOKEN})).json()
    assert answer["step_id"] == "accounts"
    field, region = answer["data_schema"]
    assert region["name"] == CONF_REGION
    assert field["default"] == [SCALP.account_id, SWING.account_id]
    assert field["selector"]["select"]["mode"] == "dropdown"
    answer = await (await http.post(path, json={CONF_ACCOUNTS: []})).json()
    assert answer["errors"] == {CONF_ACCOUNTS: "no_accounts"}
    answer = await (
        await http.post(path, json={CONF_ACCOUNTS: [SWING.account_id]})
    ).json()
    assert answer["type"] == "create_entry"
